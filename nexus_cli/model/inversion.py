"""From a published value back to the raw one that a device is written: unit, scale and offset inverted, nothing cut.

By exact fractions, along the same line as values are published (`model/chain.py`). Pure: gateways write with it,
checks and dry runs say beforehand what it would refuse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.chain import (
    FLOAT_CODES,
    WHOLE_COUNT,
    Bounds,
    Line,
    bounds_of,
    converter,
    decimal_of,
    line_of,
    rounded,
)
from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import INTEGER_BOUNDS, DataType, parse_type
from nexus_cli.model.instant import instant_ns
from nexus_cli.wire.sample import Value

TYPE, RANGE, INEXACT = "NX6805", "NX6806", "NX6807"
MAX_JSON_DEPTH = 32
_UNIT_BYTES = {"utf-16-be": 2, "utf-16-le": 2}
"""Bytes of what a text's length counts, where that is not a byte."""
_UNASSIGNED = dict.fromkeys((0x81, 0x8D, 0x8F, 0x90, 0x9D), "?")
"""Characters for the five bytes that Windows-1252 leaves open: every device has them, and the codec refuses them."""


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
    """The raw value of a published one.

    Args:
        tag: The tag in normal form.
        value: In the published unit; the name of an enumeration's code is accepted for the code.
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
    """The published value of a raw one. Raises InversionError when it is not of the tag's type."""
    kind = parse_type(tag.type)
    if isinstance(raw, list):
        return [published_of_one(tag, kind, item) for item in raw]
    return published_of_one(tag, kind, raw)


def published_of_one(tag: TagConfig, kind: DataType, raw: Value) -> Value:
    """The published value of one element."""
    if kind.base not in INTEGER_BOUNDS and kind.base not in FLOAT_CODES:
        return raw
    if isinstance(raw, bool) or not isinstance(raw, (int, float)):
        raise InversionError(f"{_shown(raw)} is not a number", code=TYPE)
    convert = converter(tag)
    if convert is None:
        return raw
    try:
        published: Value = convert(raw)
    except ArithmeticError:
        raise InversionError(f"{_shown(raw)} has no published value that is finite", code=INEXACT) from None
    return published


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
    if kind.base in INTEGER_BOUNDS or kind.base in FLOAT_CODES:
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
    return _text(tag, kind, value)


