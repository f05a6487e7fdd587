"""Stored values of objects in a span. A device's are the objects that its tags made, at each moment that one of them changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from nexus_cli.database.connect import Connection, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.history.query import stored_history
from nexus_cli.runtime.web.i3x.address_space import AddressSpace
from nexus_cli.runtime.web.i3x.current_values import composed
from nexus_cli.runtime.web.i3x.leaf_values import LAST_US, NO_DATA, Vqt, moment, of_value, time_of
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.site_view import TagView
from nexus_cli.wire.sample import Quality

MOST_VALUES = 20_000
"""Stored values of one answer, of all its objects together; the newest are kept, and the answer is 206."""
MOST_TAGS = 1_000
"""Tags whose history one request reads."""
NO_SERIES = "NX6210"
FOR_S = 45.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From when to when, both included, µs since 1970 UTC."""

    start_us: int
    end_us: int


class HistoryReader:
    """Reads for one request, in one transaction.

    Attributes:
        cut: Why the answer is not whole; "".
    """

    def __init__(self, parts: WebParts, space: AddressSpace, span: Span, *, depth: int) -> None:
        """`depth` as `maxDepth`: 0 or more than 1 gives the values of components too."""
        self._parts, self._space, self._span, self._deep = parts, space, span, depth != 1
        self._known: dict[str, list[Vqt]] = {}
        self.cut = ""

    async def load(self, elements: Sequence[str]) -> None:
        """Read what these objects need.

        Raises:
            NexusError: NX62xx, the database does not answer.
        """
        tags: dict[str, TagView] = {}
        for element in elements:
            tags |= {tag.path: tag for tag in self._space.tags_of(element)}
        if len(tags) > MOST_TAGS:
            self.cut = f"One request reads the history of {MOST_TAGS:,} tags; ask for the others by their elementId."
            tags = dict(list(tags.items())[:MOST_TAGS])
        if not tags:
            return
        limit = max(1, MOST_VALUES // len(tags))
        parts = self._parts
        try:
            with plain_errors(parts.settings):
                async with (
                    asyncio.timeout(FOR_S),
                    parts.pool.acquire() as conn,
                    conn.transaction(isolation="repeatable_read", readonly=True),
                ):
                    for path, tag in tags.items():
                        self._known[path] = await self._stored(conn, tag, limit)
        except TimeoutError:
            raise NexusError("The database did not give this history in time.", code="NX6208") from None

    async def _stored(self, conn: Connection, tag: TagView, limit: int) -> list[Vqt]:
        since, until = moment(self._span.start_us), moment(min(self._span.end_us + 1, LAST_US))
        try:
            found = await stored_history(
                conn, tag.path, site=self._parts.settings.site, since=since, until=until, limit=limit, zone=UTC
            )
        except NexusError as error:
            if error.code != NO_SERIES:
                raise
            return []
        if found.truncated and not self.cut:
            self.cut = f"Only the newest values are here: one answer has {MOST_VALUES:,}. Ask for a shorter span."
        return [
            of_value(each.value, Quality[each.quality], each.type or found.type, time_us=time_of(each.time))
            for each in found.samples
        ]

    def read(self, element: str) -> dict[str, Any]:
        """The result for an object that is there."""
        tags = self._space.devices.get(element)
        if tags is None:
            return {"isComposition": False, "values": self._shown(self._known.get(element, []))}
        answer: dict[str, Any] = {"isComposition": True, "values": self._shown(self._joined(tags))}
        if self._deep:
            answer["components"] = {
                tag.path: {"values": self._shown(self._known[tag.path])} for tag in tags if tag.path in self._known
            }
        return answer

    def _joined(self, tags: Sequence[TagView]) -> list[Vqt]:
        """The object at each moment: what each tag last said, from the moment that all of the newest are known on."""
        changes = sorted(
            ((vqt.time_us, number, vqt) for number, tag in enumerate(tags) for vqt in self._known.get(tag.path, [])),
            key=lambda each: each[:2],
        )
        most = max(1, MOST_VALUES // max(1, len(tags)))
        members = [(tag.name, Vqt(None, NO_DATA, 0)) for tag in tags]
        found: list[Vqt] = []
        for at, (time_us, number, vqt) in enumerate(changes):
            members[number] = (members[number][0], vqt)
            if at + 1 == len(changes) or changes[at + 1][0] != time_us:
                found.append(composed(members, now_us=time_us))
        if len(found) > most:
            self.cut = self.cut or f"Only the newest {most:,} values of a device with {len(tags)} tags are here."
        return found[-most:]

    def _shown(self, values: Sequence[Vqt]) -> list[dict[str, Any]]:
        """By time; one without a value, at the start of the span, where there are none."""
        return [each.json() for each in values] or [Vqt(None, NO_DATA, self._span.start_us).json()]
