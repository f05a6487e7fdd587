"""Statistics of a tag over a span."""

from __future__ import annotations

from fastapi import FastAPI, Response

from nexus_cli.history.statistics import Statistics, stored_statistics
from nexus_cli.runtime.api.bodies import answer
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.api.decisions import route
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.rest.asking import PlantPath, Since, Until, described
from nexus_cli.runtime.web.rest.histories import Zone, refuse_unreadable, zone_of
from nexus_cli.runtime.web.rest.stored import Stored

ROUTES = (route("GET", "/statistics/{path:path}", "values:read"),)


def add_statistics_routes(app: FastAPI, *, base: str, parts: WebParts, stored: Stored) -> None:
    """Add them."""

    @app.get(base + "/statistics/{path:path}", responses=described(Statistics))
    async def statistics(
        path: PlantPath, since: Since = "1h", until: Until = "now", zone: Zone = "", caller: Caller = CALLING
    ) -> Response:
        """Count, least, greatest, means, deviation and shares over a span. As `nexus history PATH --stats`."""
        view = parts.keeper.view
        rights = await parts.callers.rights(view, caller)
        refuse_unreadable(view, rights, path)
        async with stored.reading() as conn:
            found = await stored_statistics(
                conn, path, site=parts.settings.site, since=since, until=until, zone=zone_of(zone)
            )
        refuse_unreadable(view, rights, found.path)
        return answer(found)
