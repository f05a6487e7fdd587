"""A test that does not end: it fails after a quarter of an hour, and says what each of its tasks waits for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Generator, Iterator
from types import FrameType
from typing import Any

import pytest

LIMIT_S = float(os.environ.get("NEXUS_TEST_STUCK_S", "900"))
"""For each of set-up, call and tear-down: many times what the longest needs on a busy machine. 0 is no limit."""
AGAIN_S = 60.0
"""A loop that is closed cancels its tasks and waits for them: what does not end then fails once more."""
MOST_STEPS = 50


@contextlib.contextmanager
def limited(name: str, *, limit_s: float = LIMIT_S) -> Iterator[None]:
    """Fail what a block does when it takes longer than `limit_s`. Without effect outside the main thread and on Windows."""
    if not limit_s or not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"{name} did not end within {limit_s:g} s\n{waiting_tasks()}", pytrace=False)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit_s, AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def waiting_tasks() -> str:
    """Every task of the running loop, with the places at which it waits, outermost first; "" without a loop."""
    try:
        found = asyncio.all_tasks()
    except RuntimeError:
        return ""
    lines = []
    for task in sorted(found, key=lambda one: one.get_name()):
        lines.append(f"task {task.get_name()}")
        lines += [f"    {place}" for place in places(task.get_coro())]
    return "\n".join(lines)


def places(coro: Any) -> Iterator[str]:
    """Where a suspended coroutine is, and what it awaits there, down to a future."""
    for _ in range(MOST_STEPS):
        frame = next((one for name in ("cr_frame", "gi_frame", "ag_frame") if (one := getattr(coro, name, None))), None)
        if frame is not None:
            yield f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
        inner = next(
            (one for name in ("cr_await", "gi_yieldfrom", "ag_await") if (one := getattr(coro, name, None))), None
        )
        if inner is None:
            if frame is None:
                yield repr(coro)[:200]
            return
        coro = inner


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Limit it."""
    with limited(f"the set-up of {item.nodeid}"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Limit it."""
    with limited(item.nodeid):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Limit it."""
    with limited(f"the tear-down of {item.nodeid}"):
        return (yield)
