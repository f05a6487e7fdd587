"""The routes of the API that confirm, roll back and resume deployments, and give former states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, FastAPI, Path, Query, Response

from nexus_cli.runtime.api.bodies import answer, documented, reader
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.control.covering import covered_by
from nexus_cli.runtime.control.service import LeaderParts
from nexus_cli.runtime.control.undoing import Undoing
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.wire.control import Accepted
from nexus_cli.wire.control_undo import Confirmed, UndoRequest

Number = Annotated[int, Path(ge=0, lt=2**31)]


def add_undo_routes(app: FastAPI, *, base: str, undoing: Undoing, acting: Callable[[], LeaderParts]) -> None:
    """Add them; `acting` gives the parts of a control that leads, and raises NexusError NX6408 in a standby."""
    asked = Depends(reader(UndoRequest, without=UndoRequest()))

    @app.get(base + "/deployments/{number}/rollback")
    async def rollback_plan(number: Number, to: Annotated[bool, Query()] = False) -> Response:
        return answer(await undoing.plan(number, to=to))

    @app.get(base + "/deployments/{number}/state")
    async def former(number: Number) -> Response:
        return answer(await undoing.state_after(number))

    @app.post(base + "/deployments/{number}/confirm", openapi_extra=documented(UndoRequest))
    async def confirm(number: Number, body: UndoRequest = asked, caller: Caller = CALLING) -> Response:
        made = await undoing.confirm(acting(), number, who=caller.principal, within=covered_by(caller))
        return answer(Confirmed(number=made))

    @app.post(base + "/deployments/{number}/rollback", status_code=202, openapi_extra=documented(UndoRequest))
    async def roll_back(number: Number, body: UndoRequest = asked, caller: Caller = CALLING) -> Response:
        reason = body.reason or f"{caller.principal} took deployment {number} back before it was confirmed"
        made = await undoing.roll_back(acting(), number, who=caller.principal, reason=reason, within=covered_by(caller))
        return answer(Accepted(number=made), status=202)

    @app.post(base + "/deployments/{number}/resume", status_code=202, openapi_extra=documented(UndoRequest))
    async def resume(number: Number, body: UndoRequest = asked, caller: Caller = CALLING) -> Response:
        made = await undoing.resume(
            acting(), number, who=caller.principal, reason=body.reason, within=covered_by(caller)
        )
        return answer(Accepted(number=made), status=202)
