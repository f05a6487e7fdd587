"""How long operations take: percentiles over the last minute and the last hour, in memory that never grows.

A histogram with logarithmic octaves, each divided into equal steps, as HdrHistogram has it. An operation costs one append to a
list; the list is counted by column when it is full, when a slice of time is over, or when it is read. All times are
differences of the monotonic clock, so a wall clock that is set changes nothing. See docs/decisions/0082.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric

from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.metrics import Metrics
from nexus_cli.wire.latency_health import HOUR, MINUTE, LatencyWindow, OperationLatency

STEPS = 32
"""Steps of an octave: a step is at most 1/32 of its lower bound, so a percentile is at most 3.2 % too high."""
OCTAVES = 32
"""1 µs to 2^32 µs (71 min); what is shorter or longer counts in the first or last step."""
BUCKETS = OCTAVES * STEPS
SLICES = 12
"""A window is one slice that runs and eleven before it."""
SLICE_S = {MINUTE: 5.0, HOUR: 300.0}
PENDING = 512
"""Times that are kept before they are counted."""
EDGES_S = tuple(base * 10**power for power in range(-4, 2) for base in (1.0, 2.5, 5.0))
"""Upper bounds of the histogram in `/metrics`: 100 µs to 50 s."""
QUANTILES = (("0.5", "p50_ms"), ("0.95", "p95_ms"), ("0.99", "p99_ms"), ("1", "max_ms"))

Times = npt.NDArray[np.floating[Any]]
"""Seconds."""


class _Window:
    """Counts by slice; the running slice is one row of a ring."""

    def __init__(self, slice_s: float, now_s: float) -> None:
        self.slice_s, self.until_s = slice_s, now_s + slice_s
        self._rows: npt.NDArray[np.uint32] = np.zeros((SLICES, BUCKETS), np.uint32)
        self._longest_s = [0.0] * SLICES
        self._at = 0

    def turn(self, now_s: float) -> None:
        """Begin the slice of this moment; those in between were empty, and the oldest are forgotten."""
        if now_s < self.until_s:
            return
        steps = int((now_s - self.until_s) // self.slice_s) + 1
        self.until_s += steps * self.slice_s
        for _ in range(min(steps, SLICES)):
            self._at = (self._at + 1) % SLICES
            self._rows[self._at] = 0
            self._longest_s[self._at] = 0.0

    def add(self, buckets: npt.NDArray[np.intp], counts: npt.NDArray[np.uint32], longest_s: float) -> None:
        """Count in the running slice; each bucket at most once."""
        self._rows[self._at, buckets] += counts
        self._longest_s[self._at] = max(self._longest_s[self._at], longest_s)

    def read(self) -> LatencyWindow:
        """What is within the window."""
        passed = self._rows.sum(axis=0, dtype=np.int64).cumsum()
        count, longest_s = int(passed[-1]), max(self._longest_s)
        if not count:
            return LatencyWindow()

        def at_most_ms(share: float) -> float:
            bucket = int(np.searchsorted(passed, math.ceil(share * count)))
            return _ms(min(_upper_s(bucket), longest_s) if bucket < BUCKETS - 1 else longest_s)

        return LatencyWindow(
            count=count,
            p50_ms=at_most_ms(0.5),
            p95_ms=at_most_ms(0.95),
            p99_ms=at_most_ms(0.99),
            max_ms=_ms(longest_s),
        )


class Latency:
    """One kind of operation.

    Attributes:
        now_s: The monotonic clock that the times are of.
        counts: Operations since the start by `EDGES_S`, the last one above all of them; as of the last `read`.
        sum_s: The sum of their times.
    """

    def __init__(self, clock: Clock) -> None:
        """Start empty; of the clock only the monotonic time is read."""
        self.now_s = clock.monotonic_s
        now_s = self.now_s()
        self._windows = {name: _Window(slice_s, now_s) for name, slice_s in SLICE_S.items()}
        self._until_s = self._windows[MINUTE].until_s
        self._single: list[float] = []
        self._same: list[tuple[float, int]] = []
        self._many: list[Times] = []
        self._several = 0
        self.counts: npt.NDArray[np.int64] = np.zeros(len(EDGES_S) + 1, np.int64)
        self.sum_s = 0.0

    def add(self, began_s: float, ended_s: float) -> None:
        """An operation; both times are of `now_s`, and it ended about now."""
        if ended_s >= self._until_s or len(self._single) >= PENDING:
            self._turn(ended_s)
        self._single.append(ended_s - began_s)

    def ended(self, began_s: float) -> None:
        """An operation that ends now."""
        self.add(began_s, self.now_s())

    def add_same(self, time_s: float, count: int) -> None:
        """So many operations that end now after the same time."""
        now_s = self.now_s()
        if now_s >= self._until_s or len(self._same) >= PENDING:
            self._turn(now_s)
        self._same.append((time_s, count))

    def add_many(self, times_s: Times) -> None:
        """Operations that end now, with their times; the array must not change."""
        now_s = self.now_s()
        if now_s >= self._until_s or self._several >= PENDING or len(self._many) >= PENDING:
            self._turn(now_s)
        self._many.append(times_s)
        self._several += len(times_s)

    def read(self) -> OperationLatency:
        """Both windows."""
        self._turn(self.now_s())
        return OperationLatency(minute=self._windows[MINUTE].read(), hour=self._windows[HOUR].read())

    def _turn(self, now_s: float) -> None:
        """Count what waits in the slice in which it ended, then begin the slice of now."""
        if self._single:
            self._count(np.array(self._single))
            self._single.clear()
        if self._same:
            times_s, counts = zip(*self._same, strict=True)
            self._count(np.array(times_s), np.array(counts, np.float64))
            self._same.clear()
        if self._several:
            self._count(np.concatenate(self._many))
        self._many.clear()
        self._several = 0
        if now_s >= self._until_s:
            for window in self._windows.values():
                window.turn(now_s)
            self._until_s = self._windows[MINUTE].until_s

    def _count(self, times_s: Times, counts: Times | None = None) -> None:
        """Count times, each once or as often as said."""
        found = np.bincount(_bucket(times_s), counts)
        buckets = found.nonzero()[0]
        longest_s = float(times_s.max())
        for window in self._windows.values():
            window.add(buckets, found[buckets].astype(np.uint32), longest_s)
        passed = np.bincount(np.searchsorted(EDGES_S, times_s), counts, len(self.counts))
        self.counts += passed.astype(np.int64)
        self.sum_s += float(times_s.sum() if counts is None else times_s @ counts)


class Latencies:
    """The operations of one role; the names are those of the health."""

    def __init__(self, operations: Sequence[str], *, clock: Clock, metrics: Metrics | None = None) -> None:
        """Measure these, and show them in `/metrics`."""
        self._of = {operation: Latency(clock) for operation in operations}
        if metrics is not None:
            metrics.registry.register(_Shown(self._of))

    def __getitem__(self, operation: str) -> Latency:
        """One of the operations."""
        return self._of[operation]

    def health(self) -> dict[str, OperationLatency]:
        """For the health: every operation, also one that did not happen."""
        return {operation: one.read() for operation, one in self._of.items()}


class _Shown:
    """The operations for Prometheus: a histogram since the start, which can be added over processes, and the windows."""

    def __init__(self, latencies: Mapping[str, Latency]) -> None:
        self._latencies = latencies

    def collect(self) -> Iterable[Metric]:
        ever = HistogramMetricFamily(
            "nexus_operation_seconds", "Time that operations took, since the start.", labels=("operation",)
        )
        windows = GaugeMetricFamily(
            "nexus_operation_window_seconds",
            "Time that operations took, over the last minute and the last hour.",
            labels=("operation", "window", "quantile"),
        )
        for operation, one in self._latencies.items():
            found = one.read()
            passed = one.counts.cumsum().tolist()
            bounds = [*(f"{edge:g}" for edge in EDGES_S), "+Inf"]
            ever.add_metric((operation,), list(zip(bounds, passed, strict=True)), one.sum_s)
            for name, window in ((MINUTE, found.minute), (HOUR, found.hour)):
                for quantile, field in QUANTILES:
                    windows.add_metric((operation, name, quantile), getattr(window, field) / 1000)
        yield ever
        yield windows

    def describe(self) -> Iterable[Metric]:
        return []


def _bucket(times_s: Times) -> npt.NDArray[np.intp]:
    """The step of each time: the octave from the exponent, the place in it from the mantissa."""
    mantissa, exponent = np.frexp(np.maximum(times_s * 1e6, 1.0))
    steps = (exponent - 1) * STEPS + (mantissa * (2 * STEPS)).astype(np.intp) - STEPS
    buckets: npt.NDArray[np.intp] = np.minimum(steps, BUCKETS - 1)
    return buckets


def _upper_s(bucket: int) -> float:
    octave, step = divmod(bucket, STEPS)
    return float(1e-6 * 2.0**octave * (1 + (step + 1) / STEPS))


def _ms(time_s: float) -> float:
    """Milliseconds to a nanosecond."""
    return round(max(time_s, 0.0) * 1000, 6)
