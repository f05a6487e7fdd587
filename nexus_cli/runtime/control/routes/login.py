"""Routes of logins, and of the caller itself."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Depends, FastAPI, Request, Response

from nexus_cli.database.connect import Pool
from nexus_cli.runtime.api.bodies import answer, documented, reader
from nexus_cli.runtime.api.calling import CALLING, address_of
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.identity.identities import Identities
from nexus_cli.wire.control_access import Identity, LoginRequest, OidcLoginRequest, Revoked


def add_login_routes(app: FastAPI, *, base: str, identity: Identities, leader: Callable[[], Pool]) -> None:
    """Add them; `leader` gives the pool of a control that leads, or raises NexusError NX6408."""
    logins = identity.logins
    login_request, oidc_request = Depends(reader(LoginRequest)), Depends(reader(OidcLoginRequest))

    @app.post(base + "/login", openapi_extra=documented(LoginRequest))
    async def login(request: Request, body: LoginRequest = login_request) -> Response:
        address = address_of(request.scope)
        return answer(await logins.password(body.user, body.password, address=address, leader=leader()))

    @app.get(base + "/login/oidc")
    async def provider() -> Response:
        return answer(await logins.describe_provider())

    @app.post(base + "/login/oidc", openapi_extra=documented(OidcLoginRequest))
    async def oidc(request: Request, body: OidcLoginRequest = oidc_request) -> Response:
        return answer(await logins.oidc(body.token, address=address_of(request.scope), leader=leader()))

    @app.post(base + "/logout")
    async def logout(caller: Caller = CALLING) -> Response:
        return answer(Revoked(revoked=await identity.accounts.logout(caller, leader=leader())))

    @app.get(base + "/identity")
    async def who_am_i(caller: Caller = CALLING) -> Response:
        held = caller.held
        return answer(
            Identity(
                principal=caller.principal,
                kind=held.kind,
                roles=list(held.roles),
                scopes=sorted(caller.scopes),
                expires=caller.expires,
            )
        )
