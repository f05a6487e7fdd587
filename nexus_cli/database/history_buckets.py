"""The buckets of a stretch of a series: rows, rollups, gaps and seams put together for the builder.

See docs/decisions/0042.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any, Self

from nexus_cli.database.connect import Connection
from nexus_cli.database.history_rows import MixedError, Sample, Sources, stream
from nexus_cli.database.rollups import Piece, Rollup, RollupBuilder
from nexus_cli.database.segments import Segment, Stretch, is_exact
from nexus_cli.model.calendar import Every

MOST_BUCKETS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretched:
    """A span of a stretch.

    Attributes:
        stretch: In whose terms.
        start_us, end_us: The span, µs since 1970 UTC, within the stretch.
        before: The value that held when the span began, in the stretch's terms.
        lost: Moments from which the value is unknown, ascending.
        rollups: False to read every sample.
    """

    stretch: Stretch
    start_us: int
    end_us: int
    before: Any = None
    lost: tuple[int, ...] = ()
    rollups: bool = True

    @property
    def numeric(self) -> bool:
        """False for texts and structures."""
        return self.stretch.kind in ("bool", "number")

    def from_samples(self) -> Self:
        """The same, from every sample."""
        return replace(self, rollups=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Stretched):
    """What of a stretch is asked.

    Attributes:
        every: Width of the buckets.
        zone: On whose clocks days begin.
    """

    every: Every
    zone: tzinfo | None


async def buckets(conn: Connection, sources: Sources, question: Question) -> list[Rollup]:
    """The buckets of the span, ascending, empty ones included. Inside a transaction."""
    cuts = sorted({*_borders(question), *question.lost, *(each.since_us for each in question.stretch.segments)})
    widest_us = question.every.about_us if question.numeric and question.rollups else 0
    parts = sources.parts(question.start_us, question.end_us, cuts=cuts, widest_us=widest_us)
    exact = any(is_exact(segment.type) for segment in question.stretch.segments)
    builder = RollupBuilder(
        start_us=question.every.floor(question.start_us, question.zone),
        after=lambda start_us: question.every.after(start_us, question.zone),
        since_us=question.start_us,
        until_us=question.end_us,
        before=question.before,
        numeric=question.numeric,
    )
    made: list[Rollup] = []
    feed = Feed(builder, question)
    try:
        async for item in stream(conn, sources, parts, kind=question.stretch.kind, exact=exact):
            made.extend(feed.take(item))
    except MixedError:
        return await buckets(conn, sources, question.from_samples())
    made.extend(feed.finish())
    return made


def _borders(question: Question) -> Iterator[int]:
    at = question.every.floor(question.start_us, question.zone)
    while at < question.end_us:
        yield at
        at = question.every.after(at, question.zone)


class Feed:
    """Gives a builder the samples in the unit and type of the stretch, and the moments at which values are lost."""

    def __init__(self, builder: RollupBuilder, question: Stretched) -> None:
        """Begin with the first segment."""
        self._builder = builder
        self._lost = deque(moment for moment in question.lost if question.start_us <= moment < question.end_us)
        self._segments = deque(question.stretch.segments)
        self._segment = self._segments.popleft()

    def take(self, item: Sample | Piece) -> Iterable[Rollup]:
        """Give one on; yields the buckets that it completes."""
        time_us = item.time_us if isinstance(item, Sample) else item.first_us
        while self._lost and self._lost[0] <= time_us:
            yield from self._builder.lose(self._lost.popleft())
        while self._segments and self._segments[0].since_us <= time_us:
            self._segment = self._segments.popleft()
        if isinstance(item, Sample):
            yield from self._builder.add(time_us, self._segment.shown(item.value), item.quality)
        else:
            yield from self._builder.merge(piece_in(item, self._segment))

    def finish(self) -> Iterable[Rollup]:
        """The rest."""
        while self._lost:
            yield from self._builder.lose(self._lost.popleft())
        yield from self._builder.finish()


def piece_in(piece: Piece, segment: Segment) -> Piece:
    """A piece in the terms of the segment's stretch."""
    if not segment.converts:
        return piece
    low, high = segment.shown(piece.minimum), segment.shown(piece.maximum)
    return replace(
        piece,
        minimum=high if segment.factor < 0 else low,
        maximum=low if segment.factor < 0 else high,
        first=segment.shown(piece.first),
        last=segment.shown(piece.last),
        held=segment.shown(piece.held),
        area=piece.area * segment.factor + segment.shift * piece.covered_us,
    )


def too_many(question_us: int, every: Every) -> bool:
    """Whether a span of so many µs has more buckets than are answered."""
    return question_us / every.about_us > MOST_BUCKETS


def lost_moments(segments: Sequence[Segment], gaps: Iterable[int], *, last_us: int | None, active: bool) -> list[int]:
    """Moments from which the value is unknown, ascending: a gap begins, or the tag was not declared.

    Args:
        segments: Of the series.
        gaps: Where known gaps begin, µs since 1970 UTC.
        last_us: When the newest sample was.
        active: Whether its tag is declared. Older versions did not write down when it was forgotten.
    """
    lost = set(gaps)
    for segment in segments:
        if segment.ended_us is not None:
            lost |= {segment.ended_us, segment.until_us}
    ended_us = segments[-1].ended_us
    if not active and last_us is not None and (ended_us is None or last_us >= ended_us):
        lost.add(last_us + 1)
    return sorted(lost)
