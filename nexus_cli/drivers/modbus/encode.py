"""Values to the bits and registers of a write: pure; a value that does not fit is an error, never cut or wrapped."""

from __future__ import annotations

from nexus_cli.drivers.fixed_layout import SIZES, EncodeError, boolean, integer, items, number, packed
from nexus_cli.drivers.modbus.field import Field
from nexus_cli.drivers.modbus.order import positions
from nexus_cli.drivers.modbus.special import to_bcd
from nexus_cli.model.datatype import INTEGER_BOUNDS
from nexus_cli.wire.sample import Reason, Value


def encode_bits(field: Field, value: Value) -> list[bool]:
    """Bits to write for a coil or an array of coils.

    Raises:
        EncodeError: Not a boolean, or not as many as the array has.
    """
    if not field.kind.count:
        return [boolean(value)]
    return [boolean(item) for item in items(value, field.kind.count)]


def encode_registers(field: Field, value: Value) -> bytes:
    """Bytes to write for a whole-register value: two per register.

    8-bit values in one half of a register are not whole registers: see `half_masks`.

    Raises:
        EncodeError: Wrong type, out of the type's range, or too long.
    """
    if field.kind.base == "string":
        texts = items(value, field.kind.count) if field.kind.count else [value]
        return b"".join(_string_bytes(field, text) for text in texts)
    if not field.kind.count:
        return _number_bytes(field, value)
    raw = b"".join(_number_bytes(field, item) for item in items(value, field.kind.count))
    if SIZES[field.kind.base] == 1:
        raw += b"\0" * (len(raw) % 2)
        if field.order == "BA":
            raw = bytes(raw[index ^ 1] for index in range(len(raw)))
    return raw


def half_masks(field: Field, value: Value) -> tuple[int, int]:
    """AND and OR mask of a mask write (FC22) for a bit of a register or an 8-bit half of one.

    Source: Modbus Application Protocol V1.1b3 §6.16: result = (current AND and) OR (or AND (NOT and)).

    Raises:
        EncodeError: Wrong type or out of range.
    """
    if field.kind.base == "bool":
        bit = field.bit ^ 8 if field.order == "BA" else field.bit
        and_mask = 0xFFFF & ~(1 << bit)
        return and_mask, (1 << bit) if boolean(value) else 0
    byte = _number_bytes(field, value)[0]
    upper = field.high != (field.order == "BA")
    return (0x00FF, byte << 8) if upper else (0xFF00, byte)


def is_partial(field: Field) -> bool:
    """True when a write touches only a part of a register."""
    return not field.in_bits and not field.kind.count and field.kind.base in ("bool", "int8", "uint8")


def _number_bytes(field: Field, value: Value) -> bytes:
    base = field.kind.base
    value = number(value)
    if base in INTEGER_BOUNDS:
        value = integer(value, base)
        if field.bcd:
            if value >= 10 ** (2 * SIZES[base]):
                raise EncodeError(f"{value!r} has more than {2 * SIZES[base]} digits", reason=Reason.OVERFLOW)
            value = to_bcd(value)
    try:
        natural = packed(value, base)
    except OverflowError:
        raise EncodeError(f"{value!r} does not fit {base}", reason=Reason.OVERFLOW) from None
    if len(natural) == 1:
        return natural
    wire = bytearray(len(natural))
    for index, position in enumerate(positions(field.order)):
        wire[position] = natural[index]
    return bytes(wire)


def _string_bytes(field: Field, value: Value) -> bytes:
    if not isinstance(value, str):
        raise EncodeError(f"{value!r} is not a string")
    raw = value.encode("utf-8")
    if len(raw) > field.length:
        raise EncodeError(f"{value!r} is longer than {field.length} bytes", reason=Reason.OVERFLOW)
    if b"\0" in raw:
        raise EncodeError(f"{value!r} contains a NUL, which ends a string in registers")
    raw = raw.ljust(field.length, b"\0")
    if field.layout == "high-byte":
        return b"".join(bytes((byte, 0)) for byte in raw)
    if field.layout == "low-byte":
        return b"".join(bytes((0, byte)) for byte in raw)
    raw += b"\0" * (len(raw) % 2)
    if field.layout == "low-first":
        return bytes(raw[index ^ 1] for index in range(len(raw)))
    return raw
