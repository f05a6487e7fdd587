"""Bytes of registers to values: pure, compiled once per request block. The way back is `encode.py`.

A block whose numbers are in natural, ascending order is one `struct.unpack`; other orders first move the block's
bytes by one precompiled permutation, then unpack in the same way. Values are big-endian within a register.
Source: Modbus Application Protocol V1.1b3 §4.2 (byte order), §6.1 (bits, least significant first).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from operator import itemgetter
from typing import Any

from nexus_cli.drivers.base import Fault
from nexus_cli.drivers.columns import Columns, Place, compile_columns
from nexus_cli.drivers.fixed_layout import SIZES, STRUCT_CODES
from nexus_cli.drivers.modbus.field import Field
from nexus_cli.drivers.modbus.order import NATURAL, positions
from nexus_cli.drivers.modbus.scaling import scaled
from nexus_cli.drivers.modbus.special import special
from nexus_cli.wire.sample import Reason, Value

Decoder = Callable[[bytes], tuple[list[Value], dict[int, Fault]]]
"""From the bytes of a whole block to one value per point, same order, and what went wrong by position."""


@lru_cache(maxsize=4096)
def compile_bits(fields: tuple[Field, ...], start: int) -> Callable[[Sequence[bool]], list[Value]]:
    """A decoder of a bit block that begins at `start`: from bits to one value per field, same order."""
    if all(not field.kind.count for field in fields):
        places = [field.start - start for field in fields]
        if len(places) == 1:
            only = places[0]
            return lambda bits: [bits[only]]
        pick = itemgetter(*places)
        return lambda bits: list(pick(bits))
    spans = [(field.start - start, field.start - start + field.count, bool(field.kind.count)) for field in fields]
    return lambda bits: [list(bits[low:high]) if many else bits[low] for low, high, many in spans]


@lru_cache(maxsize=4096)
def compile_registers(fields: tuple[Field, ...], start: int) -> Decoder:
    """A decoder of a register block that begins at register `start`.

    Cached, because the devices of one template have the same blocks. Plain numbers come out of one `unpack`; bits, strings and arrays are cut from the same bytes afterwards.
    """
    if any(field.scale_at is not None for field in fields):
        return scaled(fields, start, compile_registers(tuple(replace(field, scale_at=None) for field in fields), start))
    if any(field.none or field.bcd for field in fields):
        plain = tuple(replace(field, none=(), bcd=False) for field in fields)
        return special(fields, compile_registers(plain, start))
    plan = _number_plan(fields, start)
    rest = [(place, _single(field, start)) for place, field in enumerate(fields) if not _plain(field)]
    size = len(fields)
    if plan is None:
        return _assemble(None, None, None, rest, size)
    unpack, permute, places = plan
    if not rest and places == list(range(size)):
        return _numbers_only(unpack, permute)
    return _assemble(unpack, permute, places, rest, size)


@lru_cache(maxsize=4096)
def compile_numbers(fields: tuple[Field, ...], start: int) -> Columns | None:
    """The column of a block that begins at `start`; None where a field is more than a number or a bit."""
    return compile_columns([_place(field, start) for field in fields])


def _place(field: Field, start: int) -> Place | None:
    if field.kind.count or field.none or field.bcd or field.scale_at is not None:
        return None
    if field.in_bits:
        byte, bit = divmod(field.start - start, 8)
        return Place("?", (byte,), 1 << bit)
    at = (field.start - start) * 2
    if field.kind.base == "bool":
        byte, bit = divmod(field.bit, 8)
        return Place("?", (at + (byte if field.order == "BA" else 1 - byte),), 1 << bit)
    if field.kind.base not in STRUCT_CODES:
        return None
    return Place(STRUCT_CODES[field.kind.base], tuple(at + one for one in _byte_positions(field)))


def _plain(field: Field) -> bool:
    """A single number; read by the block's one unpack unless it overlaps another."""
    return field.kind.base in STRUCT_CODES and not field.kind.count


def _number_plan(
    fields: Sequence[Field], start: int
) -> tuple[Callable[[bytes], tuple[Any, ...]], Callable[[bytes], bytes] | None, list[int]] | None:
    """One struct over a permuted copy of the block: every plain number takes its bytes, in the order of the fields.

    The permutation is also what makes overlaps and any sequence of addresses possible; when it is the identity over a
    prefix of the block, it is left out.
    """
    places = [place for place, field in enumerate(fields) if _plain(field)]
    if not places:
        return None
    direct = _direct_format(fields, places, start)
    if direct is not None:
        return direct, None, places
    source: list[int] = []
    code = ">"
    for place in places:
        field = fields[place]
        at = (field.start - start) * 2
        code += STRUCT_CODES[field.kind.base]
        source.extend(at + position for position in _byte_positions(field))
    pick = itemgetter(*source) if len(source) > 1 else None
    only = source[0]

    def permute(block: bytes) -> bytes:
        return bytes(pick(block)) if pick is not None else block[only : only + 1]

    return struct.Struct(code).unpack, permute, places


