"""How one value is written: which items with which bytes, in which jobs. Pure.

A BOOL is written as a bit, never by reading and writing back its byte. A text is written behind its maximum length,
which stays as the CPU has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from nexus_cli.drivers.fixed_layout import EncodeError
from nexus_cli.drivers.s7.encode import encode_bits, encode_bytes
from nexus_cli.drivers.s7.field import Field
from nexus_cli.drivers.s7.pdu import MAX_ITEMS, Item, longest_write, write_request_size
from nexus_cli.wire.sample import Reason, Value

HEADS = {"STRING": 1, "WSTRING": 2}
"""Bytes of the maximum length in front of a text."""


class Write(NamedTuple):
    """Bytes and where they go."""

    item: Item
    data: bytes


def plan_write(field: Field, value: Value) -> list[Write]:
    """What to write.

    Raises:
        EncodeError: The value does not fit.
    """
    if field.type == "BOOL":
        return _bits(field, encode_bits(field, value))
    raw = encode_bytes(field, value)
    head = HEADS.get(field.type, 0)
    if not head:
        return [Write(_item(field, 0, len(raw)), raw)]
    writes = []
    for number in range(field.count or 1):
        at = number * field.stride
        used = head * 2 + int.from_bytes(raw[at + head : at + 2 * head], "big") * head
        writes.append(Write(_item(field, at + head, used - head), raw[at + head : at + used]))
    return writes


def heads_of(field: Field) -> list[Item]:
    """The maximum lengths that must be read before texts are written, one per text."""
    head = HEADS.get(field.type, 0)
    return [_item(field, number * field.stride, head) for number in range(field.count or 1)] if head else []


def with_heads(field: Field, writes: Sequence[Write], most: Sequence[int]) -> list[Write]:
    """Hold the texts against the maximum lengths that the CPU has for them.

    A text whose maximum is 0 was never initialised: it gets the declared length with its first write.

    Raises:
        EncodeError: A text is longer than the CPU's variable; it would run into its neighbour.
    """
    head = HEADS[field.type]
    checked = []
    for write, limit in zip(writes, most, strict=True):
        if not limit:
            item = Item(write.item.area, write.item.db, write.item.start - head, write.item.size + head)
            checked.append(Write(item, field.length.to_bytes(head, "big") + write.data))
            continue
        count = int.from_bytes(write.data[:head], "big")
        if count > limit:
            raise EncodeError(f"{count} characters; the CPU's variable takes {limit}", reason=Reason.OVERFLOW)
        checked.append(write)
    return checked


def _item(field: Field, at: int, size: int) -> Item:
    return Item(field.area, field.db, field.start + at, size)


def _bits(field: Field, bits: Sequence[bool]) -> list[Write]:
    if field.count and field.bit == 0 and len(bits) % 8 == 0:
        packed = sum(1 << number for number, bit in enumerate(bits) if bit)
        raw = packed.to_bytes(len(bits) // 8, "little")
        return [Write(_item(field, 0, len(raw)), raw)]
    writes = []
    for number, bit in enumerate(bits):
        byte, place = divmod(field.bit + number, 8)
        writes.append(Write(Item(field.area, field.db, field.start + byte, 1, place), bytes((bit,))))
    return writes


def jobs_of(writes: Iterable[Write], pdu: int) -> list[list[Write]]:
    """Writes by job, each job within the PDU.

    What is too long for one is written from its end to its beginning, so that a text's length comes last.
    """
    jobs: list[list[Write]] = []
    sizes: list[int] = []
    for write in _cut(writes, longest_write(pdu) & ~1):
        sizes.append(write.item.size)
        if not jobs or len(sizes) > MAX_ITEMS or write_request_size(sizes) > pdu:
            jobs.append([])
            sizes = [write.item.size]
        jobs[-1].append(write)
    return jobs


def _cut(writes: Iterable[Write], most: int) -> Iterator[Write]:
    for item, data in writes:
        for at in reversed(range(0, len(data), most)):
            part = data[at : at + most]
            yield Write(Item(item.area, item.db, item.start + at, len(part), item.bit), part)
