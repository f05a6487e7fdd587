"""Bytes of a reply to values: pure, compiled once per request and layout. The way back is `encode.py`.

A decoder takes the reply as it came and knows where in it each value lies, so a block of numbers is one
`struct.unpack_from` over the whole frame, the headers of its items included as padding.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from nexus_cli.drivers.base import Fault
from nexus_cli.drivers.columns import Columns, Place, compile_columns
from nexus_cli.drivers.s7.datetimes import MOMENTS, SPANS, counter_from
from nexus_cli.drivers.s7.digits import bcd_from
from nexus_cli.drivers.s7.field import BCD, Field
from nexus_cli.drivers.s7.strings import chars_from, string_from, wstring_from
from nexus_cli.wire.sample import Reason, Value

Decoder = Callable[[bytes], tuple[list[Value], dict[int, Fault]]]
"""From a buffer to one value per field, same order, and what went wrong by position."""
Placed = tuple[Field, int]
"""A field and where in the buffer its first byte lies."""
_NONE: dict[int, Fault] = {}


def compile_fields(placed: Sequence[Placed]) -> Decoder:
    """A decoder for fields at fixed places of a buffer.

    Args:
        placed: In the order of the values wanted; fields may overlap (a word and its bits).
    """
    numbers = [place for place, (field, _) in enumerate(placed) if field.plain]
    bits = [place for place, (field, _) in enumerate(placed) if field.type == "BOOL" and not field.count]
    others = [place for place in range(len(placed)) if place not in set(numbers) | set(bits)]
    runs = _runs(placed, numbers)
    order = [place for _, places in runs for place in places] + bits + others
    unpackers = [unpack for unpack, _ in runs]
    masks = [(placed[place][1], 1 << placed[place][0].bit) for place in bits]
    singles = [_single(*placed[place]) for place in others]
    sort = None if order == list(range(len(placed))) else _sorter(order)
    if not masks and not singles and len(unpackers) == 1:
        return _numbers_only(unpackers[0], sort)

    def decode(buffer: bytes) -> tuple[list[Value], dict[int, Fault]]:
        values: list[Any] = []
        for unpack in unpackers:
            values += unpack(buffer)
        values += [buffer[at] & mask != 0 for at, mask in masks]
        faults = _NONE
        for number, single in enumerate(singles):
            try:
                values.append(single(buffer))
            except (ValueError, OverflowError):
                values.append(None)
                faults = faults or {}
                faults[others[number]] = Fault(Reason.DECODE_ERROR)
        return (list(sort(values)) if sort is not None else values), faults

    return decode


def compile_numbers(placed: Sequence[Placed]) -> Columns | None:
    """The column of fields at fixed places of a buffer; None where one is more than a number or a bit."""
    return compile_columns([_place(field, at) for field, at in placed])


def _place(field: Field, at: int) -> Place | None:
    if field.type == "BOOL" and not field.count:
        return Place("?", (at,), 1 << field.bit)
    return Place(field.code, tuple(range(at, at + field.size))) if field.plain else None


def _numbers_only(
    unpack: Callable[[bytes], tuple[Any, ...]], sort: Callable[[Sequence[Any]], tuple[Any, ...]] | None
) -> Decoder:
    if sort is None:
        return lambda buffer: (list(unpack(buffer)), _NONE)
    return lambda buffer: (list(sort(unpack(buffer))), _NONE)


def _sorter(order: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Brings values that come in `order` of their places to the places' order; there are at least two."""
    back = [0] * len(order)
    for number, place in enumerate(order):
        back[place] = number
    pick: Callable[[Sequence[Any]], tuple[Any, ...]] = itemgetter(*back)
    return pick


def _runs(
    placed: Sequence[Placed], numbers: Sequence[int]
) -> list[tuple[Callable[[bytes], tuple[Any, ...]], list[int]]]:
    """As few structs as possible over the buffer: one, unless numbers overlap."""
    runs: list[tuple[list[int], list[int]]] = []  # places, [end]
    for place in sorted(numbers, key=lambda number: placed[number][1]):
        at = placed[place][1]
        run = next((run for run in runs if run[1][0] <= at), None)
        if run is None:
            run = ([], [0])
            runs.append(run)
        run[0].append(place)
        run[1][0] = at + placed[place][0].size
    return [(_struct(placed, places), places) for places, _ in runs]


def _struct(placed: Sequence[Placed], places: Sequence[int]) -> Callable[[bytes], tuple[Any, ...]]:
    code, end = ">", 0
    for place in places:
        field, at = placed[place]
        code += (f"{at - end}x" if at > end else "") + field.code
        end = at + field.size
    return struct.Struct(code).unpack_from


def _single(field: Field, at: int) -> Callable[[bytes], Value]:
    """A decoder of one value that is not a plain number or bit."""
    if not field.count:
        return _element(field, at)
    if field.type == "BOOL":
        places = [divmod(field.bit + number, 8) for number in range(field.count)]
        return lambda buffer: [buffer[at + byte] >> bit & 1 == 1 for byte, bit in places]
    if field.code:
        unpack = struct.Struct(f">{field.count}{field.code}").unpack_from
        return lambda buffer: list(unpack(buffer, at))
    elements = [_element(field, at + number * field.stride) for number in range(field.count)]
    return lambda buffer: [element(buffer) for element in elements]


def _element(field: Field, at: int) -> Callable[[bytes], Value]:
    s7_type, base, length = field.type, field.kind.base, field.length
    if s7_type == "STRING":
        return lambda buffer: string_from(buffer[at : at + length + 2], length)
    if s7_type == "WSTRING":
        return lambda buffer: wstring_from(buffer[at : at + 2 * length + 4], length)
    if base == "string":
        wide = s7_type == "WCHAR"
        end = at + length * (2 if wide else 1)
        return lambda buffer: chars_from(buffer[at:end], wide=wide)
    end = at + field.stride
    if s7_type == "COUNTER":
        return lambda buffer: counter_from(buffer[at:end])
    if s7_type in BCD:
        signed = base.startswith("int")
        return lambda buffer: bcd_from(buffer[at:end], signed=signed)
    if base == "datetime":
        moment = MOMENTS[s7_type][0]
        return lambda buffer: moment(buffer[at:end])
    span = SPANS[s7_type][0]
    return lambda buffer: span(buffer[at:end])
