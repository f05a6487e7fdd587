"""Clock and back-off: strictly rising over steps and restarts, doubtful times marked, waits within their ceilings."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.backoff import Backoff
from nexus_cli.runtime import kernel_clock
from nexus_cli.runtime.clock import (
    APART_US,
    AWAIT_US,
    MOST_AHEAD_US,
    SANE_FROM_US,
    SANE_UNTIL_US,
    RisingTime,
    SystemClock,
)
from nexus_cli.runtime.kernel_clock import KernelClock
from nexus_cli.settings import ClockTrust
from tests.clock import FakeClock

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
DAY_US = 24 * HOUR_US
NOW_US = 1_800_000_000 * SECOND_US
"""January 2027."""


class Machine:
    """A machine whose wall clock can be set, as by hand or, `served`, by a time service.

    Attributes:
        synchronised: What its kernel says; None where it can't be asked.
    """

    def __init__(self, *, wall_us: int = NOW_US, synchronised: bool | None = None) -> None:
        self.mono_us, self.wall_us = 5_000_000, wall_us
        self.synchronised = synchronised

    def clock(self, *, floor_us: int = 0, trust: ClockTrust = ClockTrust.AUTO) -> SystemClock:
        """A clock on it."""
        return SystemClock(
            trust=trust,
            floor_us=floor_us,
            wall_ns=lambda: self.wall_us * 1000,
            monotonic_ns=lambda: self.mono_us * 1000,
            kernel=lambda: KernelClock(self.synchronised),
        )

    def run(self, seconds: float, clock: SystemClock | None = None) -> list[int]:
        """Let time pass; gives what a clock that is asked each second said."""
        said = []
        left_us = round(seconds * SECOND_US)
        while left_us > 0:
            step_us = min(left_us, SECOND_US)
            self.mono_us += step_us
            self.wall_us += step_us
            left_us -= step_us
            if clock is not None:
                said.append(clock.now_us())
        return said

    def set(self, delta_us: int, *, served: bool = False) -> None:
        """Set the wall clock; a kernel that knows says that nobody vouches for what was set by hand."""
        self.wall_us += delta_us
        if self.synchronised is not None:
            self.synchronised = served


def rising(times: list[int]) -> bool:
    """Each above the one before."""
    return all(one < other for one, other in itertools.pairwise(times))


@pytest.mark.parametrize("glitch_us", [HOUR_US, DAY_US, -HOUR_US, 80 * 365 * DAY_US, -60 * 365 * DAY_US])
@pytest.mark.parametrize("synchronised", [None, False, True])
def test_a_glitch_of_the_wall_clock_never_enters_the_record(glitch_us: int, synchronised: bool | None) -> None:
    machine = Machine(synchronised=synchronised)
    clock = machine.clock()
    said = machine.run(10, clock)
    machine.set(glitch_us)
    said += machine.run(2, clock)
    assert clock.doubt and clock.wall_doubt
    machine.set(-glitch_us, served=bool(synchronised))
    said += machine.run(2, clock)
    assert clock.doubt == ""
    assert rising(said)
    assert max(abs(b - a - SECOND_US) for a, b in itertools.pairwise(said)) == 0, "no second longer or shorter"
    assert said[-1] == machine.wall_us
    assert (clock.steps, clock.last_step_us) == (2, -glitch_us)


@pytest.mark.parametrize("synchronised", [None, False])
def test_a_step_forward_is_followed_once_the_clock_has_gone_on_for_a_minute(synchronised: bool | None) -> None:
    machine = Machine(synchronised=synchronised)
    clock = machine.clock()
    machine.run(1, clock)
    machine.set(HOUR_US)
    machine.run(59, clock)
    assert clock.ahead_us == -HOUR_US and clock.doubt
    machine.run(3, clock)
    assert clock.now_us() == machine.wall_us and clock.doubt == "" and clock.turns == 0


def test_a_second_step_begins_the_minute_anew() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.set(HOUR_US)
    machine.run(50, clock)
    machine.set(HOUR_US)
    machine.run(50, clock)
    assert clock.ahead_us == -2 * HOUR_US and clock.doubt
    machine.run(12, clock)
    assert clock.now_us() == machine.wall_us


@pytest.mark.parametrize(("trust", "synchronised"), [(ClockTrust.AUTO, True), (ClockTrust.YES, False)])
@pytest.mark.parametrize("delta_us", [HOUR_US, -HOUR_US])
def test_what_is_vouched_for_is_followed_at_once(trust: ClockTrust, synchronised: bool, delta_us: int) -> None:
    machine = Machine(synchronised=synchronised)
    clock = machine.clock(trust=trust)
    machine.run(1, clock)
    machine.set(delta_us, served=True)
    machine.run(1, clock)
    assert clock.now_us() == machine.wall_us and clock.doubt == ""
    assert clock.turns == (delta_us < 0)


def test_ahead_by_minutes_time_runs_at_half_speed_until_they_agree() -> None:
    machine = Machine()
    clock = machine.clock()
    before = machine.run(1, clock)
    machine.set(-MOST_AHEAD_US)
    assert rising(before + machine.run(60, clock)) and clock.ahead_us >= MOST_AHEAD_US
    said = machine.run(600, clock)
    assert rising(said) and clock.turns == 0
    assert abs(said[-1] - machine.wall_us) <= APART_US and clock.doubt == ""


def test_further_ahead_time_is_set_back_when_the_clock_is_believed() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.run(1, clock)
    machine.set(-HOUR_US)
    held = machine.run(59, clock)
    assert rising(held) and clock.turns == 0 and "3,600.0 s apart" in clock.doubt
    machine.run(3, clock)
    assert (clock.now_us(), clock.turns, clock.doubt) == (machine.wall_us, 1, "")


def test_a_small_drift_is_no_step_and_is_made_good() -> None:
    machine = Machine()
    clock = machine.clock()
    for _ in range(100):
        machine.run(1.0)
        machine.wall_us -= 1_000
        clock.now_us()
        assert clock.doubt == ""
    assert clock.steps == 0
    assert abs(clock.now_us() - machine.wall_us) < 2_000


def test_a_leap_second_doubts_nothing() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.run(1, clock)
    machine.wall_us -= SECOND_US
    said = []
    for _ in range(30):
        said += machine.run(1, clock)
        assert clock.doubt == ""
    assert rising(said) and abs(said[-1] - machine.wall_us) < 1_000


@pytest.mark.parametrize("wall_us", [0, SANE_FROM_US - DAY_US, SANE_UNTIL_US + DAY_US, 4_294_967_295 * SECOND_US])
@pytest.mark.parametrize("floor_us", [0, NOW_US - DAY_US])
def test_a_boot_with_a_year_that_can_not_be(wall_us: int, floor_us: int) -> None:
    machine = Machine(wall_us=wall_us, synchronised=False)
    clock = machine.clock(floor_us=floor_us)
    said = machine.run(120, clock)
    assert "can't be" in clock.doubt and "can't be" in clock.wall_doubt
    assert rising(said) and max(floor_us, SANE_FROM_US) < said[0] < said[-1] < SANE_UNTIL_US
    machine.set(NOW_US - machine.wall_us, served=True)
    said += machine.run(2, clock)
    assert rising(said) and clock.now_us() == machine.wall_us and clock.doubt == "" and clock.turns == 0


@pytest.mark.parametrize("trust", [ClockTrust.AUTO, ClockTrust.YES])
@pytest.mark.parametrize("floor_us", [4_294_967_295 * SECOND_US, NOW_US + 2 * DAY_US, SANE_UNTIL_US])
def test_a_floor_that_can_not_be_is_refused(floor_us: int, trust: ClockTrust) -> None:
    machine = Machine()
    clock = machine.clock(trust=trust)
    clock.raise_to(floor_us)
    assert clock.now_us() == machine.wall_us and clock.doubt == ""
    assert clock.facts()["refused_floor_us"] == floor_us


def test_a_clock_behind_its_floor_is_doubtful_until_it_is_believed() -> None:
    """A machine without a battery starts at the time that it was switched off."""
    machine = Machine(synchronised=False)
    floor_us = machine.wall_us + HOUR_US
    clock = machine.clock(floor_us=floor_us)
    said = machine.run(10, clock)
    assert rising([floor_us, *said]) and clock.doubt
    machine.set(HOUR_US + 20 * SECOND_US, served=True)
    said += machine.run(2, clock)
    assert rising(said) and clock.now_us() == machine.wall_us and clock.doubt == "" and clock.turns == 0


def test_a_floor_that_was_an_hour_wrong_costs_a_minute_of_doubt() -> None:
    machine = Machine()
    clock = machine.clock(floor_us=machine.wall_us + HOUR_US)
    machine.run(62, clock)
    assert (clock.now_us(), clock.turns, clock.doubt) == (machine.wall_us, 1, "")


def test_an_unsynchronised_kernel_alone_marks_nothing_unless_it_is_required() -> None:
    machine = Machine(synchronised=False)
    assert machine.clock().doubt == ""
    required = machine.clock(trust=ClockTrust.REQUIRED)
    assert "requires it" in required.doubt and "requires it" in required.wall_doubt
    machine.synchronised = True
    assert required.doubt == ""
    machine.synchronised = None
    assert "requires it" in required.doubt, "what can't be asked vouches for nothing"
    assert "NEXUS_CLOCK_SYNCHRONISED" in machine.clock(trust=ClockTrust.NO).doubt


def test_a_machine_that_was_synchronised_before_is_doubtful_until_it_is_again() -> None:
    machine = Machine(synchronised=False)
    clock = machine.clock()
    clock.await_synchronisation()
    machine.run(60, clock)
    assert "not yet" in clock.doubt
    machine.synchronised = True
    assert clock.doubt == ""
    machine.synchronised = False
    assert clock.doubt == "", "an hour without a time server is no doubt"
    late = machine.clock()
    late.await_synchronisation()
    machine.run(AWAIT_US / 1e6 + 1, late)
    assert late.doubt == "", "it heals by itself"


def test_health_says_who_vouches() -> None:
    machine = Machine(synchronised=True)
    facts = machine.clock().facts()
    assert (facts["synchronised"], facts["by"], facts["doubt"]) == (True, "system", "")
    machine.synchronised = None
    assert (machine.clock().facts()["synchronised"], machine.clock().facts()["by"]) == (None, "")
    facts = machine.clock(trust=ClockTrust.NO).facts()
    assert (facts["synchronised"], facts["by"]) == (False, "setting") and facts["doubt"]


def test_the_kernel_is_asked_without_effect() -> None:
    first, second = kernel_clock.ask(), kernel_clock.ask()
    assert first.synchronised in (True, False, None)
    assert first.synchronised == second.synchronised and first.error_us >= 0


class Steps:
    """What hypothesis does to a machine: seconds that pass, and steps of the wall clock."""

    deltas = st.one_of(st.integers(-3 * DAY_US, 3 * DAY_US), st.sampled_from([-HOUR_US, HOUR_US, 80 * 365 * DAY_US]))
    all = st.lists(st.tuples(deltas, st.floats(0.0, 200.0), st.booleans()), max_size=12)


@given(Steps.all, st.sampled_from([None, False]), st.integers(-2 * DAY_US, 2 * DAY_US))
def test_whatever_the_wall_clock_does_time_rises_within_a_turn_and_heals(
    steps: list[tuple[int, float, bool]], synchronised: bool | None, floor_us: int
) -> None:
    machine = Machine(synchronised=synchronised)
    clock = machine.clock(floor_us=NOW_US + floor_us)
    time = RisingTime(clock)
    last, turn = 0, 0
    for delta_us, seconds, served in steps:
        machine.set(delta_us, served=served)
        for _ in range(int(seconds) + 1):
            machine.run(1)
            now_us, apart_us = time.next_us("d"), abs(clock.ahead_us)
            assert SANE_FROM_US <= now_us < SANE_UNTIL_US + 100 * DAY_US
            assert clock.turns >= turn
            assert now_us > last or clock.turns > turn
            assert apart_us <= APART_US or clock.doubt
            last, turn = now_us, clock.turns
    machine.set(NOW_US + 30 * DAY_US - machine.wall_us, served=True)
    machine.run(MOST_AHEAD_US / 1e6 * 2 + 62, clock)
    assert abs(clock.now_us() - machine.wall_us) <= APART_US and clock.doubt == ""


def test_after_a_restart_time_goes_on_above_what_was_persisted() -> None:
    machine = Machine()
    floor = machine.wall_us + HOUR_US
    clock = machine.clock(floor_us=floor)
    assert RisingTime(clock).next_us("a") > floor


@given(st.lists(st.tuples(st.integers(-10_000_000, 10_000_000), st.sampled_from("ab"))))
def test_times_strictly_rise_per_key(steps: list[tuple[int, str]]) -> None:
    clock = FakeClock()
    rising = RisingTime(clock)
    last: dict[str, int] = {}
    for step, key in steps:
        clock.step(step)
        now = rising.next_us(key)
        assert now > last.get(key, 0)
        last[key] = now


def test_times_begin_anew_when_the_clock_was_set_back() -> None:
    clock = FakeClock()
    rising = RisingTime(clock)
    first = rising.next_us("a")
    clock.turn_back(HOUR_US)
    assert rising.next_us("a") == clock.now_us() < first
    assert rising.next_us("b") == clock.now_us()


@given(st.integers(0, 40), st.integers(0, 2**32))
def test_waits_stay_within_their_ceiling(tries: int, seed: int) -> None:
    backoff = Backoff(first_s=1.0, cap_s=30.0, floor=0.5, rng=random.Random(seed))
    for step in range(tries):
        ceiling = min(30.0, 2.0**step)
        assert ceiling / 2 <= backoff.next_s() <= ceiling
    backoff.reset()
    assert backoff.next_s() <= 1.0
