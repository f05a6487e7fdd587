"""The routes of the API about rollouts; 0 is the newest one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, FastAPI, Path, Query, Response

from nexus_cli.runtime.api.bodies import answer, documented, reader
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.control.covering import covered_by
from nexus_cli.runtime.control.rolling_out import RollingOut, RollingParts
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.wire.control_rollouts import RolloutNote

Number = Annotated[int, Path(ge=0, lt=2**31)]


def add_rollout_routes(app: FastAPI, *, base: str, rolling: RollingOut, acting: Callable[[], RollingParts]) -> None:
    """Add them; `acting` gives the parts of a control that leads, and raises NexusError NX6408 in a standby."""
    note = Depends(reader(RolloutNote, without=RolloutNote()))

    @app.get(base + "/rollouts")
    async def listing(limit: Annotated[int, Query(ge=1, le=1000)] = 50) -> Response:
        return answer(await rolling.listing(limit=limit))

    @app.get(base + "/rollouts/{number}")
    async def one(
        number: Number,
        state: Annotated[str, Query(max_length=40, pattern=r"^[a-z0-9/-]*$")] = "",
        wait: Annotated[float, Query(ge=0, le=25, allow_inf_nan=False)] = 0,
    ) -> Response:
        return answer(await rolling.one(number, state=state, wait_s=wait))

    @app.post(base + "/rollouts/{number}/stop", openapi_extra=documented(RolloutNote))
    async def stop(number: Number, body: RolloutNote = note, caller: Caller = CALLING) -> Response:
        return answer(
            await rolling.stop(acting(), number, who=caller.principal, reason=body.reason, within=covered_by(caller))
        )

    @app.post(base + "/rollouts/{number}/resume", status_code=202, openapi_extra=documented(RolloutNote))
    async def resume(number: Number, body: RolloutNote = note, caller: Caller = CALLING) -> Response:
        made = await rolling.resume(
            acting(), number, who=caller.principal, reason=body.reason, within=covered_by(caller)
        )
        return answer(made, status=202)

    @app.post(base + "/rollouts/{number}/rollback", status_code=202, openapi_extra=documented(RolloutNote))
    async def take_back(number: Number, body: RolloutNote = note, caller: Caller = CALLING) -> Response:
        made = await rolling.take_back(
            acting(), number, who=caller.principal, reason=body.reason, within=covered_by(caller)
        )
        return answer(made, status=202)
