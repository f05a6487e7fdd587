"""Statistics of one tag over a span: what `nexus history PATH --stats` and the route `/statistics` say.

They are over the stored samples with `since <= time < until`. The time-weighted mean is over the time in which a value held:
from each sample to the next one, and from the last before the span; BAD and known gaps end it.

See docs/decisions/0080.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

import msgspec

from nexus_cli.database.connect import Connection
from nexus_cli.database.history_rows import sources_of
from nexus_cli.database.queries import StoredSample
from nexus_cli.database.segments import Segment, Stretch
from nexus_cli.database.statistics import deviation
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.history.document import Sample
from nexus_cli.history.moment import parse_moment
from nexus_cli.history.query import series_of
from nexus_cli.history.reader import Reader
from nexus_cli.history.rows import shown_sample, typed
from nexus_cli.model.calendar import iso, microseconds, moment_of
from nexus_cli.wire.field_types import PlainValue

MOST_SAMPLES = 2_000_000
"""With more of them in a span, what needs every one is left out: a second of the database's time."""


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of a tag over a span.

    Attributes:
        path: As the series is named now; `asked` is the path that was asked for.
        unit, type: Of the values, as the newest samples were stored.
        since, until: The span.
        begins: Where the samples begin that these numbers are about: later than `since` where type or unit changed and
            earlier values can't be converted.
        count: Samples, BAD ones included.
        good: How many of them are GOOD; `good_share` is their part of all, 0 to 1; null without samples.
        minimum, maximum, mean: Over the samples that are not BAD; null without any, and for texts and structures.
        time_weighted_mean: Over the time in which a value held.
        stddev: Standard deviation of the samples that are not BAD: of all of them, no estimate.
        first, last: The first and the last sample that is not BAD.
        covered_share: For which part of the span a value held, 0 to 1.
        left_out: Why mean and deviation are left out; "" when they are not.
    """

    path: str
    asked: str
    unit: str
    type: str
    since: str
    until: str
    begins: str
    count: int
    good: int
    good_share: float | None
    minimum: PlainValue
    maximum: PlainValue
    mean: float | None
    time_weighted_mean: float | int | None
    stddev: float | None
    first: Sample | None
    last: Sample | None
    covered_share: float
    left_out: str = ""


async def stored_statistics(
    conn: Connection,
    path: str,
    *,
    site: str,
    since: str = "1h",
    until: str = "now",
    zone: tzinfo | None = None,
    now: datetime | None = None,
) -> Statistics:
    """Compute them; arguments and errors as of `stored_history`. What is ahead of now has no value yet."""
    now = now or datetime.now(UTC)
    start, end = parse_moment(since, now=now, zone=zone), parse_moment(until, now=now, zone=zone)
    if end <= start:
        raise NexusError("The span ends before it begins.", code="NX6211", hint="--since is the earlier")
    series = await series_of(conn, site=site, path=path)
    reader = Reader(conn, series, await sources_of(conn, series_id=series.id), site=site)
    summed = await reader.summed(start, max(start, min(end, now)), most=MOST_SAMPLES)
    span, found, spread = summed.span, summed.tallied, summed.moments
    terms = span.stretch.last
    return Statistics(
        path=series.path,
        asked=path,
        unit=terms.unit,
        type=terms.type,
        since=iso(start, zone),
        until=iso(end, zone),
        begins=iso(moment_of(span.start_us), zone),
        count=found.count,
        good=found.good,
        good_share=found.good / found.count if found.count else None,
        minimum=typed(found.minimum, terms),
        maximum=typed(found.maximum, terms),
        mean=spread.mean if spread is not None and spread.number else None,
        time_weighted_mean=found.average,
        stddev=deviation(spread) if spread is not None else None,
        first=_shown(summed.first, span.stretch, terms, zone),
        last=_shown(summed.last, span.stretch, terms, zone),
        covered_share=found.covered_us / (microseconds(end) - microseconds(start)),
        left_out=f"more than {MOST_SAMPLES:,} samples" if spread is None and span.numeric else "",
    )


def _shown(sample: StoredSample | None, stretch: Stretch, terms: Segment, zone: tzinfo | None) -> Sample | None:
    if sample is None:
        return None
    return shown_sample(sample, stretch.at(microseconds(sample.time)), shown_in=terms, zone=zone)
