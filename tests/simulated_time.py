"""A loop on which no wait takes any time: when nothing is ready, its time goes on to the next timer.

For the unit tests of what waits: the supervisor of a link, queues, back-offs. An hour of a link is a few milliseconds,
and each wait is exact. Nothing in such a test may wait for the outside world.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any

START_S = 1000.0
LEAST_STEP_S = 1e-6
"""A wait is never lost in the rounding of the time."""


class _Selector(selectors.BaseSelector):
    """Adds each wait to the time instead of waiting."""

    def __init__(self) -> None:
        self._inner, self.now_s = selectors.DefaultSelector(), START_S

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._inner.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None:
            raise RuntimeError("the test waits for something that nothing will bring about")
        self.now_s += max(timeout, LEAST_STEP_S)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.get_key(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only in its waits."""

    def __init__(self) -> None:
        """Begin at `START_S`."""
        self._simulated = _Selector()
        super().__init__(self._simulated)

    def time(self) -> float:
        """Seconds."""
        return self._simulated.now_s


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
