"""The state machine of an alert, fed with values and time."""

from __future__ import annotations

import msgspec
import pytest

from nexus_cli.alarms.machine import Alert, State
from nexus_cli.alarms.timers import Moment, StoredTimer, restored_timer, stored_timer
from nexus_cli.model.resources import AlertConfig, decode
from nexus_cli.wire.sample import Quality

SECOND = 1_000_000
GOOD, BAD, UNCERTAIN = Quality.GOOD, Quality.BAD, Quality.UNCERTAIN


class Fed:
    """An alert whose two clocks agree."""

    def __init__(self, inner: Alert) -> None:
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def feed(self, value, quality, *, time_us: int, **more) -> bool:
        return self.inner.feed(value, quality, time_us=time_us, at_s=time_us / SECOND, **more)

    def tick(self, *, time_us: int) -> bool:
        return self.inner.tick(time_us=time_us, at_s=time_us / SECOND)


def alert(**keys) -> Fed:
    return Fed(Alert(AlertConfig(tag="a/l/d/t", **keys)))


def test_above_with_hysteresis() -> None:
    found = alert(above=100.0, clear_below=95.0)
    assert not found.feed(100.0, GOOD, time_us=0), "above means more than"
    assert found.feed(100.5, GOOD, time_us=1) and found.state is State.ACTIVE and found.value == 100.5
    assert not found.feed(99.0, GOOD, time_us=2) and not found.feed(95.0, GOOD, time_us=3)
    assert found.feed(94.9, GOOD, time_us=4) and found.state is State.CLEARED and found.since_us == 4
    assert found.value == 94.9, "the value that brought it to its state"


def test_below_with_hysteresis_and_without() -> None:
    found = alert(below=5.0, clear_above=7.0)
    assert found.feed(4.0, GOOD, time_us=0) and not found.feed(6.0, GOOD, time_us=1)
    assert found.feed(7.5, GOOD, time_us=2) and found.state is State.CLEARED
    plain = alert(below=5.0)
    assert plain.feed(4.0, GOOD, time_us=0) and plain.feed(5.0, GOOD, time_us=1) and plain.state is State.CLEARED


def test_an_off_delay_ends_with_the_newest_value() -> None:
    found = alert(above=100.0, clear_after_ms=2000, priority="high")
    assert found.feed(101.0, GOOD, time_us=0) and found.value == 101.0
    assert not found.feed(102.0, GOOD, time_us=1) and found.value == 102.0
    assert not found.feed(99.0, GOOD, time_us=SECOND) and found.value == 102.0
    assert not found.feed(98.0, GOOD, time_us=2 * SECOND)
    assert found.tick(time_us=3 * SECOND) and found.state is State.RETURNED and found.value == 98.0


def test_a_window_needs_both_sides_back() -> None:
    found = alert(above=10.0, below=0.0, clear_below=9.0, clear_above=1.0)
    assert found.feed(11, GOOD, time_us=0)
    assert not found.feed(0.5, GOOD, time_us=1) and found.state is State.ACTIVE
    assert found.feed(5, GOOD, time_us=2) and found.state is State.CLEARED


def test_for_counts_from_the_first_moment_and_begins_anew() -> None:
    found = alert(above=1.0, for_ms=30_000)
    assert not found.feed(2.0, GOOD, time_us=0)
    assert not found.tick(time_us=29 * SECOND)
    assert not found.feed(0.0, GOOD, time_us=29 * SECOND + 1)
    assert not found.tick(time_us=60 * SECOND), "the condition was over in between"
    assert not found.feed(2.0, GOOD, time_us=61 * SECOND)
    assert found.tick(time_us=91 * SECOND) and found.state is State.ACTIVE and found.since_us == 91 * SECOND
    assert not found.tick(time_us=99 * SECOND), "only once"


def test_between_limit_and_hysteresis_the_condition_is_not_over() -> None:
    found = alert(above=100.0, clear_below=90.0, clear_after_ms=10_000)
    found.feed(101.0, GOOD, time_us=0)
    found.feed(85.0, GOOD, time_us=1_000_000)
    found.feed(95.0, GOOD, time_us=2_000_000)
    found.tick(time_us=12_000_000)
    assert found.state is State.ACTIVE, "it was below 90 for a second"
    found.feed(89.0, GOOD, time_us=20_000_000)
    found.tick(time_us=29_900_000)
    assert found.state is State.ACTIVE
    found.tick(time_us=30_000_000)
    assert found.state is State.CLEARED


