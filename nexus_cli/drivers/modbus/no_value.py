"""Numbers that mean "no value", as the site file writes them. Pure.

Source: SunSpec Device Information Model Specification V1.1 §4.3 (unimplemented values).
"""

from __future__ import annotations

import struct
from typing import Any

from nexus_cli.model.datatype import FLOATS, INTEGER_BOUNDS, DataType

SUNSPEC = "sunspec"
BCD_TYPES = ("uint8", "uint16", "uint32", "uint64")
"""Types that `encoding: bcd` may have: a sign has no half byte."""
_FLOAT_CODES = {"float16": ">e", "float32": ">f", "float64": ">d"}


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
        raise ValueError(f"{kind.base} uses NaN for no value, which is always BAD")
    try:
        (nearest,) = struct.unpack(_FLOAT_CODES[kind.base], struct.pack(_FLOAT_CODES[kind.base], float(one)))
    except OverflowError:
        raise ValueError(f"{kind.base} never is {one}") from None
    return float(nearest)
