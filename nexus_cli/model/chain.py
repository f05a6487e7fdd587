"""From a raw value to the published one, without binary noise: 3 counts at 0.1 are 0.3, and a REAL of 99.9 is 99.9.

`published = ((raw * scale + offset) * unit_factor) + unit_shift` (`TagConfig`), joined to one factor and one shift as
exact fractions, because `0.1` in a site file means a tenth and not the binary number next to it. Whole raw values are
converted by integers alone, so that the result is the number nearest to the true one. Floats are published as the
shortest decimal that identifies them in their type; once scaled, with the digits that a double always holds.

Gateways, the inversion of writes, checks and dry runs take the line from here; what follows (range, deadband, alerts,
expressions) compares the decimal numbers that people see.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import INTEGER_BOUNDS, parse_type
from nexus_cli.model.quantities import exact_conversion

FLOAT_CODES = {"float16": "<e", "float32": "<f", "float64": "<d"}
SURE_DIGITS = 15
"""Significant decimal digits that every double holds. Source: IEEE 754-2019 table 3.6 (p = 53: floor(52 log10 2))."""
DIGITS = {"float16": (3, 4, 5), "float32": (6, 7, 8, 9)}
"""Digits that are tried in turn: from those that every value of the type keeps to those that always distinguish two
values. Source: IEEE 754-2019 §5.12.2 (p = 11: 3 and 5 digits, p = 24: 6 and 9)."""
HALF = {"float16": 2.0**41, "float32": 2.0**28}
"""Half the distance of two neighbours of the type, in those of a double: 2^(53 - p) / 2."""
LEAST_SIZE, MOST_SIZE = 1e-12, 1e12
"""Between these, both excluded, a float is made a decimal without printing it."""
_TENS = [10.0**power for power in range(23)]
"""The powers of ten that a double holds exactly."""
TOLERANCE = 2.0**-50
"""Numbers that differ by less than this share of the larger one are equal: a few roundings of a double."""
WHOLE_COUNT = Fraction(1, 1_000_000)
"""How far, in counts, the end of a range may lie from a count and still mean it."""
Convert = Callable[[Any], Any]


class Line(NamedTuple):
    """`published = raw * factor + shift`."""

    factor: Fraction
    shift: Fraction

    @property
    def plain(self) -> bool:
        """True when the published value is the raw one."""
        return self.factor == 1 and not self.shift


class Bounds(NamedTuple):
    """Least and greatest published value inside a range; None is open."""

    low: float | None
    high: float | None

    def hold(self, value: float) -> bool:
        """True for a value inside, the ends included."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


def line_of(tag: TagConfig) -> Line:
    """The line of a tag in normal form. Its scale may be 0, which nothing can be inverted from."""
    return _line(tag.scale, tag.offset, tag.unit, tag.publish_unit, tag.unit_factor, tag.unit_shift)


def converter(tag: TagConfig) -> Convert | None:
    """The function from a raw number of the tag to the published one; None when they are the same.

    The function raises TypeError, ValueError or OverflowError for a value that is not a number or has no finite result. For
    arrays it takes one element.
    """
    kind = parse_type(tag.type)
    if tag.expr or (kind.base not in INTEGER_BOUNDS and kind.base not in FLOAT_CODES and kind.base != "duration"):
        return None
    line = line_of(tag)
    if kind.base in INTEGER_BOUNDS:
        return None if line.plain else _counted(line)
    clean = cleaner(kind.base)
    return clean if line.plain else _scaled(line, clean)


def cleaner(base: str) -> Convert | None:
    """The function from a float of this type to the shortest decimal that identifies it; None where the number is that decimal.

    Hot: every sample of a REAL passes here. A decimal of so many digits is a whole number divided by a power of ten,
    which a double rounds once, so nothing has to be printed.
    """
    if base not in DIGITS:
        return None
    *short, sure = DIGITS[base]
    share, tens, log10, floor, ulp = HALF[base], _TENS, math.log10, math.floor, math.ulp

    def clean(raw: Any) -> float:
        size = abs(raw)
        if not LEAST_SIZE < size < MOST_SIZE:  # 0, what is not finite, and what few sensors say
            return _printed(base, raw)
        half = ulp(raw) * share
        exponent = floor(log10(size)) + 1
        for digits in short:
            places = digits - exponent
            if places >= 0:
                found = round(raw * tens[places]) / tens[places]
            else:
                found = round(raw / tens[-places]) * tens[-places]
            away = abs(found - raw)
            # Below a power of two the neighbours are nearer.
            if away < half and (away + away < half or math.frexp(size)[0] != 0.5):
                return float(found)
            if away == half and rounded(base, found) == raw:  # a tie goes to the even one
                return float(found)
        return float(f"{raw:.{sure}g}")

    return clean


def _printed(base: str, raw: Any) -> float:
    for digits in DIGITS[base]:
        found = float(f"{raw:.{digits}g}")
        if rounded(base, found) == rounded(base, raw):
            return found
    return float(raw)


