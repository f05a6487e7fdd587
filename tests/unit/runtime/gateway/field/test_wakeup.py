"""What the owner of a link waits on: woken by time or by a call, whichever is first, and never left behind."""

from __future__ import annotations

import asyncio

import pytest

from nexus_cli.runtime.gateway.field.wakeup import Wakeup

pytestmark = pytest.mark.simulated_time


async def test_it_ends_with_its_time_and_not_before() -> None:
    alarm = Wakeup()
    now_s = asyncio.get_running_loop().time
    began_s = now_s()
    await alarm.wait(0.02)
    assert now_s() - began_s == pytest.approx(0.02)


@pytest.mark.parametrize("delay_s", [None, 60.0])
async def test_a_call_ends_it_at_once_and_no_timer_is_left(delay_s: float | None) -> None:
    alarm = Wakeup()
    waiting = asyncio.create_task(alarm.wait(delay_s))
    await asyncio.sleep(0)
    alarm.set()
    alarm.set()
    await waiting
    scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    assert all(timer.cancelled() for timer in scheduled)


async def test_a_call_that_came_before_is_not_lost_until_it_is_cleared() -> None:
    alarm = Wakeup()
    alarm.set()
    began_s = asyncio.get_running_loop().time()
    await alarm.wait(None)
    await alarm.wait(60.0)
    assert asyncio.get_running_loop().time() == began_s
    alarm.clear()
    waiting = asyncio.create_task(alarm.wait(None))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    alarm.set()
    await waiting


@pytest.mark.parametrize("delay_s", [0.0, -1.0])
async def test_no_time_at_all_still_lets_others_run(delay_s: float) -> None:
    alarm = Wakeup()
    seen: list[str] = []
    asyncio.get_running_loop().call_soon(seen.append, "other")
    await alarm.wait(delay_s)
    assert seen == ["other"]
    alarm.set()
    asyncio.get_running_loop().call_soon(seen.append, "another")
    await alarm.wait(60.0)
    assert seen == ["other", "another"]


async def test_a_cancelled_wait_leaves_it_usable() -> None:
    alarm = Wakeup()
    waiting = asyncio.create_task(alarm.wait(60.0))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    alarm.set()
    await alarm.wait(60.0)
