"""`rate`: how far a value moved within a time."""

from __future__ import annotations

from collections import deque

from nexus_cli.alarms.values import UNUSABLE, Reading, number_of
from nexus_cli.model.chain import above
from nexus_cli.model.resources import AlertConfig
from nexus_cli.wire.sample import Value

MOST_POINTS = 256
"""Points kept of one alert: values that come faster than the window's 256th part are thinned to one a part."""


class Rate:
    """The newest value less the one that held when the window began.

    A value holds until the next one comes, as tags are published when they change. While less than the window is known (after a
    start of control) the condition can become active and not over.
    """

    def __init__(self, config: AlertConfig) -> None:
        """Start without values."""
        self._config = config
        self._per_s = config.rate_per_ms / 1000
        self._points: deque[tuple[float, float]] = deque()
        self._usable = True
        self.value: Value = None

    def take(self, reading: Reading, *, path: str, at_s: float, fresh: bool) -> None:
        """Add a point; only numbers are points."""
        self._usable = reading.usable
        number = number_of(reading.value) if reading.usable else None
        if number is None:
            return
        self.value = reading.value
        points = self._points
        if len(points) > 1 and at_s - points[-2][0] < self._per_s / MOST_POINTS:
            points.pop()
        points.append((at_s, number))
        self._forget(at_s)

    def verdict(self, *, active: bool, at_s: float) -> bool | None:
        """Whether it moved by more than `above`, or by less than `below`."""
        if not self._usable:
            return UNUSABLE.get(self._config.on_bad)
        if not self._points:
            return None
        self._forget(at_s)
        moved = self._points[-1][1] - self._points[0][1]
        low, high = self._config.rate_below, self._config.rate_above
        if (high is not None and above(moved, high)) or (low is not None and above(low, moved)):
            return True
        known = at_s - self._points[0][0] >= self._per_s
        return False if known or not active else None

    def due_s(self, *, active: bool) -> float | None:
        """When the window leaves its oldest value behind: a value that does not change moved less and less."""
        if len(self._points) > 1:
            return self._points[1][0] + self._per_s
        return self._points[0][0] + self._per_s if active and self._points else None

    def _forget(self, at_s: float) -> None:
        """Drop what was over when the window began; the value that held then stays."""
        while len(self._points) > 1 and self._points[1][0] <= at_s - self._per_s:
            self._points.popleft()
