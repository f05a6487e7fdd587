"""Values to the bytes of a write: pure; a value that does not fit is an error, never cut or wrapped."""

from __future__ import annotations

import struct

from nexus_cli.drivers.fixed_layout import EncodeError, boolean, integer, items, number, packed, whole
from nexus_cli.drivers.s7.datetimes import DAY_MS, MOMENTS, SPANS, counter_to
from nexus_cli.drivers.s7.digits import bcd_to
from nexus_cli.drivers.s7.field import BCD, Field
from nexus_cli.drivers.s7.strings import narrow_to, never_written, wide_to
from nexus_cli.model.datatype import INTEGER_BOUNDS
from nexus_cli.wire.sample import Reason, Value


def encode_bits(field: Field, value: Value) -> list[bool]:
    """Bits to write for a BOOL or an array of them.

    Raises:
        EncodeError: Not a boolean, or not as many as the array has.
    """
    return [boolean(item) for item in (items(value, field.count) if field.count else [value])]


def encode_bytes(field: Field, value: Value) -> bytes:
    """All bytes of a value that is not BOOL: `field.size` of them; a STRING with its declared length in front.

    Raises:
        EncodeError: Wrong type, out of the type's range, or too long.
    """
    if not field.count:
        return _element(field, value)
    parts = [_element(field, item).ljust(field.stride, b"\0") for item in items(value, field.count)]
    return b"".join(parts)[: field.size]


def _element(field: Field, value: Value) -> bytes:
    base = field.kind.base
    if base == "string":
        return _text(field, value)
    try:
        if base == "datetime":
            if not isinstance(value, str):
                raise EncodeError(f"{value!r} is not an ISO 8601 time")
            return MOMENTS[field.type][1](value)
        raw = number(value)
        if field.code:
            return _pack(field, raw)
        if field.type in BCD:
            return bcd_to(whole(raw), len_bytes=field.stride, signed=base.startswith("int"))
        if field.type == "COUNTER":
            return counter_to(whole(raw))
        if field.type == "LTOD" and raw >= DAY_MS:
            raise OverflowError
        return SPANS[field.type][1](raw)
    except OverflowError:
        raise EncodeError(f"{value!r} does not fit {field.type}", reason=Reason.OVERFLOW) from None
    except EncodeError:
        raise
    except ValueError as error:
        raise EncodeError(str(error)) from None


def _pack(field: Field, raw: float) -> bytes:
    base = field.kind.base
    if base == "duration":
        base = "int32" if field.type == "TIME" else "uint32"
        if field.type == "TOD" and raw >= DAY_MS:
            raise OverflowError
    return packed(integer(raw, base) if base in INTEGER_BOUNDS else raw, base)


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
        raise EncodeError(f"{value!r} ends in {value[-1]!r}, which looks like memory that was never written")
    return _padded(raw, length, wide=wide)


def _padded(raw: bytes, length: int, *, wide: bool) -> bytes:
    """CHARs are filled up with blanks, as the CPU initialises them."""
    blank = b"\0 " if wide else b" "
    return raw + blank * (length - len(raw) // len(blank))
