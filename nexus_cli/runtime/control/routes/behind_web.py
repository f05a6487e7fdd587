"""The client's address of requests that a web passes on, see `wire.relayed`."""

from __future__ import annotations

import ipaddress

from starlette.types import ASGIApp, Receive, Scope, Send

from nexus_cli.access.grants import WEB
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.identity.auth import Tokens
from nexus_cli.wire.relayed import ADDRESS, LONGEST_ADDRESS, VOUCHER

_HEADERS = (ADDRESS.encode(), VOUCHER.encode())


class BehindWeb:
    """An ASGI middleware: what is behind it sees the address that web vouches for, and neither of the headers."""

    def __init__(self, app: ASGIApp, *, tokens: Tokens) -> None:
        """Guard an application; `tokens` knows web's own."""
        self._app, self._tokens = app, tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = scope.get("headers", ())
        said = [(name, value.decode("latin-1")) for name, value in headers if name in _HEADERS]
        if said:
            kept = [each for each in headers if each[0] not in _HEADERS]
            scope = {**scope, "headers": kept}
            if (address := self._vouched(said)) is not None:
                scope["client"] = (address, 0)
        await self._app(scope, receive, send)

    def _vouched(self, said: list[tuple[bytes, str]]) -> str | None:
        """The address; None when it is no address, or not web says so."""
        found = dict(said)
        address = found.get(_HEADERS[0], "")
        if len(said) != len(_HEADERS) or len(found) != len(_HEADERS) or len(address) > LONGEST_ADDRESS:
            return None
        try:
            ipaddress.ip_address(address.partition("%")[0])
            caller = self._tokens.caller(f"Bearer {found[_HEADERS[1]]}")
        except (ValueError, NexusError):
            return None
        return address if caller.principal == WEB else None
