"""Routes that start, show and abort sequences, and publish messages; for NEXUS's own principals and for users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from nexus_cli.runtime.control.auth import Caller
from nexus_cli.runtime.control.principals import Principals
from nexus_cli.runtime.control.sequences.record import Runs
from nexus_cli.runtime.control.sequences.sequencing import Sequencing

Name = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")]


class StartBody(BaseModel):
    """A run to start."""

    model_config = ConfigDict(extra="forbid")

    run: str = Field(min_length=1, max_length=100)
    reason: str = Field(default="", max_length=500, pattern=r"^[^\x00]*$")
    agreed: str = Field(default="", max_length=100)
    """Digest of what the caller was shown (`plan.running.agreement`); "" for none."""
    set: dict[str, bool | int | float | str] = Field(default_factory=dict, max_length=100)


class PublishBody(BaseModel):
    """A message to publish: its fields, typed by its schema."""

    model_config = ConfigDict(extra="forbid")

    set: dict[str, Any] = Field(default_factory=dict, max_length=1000)


def add_sequence_routes(
    app: FastAPI,
    *,
    base: str,
    runs: Runs,
    acting: Callable[[], Sequencing],
    principals: Principals,
    may: Callable[[Callable[[Caller], bool]], Any],
) -> None:
    """Add the routes; callers that may deploy may run each sequence, a declared user those of its roles
    (`principals`)."""
    anybody = may(lambda caller: not caller.gateway)

    async def may_see(caller: Caller, name: str) -> None:
        if not caller.may_read:
            await principals.require(caller, "run", name)

    @app.get(base + "/sequences")
    async def sequences(caller: Caller = anybody) -> Response:
        found = await runs.listing()
        if not caller.may_read:
            mine = await principals.named(caller, "run", {one["name"] for part in found.values() for one in part})
            found = {key: [one for one in part if one["name"] in mine] for key, part in found.items()}
        return _answer(found)

    @app.get(base + "/sequences/{name}")
    async def sequence(name: Name, caller: Caller = anybody) -> Response:
        await may_see(caller, name)
        return _answer(await runs.brief(name))

    @app.post(base + "/sequences/{name}/runs", status_code=202)
    async def start(name: Name, body: StartBody, caller: Caller = anybody) -> Response:
        await principals.require(caller, "run", name)
        found = await acting().start(
            name, run_id=body.run, who=caller.principal, reason=body.reason, given=body.set, agreed=body.agreed
        )
        return _answer(found, status=202)

    @app.get(base + "/runs/{run}")
    async def run_of(
        run: Name,
        after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
        wait: Annotated[float, Query(ge=0, le=25, allow_inf_nan=False)] = 0,
        caller: Caller = anybody,
    ) -> Response:
        await may_see(caller, await runs.name_of(run))
        return _answer(await runs.status(run, after=after, wait_s=wait))

    @app.post(base + "/runs/{run}/abort")
    async def abort(run: Name, caller: Caller = anybody) -> Response:
        await principals.require(caller, "run", await runs.name_of(run))
        return _answer(await acting().abort(run, who=caller.principal))

    @app.get(base + "/messages/{name}")
    async def message(name: Name, caller: Caller = anybody) -> Response:
        if not caller.may_read:
            await principals.require(caller, "publish", name)
        return _answer({"message": await runs.message(name)})

    @app.post(base + "/messages/{name}")
    async def publish(name: Name, body: PublishBody, caller: Caller = anybody) -> Response:
        await principals.require(caller, "publish", name)
        return _answer(await acting().publish(name, body.set, who=caller.principal))


def _answer(data: object, *, status: int = 200) -> Response:
    return Response(orjson.dumps(data), status_code=status, media_type="application/json")
