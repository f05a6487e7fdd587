"""The bytes to and from the broker, over TCP, TLS or a WebSocket, with a bound on what waits for the socket."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from nexus_cli.wire.lost import LostError
from nexus_cli.wire.url import BrokerUrl

if TYPE_CHECKING:
    from nexus_cli.wire.websocket import WebSocket

MOST_UNSENT = 64 * 1024 * 1024
"""From this many bytes on that wait for the socket, it counts as full."""

_ERRNO = re.compile(r"\[Errno (\d+)\]")


class Stream(asyncio.Protocol):
    """One byte stream. Its callbacks run on the loop.

    Attributes:
        transport: The loop's; None before the connection.
        full: True while more than `MOST_UNSENT` bytes wait for the socket.
    """

    def __init__(
        self,
        websocket: WebSocket | None,
        *,
        on_opened: Callable[[], None],
        on_bytes: Callable[[bytes], None],
        on_room: Callable[[], None],
        on_closed: Callable[[Exception | None], None],
    ) -> None:
        """Prepare.

        Args:
            websocket: Wraps the stream; None for plain TCP or TLS.
            on_opened: Called once bytes can be written: with a WebSocket, after its handshake.
            on_bytes: Called with what was received.
            on_room: Called when `full` ends.
            on_closed: Called at the end: with its error, or None when the broker closed the connection.
        """
        self.transport: asyncio.Transport | None = None
        self.full = False
        self._websocket = websocket
        self._on_opened, self._on_bytes, self._on_room, self._on_closed = on_opened, on_bytes, on_room, on_closed

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the socket has not taken yet."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Send; what the socket does not take at once waits."""
        if self.transport is not None:
            self.transport.write(data if self._websocket is None else self._websocket.wrap(data))

    def hold(self, held: bool) -> None:
        """Stop reading, so that the sender waits, or continue."""
        if self.transport is None or self.transport.is_closing() or self.transport.is_reading() is not held:
            return
        if held:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def close(self) -> None:
        """Close once everything that waits has been sent."""
        if self.transport is not None:
            if self._websocket is not None:
                self.transport.write(self._websocket.close())
            self.transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's do not derive from asyncio's
        self.transport.set_write_buffer_limits(high=MOST_UNSENT)
        if self._websocket is None:
            self._on_opened()
        else:
            self.transport.write(self._websocket.hello())

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._websocket is None:
            self._on_bytes(data)
            return
        before = self._websocket.opened
        try:
            data = self._websocket.receive(data)
        except LostError as error:
            self._on_closed(error)
            return
        answer = self._websocket.outgoing()
        if answer and self.transport is not None:
            if self.full:
                self._on_closed(LostError("the broker does not read what it is sent"))
                return
            self.transport.write(answer)
        if self._websocket.opened and not before:
            self._on_opened()
        if data:
            self._on_bytes(data)

    def pause_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self.full = True

    def resume_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self.full = False
        self._on_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._on_closed(exc)


def plain_cause(error: Exception) -> str:
    """A failure in the system's own words; asyncio's list every address that was tried, of which the last counts."""
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        numbers = [error.errno] if error.errno else [int(found) for found in _ERRNO.findall(str(error))]
        if numbers and numbers[-1] > 0:
            return f"[Errno {numbers[-1]}] {os.strerror(numbers[-1])}"
    return str(error) or type(error).__name__


def websocket_to(url: BrokerUrl) -> WebSocket | None:
    """What wraps the stream to this broker; None for plain TCP or TLS."""
    if not url.websocket:
        return None
    from nexus_cli.wire.websocket import WebSocket  # noqa: PLC0415 - its library takes 15 ms to load

    return WebSocket(url)
