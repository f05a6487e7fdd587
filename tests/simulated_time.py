"""A loop on which no wait takes any time: when nothing is ready, its time goes on to the next timer.

For the unit tests of what waits: the supervisor of a link, queues, back-offs. An hour of a link is a few milliseconds,
and each wait is exact. Nothing in such a test may wait for the outside world.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.own_time import Selector

START_S = 1000.0
LEAST_STEP_S = 1e-6
"""A wait is never lost in the rounding of the time."""


class SimulatedTime:
    """Seconds that pass only in waits."""

    def __init__(self) -> None:
        """Begin at `START_S`."""
        self.now_s = START_S

    def wait(self, select: Callable[[float | None], list[Any]], timeout_s: float | None) -> list[Any]:
        """What is ready; if nothing is, the time goes on by the whole wait."""
        ready = select(0)
        if ready or (timeout_s is not None and timeout_s <= 0):
            return ready
        if timeout_s is None:
            raise RuntimeError("the test waits for something that nothing will bring about")
        self.now_s += max(timeout_s, LEAST_STEP_S)
        return []


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only in its waits."""

    def __init__(self) -> None:
        """Begin."""
        self.simulated = SimulatedTime()
        super().__init__(Selector(self.simulated.wait))

    def time(self) -> float:
        """Seconds."""
        return self.simulated.now_s


class LoopClock:
    """The clock of a role on the running loop's time; its wall clock runs with it."""

    turns = 0

    def monotonic_s(self) -> float:
        """Seconds."""
        return asyncio.get_running_loop().time()

    def now_us(self) -> int:
        """µs since 1970 UTC."""
        return 1_700_000_000_000_000 + round(self.monotonic_s() * 1e6)

    def wall_us(self) -> int:
        """The same."""
        return self.now_us()

    async def sleep(self, delay_s: float) -> None:
        """Wait."""
        await asyncio.sleep(delay_s)
