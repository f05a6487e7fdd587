"""Reads Modbus addresses in every dialect that people already have, and writes the one normal form.

Normal form: `holding:100` or `holding:100.3`, zero-based as on the wire.
Source: Modbus Application Protocol V1.1b3 §4.4 (addresses 0..65535 on the wire, numbered from 1 in data models).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.datatype import IEC_TYPES
from nexus_cli.model.driver_kind import AddressError

AREAS = ("coil", "discrete", "input", "holding")
BIT_AREAS = ("coil", "discrete")
READ_ONLY = ("discrete", "input")
MAX_ADDRESS = 65535

_BY_DIGIT = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}
_DIGIT = {area: digit for digit, area in _BY_DIGIT.items()}
_AREA_ALIASES = {"co": "coil", "coils": "coil", "di": "discrete", "ir": "input", "hr": "holding"}
_PLC4X_NAMES = {
    "discrete_input": "discrete",
    "input_register": "input",
    "holding_register": "holding",
}
_NAMED = re.compile(r"(?P<area>[A-Za-z][A-Za-z_ ]*):(?P<number>0[xX][0-9A-Fa-f]+|\d+)(?:\.(?P<bit>\d+))?\Z")
_PLC4X = re.compile(
    r"(?P<digit>\d)[xX](?P<number>\d{1,6})(?:\.(?P<bit>\d+))?"
    r"(?::(?P<type>[A-Za-z]+)(?:\[(?P<count>\d+)\])?)?(?P<config>\{[^{}]*\})?\Z"
)
_DIGITS = re.compile(
    r"(?:(?P<unit>\d{1,3})!)?(?P<number>\d+)"
    r"(?:\.(?P<dot>\d+)(?P<layout>[HLDE])?)?(?P<order>#[A-Za-z]{1,2})?\Z"
)
_CONFIG_PAIR = re.compile(r"\s*(?P<key>[a-z-]+)\s*:\s*['\"]?(?P<value>[A-Za-z0-9_]+)['\"]?\s*\Z")

LAYOUTS = ("high-first", "low-first", "high-byte", "low-byte")
"""How a string lies in its registers: two characters a register, high or low byte first; one a register, in the high or
the low byte."""
_NEURON_LAYOUTS = dict(zip("HLDE", LAYOUTS, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What an address contains; everything else is in the tag's other keys.

    Attributes:
        area: One of `AREAS`.
        offset: Zero-based, 0..65535.
        suffix: The number after the dot, or None: a bit, or a string's length.
        layout: String layout, if the dialect gave one.
        order: Byte order, if the dialect gave one.
        unit_id: Unit id, if the dialect gave one.
        type: Type in our names with its array bracket, if the dialect gave one.
    """

    area: str
    offset: int
    suffix: int | None = None
    layout: str = ""
    order: str = ""
    unit_id: int | None = None
    type: str = ""


# The devices of a plant share their addresses: a thousand of one kind read each of them a thousand times.
@lru_cache(maxsize=1 << 16, typed=True)
def parse_address(written: str | int, *, base: int = 0) -> Written:
    """Read an address in any dialect.

    Args:
        written: `holding:100`, `400101`, `40101`, `4x00101:UINT[10]{unit-id: 10}`, `1!400101.4`, …
        base: What `area:number` counts from, 0 or 1. The other dialects count from 1 by definition.

    Raises:
        AddressError: It is none of them, or it lies outside 0..65535.
    """
    text = str(written).strip()
    if match := _NAMED.match(text):
        return _named(text, match, base)
    if match := _PLC4X.match(text):
        return _plc4x(text, match)
    if match := _DIGITS.match(text):
        return _digits(text, match)
    head, colon, tail = text.partition(":")
    if colon and head and not head[0].isdigit():
        _area(text, head)
        raise AddressError(
            f"'{text}': '{tail}' is not a register number",
            hint=f"write {head}:100, {head}:0x64 or, for a bit of a register, {head}:100.3",
            code="NX3101",
        )
    raise AddressError(
        f"'{text}' is not a Modbus address",
        hint="write holding:100 (zero-based), 400101 (one-based), 4x00101 or 1!400101; areas are coil, discrete, input, holding",
        code="NX3101",
    )


def _area(text: str, word: str) -> str:
    name = word.strip().lower().replace(" ", "_").replace("-", "_")
    name = _AREA_ALIASES.get(name, name)
    if area := _PLC4X_NAMES.get(name.removesuffix("s")):
        raise AddressError(
            f"'{text}' leaves open what it counts from (PLC4X writes it and counts from one)",
            hint=f"write {area}:0 for the first of them (zero-based), or {_DIGIT[area]}x00001 (one-based)",
            code="NX3102",
        )
    if name not in AREAS:
        raise AddressError(f"'{text}': '{word}' is not a Modbus area", hint=did_you_mean(name, AREAS), code="NX3101")
    return name


