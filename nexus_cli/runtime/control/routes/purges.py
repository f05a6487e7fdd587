"""Routes of purges: what would go, and the act itself, for administrators alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import Depends, FastAPI, Path, Query, Response
from ulid import ULID

from nexus_cli.access.globs import matches_glob
from nexus_cli.database import purges as stored
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.api.bodies import answer, documented, reader
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.control.service import Service
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.identity.principals import require_admin
from nexus_cli.wire.control_purges import PurgeQuestion, Purges, PurgeSelection

PurgeId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9]+$")]


def add_purge_routes(app: FastAPI, *, base: str, service: Service, leader: Callable[[], Pool]) -> None:
    """Add them; `leader` raises NexusError NX6408 in a standby."""
    selection, question, site = Depends(reader(PurgeSelection)), Depends(reader(PurgeQuestion)), service.site

    def require(caller: Caller) -> None:
        require_admin(caller, "remove history", why="what is removed does not come back")

    @app.post(base + "/purges/preview", openapi_extra=documented(PurgeSelection))
    async def preview(caller: Caller = CALLING, body: PurgeSelection = selection) -> Response:
        """What a purge would remove; nothing is changed."""
        require(caller)
        async with service.connection() as conn:
            return answer(await stored.preview(conn, site, _takes(body.selectors)))

    @app.post(base + "/purges", status_code=202, openapi_extra=documented(PurgeQuestion))
    async def purge(caller: Caller = CALLING, body: PurgeQuestion = question) -> Response:
        """Have the worker remove forgotten series and their samples."""
        require(caller)
        with plain_errors(service.settings):
            async with leader().acquire() as conn:
                made = await stored.add_purge(
                    conn,
                    site,
                    str(ULID()),
                    who=caller.principal,
                    why=body.reason,
                    selectors=body.selectors,
                    takes=_takes(body.selectors),
                    paths=body.series,
                )
        said = answer(made, status=202)
        said.headers["location"] = f"/v1/sites/{site}/purges/{made.id}"
        return said

    @app.get(base + "/purges")
    async def listing(limit: Annotated[int, Query(ge=1, le=stored.MOST_LISTED)] = 50) -> Response:
        """Purges, the newest first."""
        async with service.connection() as conn:
            return answer(Purges(purges=await stored.list_purges(conn, site, limit=limit)))

    @app.get(base + "/purges/{purge}")
    async def one(purge: PurgeId) -> Response:
        """One purge: how far it is."""
        async with service.connection() as conn:
            found = await stored.find_purge(conn, site, purge)
        if found is None:
            raise NexusError(f"There is no purge '{purge}'.", code="NX4145")
        return answer(found)


def _takes(selectors: Sequence[str]) -> Callable[[str], bool]:
    return lambda path: any(matches_glob(glob, path) for glob in selectors)
