"""One connection with one request in flight: no retries, no late answers, prompt loss.

What Modbus and S7 share beneath their frames. A protocol's channel sends by `_exchange`, finds the answer in
`data_received` and passes it to `_answer`, or calls `_fail` with the reason why the connection can't be used any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from nexus_cli.wheel import Wait, slack_of, wheel_of

RECEIVE_BYTES = 64 * 1024
"""Bytes that one call to the system may bring. asyncio's own buffer is four times as long and made anew for each call,
which costs more than the call."""
_received = bytearray(RECEIVE_BYTES)
"""Shared by all connections: what is in it is taken out before the call that brought it returns."""
_view = memoryview(_received)


class RequestTimeout(Exception):
    """No answer within the time-out."""


class ConnectionLost(Exception):
    """The connection is gone or was refused, or the bytes received are invalid; the message says which."""


Done = Callable[[bytes | None, Exception | None], None]
"""Takes the answer of a request, or why there is none: RequestTimeout, ConnectionLost, or an error of the protocol."""


class Reply:
    """Waits for the answer of one request in the place of a future, and passes it on within the turn that brought it."""

    __slots__ = ("_done",)

    def __init__(self, done: Done) -> None:
        """`done` is called once at most."""
        self._done: Done | None = done

    def done(self) -> bool:
        """Whether it has its answer."""
        return self._done is None

    def set_result(self, answer: bytes) -> None:
        """Pass the answer on."""
        done, self._done = self._done, None
        if done is not None:
            done(answer, None)

    def set_exception(self, error: Exception) -> None:
        """Pass on why there is none."""
        done, self._done = self._done, None
        if done is not None:
            done(None, error)

    def cancel(self) -> None:
        """Nobody waits any more: an answer is dropped."""
        self._done = None


class RequestTransport(asyncio.BufferedProtocol):
    """A connection. After `ConnectionLost` only `close` may be called."""

    def __init__(self, *, timeout_s: float) -> None:
        """Prepare one.

        Args:
            timeout_s: Longest wait for an answer.
        """
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = None
        self._waiting: asyncio.Future[bytes] | Reply | None = None
        self._until_s = 0.0
        self._timer: Wait | None = None
        self._wheel = wheel_of(self._loop)
        self._slack = max(1, slack_of(timeout_s))
        self._why = "the connection is closed"

    @property
    def connected(self) -> bool:
        """Whether the connection is open, as far as the system knows."""
        return self._transport is not None

    async def _exchange(self, data: bytes, *, bounded: bool = True) -> bytes:
        """Send, and wait for what `_answer` is given.

        Args:
            data: The bytes to send.
            bounded: False, before the first that is, leaves it to the caller how long to wait.

        Raises:
            RequestTimeout: Nothing came in time. The connection stays open.
            ConnectionLost: The connection is gone, or the bytes received are not an answer.
        """
        transport = self._transport
        if transport is None:
            raise ConnectionLost(self._why)
        waiting: asyncio.Future[bytes] = self._loop.create_future()
        self._waiting = waiting
        if bounded:
            self._bound()
        try:
            transport.write(data)
            return await waiting
        finally:
            self._waiting = None

    def _post(self, data: bytes, done: Done) -> Reply:
        """As `_exchange`, without a task that waits: `done` is called in the turn that brings the answer.

        Raises:
            ConnectionLost: The connection is gone; nothing was sent, and `done` will not be called.
        """
        transport = self._transport
        if transport is None:
            raise ConnectionLost(self._why)
        self._waiting = reply = Reply(done)
        self._bound()
        transport.write(data)
        return reply

    def _bound(self) -> None:
        """Begin the time-out of a request."""
        self._until_s = self._loop.time() + self._timeout_s
        if self._timer is None:
            self._timer = self._wheel.at(self._until_s, self._expire, slots=self._slack)

    def close(self) -> None:
        """Drop the connection. Never raises."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's do not derive from asyncio's

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by asyncio."""
        return _view

    def buffer_updated(self, nbytes: int) -> None:
        """Called by asyncio."""
        self.data_received(bytes(_view[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Take the next bytes of the connection."""
        raise NotImplementedError

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._fail(f"the connection was lost{f' ({exc})' if exc else ''}")

    def _answer(self, data: bytes) -> None:
        """Give the waiting request its answer; without one it is dropped."""
        waiting = self._waiting
        if waiting is not None and not waiting.done():
            waiting.set_result(data)

    def _fail(self, why: str) -> None:
        """The connection is of no use any more; end the waiting request now."""
        self._why = why
        waiting = self._waiting
        if waiting is not None and not waiting.done():
            waiting.set_exception(ConnectionLost(why))
        self.close()

    def _expire(self) -> None:
        """One timer runs from request to request: it is set once a time-out, not once a request."""
        self._timer = None
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        if self._loop.time() < self._until_s:
            self._timer = self._wheel.at(self._until_s, self._expire, slots=self._slack)
        else:
            waiting.set_exception(RequestTimeout())
