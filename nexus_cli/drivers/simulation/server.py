"""Base of every simulator on a stream: a listener, its clients, a clock, and the faults that can be switched.

A protocol adds its memory and what it answers: a `StreamServer` that makes a `Client` per connection.

See docs/decisions/0056.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from typing import cast

from nexus_cli.json_value import JsonObject


class Client(asyncio.Protocol, ABC):
    """One client of a simulator: bytes in, bytes out.

    Args:
        server: Whose client it is.
    """

    def __init__(self, server: StreamServer) -> None:
        self._served = server
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not derive from asyncio's
        self._served.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._served.connections.discard(self)

    def drop(self) -> None:
        """Reset the connection."""
        if self._transport is not None:
            self._transport.abort()

    @abstractmethod
    def data_received(self, data: bytes) -> None:
        """Called by asyncio: keep the bytes, then `pump`."""

    @abstractmethod
    def pump(self) -> None:
        """Answer every whole frame that has come, in order, unless the server stalls."""


class StreamServer(ABC):
    """A simulator of one link.

    Attributes:
        scheme: How its endpoint begins.
        host: Address it listens on.
        port: Port it listens on.
        requests: Requests answered since the start.
        connections: Its clients.
        stalled: Nothing is answered now.
    """

    scheme = "tcp"

    def __init__(self) -> None:
        self.host, self.port, self.requests = "", 0, 0
        self.connections: set[Client] = set()
        self.stalled = False
        self._server: asyncio.Server | None = None
        self._started_s = time.monotonic()
        self._resume: asyncio.TimerHandle | None = None

    @abstractmethod
    def client(self) -> Client:
        """The handler of the next connection."""

    @property
    def endpoint(self) -> str:
        """Where it is reached."""
        return f"{self.scheme}://{self.host}:{self.port}"

    def connection(self) -> JsonObject:
        """Keys of `connection:` that lead here, in the place of the device's own."""
        return {"host": self.host, "port": self.port}

    @property
    def clients(self) -> int:
        """How many clients are connected."""
        return len(self.connections)

    async def start(self, *, host: str, port: int) -> None:
        """Listen, also again after `close`. Raises OSError when the address can't be had."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self.client, host, port, reuse_address=True)
        name = self._server.sockets[0].getsockname()
        self.host, self.port = name[0], name[1]

    async def close(self) -> None:
        """Stop listening and drop every client; what was stalled is never answered."""
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.reset()
        if server is not None:
            await server.wait_closed()
        self.stalled = False

    def t_s(self) -> float:
        """Seconds since it was made: the time of the signals."""
        return time.monotonic() - self._started_s

    def stall(self, seconds: float | None) -> None:
        """Answer nothing for so long; requests of that time are answered late. None ends it."""
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        self.stalled = seconds is not None
        if seconds is not None:
            self._resume = asyncio.get_running_loop().call_later(seconds, self.stall, None)
            return
        for client in tuple(self.connections):
            client.pump()

    def drop_connections(self) -> None:
        """Reset every client's connection."""
        self.reset()

    def reset(self) -> None:
        """Reset every client's connection, whatever else a kind of server does to drop them."""
        for client in tuple(self.connections):
            client.drop()
