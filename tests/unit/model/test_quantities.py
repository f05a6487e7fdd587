"""Units: conversions, and what is none. `tests/properties/test_units.py` compares with pint."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.model.quantities import UnitError, conversion, known
from nexus_cli.model.units import UNITS
from tests.examples import examples


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
    "unit", ["blips", "degc", "9**9**9**9", "m" * 100, "__import__('os')", "kg m (", "1/0", "m**m", "dB/m", "V/dB"]
)
def test_what_is_no_unit_is_unknown_and_costs_nothing(unit: str) -> None:
    assert not known(unit)
    with pytest.raises(UnitError) as error:
        conversion(unit, "kg")
    assert error.value.unit == unit


WORDS = st.sampled_from(
    [*(unit for unit in UNITS if unit), "dB", "dBm", "Np", "pH", "octave", "delta_degC", "foo", "1"]
)
PRODUCTS = st.builds("{}{}{}".format, WORDS, st.sampled_from(["", "/", "*", "**", "^2/", " "]), WORDS)


@settings(max_examples=examples(300), deadline=None)
@given(PRODUCTS, PRODUCTS)
def test_whatever_is_put_together_of_units_has_an_answer(unit: str, published: str) -> None:
    """Logarithmic units in a product, for one, are taken apart by nothing, and fail late in the library."""
    known(unit)
    with contextlib.suppress(UnitError):
        factor, _ = conversion(unit, published)
        assert factor


def test_common_units_need_no_library() -> None:
    import subprocess
    import sys

    script = "import sys; from nexus_cli.model.quantities import conversion; conversion('degF','degC'); sys.exit('pint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
