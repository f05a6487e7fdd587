"""S7 PDUs inside ISO-on-TCP frames: pure, from numbers to bytes and back.

A frame is TPKT (4 bytes), COTP data header (3 bytes) and the S7 PDU. All places here count from the frame's first byte.
Source: RFC 1006 §6 (TPKT), ISO 8073 §13 (COTP); S7 as in Wireshark's s7comm dissector and Snap7's s7_types.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

TPKT_VERSION = 3
CR, CC, DR, DT = 0xE0, 0xD0, 0x80, 0xF0
"""COTP: connection request, confirm, disconnect request, data."""
DATA_HEADER = b"\x02\xf0\x80"
FRAME_HEADER = 7
PROTOCOL = 0x32
JOB, ACK, ACK_DATA, USERDATA = 1, 2, 3, 7
READ, WRITE, SETUP = 0x04, 0x05, 0xF0
MAX_ITEMS = 20
"""Variables of one multi-item read or write. Source: SIMATIC, "Properties of S7 communication": 20 on every CPU."""
MIN_PDU, MAX_PDU = 240, 960
"""What every CPU grants, and the most that any does."""
READ_REQUEST_HEADER = 12
"""S7 header (10), function and item count (2)."""
ITEM_ADDRESS = 12
READ_REPLY_HEADER = 14
"""S7 header with error class and code (12), function and item count (2)."""
ITEM_HEADER = 4
OK = 0xFF
_BITS, _BYTES, _OCTETS = 0x03, 0x04, 0x09

AREA_CODES = {"I": 0x81, "Q": 0x82, "M": 0x83, "DB": 0x84, "C": 0x1C, "T": 0x1D}
_LENGTH_IN_BITS = (0x03, 0x04, 0x05)
_ADDRESS = struct.Struct(">BBBBHHBBH")
_HEADER = struct.Struct(">BBHHHH")


class Malformed(ValueError):
    """The bytes received violate the protocol; the message says how."""


@dataclass(frozen=True, slots=True)
class Item:
    """One address of a read or write.

    Attributes:
        area: I, Q, M, DB, T or C.
        db: Number of the data block.
        start: First byte (in T and C twice the number).
        size: Bytes; 1 for a bit.
        bit: Bit to write, None for bytes.
    """

    area: str
    db: int
    start: int
    size: int
    bit: int | None = None

    @property
    def text(self) -> str:
        """For people."""
        if self.area in ("T", "C"):
            first, last = self.start // 2, (self.start + self.size) // 2 - 1
        else:
            first, last = self.start, self.start + self.size - 1
        span = f"{first}..{last}" if last > first else str(first)
        return f"DB{self.db} {span}" if self.area == "DB" else f"{self.area} {span}"


def frame(pdu: bytes) -> bytes:
    """A PDU as one frame."""
    return struct.pack(">BBH", TPKT_VERSION, 0, len(pdu) + FRAME_HEADER) + DATA_HEADER + pdu


def connect_frame(local_tsap: int, remote_tsap: int) -> bytes:
    """COTP connection request, 1,024-byte TPDUs."""
    body = (
        struct.pack(">BHHB", CR, 0, 1, 0)
        + b"\xc0\x01\x0a"
        + struct.pack(">BBHBBH", 0xC1, 2, local_tsap, 0xC2, 2, remote_tsap)
    )
    return struct.pack(">BBHB", TPKT_VERSION, 0, len(body) + 5, len(body)) + body


def with_reference(template: bytes, reference: int) -> bytes:
    """A job's frame under its own reference."""
    return template[:11] + reference.to_bytes(2, "big") + template[13:]


def job(parameters: bytes, data: bytes = b"", *, kind: int = JOB) -> bytes:
    """The frame of a job, its reference still zero."""
    return frame(_HEADER.pack(PROTOCOL, kind, 0, 0, len(parameters), len(data)) + parameters + data)


def setup_job(pdu: int) -> bytes:
    """Setup communication: one job at a time, and the PDU length asked for."""
    return job(struct.pack(">BBHHH", SETUP, 0, 1, 1, pdu))


