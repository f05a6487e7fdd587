"""Values to the bytes of a write: pure; a value that does not fit is an error, never cut or wrapped."""

from __future__ import annotations

import math
import struct

from nexus_cli.drivers.s7.digits import bcd_to
from nexus_cli.drivers.s7.field import BCD, Field
from nexus_cli.drivers.s7.moments import DAY_MS, MOMENTS, SPANS, counter_to
from nexus_cli.drivers.s7.texts import narrow_to, never_written, wide_to
from nexus_cli.model.datatype import INTEGER_BOUNDS
from nexus_cli.wire.sample import Reason, Value


class EncodeError(ValueError):
    """The value does not fit the point's type; the message quotes it."""

    def __init__(self, message: str, *, reason: Reason = Reason.TYPE_MISMATCH) -> None:
        super().__init__(message)
        self.reason = reason


def encode_bits(field: Field, value: Value) -> list[bool]:
    """Bits to write for a BOOL or an array of them.

    Raises:
        EncodeError: Not a boolean, or not as many as the array has.
    """
    return [_boolean(item) for item in (_items(field, value) if field.count else [value])]


def encode_bytes(field: Field, value: Value) -> bytes:
    """All bytes of a value that is not BOOL: `field.size` of them; a STRING with its declared length in front.

    Raises:
        EncodeError: Wrong type, out of the type's range, or too long.
    """
    if not field.count:
        return _element(field, value)
    parts = [_element(field, item).ljust(field.stride, b"\0") for item in _items(field, value)]
    return b"".join(parts)[: field.size]


def _items(field: Field, value: Value) -> list[Value]:
    if not isinstance(value, list) or len(value) != field.count:
        raise EncodeError(f"{value!r} is not a list of {field.count} values")
    return value


def _boolean(value: Value) -> bool:
    if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise EncodeError(f"{value!r} is not a boolean")


def _element(field: Field, value: Value) -> bytes:
    base = field.kind.base
    if base == "string":
        return _text(field, value)
    try:
        if base == "datetime":
            if not isinstance(value, str):
                raise EncodeError(f"{value!r} is not an ISO 8601 time")
            return MOMENTS[field.type][1](value)
        number = _number(value)
        if field.code:
            return _pack(field, number)
        if field.type in BCD:
            return bcd_to(_whole(number), len_bytes=field.stride, signed=base.startswith("int"))
        if field.type == "COUNTER":
            return counter_to(_whole(number))
        if field.type == "LTOD" and number >= DAY_MS:
            raise OverflowError
        return SPANS[field.type][1](number)
    except OverflowError:
        raise EncodeError(f"{value!r} does not fit {field.type}", reason=Reason.OVERFLOW) from None
    except EncodeError:
        raise
    except ValueError as error:
        raise EncodeError(str(error)) from None


def _number(value: Value) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise EncodeError(f"{value!r} is not a number")
    return value


def _whole(number: float) -> int:
    if isinstance(number, float) and not number.is_integer():
        raise EncodeError(f"{number!r} is not a whole number")
    return int(number)


def _pack(field: Field, number: float) -> bytes:
    base = field.kind.base
    if base == "duration":
        base = "int32" if field.type == "TIME" else "uint32"
        if field.type == "TOD" and number >= DAY_MS:
            raise OverflowError
    if base in INTEGER_BOUNDS:
        low, high = INTEGER_BOUNDS[base]
        number = _whole(number)
        if not low <= number <= high:
            raise EncodeError(f"{number!r} does not fit {base} ({low} to {high})", reason=Reason.OVERFLOW)
    raw = struct.pack(">" + field.code, number)
    if base == "float32" and math.isinf(struct.unpack(">f", raw)[0]) and not math.isinf(number):
        raise OverflowError
    return raw


def _text(field: Field, value: Value) -> bytes:
    if not isinstance(value, str):
        raise EncodeError(f"{value!r} is not a string")
    wide = field.type in ("WSTRING", "WCHAR")
    try:
        raw = wide_to(value) if wide else narrow_to(value)
    except UnicodeEncodeError as error:
        raise EncodeError(f"{value!r}: {field.type} has no character {value[error.start]!r}") from None
    length = field.length
    if len(raw) > length * (2 if wide else 1):
        raise EncodeError(f"{value!r} is longer than {length} characters", reason=Reason.OVERFLOW)
    if field.type in ("STRING", "WSTRING") and value.endswith("\0"):
        raise EncodeError(f"{value!r} ends in a NUL, which only fills a text up")
    if field.type == "STRING":
        return bytes((length, len(raw))) + raw.ljust(length, b"\0")
    if field.type == "WSTRING":
        return struct.pack(">HH", length, len(raw) // 2) + raw.ljust(2 * length, b"\0")
    if "\0" in value:
        raise EncodeError(f"{value!r} contains a NUL, which ends a text")
    if len(value) == length and value.endswith(never_written(wide=wide)):
        raise EncodeError(f"{value!r} ends in {value[-1]!r}, which reads as bytes that nobody wrote")
    return _padded(raw, length, wide=wide)


def _padded(raw: bytes, length: int, *, wide: bool) -> bytes:
    """CHARs are filled up with blanks, as the CPU initialises them."""
    blank = b"\0 " if wide else b" "
    return raw + blank * (length - len(raw) // len(blank))
