"""Events from the database: deployments, runs of sequences with their steps, and how commands ended.

It is asked while there are listeners. What was recorded while it did not answer is sent when it does, except the ends of deployments and runs that lie more than a minute back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nexus_cli.database import happenings as db
from nexus_cli.database.connect import Connection, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.json_value import JsonObject
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.socket.happenings import Event, Seen, of_deployment, of_sequence, of_tag
from nexus_cli.runtime.web.socket.looking import Looking
from nexus_cli.wire.web_socket import Kind

LOOK_S = 1.0
"""Pause between two looks, in seconds."""
ANSWER_S = 10.0
BACK = 200
"""Lines before the last that are asked for again: transactions do not end in the order in which they began."""
RECORDED: frozenset[Kind] = frozenset({"deployment", "sequence", "command"})
"""Kinds of events that come from here."""


class _Lines:
    """The new ones of lines that are asked for with some of those before."""

    def __init__(self, last: int) -> None:
        self._last, self._seen = last, set[int]()
        self._first = last

    @property
    def after(self) -> int:
        return max(self._first, self._last - BACK)

    def new(self, lines: list[db.Line]) -> list[db.Line]:
        found = [line for line in lines if line.number not in self._seen]
        self._seen.update(line.number for line in found)
        self._last = max([self._last, *(line.number for line in found)])
        self._seen = {number for number in self._seen if number > self.after}
        return found


class _States:
    """The state of each row at the last look."""

    def __init__(self, rows: list[JsonObject], key: str) -> None:
        self._key = key
        self._known = {row[key]: row["state"] for row in rows}

    def changed(self, rows: list[JsonObject]) -> list[JsonObject]:
        """Rows that are new, or in another state."""
        found = [row for row in rows if self._known.get(row[self._key]) != row["state"]]
        self._known = {row[self._key]: row["state"] for row in rows}
        return found


class ToldByRecord(Looking):
    """Asks the database."""

    def __init__(self, parts: WebParts, *, tell: Callable[[Event], None]) -> None:
        """`tell` takes each event, on the loop."""
        super().__init__(pause_s=LOOK_S)
        self._parts, self._tell = parts, tell
        self._commands: _Lines | None = None
        self._steps: _Lines | None = None
        self._runs, self._deployments = _States([], "run"), _States([], "number")

    def rest(self) -> None:
        """The next listener begins with a first look."""
        self._commands = self._steps = None

    async def look(self) -> None:
        """Look once; the first look of a listener only learns what is there."""
        settings = self._parts.settings
        try:
            with plain_errors(settings):
                async with asyncio.timeout(ANSWER_S), self._parts.pool.acquire() as conn:
                    await self._ask(conn, settings.site)
        except (NexusError, TimeoutError):
            return  # `missing` says so

    async def _ask(self, conn: Connection, site: str) -> None:
        runs, deployments = await db.recent_runs(conn, site), await db.recent_deployments(conn, site)
        if self._commands is None or self._steps is None:
            audit, step = await db.last_numbers(conn, site)
            self._commands, self._steps = _Lines(audit), _Lines(step)
            self._runs, self._deployments = _States(runs, "run"), _States(deployments, "number")
            return
        for line in self._commands.new(await db.commands_after(conn, site, self._commands.after)):
            self._tell(Event("command", line.at, line.facts, of_tag))
        changed = self._runs.changed(runs)
        self._say("sequence", [run for run in changed if run["ended"] is None], of_sequence)
        for line in self._steps.new(await db.steps_after(conn, site, self._steps.after)):
            self._tell(Event("sequence", line.at, line.facts, of_sequence))
        self._say("sequence", [run for run in changed if run["ended"] is not None], of_sequence)
        self._say("deployment", self._deployments.changed(deployments), of_deployment)

    def _say(self, kind: Kind, found: list[JsonObject], shown: Callable[[JsonObject, Seen], JsonObject | None]) -> None:
        for facts in found:
            self._tell(Event(kind, int(facts["ended"] or facts["started"]), facts, shown))
