"""The tool that writes: only where the server was started so, and only what a dry run has shown.

See docs/decisions/0083.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

import orjson
from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import Field

from nexus_cli.access.globs import matches_glob
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.json_value import JsonObject
from nexus_cli.project.mcp.answers import Answer, reply, short, shown
from nexus_cli.project.mcp.asking import Asking, Caller, Calling, clean
from nexus_cli.project.mcp.newest import range_text
from nexus_cli.project.mcp.stored import TagPath, card_of, range_of
from nexus_cli.wire.command import LONGEST_REASON

WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)
VALID_S = 120.0
MOST_WAITING = 1_000
"""Confirmations that are kept; beyond that the oldest end (policy: drop the oldest)."""
LONGEST_VALUE = 4_000
MARK = "mcp: "
"""Begins the reason in the audit trail."""
TIMEOUT_S, ANSWER_S = 10.0, 90.0
UNCONFIRMED = "NX6945"


class Written(Answer):
    """What a write would do, or has done."""

    path: str
    state: str = Field(description="dry_run, or how the command ended: done, refused, failed, unknown.")
    old: Any = Field(default=None, description="What the tag held; null: not known.")
    will_be: Any = Field(default=None, description="What it would hold; after the write, what was written.")
    read_back: Any = Field(default=None, description="What the device holds after the write; null: not read.")
    unit: str = ""
    range: list[float | None] | None = None
    confirmation: str = Field(default="", description="Give it with the same path and value to write.")
    confirm_within_s: float = Field(default=0.0, description="How long the confirmation is valid.")
    code: str = Field(default="", description="Why it was not done.")
    detail: str = ""


class _Agreed(NamedTuple):
    """A write that a dry run has shown: a digest of path, value, old value and caller, and when its confirmation ends."""

    digest: str
    old: Any
    ends: float


class Confirmations:
    """Dry runs that may still become writes: each once, within two minutes."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """None yet."""
        self._now = now
        self._waiting: dict[str, _Agreed] = {}

    def give(self, *, path: str, value: Any, old: Any, token: str) -> str:
        """A confirmation for this write of this caller."""
        now = self._now()
        for key in [key for key, each in self._waiting.items() if each.ends <= now]:
            del self._waiting[key]
        while len(self._waiting) >= MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        key = secrets.token_urlsafe(16)
        self._waiting[key] = _Agreed(_digest(path, value, token), old, now + VALID_S)
        return key

    def take(self, key: str, *, path: str, value: Any, token: str) -> Any:
        """The old value that the dry run showed; the confirmation is used up.

        Raises:
            NexusError: NX6945, it is not for this write of this caller, was used, or has ended.
        """
        found = self._waiting.get(key)
        if found is not None and found.ends > self._now() and found.digest == _digest(path, value, token):
            del self._waiting[key]
            return found.old
        raise NexusError(f"This confirmation is not for writing {value!r:.100} to {path} now.", code=UNCONFIRMED)


def _digest(path: str, value: Any, token: str) -> str:
    said = orjson.dumps([path, value], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(said + b"\0" + token.encode()).hexdigest()


def add_write_tool(server: MCPServer[Any], asking: Asking, globs: Sequence[str]) -> None:
    """Add `write` for the paths that these globs cover."""
    waiting = Confirmations()

    async def write(
        ctx: Calling,
        path: TagPath,
        value: Annotated[Any, Field(description="In the published unit, or the name of an enumeration's code.")],
        reason: Annotated[str, Field(max_length=LONGEST_REASON - len(MARK), description="For the audit trail.")] = "",
        confirmation: Annotated[str, Field(max_length=100, description="Of the dry run; empty: a dry run.")] = "",
    ) -> Annotated[CallToolResult, Written]:
        caller, where = asking.caller(ctx), clean(path)
        _refuse(where, value, globs)
        if confirmation:
            old = waiting.take(confirmation, path=where, value=value, token=caller.settings.control_token)
            return await _write(caller, where, value, old=old, reason=reason)
        return await _dry_run(caller, where, value, waiting)

    server.add_tool(
        write,
        title="Write a value",
        description="Write one value to one tag of the plant, in two calls. The first, without `confirmation`, changes "
        "nothing and shows old, will_be and unit: show them to the person. The second, with the same path and value and the "
        f"confirmation of the first (valid {VALID_S:g} s, once), sends the command. Allowed here: {', '.join(globs)}, within "
        "the caller's rights. It may move machines.",
        annotations=WRITES,
    )


def _refuse(path: str, value: Any, globs: Sequence[str]) -> None:
    """Raises NexusError: NX6944 no glob covers the path, NX6942 the value is too long."""
    if not any(matches_glob(glob, path) for glob in globs):
        raise NexusError(
            f"{path} may not be written through this server.", code="NX6944", cause="no --allow-write covers it"
        )
    try:
        size = len(orjson.dumps(value))
    except orjson.JSONEncodeError as error:
        raise NexusError("The value can't be written.", code="NX6942", cause=str(error)) from None
    if size > LONGEST_VALUE:
        raise NexusError(
            f"The value has {size:,} characters.", code="NX6942", hint=f"at most {LONGEST_VALUE:,} are taken"
        )


async def _dry_run(caller: Caller, path: str, value: Any, waiting: Confirmations) -> CallToolResult:
    found = await _shown(caller, path, value)
    old, will_be = found.get("old"), found.get("will_be")
    key = waiting.give(path=path, value=value, old=old, token=caller.settings.control_token)
    answer = Written(
        path=path,
        state="dry_run",
        old=shown(old),
        will_be=shown(will_be),
        unit=found.get("unit", ""),
        range=await range_of(caller.web, path),
        confirmation=key,
        confirm_within_s=VALID_S,
    )
    before = "an unknown value" if old is None else f"{answer.old} {answer.unit}".rstrip()
    line = f"Dry run, nothing was sent: {path} would go from {before} to {answer.will_be} {answer.unit}".rstrip()
    line += range_text(answer.range, answer.unit)
    return reply(answer, [f"{line}.", f"To write it, repeat the call with confirmation {key} within {VALID_S:g} s."])


async def _shown(caller: Caller, path: str, value: Any) -> JsonObject:
    """What web says to a dry run. Raises NexusError: why the command would be refused."""
    found = await caller.web.post("/commands", {"path": path, "value": value, "dry_run": True})
    if refusal := found.get("refusal"):
        raise NexusError(
            refusal["message"], code=refusal["code"], hint=refusal.get("hint", ""), cause=refusal.get("cause", "")
        )
    return found


async def _write(caller: Caller, path: str, value: Any, *, old: Any, reason: str) -> CallToolResult:
    """Send the command, when the tag still holds what the dry run has shown."""
    now = (await _shown(caller, path, value)).get("old")
    if now != old:
        raise NexusError(
            f"{path} held {old!r:.100} in the dry run and holds {now!r:.100} now; nothing was sent.", code=UNCONFIRMED
        )
    card = await card_of(caller.web, path)
    body = {"path": path, "value": value, "reason": MARK + reason.strip(), "timeout_s": TIMEOUT_S}
    if old is not None and not card.get(
        "deadband"
    ):  # within a deadband the device may hold another value than was published
        body["expect"] = old
    found = await caller.web.post("/commands", body, timeout_s=ANSWER_S)
    answer = Written(
        path=path,
        state=found["state"],
        old=shown(found.get("old", old)),
        will_be=shown(found.get("value")),
        read_back=shown(found.get("read_back")),
        unit=found.get("unit", ""),
        range=card.get("range"),
        code=found.get("code", ""),
        detail=short(found.get("detail", ""), most=500),
    )
    said = f"{path}: {answer.state}"
    if answer.read_back is not None:
        said += f", the device holds {answer.read_back} {answer.unit}".rstrip()
    if answer.code:
        said += f"; {answer.code}: {answer.detail}"
    return reply(answer, [said + "."])
