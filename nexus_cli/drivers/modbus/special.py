"""Numbers that are no plain numbers: those that mean "no value", and binary-coded decimals. Pure.

Source: SunSpec Device Information Model Specification V1.1 §4.3 (unimplemented values); IEC 61131-3 §6.6.2.5.5
(BCD conversion: four bits a decimal digit).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nexus_cli.drivers.base import Fault
from nexus_cli.model.datatype import FLOATS, INTEGER_BOUNDS, DataType
from nexus_cli.wire.sample import Reason, Value

if TYPE_CHECKING:
    from nexus_cli.drivers.modbus.field import Field

SUNSPEC = "sunspec"
BCD_TYPES = ("uint8", "uint16", "uint32", "uint64")
_FLOAT_CODES = {"float16": ">e", "float32": ">f", "float64": ">d"}
NO_VALUE = Fault(Reason.NOT_A_NUMBER)
NO_DIGITS = Fault(Reason.DECODE_ERROR)


def none_of(written: Any, kind: DataType) -> list[int | float]:
    """The raw numbers of a type that a `none:` key means.

    Args:
        written: A number, `sunspec`, or a list of such. A number above a signed type's highest is its bit pattern, as
            manuals write it: 0x8000 is -32768.
        kind: The raw type.

    Raises:
        ValueError: The type can't hold it, or has no such name.
    """
    found: list[int | float] = []
    for one in written if isinstance(written, list) else [written]:
        number = _none(one, kind)
        if number not in found:
            found.append(number)
    return found


def _none(one: Any, kind: DataType) -> int | float:
    if kind.base in INTEGER_BOUNDS:
        low, high = INTEGER_BOUNDS[kind.base]
        if one == SUNSPEC:
            return low if low < 0 else high
        if isinstance(one, int) and low < 0 and high < one < 2 * (high + 1):
            one -= 2 * (high + 1)
        if isinstance(one, int) and low <= one <= high:
            return one
        raise ValueError(f"{kind.base} never is {one}")
    if kind.base not in FLOATS:
        raise ValueError(f"{kind} has no number that means 'no value'")
    if one == SUNSPEC:
        raise ValueError(f"{kind.base} says NaN for no value, which is BAD by itself")
    try:
        (nearest,) = struct.unpack(_FLOAT_CODES[kind.base], struct.pack(_FLOAT_CODES[kind.base], float(one)))
    except OverflowError:
        raise ValueError(f"{kind.base} never is {one}") from None
    return float(nearest)


def from_bcd(number: int) -> int:
    """The decimal number whose digits stand in the halves of bytes.

    Raises:
        ValueError: One of them is no digit.
    """
    return int(f"{number:x}")


def to_bcd(number: int) -> int:
    """The other way round; the caller sees that it fits."""
    return int(str(number), 16)


def special(
    fields: Sequence[Field], decode: Callable[[bytes], tuple[list[Value], dict[int, Fault]]]
) -> Callable[[bytes], tuple[list[Value], dict[int, Fault]]]:
    """A decoder that also takes what means no value out, and reads binary-coded decimals."""
    none: Mapping[int, frozenset[int | float]] = {
        place: frozenset(field.none) for place, field in enumerate(fields) if field.none
    }
    decimals = [place for place, field in enumerate(fields) if field.bcd]

    def decode_special(block: bytes) -> tuple[list[Value], dict[int, Fault]]:
        values, found = decode(block)
        faults = dict(found)
        for place, numbers in none.items():
            if values[place] in numbers:
                values[place], faults[place] = None, NO_VALUE
        for place in decimals:
            raw: Any = values[place]
            if raw is None:
                continue
            try:
                values[place] = [from_bcd(one) for one in raw] if isinstance(raw, list) else from_bcd(raw)
            except ValueError:
                values[place], faults[place] = None, NO_DIGITS
        return values, faults

    return decode_special
