"""AMS/TCP on one asyncio connection: requests pipelined by invoke id, each with its own time-out, no library.

A late answer finds its invoke id gone and is dropped; it can't be taken for another's.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import cast

from nexus_cli.drivers.ads import frame
from nexus_cli.drivers.ads.channel import Listener, raise_lost, result_of, silence
from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.wire.sample import Reason

FIRST_PORT, PORTS = 32_768, 16_384
"""Our AMS port is another one for each connection: what a PLC still sends to the last one is not ours."""

Reply = asyncio.Future[bytes | int | None]


class DirectChannel(asyncio.Protocol):
    """See `channel.Channel`.

    Args:
        endpoint: What errors name.
        timeout_s: Longest wait for one answer.
    """

    def __init__(self, *, endpoint: str, timeout_s: float) -> None:
        self.endpoint = endpoint
        self.timeout_s = timeout_s
        self.lost: DriverError | None = None
        self.listener: Listener | None = None
        self.source = b""
        self.received = 0
        self._forgiven = False
        self._parser = frame.FrameParser()
        self._pending: dict[int, tuple[Reply, bytes, int]] = {}
        self._ids: dict[Reply, int] = {}
        self._next_id = 0
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()

    def name_source(self, net_id: bytes) -> None:
        """Say who we are: our AMS NetId, with a port of this connection's own."""
        port = FIRST_PORT + secrets.randbelow(PORTS)
        self.source = net_id + port.to_bytes(2, "little")

    @property
    def local_address(self) -> str:
        """Our IP address on this connection."""
        name = self._transport.get_extra_info("sockname") if self._transport is not None else None
        return str(name[0]) if name else ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not derive from asyncio's

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        cause = str(exc) if exc is not None else "closed by the other side"
        self._lose(self._gone(cause))

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self.received += len(data)
        try:
            for one in self._parser.feed(data):
                if one.command == frame.NOTIFICATION:
                    self._report(one)
                elif one.flags & frame.RESPONSE:
                    self._reply(one)
        except DriverError as error:
            self._lose(error)
            if self._transport is not None:
                self._transport.abort()

    def _reply(self, one: frame.Frame) -> None:
        found = self._pending.get(one.invoke_id)
        if found is None or found[1] != one.source or found[2] != one.command:
            return  # too late, or not for us
        future = self._pending.pop(one.invoke_id)[0]
        self._ids.pop(future, None)
        if not future.done():
            future.set_result(one.error or one.data)

    def _report(self, one: frame.Frame) -> None:
        samples: Sequence[frame.Sample] = frame.samples_of(one.data)
        if self.listener is not None and one.target == self.source:
            self.listener(one.source, samples)

    def send(self, target: bytes, command: int, body: bytes) -> Reply:
        """See `Channel.send`."""
        if self.lost is not None or self._transport is None or self._transport.is_closing():
            raise_lost(self.lost, self.endpoint)
        number = self._next_id = self._next_id % 0xFFFF_FFFF + 1
        future: Reply = self._loop.create_future()
        self._pending[number] = future, target, command
        self._ids[future] = number
        self._write(target, command, body, number)
        return future

    async def answer(self, future: Reply, what: str) -> bytes:
        """See `Channel.answer`."""
        before = self.received
        try:
            async with asyncio.timeout(self.timeout_s):
                data = await future
        except TimeoutError:
            # some devices let the first question of a connection drop
            forgiven = not (self.received or self._forgiven)
            self._forgiven = self._forgiven or forgiven
            error = silence(self.endpoint, self.timeout_s, what, alive=forgiven or self.received > before)
            if error.scope is Scope.SESSION:
                self._lose(error)
            raise error from None
        finally:
            number = self._ids.pop(future, None)
            if number is not None:
                self._pending.pop(number, None)
        if data is None:
            raise_lost(self.lost, self.endpoint)
        return result_of(data, what)

    def post(self, target: bytes, command: int, body: bytes) -> None:
        """See `Channel.post`."""
        if self.lost is None and self._transport is not None and not self._transport.is_closing():
            self._next_id = self._next_id % 0xFFFF_FFFF + 1
            self._write(target, command, body, self._next_id)

    async def close(self) -> None:
        """See `Channel.close`. What was sent last still leaves, if the peer accepts it."""
        broken = self.lost is not None
        self._lose(self._gone("it was closed"))
        if self._transport is None:
            return
        if broken or self._transport.get_write_buffer_size():
            self._transport.abort()  # a half-open peer would keep a closing transport for minutes
        else:
            self._transport.close()

    def _write(self, target: bytes, command: int, body: bytes, number: int) -> None:
        assert self._transport is not None
        self._transport.write(
            frame.pack(
                target=target,
                source=self.source,
                command=command,
                flags=frame.REQUEST_FLAGS,
                invoke_id=number,
                data=body,
            )
        )

    def _lose(self, error: DriverError) -> None:
        self.lost = self.lost or error
        pending, self._pending = self._pending, {}
        self._ids.clear()
        for future, _, _ in pending.values():
            if not future.done():
                future.set_result(None)

    def _gone(self, cause: str) -> DriverError:
        return DriverError(
            f"{self.endpoint}: the connection is lost ({cause})", scope=Scope.SESSION, reason=Reason.LINK_LOST
        )
