"""Bytes of a PLC to values and back, for a declared type over the PLC's own. Compiled once per tag. Pure.

The PLC's type decides how bytes are read; the declared type must be able to hold whatever they say, else the tag is
a type mismatch and not a wrong number.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from nexus_cli.drivers.ads.plctypes import (
    ALIGNMENT,
    BY_ADS,
    DEFAULT_STRING,
    Elementary,
    Member,
    Shape,
    array_of,
    shape_by_name,
)
from nexus_cli.drivers.ads.strings import text_bytes, text_decoder
from nexus_cli.drivers.fixed_layout import EncodeError, boolean, items, number, whole
from nexus_cli.drivers.iec_types import NATURAL
from nexus_cli.model.datatype import INTEGER_BOUNDS, DataType
from nexus_cli.wire.sample import Reason, Value

Decode = Callable[[Any], Any]
Encode = Callable[[Value], bytes]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
REAL_BASES = {4: ("float32", "float64"), 8: ("float64",)}
DEFAULT_PLC_TYPES = {**NATURAL, "datetime": "DT"}
"""The PLC's type for a declared one where nothing else says it (raw memory, simulator)."""


class Mismatch(ValueError):
    """The declared type can't hold what the PLC has; the message says both."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How one tag is read and written.

    Attributes:
        code: `struct` code of exactly one item, without byte order.
        size: Bytes.
        convert: From the item to the value; None when it is the value. May raise ValueError.
        encode: From a value to the bytes. Raises EncodeError.
    """

    code: str
    size: int
    convert: Decode | None
    encode: Encode

    def decode(self, raw: bytes) -> Value:
        """The value of exactly these bytes. Raises ValueError or struct.error."""
        (item,) = struct.unpack("<" + self.code, raw)
        value: Value = item if self.convert is None else self.convert(item)
        return value


def compile_codec(declared: DataType, shape: Shape) -> Codec:
    """The codec of a declared type over the PLC's.

    Raises:
        Mismatch: The PLC's values don't fit.
    """
    if declared.base == "json":
        if declared.count and (shape.element is None or shape.count != declared.count):
            raise _mismatch(declared, shape)
        if shape.opaque:
            raise _mismatch(declared, shape)
        unpack = _structured(shape)
        return Codec(f"{shape.size}s", shape.size, unpack, _write_structured(shape))
    if declared.count:
        return _array(declared, shape)
    if shape.element is not None or shape.members:
        raise _mismatch(declared, shape)
    return _single(declared, shape)


def shape_for(declared: DataType, plc_type: str = "", encoding: str = "") -> Shape:
    """The PLC's type that raw memory or a simulated symbol has.

    Args:
        declared: The tag's type.
        plc_type: Its name where the declaration says it.
        encoding: `utf-8` for strings that are not cp1252.

    Raises:
        ValueError: It has no fixed size, or the PLC has no such type.
    """
    name = plc_type or DEFAULT_PLC_TYPES.get(declared.base, "")
    if declared.base == "string" and (not plc_type or "(" not in plc_type):
        name = f"{plc_type or 'STRING'}({declared.length or DEFAULT_STRING})"
    if not name:
        raise ValueError(f"a PLC has no type for '{declared}'")
    single = shape_by_name(name, utf8=encoding == "utf-8")
    return array_of(single, declared.count) if declared.count else single


def _mismatch(declared: DataType, shape: Shape) -> Mismatch:
    return Mismatch(f"the PLC's {shape.name} ({shape.size} bytes) is not '{declared}'")


def _single(declared: DataType, shape: Shape) -> Codec:
    if shape.text:
        if declared.base != "string":
            raise _mismatch(declared, shape)
        most = declared.length

        def encode_text(value: Value) -> bytes:
            if most and isinstance(value, str) and len(value) > most:
                raise EncodeError(f"{value!r} is longer than {most} characters", reason=Reason.OVERFLOW)
            return text_bytes(value, shape)

        return Codec(f"{shape.size}s", shape.size, text_decoder(shape.text), encode_text)
    base = shape.base
    if base is None or not holds(declared.base, base):
        raise _mismatch(declared, shape)
    return Codec(base.code, base.size, _scalar_decoder(declared.base, base), _scalar_encoder(declared.base, base))