def _offset(text: str, area: str, number: int, base: int) -> int:
    offset = number - base
    if offset < 0:
        raise AddressError(
            f"'{text}' counts from one, so there is no number {number}",
            hint=f"the first is {_DIGIT[area]}00001; on the wire it is {area}:0",
            code="NX3102",
        )
    if offset > MAX_ADDRESS:
        raise AddressError(
            f"'{text}' lies beyond the last address {MAX_ADDRESS} of the {area} area",
            hint=_beyond_hint(area, number),
            code="NX3103",
        )
    return offset


def _beyond_hint(area: str, number: int) -> str:
    digits = str(number)
    if len(digits) == 6 and digits[0] == _DIGIT[area] and 0 < int(digits[1:]) <= MAX_ADDRESS + 1:
        return f"{digits} without '{area}:' is the one-based form; zero-based it is {area}:{int(digits[1:]) - 1}"
    return ""


def _named(text: str, match: re.Match[str], base: int) -> Written:
    area = _area(text, match["area"])
    number = int(match["number"], 0) if match["number"][:2].lower() == "0x" else int(match["number"])
    suffix = int(match["bit"]) if match["bit"] else None
    return Written(area=area, offset=_offset(text, area, number, base), suffix=suffix)


def _plc4x(text: str, match: re.Match[str]) -> Written:
    area = _BY_DIGIT.get(match["digit"])
    if area is None:
        raise AddressError(
            f"'{text}': there is no area {match['digit']}x",
            hint="0x coils, 1x discrete inputs, 3x input registers, 4x holding registers",
            code="NX3101",
        )
    kind = match["type"].upper() if match["type"] else ""  # IEC 61131-3 names, as PLC4X writes them
    if kind and kind not in IEC_TYPES:
        raise AddressError(f"'{text}': '{kind}' is not a type", hint=did_you_mean(kind, IEC_TYPES), code="NX3101")
    count = int(match["count"] or 0)
    unit, order = _plc4x_config(text, match["config"])
    return Written(
        area=area,
        offset=_offset(text, area, int(match["number"]), 1),
        suffix=int(match["bit"]) if match["bit"] else None,
        type=(IEC_TYPES[kind] + (f"[{count}]" if count > 1 else "")) if kind else "",
        unit_id=unit,
        order=order,
    )


def _plc4x_config(text: str, config: str | None) -> tuple[int | None, str]:
    unit: int | None = None
    order = ""
    for part in (config or "{}")[1:-1].split(","):
        if not part.strip():
            continue
        pair = _CONFIG_PAIR.match(part)
        if pair and pair["key"] == "unit-id" and pair["value"].isdigit():
            unit = int(pair["value"])
        elif pair and pair["key"] == "byte-order":
            order = pair["value"]
        else:
            raise AddressError(
                f"'{text}': '{part.strip()}' is not understood", hint="write {unit-id: 10}", code="NX3101"
            )
    return unit, order


def _digits(text: str, match: re.Match[str]) -> Written:
    digits = match["number"]
    area = _BY_DIGIT.get(digits[0]) if len(digits) in (5, 6) else None
    if area is None:
        raise AddressError(
            f"'{text}' does not say which area it means",
            hint=_plain_number_hint(digits),
            code="NX3102",
        )
    number = int(digits[1:])
    if number == 0:
        raise AddressError(
            f"'{text}' counts from one, so '{digits}' is no {area} number",
            hint=f"write {area}:{int(digits)} if it is the number on the wire, {digits[:-1]}1 for the first of the area",
            code="NX3102",
        )
    return Written(
        area=area,
        offset=_offset(text, area, number, 1),
        suffix=int(match["dot"]) if match["dot"] else None,
        layout=_NEURON_LAYOUTS[match["layout"]] if match["layout"] else "",
        order=match["order"] or "",
        unit_id=int(match["unit"]) if match["unit"] else None,
    )


def _plain_number_hint(digits: str) -> str:
    number = int(digits)
    if number > MAX_ADDRESS:
        return "six digits begin with 0 (coil), 1 (discrete), 3 (input) or 4 (holding): 400101"
    return (
        f"write holding:{number} for the zero-based number on the wire, or 4{number:05d} if the manual counts from one; "
        'a number with leading zeros needs quotes: "000101"'
    )


def normal_text(area: str, offset: int, bit: int | None = None) -> str:
    """The normal form."""
    return f"{area}:{offset}" + ("" if bit is None else f".{bit}")


def split_normal(text: str) -> tuple[str, int, int | None]:
    """Area, zero-based offset and bit of a normal form."""
    area, _, rest = text.partition(":")
    number, dot, bit = rest.partition(".")
    return area, int(number), int(bit) if dot else None
