"""When each replayed message is due, and how exactly that was kept. Pure: time is given."""

from __future__ import annotations

import math

LONGEST_STEP_S = 0.5
"""A wait is looked at again after this time: a stop does not wait for the next message."""
_BUCKETS = 64


class Pace:
    """Due times: the spacing of the recording, divided by the speed."""

    def __init__(self, *, speed: float | None, now_s: float) -> None:
        """`speed` 1 is as it was, None as fast as possible; `now_s` is a monotonic clock's."""
        self._speed, self._start_s = speed, now_s
        self._first_us: int | None = None
        self._newest_us = 0

    def due_s(self, time_us: int) -> float:
        """When a message is due, on the monotonic clock; order is kept where the recorder's clock was set back."""
        if self._first_us is None:
            self._first_us = self._newest_us = time_us
        self._newest_us = max(self._newest_us, time_us)
        if self._speed is None:
            return self._start_s
        return self._start_s + (self._newest_us - self._first_us) / 1_000_000 / self._speed

    def rest(self, seconds: float) -> None:
        """Everything is due later: the broker was away, and nothing is caught up in a burst."""
        self._start_s += seconds


class Drift:
    """How late messages were handed over, in powers of the square root of two from 10 µs.

    Attributes:
        count: Messages.
        most_s: The latest of them.
    """

    def __init__(self) -> None:
        """Nothing yet."""
        self.count, self.most_s = 0, 0.0
        self._buckets = [0] * _BUCKETS

    def add(self, late_s: float) -> None:
        """One message."""
        late_s = max(0.0, late_s)
        self.count += 1
        self.most_s = max(self.most_s, late_s)
        at = 0 if late_s <= 1e-5 else min(_BUCKETS - 1, math.ceil(2 * math.log2(late_s / 1e-5)))
        self._buckets[at] += 1

    def p99_s(self) -> float:
        """The lateness that 99 of 100 messages kept, rounded up; 0 without messages."""
        wanted, seen = self.count * 0.99, 0
        for at, count in enumerate(self._buckets):
            seen += count
            if count and seen >= wanted:
                return min(self.most_s, 1e-5 * 2 ** (at / 2))
        return self.most_s
