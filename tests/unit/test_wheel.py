"""Many waits on one timer: never early, late by less than their slack, in order, and none is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nexus_cli.wheel import POLL_SLACK, SLACKS, SLOT_S, Wait, Wheel, slack_of, wheel_of

pytestmark = pytest.mark.simulated_time
EXACT_S = 1e-6


def timers() -> list[Any]:
    """What the loop will call."""
    scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return [timer for timer in scheduled if not timer.cancelled()]


@pytest.mark.parametrize("slots", [*SLACKS])
async def test_a_wait_is_never_early_and_late_by_less_than_its_slack(slots: int) -> None:
    loop, wheel = asyncio.get_running_loop(), Wheel()
    found: list[tuple[float, float]] = []
    for at in range(200):
        when_s = loop.time() + at * 0.00137
        wheel.at(when_s, lambda when_s=when_s: found.append((when_s, loop.time())), slots=slots)  # type: ignore[misc]
    await asyncio.sleep(1.0)
    assert len(found) == 200
    assert all(-EXACT_S <= now_s - when_s < slots * SLOT_S + EXACT_S for when_s, now_s in found)
    assert not timers()


async def test_waits_share_one_timer_and_the_turns_of_their_slots() -> None:
    loop, wheel = asyncio.get_running_loop(), Wheel()
    turns: set[float] = set()
    for at in range(400):
        wheel.at(loop.time() + at * 0.0025, lambda: turns.add(loop.time()), slots=SLACKS[0])
        assert len(timers()) == 1
    await asyncio.sleep(1.1)
    assert len(turns) in (10, 11)


async def test_an_earlier_wait_moves_the_timer_and_a_cancelled_one_is_not_called() -> None:
    loop, wheel = asyncio.get_running_loop(), Wheel()
    called: list[str] = []
    late = wheel.at(loop.time() + 10.0, lambda: called.append("late"))
    wheel.at(loop.time() + 0.1, lambda: called.append("early"))
    await asyncio.sleep(0.2)
    assert called == ["early"] and not late.cancelled()
    late.cancel()
    late.cancel()
    assert late.cancelled()
    await asyncio.sleep(11.0)
    assert called == ["early"]


async def test_what_has_passed_is_called_in_the_next_slot_and_a_call_may_add_waits() -> None:
    loop, wheel = asyncio.get_running_loop(), Wheel()
    called: list[float] = []

    def again() -> None:
        called.append(loop.time())
        if len(called) < 5:
            wheel.at(loop.time() - 1.0, again)

    wheel.at(0.0, again)
    await asyncio.sleep(0.1)
    assert len(called) == 5


async def test_a_call_that_fails_is_reported_and_the_others_go_on() -> None:
    loop, wheel = asyncio.get_running_loop(), Wheel()
    reported: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reported.append(context))
    called: list[str] = []

    def fails() -> None:
        raise RuntimeError("a bug")

    when_s = loop.time() + 0.01
    wheel.at(when_s, fails)
    wheel.at(when_s, lambda: called.append("next"))
    wheel.at(when_s + 0.1, lambda: called.append("later"))
    await asyncio.sleep(0.5)
    assert called == ["next", "later"]
    assert [str(one["exception"]) for one in reported] == ["a bug"]


def test_a_slack_is_a_share_of_the_time_in_whole_slots() -> None:
    assert [slack_of(time_s) for time_s in (0.01, 0.1, 0.2)] == [0, 0, 0]
    assert [slack_of(time_s) for time_s in (0.25, 0.4, 0.5, 0.9, 1.0, 60.0, float("inf"))] == [1, 1, 2, 2, 2, 2, 2]
    times_s = (0.05, 0.1, 0.2, 0.25, 0.5, 0.9, 1.0, 60.0)
    assert [slack_of(time_s, POLL_SLACK) for time_s in times_s] == [1, 2, 2, 5, 10, 10, 20, 20]
    assert all(SLACKS[0] % one == 0 for one in SLACKS)


async def test_a_loop_has_one_wheel() -> None:
    loop = asyncio.get_running_loop()
    assert wheel_of(loop) is wheel_of(loop)
    other = asyncio.new_event_loop()
    try:
        assert wheel_of(other) is not wheel_of(loop)
    finally:
        other.close()


def test_a_wait_is_over_once() -> None:
    called: list[int] = []
    wait = Wait(lambda: called.append(1))
    wait.end()
    wait.end()
    assert called == [1] and wait.cancelled()