def _address(item: Item) -> bytes:
    code = AREA_CODES[item.area]
    if item.area in ("T", "C"):
        return _ADDRESS.pack(0x12, 10, 0x10, code, item.size // 2, 0, code, 0, item.start // 2)
    at = item.start * 8 + (item.bit or 0)
    transport, count = (0x02, item.size) if item.bit is None else (0x01, 1)
    return _ADDRESS.pack(0x12, 10, 0x10, transport, count, item.db, code, at >> 16, at & 0xFFFF)


def read_job(items: Sequence[Item]) -> bytes:
    """Read all items."""
    return job(struct.pack(">BB", READ, len(items)) + b"".join(_address(item) for item in items))


def write_job(items: Sequence[Item], data: Sequence[bytes]) -> bytes:
    """Write all items; a bit's data is one byte."""
    parts = []
    for number, (item, raw) in enumerate(zip(items, data, strict=True)):
        if item.bit is not None:
            head = struct.pack(">BBH", 0, _BITS, 1)
        elif item.area in ("T", "C"):
            head = struct.pack(">BBH", 0, _OCTETS, len(raw))
        else:
            head = struct.pack(">BBH", 0, _BYTES, len(raw) * 8)
        parts.append(head + raw + (b"\0" if len(raw) % 2 and number < len(items) - 1 else b""))
    parameters = struct.pack(">BB", WRITE, len(items)) + b"".join(_address(item) for item in items)
    return job(parameters, b"".join(parts))


def read_request_size(items: int) -> int:
    """PDU bytes of a read request."""
    return READ_REQUEST_HEADER + ITEM_ADDRESS * items


def read_reply_size(sizes: Sequence[int]) -> int:
    """PDU bytes of the reply to a read of items of these sizes."""
    if not sizes:
        return READ_REPLY_HEADER
    return READ_REPLY_HEADER + sum(ITEM_HEADER + size + size % 2 for size in sizes) - sizes[-1] % 2


def write_request_size(sizes: Sequence[int]) -> int:
    """PDU bytes of a write request of items of these sizes."""
    return READ_REQUEST_HEADER + sum(ITEM_ADDRESS + ITEM_HEADER + size + size % 2 for size in sizes)


def longest_read(pdu: int) -> int:
    """Bytes that one item alone may have in a reply."""
    return pdu - READ_REPLY_HEADER - ITEM_HEADER


def longest_write(pdu: int) -> int:
    """Bytes that one item alone may have in a request."""
    return pdu - READ_REQUEST_HEADER - ITEM_ADDRESS - ITEM_HEADER


def data_places(sizes: Sequence[int]) -> list[int]:
    """Where the data of each item lies in the frame of a reply in which every item succeeded."""
    places, at = [], FRAME_HEADER + READ_REPLY_HEADER
    for size in sizes:
        places.append(at + ITEM_HEADER)
        at += ITEM_HEADER + size + size % 2
    return places


def error_of(reply: bytes) -> int:
    """Error class and code of an acknowledgement, 0 when it is none.

    Raises:
        Malformed: It is no acknowledgement of a job.
    """
    if len(reply) < FRAME_HEADER + 12 or reply[8] not in (ACK, ACK_DATA):
        raise Malformed("the response is not an acknowledgement")
    return reply[17] << 8 | reply[18]


def setup_reply(reply: bytes) -> int:
    """The PDU length that the CPU grants.

    Raises:
        Malformed: The answer is not to a setup, or grants nothing that can be used.
    """
    if len(reply) < FRAME_HEADER + 20 or reply[19] != SETUP:
        raise Malformed("the answer is not to the setup of communication")
    granted = int.from_bytes(reply[25:27], "big")
    if granted < 64:
        raise Malformed(f"the CPU grants PDUs of {granted} bytes")
    return granted


def read_items(reply: bytes, items: Sequence[Item]) -> Iterator[tuple[int, bytes]]:
    """Return code and data of every item, in order; the data is empty unless the code is `OK`.

    Raises:
        Malformed: Not the answer to this read.
    """
    if len(reply) < FRAME_HEADER + READ_REPLY_HEADER or reply[19] != READ or reply[20] != len(items):
        raise Malformed("the answer is not to this read")
    at = FRAME_HEADER + READ_REPLY_HEADER
    for item in items:
        if at + ITEM_HEADER > len(reply):
            raise Malformed("the answer ends before its last item")
        code, transport, length = reply[at], reply[at + 1], int.from_bytes(reply[at + 2 : at + 4], "big")
        size = (length + 7) // 8 if transport in _LENGTH_IN_BITS else length
        at += ITEM_HEADER
        if code != OK:
            yield code, b""
            at += size + size % 2 if transport else 0
            continue
        if size != item.size or at + size > len(reply):
            raise Malformed(f"the answer has {size} bytes for an item of {item.size}")
        yield code, reply[at : at + size]
        at += size + size % 2


def write_codes(reply: bytes, count: int) -> bytes:
    """Return code of every written item.

    Raises:
        Malformed: Not the answer to this write.
    """
    codes = reply[21 : 21 + count]
    if len(reply) < FRAME_HEADER + READ_REPLY_HEADER or reply[19] != WRITE or len(codes) != count:
        raise Malformed("the answer is not to this write")
    return codes
