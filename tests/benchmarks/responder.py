"""Devices of the benchmarks, neither reader's own: Modbus TCP and S7 with ready answers, a port for each reader.

One process serves all of them. Who reads is known by the port, so what each reader was given can be counted, and
compared with what it delivered. Every answer costs some microseconds: the process reports what it used.

Source: MODBUS Messaging on TCP/IP V1.0b, 3.1; the S7 frames as in RFC 1006 and Wireshark's `packet-s7comm.c`.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np

from tests.benchmarks.field import START_S, process
from tests.benchmarks.fleet import Fleet, hosts
from tests.modbus_frames import ModbusProtocol, read_answer, refusal
from tests.waiting import wait_until

VARIANTS = 61
"""Prime: no reader asks so many requests a cycle that it meets the same variant again."""
ROUNDS, ROUNDS_S = 3, 300.0
"""Reads of each value before a measurement, and how long they may take on a busy machine, seconds."""
READS = struct.Struct(">HH")


class Given(NamedTuple):
    """What one reader was given since the start: answers, their values, and the values that differ from the ones before."""

    requests: int
    values: int
    moved: int


class Facts(NamedTuple):
    """What a responder knows: by reader, in the order of its ports; and its own CPU seconds."""

    given: list[Given]
    cpu_s: float


class Reader:
    """Counts of one port."""

    __slots__ = ("moved", "requests", "values")

    def __init__(self) -> None:
        self.requests = self.values = self.moved = 0


class Values:
    """The values of every device: VARIANTS images of float32, and whether the next answer is of the next one."""

    def __init__(self, tags: int) -> None:
        numbers = np.arange(tags)[None, :] * 0.01 + np.arange(VARIANTS)[:, None] * 0.37 + 20.0
        self.images: list[bytes] = [np.round(row, 2).astype(">f4").tobytes() + bytes(256) for row in numbers]
        self.moving = False


class Device(asyncio.Protocol):
    """One connection."""

    def __init__(self, values: Values, reader: Reader) -> None:
        self.values, self.reader = values, reader
        self.buffer, self.turn, self.given = b"", 0, dict[tuple[int, int], int]()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def next_image(self) -> bytes:
        """What this answer is made of."""
        values = self.values
        if values.moving:
            self.turn = (self.turn + 1) % VARIANTS
        return values.images[self.turn]

    def count(self, at: int, size_bytes: int) -> None:
        """One block of the image is given; it moved if this connection was given another one before, or none."""
        reader, number, block = self.reader, size_bytes // 4, (at, size_bytes)
        reader.values += number
        if self.given.get(block) != self.turn:
            self.given[block] = self.turn
            reader.moved += number


class ModbusDevice(Device, ModbusProtocol):
    """Holding and input registers."""

    def answer(self, transaction: int, unit: int, function: int, body: bytes) -> bytes:
        """One answer; a function that is no read of registers is refused (exception 1)."""
        if function not in (3, 4) or len(body) < READS.size:
            return refusal(transaction, unit, function, 1)
        start, count = READS.unpack_from(body)
        size = count * 2
        self.reader.requests += 1
        found = self.next_image()[start * 2 : start * 2 + size]
        self.count(start * 2, size)
        return read_answer(transaction, unit, function, found)


CONNECT_CONFIRM = bytes.fromhex("030000161 1d0000100 0100c0010ac1020100c2020101".replace(" ", ""))
SETUP = bytes.fromhex("0300001b02f080 32030000 0000 0008 0000 0000 f0000008 0008 01e0".replace(" ", ""))
S7_HEADER = struct.Struct(">BBHHHH")


class S7Device(Device):
    """One data block, read by items; anything but the set-up and reads is answered as not available."""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= 4:
            size = self.buffer[2] << 8 | self.buffer[3]
            if len(self.buffer) < size:
                return
            packet, self.buffer = self.buffer[:size], self.buffer[size:]
            if packet[5] == 0xE0:
                self.transport.write(CONNECT_CONFIRM)
            else:
                self.transport.write(self.answer(packet[7:]))

    def answer(self, pdu: bytes) -> bytes:
        """One answer to a job, of the same reference."""
        _, kind, _, reference, parameters, _ = S7_HEADER.unpack_from(pdu)
        function = pdu[10]
        if kind == 1 and function == 0xF0:
            return SETUP[:11] + struct.pack(">H", reference) + SETUP[13:]
        if kind == 1 and function == 0x04:
            return self.read(reference, pdu[10 : 10 + parameters])
        if kind == 7:  # user data: no such information (error 0xD401)
            head = pdu[10:14] + b"\x08\x12" + bytes((0x80 | (pdu[15] & 0x0F), *pdu[16:18])) + b"\x00\x00\xd4\x01"
            return _tpkt(S7_HEADER.pack(0x32, 7, 0, reference, len(head), 4) + head + b"\x0a\x00\x00\x00")
        return _tpkt(S7_HEADER.pack(0x32, 3, 0, reference, 0, 0) + b"\x81\x04")

    def read(self, reference: int, parameters: bytes) -> bytes:
        """The items, each as bytes (their length in bits)."""
        image, items = self.next_image(), parameters[1]
        found = []
        for at in range(2, 2 + items * 12, 12):
            width = 4 if parameters[at + 3] == 0x08 else 1
            size = (parameters[at + 4] << 8 | parameters[at + 5]) * width
            start = int.from_bytes(parameters[at + 9 : at + 12], "big") >> 3
            self.count(start, size)
            found.append(b"\xff\x04" + (size * 8).to_bytes(2, "big") + image[start : start + size])
        self.reader.requests += 1
        data = b"".join(found)
        head = S7_HEADER.pack(0x32, 3, 0, reference, 2, len(data)) + b"\x00\x00" + bytes((4, items))
        return _tpkt(head + data)


def _tpkt(pdu: bytes) -> bytes:
    return b"\x03\x00" + (len(pdu) + 7).to_bytes(2, "big") + b"\x02\xf0\x80" + pdu


KINDS: dict[str, type[Device]] = {"modbus": ModbusDevice, "s7": S7Device}


def serve(pipe: Connection, fleet: Fleet, readers: int) -> None:
    """Serve a fleet until the pipe says so; a process of its own."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        values, counted = Values(fleet.tags), [Reader() for _ in range(readers)]
        servers = [await _listen(fleet, values, reader) for reader in counted]
        pipe.send([server.sockets[0].getsockname()[1] for server in servers])
        while (asked := await loop.run_in_executor(None, pipe.recv)) is not None:
            if asked == "facts":
                pipe.send(Facts([Given(one.requests, one.values, one.moved) for one in counted], time.process_time()))
            else:
                values.moving = asked == "move"
        for server in servers:
            server.close()

    asyncio.run(main())


