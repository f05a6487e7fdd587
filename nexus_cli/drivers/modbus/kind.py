"""Modbus in the site language. Pure: no protocol library is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from pydantic import Field

from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.drivers.fixed_layout import SIZES
from nexus_cli.drivers.modbus.address import BIT_AREAS, MAX_ADDRESS, READ_ONLY, Written, normal_text, parse_address
from nexus_cli.drivers.modbus.checks import check_link
from nexus_cli.drivers.modbus.connection import SERIAL_LINE, ModbusConnection, link_of
from nexus_cli.drivers.modbus.no_value import BCD_TYPES, none_of
from nexus_cli.drivers.modbus.order import NAMES as ORDER_NAMES
from nexus_cli.drivers.modbus.order import NATURAL, canonical_order
from nexus_cli.drivers.modbus.url import DEFAULT_PORT, URL
from nexus_cli.model.datatype import DataType, parse_type
from nexus_cli.model.driver_kind import Address, AddressError, DriverKind
from nexus_cli.model.failure_kind import FailureKind
from nexus_cli.model.site import Tag, TypeName

SCALED = "a value that a register scales can't be written"


class ModbusTag(Tag):
    """A value in a Modbus device."""

    address: str | int = Field(
        description="holding:100 (zero-based), 400101 or 40101 (one-based), 4x00101, 1!400101.4; also input:, coil:, discrete:.",
        examples=["holding:100", "input:0", "coil:7", "holding:100.3", 400101, "4x00101:UINT[10]"],
    )
    order: str | None = Field(
        default=None,
        description="Byte order over the registers: ABCD, CDAB, BADC, DCBA, the eight-letter ones for 64 bits, or another product's name for it.",
        examples=["ABCD", "CDAB", "BADC", "DCBA", "GHEFCDAB", "word_swap"],
    )
    bit: int | None = Field(default=None, ge=0, le=15, description="Bit of a register, 0 is the least significant.")
    byte: Literal["low", "high"] | None = Field(
        default=None, description="Which half of the register an 8-bit value lies in (default low)."
    )
    layout: Literal["high-first", "low-first", "high-byte", "low-byte"] | None = Field(
        default=None, description="How a string lies in registers: two characters each, or one in the high or low byte."
    )
    unit_id: int | None = Field(default=None, ge=0, le=255, description="Unit id, when it is not the device's.")
    raw_type: TypeName | None = Field(
        default=None, description="Type of the register's own number when `scale_from` makes it a float."
    )
    none: int | float | Literal["sunspec"] | list[int | float | Literal["sunspec"]] | None = Field(
        default=None,
        description="Raw numbers that mean 'no value' and make it BAD not_a_number: a number, a list, or sunspec (the type's).",
        examples=["sunspec", 0x8000, [0xFFFF, 0xFFFE]],
    )
    encoding: Literal["bcd"] | None = Field(
        default=None, description="bcd: each half byte of an unsigned integer is a decimal digit, 0x1234 is 1234."
    )
    scale_from: str | None = Field(
        default=None,
        description="Register that holds the power of ten to multiply by (SunSpec scale factor), read in the same request.",
        examples=["holding:40075"],
    )


def registers_of(kind: DataType, *, length: int = 0, layout: str = "high-first", bit: int | None = None) -> int:
    """How many registers a value of a register area takes."""
    count = kind.count or 1
    if kind.base == "bool":
        return -(-((bit or 0) + count) // 16)
    if kind.base == "string":
        characters = length or kind.length
        each = characters if layout in ("high-byte", "low-byte") else -(-characters // 2)
        return each * count
    if SIZES[kind.base] == 1:
        return 1 if not kind.count else -(-count // 2)
    return SIZES[kind.base] // 2 * count


def address_of(connection: ModbusConnection, tag: ModbusTag) -> Address:
    """Normal form of a tag's address: text such as `holding:100.3`, and options.

    Options (only what differs from the plain case): `order` in letters for the value's size, `byte` (high), `layout`,
    `length` of a string whose type gives none, `text` (how a string's length counts its bytes), `unit_id` when it is not the device's, `none` (raw numbers), `encoding`.

    Raises:
        AddressError: What it says can't be, with a hint.
    """
    written = parse_address(tag.address, base=connection.base)
    scale_from = _scale_from(connection, tag, written)
    if scale_from:
        tag = tag.model_copy(update={"type": tag.raw_type})
    kind = parse_type(tag.type)
    _check_type(tag, written, kind)
    options: _Options = {"raw_type": tag.type, "scale_from": scale_from} if scale_from else {}
    _special_options(tag, written, kind, options)
    bit = _bit(tag, written, kind)
    _string_options(tag, written, kind, options)
    _order_option(connection, tag, written, kind, options)
    if tag.byte is not None and (kind.base not in ("int8", "uint8") or kind.count):
        raise AddressError(f"byte: {tag.byte} is for int8 and uint8, not for {tag.type}", key="byte", code="NX3104")
    if tag.byte == "high":
        options["byte"] = "high"
    unit = _agreed("unit_id", tag.unit_id, written.unit_id)
    if unit is not None and unit > 255:
        raise AddressError(f"unit id {unit} is not between 0 and 255", code="NX3103")
    if unit is not None and unit != connection.unit_id:
        options["unit_id"] = unit
    _check_extent(connection, tag, written, kind, bit, options)
    if tag.writable:
        _check_writable(written, kind)
    return Address(normal_text(written.area, written.offset, bit), options)


def _special_options(tag: ModbusTag, written: Written, kind: DataType, options: _Options) -> None:
    if tag.none is not None:
        if kind.count or not kind.numeric or written.area in BIT_AREAS:
            raise AddressError(f"none is for single numbers, not for {tag.type}", key="none", code="NX3104")
        try:
            options["none"] = none_of(_whole(tag.none), kind)
        except ValueError as error:
            raise AddressError(
                str(error), key="none", code="NX3104", hint="the raw number, before scale and offset"
            ) from None
    if tag.encoding == "bcd":
        if kind.base not in BCD_TYPES:
            raise AddressError(
                f"binary-coded decimals are unsigned integers, not {tag.type}",
                key="encoding",
                code="NX3104",
                hint="type: uint16 for four digits, uint32 for eight",
            )
        options["encoding"] = "bcd"


def _whole(written: Any) -> Any:
    """Whole numbers as integers; 64-bit ones beyond 2**53 come as they were written."""
    if isinstance(written, list):
        return [_whole(one) for one in written]
    return int(written) if isinstance(written, float) and written.is_integer() else written


def _scale_from(connection: ModbusConnection, tag: ModbusTag, written: Written) -> str:
    """Normal form of the register that scales this one, "" when none does."""
    if tag.scale_from is None and tag.raw_type is None:
        return ""
    if tag.scale_from is None or tag.raw_type is None:
        missing = "raw_type" if tag.raw_type is None else "scale_from"
        have = "scale_from" if tag.raw_type is None else "raw_type"
        raise AddressError(f"'{have}' needs '{missing}' beside it", key=have, code="NX3108", hint="add it")
    if tag.type not in ("float32", "float64") or not parse_type(tag.raw_type).integer:
        raise AddressError(
            f"a scaled value is an integer in the register and a float here, not {tag.raw_type} and {tag.type}",
            key="raw_type",
            code="NX3104",
            hint="type: float64, raw_type: int16",
        )
    if tag.writable:
        raise AddressError(SCALED, key="writable", hint="remove writable", code="NX3105")
    scale = parse_address(tag.scale_from, base=connection.base)
    if scale.area in BIT_AREAS or scale.area != written.area or scale.suffix is not None:
        raise AddressError(
            f"the scale factor '{tag.scale_from}' is not a register of the {written.area} area",
            key="scale_from",
            code="NX3108",
            hint=f"{written.area}:{scale.offset}",
        )
    return normal_text(scale.area, scale.offset)


def _check_type(tag: ModbusTag, written: Written, kind: DataType) -> None:
    if written.type and written.type != str(kind):
        raise AddressError(
            f"the address has {written.type}, the tag has {tag.type}", hint=f"type: {written.type}", code="NX3108"
        )
    if kind.base != "bool" and kind.base != "string" and kind.base not in SIZES:
        raise AddressError(
            f"Modbus has no {kind.base} values", key="type", code="NX3104", hint="numbers, bool, string[n] and arrays"
        )
    if written.area in BIT_AREAS:
        if kind.base != "bool":
            raise AddressError(
                f"a {written.area} is one bit, not {tag.type}",
                key="type",
                code="NX3104",
                hint="type: bool, or use holding: or input: for registers",
            )
        if written.suffix is not None or tag.bit is not None:
            raise AddressError(f"a {written.area} is a bit and has no bits of its own", code="NX3110")


def _bit(tag: ModbusTag, written: Written, kind: DataType) -> int | None:
    """The bit within a register, or None."""
    suffix = None if kind.base == "string" else written.suffix
    if written.layout and kind.base != "string":
        raise AddressError(f"'{tag.address}' is a string's address, the tag has {tag.type}", code="NX3108")
    bit = _agreed("bit", tag.bit, suffix)
    if written.area in BIT_AREAS:
        return None
    if kind.base != "bool":
        if bit is not None:
            raise AddressError(
                f"bit {bit} of a register is a bool, not {tag.type}", key="type", hint="type: bool", code="NX3110"
            )
        return None
    if bit is None and not kind.count:
        raise AddressError(
            f"a bool in the {written.area} area needs its bit",
            hint=f"write {normal_text(written.area, written.offset)}.0, or type: uint16 for the whole register",
            code="NX3110",
        )
    if bit is not None and bit > 15:
        raise AddressError(f"a register has the bits 0 to 15, not {bit}", code="NX3110")
    return bit or 0


def _string_options(tag: ModbusTag, written: Written, kind: DataType, options: _Options) -> None:
    if kind.base != "string":
        if tag.layout is not None:
            raise AddressError(f"layout is for strings, not for {tag.type}", key="layout", code="NX3104")
        return
    length = _agreed("length", kind.length or None, written.suffix)
    if not length:
        raise AddressError("a string in registers needs its length", key="type", hint="type: string[20]", code="NX3107")
    if not kind.length:
        options["length"] = length
    options["text"] = "utf-8"
    layout = _agreed("layout", tag.layout, written.layout or None)
    if layout and layout != "high-first":
        options["layout"] = layout


def _order_option(
    connection: ModbusConnection, tag: ModbusTag, written: Written, kind: DataType, options: _Options
) -> None:
    own = _agreed("order", tag.order, written.order or None)
    if own is not None and (kind.base == "string" or (written.area in BIT_AREAS)):
        raise AddressError(
            f"order says nothing about {tag.type}",
            key="order",
            code="NX3106",
            hint="layout: low-first" if kind.base == "string" else "",
        )
    name = own or connection.order
    if name is None or kind.base == "string" or written.area in BIT_AREAS:
        return
    size = max(2, SIZES.get(kind.base, 2))
    try:
        letters = canonical_order(name, size=size)
    except ValueError as error:
        if own is None and "is not a byte order" not in str(error):
            return  # the device's order is for its values of another size
        hint = f"the orders of {size * 8} bits are short: ABCD, CDAB, BADC, DCBA"
        if "is not a byte order" in str(error):
            hint = did_you_mean(name.upper(), ORDER_NAMES)
        raise AddressError(str(error), key="order", hint=hint, code="NX3106") from None
    if letters != NATURAL[size]:
        options["order"] = letters


def _check_extent(
    connection: ModbusConnection,
    tag: ModbusTag,
    written: Written,
    kind: DataType,
    bit: int | None,
    options: _Options,
) -> None:
    in_bits = written.area in BIT_AREAS
    count = (
        kind.count or 1
        if in_bits
        else registers_of(kind, length=options.get("length", 0), layout=options.get("layout", "high-first"), bit=bit)
    )
    if written.offset + count - 1 > MAX_ADDRESS:
        raise AddressError(
            f"{tag.type} at {normal_text(written.area, written.offset)} runs beyond the last address {MAX_ADDRESS}",
            hint=f"the last place for it is {normal_text(written.area, MAX_ADDRESS + 1 - count)}",
            code="NX3103",
        )
    limit = connection.max_read_bits if in_bits else connection.max_read
    if count > limit:
        unit = "bits" if in_bits else "registers"
        raise AddressError(
            f"{tag.type} takes {count} {unit}, one read of this device gives {limit}",
            key="type",
            hint="split it into several tags",
            code="NX3109",
        )
    if tag.writable and not in_bits and count > connection.max_write:
        raise AddressError(
            f"{tag.type} takes {count} registers, one write to this device takes {connection.max_write}",
            key="type",
            code="NX3109",
        )


def unwritable(address: str, options: Mapping[str, Any]) -> str:
    """Why an address (normal form, with its options) can never be written; "" where it can."""
    if options.get("scale_from"):
        return SCALED
    area = address.partition(":")[0]
    return f"the {area} area can't be written" if area in READ_ONLY else ""


def _check_writable(written: Written, kind: DataType) -> None:
    if written.area in READ_ONLY:
        other = "coil" if written.area == "discrete" else "holding"
        raise AddressError(
            f"the {written.area} area can't be written",
            key="writable",
            hint=f"remove writable, or use {other}:{written.offset} if the device mirrors it there",
            code="NX3105",
        )
    if kind.base == "bool" and kind.count and written.area not in BIT_AREAS:
        raise AddressError(
            "an array of register bits can't be written in one step",
            key="writable",
            hint="one tag per bit, or a uint16",
            code="NX3105",
        )


def _agreed(key: str, by_key: Any, by_address: Any) -> Any:
    """What the tag's key and its address say together."""
    if by_key is not None and by_address is not None and by_key != by_address:
        raise AddressError(f"{key} is {by_key}, but the address has {by_address}", code="NX3108", hint="write it once")
    return by_address if by_key is None else by_key


class _Options(TypedDict, total=False):
    """`Address.options` of Modbus; what is left out has its usual value.

    raw_type: Published type of a value that a register scales.
    scale_from: Register with the exponent of the scale.
    none: Raw numbers that mean no value.
    encoding: `bcd`.
    byte: `high` of a register.
    unit_id: When it is not the device's.
    length: Bytes of a string whose type gives none.
    text: Encoding in which a string's length counts.
    layout, order: Of characters and bytes.
    """

    raw_type: str
    scale_from: str
    none: list[float]
    encoding: str
    byte: str
    unit_id: int
    length: int
    text: str
    layout: str
    order: str


_HINTS = {
    FailureKind.UNIT_UNREACHABLE: (
        "a Modbus device answers, but not this unit: `nexus discover modbus://HOST?unit=1-10` shows which ones do"
    ),
    FailureKind.NO_ANSWER: (
        "another unit id (…?unit=1-10 says which answer), a slow device (--set timeout=3s), or no Modbus there"
    ),
}


KIND = DriverKind(
    name="modbus",
    title="Modbus TCP",
    modes=("poll",),
    connection=ModbusConnection,
    tag=ModbusTag,
    link_of=link_of,
    address_of=address_of,
    unwritable=unwritable,
    link_keys=frozenset(
        {"framing", "timeout", "connect_timeout", "pause", "any_unit", "any_transaction", "echo", *SERIAL_LINE}
    ),
    resolved_keys=frozenset({"host", "serial"}),
    url=URL,
    default_port=DEFAULT_PORT,
    answer_ms=10.0,
    stand_in={"host": "device"},
    browse_hint="it does not support SunSpec: import its register list, or nexus probe finds a reading",
    check_link=check_link,
    hints=_HINTS,
)
