"""A test that does not end fails, and says where each of its tasks waits."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.stuck import limited


async def _wait_for_nothing() -> None:
    await asyncio.Event().wait()


async def _two() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_wait_for_nothing(), name="the one that hangs")


def test_it_names_the_tasks_and_where_they_wait() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(pytest.fail.Exception) as caught, limited("a test", limit_s=0.2):
        asyncio.run(_two())
    said = str(caught.value)
    assert said.startswith("a test did not end within 0.2 s\n")
    hanging = said[said.index("task the one that hangs") :]
    assert "test_stuck.py" in hanging and "_wait_for_nothing" in hanging and "locks.py" in hanging
    assert signal.getsignal(signal.SIGALRM) is before


def test_what_ends_in_time_is_left_alone() -> None:
    with limited("a test", limit_s=60):
        asyncio.run(asyncio.sleep(0))
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
