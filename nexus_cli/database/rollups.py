"""Rollups computed on reading: min, max, first, last, counts and the time-weighted average of each bucket. Pure.

A value holds from its sample to the next one (the gateway reports by exception), across bucket borders too; BAD ends
it. The average weighs each value with the time that it held; time without a value weighs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

GOOD = 192
BAD = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollup:
    """One bucket `[start, start + every)`; times in µs since 1970 UTC.

    Attributes:
        start_us: Its beginning.
        minimum, maximum: Over the samples in it that are not BAD; None without any.
        first, last: First and last of them, by time.
        count: Samples in it, BAD ones included.
        good: Those that are GOOD.
        average: Time-weighted; None when no value held at any moment of the bucket.
        covered_us: For how long a value held.
    """

    start_us: int
    minimum: float | None = None
    maximum: float | None = None
    first: float | None = None
    last: float | None = None
    count: int = 0
    good: int = 0
    average: float | None = None
    covered_us: int = 0


class RollupBuilder:
    """Takes samples in ascending time and gives the buckets that are complete."""

    def __init__(self, *, every_us: int, since_us: int, until_us: int, before: float | None = None) -> None:
        """Begin a span.

        Args:
            every_us: Width of a bucket, µs, at least 1.
            since_us: Start of the span; buckets are aligned to multiples of their width since 1970.
            until_us: End of the span, exclusive; the last value holds until here.
            before: The value that held when the span began, if one did.
        """
        self._every_us, self._since_us, self._until_us = every_us, since_us, until_us
        self._held = before
        self._held_since_us = since_us
        self._start_us = since_us - since_us % every_us
        self._reset()

    def _reset(self) -> None:
        self._values: tuple[float, float, float, float] | None = None
        self._count = self._good = 0
        self._area = 0.0
        self._covered_us = 0

    def add(self, time_us: int, value: float | None, quality: int) -> Iterator[Rollup]:
        """Take a sample; gives the buckets that it completes, those without samples as well.

        Args:
            time_us: µs since 1970 UTC, not before the one given last.
            value: None for BAD.
            quality: 192, 64 or 0.
        """
        yield from self._advance(time_us)
        self._count += 1
        self._good += quality == GOOD
        if value is None or quality == BAD:
            self._held = None
            return
        self._held = value
        if self._values is None:
            self._values = (value, value, value, value)
        else:
            low, high, first, _ = self._values
            self._values = (min(low, value), max(high, value), first, value)

    def lose(self, time_us: int) -> Iterator[Rollup]:
        """From here on nobody knows what the value was, until the next sample: a gap begins. As `add`."""
        yield from self._advance(max(time_us, self._held_since_us))
        self._held = None

    def finish(self) -> Iterator[Rollup]:
        """The rest, up to the end of the span."""
        yield from self._advance(self._until_us)
        if self._start_us < self._until_us and (self._count or self._covered_us):
            yield self._bucket()
            self._reset()

    def _advance(self, time_us: int) -> Iterator[Rollup]:
        while time_us >= self._start_us + self._every_us:
            border_us = self._start_us + self._every_us
            self._hold_until(border_us)
            yield self._bucket()
            self._reset()
            self._start_us = border_us
        self._hold_until(time_us)

    def _hold_until(self, time_us: int) -> None:
        passed_us = time_us - self._held_since_us
        if self._held is not None and passed_us > 0:
            self._area += self._held * passed_us
            self._covered_us += passed_us
        self._held_since_us = time_us

    def _bucket(self) -> Rollup:
        low, high, first, last = self._values or (None, None, None, None)
        return Rollup(
            start_us=self._start_us,
            minimum=low,
            maximum=high,
            first=first,
            last=last,
            count=self._count,
            good=self._good,
            average=self._area / self._covered_us if self._covered_us else None,
            covered_us=self._covered_us,
        )
