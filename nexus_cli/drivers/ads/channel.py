"""The interface of every way to a PLC, and the ADS commands built on it.

There are two ways: `direct` uses AMS/TCP itself, `routed` passes the requests to a local TwinCAT router.

See docs/decisions/0021.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, NoReturn, Protocol

from nexus_cli.drivers.ads import frame
from nexus_cli.drivers.ads.errors import SERVICE_NOT_SUPPORTED, error_of, meaning_of
from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.wire.sample import Reason

SUM_READ = 0xF080
"""Source: Beckhoff, ADSIGRP_SUMUP_READ: at most 500 sub-commands."""
WINDOW = 16
"""Single requests in flight at once; an AMS router has room for a few hundred."""

Listener = Callable[[bytes, Sequence[frame.Sample]], None]
"""Called on the loop with the PLC's AMS address and what it reported."""


class Item(NamedTuple):
    """Memory to read: index group, index offset, bytes."""

    group: int
    offset: int
    size: int


class Channel(Protocol):
    """One way to one or several PLCs behind one host.

    Attributes:
        endpoint: What errors name.
        timeout_s: Longest wait for one answer.
        lost: Why the link is gone; None while it is open.
        listener: Takes what is reported.
    """

    endpoint: str
    timeout_s: float
    lost: DriverError | None
    listener: Listener | None

    def send(self, target: bytes, command: int, body: bytes) -> asyncio.Future[bytes | int | None]:
        """Put a request on its way. The future holds the answer's data, an AMS error code, or None: the link is lost.

        Raises:
            DriverError: The link is lost.
        """
        ...

    async def answer(self, future: asyncio.Future[bytes | int | None], what: str) -> bytes:
        """Wait for an answer within the time-out; gives its data after the result code.

        Args:
            future: From `send`.
            what: For people, begins an error's message.

        Raises:
            DriverError: By the code; DEVICE for silence while other PLCs answer, else SESSION.
        """
        ...

    def post(self, target: bytes, command: int, body: bytes) -> None:
        """Send a request whose answer is ignored; never raises."""
        ...

    async def close(self) -> None:
        """Free everything; never raises."""
        ...


def result_of(data: bytes | int, what: str) -> bytes:
    """The data after the result code of an answer. Raises DriverError."""
    if isinstance(data, int):
        raise error_of(data, what)
    if len(data) < 4:
        raise malformed(what)
    code = int.from_bytes(data[:4], "little")
    if code:
        raise error_of(code, what)
    return data[4:]


def malformed(what: str) -> DriverError:
    """An answer that holds less or more than was asked for."""
    return DriverError(
        f"{what}: the answer can't be read", scope=Scope.REQUEST, reason=Reason.DECODE_ERROR, retriable=True
    )


def counted(data: bytes, what: str) -> bytes:
    """The data of an answer that begins with its length. Raises DriverError."""
    if len(data) < 4 or int.from_bytes(data[:4], "little") != len(data) - 4:
        raise malformed(what)
    return data[4:]


async def ask(channel: Channel, target: bytes, command: int, body: bytes, what: str) -> bytes:
    """One request and its answer. Raises DriverError."""
    return await channel.answer(channel.send(target, command, body), what)


async def read(channel: Channel, target: bytes, item: Item, what: str) -> bytes:
    """Read memory; the answer may be shorter than asked (tables). Raises DriverError."""
    return counted(await ask(channel, target, frame.READ, struct.pack("<III", *item), what), what)


async def write(channel: Channel, target: bytes, group: int, offset: int, data: bytes, what: str) -> None:
    """Write memory. Raises DriverError."""
    await ask(channel, target, frame.WRITE, struct.pack("<III", group, offset, len(data)) + data, what)


def read_write_body(item: Item, data: bytes) -> bytes:
    """Parameters of a ReadWrite."""
    return struct.pack("<IIII", *item, len(data)) + data


async def read_write(channel: Channel, target: bytes, item: Item, data: bytes, what: str) -> bytes:
    """Write and read in one request. Raises DriverError."""
    return counted(await ask(channel, target, frame.READ_WRITE, read_write_body(item, data), what), what)


async def read_state(channel: Channel, target: bytes, what: str) -> int:
    """The ADS state: 5 run, 6 stop, 15 config, … Raises DriverError."""
    data = await ask(channel, target, frame.READ_STATE, b"", what)
    if len(data) < 4:
        raise malformed(what)
    return int.from_bytes(data[:2], "little")


