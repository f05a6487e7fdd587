"""Routes of the page's sessions: control makes and revokes them, web keeps the cookie."""

from __future__ import annotations

import dataclasses

from fastapi import Depends, FastAPI, Request, Response

from nexus_cli import __version__
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.api.bodies import answer, documented, reader
from nexus_cli.runtime.api.calling import CALLING
from nexus_cli.runtime.api.decisions import LOGIN_BODY, Decision, open_route, route
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.page import oidc
from nexus_cli.runtime.web.page.control_login import control_login
from nexus_cli.runtime.web.page.sessions import end_session, require_own_page, start_session
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.wire.control_access import LoginRequest, Session
from nexus_cli.wire.http_access import AccessClient
from nexus_cli.wire.web_session import LoginWays, PageSession, SessionEnded

DECISIONS: tuple[Decision, ...] = (
    open_route("GET", "/session/ways"),
    open_route("POST", "/session", limit=LOGIN_BODY),
    open_route("DELETE", "/session"),
    route("GET", "/session"),
    *oidc.DECISIONS,
)
LOGIN_KIND = "login.api"


def add_session_routes(app: FastAPI, *, base: str, parts: WebParts) -> None:
    """Add them."""
    oidc.add_oidc_routes(app, base=base, parts=parts)
    request_body, site = Depends(reader(LoginRequest)), parts.settings.site

    @app.get(base + "/session/ways")
    async def ways(request: Request) -> Response:
        provider = parts.keeper.view.resources.get(LOGIN_KIND, {}).get("oidc") or {}
        session = await _session_of(parts, request.headers.get("authorization", ""))
        return answer(LoginWays(site=site, session=session, oidc=str(provider.get("issuer", "")), version=__version__))

    @app.post(base + "/session", openapi_extra=documented(LoginRequest))
    async def log_in(request: Request, body: LoginRequest = request_body) -> Response:
        require_own_page(request.scope)
        session = await control_login(parts, request, "/login", {"user": body.user, "password": body.password})
        return started(parts, request, session)

    @app.get(base + "/session")
    async def who(caller: Caller = CALLING) -> Response:
        return answer(_shown(site, caller))

    @app.delete(base + "/session")
    async def log_out(request: Request) -> Response:
        require_own_page(request.scope)
        shown = request.headers.get("authorization", "")
        scheme, _, token = shown.partition(" ")
        revoked = False
        if token and scheme.lower() == "bearer":
            settings = dataclasses.replace(parts.settings, control_token=token.strip())
            try:
                async with AccessClient(settings) as control:
                    revoked = await control.logout()
            except NexusError:  # ended already, or control is away: the browser forgets it all the same
                revoked = False
            parts.callers.forget(shown)
        found = answer(SessionEnded(revoked=revoked))
        end_session(found, request.scope, site=site)
        oidc.remember_left(found, request.scope, site=site)
        return found


async def _session_of(parts: WebParts, shown: str) -> PageSession | None:
    """Who shows this; None without a token, or with one that has ended. Raises NexusError NX62xx: it can't be looked up."""
    if not shown:
        return None
    try:
        return _shown(parts.settings.site, await parts.callers.caller(shown))
    except NexusError as error:
        if error.code.startswith("NX62"):
            raise
        return None


def started(parts: WebParts, request: Request, session: Session) -> Response:
    """The answer of a login: the token is in the cookie alone."""
    found = answer(
        PageSession(
            site=parts.settings.site,
            user=session.principal,
            kind="user",
            roles=session.roles,
            expires=session.expires,
        )
    )
    seconds = (session.expires - parts.clock.wall_us()) // 1_000_000
    start_session(found, request.scope, site=parts.settings.site, token=session.token, seconds=seconds)
    return found


def _shown(site: str, caller: Caller) -> PageSession:
    return PageSession(
        site=site,
        user=caller.principal,
        kind=caller.held.kind,
        roles=list(caller.held.roles),
        scopes=sorted(caller.scopes),
        expires=caller.expires,
    )
