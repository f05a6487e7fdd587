"""Modbus devices that are real servers: all units of one link, values from signals, faults on demand.

The frames are taken apart here instead of by pymodbus's server, because that one holds fixed values, answers only
one of several pipelined requests, and has no illegal holes, stalls or dead units per request.
Source: Modbus Messaging on TCP/IP Implementation Guide V1.0b §3 (MBAP); Modbus over Serial Line V1.02 §2.5 (RTU, CRC).

See docs/decisions/0007.
"""

from __future__ import annotations

from collections.abc import Sequence

from nexus_cli.drivers.base import points_of
from nexus_cli.drivers.modbus.field import field_of
from nexus_cli.drivers.modbus.groups import unit_of
from nexus_cli.drivers.modbus.simulator.identity import objects_of
from nexus_cli.drivers.modbus.simulator.memory import Unit
from nexus_cli.drivers.modbus.simulator.responder import answer
from nexus_cli.drivers.simulation.server import Client, StreamServer
from nexus_cli.drivers.simulation.signals import signal_of
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Value

GATEWAY_TARGET_FAILED = 0x0B
"""Source: Modbus Application Protocol V1.1b3 §7: no response from the target device behind a gateway."""
MAX_FRAME = 264


class SimulatorServer(StreamServer):
    """A running simulator of one link."""

    def __init__(self, devices: Sequence[DeviceConfig], *, seed: int, holes: bool) -> None:
        super().__init__()
        self.rtu = any(device.connection.get("framing") == "rtu-over-tcp" for device in devices)
        self.units: dict[int, Unit] = {}
        self._places: dict[str, dict[str, Unit]] = {}
        self._unit_of: dict[str, Unit] = {}
        for device in devices:
            self._add(device, seed)
        for unit in self.units.values():
            unit.ready(holes=holes)

    def _add(self, device: DeviceConfig, seed: int) -> None:
        places = self._places.setdefault(device.path, {})
        own = unit_of(device.connection)
        unit = self._unit_of[device.path] = self.units.setdefault(own, Unit(device.connection))
        unit.identity = unit.identity or objects_of(device)
        for point in points_of(device):
            declared = field_of(point).unit_id
            unit = self.units.setdefault(own if declared is None else declared, Unit(device.connection))
            path = f"{device.path}/{point.name}"
            unit.add(path, point, signal_of(device.tags[point.name], path=path, seed=seed))
            places[point.name] = unit

    def client(self) -> Client:
        """The handler of the next connection."""
        return ModbusClient(self)

    def values(self, device_path: str) -> dict[str, Value]:
        """What a reader would get right now, raw, by tag."""
        t_s = self.t_s()
        return {tag: unit.value(f"{device_path}/{tag}", t_s=t_s) for tag, unit in self._places[device_path].items()}

    def set(self, device_path: str, tag: str, value: Value) -> None:
        """Hold a tag at a raw value from now on; its signal stops.

        Raises:
            ValueError: The value does not fit the tag.
        """
        area, cell = self._places[device_path][tag].cell(f"{device_path}/{tag}")
        cell.store(area.memory, value)
        cell.signal = None

    def forbid(self, device_path: str, tag: str) -> None:
        """Make a tag's addresses illegal, as if the device's map had a hole there."""
        area, cell = self._places[device_path][tag].cell(f"{device_path}/{tag}")
        area.forbid(cell.field.start, cell.field.count)

    def silence(self, device_path: str, *, silent: bool = True) -> None:
        """Let the device's unit not answer at all, as a dead unit behind a gateway."""
        self._unit_of[device_path].silent = silent

    def fail(self, device_path: str, *, code: int) -> None:
        """Let the device's unit answer everything with an exception code; 0 ends it."""
        self._unit_of[device_path].failure = code

    def respond(self, unit_id: int, pdu: bytes) -> bytes | None:
        """The response PDU of a unit, None for silence."""
        self.requests += 1
        unit = self.units.get(unit_id)
        if unit is None:
            return bytes((pdu[0] | 0x80, GATEWAY_TARGET_FAILED))
        return None if unit.silent else answer(unit, pdu, t_s=self.t_s())


class ModbusClient(Client):
    """One client: frames in, frames out."""

    def __init__(self, server: SimulatorServer) -> None:
        super().__init__(server)
        self._server = server
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._buffer += data
        self.pump()

    def pump(self) -> None:
        """Answer every whole frame in the buffer, in order, unless the server stalls."""
        if self._server.stalled or self._transport is None:
            return
        take = self._take_rtu if self._server.rtu else self._take_tcp
        while (frame := take()) is not None:
            if frame:
                self._transport.write(frame)

    def _take_tcp(self) -> bytes | None:
        """The answer to the next MBAP frame, b"" for silence, None when there is no whole frame."""
        if len(self._buffer) < 8:
            return None
        protocol, length = int.from_bytes(self._buffer[2:4], "big"), int.from_bytes(self._buffer[4:6], "big")
        if protocol != 0 or not 2 <= length <= MAX_FRAME:
            self.drop()
            self._buffer = b""
            return None
        if len(self._buffer) < 6 + length:
            return None
        frame, self._buffer = self._buffer[: 6 + length], self._buffer[6 + length :]
        reply = self._server.respond(frame[6], frame[7:])
        if reply is None:
            return b""
        return frame[:4] + (len(reply) + 1).to_bytes(2, "big") + frame[6:7] + reply

    def _take_rtu(self) -> bytes | None:
        """As `_take_tcp`, for RTU frames; a frame with a wrong checksum clears the buffer, as a silent line would."""
        size = _rtu_size(self._buffer)
        if size is None or len(self._buffer) < size:
            return None
        frame, self._buffer = self._buffer[:size], self._buffer[size:]
        if not size or crc16(frame[:-2]) != frame[-2:]:
            self._buffer = b""
            return None
        reply = self._server.respond(frame[0], frame[1:-2])
        if reply is None or frame[0] == 0:
            return b""
        body = frame[:1] + reply
        return body + crc16(body)


def _rtu_size(buffer: bytes) -> int | None:
    """Length of the request frame at the start of the buffer; None: wait for more; 0: not a request."""
    if len(buffer) < 2:
        return None
    function = buffer[1]
    if function in (15, 16):
        return None if len(buffer) < 7 else 9 + buffer[6]
    return 8 if function in (1, 2, 3, 4, 5, 6) else {22: 10, 43: 7}.get(function, 0)


def crc16(data: bytes) -> bytes:
    """Checksum of an RTU frame, low byte first. Source: Modbus over Serial Line V1.02 §6.2.2."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")