def tidy(value: float) -> float:
    """A computed number with the digits that a double is sure of: 0.1 + 0.2 is 0.3. Whole ones stay as they are."""
    return value if value.is_integer() or not math.isfinite(value) else float(f"{value:.{SURE_DIGITS}g}")


def rounded(base: str, value: float) -> float:
    """A number as this float type holds it; infinite when it is too large."""
    code = FLOAT_CODES.get(base)
    if code is None or base == "float64":
        return float(value)
    try:
        found: float = struct.unpack(code, struct.pack(code, value))[0]
    except (OverflowError, struct.error):
        return math.copysign(math.inf, value)
    return found


def same(left: float, right: float) -> bool:
    """True when two numbers are equal but for the roundings of a double; whole numbers are compared exactly."""
    if left == right:
        return True
    if (isinstance(left, int) and _is_whole(right)) or (isinstance(right, int) and _is_whole(left)):
        return False
    try:  # an infinite number, which an expression may have on its way, is equal to itself only
        return abs(left - right) <= TOLERANCE * max(abs(left), abs(right)) < math.inf
    except OverflowError:  # a whole number beyond the doubles
        return False


def _is_whole(number: float) -> bool:
    return isinstance(number, int) or number.is_integer()


def above(left: float, right: float) -> bool:
    """True when a number is greater than another one, and not equal to it (`same`)."""
    return left > right and not same(left, right)


def bounds_of(tag: TagConfig) -> Bounds:
    """The ends of a tag's range as published values: what the device holds for an end belongs to the range.

    An integer's end is compared in counts (within a millionth of one), a float's in its own rounding: 99.9 as a
    float32 with a scale of 0.7 is 99.9000002 when it is read, and counts as the end.
    """
    low, high = tag.range if tag.range is not None else (None, None)
    return Bounds(_end(tag, low, min), _end(tag, high, max))


def _end(tag: TagConfig, end: float | None, outer: Callable[[float, float], float]) -> float | None:
    kind = parse_type(tag.type)
    if end is None or not kind.numeric:
        return end
    if tag.expr:
        return outer(outer(end, end * (1 - TOLERANCE)), end * (1 + TOLERANCE))
    line = line_of(tag)
    if not line.factor:
        return end
    exact = (decimal_of(end) - line.shift) / line.factor
    held: Any
    if kind.integer:
        held = round(exact)
        if abs(exact - held) > WHOLE_COUNT:
            return end
    else:
        held = rounded(kind.base, double_of(exact))
        if not math.isfinite(held):
            return end
    convert = converter(tag)
    end = outer(end, held if convert is None else convert(held))
    if kind.base == "float64":  # its own rounding: 0.1 + 0.2 in a controller is 0.30000000000000004
        end = outer(outer(end, end * (1 - TOLERANCE)), end * (1 + TOLERANCE))
    return end


def decimal_of(number: float) -> Fraction:
    """The fraction that a number's shortest decimal is: what was written in the site file."""
    return Fraction(number) if isinstance(number, int) else Fraction(repr(float(number)))


@lru_cache(maxsize=4096)
def _line(scale: float, offset: float, unit: str, publish_unit: str, unit_factor: float, unit_shift: float) -> Line:
    factor, shift = _simplest(unit_factor), _simplest(unit_shift)
    if unit_factor != 1.0 or unit_shift != 0.0:
        # The normal form has the factor as a number; the table knows its exact fraction.
        found = exact_conversion(unit, publish_unit)
        if found is not None and (float(found[0]), float(found[1])) == (unit_factor, unit_shift):
            factor, shift = found
    return Line(decimal_of(scale) * factor, decimal_of(offset) * factor + shift)


def _simplest(number: float) -> Fraction:
    """The exact fraction of a computed factor: 5/9 for 0.5555555555555556, its decimal where there is no small one."""
    found = Fraction(number).limit_denominator(10_000)
    return found if float(found) == number else decimal_of(number)


def _counted(line: Line) -> Convert:
    """By integers: one true division, which rounds once (and correctly) however large they are."""
    below = math.lcm(line.factor.denominator, line.shift.denominator)
    times, plus = int(line.factor * below), int(line.shift * below)
    factor, shift = float(line.factor), float(line.shift)

    def convert(raw: Any) -> float:
        if type(raw) is int:
            return (raw * times + plus) / below
        return float(raw * factor + shift)  # a driver that has it as a float already

    return convert


def _scaled(line: Line, clean: Convert | None) -> Convert:
    factor, shift = double_of(line.factor), double_of(line.shift)
    places = places_beside(shift)

    def convert(raw: Any) -> float:
        value = (raw if clean is None else clean(raw)) * factor + shift
        value = float(f"{value:.{SURE_DIGITS}g}")
        return value if places is None else round(value, places)

    return convert


def places_beside(shift: float) -> int | None:
    """How many decimals of a sum are sure: next to the shift, digits below its own last sure one are noise (32 °F in °C
    is 0, and not 3.6e-15). None where all are."""
    places = SURE_DIGITS - 1 - math.floor(math.log10(abs(shift))) if shift else -1
    return places if 0 <= places < 300 else None


def double_of(number: Fraction) -> float:
    """The nearest double; infinite where there is none."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
