"""Stored values of one tag over a span: single samples, or buckets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal

from nexus_cli.database.connect import Connection
from nexus_cli.database.history_buckets import MOST_BUCKETS, too_many
from nexus_cli.database.history_rows import sources_of
from nexus_cli.database.queries import Series, StoredGap, find_series, series_paths
from nexus_cli.database.segments import Stretch, kind_of
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.history.document import Bucket, History, Sample
from nexus_cli.history.moment import parse_moment
from nexus_cli.history.reader import Reader, seams_of, shown_gap
from nexus_cli.model.calendar import EVERY_HINT, Every, iso, microseconds, parse_every

Aggregate = Literal["avg", "min", "max", "last", "first", "count", "good"]


async def stored_history(
    conn: Connection,
    path: str,
    *,
    site: str,
    since: str = "1h",
    until: str = "now",
    limit: int = 1000,
    every: str | None = None,
    aggregate: Aggregate | None = None,
    zone: tzinfo | None = None,
    drawn: bool = False,
    now: datetime | None = None,
) -> History:
    """Read a tag's stored values.

    Args:
        conn: In a transaction that sees one moment (repeatable read): several statements answer one question.
        path: `area/line/device/tag`, with or without enterprise and site in front; a former path works too.
        site: `enterprise/site`.
        since: Start of the span, see `parse_moment`.
        until: End of the span.
        limit: At most so many samples, the newest.
        every: Width of buckets; None gives single samples.
        aggregate: What to show of each bucket; None is the average, or the last value of what has none.
        zone: Whose clocks times are read and shown on, and days begin on. None is this machine's, and for days the site's
            when its file names one.
        drawn: More samples than the limit become buckets over the whole span, as narrow as a plot can show.
        now: Instead of the clock.

    Raises:
        NexusError: NX6210 there is no such series; NX6211 the span or grid can't be used.
    """
    now = now or datetime.now(UTC)
    start, end, width = read_span(since, until, every=every, zone=zone, now=now)
    span = _Span(path, start, end, zone)
    series = await series_of(conn, site=site, path=path)
    reader = Reader(conn, series, await sources_of(conn, series_id=series.id), site=site)
    # A year's newest samples are sought in every partition, and the plot would not show them: ask the rollups first.
    if width is None and not (drawn and await reader.at_least(start, end) > limit):
        stretches, samples, gaps = await reader.samples(start, end, limit=limit + 1, zone=zone)
        if len(samples) <= limit or not drawn:
            return _document(span, series, stretches, gaps, samples=samples[-limit:], truncated=len(samples) > limit)
    if width is None:
        width, limit = _drawn_width(start, end), max(limit, _MOST_DRAWN)
    days = zone if zone is not None or width.fixed_us else await reader.site_zone()
    shown = aggregate or _usual(series)
    _check(shown, series)
    stretches, buckets, gaps = await reader.rolled(
        start, min(end, now), every=width, aggregate=shown, days=days, zone=zone
    )
    grid = _Grid(width, shown, None if width.fixed_us else _zone_name(days, now))
    return _document(span, series, stretches, gaps, buckets=buckets[-limit:], grid=grid, truncated=len(buckets) > limit)


def read_span(
    since: str, until: str, *, every: str | None, zone: tzinfo | None, now: datetime
) -> tuple[datetime, datetime, Every | None]:
    """Start, end and width of the buckets that are asked for. Raises NexusError NX6211."""
    start, end = parse_moment(since, now=now, zone=zone), parse_moment(until, now=now, zone=zone)
    if end <= start:
        raise NexusError("The span ends before it begins.", code="NX6211", hint="its start is the earlier of the two")
    return start, end, None if every is None else _width(every, start, end)


@dataclass(frozen=True, slots=True)
class _Span:
    """The request: path, span, and the zone in which times are shown."""

    asked: str
    start: datetime
    end: datetime
    zone: tzinfo | None


@dataclass(frozen=True, slots=True)
class _Grid:
    """Buckets: their width, their aggregate, and the zone in which days begin (None where it does not matter)."""

    every: Every
    aggregate: Aggregate
    zone: str | None


def _document(
    span: _Span,
    series: Series,
    stretches: Sequence[Stretch],
    gaps: Sequence[StoredGap],
    *,
    samples: Sequence[Sample] = (),
    buckets: Sequence[Bucket] = (),
    grid: _Grid | None = None,
    truncated: bool,
) -> History:
    newest = stretches[-1].last
    return History(
        path=series.path,
        asked=span.asked,
        unit=newest.unit,
        type=newest.type,
        active=series.active,
        since=iso(span.start, span.zone),
        until=iso(span.end, span.zone),
        every=None if grid is None else grid.every.text,
        every_ms=grid.every.fixed_us // 1000 if grid is not None and grid.every.fixed_us else None,
        zone=None if grid is None else grid.zone,
        aggregate=None if grid is None else grid.aggregate,
        samples=list(samples),
        buckets=list(buckets),
        gaps=[shown_gap(gap, span.zone) for gap in gaps],
        seams=seams_of(stretches, since_us=microseconds(span.start), zone=span.zone),
        truncated=truncated,
    )


DRAWN = 144
"""Points that a plot has room for, side by side."""
_MOST_DRAWN = 100_000
"""Most buckets of a plot; fewer samples are shown up to the caller's limit."""
_WIDTHS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)


def _drawn_width(start: datetime, end: datetime) -> Every:
    width_s = next((each for each in _WIDTHS_S if each >= (end - start).total_seconds() / DRAWN), _WIDTHS_S[-1])
    return _width(f"{width_s}s", start, end)


def _zone_name(zone: tzinfo | None, now: datetime) -> str:
    if zone is None:
        return f"this machine ({now.astimezone().tzname()})"
    return getattr(zone, "key", None) or str(zone)


def _usual(series: Series) -> Aggregate:
    return "avg" if kind_of(series.type) in ("bool", "number") and not series.labels else "last"


def _check(aggregate: Aggregate, series: Series) -> None:
    if aggregate in ("avg", "min", "max") and kind_of(series.type) in ("text", "json"):
        raise NexusError(
            f"'{series.path}' is {series.type}: it has no {aggregate}.",
            code="NX6211",
            hint="write --agg last, first, count or good",
        )


def _width(every: str, start: datetime, end: datetime) -> Every:
    try:
        width = parse_every(every)
    except ValueError as error:
        raise NexusError(str(error), code="NX6211", hint=EVERY_HINT) from None
    if too_many((end - start) // timedelta(microseconds=1), width):
        raise NexusError(f"That would be more than {MOST_BUCKETS:,} buckets.", code="NX6211", hint="widen --every")
    return width


async def series_of(conn: Connection, *, site: str, path: str) -> Series:
    """The series at a path, with or without the site in front; a former path works too. Raises NexusError NX6210."""
    short = path.removeprefix(site + "/").strip("/")
    series = await find_series(conn, site=site, path=short)
    if series is None:
        paths = await series_paths(conn, site=site)
        raise NexusError(
            f"No series is stored for '{short}'.",
            code="NX6210",
            hint=_near(short, paths),
        )
    return series


def _near(short: str, paths: Sequence[str]) -> str:
    below = sorted(path for path in paths if path.startswith(f"{short}/"))
    if below:
        return f"name one tag below it, such as {below[0]}" + (f" ({len(below)} have a series)" if below[1:] else "")
    return did_you_mean(short, paths) or "paths are area/line/device/tag"
