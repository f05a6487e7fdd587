"""Time that a test moves by hand: no wait takes any."""

from __future__ import annotations

import asyncio
import heapq


class FakeClock:
    """A clock that moves only when the test moves it (`advance`), which wakes what sleeps."""

    def __init__(self, *, now_us: int = 1_700_000_000_000_000, monotonic_s: float = 1000.0) -> None:
        """Start at the given moment."""
        self.turns = 0
        self._now_us = now_us
        self._monotonic_s = monotonic_s
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._count = 0

    def now_us(self) -> int:
        """Time since 1970 UTC in µs."""
        return self._now_us

    def wall_us(self) -> int:
        """The same."""
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
        """Set the wall clock, forward or back; the monotonic one stays."""
        self._now_us += delta_us

    def turn_back(self, delta_us: int) -> None:
        """Set the time back, as `SystemClock` does with one that was far ahead."""
        self._now_us -= delta_us
        self.turns += 1

    def advance(self, delta_s: float) -> None:
        """Let time pass."""
        self._monotonic_s += delta_s
        self._now_us += round(delta_s * 1e6)
        while self._sleepers and self._sleepers[0][0] <= self._monotonic_s + 1e-9:
            heapq.heappop(self._sleepers)[2].set()
