"""What is true of all samples of a span together: rollups where they lie whole in it, and else the samples.

Count, least, greatest and the time-weighted mean come from rollups and the samples at the edges. Mean and deviation need
every sample: the database computes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from nexus_cli.database.connect import Connection
from nexus_cli.database.history_buckets import Feed, Stretched
from nexus_cli.database.history_rows import MixedError, Sources, stream
from nexus_cli.database.queries import StoredSample, sample_of
from nexus_cli.database.rollups import BAD, Piece, Rollup, RollupBuilder
from nexus_cli.database.segments import Segment, is_exact
from nexus_cli.model.calendar import moment_of

WIDEST_US = 1 << 62
_SPAN = """FROM {0} WHERE series_id = $1 AND "time" >= $2 AND "time" < $3 AND quality <> 0"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallied:
    """Of all samples of a span.

    Attributes:
        count: Samples, BAD ones included; `good` those that are GOOD.
        minimum, maximum: Over those that are not BAD; None without any, and for what has no order.
        average: Time-weighted, with the value that held when the span began; None when no value held.
        covered_us: For how long a value held.
    """

    count: int
    good: int
    minimum: Any
    maximum: Any
    average: float | int | None
    covered_us: int


class Tally(RollupBuilder):
    """One bucket over a whole span, which counts its samples alone: what held before it weighs in the mean only."""

    def __init__(self, *, start_us: int, end_us: int, before: Any, numeric: bool) -> None:
        """As of `RollupBuilder`."""
        super().__init__(
            start_us=start_us,
            after=lambda _: WIDEST_US,
            since_us=start_us,
            until_us=end_us,
            before=before,
            numeric=numeric,
        )
        self._low: Any = None
        self._high: Any = None
        self._orders = numeric

    def add(self, time_us: int, value: Any, quality: int) -> Iterator[Rollup]:
        """Take a sample."""
        if value is not None and quality != BAD:
            self._reach(value, value)
        yield from super().add(time_us, value, quality)

    def merge(self, piece: Piece) -> Iterator[Rollup]:
        """Take samples that were rolled up before."""
        if piece.first is not None:
            self._reach(piece.minimum, piece.maximum)
        yield from super().merge(piece)

    def _reach(self, low: Any, high: Any) -> None:
        if self._orders:
            self._low = low if self._low is None else min(self._low, low)
            self._high = high if self._high is None else max(self._high, high)

    def done(self, made: Sequence[Rollup]) -> Tallied:
        """What was taken; `made` is what the end of the feed gave."""
        whole = made[0] if made else None
        return Tallied(
            count=whole.count if whole else 0,
            good=whole.good if whole else 0,
            minimum=self._low,
            maximum=self._high,
            average=whole.average if whole else None,
            covered_us=whole.covered_us if whole else 0,
        )


async def tallied(conn: Connection, sources: Sources, span: Stretched) -> Tallied:
    """Everything of a span that rollups can say. Inside a transaction."""
    cuts = sorted({*span.lost, *(each.since_us for each in span.stretch.segments)})
    widest_us = WIDEST_US if span.numeric and span.rollups else 0
    parts = sources.parts(span.start_us, span.end_us, cuts=cuts, widest_us=widest_us)
    exact = any(is_exact(segment.type) for segment in span.stretch.segments)
    tally = Tally(start_us=span.start_us, end_us=span.end_us, before=span.before, numeric=span.numeric)
    feed = Feed(tally, span)
    try:
        async for item in stream(conn, sources, parts, kind=span.stretch.kind, exact=exact):
            for _ in feed.take(item):
                pass
    except MixedError:
        return await tallied(conn, sources, span.from_samples())
    return tally.done(list(feed.finish()))


class Moments(NamedTuple):
    """Of values: how many, their mean, and the sum of squared distances from it."""

    number: int
    mean: float
    squares: float


async def moments(conn: Connection, sources: Sources, span: Stretched) -> Moments:
    """Mean and deviation of the samples of a span that are not BAD, in the terms of its stretch."""
    found = []
    for segment, low_us, high_us in _within(span):
        row = await conn.fetchrow(
            f"SELECT count(value), avg(value), var_pop(value) {_SPAN.format(sources.samples)}",
            *(sources.series_id, moment_of(low_us), moment_of(high_us)),
        )
        number = int(row[0])
        if number:
            mean = row[1] * segment.factor + segment.shift
            found.append(Moments(number, mean, row[2] * number * segment.factor**2))
    return joined(found)


def _within(span: Stretched) -> Iterator[tuple[Segment, int, int]]:
    """Segments with what of the span is in each."""
    for number, segment in enumerate(span.stretch.segments):
        low_us = span.start_us if number == 0 else max(span.start_us, segment.since_us)
        newest = segment is span.stretch.last
        high_us = span.end_us if newest else min(span.end_us, segment.until_us)
        if low_us < high_us:
            yield segment, low_us, high_us


def joined(parts: Iterable[Moments]) -> Moments:
    """Moments of several sets as those of all.

    Source: Chan, Golub, LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances" (1979), (2.1).
    """
    number, mean, squares = 0, 0.0, 0.0
    for part in parts:
        both = number + part.number
        apart = part.mean - mean
        mean += apart * part.number / both
        squares += part.squares + apart * apart * number * part.number / both
        number = both
    return Moments(number, mean, squares)


def deviation(found: Moments) -> float | None:
    """The standard deviation of all values (not the estimate from a part of them); None without a value."""
    return math.sqrt(max(found.squares, 0.0) / found.number) if found.number else None


async def edge(conn: Connection, sources: Sources, span: Stretched, *, last: bool) -> StoredSample | None:
    """The first or the last sample of a span that is not BAD."""
    row = await conn.fetchrow(
        f"""SELECT "time", value, value_exact, value_text, value_json, quality, status, source_time
            {_SPAN.format(sources.samples)} ORDER BY "time" {"DESC" if last else "ASC"} LIMIT 1""",
        *(sources.series_id, moment_of(span.start_us), moment_of(span.end_us)),
    )
    return None if row is None else sample_of(row)
