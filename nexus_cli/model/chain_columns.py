"""The chain of `model.chain` for many values at once: the same numbers, bit for bit.

A vector form takes doubles and returns doubles. Where it can't be sure that rounding goes the same way (ties, numbers
of unusual size, zeros), that element takes the scalar form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import orjson

from nexus_cli.model.chain import (
    DIGITS,
    HALF,
    LEAST_SIZE,
    MOST_SIZE,
    SURE_DIGITS,
    Convert,
    cleaner,
    converter,
    double_of,
    line_of,
    places_beside,
)
from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import INTEGER_BOUNDS, parse_type

Column = npt.NDArray[np.float64]
Positions = npt.NDArray[np.intp]
ColumnConvert = Callable[[Column], Column]
EXACT = 2.0**53
"""A double holds every whole number up to this."""
SHORT = 10
"""Fewer numbers than this are cleaned and scaled one by one: that is faster."""
_SIZE, _FRACTION = np.uint32(0x7FFFFFFF), np.uint32(0x007FFFFF)
"""Bits of a float32: all but the sign, and those behind the leading one."""
_LEAST, _MOST = (np.float32(limit).view(np.uint32) for limit in (0.1, 1e9))
"""Between these a float32 times the power of ten that makes it a whole number of 9 digits is exact in a double."""
_LARGE = 1e200
"""Factors and shifts below this times a float32 do not overflow."""
_LOW, _HIGH = -12, 15
"""The powers of ten between which numbers are rounded by column."""
_MOST_TEN = 22
"""The largest power of ten that a double holds exactly."""
_SURE_CLEAN = 0.499
"""A product of at most 10 digits is off by less than a millionth: further than this from a whole number, which one is
nearest is not sure."""
_SURE_SCALED = 0.4375
"""A product below 10^15 is off by at most a sixteenth (half the distance of two doubles there)."""


def _step(power: int) -> float:
    """The least double whose decimal logarithm is at least `power`, as the scalar form computes it."""
    found = 10.0**power
    while math.log10(found) >= power:
        found = math.nextafter(found, 0.0)
    while math.log10(found) < power:
        found = math.nextafter(found, math.inf)
    return found


_STEPS = np.array([_step(power) for power in range(_LOW, _HIGH + 1)])
_STEPS[0] = math.nextafter(LEAST_SIZE, math.inf)


def _scales(digits: int, *, most: float) -> tuple[list[float], list[float]]:
    """By the index of a number among the steps: what to multiply and what to divide by, so that it has as many digits
    before the point; NaN for numbers that are not rounded by column."""
    up, down = [math.nan], [math.nan]
    for exponent in range(_LOW + 1, _HIGH + 2):  # the digits before the point
        places = digits - exponent
        known = 10.0 ** (exponent - 1) < most and abs(places) <= _MOST_TEN
        up.append(10.0 ** max(places, 0) if known else math.nan)
        down.append(10.0 ** max(-places, 0) if known else math.nan)
    return up, down


def column_converter(tag: TagConfig) -> ColumnConvert | None:
    """The function from raw numbers of a tag to the published ones; None when they are the same.

    It returns what the scalar form does, and something that is not finite where that one raises. The tag's values have to
    be numbers (integers, floats); the function is for those that a double holds exactly.
    """
    scalar = converter(tag)
    if scalar is None:
        return None
    kind, line = parse_type(tag.type), line_of(tag)
    if kind.base in INTEGER_BOUNDS:
        return _counted(line.factor, line.shift, scalar)
    clean = column_cleaner(kind.base)
    if line.plain:
        return clean
    factor, shift = double_of(line.factor), double_of(line.shift)
    if not (abs(factor) < _LARGE and abs(shift) < _LARGE):
        return _one_by_one(scalar)
    return _scaled(factor, shift, places_beside(shift), clean, scalar)


def column_cleaner(base: str) -> ColumnConvert | None:
    """The vector form of `cleaner`: from floats of this type to the shortest decimals that identify them."""
    scalar = cleaner(base)
    if scalar is None:
        return None
    return _printed(scalar) if base == "float32" else _rounded(base, scalar)


def _printed(scalar: Convert) -> ColumnConvert:
    """By printing them all at once, which is several times as fast as rounding: a JSON encoder writes a float32 with the fewest
    digits. The scalar form takes what it may see otherwise: numbers of unusual size, powers of two (their neighbours are not
    equally far), what no float32 holds."""

    def clean(raw: Column) -> Column:
        if len(raw) < SHORT:
            return _by_element(raw, np.empty_like(raw), np.zeros(raw.shape, np.bool_), scalar)
        with np.errstate(over="ignore"):  # infinite, so that it differs from the number
            single = raw.astype(np.float32)
        bits = single.view(np.uint32)
        sure = (bits & _SIZE) - _LEAST < _MOST - _LEAST
        sure &= (bits & _FRACTION) != 0
        sure &= single == raw
        result = np.array(orjson.loads(orjson.dumps(single, option=orjson.OPT_SERIALIZE_NUMPY)), np.float64)
        return result if b"\0" not in sure.tobytes() else _by_element(raw, result, sure, scalar)

    return clean


def _rounded(base: str, scalar: Convert) -> ColumnConvert:
    """By rounding to fewer digits, as the scalar form does."""
    scales = [tuple(np.array(one) for one in _scales(digits, most=MOST_SIZE)) for digits in DIGITS[base]]
    share = 2.0 * HALF[base]
    absolute, minimum, spacing, nextafter = np.abs, np.minimum, np.spacing, np.nextafter

    def clean(raw: Column) -> Column:
        if len(raw) < SHORT:
            return _by_element(raw, np.empty_like(raw), np.zeros(raw.shape, np.bool_), scalar)
        size = absolute(raw)
        step = _STEPS.searchsorted(size, side="right")
        # Half the distance to the nearer neighbour in the type: below a power of two it is the one below. (Of half the
        # number, because that of the largest double is beyond the doubles; those of unusual size are not rounded here.)
        limit = spacing(nextafter(0.5 * minimum(size, _LARGE), 0.0)) * share
        result, _ = _shortened(raw, step, *scales[0])
        away = absolute(result - raw)
        if b"\0" not in (enough := away < limit).tobytes():
            return result
        rest = (~enough).nonzero()[0]
        raw, step, limit = raw[rest], step[rest], limit[rest]
        longer, _ = _shortened(raw, step, *scales[1])
        away = np.stack((away[rest], absolute(longer - raw)))
        enough = away[1] < limit
        sure = ~((away == limit) | (away == limit + limit)).any(axis=0)  # a tie goes to the even one
        if not enough.all():
            longest, rounded_by = _shortened(raw, step, *scales[2])
            longer = np.where(enough, longer, longest)
            sure &= enough | (rounded_by < _SURE_CLEAN)
        result[rest] = longer if sure.all() else _by_element(raw, longer, sure, scalar)
        return result

    return clean


def _shortened(raw: Column, step: Positions, up: Column, down: Column) -> tuple[Column, Column]:
    """Numbers with fewer digits, and how far each was rounded, in units of its last digit."""
    times, over = up.take(step), down.take(step)
    product = raw * times
    product /= over
    found = np.rint(product)
    product -= found
    found *= over
    found /= times
    return found, np.abs(product, product)


def _by_element(raw: Column, result: Column, sure: npt.NDArray[np.bool_], scalar: Convert) -> Column:
    for at in (~sure).nonzero()[0].tolist():
        try:
            result[at] = scalar(raw.item(at))
        except (ArithmeticError, ValueError):
            result[at] = math.nan
    return result


def _one_by_one(scalar: Convert) -> ColumnConvert:
    return lambda raw: _by_element(raw, np.empty_like(raw), np.zeros(raw.shape, np.bool_), scalar)


def _counted(factor: Fraction, shift: Fraction, scalar: Convert) -> ColumnConvert:
    below = math.lcm(factor.denominator, shift.denominator)
    times, plus = int(factor * below), int(shift * below)
    # Beyond this a product or a sum is not exact in doubles, and the division rounds a second time.
    most = (2**53 - abs(plus)) // max(1, abs(times))

    def exactly(raw: float) -> float:
        found: float = scalar(int(raw))
        return found

    if most < 1 or below >= EXACT or abs(plus) >= EXACT:
        return _one_by_one(exactly)

    def convert(raw: Column) -> Column:
        result: Column = (raw * times + plus) / below
        if most < 2**32:  # else no integer of 32 bits is as large
            sure = np.abs(raw) <= most
            return result if sure.all() else _by_element(raw, result, sure, exactly)
        return result

    return convert


def _scaled(
    factor: float, shift: float, places: int | None, clean: ColumnConvert | None, scalar: Convert
) -> ColumnConvert:
    up = np.array(_scales(SURE_DIGITS, most=10.0**_HIGH)[0])
    rint, absolute = np.rint, np.abs
    ten = 10.0**places if places is not None and 0 <= places <= _MOST_TEN else math.nan
    # Numbers with fewer digits before the point than this are rounded beside the shift.
    small = 0 if places is None or places < 0 else SURE_DIGITS - places - _LOW

    def convert(raw: Column) -> Column:
        if len(raw) < SHORT:
            return _by_element(raw, np.empty_like(raw), np.zeros(raw.shape, np.bool_), scalar)
        if clean is None:
            with np.errstate(over="ignore"):
                value = raw * factor
        else:  # no float32 is large enough to overflow
            value = clean(raw) * factor
        value += shift
        step = _STEPS.searchsorted(absolute(value), side="right")
        times = up.take(step)
        product = value * times
        whole = rint(product)
        sure = absolute(product - whole) < _SURE_SCALED
        whole /= times
        if small and (near := step < small).any():
            product = whole * ten
            beside = rint(product)
            sure &= ~near | (absolute(product - beside) < _SURE_SCALED)
            whole = np.where(near, beside / ten, whole)
        return whole if sure.all() else _by_element(raw, whole, sure, scalar)

    return convert
