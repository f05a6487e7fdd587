"""Limits for requests to control's API: authorisation, size and time of bodies, checked on the head before a body is
read.

A body is read only for a caller whose token allows the route, up to the route's size, within a time limit, and within
the limit for all bodies together. A refused request is answered at once and its body is not kept: what the client still
sends is discarded for some seconds (`http_guard`), since closing the connection with unread data could lose the
response (RFC 9112 §9.6).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.control.auth import Caller, Tokens
from nexus_cli.runtime.control.routes.bodies import answer
from nexus_cli.wire.control import Failure

MIB = 2**20
SMALL_BODY = 64 * 1024
"""Default limit of a body, in bytes."""
LARGE_BODY = 64 * MIB
"""Limit of a deployment, in bytes: a first one of 41,000 tags is about 15 MB."""
NAMES_BODY = 2 * MIB
"""Limit of a list of names, in bytes: 20,000 of them."""
ALL_BODIES = 96 * MIB
"""Limit of all bodies that are being read or answered, in bytes; further requests are asked to retry later."""
PAUSE_S = 10.0
"""Longest pause within a body, in seconds."""
START_S = 20.0
SLOWEST_BYTES_S = 64 * 1024
"""A body must be complete within `START_S` plus its size at this rate."""

OPEN = frozenset({"/health/live", "/health/ready", "/metrics", "/status", "/openapi.json"})
"""Routes that need no token; their bodies are not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteLimit:
    """The limits of a route.

    Attributes:
        limit: Largest body, in bytes.
        allowed: Whether a caller's body is read at all; the route itself checks the caller again.
    """

    limit: int = SMALL_BODY
    allowed: Callable[[Caller], bool] = lambda _: True


_ROUTE_LIMITS: tuple[tuple[re.Pattern[str], RouteLimit], ...] = (
    (re.compile(r"/deployments\Z"), RouteLimit(limit=LARGE_BODY, allowed=lambda caller: caller.may_deploy)),
    (re.compile(r"/resources\Z"), RouteLimit(limit=NAMES_BODY, allowed=lambda caller: caller.may_read)),
    (re.compile(r"/gateways/[^/]*/devices\Z"), RouteLimit(limit=NAMES_BODY)),
)
_PLAIN = RouteLimit()


class Refused(Exception):
    """A refused request, with its response."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self.answer = answer


class RequestGuard:
    """An ASGI middleware.

    Attributes:
        held: Bytes of bodies that are being read or answered.
    """

    def __init__(self, app: ASGIApp, *, tokens: Tokens, stopping: Callable[[], bool]) -> None:
        """Guard an application; `stopping` is True when control is stopping."""
        self._app, self._tokens, self._stopping = app, tokens, stopping
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._enter(scope, receive, sending)
        except Refused as refused:
            await refused.answer(scope, receive, send)
        except asyncio.CancelledError:
            if started or not self._stopping():
                raise
            await _stopping_answer()(scope, receive, send)  # uvicorn ends running requests at a stop

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope.get("path", ""))
        if self._stopping() and path not in OPEN:
            raise Refused(_stopping_answer())
        if path in OPEN:  # no token is needed, so no limit of bodies applies
            await self._app(scope, _replay(b"", receive), send)
            return
        entry = self._limit_of(scope, path)
        announced = _announced(scope)
        if announced is not None and announced > entry.limit:
            raise Refused(_too_large(entry.limit))
        reserved = 0
        try:
            if announced is not None:
                reserved = self._reserve(announced, 0)
            body = bytearray()
            deadline = asyncio.get_running_loop().time() + START_S + (announced or entry.limit) / SLOWEST_BYTES_S
            more = announced != 0
            while more:
                message = await self._next(receive, deadline)
                if message["type"] != "http.request":
                    return  # the client disconnected
                body += message.get("body", b"")
                more = bool(message.get("more_body"))
                if len(body) > entry.limit:
                    raise Refused(_too_large(entry.limit))
                if len(body) > reserved:
                    reserved = self._reserve(len(body), reserved)
            await self._app(scope, _replay(bytes(body), receive), send)
        finally:
            self.held -= reserved

    def _limit_of(self, scope: Scope, path: str) -> RouteLimit:
        """The limit of a route for this caller. Raises Refused without a valid token, or when the caller may not use
        it."""
        shown = [value for name, value in scope["headers"] if name == b"authorization"]
        try:
            caller = self._tokens.caller(shown[0].decode("latin-1") if len(shown) == 1 else None)
        except NexusError as error:
            raise Refused(failure(401, error.code, error.message, hint=error.hint)) from None
        entry = next((entry for pattern, entry in _ROUTE_LIMITS if pattern.search(path)), _PLAIN)
        if scope["method"] != "POST":
            return _PLAIN
        if not entry.allowed(caller):
            raise Refused(
                failure(403, "NX6403", f"{caller.principal} may not do this.", hint="use the token of nexus.cli")
            )
        return entry

    async def _next(self, receive: Receive, deadline: float) -> Message:
        """The next part of a body. Raises Refused when it does not arrive in time."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + PAUSE_S)):
                return await receive()
        except TimeoutError:
            raise Refused(failure(408, "NX6405", "The request did not come in time.")) from None

    def _reserve(self, wanted: int, reserved: int) -> int:
        if self.held - reserved + wanted > ALL_BODIES:
            raise Refused(
                failure(503, "NX6410", "Control reads too many large requests.", hint="try again in some seconds")
            )
        self.held += wanted - reserved
        return wanted


def _announced(scope: Scope) -> int | None:
    """Content-Length; 0 without a body, None when the size is unknown (chunked)."""
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers:
        return None
    try:
        return max(0, int(headers.get(b"content-length", b"0")))
    except ValueError:
        raise Refused(failure(400, "NX6405", "The length of the request can't be read.")) from None


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that returns the whole body at once, then the following messages."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def failure(status: int, code: str, message: str, *, hint: str = "", cause: str = "") -> Response:
    """Every answer that is not a success."""
    return answer(Failure(code=code, message=message, hint=hint, cause=cause), status=status)


def _too_large(limit: int) -> Response:
    size = f"{limit // MIB} MiB" if limit >= MIB else f"{limit // 1024} KiB"
    return failure(413, "NX6405", f"The request is larger than {size}.")


def _stopping_answer() -> Response:
    return failure(503, "NX6409", "Control is stopping.", hint="`nexus status` shows when it is up again")
