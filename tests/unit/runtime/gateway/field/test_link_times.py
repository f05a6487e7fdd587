"""What a link measures of itself."""

from __future__ import annotations

import asyncio

from nexus_cli.runtime.gateway.field.link_times import WINDOW, LinkTimes
from tests.clock import FakeClock


def turn(times: LinkTimes, clock: FakeClock, seconds: float, *, calls: int, before: int = 0) -> None:
    times.turn(begins=True, calls=before)
    clock.advance(seconds)
    times.turn(begins=False, calls=before + calls)


async def test_a_connect_is_measured_when_it_succeeds() -> None:
    clock = FakeClock()
    times = LinkTimes(clock)

    async def opening(seconds: float, *, fails: bool = False) -> str:
        clock.advance(seconds)
        await asyncio.sleep(0)
        if fails:
            raise OSError
        return "open"

    assert await times.connecting(opening(0.25)) == "open"
    try:
        await times.connecting(opening(9.0, fails=True))
    except OSError:
        pass
    assert round(times.connect_ms) == 250


def test_the_longest_turn_counts_until_it_is_old() -> None:
    clock = FakeClock()
    times = LinkTimes(clock)
    assert (times.cycle_ms, times.requests, times.request_ms) == (0.0, 0, 0.0)
    turn(times, clock, 0.4, calls=4)
    turn(times, clock, 0.1, calls=1)
    assert (round(times.cycle_ms), times.requests) == (400, 4)
    assert round(times.request_ms) == 100
    for _ in range(2 * WINDOW):
        turn(times, clock, 0.1, calls=1)
    assert (round(times.cycle_ms), times.requests) == (100, 1)


def test_a_turn_that_broke_off_or_asked_nothing_is_left_out() -> None:
    clock = FakeClock()
    times = LinkTimes(clock)
    times.turn(begins=True, calls=0)
    clock.advance(5.0)
    turn(times, clock, 0.1, calls=1)
    turn(times, clock, 3.0, calls=0)
    times.turn(begins=False, calls=9)
    assert (round(times.cycle_ms), times.requests) == (100, 1)
