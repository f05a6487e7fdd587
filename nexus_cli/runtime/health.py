"""Health of a role: over HTTP for machines nearby, retained on the broker (with a last will) for everyone else."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Protocol

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from nexus_cli import __version__
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime import http_tls
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.http_guard import BACKLOG, MOST_CONNECTIONS, GuardedProtocol, allow_files, limited
from nexus_cli.runtime.lifecycle import tasks, wait_for
from nexus_cli.runtime.metrics import Metrics
from nexus_cli.runtime.socket_guard import LARGEST_MESSAGE, PING_S, GuardedSocket
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.health import Health, LastWill, encode

KEPT_S = 30
"""How long a connection stays open between two requests, in seconds. Where connections are scarce, room is made before."""
PERIOD_S = 10.0
"""How often health is published when nothing changed, in seconds."""


class RoleState(Protocol):
    """The interface of a role for its HTTP server."""

    metrics: Metrics

    def ready(self) -> tuple[bool, str]:
        """True when the role does its work, and why not otherwise."""
        ...

    def status(self) -> Health:
        """Everything worth seeing, without secrets."""
        ...


def health_routes(state: RoleState) -> list[Route]:
    """The routes every role answers: `/health/live`, `/health/ready`, `/metrics`, `/status`."""

    async def live(_: Request) -> Response:
        return JSONResponse({"live": True, "version": __version__})

    async def ready(_: Request) -> Response:
        answer, why = state.ready()
        return JSONResponse({"ready": answer, "detail": why}, status_code=200 if answer else 503)

    async def metrics(_: Request) -> Response:
        return Response(state.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def status(_: Request) -> Response:
        return Response(encode(state.status()), media_type="application/json")

    return [
        Route("/health/live", live),
        Route("/health/ready", ready),
        Route("/metrics", metrics),
        Route("/status", status),
    ]


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: the role's lifecycle has them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serve_http(
    state: RoleState,
    *,
    host: str,
    port: int,
    app: ASGIApp | None = None,
    settings: Settings | None = None,
    connections: int = 0,
) -> AsyncIterator[int]:
    """Serve a role's HTTP while the block runs; gives the port that was bound.

    Args:
        state: Whom to ask.
        host: Address to listen on.
        port: 0 picks a free one.
        app: Instead of the health routes alone (control's API, which includes them).
        settings: Certificate and key of HTTP; left out, there are none.
        connections: Limit of open ones; 0 for `http_guard.MOST_CONNECTIONS`.

    Raises:
        NexusError: NX6003 the port is taken or not allowed, NX6031 other machines would be served without TLS, NX6040 the
            certificate can't be used.
    """
    known = settings or Settings()
    context = http_tls.server_context(known, host)
    listener = _listen(host, port)
    http_tls.show_expiries(state.metrics, known)
    config = uvicorn.Config(
        app or Starlette(routes=health_routes(state)),
        log_config=None,
        access_log=False,
        lifespan="off" if app is None else "auto",
        timeout_graceful_shutdown=2,
        timeout_keep_alive=KEPT_S,
        server_header=False,
        proxy_headers=False,  # a client would choose the address that the throttle and the audit trail see
        http=limited(allow_files(connections)) if connections > MOST_CONNECTIONS else GuardedProtocol,
        ws=GuardedSocket,
        ws_max_size=LARGEST_MESSAGE,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        ws_per_message_deflate=False,  # a compressor for each client would cost more than what it saves
        backlog=BACKLOG,
    )
    config.load()
    config.ssl = context
    server = _Server(config)
    async with tasks("http") as group:
        group.create_task(server.serve(sockets=[listener]), name="http")
        ended = asyncio.Event()
        if context is not None:
            group.create_task(http_tls.follow(context, known, ended), name="certificate")
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            ended.set()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only on sockets whose protocol says TCP; without it each answer waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise NexusError(
            f"The health port {host}:{port} can't be opened.",
            code="NX6003",
            cause=str(error),
        ) from None
    return listener


class HealthReporter:
    """Publishes a role's health, retained, on change and every few seconds; the broker publishes `lost` for us."""

    def __init__(
        self,
        *,
        client: BrokerClient,
        topic: str,
        role: str,
        name: str,
        clock: Clock,
        details: Callable[[], Health],
        period_s: float = PERIOD_S,
        waiting: Callable[[], bool] = lambda: False,
    ) -> None:
        """Report on `topic`; `details` gives the role's own facts (no secrets).

        While `waiting` says so another process has the name: what is published then is not retained, so that it does not
        lie over the health of that one.
        """
        self._waiting = waiting
        self._client, self._topic, self._role, self._name = client, topic, role, name
        self._clock, self._details, self._period_s = clock, details, period_s
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Something worth a report happened: publish soon (at most about four times a second)."""
        self._changed.set()

    def payload(self, state: str) -> bytes:
        """The health message for `running`, `waiting` or `stopping`."""
        return encode(
            msgspec.structs.replace(
                self._details(),
                state=state,
                time=self._clock.now_us(),
                version=__version__,
                role=self._role,
                name=self._name,
            )
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until stopped; then say `stopping` once."""
        while not stop.is_set():
            self._changed.clear()
            await self.say()
            await self._pause(stop)
        await self._publish("stopping")

    async def say(self) -> None:
        """Publish now how the role is."""
        await self._publish("waiting" if self._waiting() else "running")

    async def _pause(self, stop: asyncio.Event) -> None:
        """Wait for a change, the stop or the period, but at least a quarter of a second unless stopped."""
        await wait_for(stop, timeout_s=0.25)
        loop = asyncio.get_running_loop()
        until = loop.time() + self._period_s
        while not stop.is_set() and not self._changed.is_set() and loop.time() < until:
            await wait_for(self._changed, timeout_s=0.25)

    async def _publish(self, state: str) -> None:
        with contextlib.suppress(NexusError, TimeoutError):
            async with asyncio.timeout(2.0):
                await self._client.publish(self._topic, self.payload(state), qos=1, retain=not self._waiting())


def lost_payload(*, role: str, name: str, instance: str = "") -> bytes:
    """The last will on the health topic; `instance` is the process of this name that was lost."""
    return encode(LastWill(state="lost", version=__version__, role=role, name=name, instance=instance or msgspec.UNSET))
