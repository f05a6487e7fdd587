"""Payloads that are joined in bulk are those that are encoded one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.wire.payload import JSON_EXACT, encode_live, join_live, live_end, live_moment

VALUES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.integers(-1000, 1000).map(lambda number: number / 100),
    st.integers(-JSON_EXACT, JSON_EXACT),
    st.integers(-JSON_EXACT, JSON_EXACT).map(float),
    st.booleans(),
)
UNITS = st.one_of(st.none(), st.just(""), st.text(st.characters(exclude_categories=["Cs"]), max_size=8))


@given(st.lists(st.tuples(VALUES, UNITS), min_size=1, max_size=30), st.integers(0, 2**62))
def test_joined_payloads_are_the_encoded_ones(tags: list[tuple[bool | int | float, str | None]], time_us: int) -> None:
    values = [value for value, _ in tags]
    joined = join_live(values, [live_moment(time_us)] * len(values), [live_end(unit) for _, unit in tags])
    assert joined == [encode_live(value, time_us=time_us, unit=unit) for value, unit in tags]