def test_between_limit_and_hysteresis_a_pending_alert_is_over() -> None:
    found = alert(above=100.0, clear_below=90.0, for_ms=10_000)
    found.feed(101.0, GOOD, time_us=0)
    found.feed(95.0, GOOD, time_us=1 * SECOND)
    assert not found.tick(time_us=20 * SECOND) and found.state is State.CLEARED


@pytest.mark.parametrize(
    ("on_bad", "from_cleared", "from_active"),
    [
        ("hold", State.CLEARED, State.ACTIVE),
        ("clear", State.CLEARED, State.CLEARED),
        ("raise", State.ACTIVE, State.ACTIVE),
    ],
)
def test_what_bad_does(on_bad: str, from_cleared: State, from_active: State) -> None:
    found = alert(above=1.0, on_bad=on_bad)
    found.feed(None, BAD, time_us=0)
    assert found.state is from_cleared
    found = alert(above=1.0, on_bad=on_bad)
    found.feed(2.0, GOOD, time_us=0)
    found.feed(None, BAD, time_us=1)
    assert found.state is from_active


def test_uncertain_values_count() -> None:
    found = alert(above=1.0)
    assert found.feed(2.0, UNCERTAIN, time_us=0)


@pytest.mark.parametrize(
    ("equals", "value", "raised"),
    [
        (9007199254740993, "9007199254740993", True),
        (9007199254740993, "9007199254740992", False),
        (9007199254740993, 9007199254740993, True),
        (True, True, True),
        (True, 1, True),
        (True, 0, False),
        (2, 2, True),
        (2, 2.0, True),
        ("fault", "fault", True),
        ("fault", 2, False),
        (2, "2", False),
        (True, "true", False),
        (1, True, True),
    ],
)
def test_equals(equals, value, raised: bool) -> None:
    found = alert(equals=equals)
    found.feed(value, GOOD, time_us=0)
    assert (found.state is State.ACTIVE) is raised
    found.feed(0 if raised else value, GOOD, time_us=1)
    assert found.state is State.CLEARED


@pytest.mark.parametrize("value", ["text", "inf", "-inf", "nan", [1, 2], {"a": 1}])
def test_what_is_no_number_changes_nothing(value) -> None:
    found = alert(above=1.0)
    assert not found.feed(value, GOOD, time_us=0)
    assert found.feed(str(2**60), GOOD, time_us=1), "a 64-bit integer comes as text"
    assert not found.feed(value, GOOD, time_us=2) and found.state is State.ACTIVE


def test_acknowledging() -> None:
    found = alert(above=1.0)
    assert not found.acknowledge(who="me", time_us=0)
    found.feed(2.0, GOOD, time_us=1)
    assert found.acknowledge(who="me", time_us=2) and found.state is State.ACKNOWLEDGED
    assert not found.acknowledge(who="you", time_us=3) and found.acknowledged_by == "me"
    assert not found.feed(3.0, GOOD, time_us=4) and found.state is State.ACKNOWLEDGED, "still the same trouble"
    assert found.feed(0.0, GOOD, time_us=5) and found.state is State.CLEARED and found.acknowledged_by == ""
    assert found.feed(2.0, GOOD, time_us=6) and found.state is State.ACTIVE, "new trouble asks again"


def test_config_from_the_snapshots_attributes() -> None:
    attributes = {"tag": "a/b/c/d", "above": 100, "for_ms": 30_000, "on_bad": "hold", "severity": "critical"}
    found = decode(attributes, AlertConfig)
    assert (found.above, found.for_ms, found.severity) == (100.0, 30_000, "critical")
    with pytest.raises(msgspec.ValidationError):
        decode({"above": 1}, AlertConfig)


@pytest.mark.parametrize("step_us", [3600 * SECOND, -3600 * SECOND])
def test_a_step_of_the_wall_clock_moves_no_for(step_us: int) -> None:
    found = Alert(AlertConfig(tag="a/l/d/t", above=100.0, for_ms=600_000))
    start_us = 1_790_000_000 * SECOND
    found.feed(120.0, GOOD, time_us=start_us, at_s=50.0)
    assert not found.tick(time_us=start_us + step_us + 3 * SECOND, at_s=53.0)
    assert not found.tick(time_us=start_us + step_us + 599 * SECOND, at_s=649.0)
    assert found.tick(time_us=start_us + step_us + 600 * SECOND, at_s=650.0) and found.state is State.ACTIVE