def _byte_positions(field: Field) -> tuple[int, ...]:
    if SIZES[field.kind.base] == 1:
        high_at = 0 if field.order == "AB" else 1
        return (high_at if field.high else 1 - high_at,)
    return positions(field.order)


def _direct_format(
    fields: Sequence[Field], places: Sequence[int], start: int
) -> Callable[[bytes], tuple[Any, ...]] | None:
    """A struct with pad bytes over the block itself, when all numbers are in natural, ascending, disjoint order."""
    code, at = ">", 0
    for place in places:
        field = fields[place]
        size = SIZES[field.kind.base]
        begin = (field.start - start) * 2 + (_byte_positions(field)[0] if size == 1 else 0)
        if begin < at or (size > 1 and field.order != NATURAL[size]):
            return None
        code += (f"{begin - at}x" if begin > at else "") + STRUCT_CODES[field.kind.base]
        at = begin + size
    return struct.Struct(code).unpack_from


def _numbers_only(unpack: Callable[[bytes], tuple[Any, ...]], permute: Callable[[bytes], bytes] | None) -> Decoder:
    none: dict[int, Fault] = {}
    if permute is None:
        return lambda block: (list(unpack(block)), none)
    return lambda block: (list(unpack(permute(block))), none)


def _assemble(
    unpack: Callable[[bytes], tuple[Any, ...]] | None,
    permute: Callable[[bytes], bytes] | None,
    places: Sequence[int] | None,
    rest: Sequence[tuple[int, Callable[[bytes], Value]]],
    size: int,
) -> Decoder:
    def decode(block: bytes) -> tuple[list[Value], dict[int, Fault]]:
        values: list[Value] = [None] * size
        faults: dict[int, Fault] = {}
        if unpack is not None and places is not None:
            numbers = unpack(block if permute is None else permute(block))
            for place, number in zip(places, numbers, strict=True):
                values[place] = number
        for place, single in rest:
            try:
                values[place] = single(block)
            except (ValueError, UnicodeDecodeError):
                faults[place] = Fault(Reason.DECODE_ERROR)
        return values, faults

    return decode


def _single(field: Field, start: int) -> Callable[[bytes], Value]:
    """A decoder of one bit, string or array out of the block."""
    at, end = (field.start - start) * 2, (field.start - start + field.count) * 2
    if field.kind.base == "bool":
        return _bits_reader(field, at, end)
    if field.kind.base == "string":
        return _string_reader(field, at, end)
    return _array_reader(field, at, end)


def _bits_reader(field: Field, at: int, end: int) -> Callable[[bytes], Value]:
    swapped = field.order == "BA"

    def register(block: bytes, index: int) -> int:
        pair = block[at + index * 2 : at + index * 2 + 2]
        return int.from_bytes(pair, "little" if swapped else "big")

    if not field.kind.count:
        mask = 1 << field.bit
        return lambda block: bool(register(block, 0) & mask)
    places = [divmod(field.bit + number, 16) for number in range(field.kind.count)]
    return lambda block: [bool(register(block, index) >> bit & 1) for index, bit in places]


def _string_reader(field: Field, at: int, end: int) -> Callable[[bytes], Value]:
    each = (end - at) // (field.kind.count or 1)

    def text(raw: bytes) -> str:
        if field.layout == "low-first":
            raw = bytes(raw[index ^ 1] for index in range(len(raw)))
        elif field.layout in ("high-byte", "low-byte"):
            raw = raw[0::2] if field.layout == "high-byte" else raw[1::2]
        raw = raw[: field.length]
        if raw[-1:] not in (
            b"\0",
            b"",
        ):  # NULs in front of a text that goes to the end pad it; else the first one ends it
            raw = raw.lstrip(b"\0")
        raw = raw.split(b"\0", 1)[0].rstrip(b"\xff")
        try:
            return raw.decode("utf-8").rstrip(" ")
        except UnicodeDecodeError:
            return raw.decode("latin-1").rstrip(" ")

    if not field.kind.count:
        return lambda block: text(block[at:end])
    return lambda block: [text(block[low : low + each]) for low in range(at, end, each)]


def _array_reader(field: Field, at: int, end: int) -> Callable[[bytes], Value]:
    base, count = field.kind.base, field.kind.count
    size = SIZES[base]
    unpack = struct.Struct(f">{count}{STRUCT_CODES[base]}").unpack_from
    if size == 1:
        swapped = field.order == "BA"
        return lambda block: list(
            unpack(bytes(block[index ^ 1] for index in range(at, end)) if swapped else block[at:end])
        )
    if field.order == NATURAL[size]:
        return lambda block: list(unpack(block, at))
    source = [at + index * size + position for index in range(count) for position in positions(field.order)]
    pick = itemgetter(*source)
    return lambda block: list(unpack(bytes(pick(block))))
