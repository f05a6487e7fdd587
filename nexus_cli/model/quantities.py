"""Units and what they convert to: resolved once, when the snapshot is made; a running gateway only multiplies and adds."""

from __future__ import annotations

import re
import tokenize
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, NamedTuple

from nexus_cli.model.units import AMBIGUOUS, UNITS

_LENGTH = 40
_ALLOWED = re.compile(r"[A-Za-zµμΩ°%²³·*/()^ 0-9._\-]+\Z")
_UNSAFE = re.compile(r"\d\d|\d\s*(\*\*|\^)|__|\*\*\s*[^-\d\s]")
_POWER = re.compile(r"(?<=[A-Za-z])([234])(?![0-9A-Za-z])")
_WORD = re.compile(r"[A-Za-zµμΩ°%]+(?:_[A-Za-z]+)?")
_ALIKE = str.maketrans({"µ": "u", "μ": "u", "²": "2", "³": "3", "·": "*"})
_RAISED = re.compile(r"(?:\*\*|\^)(?=\d)")
_LITRE = re.compile(r"(?<![A-Za-z])(m?)L(?![A-Za-z])")
_OURS = {
    "ton_us": "US_ton",
    "ton_uk": "UK_ton",
    "cwt_us": "hundredweight",
    "cwt_uk": "UK_hundredweight",
    "gal_us": "gallon",
    "gal_uk": "imperial_gallon",
    "bbl_oil": "oil_barrel",
    "bbl_us": "barrel",
    "bbl_beer": "beer_barrel",
    "bbl_uk": "imperial_barrel",
    "fl_oz": "fluid_ounce",
    "kp": "kilogram_force",
}
"""Our words in the library's, for units that are made of them (`kg/ton_us`)."""
_MISREAD = frozenset(
    [
        "pcs",
        "pc",
        "PS",
        "Nm",
        "mNm",
        "kNm",
        "Nm3",
        "Nl",
        "Sm3",
        "scf",
        "cfm",
        "kt",
        "U",
        "Stk",
        "mPas",
        "mil",
        "at",
        "slm",
    ]
)
"""Words of the table that the library reads as something else (a piece is a picoparsec there)."""
_PHYSICAL: dict[str, str] = {
    "voltage": "V",
    "current": "A",
    "resistance": "ohm",
    "power": "W",
    "energy": "J",
    "charge": "C",
    "conductance": "S",
    "conductivity": "S/m",
    "capacitance": "F",
    "inductance": "H",
    "flux density": "T",
    "time": "s",
    "force": "N",
    "pressure": "Pa",
    "dynamic viscosity": "Pa*s",
    "kinematic viscosity": "m**2/s",
    "length": "m",
    "area": "m**2",
    "speed": "m/s",
    "acceleration": "m/s**2",
    "mass": "kg",
    "mass flow": "kg/h",
    "density": "kg/m**3",
    "volume": "l",
    "flow": "l/h",
    "irradiance": "W/m**2",
    "luminous flux": "lm",
    "illuminance": "lx",
}
"""Base unit by kind, in the library's spelling, of those kinds that dimensions alone distinguish. A unit of another kind
(rotation, angle, torque, counts, apparent power …) never becomes one that the table does not have."""
_TURNS = re.compile(r"radian|degree|turn|revolution|cycle|hertz|grade|gon\b|arcminute|arcsecond|count|rpm|becquerel")
"""The library's names of angles and of what happens so often a second: it takes all of them for pure numbers, so that a
hertz is a radian a second there. `degree` is not in its names of temperatures (`degree_Celsius`) once those are cut."""


