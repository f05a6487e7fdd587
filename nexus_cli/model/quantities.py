"""Units and what they convert to: resolved once, when the snapshot is made; a running gateway only multiplies and adds."""

from __future__ import annotations

import re
import tokenize
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

from nexus_cli.model.units import UNITS

_LENGTH = 40
_ALLOWED = re.compile(r"[A-Za-zµμΩ°%²³·*/()^ 0-9._\-]+\Z")
_UNSAFE = re.compile(r"\d\d|\d\s*(\*\*|\^)|__|\*\*\s*[^-\d\s]")
_POWER = re.compile(r"(?<=[A-Za-z])([234])(?![0-9A-Za-z])")


class UnitError(ValueError):
    """A unit that is unknown, or can't become another.

    Attributes:
        unit: The unit that is unknown, "" when both are known and measure different things.
    """

    def __init__(self, message: str, *, unit: str = "") -> None:
        super().__init__(message)
        self.unit = unit


@lru_cache(maxsize=4096)
def known(unit: str) -> bool:
    """True when a unit can be converted."""
    return unit in UNITS or _parsed(unit) is not None


@lru_cache(maxsize=4096)
def conversion(unit: str, publish_unit: str) -> tuple[float, float]:
    """Factor and shift: `published = value * factor + shift`.

    Raises:
        UnitError: One of them is unknown, or they measure different things.
    """
    if unit == publish_unit:
        return 1.0, 0.0
    have, want = UNITS.get(unit), UNITS.get(publish_unit)
    if have is not None and want is not None:
        if have[0] != want[0]:
            raise UnitError(f"'{unit}' is {have[0]} and '{publish_unit}' is {want[0]}")
        factor = Fraction(have[1]) / Fraction(want[1])
        return float(factor), float((Fraction(have[2]) - Fraction(want[2])) / Fraction(want[1]))
    return _conversion_by_library(unit, publish_unit)


@lru_cache(maxsize=4096)
def exact_conversion(unit: str, publish_unit: str) -> tuple[Fraction, Fraction] | None:
    """`conversion` as fractions, for units that the table has both; None for others. Needs no library."""
    have, want = UNITS.get(unit), UNITS.get(publish_unit)
    if have is None or want is None or have[0] != want[0]:
        return None
    return Fraction(have[1]) / Fraction(want[1]), (Fraction(have[2]) - Fraction(want[2])) / Fraction(want[1])


def suggestions() -> list[str]:
    """Unit symbols to suggest instead of an unknown one."""
    return [symbol for symbol in UNITS if symbol]


def _conversion_by_library(unit: str, publish_unit: str) -> tuple[float, float]:
    have, want = _parsed(unit), _parsed(publish_unit)
    for text, parsed in ((unit, have), (publish_unit, want)):
        if parsed is None:
            raise UnitError(f"'{text}' is not a unit that can be converted", unit=text)
    registry = _registry()
    import pint

    try:
        zero = registry.Quantity(0.0, have).to(want).magnitude
        one = registry.Quantity(1.0, have).to(want).magnitude
    except pint.DimensionalityError:
        raise UnitError(f"'{unit}' and '{publish_unit}' measure different things") from None
    except (pint.PintError, ArithmeticError, ValueError, TypeError, AttributeError):
        raise UnitError(f"'{unit}' can't be converted to '{publish_unit}'") from None
    factor, shift = float(one - zero), float(zero)
    if not abs(factor) < float("inf") or not abs(shift) < float("inf") or not factor:
        raise UnitError(f"'{unit}' can't be converted to '{publish_unit}'")
    return factor, shift


@cache
def _registry() -> Any:
    """pint's registry; half a second to import and build, so only for units beyond the table."""
    import pint

    return pint.UnitRegistry(autoconvert_offset_to_baseunit=True)


@lru_cache(maxsize=4096)
def _parsed(unit: str) -> Any:
    """pint's unit, or None. What a person wrote is bounded first: the library evaluates arithmetic."""
    if len(unit) > _LENGTH or not _ALLOWED.match(unit) or _UNSAFE.search(unit):
        return None
    import pint

    text = _POWER.sub(r"**\1", unit).replace("μ", "µ").replace("·", "*")
    try:
        parsed = _registry().parse_units(text)
    except (
        pint.PintError,
        ArithmeticError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        SyntaxError,
        RecursionError,
        AssertionError,
        tokenize.TokenError,
    ):
        return None
    return (
        None if parsed.dimensionless and text.strip() not in ("", "1") and not re.search("[A-Za-z%]", text) else parsed
    )
