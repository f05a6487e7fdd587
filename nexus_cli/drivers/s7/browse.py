"""Browsing a CPU: identity, protection, data blocks and their lengths. Not what is in them.

Nothing found here can become a tag, because S7 communication has bytes and no variables: every block says
so in `detail["skipped"]`. Facts of the CPU are in `detail["facts"]`; `detail["beat"]` is a sign of life.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from nexus_cli.drivers.base import Browsed, DriverError, Scope
from nexus_cli.drivers.s7 import userdata
from nexus_cli.drivers.s7.pdu import OK, Item
from nexus_cli.drivers.s7.status import NO_OBJECT, NOT_ALLOWED, OPTIMISED, PUT_GET
from nexus_cli.wire.sample import Reason

PROBED_BLOCKS = 59_999
"""Data blocks that are tried, from 1, when the CPU has no list of them (S7-1200, S7-1500): as many as TIA Portal numbers.
Source: Siemens, STEP 7 system manual, "Data blocks": 1 to 59999 by hand, those above are made by the program itself."""
PROBE_ITEMS = 18
MAX_LENGTH = 65_536
LISTED_KEYS = ("length", "name", "author", "family", "protected")
"""What the list of blocks says of each; the length is in bytes."""
NO_NAMES = "S7 reports the length of a block, not its content: import its TIA source (.db, .scl)"


class Cpu(Protocol):
    """What a browse needs of a session."""

    @property
    def pdu(self) -> int:
        """Bytes of a PDU as negotiated."""
        ...

    async def inform(self, group: int, function: int, request: bytes) -> userdata.Answer:
        """The whole answer of an information function. Raises DriverError."""
        ...

    async def fetch(self, items: Sequence[Item]) -> list[tuple[int, bytes]]:
        """Return code and data of some items that fit one PDU. Raises DriverError."""
        ...


async def browse(cpu: Cpu, *, start: str = "") -> AsyncIterator[Browsed]:
    """First the facts, then the data blocks by number, a list of them, and the number of the other blocks.

    Args:
        cpu: An open cpu.
        start: "" for everything, or a block such as `DB7`.

    Raises:
        DriverError: The session is lost, or `start` is no block.
    """
    if start:
        wanted = start.upper().removeprefix("DB")
        if not wanted.isdecimal():
            raise DriverError(f"'{start}' is not a data block", scope=Scope.ITEM, reason=Reason.ILLEGAL_ADDRESS)
        yield await _block(cpu, int(wanted))
        return
    facts = await _facts(cpu)
    request = userdata.ask(userdata.BLOCKS, userdata.LIST_ALL)
    counts = await _inform(cpu, userdata.BLOCKS, userdata.LIST_ALL, request)
    facts["blocks"] = "listed by the CPU" if counts is not None else f"not listed; DB1 to DB{PROBED_BLOCKS} were tried"
    yield Browsed(("cpu",), "", "", detail={"facts": facts})
    numbers: list[int] = []
    if counts is not None:
        numbers = await _listed(cpu)
    else:
        for first in range(1, PROBED_BLOCKS + 1, PROBE_ITEMS):
            numbers += await _probe(cpu, first)
            yield Browsed((), "", "", detail={"beat": True})
    blocks: list[dict[str, object]] = []
    for number in numbers:
        block = await _block(cpu, number)
        blocks.append(
            {"block": block.path[0], **{key: block.detail[key] for key in LISTED_KEYS if key in block.detail}}
        )
        yield block
    if blocks:
        yield Browsed(("cpu",), "", "", detail={"facts": {"data_blocks": blocks}})
    for name, count in userdata.counts_of(counts or b"").items():
        if name != "DB" and count:
            yield Browsed((f"{name} ({count})",), "", "", detail={"skipped": "blocks of program, not of values"})


async def _inform(cpu: Cpu, group: int, function: int, request: bytes) -> bytes | None:
    """The data of an information function; None when the CPU has none."""
    answer = await cpu.inform(group, function, request)
    return None if answer.error else answer.data


async def _szl(cpu: Cpu, place: tuple[int, int]) -> bytes:
    return await _inform(cpu, userdata.STATUS, userdata.READ_SZL, userdata.ask_szl(*place)) or b""


async def _facts(cpu: Cpu) -> dict[str, str]:
    found = userdata.order_code_of(await _szl(cpu, userdata.ORDER_CODE))
    found |= userdata.identity_of(await _szl(cpu, userdata.IDENTITY))
    found |= userdata.protection_of(await _szl(cpu, userdata.PROTECTION))
    if state := userdata.state_of(await _szl(cpu, userdata.STATE)):
        found["state"] = state
    return found | {"pdu": str(cpu.pdu)}


async def _listed(cpu: Cpu) -> list[int]:
    request = userdata.ask(userdata.BLOCKS, userdata.LIST_TYPE, bytes((0x30, userdata.DB)))
    data = await _inform(cpu, userdata.BLOCKS, userdata.LIST_TYPE, request)
    return sorted(set(userdata.numbers_of(data or b"")))


async def _block(cpu: Cpu, number: int) -> Browsed:
    """One data block with its length: from its header, else by reading towards its end."""
    data = await _inform(cpu, userdata.BLOCKS, userdata.BLOCK_INFO, userdata.ask_block(userdata.DB, number))
    header = userdata.block_of(data or b"")
    detail: dict[str, object] = {"number": number}
    if header is not None and header.number == number:
        length = header.length
        texts = {"author": header.author, "family": header.family, "name": header.name}
        detail |= {name: text for name, text in texts.items() if text}
        if header.protected:
            detail["protected"] = True
    else:
        length = await _measure(cpu, number)
    readable = await _code(cpu, number, 0) if length else NO_OBJECT
    block = f"DB{number}"
    detail["length"] = length
    detail["skipped"] = NO_NAMES
    if readable == NOT_ALLOWED:
        detail["protected"] = True
        detail["skipped"] = f"it may not be read: look at the CPU's access level, and at {PUT_GET}"
    elif readable != OK:
        detail["skipped"] = f"it can't be read: empty, or optimised; {OPTIMISED}"
    return Browsed((block,), f"%{block}:0", "", description=str(detail.get("name", "")), detail=detail)


async def _code(cpu: Cpu, number: int, at: int) -> int:
    ((code, _),) = await cpu.fetch((Item("DB", number, at, 1),))
    return code


async def _probe(cpu: Cpu, first: int) -> list[int]:
    """Numbers of the next data blocks whose first byte can be read."""
    last = min(first + PROBE_ITEMS, PROBED_BLOCKS + 1)
    items = [Item("DB", number, 0, 1) for number in range(first, last)]
    answers = await cpu.fetch(items)
    return [item.db for item, (code, _) in zip(items, answers, strict=True) if code == OK]


async def _measure(cpu: Cpu, number: int) -> int:
    """Length of a data block, by halving: the last byte that can be read."""
    low, high = 0, MAX_LENGTH
    while low < high:
        middle = (low + high) // 2
        if await _code(cpu, number, middle) == OK:
            low = middle + 1
        else:
            high = middle
    return low
