"""Range ends in every type, against decimal arithmetic: what is an end is inside, what is one count further is not."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st

from nexus_cli.model.chain import rounded
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.datatype import FLOATS, INTEGER_BOUNDS
from nexus_cli.model.inversion import InversionError, raw_of
from nexus_cli.model.quantities import conversion, exact_conversion
from nexus_cli.runtime.gateway.devices.normaliser import Cycle, Normaliser
from nexus_cli.wire.sample import Quality, Value

SCALES = ("0.1", "0.01", "0.001", "0.5", "0.25", "2", "10", "-0.1", "1")
OFFSETS = ("0", "-40", "0.5", "273.15", "-0.1")
CONVERSIONS = (("degF", "degC"), ("degC", "K"), ("psi", "bar"), ("l/min", "m3/h"), ("kW", "W"), ("mbar", "Pa"))


def judged(tag: TagConfig, raw: Value) -> tuple[Value, Quality]:
    """What a gateway makes of a raw value."""
    normaliser = Normaliser(DeviceConfig(path="a/l/d", protocol="modbus", tags={"x": tag}))
    (state,) = normaliser.of(["x"])
    normaliser.take(normaliser.of([state.name]), [raw], Cycle(1))
    return state.value, state.quality


def refused(tag: TagConfig, value: float) -> str:
    try:
        raw_of(tag, value)
    except InversionError as error:
        return error.code
    return ""


@given(
    base=st.sampled_from(sorted(INTEGER_BOUNDS)),
    scale=st.sampled_from(SCALES),
    offset=st.sampled_from(OFFSETS),
    share=st.integers(0, 10**6),
    width=st.integers(1, 90),
)
def test_ends_of_integers(base: str, scale: str, offset: str, share: int, width: int) -> None:
    least, most = INTEGER_BOUNDS[base]
    span = min(most - least, 2**52)  # above, a double can't name every tenth
    first = max(least, -(2**52)) + (span - 100) * share // 10**6 + 1
    counts = (first, min(first + width, most - 1))
    assume(counts[0] < counts[1])
    ends = [Decimal(count) * Decimal(scale) + Decimal(offset) for count in counts]
    # Doubles that are not the nearest to their decimal can't be written in a site file either.
    assume(all(len(end.as_tuple().digits) <= 15 for end in ends))
    low, high = sorted(map(float, ends))
    tag = TagConfig(type=base, scale=float(scale), offset=float(offset), range=(low, high))
    for count, end in zip(counts, ends, strict=True):
        assert raw_of(tag, float(end)) == count
        assert judged(tag, count) == (float(end), Quality.GOOD)
    for count in (counts[0] - 1, counts[1] + 1):
        beyond = float(Decimal(count) * Decimal(scale) + Decimal(offset))
        assert judged(tag, count) == (beyond, Quality.UNCERTAIN)
        assert refused(tag, beyond) == "NX6806"


@given(
    base=st.sampled_from(FLOATS),
    scale=st.sampled_from(("1", "0.1", "0.7", "-0.3", "2")),
    ends=st.lists(st.decimals(-999, 999, places=2), min_size=2, max_size=2, unique=True),
)
def test_ends_of_floats(base: str, scale: str, ends: list[Decimal]) -> None:
    low, high = sorted(map(float, ends))
    assume(high - low > 2)
    tag = TagConfig(type=base, scale=float(scale), range=(low, high))
    for end, away in ((low, -1.0), (high, 1.0)):
        raw = raw_of(tag, end)
        assert isinstance(raw, float)
        value, quality = judged(tag, rounded(base, raw))
        assert quality is Quality.GOOD, (value, end)
        assert refused(tag, end + away) == "NX6806"
        beyond = TagConfig(type=base, scale=float(scale))
        assert judged(tag, rounded(base, raw_of(beyond, end + away)))[1] is Quality.UNCERTAIN  # type: ignore[arg-type]


@given(
    units=st.sampled_from(CONVERSIONS),
    scale=st.sampled_from(("1", "0.1", "0.01")),
    count=st.integers(-30_000, 30_000),
)
def test_conversions_are_nearest_to_the_exact_value(units: tuple[str, str], scale: str, count: int) -> None:
    factor, shift = conversion(*units)
    exact = exact_conversion(*units)
    assert exact is not None
    tag = TagConfig(
        type="int16",
        scale=float(scale),
        unit=units[0],
        publish_unit=units[1],
        unit_factor=factor,
        unit_shift=shift,
    )
    true = Fraction(Decimal(count) * Decimal(scale)) * exact[0] + exact[1]
    value, _ = judged(tag, count)
    assert value == float(true)
    bounded = TagConfig(**{**{f: getattr(tag, f) for f in tag.__struct_fields__}, "range": (value, value + 1000)})
    assert judged(bounded, count)[1] is Quality.GOOD
    assert raw_of(bounded, value) == count


@given(value=st.floats(-1e6, 1e6), limits=st.tuples(st.floats(-1e5, 0), st.floats(0, 1e5)))
def test_a_converted_write_never_leaves_its_range(value: float, limits: tuple[float, float]) -> None:
    factor, shift = conversion("degF", "degC")
    tag = TagConfig(type="int32", unit="degF", publish_unit="degC", unit_factor=factor, unit_shift=shift, range=limits)
    try:
        raw = raw_of(tag, value)
    except InversionError as error:
        assert error.code in ("NX6806", "NX6807")
        return
    assert judged(tag, raw)[1] is Quality.GOOD
    assert isinstance(raw, int)
    assert math.isclose((raw - 32) * 5 / 9, value, abs_tol=5 / 9)


@given(base=st.sampled_from(["float16", "float32"]), data=st.data())
def test_a_short_decimal_is_the_same_float(base: str, data: st.DataObject) -> None:
    """Whatever the bits: the decimal gives them back, has few digits, and those of six (three) digits come out."""
    width = 16 if base == "float16" else 32
    raw = data.draw(st.floats(width=width, allow_nan=False, allow_infinity=False))  # type: ignore[arg-type]
    value, _ = judged(TagConfig(type=base), raw)
    assert isinstance(value, float)
    assert rounded(base, value) == raw
    assert len(Decimal(repr(value)).normalize().as_tuple().digits) <= (5 if base == "float16" else 9)


@given(digits=st.integers(-999_999, 999_999), places=st.integers(-4, 9))
def test_six_digits_of_a_real_are_published_as_they_are(digits: int, places: int) -> None:
    written = float(Decimal(digits).scaleb(-places))
    assert judged(TagConfig(type="float32"), rounded("float32", written))[0] == written
