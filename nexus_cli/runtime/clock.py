"""Time: injected everywhere, strictly rising per key across clock steps and restarts.

A row is keyed by series and gateway time, so two samples of one tag must never carry the same microsecond and a
later one never an earlier time, whatever the wall clock does (DESIGN §4, row identity).
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from typing import Protocol

STEP_US = 1_000_000
"""A wall clock that jumps by more than this against the monotonic one has been stepped."""
SLEW_US_PER_S = 50_000
"""How fast the anchored time drifts to a wall clock that is off by less than a step, in µs per second."""


class Clock(Protocol):
    """What the runtime knows of time."""

    def now_us(self) -> int:
        """Time since 1970 UTC in µs, never falling within this process."""
        ...

    def monotonic_s(self) -> float:
        """Seconds on a clock that nobody sets."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clock, anchored on the monotonic one.

    Time runs with the monotonic clock. A wall clock that is stepped forward is followed at once. One that is stepped
    back is not: standing still until it catches up would squeeze an hour of samples into nothing, so time runs on,
    ahead of the wall, and drifts back to it slowly (`SLEW_US_PER_S`).

    Attributes:
        steps: How many steps of the wall clock were seen.
        last_step_us: By how much the last one went, positive is forward.
        ahead_us: How far our time runs ahead of the wall clock after a step back.
    """

    def __init__(
        self,
        *,
        floor_us: int = 0,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Anchor at the wall clock of this moment, or at `floor_us` (the last persisted time) where that is later."""
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._wall_offset_us = wall_ns() // 1000 - monotonic_ns() // 1000
        self._anchor_us = max(self._wall_offset_us, floor_us + 1 - monotonic_ns() // 1000)
        self._last_check_us = monotonic_ns() // 1000
        self.steps = 0
        self.last_step_us = 0

    def raise_to(self, floor_us: int) -> None:
        """Never again give a time at or below `floor_us` (µs since 1970 UTC), e.g. the last one found on disk."""
        self._anchor_us = max(self._anchor_us, floor_us + 1 - self._monotonic_ns() // 1000)

    @property
    def ahead_us(self) -> int:
        """How far our time is ahead of the wall clock, µs; 0 when they agree."""
        return max(0, self._anchor_us - self._wall_offset_us)

    def now_us(self) -> int:
        """Time since 1970 UTC in µs."""
        mono_us = self._monotonic_ns() // 1000
        if mono_us - self._last_check_us >= 100_000:
            self._compare(mono_us)
        return self._anchor_us + mono_us

    def monotonic_s(self) -> float:
        """Seconds on the monotonic clock."""
        return self._monotonic_ns() / 1e9

    async def sleep(self, delay_s: float) -> None:
        """Wait."""
        await asyncio.sleep(delay_s)

    def _compare(self, mono_us: int) -> None:
        passed_us = mono_us - self._last_check_us
        self._last_check_us = mono_us
        offset_us = self._wall_ns() // 1000 - mono_us
        moved_us = offset_us - self._wall_offset_us
        if abs(moved_us) > STEP_US:
            self.steps += 1
            self.last_step_us = moved_us
        self._wall_offset_us = offset_us
        behind_us = offset_us - self._anchor_us
        if behind_us > STEP_US:
            self._anchor_us = offset_us
            return
        # At most half the time that passed is given back, so our time keeps rising while it drifts to the wall's.
        most_us = min(passed_us // 2, max(1, passed_us * SLEW_US_PER_S // 1_000_000))
        self._anchor_us += max(-most_us, min(most_us, behind_us))


class FakeClock:
    """A clock that a test turns. `advance` wakes what sleeps."""

    def __init__(self, *, now_us: int = 1_700_000_000_000_000, monotonic_s: float = 1000.0) -> None:
        """Stand at the given moment."""
        self._now_us = now_us
        self._monotonic_s = monotonic_s
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._count = 0

    def now_us(self) -> int:
        """Time since 1970 UTC in µs."""
        return self._now_us

    def monotonic_s(self) -> float:
        """Seconds on a clock that nobody sets."""
        return self._monotonic_s

    async def sleep(self, delay_s: float) -> None:
        """Wait until the test has advanced far enough."""
        event = asyncio.Event()
        self._count += 1
        heapq.heappush(self._sleepers, (self._monotonic_s + max(0.0, delay_s), self._count, event))
        if delay_s <= 0:
            event.set()
        await event.wait()

    def step(self, delta_us: int) -> None:
        """Set the wall clock, forward or back; the monotonic one does not notice."""
        self._now_us += delta_us

    def advance(self, delta_s: float) -> None:
        """Let time pass."""
        self._monotonic_s += delta_s
        self._now_us += round(delta_s * 1e6)
        while self._sleepers and self._sleepers[0][0] <= self._monotonic_s + 1e-9:
            heapq.heappop(self._sleepers)[2].set()


class RisingTime:
    """Times that strictly rise per key, across clock steps and, above a persisted floor, across restarts."""

    __slots__ = ("_clock", "_floor_us", "_last_us")

    def __init__(self, clock: Clock, *, floor_us: int = 0) -> None:
        """Give out times above `floor_us`, the last time that was persisted (µs since 1970 UTC)."""
        self._clock = clock
        self._floor_us = floor_us
        self._last_us: dict[str, int] = {}

    def next_us(self, key: str) -> int:
        """The time now, or the least time above the key's last one."""
        return self.at_least_us(key, self._clock.now_us())

    def at_least_us(self, key: str, time_us: int) -> int:
        """`time_us`, or the least time above the key's last one."""
        last_us = self._last_us.get(key, self._floor_us)
        if time_us <= last_us:
            time_us = last_us + 1
        self._last_us[key] = time_us
        return time_us

    def forget(self, key: str) -> None:
        """A device is gone; if its key comes back it starts above everything given out so far."""
        self._floor_us = max(self._floor_us, self._last_us.pop(key, 0))
