"""Published values back to raw ones: exact, in range, of the right type, or refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import INTEGER_BOUNDS
from nexus_cli.model.inversion import InversionError, published_of, raw_of
from nexus_cli.model.proof import same_raw

TENTHS = TagConfig(type="int16", scale=0.1, range=(10.0, 90.0))
FAHRENHEIT = TagConfig(type="int16", unit_factor=5 / 9, unit_shift=-160 / 9, publish_unit="degC")


@pytest.mark.parametrize(
    ("tag", "value", "raw"),
    [
        (TENTHS, 20.5, 205),
        (TENTHS, 20, 200),
        (TENTHS, 10.0, 100),
        (TENTHS, 90, 900),
        (FAHRENHEIT, 100, 212),
        (FAHRENHEIT, 21, 70),
        (TagConfig(type="uint64"), 2**64 - 1, 2**64 - 1),
        (TagConfig(type="int64"), "-9223372036854775808", -(2**63)),
        (TagConfig(type="uint16", values={"0": "off", "1": "on"}), "on", 1),
        (TagConfig(type="uint16", values={"0": "off", "1": "on"}), 0, 0),
        (TagConfig(type="bool"), True, True),
        (TagConfig(type="float32"), 0.1, 0.1),
        (TagConfig(type="float32", scale=2.0, offset=1.0), 3.0, 1.0),
        (TagConfig(type="string[4]"), "Öl", "Öl"),
        (TagConfig(type="string[2]"), "Öl", "Öl"),
        (TagConfig(type="string[3]", options={"text": "utf-8"}), "Öl", "Öl"),
        (TagConfig(type="string[3]", options={"text": "cp1252"}), "€Ö\x81", "€Ö\x81"),
        (TagConfig(type="string[2]", options={"text": "utf-16-be"}), "日本", "日本"),
        (TagConfig(type="int16[2]", scale=0.5), [1.0, 1.5], [2, 3]),
        (TagConfig(type="json"), {"a": [1, None]}, {"a": [1, None]}),
        (TagConfig(type="int32", scale=-0.001), -1.234, 1234),
    ],
)
def test_values_that_fit(tag: TagConfig, value: object, raw: object) -> None:
    assert raw_of(tag, value) == raw  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tag", "value", "code"),
    [
        (TENTHS, 9.9, "NX6806"),
        (TENTHS, 90.1, "NX6806"),
        (TENTHS, 20.53, "NX6807"),
        (TENTHS, True, "NX6805"),
        (TENTHS, None, "NX6805"),
        (TENTHS, [20.0], "NX6805"),
        (TENTHS, math.nan, "NX6805"),
        (TENTHS, 10**400, "NX6805"),
        (TagConfig(type="int16"), 1.5, "NX6807"),
        (TagConfig(type="int16"), 40000, "NX6807"),
        (TagConfig(type="uint8"), -1, "NX6807"),
        (TagConfig(type="float32"), 1e39, "NX6807"),
        (TagConfig(type="float16"), 70000, "NX6807"),
        (TagConfig(type="uint16", values={"0": "off"}), "of", "NX6806"),
        (TagConfig(type="uint16", values={"0": "off"}), 2, "NX6806"),
        (TagConfig(type="uint16", values={"0": "x", "1": "x"}), "x", "NX6806"),
        (TagConfig(type="bool"), 1, "NX6805"),
        (TagConfig(type="bool"), "true", "NX6805"),
        (TagConfig(type="string[2]"), "Öle", "NX6807"),
        (TagConfig(type="string[2]", options={"text": "utf-8"}), "Öl", "NX6807"),
        (TagConfig(type="string", options={"text": "utf-8", "length": 2}), "Öl", "NX6807"),
        (TagConfig(type="string[2][2]", options={"text": "utf-8"}), ["ab", "Öl"], "NX6807"),
        (TagConfig(type="string[9]", options={"text": "cp1252"}), "日本", "NX6807"),
        (TagConfig(type="string[9]", options={"text": "cp1252"}), "\x80", "NX6807"),
        (TagConfig(type="string", options={"text": "cp1252"}), "日本", "NX6807"),
        (TagConfig(type="string[3]", options={"text": "utf-16-le"}), "a😀b", "NX6807"),
        (TagConfig(type="string"), "a\0b", "NX6805"),
        (TagConfig(type="string"), "\ud800", "NX6805"),
        (TagConfig(type="string"), 5, "NX6805"),
        (TagConfig(type="int16[2]"), [1], "NX6805"),
        (TagConfig(type="int16", scale=0.0), 1, "NX6807"),
        (TagConfig(type="uint64"), "12x", "NX6805"),
        # The nearest count of a converted unit must lie in the range itself.
        (TagConfig(type="int16", unit_factor=5 / 9, unit_shift=-160 / 9, range=(20.6, 21.0)), 20.7, "NX6806"),
    ],
)
def test_values_that_do_not_fit(tag: TagConfig, value: object, code: str) -> None:
    with pytest.raises(InversionError) as refused:
        raw_of(tag, value)  # type: ignore[arg-type]
    assert refused.value.code == code


def test_refusals_say_what_to_write_instead() -> None:
    with pytest.raises(InversionError) as refused:
        raw_of(TENTHS, 20.53)
    assert refused.value.hint == "write 20.5 or 20.6"
    with pytest.raises(InversionError) as refused:
        raw_of(TENTHS, 200)
    assert refused.value.hint == "the range is 10 to 90"


@given(
    base=st.sampled_from(sorted(INTEGER_BOUNDS)),
    scale=st.sampled_from([1.0, 0.1, 0.01, 0.001, 10.0, -0.1, 0.5]),
    offset=st.sampled_from([0.0, -40.0, 100.0, 0.5]),
    data=st.data(),
)
def test_what_is_published_can_be_written_back(base: str, scale: float, offset: float, data: st.DataObject) -> None:
    low, high = INTEGER_BOUNDS[base]
    raw = data.draw(st.integers(max(low, -(2**40)), min(high, 2**40)))
    tag = TagConfig(type=base, scale=scale, offset=offset)
    assert raw_of(tag, published_of(tag, raw)) == raw


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_narrow_floats_hold_what_they_are_given(value: float) -> None:
    tag = TagConfig(type="float32")
    assert same_raw("float32", raw_of(tag, value), value)


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers(), max_size=3)))
def test_it_never_raises_anything_else(value: object) -> None:
    for type_ in ("int16", "uint64", "float32", "bool", "string[8]", "datetime", "duration", "json", "int16[2]"):
        try:
            raw_of(TagConfig(type=type_, scale=0.1), value)  # type: ignore[arg-type]
        except InversionError as refused:
            assert refused.code in ("NX6805", "NX6806", "NX6807")


def test_same_raw_knows_each_type() -> None:
    assert same_raw("float32", 0.1, 0.10000000149011612)
    assert not same_raw("float64", 0.1, 0.10000000149011612)
    assert not same_raw("bool", True, 1)
    assert same_raw("int16[2]", [1, 2], [1, 2])
    assert not same_raw("int16[2]", [1, 2], [1])
    assert not same_raw("int16", 1, None)
