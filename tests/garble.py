"""A bad line between a driver and its device: it delays, bends, cuts or swallows what the device says, on demand.

What goes to the device goes through untouched, or not at all: a line that bends questions would show how the device
takes them, and that is not under test. It may answer in the place of the device (`BadLine.ask`).
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from nexus_cli.drivers.modbus.simulator.serial import Wire

Bend = Callable[[bytes], bytes | None]
"""What becomes of a piece of an answer; None cuts the line."""
Ask = Callable[[bytes], bytes | None]
"""What a question is answered with at once: nothing (b""), some bytes, or `CUT`; None passes it on to the device."""
CUT = b"\0cut\0"
"""Answers by cutting the line."""


class Guest(Protocol):
    """How one connection of the driver is treated; it takes the place of `BadLine.ask`."""

    def ask(self, data: bytes) -> bytes | None:
        """See `Ask`."""
        ...

    def say(self, data: bytes) -> tuple[float, bool]:
        """How much later a piece of an answer arrives, in seconds, and whether the line is cut behind it."""
        ...


MOST_BYTES = 4096
"""A piece that grows beyond it is cut back, so that a doubled flood stays bounded."""


class BadLine:
    """The line; it is a good one until it is changed.

    Attributes:
        port: Where the driver finds it.
        bend: What becomes of answers; None: nothing.
        delay_s: How much later they arrive.
        left: Bytes of answers that still come through before the line is cut; None: it is not.
        bent: How many pieces of answers were changed so far.
        ask: What becomes of questions; None: they are passed on.
        asked: How many questions were not passed on.
        guest: Makes what treats the next connection; None: all are treated alike.
        opened: How many connections came so far.
        single: A connection that comes ends the one before.
    """

    def __init__(self) -> None:
        self.port = 0
        self.bend: Bend | None = None
        self.delay_s = 0.0
        self.left: int | None = None
        self.bent = 0
        self.ask: Ask | None = None
        self.asked = 0
        self.guest: Callable[[], Guest] | None = None
        self.opened = 0
        self.single = False

    def greet(self) -> Guest | None:
        """Take note of a connection; gives how it is treated."""
        self.opened += 1
        return None if self.guest is None else self.guest()

    def up(
        self, data: bytes, to_driver: asyncio.Transport, cut: Callable[[], None], guest: Guest | None = None
    ) -> bool:
        """Take a question; True when it is to be passed on to the device."""
        ask = self.ask if guest is None else guest.ask
        answer = None if ask is None or not data else ask(data)
        if answer is None:
            return True
        self.asked += 1
        if answer == CUT:
            cut()
        else:
            _write(to_driver, answer)
        return False

    def down(
        self, data: bytes, transport: asyncio.Transport, cut: Callable[[], None], guest: Guest | None = None
    ) -> None:
        """Pass a piece of an answer on to the driver."""
        delay_s, last = (self.delay_s, False) if guest is None else guest.say(data)
        if self.bend is not None:
            bent = self.bend(data)
            self.bent += bent != data
            if bent is None:
                cut()
                return
            data = bent
        if self.left is not None:
            data, self.left = data[: self.left], self.left - len(data)
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, _write, transport, data)
        else:
            _write(transport, data)
        if last or (self.left is not None and self.left < 0):
            cut()


def _write(transport: asyncio.Transport, data: bytes) -> None:
    if data and not transport.is_closing():
        transport.write(data)


class _End(asyncio.Protocol):
    """One end of a pair of connections: what it hears goes to `pass_on`, its loss ends the other one too."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self.pass_on: Callable[[bytes], None] = self.keep
        self.kept = b""

    def keep(self, data: bytes) -> None:
        """What comes before the other end is there."""
        self.kept += data

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.pass_on(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None:
            self.other.abort()

    def abort(self) -> None:
        """Reset the connection."""
        if self.transport is not None:
            self.transport.abort()


@asynccontextmanager
async def bad_tcp(port: int) -> AsyncIterator[BadLine]:
    """A bad line to a server of this machine; whoever is still connected at the end is reset."""
    line, loop = BadLine(), asyncio.get_running_loop()
    ends: set[_End] = set()

    async def join(near: _End) -> None:
        far = _End()
        try:
            await loop.create_connection(lambda: far, "127.0.0.1", port)
        except OSError:
            near.abort()
            return
        near.other, far.other = far, near
        assert near.transport is not None and far.transport is not None
        if near.transport.is_closing():
            far.abort()
            return
        to_driver, to_server = near.transport, far.transport
        guest = line.greet()
        far.pass_on = lambda data: line.down(data, to_driver, to_driver.close, guest)

        def ask(data: bytes) -> None:
            if line.up(data, to_driver, to_driver.close, guest):
                _write(to_server, data)

        near.pass_on = ask
        near.pass_on(near.kept)

    async with asyncio.TaskGroup() as group:

        class Near(_End):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                if line.single:
                    for end in tuple(ends):
                        end.abort()
                ends.add(self)
                group.create_task(join(self), name="bad line")

            def connection_lost(self, exc: Exception | None) -> None:
                ends.discard(self)
                super().connection_lost(exc)

        server = await loop.create_server(Near, "127.0.0.1", 0)
        line.port = server.sockets[0].getsockname()[1]
        try:
            yield line
        finally:
            server.close()
            for end in tuple(ends):
                end.abort()
            await server.wait_closed()


@asynccontextmanager
async def bad_serial(theirs: str, ours: str) -> AsyncIterator[BadLine]:
    """A bad line to a pseudo-terminal; when it is cut, it is plugged in again at once.

    Args:
        theirs: Path of the device's end.
        ours: Path to make for the driver.
    """
    line, loop = BadLine(), asyncio.get_running_loop()
    device = os.open(theirs, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    path = Path(ours)
    wires: list[Wire] = []
    guest: Guest | None = None

    def ask(data: bytes) -> None:
        nonlocal guest
        if guest is None:  # a line has no connections: whoever asks first is the guest of all time
            guest = line.greet()
        if line.up(data, wires[-1], cut, guest):
            os.write(device, data)

    def plug() -> None:
        near = _End()
        near.pass_on = ask
        wires.append(Wire(near))
        path.unlink(missing_ok=True)
        path.symlink_to(wires[-1].name)

    def cut() -> None:
        wires.pop().abort()
        plug()

    def hear() -> None:
        try:
            data = os.read(device, MOST_BYTES)
        except BlockingIOError:
            return
        except OSError:  # the device's end was pulled
            loop.remove_reader(device)
            wires[-1].abort()
        else:
            line.down(data, wires[-1], cut, guest)

    plug()
    loop.add_reader(device, hear)
    try:
        yield line
    finally:
        loop.remove_reader(device)
        os.close(device)
        wires.pop().abort()
        path.unlink()


def garbler(seed: int, *, share: float = 0.3) -> Bend:
    """Flips, cuts, drops and doubles bytes of a share of the answers, the same ones for the same seed.

    Args:
        seed: Which ones.
        share: Part of the pieces that is bent, 0 to 1.
    """
    chance = random.Random(seed)

    def bend(data: bytes) -> bytes | None:
        if chance.random() >= share:
            return data
        at = chance.randrange(len(data))
        kind = chance.choice(("flip", "flip", "flip", "cut", "double", "drop", "insert", "end"))
        if kind == "flip":
            bent = bytearray(data)
            for _ in range(chance.choice((1, 1, 2, 8))):
                bent[chance.randrange(len(bent))] ^= 1 << chance.randrange(8)
            return bytes(bent)
        if kind == "cut":
            return data[:at]
        if kind == "double":
            return (data + data)[:MOST_BYTES]
        if kind == "drop":
            return data[:at] + data[at + chance.randrange(1, 9) :]
        if kind == "insert":
            return data[:at] + chance.randbytes(chance.randrange(1, 9)) + data[at:]
        return None

    return bend
