"""Conditions over time and over several tags."""

from __future__ import annotations

import pytest

from nexus_cli.alarms.conditions import words_of
from nexus_cli.alarms.machine import Alert, State
from nexus_cli.alarms.silence import MARK_S, NoData
from nexus_cli.model.config import TagConfig
from nexus_cli.model.resources import AlertConfig
from nexus_cli.wire.sample import Quality

GOOD, BAD = Quality.GOOD, Quality.BAD
TAG = "a/l/d/t"


class Fed:
    """An alert that is fed in seconds."""

    def __init__(self, tags=None, **keys) -> None:
        self.inner = Alert(AlertConfig(**{"tag": TAG, **keys}))
        self.inner.configure(self.inner.config, tags or {}, time_us=0, at_s=0.0)

    def feed(self, value, at_s: float, quality=GOOD, **more) -> State:
        self.inner.feed(value, quality, time_us=round(at_s * 1e6), at_s=at_s, **more)
        return self.inner.state

    def tick(self, at_s: float, **more) -> State:
        self.inner.tick(time_us=round(at_s * 1e6), at_s=at_s, **more)
        return self.inner.state


ACTIVE, CLEARED = State.ACTIVE, State.CLEARED


def test_outside_with_hysteresis_on_both_sides() -> None:
    found = Fed(outside=(10.0, 90.0), clear_above=12.0, clear_below=88.0)
    assert [found.feed(value, at) for at, value in enumerate((10, 9.9, 11, 12.5, 90.5, 89, 87))] == [
        CLEARED,
        ACTIVE,
        ACTIVE,
        CLEARED,
        ACTIVE,
        ACTIVE,
        CLEARED,
    ]


def test_the_off_delay_begins_anew_when_the_condition_comes_back() -> None:
    found = Fed(above=1.0, clear_after_ms=10_000)
    assert found.feed(2.0, 0) is ACTIVE
    assert found.feed(0.0, 1) is ACTIVE and found.tick(10.9) is ACTIVE
    assert found.feed(2.0, 10.95) is ACTIVE and found.tick(12) is ACTIVE, "the condition is back"
    assert found.feed(0.0, 20) is ACTIVE and found.tick(29.9) is ACTIVE
    assert found.tick(30) is CLEARED and found.inner.since_us == 30_000_000


def test_a_rate_is_what_it_moved_within_the_window() -> None:
    found = Fed(rate_above=5.0, rate_per_ms=60_000)
    assert found.feed(10.0, 0) is CLEARED and found.feed(14.0, 30) is CLEARED
    assert found.feed(15.5, 40) is ACTIVE, "5.5 in 40 s"
    assert found.tick(80) is ACTIVE, "10 held until 30: at 80 the window began at 20"
    assert found.inner.due_s() == 90.0
    assert found.tick(90) is CLEARED, "from 30 on it was 14: 1.5 in 60 s"


def test_a_fall_and_a_value_that_stands_still() -> None:
    found = Fed(rate_below=-5.0, rate_per_ms=10_000)
    assert found.feed(20.0, 0) is CLEARED and found.feed(14.0, 5) is ACTIVE
    assert found.tick(14.9) is ACTIVE and found.tick(15.1) is CLEARED


def test_a_rate_of_fast_values_keeps_a_bounded_window() -> None:
    found = Fed(rate_above=1e9, rate_per_ms=60_000)
    for number in range(20_000):
        found.feed(float(number), number / 1000)
    assert len(found.inner.condition._points) <= 600  # type: ignore[attr-defined]


def test_unchanged_for_counts_from_the_last_change() -> None:
    found = Fed(unchanged_for_ms=60_000)
    assert found.tick(500) is CLEARED, "without a value nothing stands still"
    found.feed(1.0, 500)
    found.feed(1.0, 530)
    assert found.tick(559.9) is CLEARED and found.tick(560) is ACTIVE
    assert found.feed(1.0, 570) is ACTIVE and found.feed(1.1, 571) is CLEARED
    assert found.inner.due_s() == 571 + MARK_S
    found.feed(None, 580, BAD)
    assert found.tick(700) is CLEARED, "a BAD value does not stand still"


