"""Published numbers mean what they say, and the ends of a range belong to it."""

from __future__ import annotations

import math
import struct

import msgspec
import pytest

from nexus_cli.model.chain import Bounds, above, bounds_of, converter, line_of, rounded, same, tidy
from nexus_cli.model.config import TagConfig
from nexus_cli.model.inversion import InversionError, published_of, raw_of

FROM_FAHRENHEIT = {"unit": "degF", "publish_unit": "degC", "unit_factor": 5 / 9, "unit_shift": -160 / 9}


def single(value: float) -> float:
    return struct.unpack("<f", struct.pack("<f", value))[0]


@pytest.mark.parametrize(
    ("tag", "raw", "published"),
    [
        (TagConfig(type="uint16", scale=0.1), 3, 0.3),
        (TagConfig(type="uint16", scale=0.1), 7, 0.7),
        (TagConfig(type="int64", scale=0.001), 9007199254740993, 9007199254740.993),
        (TagConfig(type="int16", **FROM_FAHRENHEIT), 122, 50.0),
        (TagConfig(type="int16", **FROM_FAHRENHEIT), 32, 0.0),
        (TagConfig(type="int16", scale=0.1, **FROM_FAHRENHEIT), 698, 21.0),
        (TagConfig(type="int16", unit_factor=5 / 9, unit_shift=-160 / 9), 122, 50.0),
        (TagConfig(type="float64", **FROM_FAHRENHEIT), 32.0, 0.0),
        (TagConfig(type="float64", **FROM_FAHRENHEIT), 122.0, 50.0),
        (TagConfig(type="float32"), single(99.9), 99.9),
        (TagConfig(type="float32"), single(0.123456789), 0.12345679),
        (TagConfig(type="float32", scale=0.1), single(3.3), 0.33),
        (TagConfig(type="float32"), 3.4028234663852886e38, 3.4028235e38),
        (TagConfig(type="float16"), 0.0999755859375, 0.1),
        (TagConfig(type="float64"), 0.30000000000000004, 0.30000000000000004),
        (TagConfig(type="uint16", scale=0.1, offset=-40.0), 403, 0.3),
        (TagConfig(type="uint16[2]", scale=0.1), [3, 6], [0.3, 0.6]),
    ],
)
def test_published_numbers_have_no_noise(tag: TagConfig, raw: object, published: object) -> None:
    assert published_of(tag, raw) == published  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tag", "ends"),
    [
        (TagConfig(type="uint16", scale=0.1, range=(0.0, 0.3)), (0.0, 0.3)),
        (TagConfig(type="uint16", scale=0.1, range=(0.1, 0.7)), (0.1, 0.7)),
        (TagConfig(type="int16", range=(0.0, 50.0), **FROM_FAHRENHEIT), (0.0, 50.0)),
        (TagConfig(type="float32", range=(0.1, 99.9)), (0.1, 99.9)),
        (TagConfig(type="float32", scale=0.7, range=(0.1, 99.9)), (0.1, 99.9)),
        (TagConfig(type="float16", scale=0.7, range=(-0.1, 99.9)), (-0.1, 99.9)),
        (TagConfig(type="float64", scale=0.7, range=(0.1, 99.9)), (0.1, 99.9)),
        (TagConfig(type="int32", scale=-0.01, range=(-0.07, 1.15)), (-0.07, 1.15)),
    ],
)
def test_an_end_can_be_written_and_is_inside_when_it_is_read(tag: TagConfig, ends: tuple[float, float]) -> None:
    convert = converter(tag)
    for end in ends:
        raw = raw_of(tag, end)
        if tag.type.startswith("float"):
            raw = rounded(tag.type, raw)  # type: ignore[arg-type]
        assert bounds_of(tag).hold(raw if convert is None else convert(raw)), end


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (TagConfig(type="uint16", scale=0.1, range=(0.0, 0.3)), 0.4),
        (TagConfig(type="uint16", scale=0.1, range=(0.0, 0.35)), 0.4),
        (TagConfig(type="float32", range=(0.1, 99.9)), 99.90001),
        (TagConfig(type="int16", range=(0.0, 50.0), **FROM_FAHRENHEIT), 50.1),
    ],
)
def test_what_lies_beyond_an_end_is_outside(tag: TagConfig, value: float) -> None:
    assert not bounds_of(tag).hold(value)
    with pytest.raises(InversionError) as error:
        raw_of(tag, value)
    assert error.value.code == "NX6806"


def test_a_double_of_a_float32_is_its_end_when_it_is_written() -> None:
    assert raw_of(TagConfig(type="float32", range=(0.1, 99.9)), single(99.9)) == single(99.9)


def test_the_nearest_count_never_leaves_the_range() -> None:
    """21 degC are 69.8 degF: 70 would be 21.1, so it is 69 next to that end."""
    tag = TagConfig(type="int16", range=(0.0, 21.0), **FROM_FAHRENHEIT)
    assert raw_of(tag, 21.0) == 69
    assert raw_of(msgspec.structs.replace(tag, range=(0.0, 30.0)), 21.0) == 70
    with pytest.raises(InversionError, match="can't hold a value near 21"):
        raw_of(msgspec.structs.replace(tag, range=(20.9, 21.05)), 21.0)


def test_a_value_between_two_counts_is_refused_however_large_it_is() -> None:
    with pytest.raises(InversionError) as error:
        raw_of(TagConfig(type="int64", scale=0.1), 123456789012.34)
    assert error.value.code == "NX6807"
    assert "123456789012.3 or 123456789012.4" in error.value.hint
    assert raw_of(TagConfig(type="int64", scale=0.1), 123456789012.3) == 1234567890123


def test_the_line_is_exact_for_units_of_the_table() -> None:
    assert line_of(TagConfig(type="int16", scale=0.1, **FROM_FAHRENHEIT)) == (
        pytest.approx(1 / 18),
        pytest.approx(-160 / 9),
    )
    assert line_of(TagConfig(type="int16", scale=0.1, **FROM_FAHRENHEIT)).factor.denominator == 18


def test_numbers_that_differ_by_rounding_are_equal() -> None:
    assert same(0.1 + 0.2, 0.3)
    assert not above(0.1 + 0.2, 0.3)
    assert above(0.3001, 0.3)
    assert not same(2**60, 2**60 + 1)
    assert not same(2**53 + 1, 2.0**53)
    assert same(50, 50.00000000000001)
    assert same(math.inf, math.inf)
    assert not same(math.inf, 1.0)
    assert not same(math.inf, -math.inf)
    assert above(math.inf, 1.7e308)
    assert tidy(0.1 + 0.2) == 0.3
    assert tidy(2.0**60) == 2.0**60
    assert Bounds(None, 0.3).hold(-1e300)