_SMALL = ("pico", "nano", "micro", "milli")
_USUAL = ("femto", *_SMALL, "centi", "deci", "deca", "hecto", "kilo", "mega", "giga", "tera", "peta")
_BINARY = ("kibi", "mebi", "gibi", "tebi", "pebi", "exbi")
_PREFIXES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            *("gram", "ampere", "volt", "watt", "joule", "ohm", "siemens", "coulomb", "hertz", "newton", "pascal"),
            *("mole", "liter", "lumen", "lux", "candela", "weber", "tesla", "becquerel", "gray", "sievert", "katal"),
            *("electron_volt", "metric_ton", "calorie", "volt_ampere", "watt_hour", "ampere_hour", "gram_force"),
            *("curie", "poise", "stokes", "tex", "baud", "pixel", "neper", "bel", "counts_per_second"),
        ),
        _USUAL,
    ),
    **dict.fromkeys(("byte", "bit"), (*_USUAL, *_BINARY)),
    **dict.fromkeys(("farad", "henry", "radian", "kelvin", "delta_degree_Celsius", "gauss", "rem", "torr"), _SMALL),
    **dict.fromkeys(("molar", "roentgen", "inch"), _SMALL),
    "meter": tuple(one for one in _USUAL if one not in ("mega", "giga", "tera", "peta")),
    "second": (*_SMALL, "femto", "kilo"),
    "bar": (*_SMALL, "deci", "hecto", "kilo"),
    **dict.fromkeys(("pound", "force_pound", "gallon", "british_thermal_unit"), ("kilo",)),
}
"""Prefixes by the library's name of the unit that takes them: `MM` is no million moles a litre, `Min` no million inches,
and `Mlb`, `Mgal` or `kft3` mean thousands or millions to those who write them, never what an SI prefix would make of them."""
_NO_UNIT = re.compile(r"constant|speed_of_light|charge|(?<!unified_atomic)_mass$|number|avogadro|^(pi|k|c|e)$")
"""Constants of nature that the library counts as units."""