def _number(tag: TagConfig, kind: DataType, value: Value, bounded: bool) -> Value:
    if isinstance(value, str):
        value = _from_text(tag, kind, value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InversionError(f"the tag is a number ({kind.base}), and this is {_shown(value)}", code=TYPE)
    if (isinstance(value, int) and value.bit_length() > 128) or not math.isfinite(value):
        raise InversionError(f"{_shown(value)} is not a finite number", code=TYPE)
    bounds = bounds_of(tag) if bounded else Bounds(None, None)
    if bounded and tag.values:
        _known_code(tag, value)
    line = line_of(tag)
    if not line.factor:
        raise InversionError("the tag's scale is 0: no value can be inverted", code=INEXACT)
    if kind.base in INTEGER_BOUNDS:
        raw: float = _whole(tag, kind, value, line, bounds)
    else:
        raw = _real(tag, kind, value, line, bounds)
    _check_coding(tag, kind, raw)
    return raw


def _check_coding(tag: TagConfig, kind: DataType, raw: float) -> None:
    """Values that the device's coding excludes: digits beyond a BCD number's, and numbers that mean "no value"."""
    if raw in tag.options.get("none", ()):
        raise InversionError(f"the raw number {raw} means 'no value' in this device (none:)", code=RANGE)
    if tag.options.get("encoding") == "bcd" and kind.base in INTEGER_BOUNDS:
        low, high = INTEGER_BOUNDS[kind.base]
        digits = (high - low).bit_length() // 4
        if not 0 <= raw < 10**digits:
            raise InversionError(f"the device's BCD number has {digits} digits, and can't hold {raw}", code=INEXACT)


def _known_code(tag: TagConfig, value: float) -> None:
    if str(value) in tag.values or (value == int(value) and str(int(value)) in tag.values):
        return
    known = ", ".join(f"{code} ({name})" for code, name in list(tag.values.items())[:10])
    raise InversionError(f"{value} is not one of the codes", code=RANGE, hint=f"known are {known}")


def _real(tag: TagConfig, kind: DataType, value: float, line: Line, bounds: Bounds) -> float:
    """A float's range is that of what the device will hold: 99.9000015 is 99.9 in a float32."""
    exact = (decimal_of(value) - line.shift) / line.factor
    try:
        raw = float(value) if line.plain else float(exact)
    except OverflowError:
        raw = math.inf
    held = rounded(kind.base, raw)
    if not math.isfinite(held):
        if not bounds.hold(value):
            raise _out_of_range(tag, value)
        raise InversionError(f"{value} is too large for the device's {kind.base}", code=INEXACT)
    published = published_of_one(tag, kind, held)
    assert isinstance(published, (int, float))  # a number in, a number out
    if not bounds.hold(published):
        raise _out_of_range(tag, value)
    return raw


def _whole(tag: TagConfig, kind: DataType, value: float, line: Line, bounds: Bounds) -> int:
    exact = (decimal_of(value) - line.shift) / line.factor
    raw = round(exact)
    exact_count = abs(exact - raw) <= _unsaid(value, line)
    if not bounds.hold(_at(line, raw) if exact_count else value):
        raise _out_of_range(tag, value)
    # A conversion of units rarely meets a whole count (21 °C are 69.8 °F): there the nearest one is written, which
    # lies within half a count. Where there is only a scale, the device can hold exactly what is displayed: the
    # decimal itself, or the nearest double.
    converted = tag.unit_factor != 1.0 or tag.unit_shift != 0.0
    if not exact_count and not converted:
        low, high = math.floor(exact), math.ceil(exact)
        near = f"{_tidy(_at(line, low))} or {_tidy(_at(line, high))}"
        raise InversionError(f"the device can't hold {value} exactly", code=INEXACT, hint=f"write {near}")
    if converted:
        raw = _inside(tag, value, raw, line, bounds)
    least, most = INTEGER_BOUNDS[kind.base]
    if not least <= raw <= most:
        ends = sorted((_at(line, least), _at(line, most)))
        raise InversionError(
            f"{value} does not fit the device's {kind.base}",
            code=INEXACT,
            hint=f"it holds {_tidy(ends[0])} to {_tidy(ends[1])}",
        )
    return raw


def _unsaid(value: float, line: Line) -> Fraction:
    """How far, in counts, a value may lie from the one that it means: not by a digit that could have been written."""
    if line.plain or isinstance(value, int):
        return Fraction(0) if line.plain else WHOLE_COUNT
    return max(WHOLE_COUNT, min(Fraction(math.ulp(value)) / abs(line.factor), Fraction(1, 2)))


def _inside(tag: TagConfig, value: float, raw: int, line: Line, bounds: Bounds) -> int:
    """The nearest count that does not leave the range: next to an end that may be the one before it."""
    if bounds.hold(_at(line, raw)):
        return raw
    step = 1 if (_at(line, raw) > value) == (line.factor < 0) else -1
    if bounds.hold(_at(line, raw + step)):
        return raw + step
    low, high = sorted((_at(line, raw + step), _at(line, raw)))
    hint = f"it holds {_tidy(low)} and {_tidy(high)}, both outside of the range"
    raise InversionError(f"the device can't hold a value near {_tidy(value)}", code=RANGE, hint=hint)


def _at(line: Line, raw: int) -> float:
    return float(raw * line.factor + line.shift)


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


def _out_of_range(tag: TagConfig, value: float) -> InversionError:
    low, high = tag.range or (None, None)
    unit = f" {tag.publish_unit}" if tag.publish_unit else ""
    ends = f"{'…' if low is None else _tidy(low)} to {'…' if high is None else _tidy(high)}{unit}"
    return InversionError(f"{_tidy(value)}{unit} is out of range", code=RANGE, hint=f"the range is {ends}")


def _text(tag: TagConfig, kind: DataType, value: str) -> str:
    if "\0" in value:
        raise InversionError("a text with a NUL can't be written", code=TYPE)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InversionError("the text is not Unicode", code=TYPE) from None
    length = kind.length or int(tag.options.get("length", 0))
    if kind.base == "string":
        _fits(value, length, str(tag.options.get("text", "")))
    if kind.base == "datetime":
        try:
            instant_ns(value)
        except ValueError as error:
            raise InversionError(str(error), code=TYPE, hint="write it as 2026-03-04T05:06:07Z") from None
    return value


def _fits(text: str, length: int, encoding: str) -> None:
    """Raises InversionError for a text that the tag has no room or no character for, where the kind says its encoding."""
    if length and len(text) > length:
        raise InversionError(f"the text has {len(text)} characters and the tag holds {length}", code=INEXACT)
    if not encoding:  # a PLC says itself which one it has, and its driver refuses before it sends
        return
    try:
        size = len(text.translate(_UNASSIGNED).encode(encoding)) // _UNIT_BYTES.get(encoding, 1)
    except UnicodeEncodeError as error:
        raise InversionError(
            f"the device's text ({encoding.upper()}) has no character {text[error.start]!r}", code=INEXACT
        ) from None
    if length and size > length:
        what = f"{size} units of two bytes" if encoding in _UNIT_BYTES else f"{size} bytes"
        raise InversionError(
            f"the text takes {what} ({encoding.upper()}) and the tag holds {length}",
            code=INEXACT,
            hint=f"its {len(text)} characters are no plain ASCII: shorten it, or write them as ASCII",
        )


def _plain(value: Value, depth: int) -> None:
    if depth > MAX_JSON_DEPTH:
        raise InversionError(f"the structure is nested deeper than {MAX_JSON_DEPTH}", code=TYPE)
    if isinstance(value, float) and not math.isfinite(value):
        raise InversionError(f"{value} is not a finite number", code=TYPE)
    inner: Any = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        _plain(item, depth + 1)


def _tidy(value: float) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
