"""Limits for requests to control's API: authorisation, size and time of bodies, checked on the head before a body is
read.

A body is read only for a caller that has the right of the route (`rights`), up to the route's size, within a time limit, and within
the limit for all bodies together. A refused request is answered at once and its body is not kept: what the client still
sends is discarded for some seconds (`http_guard`), since closing the connection with unread data could lose the
response (RFC 9112 §9.6).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Protocol

from fastapi import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.api.calling import address_of, authorization_of, set_caller
from nexus_cli.runtime.api.decisions import MIB, SMALL_BODY, Decision, Decisions, site_of
from nexus_cli.runtime.api.failures import failure, on_failure, refuse_socket
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.identity.refusals import Refusals
from nexus_cli.runtime.latency import Latency

ALL_BODIES = 96 * MIB
"""Limit of all bodies that are being read or answered, in bytes; further requests are asked to retry later."""
PAUSE_S = 10.0
"""Longest pause within a body, in seconds."""
START_S = 20.0
PROBES = frozenset({"/health/live", "/health/ready", "/metrics", "/status"})
WAITS = re.compile(rb"(^|&)wait=")
SLOWEST_BYTES_S = 64 * 1024
"""A body must be complete within `START_S` plus its size at this rate."""


class CallerSource(Protocol):
    """Who knows callers."""

    async def caller(self, authorization: str | None) -> Caller:
        """The caller with this `Authorization` header; raises NexusError NX6401, NX6412, NX6413 or NX62xx."""
        ...


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

    def __init__(
        self,
        app: ASGIApp,
        *,
        site: str,
        decisions: Decisions,
        gate: CallerSource,
        refusals: Refusals,
        stopping: Callable[[], bool],
        latency: Latency,
    ) -> None:
        """Guard an application.

        Args:
            app: What is behind it.
            site: `enterprise/site` that is served.
            decisions: What each route needs.
            gate: Authenticates callers.
            refusals: Records what is refused.
            stopping: True when the process is stopping.
            latency: Gets the time from each request's head to the beginning of its answer.
        """
        self._app, self._site, self._decisions, self._stopping = app, site, decisions, stopping
        self._gate, self._refusals = gate, refusals
        self._latency = latency
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] == "websocket":
            await self._open_socket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, began_s = False, self._latency.now_s()

        async def sending(message: Message) -> None:
            nonlocal started
            if not started:
                started = True
                if _is_measured(scope):
                    self._latency.ended(began_s)
            await send(message)

        try:
            await self._enter(scope, receive, sending)
        except Refused as refused:
            await refused.answer(scope, receive, sending)
        except asyncio.CancelledError:
            if started or not self._stopping():
                raise
            await _stopping_answer()(scope, receive, send)  # uvicorn ends running requests at a stop

    async def _open_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket's handshake needs what a GET of its path needs; a refusal is an ordinary answer instead of 101."""
        path = str(scope.get("path", ""))
        try:
            if self._stopping():
                raise Refused(_stopping_answer())
            needed = self._decisions.of("GET", path)
            await self._authorise(scope, needed, route=f"GET {path}")
        except Refused as refused:
            await refuse_socket(refused.answer, receive, send)
            return
        await self._app(scope, receive, send)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = str(scope.get("path", "")), str(scope.get("method", ""))
        needed = self._decisions.of(method, path)
        if self._stopping() and (needed is None or not needed.open or needed.limit):
            raise Refused(_stopping_answer())
        if needed is not None and needed.open and not needed.limit:  # its body is not read
            self._same_site(path)
            await self._app(scope, _replay(b"", receive), send)
            return
        if needed is None or not needed.open:
            await self._authorise(scope, needed, route=f"{method} {path}")
        else:
            self._same_site(path)
        limit = needed.limit if needed is not None and method not in ("GET", "HEAD") else SMALL_BODY
        await self._with_body(scope, receive, send, limit)

    async def _with_body(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        announced = _announced(scope)
        if announced == 0:
            await self._app(scope, _replay(b"", receive), send)
            return
        if announced is not None and announced > limit:
            raise Refused(_too_large(limit))
        reserved = 0
        try:
            if announced is not None:
                reserved = self._reserve(announced, 0)
            body = bytearray()
            deadline = asyncio.get_running_loop().time() + START_S + (announced or limit) / SLOWEST_BYTES_S
            more = True
            while more:
                message = await self._next(receive, deadline)
                if message["type"] != "http.request":
                    return  # the client disconnected
                body += message.get("body", b"")
                more = bool(message.get("more_body"))
                if len(body) > limit:
                    raise Refused(_too_large(limit))
                if len(body) > reserved:
                    reserved = self._reserve(len(body), reserved)
            await self._app(scope, _replay(bytes(body), receive), send)
        finally:
            self.held -= reserved

    async def _authorise(self, scope: Scope, needed: Decision | None, *, route: str) -> None:
        """Find the caller, for the routes too, and see that it has what the route needs.

        A route without a decision gives nothing to anybody. Raises Refused.
        """
        address = address_of(scope)
        try:
            caller = await self._gate.caller(authorization_of(scope))
        except NexusError as error:
            self._refusals.note(error.code, address=address, route=route)
            raise Refused(on_failure(error)) from None
        self._same_site(str(scope.get("path", "")))
        if needed is None:
            raise Refused(failure(404, "NX6406", "There is no such route."))
        if needed.rights and not caller.may(*needed.rights):
            lacking = _lacking(caller, needed)
            self._refusals.note(lacking.code, who=caller.principal, address=address, route=route)
            raise Refused(on_failure(lacking))
        set_caller(scope, caller)

    def _same_site(self, path: str) -> None:
        asked = site_of(path)
        if asked and asked != self._site:
            raise Refused(on_failure(NexusError(f"{self._site} is served here, not {asked[:200]}.", code="NX6402")))

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
                failure(503, "NX6410", "Too many large requests are being read.", hint="try again in some seconds")
            )
        self.held += wanted - reserved
        return wanted


def _is_measured(scope: Scope) -> bool:
    """Probes come all the time and ask for nothing; a request that wants to wait says nothing about its API."""
    return scope["path"] not in PROBES and not WAITS.search(scope["query_string"])


def _announced(scope: Scope) -> int | None:
    """Content-Length; 0 without a body, None when the size is unknown (chunked)."""
    length = b"0"
    for name, value in scope["headers"]:
        if name == b"transfer-encoding":
            return None
        if name == b"content-length":
            length = value
    try:
        return max(0, int(length))
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


def _lacking(caller: Caller, needed: Decision) -> NexusError:
    if caller.held.scopes.isdisjoint(needed.rights):
        return NexusError(
            f"{caller.principal} may not do this.",
            code="NX6403",
            hint="a role that gives it, or the token of nexus.cli",
            cause=f"needs {' or '.join(needed.rights)}",
        )
    return NexusError(
        f"This token of {caller.principal} may not do this.",
        code="NX6421",
        cause=f"needs the scope {' or '.join(needed.rights)}",
    )


def _too_large(limit: int) -> Response:
    size = f"{limit // MIB} MiB" if limit >= MIB else f"{limit // 1024} KiB"
    return failure(413, "NX6405", f"The request is larger than {size}.")


def _stopping_answer() -> Response:
    return failure(
        503, "NX6409", "The process that answers is stopping.", hint="`nexus status` shows when it is up again"
    )
