"""What a simulated CPU answers to one S7 PDU: from frame to frame, pure.

Written from the protocol and not with `pdu.read_items` and its kin, so that a misreading of the driver is not answered
by the same misreading here. Source: Wireshark's s7comm dissector; Snap7 s7_types.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from nexus_cli.drivers.s7.pdu import MAX_ITEMS, frame
from nexus_cli.drivers.s7.simulator.process_image import Image, Space
from nexus_cli.drivers.s7.userdata import BLOCK_TYPES
from nexus_cli.drivers.simulation.memory import Refused

AREAS = {0x81: "I", 0x82: "Q", 0x83: "M", 0x84: "DB", 0x1C: "C", 0x1D: "T"}
SIZES = {0x02: 1, 0x03: 1, 0x04: 2, 0x05: 2, 0x06: 4, 0x07: 4, 0x08: 4, 0x1C: 2, 0x1D: 2}
"""Bytes of one element by transport size: BYTE CHAR WORD INT DWORD DINT REAL COUNTER TIMER."""
RUN = 8
NOT_SERVED, PDU_TOO_LONG, NO_FUNCTION = 0x8104, 0x8500, 0xD401
UNSUPPORTED_TYPE = 0x06
_HARDWARE = "6ES7 214-1AG40-0XB0"
_NAMES = {
    1: "NEXUS simulator",
    2: "CPU 1214C",
    3: "",
    4: "Original Siemens Equipment",
    5: "S NEXUS-0001",
    7: "CPU 1214C DC/DC/DC",
}


class Cpu:
    """A CPU's answers.

    Attributes:
        image: Its memory.
        pdu: Bytes of a PDU that it grants.
        put_get: Whether PUT/GET is allowed.
        informs: Whether it has lists of its blocks (S7-300/400 do, S7-1200/1500 don't).
        state: Its operating state (SZL 0x0424), 8 while it runs and 4 in STOP; 0 when it has no such list.
        silent: It does not answer at all when it is asked for a list, as small devices do.
    """

    def __init__(self, image: Image, *, pdu: int) -> None:
        self.image, self.pdu = image, pdu
        self.put_get = self.informs = True
        self.state, self.silent = RUN, False

    def answer(self, request: bytes, *, granted: int, t_s: float) -> tuple[bytes | None, int]:
        """The frame that answers a PDU, None for silence; and the PDU length granted from now on."""
        if len(request) < 11 or request[0] != 0x32:
            return None, granted
        kind, reference = request[1], request[4:6]
        parameter_size, data_size = struct.unpack(">HH", request[6:10])
        parameters, data = request[10 : 10 + parameter_size], request[10 + parameter_size :]
        if len(parameters) != parameter_size or len(data) != data_size or not parameters:
            return None, granted
        try:
            if kind == 7 and self.silent:
                return None, granted
            if kind == 7:
                return frame(_userdata(self, reference, parameters, data)), granted
            if kind != 1:
                return None, granted
            if parameters[0] == 0xF0:
                granted = min(self.pdu, struct.unpack(">H", parameters[6:8])[0])
                return frame(_ack(reference, parameters[:6] + granted.to_bytes(2, "big"))), granted
            if parameters[0] not in (4, 5) or not self.put_get:
                return frame(_ack(reference, b"", error=NOT_SERVED)), granted
            if len(request) > granted or parameters[1] > MAX_ITEMS:
                return frame(_ack(reference, b"", error=PDU_TOO_LONG)), granted
            reply = (
                self._read(reference, parameters, t_s)
                if parameters[0] == 4
                else self._write(reference, parameters, data)
            )
        except (struct.error, IndexError):
            return frame(_ack(reference, b"", error=NOT_SERVED)), granted
        if len(reply) > granted:
            return frame(_ack(reference, b"", error=PDU_TOO_LONG)), granted
        return frame(reply), granted

    def _read(self, reference: bytes, parameters: bytes, t_s: float) -> bytes:
        body = b""
        for transport, count, db, area, address in _addresses(parameters):
            if len(body) % 2:
                body += b"\0"
            try:
                space = self._space(area, db)
                if transport == 1:
                    byte = space.view(address >> 3, 1, t_s=t_s)[0]
                    body += struct.pack(">BBHB", 0xFF, 0x03, 1, byte >> (address & 7) & 1)
                    continue
                size = _size(transport) * count
                start = address * 2 if area in (0x1C, 0x1D) else address >> 3
                raw = space.view(start, size, t_s=t_s)
                octets = area in (0x1C, 0x1D) or transport == 0x03
                body += struct.pack(">BBH", 0xFF, 0x09 if octets else 0x04, size if octets else size * 8) + raw
            except Refused as refused:
                body += struct.pack(">BBH", refused.code, 0, 0)
        return _ack(reference, parameters[:2], body)

    def _write(self, reference: bytes, parameters: bytes, data: bytes) -> bytes:
        codes, at = b"", 0
        for transport, count, db, area, address in _addresses(parameters):
            at += at % 2
            _, kind, length = struct.unpack(">BBH", data[at : at + 4])
            size = (length + 7) // 8 if kind in (3, 4, 5) else length
            raw = data[at + 4 : at + 4 + size]
            at += 4 + size
            try:
                space = self._space(area, db)
                if transport == 1:
                    if kind != 3 or count != 1:
                        raise Refused(0x07)
                    space.write_bit(address >> 3, address & 7, bool(raw[0]))
                elif len(raw) != _size(transport) * count:
                    raise Refused(0x07)
                else:
                    space.write(address * 2 if area in (0x1C, 0x1D) else address >> 3, raw)
                codes += b"\xff"
            except Refused as refused:
                codes += bytes((refused.code,))
        return _ack(reference, parameters[:2], codes)

    def _space(self, area: int, db: int) -> Space:
        return self.image.space((AREAS.get(area, "?"), db if area == 0x84 else 0))


def _ack(reference: bytes, parameters: bytes, data: bytes = b"", *, error: int = 0) -> bytes:
    kind = 2 if error and not parameters else 3
    return struct.pack(">BBH2sHHH", 0x32, kind, 0, reference, len(parameters), len(data), error) + parameters + data


def _addresses(parameters: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Transport size, count, block, area and bit address of every item."""
    for number in range(parameters[1]):
        raw = parameters[2 + number * 12 : 14 + number * 12]
        spec, length, syntax, transport, count, db, area = struct.unpack(">BBBBHHB", raw[:9])
        if (spec, length, syntax) != (0x12, 10, 0x10):
            raise IndexError("only S7ANY addresses")
        yield transport, count, db, area, int.from_bytes(raw[9:12], "big")


def _size(transport: int) -> int:
    if transport not in SIZES:
        raise Refused(UNSUPPORTED_TYPE)
    return SIZES[transport]


def _userdata(cpu: Cpu, reference: bytes, parameters: bytes, data: bytes) -> bytes:
    group, function, sequence = parameters[5] & 0x0F, parameters[6], parameters[7]
    found: bytes | None = None
    if group == 4 and function == 1:
        found = _status_list(cpu, *struct.unpack(">HH", data[4:8]))
    elif group == 3 and cpu.informs:
        found = _blocks(cpu.image, function, data[4:])
    error = 0 if found is not None else NO_FUNCTION
    head = bytes((0, 1, 0x12, 8, 0x12, 0x80 | group, function, sequence or 1, 0, 0)) + error.to_bytes(2, "big")
    body = b"\x0a\0\0\0" if found is None else struct.pack(">BBH", 0xFF, 0x09, len(found)) + found
    return struct.pack(">BBH2sHH", 0x32, 7, 0, reference, len(head), len(body)) + head + body


def _status_list(cpu: Cpu, szl: int, index: int) -> bytes | None:
    if szl == 0x0011:
        order = _HARDWARE.encode().ljust(20)
        rows = [
            struct.pack(">H20sHHH", number, order, 0, ausbg, ausbe)
            for number, ausbg, ausbe in ((1, 1, 1), (7, 0x5604, 0x0502))
        ]
    elif szl == 0x001C:
        rows = [struct.pack(">H32s", number, name.encode()) for number, name in _NAMES.items()]
    elif szl == 0x0232 and index == 4:
        rows = [struct.pack(">HHHHH30x", 4, 1, 0, 1, 1)]
    elif szl == 0x0424 and cpu.state:
        rows = [bytes.fromhex("5100ff") + bytes((cpu.state,)) + bytes.fromhex("0000000000000000940310151435446100")]
    else:
        return None
    return struct.pack(">HHHH", szl, index, len(rows[0]), len(rows)) + b"".join(rows)


def _blocks(image: Image, function: int, data: bytes) -> bytes | None:
    numbers = sorted(db for area, db in image.spaces if area == "DB")
    if function == 1:
        counts = {kind: len(numbers) if name == "DB" else int(name == "OB") for kind, name in BLOCK_TYPES.items()}
        return b"".join(struct.pack(">BBH", 0x30, kind, count) for kind, count in counts.items())
    if function == 2 and data[1:2] == b"\x41":
        return b"".join(struct.pack(">HBB", number, 0x22, 5) for number in numbers)
    number = int(data[2:7]) if function == 3 and data[2:7].isdigit() else 0
    if data[1:2] != b"\x41" or ("DB", number) not in image.spaces:
        return None
    length = len(image.spaces["DB", number].memory)
    info = bytearray(78)
    info[0:12] = b"\x01\x41\0\x4a\0\x22\x70\x70\x01\x01\x05\x0a"
    struct.pack_into(">HIHH", info, 12, number, length + 36, 0, 0)
    struct.pack_into(">HHHH8s8s8sB", info, 34, 0, 0, 0, length, b"NEXUS", b"SIM", b"", 1)
    return bytes(info)
