"""Value, quality and time as i3X wants them."""

from __future__ import annotations

import math
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.runtime.web.i3x.current_values import composed
from nexus_cli.runtime.web.i3x.leaf_values import (
    Vqt,
    conforms,
    moment,
    nullable,
    of_newest,
    of_value,
    schema_of,
    time_of,
)
from nexus_cli.runtime.web.live_cache import NOTHING, Newest
from nexus_cli.wire.sample import Quality

TYPES = (
    "bool",
    "int16",
    "uint64",
    "float32",
    "string[20]",
    "datetime",
    "float64[3]",
    "string[4][2]",
    "json",
    "unheard-of",
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.lists(st.one_of(st.floats(allow_nan=False), st.text(max_size=3)), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@given(value=VALUES, kind=st.sampled_from(TYPES), quality=st.sampled_from(list(Quality)))
def test_a_value_is_of_its_schema_or_bad(value: Any, kind: str, quality: Quality) -> None:
    found = of_value(value, quality, kind, time_us=0)
    assert (found.value is None) is (found.quality in ("Bad", "GoodNoData"))
    if found.value is not None:
        jsonschema.validate(found.value, schema_of(kind))
        jsonschema.validate(None, nullable(schema_of(kind)))
    elif value is not None and quality is not Quality.BAD:
        assert not jsonschema.Draft202012Validator(schema_of(kind)).is_valid(value) or math.inf in _floats(value)


def _floats(value: Any) -> list[float]:
    return [abs(each) for each in (value if isinstance(value, list) else [value]) if isinstance(each, float)]


@pytest.mark.parametrize(
    ("value", "kind", "fits"),
    [
        (True, "bool", True),
        (1, "bool", False),
        (True, "int16", False),
        (3.0, "int16", True),
        (3.5, "int16", False),
        (3, "float32", True),
        ("18446744073709551615", "uint64", True),
        ([1.0, 2], "float32[2]", True),
        ([1.0, "a"], "float32[2]", False),
        (math.nan, "float64", False),
    ],
)
def test_what_is_of_a_type(value: Any, kind: str, fits: bool) -> None:
    assert conforms(value, kind) is fits


@given(st.integers(0, 253_402_300_799_999_999))
def test_a_time_is_written_and_read_back(time_us: int) -> None:
    text = moment(time_us)
    assert text.endswith("Z")
    assert time_of(text) == time_us


@pytest.mark.parametrize(
    "text", ["", "now", "2026-01-01", "2026-01-01T00:00:00", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00+23:00"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        time_of(text)


def test_a_time_with_an_offset_is_the_same_moment() -> None:
    assert time_of("2026-01-01T02:00:00+02:00") == time_of("2026-01-01T00:00:00Z")


def test_nothing_yet_is_no_data_now() -> None:
    assert of_newest(NOTHING, "float64", now_us=7) == Vqt(None, "GoodNoData", 7)


def test_a_time_that_can_not_be_is_when_it_came() -> None:
    newest = Newest(1.0, Quality.GOOD, "", 10**30, 5)
    assert of_newest(newest, "float64", now_us=7) == Vqt(1.0, "Good", 5)


def test_an_object_is_as_good_as_its_members() -> None:
    good, doubt = Vqt(1, "Good", 3), Vqt(2, "Uncertain", 9)
    bad, none = Vqt(None, "Bad", 5), Vqt(None, "GoodNoData", 4)
    assert composed([("a", good), ("b", good)], now_us=0) == Vqt({"a": 1, "b": 1}, "Good", 3)
    for other in (doubt, bad, none):
        found = composed([("a", good), ("b", other)], now_us=0)
        assert (found.value, found.quality) == ({"a": 1, "b": other.value}, "Uncertain")
        assert found.time_us == max(3, other.time_us)
    assert composed([("a", bad), ("b", none)], now_us=0) == Vqt(None, "Bad", 5)
    assert composed([("a", none)], now_us=0) == Vqt(None, "GoodNoData", 4)
    assert composed([], now_us=8) == Vqt(None, "GoodNoData", 8)
