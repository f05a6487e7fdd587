"""Gaps, commands and dead letters on record."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Annotated, TypeVar

from fastapi import FastAPI, Query, Response

from nexus_cli.database.connect import Connection
from nexus_cli.database.queries import find_series, load_gaps
from nexus_cli.database.records import StoredCommand, StoredLetter, commands_before, dead_letters_before
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.history.moment import parse_moment
from nexus_cli.model.calendar import microseconds, moment_of
from nexus_cli.runtime.api.bodies import answer
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.api.decisions import route
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.rest.asking import PlantPath, Since, Text, Until, described
from nexus_cli.runtime.web.rest.histories import Zone, refuse_unreadable, zone_of
from nexus_cli.runtime.web.rest.stored import Stored
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.wire.web_record import CommandRow, CommandRows, DeadLetterRow, DeadLetterRows, Gaps, GapSpan

ROUTES = (
    route("GET", "/gaps/{path:path}", "values:read"),
    route("GET", "/commands", "values:read"),
    route("GET", "/dead-letters", "values:read"),
)
MOST_GAPS = 5_000
MOST_ROWS = 1_000
PAGE = 200
"""Rows that are read at a time, at least."""
PAGES = 20
"""Pages that one request looks through for rows that the caller may see; the next one begins behind them."""
Row = TypeVar("Row")
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS)]
Before = Annotated[int | None, Query(ge=0, lt=2**53, description="`before` of the answer with the rows ahead of it.")]


def add_record_routes(app: FastAPI, *, base: str, parts: WebParts, stored: Stored) -> None:
    """Add them."""
    _add_gaps(app, base=base, parts=parts, stored=stored)
    _add_commands(app, base=base, parts=parts, stored=stored)
    _add_dead_letters(app, base=base, parts=parts, stored=stored)


def _add_gaps(app: FastAPI, *, base: str, parts: WebParts, stored: Stored) -> None:
    @app.get(base + "/gaps/{path:path}", responses=described(Gaps))
    async def gaps(
        path: PlantPath, since: Since = "1d", until: Until = "now", zone: Zone = "", caller: Caller = CALLING
    ) -> Response:
        """Spans in which samples of a tag, or of a device, are missing. As `nexus history PATH`."""
        view = parts.keeper.view
        rights = await parts.callers.rights(view, caller)
        devices, gateway, is_tag = _about(view, rights, path)
        now = moment_of(parts.clock.wall_us())
        start, end = (parse_moment(text, now=now, zone=zone_of(zone)) for text in (since, until))
        async with stored.reading() as conn:
            if is_tag:
                series = await find_series(conn, site=parts.settings.site, path=path)
                former = () if series is None else series.former_paths
                devices |= {each.rpartition("/")[0] for each in former}
            found = await load_gaps(
                conn, site=parts.settings.site, devices=sorted(devices), gateways=[gateway], since=start, until=end
            )
        shown = [
            GapSpan(
                start=microseconds(each.start),
                end=None if each.end is None else microseconds(each.end),
                device=each.device,
                gateway=each.gateway,
                frames=each.frames,
                reason=each.reason,
            )
            for each in found[-MOST_GAPS:]
        ]
        return answer(Gaps(gaps=shown, truncated=len(found) > MOST_GAPS))


def _add_commands(app: FastAPI, *, base: str, parts: WebParts, stored: Stored) -> None:
    @app.get(base + "/commands", responses=described(CommandRows))
    async def commands(
        path: Annotated[Text, Query(description="Of a tag, or of what is above tags.")] = "",
        limit: Limit = 50,
        before: Before = None,
        caller: Caller = CALLING,
    ) -> Response:
        """The last commands to tags that the caller may read. As `nexus audit --kind command`."""
        view = parts.keeper.view
        rights = await parts.callers.rights(view, caller)
        async with stored.reading() as conn:
            rows = _commands(conn, parts.settings.site, path.strip("/"), before=before, page=max(PAGE, limit))
            found, more = await _seen(
                rows, lambda one: _may_see(view, rights, one.path), place=lambda one: one.time_us, limit=limit
            )
        shown = [
            CommandRow(
                id=one.id,
                path=one.path,
                principal=one.principal,
                value=one.value,
                state=one.state,
                time=one.time_us,
                via=one.via,
                detail=one.detail,
            )
            for one in found
        ]
        return answer(CommandRows(commands=shown, before=more))


def _add_dead_letters(app: FastAPI, *, base: str, parts: WebParts, stored: Stored) -> None:
    @app.get(base + "/dead-letters", responses=described(DeadLetterRows))
    async def dead_letters(
        limit: Limit = 50,
        reason: Annotated[Text, Query(description="One word, as `bad_time`.")] = "",
        topic: Annotated[Text, Query(description="A topic, or what is above topics.")] = "",
        before: Before = None,
        caller: Caller = CALLING,
    ) -> Response:
        """Messages that could not be stored, with the reason; the newest first."""
        view = parts.keeper.view
        rights = await parts.callers.rights(view, caller)
        async with stored.reading() as conn:
            site, page = parts.settings.site, max(PAGE, limit)
            rows = _letters(conn, site, before=before, reason=reason, topic=topic.strip("/"), page=page)
            found, more = await _seen(
                rows, lambda one: may_see_topic(view, rights, caller, one.topic), place=lambda one: one.id, limit=limit
            )
        shown = [
            DeadLetterRow(
                id=one.id,
                time=one.time_us,
                topic=one.topic,
                reason=one.reason,
                detail=one.detail,
                payload=one.payload,
                count=one.count,
                tries=one.tries,
                waiting=one.waiting,
            )
            for one in found
        ]
        return answer(DeadLetterRows(dead_letters=shown, before=more))


def _about(view: SiteView, rights: CallerRights, path: str) -> tuple[set[str], str, bool]:
    """Devices and gateway that a path is about, and whether it is one of a tag."""
    device = view.devices.get(path)
    if device is not None:
        if not rights.readable[device.first : device.last].any():
            raise NexusError(f"There is no device '{path[:200]}' that you may read.", code="NX6921")
        return {path}, device.gateway, False
    refuse_unreadable(view, rights, path)
    parent = path.rpartition("/")[0]
    device = view.devices.get(parent)
    return {parent}, device.gateway if device is not None else "", True


def _may_see(view: SiteView, rights: CallerRights, path: str) -> bool:
    tag = view.by_path.get(path)
    return rights.may_hear(view.topics.tag(path)) if tag is None else rights.may_read(tag)


def may_see_topic(view: SiteView, rights: CallerRights, caller: Caller, topic: str) -> bool:
    """Whether a caller may see messages on a topic; those between NEXUS's own parts are the administrators'."""
    path = view.topics.path(topic)
    if path is not None:
        return _may_see(view, rights, path)
    return caller.held.admin or rights.may_hear(topic)


async def _seen(
    rows: AsyncGenerator[tuple[Row, bool]], may_see: Callable[[Row], bool], *, place: Callable[[Row], int], limit: int
) -> tuple[list[Row], int | None]:
    """The first rows that a caller may see, and `before` of the rows behind them; None when there are none.

    Rows at the same place come together, also beyond the limit: the next page begins behind it. When the rows that one request
    looks through end first, there are fewer than the limit, or none, and the next request begins behind them.
    """
    found: list[Row] = []
    async with aclosing(rows):
        async for one, last in rows:
            if may_see(one):
                if len(found) >= limit and place(one) != place(found[-1]):
                    return found, place(found[-1])
                found.append(one)
            if last:
                return found, place(one)
    return found, None


async def _commands(
    conn: Connection, site: str, path: str, *, before: int | None, page: int
) -> AsyncGenerator[tuple[StoredCommand, bool]]:
    """Commands, and whether it is the last that this request looks at while there are more."""
    for number in range(PAGES):
        rows = await commands_before(conn, site=site, path=path, before_us=before, limit=page + 1, skip=number * page)
        for at, row in enumerate(rows[:page], 1):
            yield row, number + 1 == PAGES and at == page < len(rows)
        if len(rows) <= page:
            return


async def _letters(
    conn: Connection, site: str, *, before: int | None, reason: str, topic: str, page: int
) -> AsyncGenerator[tuple[StoredLetter, bool]]:
    """Dead letters, as `_commands`."""
    for number in range(PAGES):
        rows = await dead_letters_before(conn, site=site, before=before, reason=reason, topic=topic, limit=page + 1)
        for at, row in enumerate(rows[:page], 1):
            yield row, number + 1 == PAGES and at == page < len(rows)
        if len(rows) <= page:
            return
        before = rows[page - 1].id
