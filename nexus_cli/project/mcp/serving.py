"""How the server is reached: over its standard input and output, or over HTTP."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.mcp.asking import Asking, bearer
from nexus_cli.project.mcp.server import make_server
from nexus_cli.runtime.health import serve_http as serve_role
from nexus_cli.runtime.http_tls import is_loopback
from nexus_cli.runtime.lifecycle import stop_on_signals
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.metrics import Metrics
from nexus_cli.wire.health import Health

PATH = "/mcp"
LARGEST_REQUEST = 256 * 1024
"""Bytes of a request."""
EVERYWHERE = ("0.0.0.0", "::", "")

_log = logging.getLogger("nexus.mcp")


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int


class _State:
    """What the HTTP server of a role asks for."""

    def __init__(self) -> None:
        self.metrics = Metrics()

    def ready(self) -> tuple[bool, str]:
        return True, ""

    def status(self) -> Health:
        return Health(state="running")


class TokenGuard:
    """Lets only requests in that show a token: whose it is, and what it may do, web says at each call."""

    def __init__(self, app: ASGIApp) -> None:
        """Guard an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; 401 without a token."""
        if scope["type"] == "http" and not bearer(Headers(scope=scope)):
            refused = JSONResponse(
                {"code": "NX6948", "message": "It is not known who asks: show Authorization: Bearer TOKEN."},
                status_code=401,
                headers={"www-authenticate": 'Bearer realm="nexus"'},
            )
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send)


async def serve_stdio(asking: Asking, *, writable: Sequence[str]) -> None:
    """Serve one client until it closes our standard input."""
    async with asking.door:
        await make_server(asking, writable=writable).run_stdio_async()


async def serve_http(asking: Asking, *, address: str, hosts: Sequence[str], writable: Sequence[str]) -> None:
    """Serve any number of clients at `/mcp` until a signal to stop.

    Args:
        asking: With callers over HTTP.
        address: `HOST:PORT`.
        hosts: Names under which clients reach the host, beside it.
        writable: Globs of paths that may be written.

    Raises:
        NexusError: NX6949 the address is none, or its names are not known; NX6031 other machines would be served without
            TLS; NX6003 the port is taken.
    """
    where = address_of(address)
    names = names_of(where.host, hosts)
    server = make_server(asking, writable=writable)
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,  # a session would outlive the token that began it
        max_request_body_size=LARGEST_REQUEST,
        transport_security=protection(names),
        host=where.host,
    )
    async with (
        asking.door,
        stop_on_signals() as stop,
        serve_role(_State(), host=where.host, port=where.port, app=TokenGuard(app), settings=asking.settings) as port,
    ):
        scheme = "https" if asking.settings.http_cert else "http"
        event(_log, "mcp listens", url=f"{scheme}://{names[0]}:{port}{PATH}", write=list(writable))
        await stop.wait()


def address_of(text: str) -> Address:
    """`HOST:PORT`; an IPv6 address in brackets. Raises NexusError NX6949."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdecimal() and int(port) < 65_536):
        raise NexusError(f"'{text}' is not HOST:PORT.", code="NX6949")
    return Address(host, int(port))


def names_of(host: str, hosts: Sequence[str]) -> list[str]:
    """The names under which requests are taken, as a URL has them. Raises NexusError NX6949."""
    own = [] if host in EVERYWHERE else [f"[{host}]" if ":" in host else host]
    if is_loopback(host):
        own += ["127.0.0.1", "localhost", "[::1]"]
    names = list(dict.fromkeys([*own, *hosts]))
    if not names:
        raise NexusError(f"It is not known under which name clients reach {host}.", code="NX6949")
    return names


def protection(names: Sequence[str]) -> TransportSecuritySettings:
    """The package's protection against DNS rebinding: Host and, where a browser asks, Origin must be one of these names."""
    ports = [form for name in names for form in (name, f"{name}:*")]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=ports,
        allowed_origins=[f"{scheme}://{each}" for each in ports for scheme in ("http", "https")],
    )
