"""Units against pint: the table entry by entry, and what becomes what."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache
from typing import Any

import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.discover.importers.units import unit_of
from nexus_cli.drivers.opcua import unece
from nexus_cli.model.quantities import UnitError, choices, conversion, exact_conversion, in_table, known
from nexus_cli.model.units import AMBIGUOUS, SPELLINGS, UNITS

SPELT = {
    "PS": "metric_horsepower",
    "ton_ref": "refrigeration_ton",
    "MMBTU": "1000000*BTU",
    "MMBTU/h": "1000000*BTU/h",
    "r/min": "revolution/minute",
    "U/min": "revolution/minute",
    "rev/min": "revolution/minute",
    "r/s": "revolution/second",
    "rev/s": "revolution/second",
    "rph": "revolution/hour",
    "r/h": "revolution/hour",
    "rev/h": "revolution/hour",
    "rev": "revolution",
    "Nm": "N*m",
    "mNm": "mN*m",
    "kNm": "kN*m",
    "Ncm": "N*cm",
    "kgfm": "kgf*m",
    "kp": "kgf",
    "kp/cm2": "kgf/cm**2",
    "Torr": "torr",
    "mTorr": "mtorr",
    "mWS": "100*cmH2O",
    "cmWS": "cmH2O",
    "mmWS": "0.1*cmH2O",
    "inH2O": "2.54*cmH2O",
    "ftH2O": "30.48*cmH2O",
    "mPas": "mPa*s",
    "mil": "thou",
    "fpm": "ft/min",
    "kt": "kilometric_ton",
    "cwt_us": "hundredweight",
    "cwt_uk": "UK_hundredweight",
    "ton_us": "US_ton",
    "ton_uk": "UK_ton",
    "ccm": "cm**3",
    "fl_oz": "fluid_ounce",
    "gal_us": "gal",
    "gal_uk": "imperial_gallon",
    "lb/gal_us": "lb/gal",
    "bbl_oil": "oil_barrel",
    "bbl_us": "barrel",
    "bbl_beer": "beer_barrel",
    "bbl_uk": "imperial_barrel",
    "cfm": "ft**3/min",
    "cfh": "ft**3/hour",
    "gph": "gal/hour",
    "gpm": "gal/minute",
    "gal_us/min": "gal/minute",
    "gal_uk/min": "imperial_gallon/minute",
    "gal_uk/h": "imperial_gallon/hour",
    "bbl_oil/d": "oil_barrel/day",
    "bbl_oil/h": "oil_barrel/hour",
    "bbl_beer/h": "beer_barrel/hour",
    "ppb": "1e-9",
    "": "1",
}
"""How pint says what it does not know by our symbol, or reads as something else (PS is a petasiemens there)."""
ROUNDED = {"BTU", "kBTU", "kBTU/h", "MMBTU/h", "MMBTU", "BTU/h", "ton_ref"}
"""pint has the BTU of ISO 31-4, which is rounded to six digits."""
OTHERS = (
    *("furlong", "acre", "mmol", "stone", "slug", "kip", "dyn", "erg", "kcal", "therm", "poise", "stokes"),
    *("fathom", "nautical_mile", "league", "carat", "grain", "pint", "quart", "cup", "gauss", "maxwell"),
    *("year", "fortnight", "light_year", "kilotesla", "mrad/s", "GHz*s", "Bq", "count", "sr", "kat", "degC/min"),
)
"""Units that only the library has."""


@cache
def registry() -> Any:
    return pint.UnitRegistry(autoconvert_offset_to_baseunit=True)


def quantity(unit: str, value: float) -> Any:
    """A value in one of our units, as pint has it."""
    text = SPELT.get(unit) or re.sub(r"(?<=[A-Za-z])([234])(?![0-9A-Za-z])", r"**\1", unit)
    factor = re.match(r"([\d.e-]+)\*", text)
    times = float(factor[1]) if factor else 1.0
    if re.fullmatch(r"[\d.e-]+", text):
        return registry().Quantity(value * float(text), "")
    return registry().Quantity(value * times, registry().parse_units(text[factor.end() :] if factor else text))


def in_pint() -> list[tuple[str, str]]:
    """Every symbol that pint can say, with the first one of its kind."""
    found: list[tuple[str, str]] = []
    first: dict[str, str] = {}
    for symbol, (kind, _, _) in UNITS.items():
        try:
            quantity(symbol, 1.0)
        except (pint.PintError, AttributeError):
            continue
        if symbol in SPELT or symbol not in ("%rF", "%RH"):
            found.append((symbol, first.setdefault(kind, symbol)))
    return found


def test_the_table_is_pints() -> None:
    compared = in_pint()
    assert len(compared) > 330
    for symbol, base in compared:
        try:
            one, zero = (quantity(symbol, value).to(quantity(base, 1.0).units).magnitude for value in (1.0, 0.0))
        except pint.DimensionalityError:
            pytest.fail(f"{symbol} is not {base} to pint")
        unit = quantity(base, 1.0).magnitude
        factor, shift = conversion(symbol, base)
        assert factor == pytest.approx((one - zero) / unit, rel=1e-6 if symbol in ROUNDED else 1e-9), symbol
        assert shift == pytest.approx(zero / unit, rel=1e-9, abs=1e-9), symbol


@given(one=st.sampled_from(sorted(UNITS)), other=st.sampled_from(sorted(UNITS)))
def test_two_units_of_the_table_become_each_other_only_within_a_kind(one: str, other: str) -> None:
    exact = exact_conversion(one, other)
    assert (exact is not None) == (UNITS[one][0] == UNITS[other][0])
    if exact is None:
        with pytest.raises(UnitError):
            conversion(one, other)
    else:
        back = exact_conversion(other, one)
        assert back is not None
        value = Fraction(37, 10)
        assert (value * exact[0] + exact[1]) * back[0] + back[1] == value


@given(one=st.sampled_from(sorted(UNITS)), other=st.sampled_from(OTHERS), forth=st.booleans())
def test_a_unit_of_the_library_becomes_one_of_the_table_as_pint_says_or_not_at_all(
    one: str, other: str, forth: bool
) -> None:
    try:
        factor, shift = conversion(one, other) if forth else conversion(other, one)
    except UnitError:
        return
    ours, its = quantity(one, 1.0), quantity(other, 1.0)
    expected = ours.to(its.units).magnitude if forth else its.to(ours.units).magnitude / ours.magnitude
    assert factor + shift == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("rpm", "mHz"), ("rpm", "Hz"), ("rpm", "kilohertz"), ("Hz", "deg/s"), ("Hz", "rad/s"), ("Hz", "mrad/s")),
        *(("1/min", "revolution/hour"), ("hertz", "radian/second"), ("count/s", "rad/s"), ("deg", "%"), ("sr", "deg")),
        *(("VA", "hp"), ("VA", "MW"), ("var", "kilowatt"), ("VAh", "therm"), ("Nm", "kcal"), ("lbf*ft", "J")),
        *(("Nm3/h", "m3/h"), ("scfm", "cfm"), ("barg", "bar"), ("pcs/min", "Hz"), ("%RH", "%"), ("pcs", "radian")),
        *(("dB", "%"), ("pH", "1"), ("degC", "delta_degC"), ("lx", "lm")),
    ],
)
def test_what_plants_tell_apart_never_becomes_the_other(one: str, other: str) -> None:
    for have, want in ((one, other), (other, one)):
        with pytest.raises(UnitError):
            conversion(have, want)


@pytest.mark.parametrize(
    ("unit", "published", "factor"),
    [
        ("rpm", "deg/s", 6.0),
        ("rpm", "rad/s", 0.10471975511965977),
        ("deg/min", "radian/minute", 0.017453292519943295),
        ("cfm", "m3/h", 1.69901079552),
        ("Nm3/h", "Nl/min", 1000 / 60),
        ("torr", "mbar", 1.3332236842105263),
        ("bbl_oil", "l", 158.987294928),
        ("bbl_us", "l", 119.240471196),
        ("ton_us", "kg", 907.18474),
        ("ton_uk", "t", 1.0160469088),
        ("gal", "l", 3.785411784),
        ("gal_uk", "l", 4.54609),
        ("kgf/cm2", "bar", 0.980665),
        ("mWS", "mbar", 98.0665),
        ("m³/h", "l/min", 1000 / 60),
        ("m^3/h", "m**3/h", 1.0),
        ("mHz", "1/min", 0.06),
        ("l/min", "furlong*inch**2/day", 1440 / (201.168402336805 * 0.64516)),
        ("kg/ton_us", "g/kg", 1000 / 907.18474),
    ],
)
def test_units_of_plants(unit: str, published: str, factor: float) -> None:
    assert conversion(unit, published)[0] == pytest.approx(factor, rel=1e-9)


@pytest.mark.parametrize("unit", ["bbl", "ton", "C", "F", "MBtu", "MBTU/h", "ton/h", "bbl/d", "kg/ton"])
def test_an_ambiguous_unit_names_its_choices_and_is_not_converted(unit: str) -> None:
    may_be = choices(unit)
    assert len(may_be) > 1 and all(known(one) for one in may_be)
    assert not known(unit)
    with pytest.raises(UnitError) as error:
        conversion(unit, may_be[0])
    assert error.value.choices == may_be


@pytest.mark.parametrize("unit", ["MM", "Min", "M3*PH", "RT", "kft3", "Mlb/h", "Mgal/d", "k", "c", "R", "l/Min", "TR"])
def test_a_prefix_that_nobody_writes_makes_no_unit(unit: str) -> None:
    assert not known(unit)
    assert not choices(unit)


@pytest.mark.parametrize(
    ("unit", "published", "factor"),
    [
        *(("klb/h", "kg/h", 453.59237), ("kgal", "m3", 3.785411784), ("kBTU", "BTU", 1000.0), ("mmol/l", "mol/m3", 1)),
        *(("dbar", "kPa", 10.0), ("uin", "nm", 25.4), ("cl", "ml", 10.0), ("daN", "N", 10.0), ("mAh/g", "Ah/kg", 1.0)),
    ],
)
def test_prefixes_that_are_usual(unit: str, published: str, factor: float) -> None:
    assert conversion(unit, published)[0] == pytest.approx(factor, rel=1e-6)


@pytest.mark.parametrize(
    ("code", "unit"),
    [
        *(("4G", "ul"), ("D82", "uV"), ("C27", "mS"), ("C49", "nW"), ("D80", "uW"), ("RPS", "rps"), ("H67", "mm/h")),
        *(("H66", ""), ("NMP", ""), ("C73", ""), ("80", "psia"), ("B92", "uN"), ("4T", "pF"), ("G52", "m3/d")),
    ],
)
def test_common_codes_mean_what_the_recommendation_says(code: str, unit: str) -> None:
    assert unece.unit_of(int.from_bytes(code.encode(), "big")) == unit


def test_a_display_name_that_is_another_units_symbol_is_never_read_as_that_unit() -> None:
    for code, shown in (("C73", "pH"), ("M72", "B"), ("C63", "pc"), ("ARE", "a"), ("FC", "kft³"), ("HMQ", "Mm³")):
        name = unece.name_of(int.from_bytes(code.encode(), "big"), shown)
        assert name == f"{shown} ({code})" and not unit_of(name)
    assert unece.name_of(int.from_bytes(b"CEL", "big"), "°C") == "°C"


def test_importers_and_opcua_speak_the_table() -> None:
    library = {"cd", "Wb", "kCi", "kg/m2", "sr", "year"}
    assert {unit for unit in unece.units().values() if in_table(unit) == "-"} == library
    assert all(known(unit) for unit in library)
    assert all(in_table(unit) != "-" for unit in SPELLINGS.values())
    assert all(unit in UNITS for one in AMBIGUOUS.values() for unit in one)
    assert {text for text in SPELLINGS if text != text.lower()} == set()


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        *(
            ("%RH", "%RH"),
            ("% rH", "%RH"),
            ("Nm3/h", "Nm3/h"),
            ("NM³/h", "Nm3/h"),
            ("L/min", "l/min"),
            ("lpm", "l/min"),
        ),
        *(("mWh", "mWh"), ("kwh", "kWh"), ("Celsius", "degC"), ("US gal", "gal_us"), ("tonnes", "t"), ("ton", "")),
        *(("bbl", ""), ("m³", "m³"), ("µS/cm", "uS/cm"), ("pieces", "pcs"), ("nonsense", ""), ("u/min", "rpm")),
    ],
)
def test_what_vendors_write(written: str, unit: str) -> None:
    assert unit_of(written) == unit
