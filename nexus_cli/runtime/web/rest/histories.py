"""Stored values of a tag, as `nexus history` shows them."""

from __future__ import annotations

import asyncio
from datetime import UTC, tzinfo
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Query, Response

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.history.document import History
from nexus_cli.history.query import Aggregate, stored_history
from nexus_cli.model.calendar import zone_named
from nexus_cli.runtime.api.bodies import schema_of
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.api.decisions import route
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.rest.asking import PlantPath, Since, Until, described_by
from nexus_cli.runtime.web.rest.stored import Stored
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.wire.control import NO_NUL

ROUTES = (route("GET", "/history/{path:path}", "values:read"),)
MOST_ROWS = 10_000
Zone = Annotated[
    str, Query(max_length=60, pattern=NO_NUL, description="Time zone of the answer and of days; UTC without it.")
]


def add_history_routes(app: FastAPI, *, base: str, parts: WebParts, stored: Stored) -> None:
    """Add them."""

    @app.get(base + "/history/{path:path}", responses=described_by(_schema(), "What is stored of a tag in a span."))
    async def history(
        path: PlantPath,
        since: Since = "1h",
        until: Until = "now",
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS, description="Most rows; the newest are given.")] = 1000,
        every: Annotated[str | None, Query(max_length=20, description="Width of buckets: 1m, 1h, 1d, 1mo.")] = None,
        aggregate: Aggregate | None = None,
        drawn: Annotated[bool, Query(description="More samples than the limit become buckets.")] = False,
        zone: Zone = "",
        caller: Caller = CALLING,
    ) -> Response:
        """Stored samples or buckets, with gaps and seams. As `nexus history PATH`."""
        view = parts.keeper.view
        rights = await parts.callers.rights(view, caller)
        refuse_unreadable(view, rights, path)
        async with stored.reading() as conn:
            found = await stored_history(
                conn,
                path,
                site=parts.settings.site,
                since=since,
                until=until,
                limit=limit,
                every=every,
                aggregate=aggregate,
                drawn=drawn,
                zone=zone_of(zone),
            )
        refuse_unreadable(view, rights, found.path)
        return Response(await asyncio.to_thread(_written, found), media_type="application/json")


def _written(found: History) -> bytes:
    return orjson.dumps(found.to_json())


def _schema() -> dict[str, Any]:
    schema = schema_of(History)
    properties: dict[str, Any] = schema["properties"]
    buckets = properties.pop("buckets")
    properties["samples"] = {"anyOf": [properties["samples"], buckets]}
    return {**schema, "required": [name for name in schema["required"] if name != "buckets"]}


def zone_of(name: str) -> tzinfo:
    """The zone of this name; UTC for "".

    Raises:
        NexusError: NX6211.
    """
    try:
        return zone_named(name) if name else UTC
    except ValueError as error:
        raise NexusError(f"The {error}.", code="NX6211", hint="write a name such as Europe/Berlin") from None


def refuse_unreadable(view: SiteView, rights: CallerRights, path: str) -> None:
    """Refuse a path whose values the caller may not see; of a tag that is not declared the right to its topic counts.

    Raises:
        NexusError: NX6802.
    """
    tag = view.by_path.get(path)
    if not (rights.may_hear(view.topics.tag(path)) if tag is None else rights.may_read(tag)):
        raise NexusError(f"There is no tag '{path[:200]}' that you may read.", code="NX6802")
