"""Writing: newest values through the command contract, stored ones as corrections. Both are off unless switched on
(`NEXUS_I3X_WRITES`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from fastapi import Depends, FastAPI, Response

from nexus_cli.database.connect import Connection, plain_errors
from nexus_cli.database.corrections import Correction, NotCorrected, correct
from nexus_cli.database.samples import SampleTables
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.runtime.api.bodies import documented
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.api.failures import on_failure
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.i3x.address_space import AddressSpace
from nexus_cli.runtime.web.i3x.bodies import Write, Writes, body_of
from nexus_cli.runtime.web.i3x.commanding import CommandSender
from nexus_cli.runtime.web.i3x.envelopes import BASE, Item, Problem, bulk, failed_item, no_element
from nexus_cli.runtime.web.i3x.leaf_values import GOOD, QUALITIES, of_value, time_of
from nexus_cli.runtime.web.i3x.spaces import Spaces
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.site_view import TagView
from nexus_cli.settings import I3xWrites
from nexus_cli.wire.command import State
from nexus_cli.wire.sample import Quality

REASON = "written through i3X"
_REFUSED = {State.REFUSED: 400, State.FAILED: 500, State.UNKNOWN: 500}
Doing = Callable[[TagView, Write], Awaitable[None]]


def add_update_routes(app: FastAPI, spaces: Spaces, parts: WebParts, send: CommandSender | None) -> None:
    """Add them; without a sender no value is written."""
    asked = Depends(body_of(Writes))

    @app.put(BASE + "/objects/value", openapi_extra=documented(Writes))
    async def write_values(body: Writes = asked, caller: Caller = CALLING) -> Response:
        if not writes_values(parts, send) or send is None:
            raise Problem(501, "This server does not take values: NEXUS_I3X_WRITES is off.")
        space = await spaces.of(caller)

        async def command(tag: TagView, write: Write) -> None:
            if write.value.quality not in (None, GOOD):
                raise Problem(400, "What is written is Good: a command has no other quality.")
            if write.value.value is None:
                raise Problem(400, "The type of this object has no null.")
            answer = await send(caller, tag.path, write.value.value, reason=REASON)
            if answer.state is not State.DONE:
                said = answer.detail or f"the command is {answer.state}"
                raise Problem(_REFUSED.get(answer.state, 500), f"{said} {answer.code}".strip())

        return bulk(await _all(spaces, space, body.updates, command))

    @app.put(BASE + "/objects/history", openapi_extra=documented(Writes))
    async def correct_history(body: Writes = asked, caller: Caller = CALLING) -> Response:
        if not corrects_history(parts):
            raise Problem(501, "This server does not take stored values: NEXUS_I3X_WRITES is not `history`.")
        space, tables = await spaces.of(caller), SampleTables(site=parts.settings.site)
        with plain_errors(parts.settings):
            async with parts.pool.acquire() as conn:

                async def store(tag: TagView, write: Write) -> None:
                    await _correct(parts, conn, tables, caller, tag, write)

                return bulk(await _all(spaces, space, body.updates, store, at_once=False))


def writes_values(parts: WebParts, send: CommandSender | None) -> bool:
    """Whether values are taken."""
    return send is not None and parts.settings.i3x_writes is not I3xWrites.OFF


def corrects_history(parts: WebParts) -> bool:
    """Whether stored values are taken."""
    return parts.settings.i3x_writes is I3xWrites.HISTORY


async def _all(
    spaces: Spaces, space: AddressSpace, updates: list[Write], do: Doing, *, at_once: bool = True
) -> list[Item]:
    """One item for each update, in their order. Different tags are written at once, one tag in the order of the request."""
    now = await spaces.current(space, [update.element_id for update in updates])
    items: list[Item] = [{} for _ in updates]

    async def one(number: int) -> None:
        items[number] = await _item(space, now, updates[number], do)

    repeated = max(Counter(now.get(update.element_id) for update in updates).values(), default=0) > 1
    if not at_once or repeated:
        for number in range(len(updates)):
            await one(number)
        return items
    async with Group() as group:
        for number in range(len(updates)):
            group.create_task(one(number), name="i3x write")
    return items


async def _item(space: AddressSpace, now: dict[str, str], update: Write, do: Doing) -> Item:
    asked = update.element_id
    try:
        if asked not in now:
            raise no_element(asked)
        tag = space.tag(now[asked])
        if tag is None:
            raise Problem(400, "Only tags are written: a device's tags are objects of their own (HasComponent).")
        if not space.rights.may_write(tag):
            raise Problem(403, "You may not write this object, or it takes no commands.")
        await do(tag, update)
    except Problem as problem:
        return failed_item(asked, problem)
    except NexusError as error:
        return failed_item(asked, _problem_of(error))
    return {"success": True, "elementId": asked, "result": None}


def _problem_of(error: NexusError) -> Problem:
    """An error in the words of i3X: the statuses are those of the other API, as far as i3X has them."""
    status = on_failure(error).status_code
    said = error.message if not error.cause else f"{error.message} {error.cause}"
    return Problem(status if status in (401, 403, 404, 500, 503) else 400, f"{said} {error.code}")


async def _correct(
    parts: WebParts, conn: Connection, tables: SampleTables, caller: Caller, tag: TagView, write: Write
) -> None:
    given = write.value
    quality = QUALITIES.get(given.quality or "")
    if quality is None:
        raise Problem(400, "quality is Good, Uncertain or Bad.")
    if given.timestamp is None:
        raise Problem(400, "timestamp is missing: it names the stored value.")
    try:
        time_us = time_of(given.timestamp)
    except ValueError as error:
        raise Problem(400, f"timestamp is an RFC 3339 time: {error}") from None
    if (given.value is None) is not (quality is Quality.BAD):
        raise Problem(400, "A Bad value is null, another one is not.")
    if quality is not Quality.BAD and of_value(given.value, quality, tag.type, time_us=time_us).value is None:
        raise Problem(400, f"The value is no {tag.type}.")
    wanted = Correction(
        path=tag.path, time_us=time_us, value=given.value, quality=int(quality), who=caller.principal, reason=REASON
    )
    moment = datetime.fromtimestamp(parts.clock.wall_us() / 1e6, UTC)
    try:
        await correct(conn, tables, wanted, site=parts.settings.site, now=moment)
    except NotCorrected as error:
        raise Problem(400, f"Not stored: {error}.") from None
