"""One connection with one request in flight: no retries, no late answers, prompt loss.

What Modbus and S7 share beneath their frames. A protocol's channel sends by `_exchange`, finds the answer in
`data_received` and passes it to `_answer`, or calls `_fail` with the reason why the connection can't be used any more.
"""

from __future__ import annotations

import asyncio


class RequestTimeout(Exception):
    """No answer within the time-out."""


class ConnectionLost(Exception):
    """The connection is gone or was refused, or the bytes received are invalid; the message says which."""


class RequestTransport(asyncio.Protocol):
    """A connection. After `ConnectionLost` only `close` may be called."""

    def __init__(self, *, timeout_s: float) -> None:
        """Prepare one.

        Args:
            timeout_s: Longest wait for an answer.
        """
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[bytes] | None = None
        self._until_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
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
            self._until_s = self._loop.time() + self._timeout_s
            if self._timer is None:
                self._timer = self._loop.call_at(self._until_s, self._expire)
        try:
            transport.write(data)
            return await waiting
        finally:
            self._waiting = None

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
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

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
            self._timer = self._loop.call_at(self._until_s, self._expire)
        else:
            waiting.set_exception(RequestTimeout())