async def _listen(fleet: Fleet, values: Values, reader: Reader) -> asyncio.Server:
    loop, kind = asyncio.get_running_loop(), KINDS[fleet.protocol]
    places = hosts(fleet)
    first = await loop.create_server(lambda: kind(values, reader), places[0], 0)
    port = first.sockets[0].getsockname()[1]
    first.close()
    return await loop.create_server(lambda: kind(values, reader), places, port, backlog=256)


class Responder:
    """The process from outside.

    Attributes:
        ports: One a reader.
    """

    def __init__(self, pipe: Connection, ports: Sequence[int]) -> None:
        """Over its pipe."""
        self._pipe = pipe
        self.ports = list(ports)

    def move(self, moving: bool) -> None:
        """Every answer brings new values, or the same ones again."""
        self._pipe.send("move" if moving else "rest")

    def facts(self) -> Facts:
        """What it gave so far."""
        self._pipe.send("facts")
        found: Facts = self._pipe.recv()
        return found

    def wait_read(self, fleet: Fleet) -> None:
        """Until every reader has read each value some times from now on: it knows all devices and is at its pace."""
        begin = self.facts().given
        wait_until(
            lambda: all(
                now.values - then.values >= ROUNDS * fleet.values
                for now, then in zip(self.facts().given, begin, strict=True)
            ),
            "every value read",
            deadline_s=ROUNDS_S,
        )


@contextmanager
def responding(fleet: Fleet, *, readers: int = 2) -> Iterator[Responder]:
    """A fleet in a process of its own; its values do not change at first."""
    with process(serve, fleet, readers) as pipe:
        if not pipe.poll(START_S):
            raise TimeoutError("the responder did not start")
        yield Responder(pipe, pipe.recv())
