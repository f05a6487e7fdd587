"""One series as `nexus history` looks at it: its samples or buckets with the terms, gaps and seams that belong to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from nexus_cli.database.history_buckets import Question, Stretched, buckets, lost_moments
from nexus_cli.database.history_rows import last_before, rolled_samples
from nexus_cli.database.queries import (
    Series,
    StoredGap,
    StoredSample,
    gateway_of_series,
    load_gaps,
    load_samples,
    stored_segments,
    zone_of_site,
)
from nexus_cli.database.segments import Segment, Stretch, segments_of, stretches_of
from nexus_cli.database.statistics import Moments, Tallied, edge, moments, tallied
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.history.document import Bucket, Gap, Sample, Seam, Terms
from nexus_cli.history.rows import name_gaps, shown_bucket, shown_sample, stored_value
from nexus_cli.model.calendar import LATEST, Every, iso, microseconds, moment_of, zone_named

if TYPE_CHECKING:
    from nexus_cli.database.connect import Connection
    from nexus_cli.database.history_rows import Sources


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """A span of a series: its terms, what is missing in it, and the sample whose value held when it began."""

    since_us: int
    until_us: int
    stretches: list[Stretch]
    gaps: list[StoredGap]
    lost: tuple[int, ...]
    before: StoredSample | None

    def held(self, stretch: Stretch) -> Any:
        """The value that held when the span began, in the terms of its first stretch."""
        return _held(self.before, stretch)


class Summed(NamedTuple):
    """All samples of a span together; `moments` is None where they were left out, an edge where no sample is."""

    span: Stretched
    tallied: Tallied
    moments: Moments | None
    first: StoredSample | None
    last: StoredSample | None


class Reader:
    """One series, looked at within one transaction."""

    def __init__(self, conn: Connection, series: Series, sources: Sources, *, site: str) -> None:
        self._conn, self._series, self._sources, self._site = conn, series, sources, site

    async def site_zone(self) -> tzinfo | None:
        """The time zone of the site's file, None when it names none."""
        name = await zone_of_site(self._conn, site=self._site)
        try:
            return zone_named(name) if name else None
        except ValueError as error:
            raise NexusError(
                f"The site's {error} on this machine.", code="NX6211", hint="write --zone NAME, or --utc"
            ) from None

    async def _segments(self) -> list[Segment]:
        stored = await stored_segments(self._conn, series_id=self._series.id)
        series = self._series
        return segments_of(stored, type=series.type, unit=series.unit, labels=series.labels)

    async def _gaps(self, start: datetime, end: datetime) -> list[StoredGap]:
        # A gap keeps the path that its device had then.
        devices = sorted({each.rpartition("/")[0] for each in (self._series.path, *self._series.former_paths)})
        gateway = await gateway_of_series(self._conn, series_id=self._series.id)
        return await load_gaps(
            self._conn, site=self._site, devices=devices, gateways=[gateway or ""], since=start, until=end
        )

    async def at_least(self, start: datetime, end: datetime) -> int:
        """How many samples the span has by its rollups; there may be more."""
        return await rolled_samples(self._conn, self._sources, start=start, end=end)

    async def samples(
        self, start: datetime, end: datetime, *, limit: int, zone: tzinfo | None
    ) -> tuple[list[Stretch], list[Sample], list[StoredGap]]:
        """Single samples, the newest `limit`."""
        stored = await load_samples(
            self._conn, series_id=self._series.id, since=start, until=end, limit=limit, newest=True
        )
        stretches = stretches_of(await self._segments(), since_us=microseconds(start), until_us=microseconds(end))
        newest = stretches[-1].last
        rows = []
        for sample in stored:
            segment = _segment_at(stretches, microseconds(sample.time))
            rows.append(shown_sample(sample, segment, shown_in=newest, zone=zone))
        return stretches, rows, await self._gaps(start, end)

    async def _look(self, start: datetime, end: datetime) -> _Look:
        """What must be known before values of a span are put together."""
        since_us, until_us = microseconds(start), microseconds(max(start, end))
        before = await last_before(self._conn, self._sources, time_us=since_us)
        known_us = since_us if before is None else microseconds(before.time)
        gaps = await self._gaps(start if before is None else before.time, end)
        segments = await self._segments()
        last = None
        if not self._series.active:
            last = await last_before(self._conn, self._sources, time_us=microseconds(LATEST))
        lost = lost_moments(
            segments,
            (microseconds(gap.start) for gap in gaps),
            last_us=None if last is None else microseconds(last.time),
            active=self._series.active,
        )
        holds = before is not None and not any(known_us < moment <= since_us for moment in lost)
        every_one = stretches_of(segments, since_us=known_us, until_us=until_us)
        return _Look(
            since_us=since_us,
            until_us=until_us,
            stretches=[each for each in every_one if each.last.until_us > since_us],
            gaps=[gap for gap in gaps if gap.end is None or gap.end >= start],
            lost=tuple(lost),
            before=before if holds else None,
        )

    async def summed(self, start: datetime, end: datetime, *, most: int) -> Summed:
        """All samples of the newest stretch in a span together; no moments where there are more than `most`."""
        look = await self._look(start, end)
        stretch = look.stretches[-1]
        first = len(look.stretches) == 1
        span = Stretched(
            stretch=stretch,
            start_us=look.since_us if first else max(look.since_us, stretch.segments[0].since_us),
            end_us=look.until_us,
            before=look.held(stretch) if first else None,
            lost=look.lost,
        )
        found = await tallied(self._conn, self._sources, span)
        wanted = span.numeric and await self.at_least(moment_of(span.start_us), end) <= most
        spread = await moments(self._conn, self._sources, span) if wanted else None
        first_one = await edge(self._conn, self._sources, span, last=False)
        last_one = await edge(self._conn, self._sources, span, last=True)
        return Summed(span, found, spread, first_one, last_one)

    async def rolled(
        self,
        start: datetime,
        end: datetime,
        *,
        every: Every,
        aggregate: str,
        days: tzinfo | None,
        zone: tzinfo | None,
    ) -> tuple[list[Stretch], list[Bucket], list[StoredGap]]:
        """Buckets up to `end`, those without a value left out unless a gap lies in them."""
        look = await self._look(start, end)
        since_us, until_us, stretches = look.since_us, look.until_us, look.stretches
        rows: list[Bucket] = []
        filled: list[bool] = []
        for number, stretch in enumerate(stretches):
            first = number == 0
            low_us = since_us if first else max(since_us, stretch.segments[0].since_us)
            high_us = until_us if stretch is stretches[-1] else stretch.last.until_us
            if low_us >= high_us:
                continue
            question = Question(
                stretch=stretch,
                start_us=low_us,
                end_us=high_us,
                every=every,
                zone=days,
                before=look.held(stretch) if first else None,
                lost=look.lost,
            )
            for bucket in await buckets(self._conn, self._sources, question):
                start_us = bucket.start_us if first else max(bucket.start_us, low_us)
                shown_in = stretches[-1].last
                rows.append(shown_bucket(bucket, aggregate, stretch, shown_in=shown_in, zone=zone, start_us=start_us))
                filled.append(bool(bucket.count or bucket.covered_us))
        named = name_gaps(rows, [shown_gap(gap, zone) for gap in look.gaps])
        kept = [row for row, full in zip(named, filled, strict=True) if full or row.gap is not None]
        return stretches, kept, look.gaps


