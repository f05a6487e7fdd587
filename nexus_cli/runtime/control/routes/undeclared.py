"""Routes of series that no site declares: what there is, and what becomes of it, for administrators alone."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Depends, FastAPI, Response

from nexus_cli.database import undeclared as stored
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.runtime.api.bodies import answer, documented, reader
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.control.service import Service
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.identity.principals import require_admin
from nexus_cli.wire.control_undeclared import SettleQuestion, UndeclaredList, UndeclaredQuestion


def add_undeclared_routes(app: FastAPI, *, base: str, service: Service, leader: Callable[[], Pool]) -> None:
    """Add them; `leader` raises NexusError NX6408 in a standby."""
    page, question, site = Depends(reader(UndeclaredQuestion)), Depends(reader(SettleQuestion)), service.site

    def require(caller: Caller) -> None:
        what = "see and settle series that no site declares"
        require_admin(caller, what, why="no path of `apply` covers what is not declared")

    @app.post(base + "/series/undeclared", openapi_extra=documented(UndeclaredQuestion))
    async def undeclared(caller: Caller = CALLING, body: UndeclaredQuestion = page) -> Response:
        """Series of this site that the recorded state does not declare, with their samples; nothing is changed."""
        require(caller)
        async with service.connection() as conn:
            if body.targets:
                return answer(UndeclaredList(series=[], taken=await stored.taken(conn, site, body.targets)))
            return answer(await stored.undeclared(conn, site, after=body.after))

    @app.post(base + "/series/settle", openapi_extra=documented(SettleQuestion))
    async def settle(caller: Caller = CALLING, body: SettleQuestion = question) -> Response:
        """Forget or protect series, all of it or nothing; no sample is removed."""
        require(caller)
        with plain_errors(service.settings):
            async with leader().acquire() as conn:
                return answer(
                    await stored.settle(conn, site, wanted=body.series, who=caller.principal, why=body.reason)
                )
