"""Routes of the API that start sequences and show how they went."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from nexus_cli.runtime.control.auth import Caller
from nexus_cli.runtime.control.sequencing import Runs, Sequencing

Name = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")]


class StartBody(BaseModel):
    """A run to begin."""

    model_config = ConfigDict(extra="forbid")

    run: str = Field(min_length=1, max_length=100)
    reason: str = Field(default="", max_length=500, pattern=r"^[^\x00]*$")
    agreed: str = Field(default="", max_length=100)
    """What the caller was shown (`plan.running.agreement`); "" is nothing."""
    set: dict[str, bool | int | float | str] = Field(default_factory=dict, max_length=100)


def add_sequence_routes(
    app: FastAPI,
    *,
    base: str,
    runs: Runs,
    acting: Callable[[], Sequencing],
    may: Callable[[Callable[[Caller], bool]], Any],
) -> None:
    """Add them; who may deploy may run sequences, at the control that leads (`acting`)."""
    reader, actor = may(lambda caller: caller.may_read), may(lambda caller: caller.may_deploy)

    @app.get(base + "/sequences", dependencies=[reader])
    async def sequences() -> Response:
        return _answer(await runs.listing())

    @app.post(base + "/sequences/{name}/runs", status_code=202)
    async def start(name: Name, body: StartBody, caller: Caller = actor) -> Response:
        found = await acting().start(
            name, run_id=body.run, who=caller.principal, reason=body.reason, given=body.set, agreed=body.agreed
        )
        return _answer(found, status=202)

    @app.get(base + "/runs/{run}", dependencies=[reader])
    async def run_of(
        run: Name,
        after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
        wait: Annotated[float, Query(ge=0, le=25, allow_inf_nan=False)] = 0,
    ) -> Response:
        return _answer(await runs.status(run, after=after, wait_s=wait))

    @app.post(base + "/runs/{run}/abort")
    async def abort(run: Name, caller: Caller = actor) -> Response:
        return _answer(await acting().abort(run, who=caller.principal))


def _answer(data: object, *, status: int = 200) -> Response:
    return Response(orjson.dumps(data), status_code=status, media_type="application/json")