def test_changes_have_rising_times_whatever_the_clock_does() -> None:
    found = Alert(AlertConfig(tag="a/l/d/t", above=1.0))
    found.feed(2.0, GOOD, time_us=100 * SECOND, at_s=1.0)
    found.feed(0.0, GOOD, time_us=50 * SECOND, at_s=2.0)
    assert found.state is State.CLEARED and found.since_us == 100 * SECOND + 1


@pytest.mark.parametrize("before", [False, True], ids=["as it is stored", "as it was stored before"])
@pytest.mark.parametrize(
    ("boot", "now_us", "database_us", "held_s"),
    [
        ("same", 999 * SECOND, 999 * SECOND, 40.0),  # the monotonic clock knows, whatever the others say
        ("other", 160 * SECOND, 160 * SECOND, 60.0),
        ("other", 3760 * SECOND, 160 * SECOND, 60.0),  # our clock was stepped by an hour
        ("other", 160 * SECOND, 3760 * SECOND, 60.0),  # the database's was
        ("other", 10 * SECOND, 160 * SECOND, 0.0),  # ours went back: nothing is credited, and nothing breaks
        ("", 160 * SECOND, 160 * SECOND, 60.0),
    ],
)
def test_for_goes_on_after_a_restart_and_never_too_early(
    boot: str, now_us: int, database_us: int, held_s: float, before: bool
) -> None:
    found = Alert(AlertConfig(tag="a/l/d/t", above=1.0, for_ms=90_000))
    found.feed(2.0, GOOD, time_us=100 * SECOND, at_s=960.0)
    assert found.pending is not None
    of_then = "" if boot == "" else "same"
    if before:
        stored = StoredTimer(since=100 * SECOND, boot=of_then, began_s=960.0)
    else:
        stored = stored_timer(found.pending, boot=of_then, at_s=960.0, now_us=100 * SECOND)
    found.pending = restored_timer(stored, Moment(boot, 1000.0, now_us, database_us, 100 * SECOND))
    assert found.pending.since_us == 100 * SECOND
    assert not found.tick(time_us=0, at_s=1000.0 + 89.9 - held_s)
    assert found.tick(time_us=0, at_s=1000.0 + 90.1 - held_s)


SIX = "2026-12-01T06:00:00Z"


@pytest.mark.parametrize(
    ("value", "raised"),
    [
        (SIX, True),
        ("2026-12-01T06:00:00.000Z", True),
        ("2026-12-01T07:00:00+01:00", True),
        ("2026-12-01 06:00", True),
        ("2026-12-01T06:00:00.001Z", False),
        ("2026-12-01T06:00:00+01:00", False),
        ("shift", False),
        (7, False),
    ],
)
def test_a_datetime_is_compared_as_the_moment_that_it_is(value, raised: bool) -> None:
    found = alert(equals=SIX, instant=True)
    assert found.feed(value, GOOD, time_us=0) is raised
    text = alert(equals=SIX)
    assert text.feed(value, GOOD, time_us=0) is (value == SIX), "in a text each character counts"


@pytest.mark.parametrize("on_bad", ["hold", "raise", "clear"])
def test_while_a_device_is_out_of_service_nothing_becomes_active(on_bad: str) -> None:
    found = alert(above=1.0, on_bad=on_bad, for_ms=5_000)
    assert not found.feed(2.0, GOOD, time_us=0) and found.pending is not None
    assert not found.feed(None, BAD, time_us=SECOND, out_of_service=True) and found.pending is None
    assert not found.tick(time_us=60 * SECOND) and found.state is State.CLEARED
    assert not found.feed(2.0, GOOD, time_us=61 * SECOND), "what was pending begins again"
    assert found.tick(time_us=67 * SECOND) and found.state is State.ACTIVE
    changed = found.feed(None, BAD, time_us=68 * SECOND, out_of_service=True)
    assert (changed, found.state) == ((True, State.CLEARED) if on_bad == "clear" else (False, State.ACTIVE))
