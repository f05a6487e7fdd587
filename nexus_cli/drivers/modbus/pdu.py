"""Requests and answers as bytes: pure. A request is its unit id and PDU; a channel puts it in a frame.

Source: Modbus Application Protocol V1.1b3 §4.1 (PDU), §6 (functions), §7 (exceptions); Modbus over Serial Line V1.02
§2.3 (RTU frame), §6.2.2 (checksum).
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple

from nexus_cli.drivers.modbus.writing import WritePlan

MAX_PDU = 253
"""Source: §4.1."""
MAX_RTU_FRAME = 256
EXCEPTION = 0x80
"""Set in the function code of an answer that refuses."""
BIT_FUNCTIONS = (1, 2)
_ECHOES = {5: 8, 6: 8, 15: 8, 16: 8, 22: 10}
"""Bytes of an RTU frame that answers a write."""
ANSWERED_ALIKE = (5, 6, 22)
"""Functions whose answer is the request once more. Source: §6.5, §6.6, §6.16."""
_HEADER = struct.Struct(">BBHH")


def read_request(unit: int, function: int, start: int, count: int) -> bytes:
    """FC1 to FC4.

    Raises:
        ValueError: A number does not fit its field.
    """
    try:
        return _HEADER.pack(unit, function, start, count)
    except struct.error:
        raise ValueError(f"no request can ask unit {unit} for {count} from {start} on") from None


def read_head(function: int, count: int) -> bytes:
    """How the answer to FC1 to FC4 begins: function and bytes of data."""
    return bytes((function, ((count + 7) // 8 if function in BIT_FUNCTIONS else count * 2) & 0xFF))


def write_request(unit: int, plan: WritePlan) -> bytes:
    """FC5, FC6, FC15, FC16 or FC22."""
    if plan.function == 5:
        return _HEADER.pack(unit, 5, plan.start, 0xFF00 if plan.bits[0] else 0)
    if plan.function == 6:
        return _HEADER.pack(unit, 6, plan.start, plan.registers[0])
    if plan.function == 22:
        return _HEADER.pack(unit, 22, plan.start, plan.and_mask) + plan.or_mask.to_bytes(2, "big")
    if plan.function == 15:
        packed = sum(bit << place for place, bit in enumerate(plan.bits))
        size = (len(plan.bits) + 7) // 8
        return _HEADER.pack(unit, 15, plan.start, len(plan.bits)) + bytes((size,)) + packed.to_bytes(size, "little")
    raw = struct.pack(f">{len(plan.registers)}H", *plan.registers)
    return _HEADER.pack(unit, 16, plan.start, len(plan.registers)) + bytes((len(raw),)) + raw


def acknowledges(answer: bytes, request: bytes) -> bool:
    """Whether an answer to a write is of the same function, place and count as the request (unit id and PDU).

    The value of a single write is not compared: devices that clamp it answer with what they took, and a read back
    shows it. Source: §6.5, §6.6, §6.11, §6.12, §6.16.
    """
    size = 3 if request[1] in ANSWERED_ALIKE else 5
    return len(answer) >= 5 and answer[:size] == request[1 : 1 + size]


def identification_request(unit: int, first: int) -> bytes:
    """FC43/14, the regular objects from this one on."""
    return bytes((unit, 43, 14, 2, first))


class Identification(NamedTuple):
    """A page of the device identification.

    Attributes:
        objects: Raw texts by object id.
        following: Object that the next page begins with, None on the last one.
    """

    objects: dict[int, bytes]
    following: int | None


def identification_of(answer: bytes) -> Identification:
    """Take an answer to FC43/14 apart.

    Raises:
        ValueError: It is cut, or not one.
    """
    if len(answer) < 7 or answer[1] != 14:
        raise ValueError("the response is not a device identification")
    objects: dict[int, bytes] = {}
    at = 7
    for _ in range(answer[6]):
        end = at + 2 + (answer[at + 1] if at + 2 <= len(answer) else 0)
        if end > len(answer):
            raise ValueError("the device identification is cut")
        objects[answer[at]] = answer[at + 2 : end]
        at = end
    return Identification(objects, answer[5] if answer[4] else None)


def checksum(data: bytes) -> bytes:
    """Of an RTU frame, low byte first; of a frame with its checksum, two zeros."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def _table() -> tuple[int, ...]:
    entries = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
        entries.append(crc)
    return tuple(entries)


_TABLE = _table()


@lru_cache(maxsize=4096)
def rtu_frame(request: bytes) -> bytes:
    """A request with its checksum; what is polled is asked again and again."""
    return request + checksum(request)


def rtu_answer(data: bytes, *, unit: int, function: int) -> bytes | None:
    """The answer's PDU among the bytes that came after an RTU request; None while there is none.

    Noise before it is skipped. A frame of this unit to another function is given too, when it is all that came: who
    asked refuses it.

    Args:
        data: Everything that came.
        unit: Who was asked; 0 takes an answer of any unit.
        function: What for.
    """
    for at in range(len(data) - 4):
        if data[at + 1] & ~EXCEPTION == function and (data[at] == unit or not unit):
            size = _rtu_size(data, at)
            if size > MAX_RTU_FRAME:
                continue
            if at + size > len(data):
                return None  # its data may have the form of a frame: only the whole is certain
            if checksum(data[at : at + size]) == b"\0\0":
                return data[at + 1 : at + size - 2]
    if 5 <= len(data) <= MAX_RTU_FRAME and data[0] == unit and checksum(data) == b"\0\0":
        return data[1:-2]
    return None


def _rtu_size(data: bytes, at: int) -> int:
    """Bytes of the frame that begins here, as far as its first bytes show (at least five bytes are there)."""
    function = data[at + 1]
    if function & EXCEPTION:
        return 5
    if function != 43:
        return _ECHOES.get(function) or 5 + data[at + 2]
    if len(data) < at + 8:
        return 8
    end = at + 8
    for _ in range(data[at + 7]):
        if len(data) < end + 2:
            return end + 2 - at + 2
        end += 2 + data[end + 1]
    return end + 2 - at
