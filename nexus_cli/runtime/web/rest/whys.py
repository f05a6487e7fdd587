"""Why a tag has no value, or one that is not GOOD."""

from __future__ import annotations

from fastapi import FastAPI, Response

from nexus_cli.database.connect import Connection
from nexus_cli.database.history_rows import last_before, sources_of
from nexus_cli.database.queries import find_series, load_gaps
from nexus_cli.database.records import dead_letters_before
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.explain.why import Facts, checks, verdict
from nexus_cli.model.calendar import microseconds, moment_of
from nexus_cli.runtime.api.bodies import answer
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.api.decisions import route
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.caller_rights import readable_tag
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.rest.asking import PlantPath, described
from nexus_cli.runtime.web.rest.reports import Reports
from nexus_cli.runtime.web.rest.stored import Stored
from nexus_cli.runtime.web.site_view import TagView
from nexus_cli.wire.health import HistorianHealth
from nexus_cli.wire.web_plant import PartCheck, Why

ROUTES = (route("GET", "/why/{path:path}", "values:read"),)
MOST_LETTERS = 3
LETTERS_US = 86_400_000_000
"""Dead letters of the last day are named."""


def add_why_routes(app: FastAPI, *, base: str, parts: WebParts, stored: Stored, reports: Reports) -> None:
    """Add them."""

    @app.get(base + "/why/{path:path}", responses=described(Why))
    async def why(path: PlantPath, caller: Caller = CALLING) -> Response:
        """Which part between the device and the row is the cause. As the step `now` of `nexus explain PATH`."""
        view = parts.keeper.view
        tag = readable_tag(view, await parts.callers.rights(view, caller), path)
        device = view.device(tag.device)
        assert device is not None  # each tag is of a device of its view
        newest = parts.cache.read(tag.slot)
        record = await _record(parts, stored, tag, gateway=device.gateway)
        facts = Facts(
            device=device,
            tag=tag.name,
            quality=newest.quality.name,
            reason=newest.reason,
            received=newest.received_us,
            gateway=reports.gateways().get(device.gateway),
            historians=reports.of(HistorianHealth),
            broker="" if parts.client.connected else _broker(parts),
            database=parts.keeper.problem or record.problem,
            open_gaps=record.gaps,
            dead_letters=record.letters,
            stored=record.stored,
        )
        found = checks(facts)
        said = [
            PartCheck(part=one.part, state=one.state, text=one.text, name=one.name, since=one.since) for one in found
        ]
        return answer(
            Why(
                path=tag.path,
                quality=facts.quality,
                reason=facts.reason,
                verdict=verdict(facts, found),
                checks=said,
                stored=facts.stored,
            )
        )


def _broker(parts: WebParts) -> str:
    problem = parts.client.problem
    return problem.message if problem is not None else "there is no connection yet"


class _Record:
    """What the database knows of a tag's troubles."""

    def __init__(self) -> None:
        self.problem = ""
        self.gaps: list[tuple[str, int]] = []
        self.letters: list[tuple[str, str, int]] = []
        self.stored: int | None = None


async def _record(parts: WebParts, stored: Stored, tag: TagView, *, gateway: str) -> _Record:
    found, site, now_us = _Record(), parts.settings.site, parts.clock.wall_us()
    try:
        async with stored.reading() as conn:
            now = moment_of(now_us)
            gaps = await load_gaps(conn, site=site, devices=[tag.device], gateways=[gateway], since=now, until=now)
            found.gaps = [(gap.reason, microseconds(gap.start)) for gap in gaps if gap.end is None]
            topic = parts.topics.tag(tag.path)
            letters = await dead_letters_before(
                conn, site=site, topic=topic, since_us=now_us - LETTERS_US, limit=MOST_LETTERS
            )
            found.letters = [(one.reason, one.detail, one.time_us) for one in letters]
            found.stored = await _newest_us(conn, site, tag.path, now_us=now_us)
    except NexusError as error:
        found.problem = error.message
    return found


async def _newest_us(conn: Connection, site: str, path: str, *, now_us: int) -> int:
    """When the newest stored sample was, µs since 1970 UTC; 0 without one."""
    series = await find_series(conn, site=site, path=path)
    if series is None:
        return 0
    found = await last_before(conn, await sources_of(conn, series_id=series.id), time_us=now_us)
    return 0 if found is None else microseconds(found.time)
