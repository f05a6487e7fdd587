"""Clock and back-off: strictly rising over steps and restarts, waits within their ceilings."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.runtime.backoff import Backoff
from nexus_cli.runtime.clock import FakeClock, RisingTime, SystemClock

HOUR_US = 3_600_000_000


class Machine:
    """A machine whose wall clock can be set."""

    def __init__(self) -> None:
        self.mono_ns, self.wall_ns = 5_000_000_000, 1_700_000_000_000_000_000

    def clock(self, *, floor_us: int = 0) -> SystemClock:
        """A clock on it."""
        return SystemClock(floor_us=floor_us, wall_ns=lambda: self.wall_ns, monotonic_ns=lambda: self.mono_ns)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.mono_ns += round(seconds * 1e9)
        self.wall_ns += round(seconds * 1e9)


def test_a_step_back_of_an_hour_keeps_time_running_and_is_seen() -> None:
    machine = Machine()
    clock = machine.clock()
    before = clock.now_us()
    machine.run(1.0)
    machine.wall_ns -= 3_600_000_000_000
    after = clock.now_us()
    assert 0 < after - before <= 1_000_000
    assert (clock.steps, clock.last_step_us) == (1, -HOUR_US)
    assert clock.ahead_us > HOUR_US * 0.99
    machine.run(60.0)
    assert clock.now_us() > after
    assert clock.steps == 1


def test_a_step_forward_is_followed() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall_ns += 3_600_000_000_000
    machine.run(1.0)
    assert clock.now_us() == machine.wall_ns // 1000
    assert clock.steps == 1


def test_a_small_drift_is_no_step_and_is_made_good() -> None:
    machine = Machine()
    clock = machine.clock()
    for _ in range(100):
        machine.run(1.0)
        machine.wall_ns -= 1_000_000
        clock.now_us()
    assert clock.steps == 0
    assert abs(clock.now_us() - machine.wall_ns // 1000) < 2_000


def test_after_a_restart_time_goes_on_above_what_was_persisted() -> None:
    machine = Machine()
    floor = machine.wall_ns // 1000 + HOUR_US
    clock = machine.clock(floor_us=floor)
    assert clock.now_us() > floor
    assert RisingTime(FakeClock(), floor_us=floor).next_us("a") == floor + 1


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


@given(st.integers(0, 40), st.integers(0, 2**32))
def test_waits_stay_within_their_ceiling(tries: int, seed: int) -> None:
    backoff = Backoff(first_s=1.0, cap_s=30.0, floor=0.5, rng=random.Random(seed))
    for step in range(tries):
        ceiling = min(30.0, 2.0**step)
        assert ceiling / 2 <= backoff.next_s() <= ceiling
    backoff.reset()
    assert backoff.next_s() <= 1.0
