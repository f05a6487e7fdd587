"""What stands between a socket and a role's HTTP: half-open and slow connections are closed, and their number is bounded.

uvicorn times only the pause between two requests. A connection that never finishes its first request, or that reads no
answer, would stay for as long as its client likes; a thousand of them take every descriptor of the process.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0
"""A request's head has to be here so long after the connection was made, or after its first byte."""
ANSWER_S = 30.0
"""A client has to go on reading its answer within this time."""
MOST_CONNECTIONS = 400
"""Open at once; over that the oldest that has no complete request is closed, then the one that has not read its answer
for longest, and where there is none, the newest."""
LINGER_S = 2.0
"""How long what a refused client still sends is taken and thrown away."""
BACKLOG = 100
"""Connections taken in one turn of the loop; the others wait in the kernel."""
LARGEST_HEAD = 32 * 1024
"""Bytes of a request's head, and of what comes beside it before it is complete."""


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with a deadline for each head and each answer."""

    _head_timer: asyncio.TimerHandle | None = None
    _answer_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Count it, and wait for its first request."""
        super().connection_made(_Lingering(transport, self))  # type: ignore[arg-type]
        if len(self.connections) > MOST_CONNECTIONS:
            self._make_room()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self._stop_waiting()
        self._resumed()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Something came; a complete head ends the wait for it."""
        if self.transport.is_closing():
            return  # the rest of a body that was refused
        before = self.scope
        if self._head_timer is None and self._idle():
            self._await_head()  # the next request on a connection that was kept
        super().data_received(data)
        if self.scope is not before:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """An answer is out: the next request may be in the buffer already."""
        before = self.scope
        super().on_response_complete()
        if self.scope is not before:
            self._stop_waiting()

    def pause_writing(self) -> None:
        """The client reads slower than we answer."""
        super().pause_writing()
        if self._answer_timer is None:
            self._answer_timer = self.loop.call_later(ANSWER_S, self.transport.abort)

    def resume_writing(self) -> None:
        """It goes on reading."""
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
        """Close the one that waits longest for its head, else the one that reads its answer slowest, else the newest."""
        others = [
            each
            for each in self.connections
            if isinstance(each, GuardedProtocol) and each is not self and not each.transport.is_closing()
        ]
        if len(others) < MOST_CONNECTIONS:
            return  # some were closed in this turn of the loop already
        waiting = [each for each in others if not each.has_request] or [each for each in others if each.is_slow]
        min(waiting, key=lambda each: each._deadline(), default=self).transport.abort()

    @property
    def has_unread(self) -> bool:
        """True while the client is still sending what was answered already."""
        return self.conn.their_state is h11.SEND_BODY

    @property
    def is_slow(self) -> bool:
        """True while its client does not read what was answered."""
        return self._answer_timer is not None

    def _deadline(self) -> float:
        timer = self._head_timer or self._answer_timer
        return float("inf") if timer is None else timer.when()


class _Lingering:
    """A transport that is closed over a request that is still being sent only after its answer had time to arrive.

    Closing a socket with unread data resets the connection, and the reset takes the answer along (RFC 9112 §9.6).
    """

    def __init__(self, inner: asyncio.Transport, protocol: GuardedProtocol) -> None:
        self._inner, self._protocol, self._lingers = inner, protocol, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def is_closing(self) -> bool:
        """True once it is closed for us, though the client may not know yet."""
        return self._lingers or self._inner.is_closing()

    def close(self) -> None:
        """Close it; where the client still sends, say only that nothing more comes, and take the rest away."""
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
