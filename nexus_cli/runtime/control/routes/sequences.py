"""Routes that start, show and abort sequences, and publish messages; for NEXUS's own principals and for users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, FastAPI, Path, Query, Response

from nexus_cli.runtime.api.bodies import answer, documented, reader
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.control.sequences.record import Runs
from nexus_cli.runtime.control.sequences.sequencing import Sequencing
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.identity.principals import named, require
from nexus_cli.wire.control_sequences import DeclaredMessage, PublishRequest, RunRequest, Sequences

Name = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")]


def add_sequence_routes(
    app: FastAPI,
    *,
    base: str,
    runs: Runs,
    acting: Callable[[], Sequencing],
) -> None:
    """Add the routes; callers that may deploy may run each sequence, a declared user those of its roles
    (`principals`)."""
    run_request = Depends(reader(RunRequest))

    def may_see(caller: Caller, name: str) -> None:
        if not caller.may("state:read"):
            require(caller, "run", name)

    @app.get(base + "/sequences")
    async def sequences(caller: Caller = CALLING) -> Response:
        found = await runs.listing()
        if not caller.may("state:read"):
            names = [*(one.name for one in found.sequences), *(one.name for one in found.runs)]
            mine = named(caller, "run", names)
            found = Sequences(
                sequences=[one for one in found.sequences if one.name in mine],
                runs=[one for one in found.runs if one.name in mine],
            )
        return answer(found)

    @app.get(base + "/sequences/{name}")
    async def sequence(name: Name, caller: Caller = CALLING) -> Response:
        may_see(caller, name)
        return answer(await runs.brief(name))

    @app.post(base + "/sequences/{name}/runs", status_code=202, openapi_extra=documented(RunRequest))
    async def start(name: Name, caller: Caller = CALLING, body: RunRequest = run_request) -> Response:
        require(caller, "run", name)
        found = await acting().start(
            name,
            run_id=body.run,
            who=caller.principal,
            reason=body.reason,
            given=body.set or {},
            agreed=body.agreed or "",
        )
        return answer(found, status=202)

    @app.get(base + "/runs/{run}")
    async def run_of(
        run: Name,
        after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
        wait: Annotated[float, Query(ge=0, le=25, allow_inf_nan=False)] = 0,
        caller: Caller = CALLING,
    ) -> Response:
        may_see(caller, await runs.name_of(run))
        return answer(await runs.status(run, after=after, wait_s=wait))

    @app.post(base + "/runs/{run}/abort")
    async def abort(run: Name, caller: Caller = CALLING) -> Response:
        require(caller, "run", await runs.name_of(run))
        return answer(await acting().abort(run, who=caller.principal))

    _add_message_routes(app, base=base, runs=runs, acting=acting)


def _add_message_routes(
    app: FastAPI,
    *,
    base: str,
    runs: Runs,
    acting: Callable[[], Sequencing],
) -> None:
    publish_request = Depends(reader(PublishRequest))

    @app.get(base + "/messages/{name}")
    async def message(name: Name, caller: Caller = CALLING) -> Response:
        if not caller.may("state:read"):
            require(caller, "publish", name)
        return answer(DeclaredMessage(message=await runs.message(name)))

    @app.post(base + "/messages/{name}", openapi_extra=documented(PublishRequest))
    async def publish(name: Name, caller: Caller = CALLING, body: PublishRequest = publish_request) -> Response:
        require(caller, "publish", name)
        return answer(await acting().publish(name, body.set, who=caller.principal))
