"""What a device queued keeps order and spacing in gateway time: examples, and the laws for anything that may come."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.drivers.base import Notification, Point
from nexus_cli.runtime.clock import RisingTime
from nexus_cli.runtime.gateway.field.spacing import JOIN_US, spaced

NOW_US = 2_000_000_000
FLOOR_US = NOW_US - 60_000_000


def told(name: str, value: int, source_us: int | None) -> Notification:
    return Notification(Point(name, name, "int32"), value, None, source_us)


def times(notifications: list[Notification], name: str = "a") -> list[tuple[int, object]]:
    """Microseconds before now, and the value."""
    moments = spaced(notifications, now_us=NOW_US, floor_us=FLOOR_US)
    return [(NOW_US - at_us, one.value) for at_us, batch in moments for one in batch if one.point.name == name]


def test_a_burst_is_spaced_as_the_device_says_and_ends_at_arrival() -> None:
    burst = [told("a", at, 500_000 + at * 100_000) for at in range(20)]
    assert times(burst) == [((19 - at) * 100_000, at) for at in range(20)]


def test_a_single_value_is_dated_when_it_comes_however_old_it_is() -> None:
    assert times([told("a", 1, 5), told("b", 2, None)]) == [(0, 1)]
    assert len(spaced([told("a", 1, 5), told("b", 2, 7)], now_us=NOW_US, floor_us=FLOOR_US)) == 1


def test_the_device_s_clock_does_not_matter_and_each_tag_has_its_own() -> None:
    both = [told("a", 0, 10**15), told("b", 0, 3), told("a", 1, 10**15 + 250_000), told("b", 1, 250_003)]
    assert times(both, "a") == times(both, "b") == [(250_000, 0), (0, 1)]
    assert len(spaced(both, now_us=NOW_US, floor_us=FLOOR_US)) == 2


def test_without_times_or_with_falling_ones_only_the_order_is_kept() -> None:
    for sources in ((None, 100, 200), (300, 200, 400), (100, None, 200)):
        assert times([told("a", at, source) for at, source in enumerate(sources)]) == [(0, 0), (0, 1), (0, 2)]


def test_nothing_is_dated_before_the_subscription() -> None:
    assert times([told("a", 0, 0), told("a", 1, 10**12)]) == [(60_000_000, 0), (0, 1)]


values = st.tuples(st.sampled_from("abc"), st.one_of(st.none(), st.integers(0, 10**8)))


@given(st.lists(values, max_size=30), st.booleans())
def test_laws(reported: list[tuple[str, int | None]], rising: bool) -> None:
    if rising:
        reported = sorted(reported, key=lambda one: one[1] or 0)
    notifications = [told(name, at, source) for at, (name, source) in enumerate(reported)]
    moments = spaced(notifications, now_us=NOW_US, floor_us=FLOOR_US)
    assert sorted(one.value for _, batch in moments for one in batch) == list(range(len(reported)))  # type: ignore[type-var]
    assert all(FLOOR_US <= at_us <= NOW_US for at_us, _ in moments)
    assert [at_us for at_us, _ in moments] == sorted(at_us for at_us, _ in moments)
    for name in "abc":
        own = [(at_us, one) for at_us, batch in moments for one in batch if one.point.name == name]
        assert [one.value for _, one in own] == [one.value for one in notifications if one.point.name == name]
        assert not own or NOW_US - own[-1][0] <= JOIN_US
        for (before_us, before), (after_us, after) in itertools.pairwise(own):
            known = before.source_time_us is not None and after.source_time_us is not None
            if rising and known and before_us > FLOOR_US and all(one.source_time_us is not None for _, one in own):
                apart_us = (after.source_time_us or 0) - (before.source_time_us or 0)
                assert abs(after_us - before_us - apart_us) <= 2 * JOIN_US


class Still:
    """A clock that stands."""

    turns = 0

    def now_us(self) -> int:
        return NOW_US


@given(st.lists(st.integers(NOW_US - 100, NOW_US), min_size=1))
def test_rows_of_a_device_rise_whatever_is_asked_for(wanted: list[int]) -> None:
    rising = RisingTime(Still())  # type: ignore[arg-type]
    given_out = [rising.at_us("a", time_us) for time_us in wanted]
    assert all(after > before for before, after in itertools.pairwise(given_out))
    assert given_out[0] == wanted[0]
    assert rising.next_us("a") > given_out[-1]