def holds(declared: str, base: Elementary) -> bool:
    """Whether every value of the PLC's type is one of the declared type."""
    if base.meaning == "bool":
        return declared == "bool"
    if base.meaning == "real":
        return declared in REAL_BASES[base.size]
    if declared == ("duration" if base.meaning == "span" else "datetime") and base.meaning != "int":
        return True
    if declared not in INTEGER_BOUNDS:
        return False
    low, high = bounds_of(base)
    least, most = INTEGER_BOUNDS[declared]
    return least <= low and high <= most


def bounds_of(base: Elementary) -> tuple[int, int]:
    """Lowest and highest raw integer."""
    bits = base.size * 8
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if base.code.islower() else (0, (1 << bits) - 1)


def _scalar_decoder(declared: str, base: Elementary) -> Decode | None:
    if base.meaning == "span" and declared == "duration":
        return None if base.unit_s == 1e-3 else lambda raw: raw / 1_000_000
    if base.meaning == "moment" and declared == "datetime":
        return _moment_seconds if base.unit_s == 1.0 else _moment_nanoseconds
    return None


def _moment_seconds(raw: int) -> str:
    return (_EPOCH + timedelta(seconds=raw)).isoformat().replace("+00:00", "Z")


def _moment_nanoseconds(raw: int) -> str:
    return (_EPOCH + timedelta(microseconds=raw // 1000)).isoformat().replace("+00:00", "Z")


def _scalar_encoder(declared: str, base: Elementary) -> Encode:
    pack = struct.Struct("<" + base.code).pack

    def encode(value: Value) -> bytes:
        if base.meaning == "bool":
            return pack(boolean(value))
        if base.meaning == "moment" and declared == "datetime":
            return _packed(pack, _ticks_of_moment(value, base), base, value)
        raw = number(value)
        if isinstance(raw, float) and not math.isfinite(raw):
            raise EncodeError(f"{value!r} is not a finite number")
        if base.meaning == "real":
            return _real_bytes(pack, raw, base)
        if base.meaning == "span" and declared == "duration":
            return _packed(pack, round(raw if base.unit_s == 1e-3 else raw * 1_000_000), base, value)
        return _packed(pack, whole(raw), base, value)

    return encode


def _packed(pack: Callable[[int], bytes], raw: int, base: Elementary, value: Value) -> bytes:
    low, high = bounds_of(base)
    if not low <= raw <= high:
        raise EncodeError(f"{value!r} does not fit {base.name}", reason=Reason.OVERFLOW)
    return pack(raw)


def _real_bytes(pack: Callable[[float], bytes], value: float, base: Elementary) -> bytes:
    try:
        return pack(float(value))
    except (OverflowError, struct.error):
        raise EncodeError(f"{value!r} does not fit {base.name}", reason=Reason.OVERFLOW) from None


def _ticks_of_moment(value: Value, base: Elementary) -> int:
    if not isinstance(value, str):
        raise EncodeError(f"{value!r} is not a time; write it as 2026-03-04T05:06:07Z")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise EncodeError(f"{value!r} is not a time; write it as 2026-03-04T05:06:07Z") from None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    whole = since // timedelta(microseconds=1)
    if base.unit_s != 1.0:
        return whole * 1000
    if whole % 1_000_000:
        raise EncodeError(f"{base.name} holds whole seconds, and {value!r} has a fraction")
    return whole // 1_000_000


def _array(declared: DataType, shape: Shape) -> Codec:
    if shape.element is None:
        raise _mismatch(declared, shape)
    element = shape.element
    while element.element is not None:  # ARRAY OF ARRAY is one row after the other, as several dimensions are
        element = element.element
    count = shape.size // element.size if element.size else 0
    if count != declared.count or element.members:
        raise _mismatch(declared, shape)
    one = _single(DataType(declared.base, length=declared.length), element)
    unpack = struct.Struct("<" + (f"{count}{one.code}" if not element.text else one.code * count)).unpack
    convert = one.convert

    def decode(raw: bytes) -> list[Any]:
        found = unpack(raw)
        return list(found) if convert is None else [convert(item) for item in found]

    def encode(value: Value) -> bytes:
        return b"".join(one.encode(item) for item in items(value, count))

    return Codec(f"{shape.size}s", shape.size, decode, encode)


def natural_type(shape: Shape) -> DataType:
    """The declared type of a single value of the PLC."""
    if shape.text:
        return DataType("string", length=shape.size // (2 if shape.text == "utf-16-le" else 1) - 1)
    base = shape.base
    if base is None:
        return DataType("json")
    if base.meaning in ("span", "moment"):
        return DataType("duration" if base.meaning == "span" else "datetime")
    plain = BY_ADS[base.ads]
    return DataType(next(name for name, plc in DEFAULT_PLC_TYPES.items() if plc == plain.name))


def _structured(shape: Shape) -> Decode:
    """Structures to maps, arrays to (nested) lists, everything else as it is; what has no value is left out."""
    if shape.members:
        parts = [(member, _structured(member.shape)) for member in shape.members if not member.shape.opaque]
        return lambda raw: {member.name: decode(_part(raw, member)) for member, decode in parts}
    if shape.element is not None:
        return _nested(shape)
    return _single(natural_type(shape), shape).decode


def _part(raw: bytes, member: Member) -> bytes:
    if member.bit >= 0:
        # A PLC's type table may place a bit beyond what the structure has.
        (byte,) = struct.unpack_from("B", raw, member.offset)
        return bytes((byte >> member.bit & 1,))
    return raw[member.offset : member.offset + member.shape.size]


def _nested(shape: Shape) -> Decode:
    assert shape.element is not None
    size, decode = shape.element.size, _structured(shape.element)
    counts = [count for _, count in shape.bounds]

    def unpack(raw: bytes) -> list[Any]:
        found: list[Any] = [decode(raw[at : at + size]) for at in range(0, size * shape.count, size)]
        for count in reversed(counts[1:]):
            found = [found[at : at + count] for at in range(0, len(found), count)]
        return found

    return unpack


def _write_structured(shape: Shape) -> Encode:
    def encode(value: Value) -> bytes:
        if shape.members:
            if hidden := _hidden(shape):
                raise EncodeError(f"a {shape.name} can't be written whole: {hidden} would be overwritten")
            if not isinstance(value, dict) or set(value) != {member.name for member in shape.members}:
                names = ", ".join(member.name for member in shape.members)
                raise EncodeError(f"a {shape.name} is written whole, with exactly the members {names}")
            out = bytearray(shape.size)
            for member in shape.members:
                raw = _write_structured(member.shape)(value[member.name])
                if member.offset + len(raw) > shape.size:
                    raise EncodeError(f"a {shape.name} can't be written whole: {member.name} is beyond its end")
                if member.bit >= 0:
                    out[member.offset] |= raw[0] << member.bit
                else:
                    out[member.offset : member.offset + len(raw)] = raw
            return bytes(out)
        if shape.element is not None:
            rows = _rows(value, len(shape.bounds))
            if len(rows) != shape.count:
                raise EncodeError(f"a {shape.name} is written whole, with {shape.count} elements")
            return b"".join(_write_structured(shape.element)(item) for item in rows)
        return _single(natural_type(shape), shape).encode(value)

    return encode


def _hidden(shape: Shape) -> str:
    """What of a structure a write of its members would destroy, "" when nothing.

    Every function block begins with a pointer to its code that its description leaves out, one that implements
    interfaces has more of them: a zero there stops the PLC with a page fault. The members of a union share their bytes.
    """
    end = 0
    for member in sorted(shape.members, key=lambda one: (one.offset, one.bit)):
        if member.shape.opaque:
            return member.name
        if member.offset < end and member.bit < 0:
            return f"what shares its bytes with {member.name}"
        if member.offset - end >= (member.shape.alignment if end else 1):
            return f"what lies before {member.name}"
        end = max(end, member.offset + member.shape.size)
    return f"what lies behind {shape.members[-1].name}" if shape.size - end >= ALIGNMENT else ""


def _rows(value: Value, levels: int) -> list[Value]:
    """The elements of nested lists, one row after the other."""
    if not isinstance(value, list):
        raise EncodeError(f"{value!r} is not a list")
    if levels <= 1:
        return value
    return [one for item in value for one in _rows(item, levels - 1)]
