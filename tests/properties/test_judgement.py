"""Rules of quality: what is the same as before is judged in short, with the outcome of the long way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.model.chain import Bounds
from nexus_cli.model.config import QualityConfig
from nexus_cli.model.judgement import Judge, Verdict

RULES = st.builds(
    QualityConfig,
    range=st.sampled_from(["", "flag", "reject"]),
    rate=st.sampled_from(["", "flag", "reject"]),
    rate_above=st.sampled_from([1.0, 10.0]),
    rate_ms=st.sampled_from([1_000, 5_000]),
    flat=st.sampled_from(["", "flag"]),
    flat_ms=st.just(3_000),
)
VALUES = st.sampled_from([0.0, 1, 1.0, True, 5.0, 9.0, 14.0, 60.0, float("nan"), "x"])


class Long(Judge):
    """Judges every value in full."""

    __slots__ = ()

    def judge(self, value: object, now_us: int) -> Verdict | None:
        self._sound = False
        return super().judge(value, now_us)


@given(
    RULES,
    st.lists(st.tuples(VALUES, st.integers(1, 1_500_000), st.integers(1, 6)), max_size=9),
    st.sampled_from([0, 200_000]),
)
def test_a_value_that_stays_is_judged_as_a_new_one(
    rules: QualityConfig, values: list[tuple[object, int, int]], held_us: int
) -> None:
    """With at most 54 values none is forgotten for want of room."""
    short, long = (kind(rules, Bounds(0.0, 50.0), held_us=held_us) for kind in (Judge, Long))
    now_us = 1_000_000
    for value, later_us, times in values:
        for _ in range(times):
            now_us += later_us
            assert short.judge(value, now_us) == long.judge(value, now_us)
            assert (short.came_us, short.moved_us) == (long.came_us, long.moved_us)
