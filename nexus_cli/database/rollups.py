"""Buckets of stored values: min, max, first, last, counts and the time-weighted average. Pure.

A value holds from its sample to the next one (the gateway reports by exception), however long that is and across the
borders of buckets; BAD and a known gap end it. Every value that held at some moment of a bucket counts in all that is
said of the bucket, whether its sample lies in it or before it. The average weighs each value with the time for which it
held; time without a value weighs nothing.

See docs/decisions/0043.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

GOOD = 192
BAD = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollup:
    """One bucket `[start, end)`; times in µs since 1970 UTC.

    Attributes:
        start_us, end_us: Where it begins and ends.
        minimum, maximum: Over the values that held in it; None without any, and for what has no order.
        first, last: First and last of them.
        count: Samples in it, BAD ones included.
        good: Those that are GOOD.
        average: Time-weighted; None when no value held for any time of the bucket, or values are no numbers.
        covered_us: For how long a value held.
    """

    start_us: int
    end_us: int
    minimum: Any = None
    maximum: Any = None
    first: Any = None
    last: Any = None
    count: int = 0
    good: int = 0
    average: float | int | None = None
    covered_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Neighbouring samples that were rolled up before; from the first of them to the last one.

    Attributes:
        first_us, last_us: When the first and the last of them were.
        count, good: How many they are, BAD ones included, and how many of them are GOOD.
        minimum, maximum, first, last: Over those that are not BAD; None when all are.
        held: The value of the last of them; None when it is BAD.
        area: The sum of values, each times the µs for which it held between the first and the last.
        covered_us: For how long a value held between them.
    """

    first_us: int
    last_us: int
    count: int
    good: int
    minimum: Any
    maximum: Any
    first: Any
    last: Any
    held: Any
    area: float
    covered_us: int


class RollupBuilder:
    """Takes samples in ascending time and gives the buckets that are complete, those without a value as well.

    64-bit integers stay exact: what is given as `int` is added up and compared as `int`.
    """

    def __init__(
        self,
        *,
        start_us: int,
        after: Callable[[int], int],
        since_us: int,
        until_us: int,
        before: Any = None,
        numeric: bool = True,
    ) -> None:
        """Begin a span; times in µs since 1970 UTC.

        Args:
            start_us: Where the first bucket begins; not after `since_us`.
            after: From the start of a bucket to the start of the next one.
            since_us: Start of the span.
            until_us: End of the span, exclusive; the last value holds until here.
            before: The value that held when the span began, if one did.
            numeric: False for texts and structures: nothing is added up, and there is no least and greatest.
        """
        self._after, self._numeric = after, numeric
        self._until_us = until_us
        self._held = before
        self._held_since_us = since_us
        self._start_us, self._border_us = start_us, after(start_us)
        self._reset()

    def _reset(self) -> None:
        self._values: tuple[Any, Any, Any, Any] | None = None
        self._count = self._good = 0
        self._area: float | int = 0
        self._covered_us = 0

    def add(self, time_us: int, value: Any, quality: int) -> Iterator[Rollup]:
        """Take a sample; gives the buckets that it completes.

        Args:
            time_us: When; not before what was given last.
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
        self._take(value, value, value, value)

    def merge(self, piece: Piece) -> Iterator[Rollup]:
        """Take samples that were rolled up before. All of them lie in one bucket. As `add`."""
        yield from self._advance(piece.first_us)
        self._count += piece.count
        self._good += piece.good
        self._area += piece.area
        self._covered_us += piece.covered_us
        self._held, self._held_since_us = piece.held, piece.last_us
        if piece.first is not None:
            self._take(piece.minimum, piece.maximum, piece.first, piece.last)

    def lose(self, time_us: int) -> Iterator[Rollup]:
        """The value is unknown from here until the next sample: a gap begins. Yields as `add`."""
        yield from self._advance(max(time_us, self._held_since_us))
        self._held = None

    def finish(self) -> Iterator[Rollup]:
        """The rest, up to the end of the span."""
        yield from self._advance(self._until_us)
        if self._start_us < self._until_us and (self._count or self._covered_us):
            yield self._bucket()
            self._reset()

    def _advance(self, time_us: int) -> Iterator[Rollup]:
        while time_us >= self._border_us:
            self._hold_until(self._border_us)
            yield self._bucket()
            self._reset()
            self._start_us, self._border_us = self._border_us, self._after(self._border_us)
        self._hold_until(time_us)

    def _hold_until(self, time_us: int) -> None:
        passed_us = time_us - self._held_since_us
        if self._held is not None and passed_us > 0:
            if self._numeric:
                self._area += self._held * passed_us
            self._covered_us += passed_us
            self._take(self._held, self._held, self._held, self._held)
        self._held_since_us = time_us

    def _take(self, low: Any, high: Any, first: Any, last: Any) -> None:
        if self._values is None:
            self._values = (low, high, first, last)
        elif self._numeric:
            least, greatest, earliest, _ = self._values
            self._values = (min(least, low), max(greatest, high), earliest, last)
        else:
            self._values = (low, high, self._values[2], last)

    def _bucket(self) -> Rollup:
        low, high, first, last = self._values or (None, None, None, None)
        return Rollup(
            start_us=self._start_us,
            end_us=self._border_us,
            minimum=low if self._numeric else None,
            maximum=high if self._numeric else None,
            first=first,
            last=last,
            count=self._count,
            good=self._good,
            average=self._mean() if self._numeric and self._covered_us else None,
            covered_us=self._covered_us,
        )

    def _mean(self) -> float | int:
        """Integers whose average is whole stay exact; rounding never leads beyond the least and the greatest value."""
        if isinstance(self._area, int) and self._area % self._covered_us == 0:
            return self._area // self._covered_us
        mean: float = self._area / self._covered_us
        low, high = (self._values or (mean, mean))[:2]
        return float(min(max(mean, low), high))
