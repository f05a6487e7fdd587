"""The time of one thread: what it worked and what it waited for, without what the machine took away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class OwnTime:
    """Seconds of one thread: its processor time and its waits.

    Args:
        cpu_s: Processor time of the thread so far, seconds.
        monotonic_s: The machine's time, seconds; a wait is measured with it.
    """

    def __init__(
        self, *, cpu_s: Callable[[], float] = time.thread_time, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin at the machine's time of now, so that the two can be compared."""
        self._cpu_s, self._monotonic_s = cpu_s, monotonic_s
        self._passed_s, self._counted_s = monotonic_s(), cpu_s()

    def now_s(self) -> float:
        """The time now."""
        return self._passed_s + self._cpu_s() - self._counted_s

    def wait(self, select: Callable[[float | None], list[Any]], timeout_s: float | None) -> list[Any]:
        """Wait as `select` does; longer than `timeout_s` it never took. What is ready at once took no time."""
        ready = select(0)
        if ready or (timeout_s is not None and timeout_s <= 0):
            return ready
        self._passed_s, began_s = self.now_s(), self._monotonic_s()
        try:
            return select(timeout_s)
        finally:
            waited_s = self._monotonic_s() - began_s
            self._passed_s += waited_s if timeout_s is None else min(waited_s, timeout_s)
            self._counted_s = self._cpu_s()
