"""An S7 CPU that is a real server: the devices of one link, values from signals, faults on demand.

python-snap7's server can't be used: it executes the write of a bit wrongly, and two of them can bind one port.
Source: RFC 1006 §6 (TPKT), ISO 8073 §13 (COTP class 0).
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence

from nexus_cli.drivers.base import points_of
from nexus_cli.drivers.s7.driver import tsap_of
from nexus_cli.drivers.s7.pdu import CC, CR, DR, DT, MIN_PDU
from nexus_cli.drivers.s7.simulator.process_image import Image, Place
from nexus_cli.drivers.s7.simulator.responder import Cpu
from nexus_cli.drivers.s7.status import NOT_ALLOWED, OUT_OF_RANGE
from nexus_cli.drivers.simulation.server import Client, StreamServer
from nexus_cli.drivers.simulation.signals import signal_of
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Value


class SimulatorServer(StreamServer):
    """A running simulator of one CPU.

    Attributes:
        cpu: The simulated CPU; `put_get` and `informs` are switches.
    """

    scheme = "s7"

    def __init__(self, devices: Sequence[DeviceConfig], *, seed: int, pdu: int | None) -> None:
        super().__init__()
        declared = [int(device.connection.get("pdu") or MIN_PDU) for device in devices]
        self.cpu = Cpu(Image(), pdu=max([*declared, MIN_PDU]) if pdu is None else pdu)
        self.tsaps = {tsap_of(device.connection) for device in devices}
        self._tags: dict[str, tuple[str, ...]] = {}
        self._places: dict[str, set[Place]] = {}
        for device in devices:
            self._add(device, seed)

    def _add(self, device: DeviceConfig, seed: int) -> None:
        points = points_of(device)
        self._tags[device.path] = tuple(point.name for point in points)
        places = self._places.setdefault(device.path, set())
        for point in points:
            path = f"{device.path}/{point.name}"
            places.add(self.cpu.image.add(path, point, signal_of(device.tags[point.name], path=path, seed=seed)))

    def client(self) -> Client:
        """The handler of the next connection."""
        return _Connection(self)

    def values(self, device_path: str) -> dict[str, Value]:
        """What a reader would get right now, raw, by tag."""
        t_s = self.t_s()
        return {tag: self.cpu.image.value(f"{device_path}/{tag}", t_s=t_s) for tag in self._tags[device_path]}

    def set(self, device_path: str, tag: str, value: Value) -> None:
        """Hold a tag at a raw value from now on; its signal stops.

        Raises:
            ValueError: The value does not fit the tag.
        """
        self.cpu.image.hold(f"{device_path}/{tag}", value)

    def forbid(self, device_path: str, tag: str) -> None:
        """Let a tag's bytes answer "out of range"."""
        space, cell = self.cpu.image.cell(f"{device_path}/{tag}")
        space.forbid(cell.field.start, cell.field.size)

    def fail(self, device_path: str, *, code: int) -> None:
        """Let every block and area of a device answer with a return code; 0 ends it."""
        for place in self._places[device_path]:
            self.cpu.image.spaces[place].refuses = code

    def optimise(self, device_path: str) -> None:
        """Let the device's blocks be as with optimised access: every address is out of range."""
        self.fail(device_path, code=OUT_OF_RANGE)

    def protect(self, device_path: str) -> None:
        """Let the device's blocks be protected from reading and writing."""
        self.fail(device_path, code=NOT_ALLOWED)


class _Connection(Client):
    """One client: COTP's handshake, then data."""

    def __init__(self, server: SimulatorServer) -> None:
        super().__init__(server)
        self._server = server
        self._buffer = b""
        self._parts = b""
        self._open = False
        self._granted = MIN_PDU

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._buffer += data
        self.pump()

    def pump(self) -> None:
        """Answer every whole frame in the buffer, in order, unless the server stalls."""
        while not self._server.stalled and self._transport is not None and len(self._buffer) >= 7:
            size = int.from_bytes(self._buffer[2:4], "big")
            if self._buffer[0] != 3 or size < 7:
                self._buffer = b""
                self.drop()
                return
            if len(self._buffer) < size:
                return
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            self._take(frame, self._transport)

    def _take(self, frame: bytes, transport: asyncio.Transport) -> None:
        kind = frame[5]
        if kind == CR and not self._open:
            self._connect(frame, transport)
        elif kind == DT and self._open:
            self._parts += frame[5 + frame[4] :]
            if frame[6] & 0x80:
                request, self._parts = self._parts, b""
                self._server.requests += 1
                reply, self._granted = self._server.cpu.answer(request, granted=self._granted, t_s=self._server.t_s())
                if reply is not None:
                    transport.write(reply)
        else:
            self.drop()

    def _connect(self, frame: bytes, transport: asyncio.Transport) -> None:
        """Confirm a connection to one of the CPU's TSAPs, refuse any other."""
        parameters, called = frame[11:], 0
        while len(parameters) >= 2 and len(parameters) >= 2 + parameters[1]:
            if parameters[0] == 0xC2:
                called = int.from_bytes(parameters[2 : 2 + parameters[1]], "big")
            parameters = parameters[2 + parameters[1] :]
        # PG, OP and basic connections differ in the high byte only
        self._open = any(called & 0xFF == tsap & 0xFF for tsap in self._server.tsaps)
        body = struct.pack(">B2s2sB", CC if self._open else DR, frame[8:10], b"\0\1", 0)
        if self._open:
            body += frame[11:]
        transport.write(struct.pack(">BBHB", 3, 0, len(body) + 5, len(body)) + body)
        if not self._open:
            transport.close()


async def serve(
    devices: Sequence[DeviceConfig],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    seed: int = 0,
    pdu: int | None = None,
) -> SimulatorServer:
    """Serve all devices of one link.

    Args:
        devices: They share one CPU: host, port, rack and slot, and its memory.
        host: Address to listen on.
        port: 0 picks a free one.
        seed: Makes the signals repeatable.
        pdu: Bytes of a PDU to grant; None grants what the devices' connections plan with.

    Raises:
        OSError: The address can't be had.
        ValueError: A signal's CSV file can't be read, or its values don't fit.
    """
    server = SimulatorServer(devices, seed=seed, pdu=pdu)
    await server.start(host=host, port=port)
    return server
