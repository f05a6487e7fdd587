"""How far the live view is behind: the time from a sample to its hand-over, over the last minute."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nexus_cli.wire.live_health import LagHealth

STEP_S = 10.0
STEPS = 6
"""So many steps are the minute."""
LEAST_US = 100
PER_OCTAVE = 8
"""Buckets for each doubling: a percentile is at most 9 % too high."""
BUCKETS = 26 * PER_OCTAVE
"""Up to 100 µs * 2^26, which is almost two hours."""


class Lag:
    """Lags in buckets, for percentiles over about a minute."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        """Start empty."""
        self._monotonic_s = monotonic_s
        self._began_s = monotonic_s()
        self._counts = [0] * BUCKETS
        self._most_us = 0
        self._before: deque[tuple[list[int], int]] = deque(maxlen=STEPS - 1)

    def add_same(self, lag_us: int, count: int) -> None:
        """So many messages with the same lag, µs."""
        ratio = lag_us / LEAST_US
        bucket = int(math.log2(ratio) * PER_OCTAVE) if ratio > 1.0 else 0
        self._counts[min(bucket, BUCKETS - 1)] += count
        self._most_us = max(self._most_us, lag_us)

    def add(self, lags_us: npt.NDArray[np.int64]) -> None:
        """One message per lag, µs."""
        if not len(lags_us):
            return
        ratios = np.maximum(lags_us, LEAST_US) / LEAST_US
        buckets = np.minimum((np.log2(ratios) * PER_OCTAVE).astype(np.intp), BUCKETS - 1)
        found = np.bincount(buckets)
        for bucket in found.nonzero()[0].tolist():
            self._counts[bucket] += int(found[bucket])
        self._most_us = max(self._most_us, int(lags_us.max()))

    def health(self) -> LagHealth:
        """Of the last 50 to 60 s."""
        self.turn()
        counts = np.array([self._counts, *(one for one, _ in self._before)]).sum(axis=0)
        most_us = max([self._most_us, *(most for _, most in self._before)])
        count = int(counts.sum())
        if not count:
            return LagHealth()
        passed = counts.cumsum()

        def percentile(share: float) -> float:
            bucket = int(np.searchsorted(passed, math.ceil(share * count)))
            return round(min(LEAST_US * 2 ** ((bucket + 1) / PER_OCTAVE), most_us) / 1000, 3)

        return LagHealth(
            count=count,
            p50_ms=percentile(0.5),
            p95_ms=percentile(0.95),
            p99_ms=percentile(0.99),
            max_ms=round(most_us / 1000, 3),
        )

    def turn(self) -> None:
        """Begin a new step when the running one is over; to be called before lags are added."""
        now_s = self._monotonic_s()
        steps = int((now_s - self._began_s) / STEP_S)
        if steps <= 0:
            return
        self._began_s += steps * STEP_S
        for _ in range(min(steps, STEPS)):
            self._before.append((self._counts, self._most_us))
            self._counts, self._most_us = [0] * BUCKETS, 0
