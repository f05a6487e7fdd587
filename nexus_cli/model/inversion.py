"""From a published value back to the raw one that a device is written: unit, scale and offset inverted, nothing cut.

`published = ((raw * scale + offset) * unit_factor) + unit_shift` (`TagConfig`). Pure: gateways write with it, checks
and dry runs say beforehand what it would refuse.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import INTEGER_BOUNDS, DataType, parse_type
from nexus_cli.wire.sample import Value

TYPE, RANGE, INEXACT = "NX6805", "NX6806", "NX6807"
_FLOAT_CODES = {"float16": "<e", "float32": "<f", "float64": "<d"}
_EXACT = Fraction(1, 1_000_000)
"""How far, in counts, a decimal value may lie from a whole raw one and still mean it (0.1 is no binary number)."""
MAX_JSON_DEPTH = 32


class InversionError(ValueError):
    """The value can't be written to this tag.

    Attributes:
        code: NX6805 wrong type, NX6806 out of range, NX6807 the device can't hold it exactly.
        hint: What could be written instead.
    """

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


def raw_of(tag: TagConfig, value: Value, *, bounded: bool = True) -> Value:
    """The raw value that stands for a published one.

    Args:
        tag: The tag in normal form.
        value: In the published unit; the name of an enumeration's code stands for the code.
        bounded: False leaves `range` out (for `expect`, which compares and does not write).

    Raises:
        InversionError: Wrong type, out of range, too large for the device, or not exact there.
    """
    kind = parse_type(tag.type)
    if not kind.count:
        return _one(tag, kind, value, bounded)
    varying = bool(tag.options.get("varying"))
    if not isinstance(value, list) or len(value) > kind.count or (len(value) < kind.count and not varying):
        most = "up to " if varying else ""
        raise InversionError(
            f"the tag holds {most}{kind.count} values, and {_shown(value)} is not a list of them", code=TYPE
        )
    return [_one(tag, kind, item, bounded) for item in value]


def published_of(tag: TagConfig, raw: Value) -> Value:
    """What a raw value is published as. Raises InversionError when it has not the tag's type."""
    kind = parse_type(tag.type)
    if isinstance(raw, list):
        return [published_of_one(tag, kind, item) for item in raw]
    return published_of_one(tag, kind, raw)


def published_of_one(tag: TagConfig, kind: DataType, raw: Value) -> Value:
    """The published value of one element."""
    if kind.base not in INTEGER_BOUNDS and kind.base not in _FLOAT_CODES:
        return raw
    factor, shift = _line(tag)
    if factor == 1.0 and shift == 0.0:
        return raw
    if isinstance(raw, bool) or not isinstance(raw, (int, float)):
        raise InversionError(f"{_shown(raw)} is not a number", code=TYPE)
    return raw * factor + shift


def same_raw(type_: str, wanted: Value, held: Value) -> bool:
    """True when a device that was written `wanted` and holds `held` holds it: equal within the type's own rounding."""
    kind = parse_type(type_)
    if isinstance(wanted, list):
        pairs = zip(wanted, held, strict=True) if isinstance(held, list) and len(held) == len(wanted) else None
        return pairs is not None and all(_same(kind.base, one, other) for one, other in pairs)
    return _same(kind.base, wanted, held)


def code_of(values: Mapping[str, str], label: str) -> int:
    """The code of an enumeration's name.

    Raises:
        InversionError: There is none, or more than one.
    """
    codes = [int(code) for code, name in values.items() if name == label]
    if len(codes) == 1:
        return codes[0]
    if not codes:
        near = [name for name in values.values() if name.casefold() == label.strip().casefold()]
        hint = f"did you mean '{near[0]}'?" if near else did_you_mean(label, values.values())
        raise InversionError(f"'{label[:100]}' is not one of the value names", code=RANGE, hint=hint)
    raise InversionError(f"'{label}' names {len(codes)} codes", code=RANGE, hint="write the code")


def _one(tag: TagConfig, kind: DataType, value: Value, bounded: bool) -> Value:
    if kind.base in INTEGER_BOUNDS or kind.base in _FLOAT_CODES:
        return _number(tag, kind, value, bounded)
    if kind.base == "bool":
        if not isinstance(value, bool):
            raise InversionError(f"the tag is true or false, and this is {_shown(value)}", code=TYPE)
        return value
    if kind.base == "duration":
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise InversionError(f"the tag is a duration in milliseconds, and this is {_shown(value)}", code=TYPE)
        return value
    if kind.base == "json":
        _plain(value, 0)
        return value
    if not isinstance(value, str):
        raise InversionError(f"the tag is a text ({kind}), and this is {_shown(value)}", code=TYPE)
    return _text(kind, value)


