"""What stands between a socket and a role's HTTP: half-open and slow connections are closed, and their number is bounded.

uvicorn times only the pause between two requests. A connection that never finishes its first request, or that reads no
answer, would stay for as long as its client likes; a thousand of them take every descriptor of the process.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0
"""A request's head has to be here so long after the connection was made, or after its first byte."""
ANSWER_S = 30.0
"""A client has to go on reading its answer within this time."""
MOST_CONNECTIONS = 400
"""Open at once; over that the oldest that has no complete request is closed, and where there is none, the newest."""
LARGEST_HEAD = 32 * 1024
"""Bytes of a request's head, and of what comes beside it before it is complete."""


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with a deadline for each head and each answer."""

    _head_timer: asyncio.TimerHandle | None = None
    _answer_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Count it, and wait for its first request."""
        super().connection_made(transport)
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
        """Close the one that waits longest for its head; the newest one when all others are at work."""
        waiting = [
            each
            for each in self.connections
            if isinstance(each, GuardedProtocol) and not each.has_request and each is not self
        ]
        oldest = min(waiting, key=lambda each: each._deadline(), default=self)
        oldest.transport.abort()

    def _deadline(self) -> float:
        return float("inf") if self._head_timer is None else self._head_timer.when()
