"""What protocols that lay values out byte by byte share (Modbus, S7, ADS): what fits a type, and why not. Pure."""

from __future__ import annotations

import math
import struct

from nexus_cli.drivers.base import DriverError, Effect, Scope
from nexus_cli.model.datatype import INTEGER_BOUNDS
from nexus_cli.wire.sample import Reason, Value

STRUCT_CODES: dict[str, str] = {
    "int8": "b",
    "uint8": "B",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float16": "e",
    "float32": "f",
    "float64": "d",
}
"""`struct` letter of each numeric type."""
SIZES: dict[str, int] = {name: struct.calcsize(f">{code}") for name, code in STRUCT_CODES.items()}
"""Bytes of one value of each numeric type."""


class EncodeError(ValueError):
    """The value does not fit the point's type; the message quotes it.

    Attributes:
        reason: What a refused write carries.
    """

    def __init__(self, message: str, *, reason: Reason = Reason.TYPE_MISMATCH) -> None:
        super().__init__(message)
        self.reason = reason

    def refusal(self, point: str) -> DriverError:
        """As the error of a write of which nothing was sent."""
        return DriverError(
            f"{point}: {self}", scope=Scope.ITEM, retriable=False, reason=self.reason, effect=Effect.NONE
        )


def items(value: Value, count: int) -> list[Value]:
    """The elements of an array. Raises EncodeError when it is not a list of `count`."""
    if not isinstance(value, list) or len(value) != count:
        raise EncodeError(f"{value!r} is not a list of {count} values")
    return value


def boolean(value: Value) -> bool:
    """A boolean, also written as 0 or 1. Raises EncodeError."""
    if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise EncodeError(f"{value!r} is not a boolean")


def number(value: Value) -> int | float:
    """A number. Raises EncodeError, also for a boolean, which Python takes for one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise EncodeError(f"{value!r} is not a number")
    return value


def whole(value: float) -> int:
    """A whole number, also written as 3.0. Raises EncodeError."""
    if isinstance(value, float) and not value.is_integer():
        raise EncodeError(f"{value!r} is not a whole number")
    return int(value)


def integer(value: float, base: str) -> int:
    """A whole number within the bounds of an integer type. Raises EncodeError."""
    low, high = INTEGER_BOUNDS[base]
    found = whole(value)
    if not low <= found <= high:
        raise EncodeError(f"{value!r} does not fit {base} ({low} to {high})", reason=Reason.OVERFLOW)
    return found


def packed(value: float, base: str) -> bytes:
    """The bytes of a number, high byte first.

    Raises:
        OverflowError: It does not fit; `struct` makes infinity of some numbers that a float32 can't hold.
    """
    try:
        raw = struct.pack(">" + STRUCT_CODES[base], value)
    except struct.error as error:
        raise OverflowError(str(error)) from None
    if base == "float32" and math.isinf(struct.unpack(">f", raw)[0]) and not math.isinf(value):
        raise OverflowError
    return raw
