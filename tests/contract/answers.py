"""Answers to writes, and answers that are somebody else's, by protocol."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

from asyncua.ua.ua_binary import nodeid_from_binary

from nexus_cli.drivers.ads.frame import HEADER, WRITE
from nexus_cli.drivers.ads.plc import RELEASE_HANDLE
from nexus_cli.drivers.modbus.pdu import checksum

Answer = Callable[[bytes], bytes]
"""From a question to the answer."""
_MODBUS_WRITES = (5, 6, 15, 16, 22)
_OPCUA_WRITE = b"\x01\x00\xa1\x02"
"""WriteRequest. Source: OPC 10000-6 annex A (NodeIds of binary encodings); the answer is 676."""


def _ads_write(asked: bytes) -> bool:
    writes = len(asked) >= HEADER.size + 4 and HEADER.unpack_from(asked)[4] == WRITE
    return writes and struct.unpack_from("<I", asked, HEADER.size)[0] != RELEASE_HANDLE


def _rtu_write(asked: bytes) -> bool:
    return asked[1] in _MODBUS_WRITES


WRITES: dict[str, Callable[[bytes], bool]] = {
    "modbus": lambda asked: asked[7] in _MODBUS_WRITES,
    "modbus-rtu-over-tcp": _rtu_write,
    "modbus-serial": _rtu_write,
    "s7": lambda asked: len(asked) > 17 and asked[8] == 1 and asked[17] == 5,
    "ads": _ads_write,
    "opcua": lambda asked: asked[24:28] == _OPCUA_WRITE,
}
"""By the name of a driver case: whether a frame writes a value."""


def is_write(name: str, asked: bytes) -> bool:
    """Whether a frame of a driver case writes a value; KeyError with the name of a case that has no entry."""
    return WRITES[name](asked)


def s7_item(code: int) -> Answer:
    """A write whose one item has this return code; 0xFF is success."""

    def answer(asked: bytes) -> bytes:
        job = b"\x32\x03\0\0" + asked[11:13] + b"\0\2\0\1\0\0\x05\x01" + bytes((code,))
        return struct.pack(">BBH", 3, 0, 7 + len(job)) + b"\x02\xf0\x80" + job

    return answer


def ads_data(data: bytes) -> Answer:
    """An answer with this data; a result code takes four bytes."""

    def answer(asked: bytes) -> bytes:
        _, _, target, source, command, _, _, _, invoke = HEADER.unpack_from(asked)
        return HEADER.pack(0, 32 + len(data), source, target, command, 5, len(data), 0, invoke) + data

    return answer


def opcua_written(status: int) -> Answer:
    """A WriteResponse with this status of its one node."""

    def answer(asked: bytes) -> bytes:
        stream = io.BytesIO(asked[28:])
        nodeid_from_binary(stream)
        handle = stream.read(12)[8:]
        body = b"\x01\x00\xa4\x02" + bytes(8) + handle + bytes(5) + struct.pack("<i", -1) + bytes(3)
        body += struct.pack("<iIi", 1, status, -1)
        return b"MSGF" + struct.pack("<I", 24 + len(body)) + asked[8:24] + body

    return answer


def modbus_done(asked: bytes) -> bytes:
    """What a server answers that carries out FC05 or FC06."""
    return asked


DONE: dict[str, Answer] = {
    "modbus": modbus_done,
    "modbus-rtu-over-tcp": modbus_done,
    "modbus-serial": modbus_done,
    "s7": s7_item(0xFF),
    "ads": ads_data(bytes(4)),
    "opcua": opcua_written(0),
}
"""The answer to a write that was carried out."""


def _added(at: int, size: int, order: str, by: int) -> Answer:
    def other(frame: bytes) -> bytes:
        number = (int.from_bytes(frame[at : at + size], order) + by) % (1 << 8 * size)  # type: ignore[arg-type]
        return frame[:at] + number.to_bytes(size, order) + frame[at + size :]  # type: ignore[arg-type]

    return other


def _other_unit(frame: bytes) -> bytes:
    body = bytes((frame[0] + 1,)) + frame[1:-2]
    return body + checksum(body)


STRANGERS: dict[str, dict[str, Answer]] = {
    "modbus": {"transaction-off-by-one": _added(0, 2, "big", 1)},
    "modbus-rtu-over-tcp": {"another-unit": _other_unit},
    "modbus-serial": {"another-unit": _other_unit},
    "s7": {
        "reference-off-by-one": _added(11, 2, "big", 1),
        "reference-0": lambda frame: frame[:11] + b"\0\0" + frame[13:],
    },
    "ads": {"invoke-id-off-by-one": _added(34, 4, "little", 1)},
    "opcua": {"request-id-of-nobody": _added(20, 4, "little", 50), "handle-off-by-one": _added(36, 4, "little", 1)},
}
"""What makes an answer somebody else's."""


def preceded(name: str, other: Answer) -> Answer:
    """Each answer comes behind one to somebody else that has another value. OPC UA numbers the messages of a connection
    without a hole, so each takes its place in that order (OPC 10000-6 §6.7.2.4)."""
    before = 0

    def answer(data: bytes) -> bytes:
        nonlocal before
        stranger = other(data[:-3] + bytes((data[-3] ^ 1,)) + data[-2:])
        if name == "opcua":
            stranger, data = _added(16, 4, "little", before)(stranger), _added(16, 4, "little", before + 1)(data)
            before += 1
        return stranger + data

    return answer
