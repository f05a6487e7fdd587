"""Runs of `nexus discover --via`, and what they found."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Response

from nexus_cli.database.discoveries import StoredDiscovery, load_discoveries, load_discovery
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.api.bodies import answer
from nexus_cli.runtime.api.decisions import route
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.rest.asking import described
from nexus_cli.runtime.web.rest.stored import Stored
from nexus_cli.wire.web_record import DiscoveredValue, DiscoveryResult, DiscoveryRun, DiscoveryRuns

ROUTES = (route("GET", "/discoveries", "state:read"), route("GET", "/discoveries/{run}", "state:read"))
RunId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


def add_discovery_routes(app: FastAPI, *, base: str, parts: WebParts, stored: Stored) -> None:
    """Add them."""
    site = parts.settings.site

    @app.get(base + "/discoveries", responses=described(DiscoveryRuns))
    async def discoveries(limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Response:
        """Runs of `nexus discover --via`, the newest first."""
        async with stored.reading() as conn:
            found = await load_discoveries(conn, site=site, limit=limit)
        return answer(DiscoveryRuns(discoveries=[DiscoveryRun(**_head(run)) for run in found]))

    @app.get(base + "/discoveries/{run}", responses=described(DiscoveryResult))
    async def discovery(run: RunId) -> Response:
        """One run with what it found."""
        async with stored.reading() as conn:
            found = await load_discovery(conn, site=site, run=run)
        if found is None:
            raise NexusError(f"There is no discovery '{run}'.", code="NX6921")
        values = [DiscoveredValue(**{key: str(value) for key, value in each.items()}) for each in found.values]
        return answer(DiscoveryResult(**_head(found), values=values, skipped_reasons=found.skipped_reasons))


def _head(run: StoredDiscovery) -> dict[str, Any]:
    return {
        "id": run.id,
        "who": run.who,
        "gateway": run.gateway,
        "target": run.target,
        "started": run.started_us,
        "ended": run.ended_us,
        "outcome": run.outcome,
        "detail": run.detail,
        "found": run.found,
        "skipped": run.skipped,
    }
