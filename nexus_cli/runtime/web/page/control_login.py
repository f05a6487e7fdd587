"""What the page's logins ask of control."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request

from nexus_cli.runtime.api.calling import address_of
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.wire.control_access import OidcProvider, Session
from nexus_cli.wire.http_access import AccessClient


async def control_login(parts: WebParts, request: Request, path: str, body: Mapping[str, str]) -> Session:
    """A session that control makes; raises NexusError as control refuses, NX6400 without an answer.

    Args:
        parts: Of this web.
        request: Of the browser; control counts failures by its address.
        path: `/login` or `/login/oidc`.
        body: As these routes want it.
    """
    async with AccessClient(parts.settings, relays=address_of(request.scope)) as control:
        if path == "/login":
            return await control.login(body["user"], body["password"])
        return await control.login_oidc(body["token"])


async def control_provider(parts: WebParts, request: Request) -> OidcProvider:
    """The OpenID provider of the site; raises NexusError NX6418 none, NX6420 it is away, NX6400 control is."""
    async with AccessClient(parts.settings, relays=address_of(request.scope)) as control:
        return await control.oidc_provider()
