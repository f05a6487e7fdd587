"""Units: the literal table agrees with pint, and conversions are exact."""

from __future__ import annotations

import re
from fractions import Fraction

import pint
import pytest

from nexus_cli.model.quantities import UnitError, conversion, known
from nexus_cli.model.units import UNITS

NOT_IN_PINT = {"var", "VAr", "kvar", "kVAr", "varh", "VArh", "kvarh", "kVArh", "VAh", "kVAh", "pcs", "pcs/min", "pcs/h"}
"""Units of the table that pint does not know, or reads as something else (pcs is a picoparsec there)."""
OWN_SCALE = {"dB", "dBm", "pH", "", "1", "rpm", "Nm"}


def spelt(symbol: str) -> str:
    return re.sub(r"(?<=[A-Za-z])([23])(?![0-9A-Za-z])", r"**\1", symbol)


def test_the_table_is_pints() -> None:
    registry = pint.UnitRegistry(autoconvert_offset_to_baseunit=True)
    compared = 0
    first: dict[str, str] = {}
    for symbol, (dimension, factor, _) in UNITS.items():
        if symbol in NOT_IN_PINT | OWN_SCALE:
            continue
        base = first.setdefault(dimension, symbol)
        have, want = registry.parse_units(spelt(symbol)), registry.parse_units(spelt(base))
        zero = registry.Quantity(0.0, have).to(want).magnitude
        one = registry.Quantity(1.0, have).to(want).magnitude
        ours = conversion(symbol, base)
        assert ours[0] == pytest.approx(one - zero, rel=1e-9), symbol
        assert ours[1] == pytest.approx(zero, rel=1e-9, abs=1e-9), symbol
        assert Fraction(factor) > 0
        compared += 1
    assert compared > 80


@pytest.mark.parametrize(
    ("unit", "published", "value", "expected"),
    [
        ("degF", "degC", 212.0, 100.0),
        ("degC", "K", 0.0, 273.15),
        ("W", "kW", 1500.0, 1.5),
        ("l/min", "m3/h", 100.0, 6.0),
        ("psi", "bar", 14.503773773, 1.0),
        ("%", "", 50.0, 0.5),
        ("inHg", "kPa", 29.92, 101.32),
        ("Nm", "N*m", 3.0, 3.0),
    ],
)
def test_conversions(unit: str, published: str, value: float, expected: float) -> None:
    factor, shift = conversion(unit, published)
    assert value * factor + shift == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("unit", "published"), [("degC", "bar"), ("kWh", "kvarh"), ("Hz", "rpm"), ("inHg", "degC")])
def test_another_dimension_is_refused(unit: str, published: str) -> None:
    with pytest.raises(UnitError) as error:
        conversion(unit, published)
    assert error.value.unit == ""


@pytest.mark.parametrize(
    "unit", ["blips", "degc", "9**9**9**9", "m" * 100, "__import__('os')", "kg m (", "1/0", "m**m"]
)
def test_what_is_no_unit_is_unknown_and_costs_nothing(unit: str) -> None:
    assert not known(unit)
    with pytest.raises(UnitError) as error:
        conversion(unit, "kg")
    assert error.value.unit == unit


def test_common_units_need_no_library() -> None:
    import subprocess
    import sys

    script = "import sys; from nexus_cli.model.quantities import conversion; conversion('degF','degC'); sys.exit('pint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