class UnitError(ValueError):
    """A unit that is unknown, or can't become another.

    Attributes:
        unit: The unit that is unknown or ambiguous, "" when both are known and measure different things.
        choices: What an ambiguous one may mean, () for others.
    """

    def __init__(self, message: str, *, unit: str = "", choices: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.unit = unit
        self.choices = choices


def in_table(unit: str) -> str:
    """The table's symbol for a unit, `m³/h` and `m^3/h` for `m3/h` included; "-" when it has none."""
    if unit in UNITS:
        return unit
    alike = unit.translate(_ALIKE)
    alike = _RAISED.sub("", alike)
    alike = _LITRE.sub(r"\1l", alike)
    return alike if alike in UNITS else "-"


@lru_cache(maxsize=4096)
def choices(unit: str) -> tuple[str, ...]:
    """The units that an ambiguous one may mean, each to write instead; () when it is not ambiguous."""
    if in_table(unit) != "-" or len(unit) > _LENGTH:
        return ()
    for word in _WORD.findall(unit):
        if word in AMBIGUOUS:
            return tuple(re.sub(rf"(?<![A-Za-z_]){word}(?![A-Za-z_])", one, unit) for one in AMBIGUOUS[word])
    return ()


@lru_cache(maxsize=4096)
def known(unit: str) -> bool:
    """True when a unit can be converted. An ambiguous one can't."""
    return in_table(unit) != "-" or (not choices(unit) and _parsed(unit) is not None)


@lru_cache(maxsize=4096)
def conversion(unit: str, publish_unit: str) -> tuple[float, float]:
    """Factor and shift: `published = value * factor + shift`.

    The table decides as soon as it has one of the two: its kinds are finer than physics.

    Raises:
        UnitError: One of them is unknown or ambiguous, or they measure different things.
    """
    if unit == publish_unit:
        return 1.0, 0.0
    for text in (unit, publish_unit):
        if may_be := choices(text):
            raise UnitError(f"'{text}' may mean {' or '.join(may_be)}", unit=text, choices=may_be)
    have, want = UNITS.get(in_table(unit)), UNITS.get(in_table(publish_unit))
    if have is not None and want is not None:
        exact = exact_conversion(unit, publish_unit)
        if exact is None:
            raise UnitError(f"'{unit}' is {have[0]} and '{publish_unit}' is {want[0]}")
        return float(exact[0]), float(exact[1])
    return _conversion_by_library(unit, publish_unit)


@lru_cache(maxsize=4096)
def exact_conversion(unit: str, publish_unit: str) -> tuple[Fraction, Fraction] | None:
    """`conversion` as fractions, for units that the table has both; None for others. Needs no library."""
    have, want = UNITS.get(in_table(unit)), UNITS.get(in_table(publish_unit))
    if have is None or want is None or have[0] != want[0]:
        return None
    return Fraction(have[1]) / Fraction(want[1]), (Fraction(have[2]) - Fraction(want[2])) / Fraction(want[1])


def suggestions() -> list[str]:
    """Unit symbols to suggest instead of an unknown one."""
    return [symbol for symbol in UNITS if symbol]


def _conversion_by_library(unit: str, publish_unit: str) -> tuple[float, float]:
    have, want = _side(unit), _side(publish_unit)
    registry = _registry()
    import pint  # noqa: PLC0415 - pint: only for units outside the table

    if have.turns != want.turns:
        raise UnitError(f"'{unit}' and '{publish_unit}' measure different things")
    try:
        zero = registry.Quantity(0.0, have.parsed).to(want.parsed).magnitude
        one = registry.Quantity(1.0, have.parsed).to(want.parsed).magnitude
    except pint.DimensionalityError:
        raise UnitError(f"'{unit}' and '{publish_unit}' measure different things") from None
    except (pint.PintError, ArithmeticError, ValueError, TypeError, AttributeError):
        raise UnitError(f"'{unit}' can't be converted to '{publish_unit}'") from None
    factor, shift = float(one - zero) * have.factor / want.factor, float(zero) / want.factor
    if not abs(factor) < float("inf") or not abs(shift) < float("inf") or not factor:
        raise UnitError(f"'{unit}' can't be converted to '{publish_unit}'")
    return factor, shift


class _Side(NamedTuple):
    """One of two units, as the library has it: a value in it is `factor` in `parsed`."""

    parsed: Any
    turns: tuple[tuple[str, float], ...]
    factor: float = 1.0


def _side(unit: str) -> _Side:
    """Raises UnitError."""
    entry = UNITS.get(in_table(unit))
    if entry is not None:
        base = _PHYSICAL.get(entry[0])
        if base is None:
            raise UnitError(f"'{unit}' is {entry[0]}, which becomes only units that are listed with it")
        return _Side(_registry().parse_units(base), (), float(Fraction(entry[1])))
    parsed = _parsed(unit)
    if parsed is None:
        raise UnitError(f"'{unit}' is not a unit that can be converted", unit=unit)
    return _Side(parsed, _turns(parsed))


def _turns(parsed: Any) -> tuple[tuple[str, float], ...]:
    """The angles or events in a unit (by exponent): they have no dimension."""
    found: dict[str, float] = {}
    for name, exponent in parsed._units.items():
        plain = re.sub(r"degree_(Celsius|Fahrenheit|Rankine|Reaumur)", "", name)
        if match := _TURNS.search(plain):
            kind = "events" if match[0] in ("cycle", "hertz", "count", "rpm", "becquerel") else "angle"
            found[kind] = found.get(kind, 0) + exponent
    return tuple(sorted(found.items()))


@cache
def _registry() -> Any:
    """pint's registry; half a second to import and build, so only for units beyond the table."""
    import pint  # noqa: PLC0415 - pint: only for units outside the table

    return pint.UnitRegistry(autoconvert_offset_to_baseunit=True)


@lru_cache(maxsize=4096)
def _parsed(unit: str) -> Any:
    """pint's unit, or None. What a person wrote is bounded first: the library evaluates arithmetic."""
    if len(unit) > _LENGTH or not _ALLOWED.match(unit) or _UNSAFE.search(unit):
        return None
    import pint  # noqa: PLC0415 - pint: only for units outside the table

    if not _MISREAD.isdisjoint(re.findall(r"[A-Za-z][A-Za-z_]*3?", unit.translate(_ALIKE))):
        return None
    text = re.sub(r"[A-Za-z]+(?:_[A-Za-z]+)?", lambda word: _OURS.get(word[0], word[0]), unit)
    text = _POWER.sub(r"**\1", text).replace("μ", "µ").replace("·", "*")
    try:
        parsed = _registry().parse_units(text)
        bare = parsed.dimensionless  # what it can't take apart fails only here: decibels in a product
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
    if not all(_usual(name) for name in parsed._units):
        return None
    return None if bare and text.strip() not in ("", "1") and not re.search("[A-Za-z%]", text) else parsed


def _usual(name: str) -> bool:
    """Whether people write a unit with this prefix, by the library's name of both."""
    if _NO_UNIT.search(name):
        return False
    prefix, base, _ = _registry().parse_unit_name(name)[0]
    return not prefix or prefix in _PREFIXES.get(base, ())
