"""Routes of tokens, passwords and elevation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, FastAPI, Path, Query, Response

from nexus_cli.database.connect import Pool
from nexus_cli.runtime.api.bodies import answer, documented, reader
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.identity.accounts import Accounts
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.wire.control_access import (
    ElevationEnded,
    ElevationRequest,
    Elevations,
    NewPasswords,
    Revoked,
    RotateRequest,
    TokenList,
    TokenRequest,
)

Id = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9]+$")]
Text = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]


def add_access_routes(app: FastAPI, *, base: str, accounts: Accounts, leader: Callable[[], Pool]) -> None:
    """Add them; `leader` gives the pool of a control that leads, or raises NexusError NX6408."""
    _add_token_routes(app, base=base, accounts=accounts, leader=leader)
    elevation_request, rotate_request = Depends(reader(ElevationRequest)), Depends(reader(RotateRequest))

    @app.get(base + "/access")
    async def access() -> Response:
        return answer(await accounts.overview())

    @app.get(base + "/access/elevations")
    async def elevations() -> Response:
        return answer(Elevations(elevations=await accounts.elevations()))

    @app.post(base + "/access/elevations", status_code=201, openapi_extra=documented(ElevationRequest))
    async def elevate(caller: Caller = CALLING, body: ElevationRequest = elevation_request) -> Response:
        made = await accounts.elevate(
            body.user, for_s=body.for_s, reason=body.reason, by=caller.principal, leader=leader()
        )
        return answer(made, status=201)

    @app.delete(base + "/access/elevations/{elevation_id}")
    async def end_elevation(elevation_id: Id, caller: Caller = CALLING) -> Response:
        ended = await accounts.end_elevation(elevation_id, by=caller.principal, leader=leader())
        return answer(ElevationEnded(ended=ended))

    @app.post(base + "/access/rotate", openapi_extra=documented(RotateRequest))
    async def rotate(caller: Caller = CALLING, body: RotateRequest = rotate_request) -> Response:
        made = await accounts.rotate(body.principals, keep_old_s=body.keep_old_s, by=caller.principal, leader=leader())
        return answer(NewPasswords(passwords=made))

    @app.post(base + "/access/signing-key")
    async def renew_key(caller: Caller = CALLING) -> Response:
        return answer(await accounts.renew_key(by=caller.principal, leader=leader()))


def _add_token_routes(app: FastAPI, *, base: str, accounts: Accounts, leader: Callable[[], Pool]) -> None:
    token_request = Depends(reader(TokenRequest))

    @app.get(base + "/access/tokens")
    async def tokens(principal: Text = "", caller: Caller = CALLING) -> Response:
        return answer(TokenList(tokens=await accounts.tokens(caller, principal=principal)))

    @app.post(base + "/access/tokens", status_code=201, openapi_extra=documented(TokenRequest))
    async def make_token(caller: Caller = CALLING, body: TokenRequest = token_request) -> Response:
        return answer(await accounts.make_token(caller, body, leader=leader()), status=201)

    @app.delete(base + "/access/tokens/{token_id}")
    async def revoke(token_id: Id, caller: Caller = CALLING) -> Response:
        return answer(Revoked(revoked=await accounts.revoke(caller, token_id, leader=leader())))