def _number(tag: TagConfig, kind: DataType, value: Value, bounded: bool) -> Value:
    if isinstance(value, str):
        value = _from_text(tag, kind, value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InversionError(f"the tag is a number ({kind.base}), and this is {_shown(value)}", code=TYPE)
    if (isinstance(value, int) and value.bit_length() > 128) or not math.isfinite(value):
        raise InversionError(f"{_shown(value)} is not a finite number", code=TYPE)
    if bounded:
        _in_range(tag, value)
        if tag.values and str(value) not in tag.values and not (value == int(value) and str(int(value)) in tag.values):
            known = ", ".join(f"{code} ({name})" for code, name in list(tag.values.items())[:10])
            raise InversionError(f"{value} is not one of the codes", code=RANGE, hint=f"known are {known}")
    factor, shift = _line(tag)
    if factor == 0.0:
        raise InversionError("the tag's scale is 0: no value can be inverted", code=INEXACT)
    if kind.base in INTEGER_BOUNDS:
        return _whole(tag, kind, value, factor, shift, bounded)
    plain = factor == 1.0 and shift == 0.0
    raw = float(value) if plain else (value - shift) / factor
    if not _fits_float(kind.base, raw):
        raise InversionError(f"{value} is too large for the device's {kind.base}", code=INEXACT)
    return raw


def _whole(tag: TagConfig, kind: DataType, value: float, factor: float, shift: float, bounded: bool) -> int:
    exact = (Fraction(value) - Fraction(shift)) / Fraction(factor)
    raw = round(exact)
    off = abs(exact - raw)
    # A conversion of units rarely meets a whole count (21 °C are 69.8 °F): there the nearest one is meant, which
    # lies within half a count. Where only a scale stands between, the device can hold exactly what is displayed.
    converted = tag.unit_factor != 1.0 or tag.unit_shift != 0.0
    allowed = Fraction(1, 2) if converted else max(_EXACT, abs(exact) * Fraction(1, 10**12))
    if factor == 1.0 and shift == 0.0:
        allowed = Fraction(0)
    if off > allowed:
        low, high = math.floor(exact), math.ceil(exact)
        near = f"{_tidy(low * factor + shift)} or {_tidy(high * factor + shift)}"
        raise InversionError(f"the device can't hold {value} exactly", code=INEXACT, hint=f"write {near}")
    least, most = INTEGER_BOUNDS[kind.base]
    if not least <= raw <= most:
        ends = sorted((least * factor + shift, most * factor + shift))
        raise InversionError(
            f"{value} does not fit the device's {kind.base}",
            code=INEXACT,
            hint=f"it holds {_tidy(ends[0])} to {_tidy(ends[1])}",
        )
    if bounded and off:
        _in_range(tag, raw * factor + shift)
    return raw


def _from_text(tag: TagConfig, kind: DataType, text: str) -> int:
    """A name of the enumeration, or a 64-bit integer as text (what JSON readers can't hold as a number)."""
    if tag.values and text in tag.values.values():
        return code_of(tag.values, text)
    if (
        kind.base in ("int64", "uint64")
        and len(text) <= 20
        and text.lstrip("-").isascii()
        and text.removeprefix("-").isdecimal()
    ):
        return int(text)
    if tag.values:
        return code_of(tag.values, text)
    raise InversionError(f"the tag is a number ({kind.base}), and this is {_shown(text)}", code=TYPE)


def _in_range(tag: TagConfig, value: float) -> None:
    low, high = tag.range or (None, None)
    if (low is not None and value < low) or (high is not None and value > high):
        unit = f" {tag.publish_unit}" if tag.publish_unit else ""
        ends = f"{'…' if low is None else _tidy(low)} to {'…' if high is None else _tidy(high)}{unit}"
        raise InversionError(f"{_tidy(value)}{unit} is out of range", code=RANGE, hint=f"the range is {ends}")


def _text(kind: DataType, value: str) -> str:
    if "\0" in value:
        raise InversionError("a text with a NUL can't be written", code=TYPE)
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InversionError("the text is not Unicode", code=TYPE) from None
    if kind.base == "string" and kind.length and size > kind.length:
        raise InversionError(f"the text has {size} bytes and the tag holds {kind.length}", code=INEXACT)
    return value


def _plain(value: Value, depth: int) -> None:
    if depth > MAX_JSON_DEPTH:
        raise InversionError(f"the structure is nested deeper than {MAX_JSON_DEPTH}", code=TYPE)
    if isinstance(value, float) and not math.isfinite(value):
        raise InversionError(f"{value} is not a finite number", code=TYPE)
    inner: Any = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        _plain(item, depth + 1)


def _same(base: str, wanted: Value, held: Value) -> bool:
    if base not in _FLOAT_CODES:
        return type(wanted) is type(held) and wanted == held if base == "bool" else wanted == held
    if not isinstance(wanted, (int, float)) or not isinstance(held, (int, float)):
        return False
    return _rounded(base, float(wanted)) == _rounded(base, float(held))


def _rounded(base: str, value: float) -> float:
    try:
        rounded: float = struct.unpack(_FLOAT_CODES[base], struct.pack(_FLOAT_CODES[base], value))[0]
    except (OverflowError, struct.error):
        return math.copysign(math.inf, value)
    return rounded


def _fits_float(base: str, value: float) -> bool:
    return math.isfinite(value) and math.isfinite(_rounded(base, value))


def _line(tag: TagConfig) -> tuple[float, float]:
    return _factor_and_shift(tag.scale, tag.offset, tag.unit_factor, tag.unit_shift)


@lru_cache(maxsize=4096)
def _factor_and_shift(scale: float, offset: float, unit_factor: float, unit_shift: float) -> tuple[float, float]:
    """One multiplication and one addition, as the normaliser joins them."""
    return scale * unit_factor, offset * unit_factor + unit_shift


def _tidy(value: float) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