def _segment_at(stretches: Sequence[Stretch], time_us: int) -> Segment:
    for stretch in reversed(stretches):
        if stretch.segments[0].since_us <= time_us:
            return stretch.at(time_us)
    return stretches[0].segments[0]


def _held(before: StoredSample | None, stretch: Stretch) -> Any:
    """The value of a sample before the span in the terms of the stretch; None when it was stored in others."""
    if before is None or microseconds(before.time) < stretch.segments[0].since_us:
        return None
    return stretch.at(microseconds(before.time)).shown(stored_value(before, stretch.kind))


def seams_of(stretches: Sequence[Stretch], *, since_us: int, zone: tzinfo | None) -> list[Seam]:
    """Where type, unit or names changed after `since_us`, by time."""
    segments = [(segment, stretch) for stretch in stretches for segment in stretch.segments]
    found = []
    for (old, before), (new, after) in pairwise(segments):
        if (old.type, old.unit, old.labels) == (new.type, new.unit, new.labels) or new.since_us <= since_us:
            continue
        renamed = old.labels != new.labels
        terms = [Terms(type=each.type, unit=each.unit, labels=each.labels if renamed else None) for each in (old, new)]
        time = iso(moment_of(new.since_us), zone)
        found.append(Seam(time=time, before=terms[0], after=terms[1], converted=before is after))
    return found


def shown_gap(gap: StoredGap, zone: tzinfo | None) -> Gap:
    """A gap with its times on the clocks of `zone`."""
    return Gap(
        start=iso(gap.start, zone),
        end=None if gap.end is None else iso(gap.end, zone),
        device=gap.device,
        gateway=gap.gateway,
        frames=gap.frames,
        reason=gap.reason,
    )