async def many(
    channel: Channel, target: bytes, command: int, bodies: Sequence[bytes], what: str, *, own: Collection[int] = ()
) -> list[bytes | DriverError]:
    """Single requests, a window of them in flight; an answer with an error costs only itself.

    Args:
        channel: To the PLC.
        target: Its AMS address.
        command: Of all of them.
        bodies: One each.
        what: For people.
        own: Codes that say something of this kind of request, although they mostly concern the whole device.

    Returns:
        Data or error by request, same order.

    Raises:
        DriverError: With scope SESSION or DEVICE.
    """
    out: list[bytes | DriverError] = []
    waiting: list[asyncio.Future[bytes | int | None]] = []
    sent = 0
    try:
        while len(out) < len(bodies):
            while sent < len(bodies) and len(waiting) < WINDOW:
                waiting.append(channel.send(target, command, bodies[sent]))
                sent += 1
            try:
                out.append(await channel.answer(waiting.pop(0), what))
            except DriverError as error:
                if error.scope is Scope.SESSION or (error.scope is Scope.DEVICE and error.code not in own):
                    raise
                out.append(error)
    finally:
        for future in waiting:
            future.cancel()
    return out


def sum_body(items: Sequence[Item]) -> bytes:
    """Parameters of a sum read."""
    size = 4 * len(items) + sum(item.size for item in items)
    data = b"".join(struct.pack("<III", *item) for item in items)
    return read_write_body(Item(SUM_READ, len(items), size), data)


async def sum_read(channel: Channel, target: bytes, items: Sequence[Item], body: bytes, what: str) -> bytes:
    """Error codes of all items, then their data, each at its full length; also from devices without sum commands.

    Raises:
        DriverError: Scope REQUEST with code 1793 when the device knows no sum commands.
    """
    data = counted(await ask(channel, target, frame.READ_WRITE, body, what), what)
    total = sum(item.size for item in items)
    codes = 4 * len(items)
    if len(data) == codes + total:
        return data
    return _spread(data, items, what)


def _spread(data: bytes, items: Sequence[Item], what: str) -> bytes:
    """Some devices leave out the bytes of items that failed: put zeros there."""
    codes = 4 * len(items)
    if len(data) < codes:
        raise malformed(what)
    out, at = [data[:codes]], codes
    for number, item in enumerate(items):
        if any(data[4 * number : 4 * number + 4]):
            out.append(bytes(item.size))
        else:
            out.append(data[at : at + item.size])
            at += item.size
    if at != len(data):
        raise malformed(what)
    return b"".join(out)


async def read_singly(channel: Channel, target: bytes, items: Sequence[Item], what: str) -> bytes:
    """The same answer as `sum_read`, from single reads."""
    bodies = [struct.pack("<III", *item) for item in items]
    codes, data = [], []
    for item, found in zip(items, await many(channel, target, frame.READ, bodies, what), strict=True):
        raw = found[4:] if isinstance(found, bytes) else b""
        code = found.code or SERVICE_NOT_SUPPORTED if isinstance(found, DriverError) else 0
        if not code and len(raw) != item.size:
            code = 1797
        codes.append(code.to_bytes(4, "little"))
        data.append(bytes(item.size) if code else raw)
    return b"".join(codes) + b"".join(data)


def silence(endpoint: str, timeout_s: float, what: str, *, alive: bool) -> DriverError:
    """Nothing came in time. `alive`: other PLCs answered on the same link meanwhile."""
    return DriverError(
        f"{endpoint} did not answer within {timeout_s:g} s ({what})",
        scope=Scope.DEVICE if alive else Scope.SESSION,
        reason=Reason.DEVICE_TIMEOUT,
        code=1861,
    )


def raise_lost(error: DriverError | None, endpoint: str) -> NoReturn:
    """The link is gone; a new error each time, because a raised one collects tracebacks."""
    if error is None:
        raise DriverError(f"{endpoint}: the link is closed", scope=Scope.SESSION, reason=Reason.LINK_LOST)
    raise DriverError(
        error.message,
        scope=Scope.SESSION,
        reason=error.reason,
        code=error.code,
        retriable=error.retriable,
        kind=error.kind,
    )


__all__ = ["Channel", "Item", "Listener", "ask", "many", "meaning_of", "read", "sum_read", "write"]
