"""Routes of drift. Who may read the state sees it; who may apply the whole site puts back and takes over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Protocol

from fastapi import Depends, FastAPI, Query, Response

from nexus_cli.database import drift as stored
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.api.bodies import answer, documented, reader
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.control.drift_watch import DriftWatch
from nexus_cli.runtime.control.reverting import Reverting
from nexus_cli.runtime.control.service import Service
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.identity.held import WHOLE
from nexus_cli.wire.control_drift import DriftReports, IdentitiesRequest, IdentitiesTaken, RevertRequest


class Drifting(Protocol):
    """What only the leader has."""

    drift: DriftWatch
    reverting: Reverting


def add_drift_routes(app: FastAPI, *, base: str, service: Service, acting: Callable[[], Drifting]) -> None:
    """Add them; `acting` raises NexusError NX6408 in a standby."""
    revert_request, identities_request = Depends(reader(RevertRequest)), Depends(reader(IdentitiesRequest))

    def require(caller: Caller) -> str:
        if not (caller.held.admin or WHOLE in caller.held.apply):
            raise NexusError(
                f"{caller.principal} may not bring drift in line.",
                code="NX6403",
                hint="a role with `apply: ['**']`: it concerns the whole site",
            )
        return caller.principal

    @app.get(base + "/drift")
    async def facts() -> Response:
        """What differs as far as control knows without asking a device, and the newest result of the schedule."""
        return answer(await acting().drift.facts())

    @app.get(base + "/drift/reports")
    async def reports(limit: Annotated[int, Query(ge=1, le=stored.KEPT)] = 20) -> Response:
        """Results of the schedule, the newest first."""
        async with service.connection() as conn:
            return answer(DriftReports(reports=await stored.newest(conn, service.site, limit=limit)))

    @app.post(base + "/drift/revert", openapi_extra=documented(RevertRequest))
    async def revert(caller: Caller = CALLING, body: RevertRequest = revert_request) -> Response:
        """Put back what can be put back, or say what would be."""
        return answer(await acting().reverting.revert(preview=body.preview, who=require(caller)))

    @app.post(base + "/drift/identities", openapi_extra=documented(IdentitiesRequest))
    async def identities(caller: Caller = CALLING, body: IdentitiesRequest = identities_request) -> Response:
        """Record what devices say of themselves now."""
        who = require(caller)
        return answer(IdentitiesTaken(paths=await acting().drift.take_identities(body.identities, who=who)))
