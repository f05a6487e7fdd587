"""Floods by ISA-18.2: one begins above 10 alarms in 10 minutes, and ends below 5. Times are seconds of one clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

WINDOW_S = 600.0
BEGINS_ABOVE = 10
ENDS_BELOW = 5


class Flood(NamedTuple):
    """A flood.

    Attributes:
        begin_s, end_s: When it began, and when it ended; None while it lasts.
        peak: The most alarms in 10 minutes.
        alarms: All alarms from its begin on.
    """

    begin_s: float
    end_s: float | None
    peak: int
    alarms: int


class FloodDetector:
    """Counts alarms in a sliding window."""

    def __init__(self, *, above: int = BEGINS_ABOVE, below: int = ENDS_BELOW, window_s: float = WINDOW_S) -> None:
        """Begin without alarms; `above` and `below` as in ISA-18.2 unless a site says otherwise."""
        self._above, self._below, self._window_s = above, max(1, below), window_s
        self._times: deque[float] = deque()
        self.now: Flood | None = None

    def restore(self, times: Iterable[float], flood: Flood | None) -> None:
        """Continue with what was counted before: the times of the last alarms, rising, and the flood that lasted."""
        self._times, self.now = deque(times), flood

    @property
    def count(self) -> int:
        """Alarms in the window."""
        return len(self._times)

    def alarm(self, at_s: float) -> Flood | None:
        """Count one alarm; the flood that begins with it. A flood that was over before has to be taken by `tick` first."""
        self._forget(at_s)
        self._times.append(at_s)
        if self.now is not None:
            self.now = self.now._replace(peak=max(self.now.peak, len(self._times)), alarms=self.now.alarms + 1)
            return None
        if len(self._times) <= self._above:
            return None
        self.now = Flood(at_s, None, len(self._times), len(self._times))
        return self.now

    def tick(self, at_s: float) -> Flood | None:
        """The flood that has ended by now; it ended when the window became short enough."""
        due_s = self.due_s()
        if self.now is None or due_s is None or at_s < due_s:
            return None
        ended, self.now = self.now._replace(end_s=due_s), None
        self._forget(at_s)
        return ended

    def due_s(self) -> float | None:
        """When the flood ends if no alarm comes; None without one."""
        if self.now is None:
            return None
        # It ends when fewer than `below` are left: the one that is `below` from the end leaves the window.
        return self._times[-self._below] + self._window_s if len(self._times) >= self._below else self.now.begin_s

    def _forget(self, at_s: float) -> None:
        while self._times and self._times[0] <= at_s - self._window_s:
            self._times.popleft()