def test_no_data_for_is_ended_by_a_fresh_value_alone() -> None:
    found = Fed(no_data_for_ms=60_000)
    assert found.tick(59) is CLEARED and found.tick(60) is ACTIVE
    assert found.feed(1.0, 61, fresh=False) is ACTIVE, "the broker had kept it"
    assert found.feed(None, 62, BAD) is ACTIVE
    assert found.feed(1.0, 63) is CLEARED
    found.feed(None, 70, BAD)
    assert found.tick(122) is CLEARED and found.tick(123) is ACTIVE


def test_a_living_gateway_speaks_for_a_value_that_does_not_change() -> None:
    found = Fed(no_data_for_ms=60_000)
    found.feed(1.0, 10)
    assert found.tick(75, alive_s=70.0) is CLEARED
    assert found.tick(129.9, alive_s=70.0) is CLEARED and found.tick(130, alive_s=70.0) is ACTIVE, (
        "it fell silent at 70"
    )
    assert found.tick(140, alive_s=139.0) is CLEARED
    found.feed(None, 141, BAD)
    assert isinstance(found.inner.condition, NoData)
    assert found.tick(200, alive_s=199.0) is ACTIVE, "it lives, and has no value of the tag"


@pytest.mark.parametrize(("on_bad", "state"), [("hold", CLEARED), ("raise", ACTIVE), ("clear", CLEARED)])
@pytest.mark.parametrize(
    "keys", [{"unchanged_for_ms": 60_000}, {"no_data_for_ms": 60_000}, {"rate_above": 5.0, "rate_per_ms": 60_000}]
)
def test_what_bad_does_to_conditions_over_time(keys, on_bad: str, state: State) -> None:
    found = Fed(**keys, on_bad=on_bad)
    found.feed(1.0, 0)
    assert found.feed(None, 1, BAD) is state


TAGS = {
    "a/l/d/level": TagConfig(type="float64", published_type="float64", address=""),
    "a/l/d/mode": TagConfig(type="int16", published_type="int16", address="", values={"0": "off", "1": "on"}),
}


def test_an_expression_needs_all_its_values() -> None:
    found = Fed(tag="", expr="{a/l/d/level} < 5 and {a/l/d/mode} == 'on'", tags=TAGS)
    assert found.feed(3.0, 0, path="a/l/d/level") is CLEARED
    assert found.feed(1, 1, path="a/l/d/mode") is ACTIVE and found.inner.value is True
    assert found.feed(None, 2, BAD, path="a/l/d/mode") is ACTIVE, "hold"
    assert found.feed(1, 3, path="a/l/d/mode") is ACTIVE
    assert found.feed(7.0, 4, path="a/l/d/level") is CLEARED
    found.feed(1.0, 5, path="a/l/d/level")
    assert found.inner.state is ACTIVE
    clearing = Fed(tag="", expr="{a/l/d/level} < 5", on_bad="clear", tags=TAGS)
    assert clearing.feed(1.0, 0, path="a/l/d/level") is ACTIVE
    assert clearing.feed(None, 1, BAD, path="a/l/d/level") is CLEARED


def test_an_expression_that_does_not_compile_says_so_and_raises_nothing() -> None:
    found = Fed(tag="", expr="{a/l/d/level} < 5")
    assert "a/l/d/level" in found.inner.condition.problem  # type: ignore[attr-defined]
    assert found.feed(1.0, 0, path="a/l/d/level") is CLEARED


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"above": 95.0, "clear_below": 90.0}, "above 95, clears below 90"),
        ({"outside": (1.0, 2.0)}, "outside 1 to 2"),
        ({"rate_above": 5.0, "rate_per_ms": 60_000}, "moves by more than 5 in 60 s"),
        ({"rate_below": -5.0, "rate_per_ms": 1000}, "moves by less than -5 in 1 s"),
        ({"unchanged_for_ms": 1000}, "unchanged for 1 s"),
        ({"no_data_for_ms": 1500}, "no data for 1.5 s"),
        ({"equals": "fault"}, "equals fault"),
        ({"expr": "{a/b/c/d}"}, "{a/b/c/d}"),
    ],
)
def test_words(keys, text: str) -> None:
    assert words_of(AlertConfig(tag=TAG, **keys)).text == text
