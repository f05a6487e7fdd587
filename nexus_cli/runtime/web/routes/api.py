"""The HTTP of the role web, behind its guard."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import ASGIApp

from nexus_cli import __version__
from nexus_cli.runtime.api.compression import Compression
from nexus_cli.runtime.api.decisions import BASE
from nexus_cli.runtime.api.failures import FAILURE, add_handlers
from nexus_cli.runtime.api.request_guard import RequestGuard
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.environment.routes import add_environment_routes
from nexus_cli.runtime.web.i3x.commanding import CommandSender
from nexus_cli.runtime.web.i3x.envelopes import BASE as I3X
from nexus_cli.runtime.web.i3x.problem_answers import ProblemAnswers
from nexus_cli.runtime.web.i3x.routes import add_i3x_routes
from nexus_cli.runtime.web.page.headers import SecureHeaders
from nexus_cli.runtime.web.page.logins import add_session_routes
from nexus_cli.runtime.web.page.serving import add_file_routes
from nexus_cli.runtime.web.page.sessions import SessionDoor
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.procedures.routes import add_procedure_routes
from nexus_cli.runtime.web.rest.routes import add_rest_routes
from nexus_cli.runtime.web.routes.forwarding import add_forwarded_routes
from nexus_cli.runtime.web.routes.rights import DECISIONS
from nexus_cli.runtime.web.routes.single_reads import SingleReads
from nexus_cli.runtime.web.routes.steering import add_steering_routes
from nexus_cli.runtime.web.routes.values import add_value_routes
from nexus_cli.runtime.web.socket.sockets import SOCKET_PATH, Sockets
from nexus_cli.runtime.web.steering.commands import send_command
from nexus_cli.wire.command import Response
from nexus_cli.wire.sample import Value


def make_api(
    parts: WebParts,
    *,
    health: Sequence[BaseRoute],
    sockets: Sockets | None = None,
    send: CommandSender | None = None,
) -> ASGIApp:
    """Every route, with those of the health, and the WebSocket where there is one.

    Args:
        parts: Of this web.
        health: Routes of the health.
        sockets: The WebSocket.
        send: Instead of commands over the broker, for what clients of i3X write.
    """
    app = FastAPI(
        title="NEXUS web",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        responses={"default": FAILURE},
        routes=list(health),
    )
    add_handlers(app, parts.refusals)
    add_value_routes(app, base=BASE, parts=parts)
    add_procedure_routes(app, base=BASE, parts=parts)
    add_rest_routes(app, base=BASE, parts=parts)
    if sockets is not None:
        app.routes.append(WebSocketRoute(BASE + SOCKET_PATH, sockets.endpoint))
    add_session_routes(app, base=BASE, parts=parts)
    add_file_routes(app, site=parts.settings.site)
    add_environment_routes(app, base=BASE, parts=parts)
    add_steering_routes(app, base=BASE, parts=parts)
    add_forwarded_routes(app, parts=parts)
    parts.jobs["i3x"] = add_i3x_routes(app, parts, send=send or _commands_of(parts)).run
    guard = RequestGuard(
        SingleReads(app, parts=parts),
        site=parts.settings.site,
        decisions=DECISIONS,
        gate=parts.callers,
        refusals=parts.refusals,
        stopping=parts.stopping,
        latency=parts.latencies["api"],
    )
    return Compression(SecureHeaders(SessionDoor(ProblemAnswers(guard))), below=(f"{I3X}/",))


def _commands_of(parts: WebParts) -> CommandSender:
    async def send(caller: Caller, path: str, value: Value, *, reason: str) -> Response:
        return await send_command(parts, caller, path=path, value=value, reason=reason)

    return send
