"""Waiting for what has to come true: it costs nothing when it comes, and a loaded machine is no failure."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE_S = 90.0
"""How long a wait lasts at least before it gives up, in seconds."""


def patient(deadline_s: float) -> float:
    """A deadline, and never less than `PATIENCE_S`."""
    return max(deadline_s, PATIENCE_S)


async def until(
    condition: Callable[[], object], what: str = "the condition", *, deadline_s: float = PATIENCE_S
) -> None:
    """Wait until a condition is true, on the time of the running loop; fails the test at the deadline."""
    now_s = asyncio.get_running_loop().time
    end_s = now_s() + patient(deadline_s)
    while not condition():
        assert now_s() < end_s, f"{what} did not come true in time"
        await asyncio.sleep(0.01)


async def until_found(
    look: Callable[[], Awaitable[T]], wanted: Callable[[T], object] = bool, *, deadline_s: float = PATIENCE_S
) -> T:
    """Look until what is found is as wanted, and give it; fails the test at the deadline, with what was found last."""
    now_s = asyncio.get_running_loop().time
    end_s = now_s() + patient(deadline_s)
    while not wanted(found := await look()):
        assert now_s() < end_s, f"not as wanted: {found}"
        await asyncio.sleep(0.02)
    return found


def wait_until(condition: Callable[[], object], what: str = "the condition", *, deadline_s: float = PATIENCE_S) -> None:
    """As `until`, where no loop runs."""
    end_s = time.monotonic() + patient(deadline_s)
    while not condition():
        assert time.monotonic() < end_s, f"{what} did not come true in time"
        time.sleep(0.02)
