"""Limits the HTTP connections of a role: closes half-open and slow ones, and bounds their number.

uvicorn times only the pause between two requests. A connection that never completes its first request, or reads no
response, would stay open as long as its client wants; a thousand of them use up the process's file descriptors.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0
"""Time for a request's head, after the connect or its first byte, in seconds."""
ANSWER_S = 30.0
"""A client must continue to read its response within this time, in seconds."""
MOST_CONNECTIONS = 400
"""Limit of open connections; above it the oldest without a complete request is closed, else the one that has not read
its response for longest, else the newest."""
LINGER_S = 2.0
"""How long data of a refused client is read and discarded, in seconds."""
BACKLOG = 100
"""Connections accepted per iteration of the event loop; the rest wait in the kernel."""
LARGEST_HEAD = 32 * 1024
"""Limit of a request's head, in bytes."""


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol with a deadline for each request head and each response."""

    _head_timer: asyncio.TimerHandle | None = None
    _answer_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Count it, and wait for its first request."""
        super().connection_made(_Lingering(transport, self))  # type: ignore[arg-type]
        if len(self.connections) > MOST_CONNECTIONS:
            self._make_room()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove it from the count."""
        self._stop_waiting()
        self._resumed()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handle data; a complete head ends its deadline."""
        if self.transport.is_closing():
            return  # the rest of a body that was refused
        before = self.scope
        if self._head_timer is None and self._idle():
            self._await_head()  # the next request on a kept-alive connection
        super().data_received(data)
        if self.scope is not before:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """A response is complete: the next request may be in the buffer already."""
        before = self.scope
        super().on_response_complete()
        if self.scope is not before:
            self._stop_waiting()

    def pause_writing(self) -> None:
        """The client reads more slowly than the server writes."""
        super().pause_writing()
        if self._answer_timer is None:
            self._answer_timer = self.loop.call_later(ANSWER_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The client continues to read."""
        self._resumed()
        super().resume_writing()

    @property
    def has_request(self) -> bool:
        """True while a request is answered."""
        return not self._idle()

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        self._stop_waiting()
        self._head_timer = self.loop.call_later(HEAD_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _resumed(self) -> None:
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self._idle():
            self.transport.abort()

    def _make_room(self) -> None:
        """Close the connection that has waited longest for its head, else the slowest reader, else the newest."""
        others = [
            each
            for each in self.connections
            if isinstance(each, GuardedProtocol) and each is not self and not each.transport.is_closing()
        ]
        if len(others) < MOST_CONNECTIONS:
            return  # some were closed in this iteration already
        waiting = [each for each in others if not each.has_request] or [each for each in others if each.is_slow]
        min(waiting, key=lambda each: each._deadline(), default=self).transport.abort()

    @property
    def has_unread(self) -> bool:
        """True while the client still sends a request that was already answered."""
        return self.conn.their_state is h11.SEND_BODY

    @property
    def is_slow(self) -> bool:
        """True while its client does not read the response."""
        return self._answer_timer is not None

    def _deadline(self) -> float:
        timer = self._head_timer or self._answer_timer
        return float("inf") if timer is None else timer.when()


class _Lingering:
    """A transport that delays its close while a request is still being sent, so that the response can arrive.

    Closing a socket with unread data resets the connection, and the client may lose the response (RFC 9112 §9.6).
    """

    def __init__(self, inner: asyncio.Transport, protocol: GuardedProtocol) -> None:
        self._inner, self._protocol, self._lingers = inner, protocol, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def is_closing(self) -> bool:
        """True once it is closed on this side."""
        return self._lingers or self._inner.is_closing()

    def close(self) -> None:
        """Close it; while the client still sends, only half-close it and discard the rest."""
        if self.is_closing():
            return
        if not self._protocol.has_unread or not self._inner.can_write_eof():
            self._inner.close()
            return
        self._lingers = True
        self._inner.write_eof()
        self._inner.resume_reading()
        self._protocol.loop.call_later(LINGER_S, self._inner.abort)

    def abort(self) -> None:
        """Close it at once."""
        self._inner.abort()
