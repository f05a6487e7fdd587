"""The information functions of a CPU: system status lists, lists of blocks, a block's header. Pure.

Source: Siemens, "System Software for S7-300/400, System and Standard Functions", ch. "System Status Lists";
Snap7 s7_types.h and python-snap7's szl.py (layouts, checked there on real CPUs).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from nexus_cli.drivers.s7.pdu import ACK, ACK_DATA, OK, USERDATA, Malformed, error_of, job

BLOCKS, STATUS = 3, 4
"""Function groups."""
LIST_ALL, LIST_TYPE, BLOCK_INFO = 1, 2, 3
READ_SZL = 1
BLOCK_TYPES = {0x38: "OB", 0x41: "DB", 0x42: "SDB", 0x43: "FC", 0x44: "SFC", 0x45: "FB", 0x46: "SFB"}
DB = 0x41
ORDER_CODE, IDENTITY, PROTECTION, STATE = (0x0011, 0), (0x001C, 0), (0x0232, 4), (0x0424, 0)
"""SZL id and index."""
STATES = {
    **dict.fromkeys((1, 2, 3, 4), "stop"),
    **dict.fromkeys((5, 6, 7), "startup"),
    8: "run",
    9: "run",
    10: "hold",
    11: "run",
    12: "run",
    13: "defect",
    15: "no power",
}
"""Operating states. 9, 11 and 12 are those of a redundant pair: run together, link-up and update of the second CPU."""
RUNNING = frozenset(code for code, name in STATES.items() if name == "run")
_IDENTITY = {1: "station", 2: "module", 3: "plant", 4: "copyright", 5: "serial_number", 7: "module_type"}


class Answer(NamedTuple):
    """One part of an answer.

    Attributes:
        error: 0, or the error code of the whole or the return code of its data.
        data: What it holds.
        sequence: What to ask for the next part with.
        more: Whether there is one.
    """

    error: int
    data: bytes
    sequence: int
    more: bool


def ask(group: int, function: int, data: bytes = b"") -> bytes:
    """The frame of a request, its reference still zero."""
    head = struct.pack(">BBH", OK, 0x09, len(data)) if data else b"\x0a\0\0\0"
    return job(bytes((0, 1, 0x12, 4, 0x11, 0x40 | group, function, 0)), head + data, kind=USERDATA)


def ask_more(group: int, function: int, sequence: int) -> bytes:
    """The frame of a request for the next part."""
    parameters = bytes((0, 1, 0x12, 8, 0x12, 0x40 | group, function, sequence, 0, 0, 0, 0))
    return job(parameters, b"\x0a\0\0\0", kind=USERDATA)


def answer(reply: bytes) -> Answer:
    """Take an answer apart.

    Raises:
        Malformed: It is none.
    """
    if len(reply) >= 19 and reply[8] in (ACK, ACK_DATA) and (error := error_of(reply)):
        return Answer(error, b"", 0, False)  # S7-1500: what it does not know at all, it refuses as a job
    if len(reply) < 33 or reply[8] != USERDATA or int.from_bytes(reply[13:15], "big") < 12:
        raise Malformed("the answer is not to an information function")
    error = int.from_bytes(reply[27:29], "big")
    code, length = reply[29], int.from_bytes(reply[31:33], "big")
    data = reply[33 : 33 + length]
    if not error and code != OK:
        error = code or 0x0A
    return Answer(error, data, reply[24], reply[26] != 0)


def ask_szl(szl: int, index: int) -> bytes:
    """Read a system status list."""
    return ask(STATUS, READ_SZL, struct.pack(">HH", szl, index))


def ask_block(kind: int, number: int) -> bytes:
    """Read a block's header, from the CPU's working memory."""
    return ask(BLOCKS, BLOCK_INFO, bytes((0x30, kind)) + f"{number:05d}".encode() + b"A")


def records(szl: bytes) -> Iterator[bytes]:
    """The records of a status list; `szl` begins with its id and index."""
    if len(szl) < 8:
        return
    size, count = struct.unpack(">HH", szl[4:8])
    for number in range(count):
        record = szl[8 + number * size : 8 + (number + 1) * size]
        if size and len(record) == size:
            yield record


def text_of(raw: bytes) -> str:
    """A name in a status list: ASCII up to the first NUL."""
    return raw.split(b"\0", 1)[0].decode("latin-1").strip()


def identity_of(szl: bytes) -> dict[str, str]:
    """SZL 0x001C: names by what they name."""
    found: dict[str, str] = {}
    for record in records(szl):
        name = _IDENTITY.get(int.from_bytes(record[:2], "big"))
        text = text_of(record[2:])
        if name and text:
            found[name] = text
    return found


def order_code_of(szl: bytes) -> dict[str, str]:
    """SZL 0x0011: order number and firmware version (record 7; else that of record 1)."""
    found: dict[str, str] = {}
    for record in records(szl):
        index = int.from_bytes(record[:2], "big")
        if index == 1 and len(record) >= 22:
            found["order_code"] = text_of(record[2:22])
        if index in (1, 7) and len(record) >= 28 and any(record[-3:]):
            found["firmware"] = "{}.{}.{}".format(*record[-3:])
    return found


def protection_of(szl: bytes) -> dict[str, str]:
    """SZL 0x0232 index 4: protection levels 1 (none) to 3, by key switch and by password."""
    for record in records(szl):
        words = [int.from_bytes(record[at : at + 2], "big") for at in range(0, len(record) - 1, 2)]
        if len(words) >= 4 and words[0] == 4:
            return {"protection": str(words[3] or words[1]), "protection_set": str(words[2])}
    return {}


def state_of(szl: bytes) -> str:
    """SZL 0x0424: name of the CPU's operating state, "" when it does not say."""
    code = state_code_of(szl)
    return STATES.get(code, f"state {code:#04x}") if code else ""


def state_code_of(szl: bytes) -> int:
    """SZL 0x0424: the CPU's operating state, 0 when it does not say. The high half has the state before."""
    for record in records(szl):
        if len(record) >= 4:
            return record[3] & 0x0F
    return 0


def counts_of(data: bytes) -> dict[str, int]:
    """List of all blocks: how many of each type."""
    found = {}
    for at in range(0, len(data) - 3, 4):
        name = BLOCK_TYPES.get(data[at + 1])
        if data[at] == 0x30 and name:
            found[name] = int.from_bytes(data[at + 2 : at + 4], "big")
    return found


def numbers_of(data: bytes) -> list[int]:
    """List of the blocks of one type: their numbers."""
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data) - 3, 4)]


class BlockHeader(NamedTuple):
    """A block's header.

    Attributes:
        number: Of the block.
        length: Bytes of its data.
        author, family, name: As in the block's properties.
        protected: Know-how protection is on.
    """

    number: int
    length: int
    author: str
    family: str
    name: str
    protected: bool


def block_of(data: bytes) -> BlockHeader | None:
    """A block's header, None when it is too short to be one."""
    if len(data) < 66:
        return None
    texts = [text_of(data[at : at + 8]) for at in (42, 50, 58)]
    number, length = int.from_bytes(data[12:14], "big"), int.from_bytes(data[40:42], "big")
    return BlockHeader(number, length, texts[0], texts[1], texts[2], bool(int.from_bytes(data[18:22], "big") & 3))
