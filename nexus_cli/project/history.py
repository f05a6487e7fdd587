"""Stored values of a tag, for `nexus history`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.settings import Settings, load_settings

if TYPE_CHECKING:
    from nexus_cli.database.connect import Connection
    from nexus_cli.database.history_rows import Sources
    from nexus_cli.database.queries import Series, StoredGap, StoredSample
    from nexus_cli.database.segments import Segment, Stretch
    from nexus_cli.model.calendar import Every

Aggregate = Literal["avg", "min", "max", "last", "first", "count", "good"]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is stored of one tag in a span, as JSON values; the views render it. Times are ISO 8601 with an offset.

    Attributes:
        path: `area/line/device/tag`, where the series stands now.
        asked: The path that was asked for; differs after a rename.
        unit, type: What values are shown in: what the newest of them were stored with.
        active: Whether its tag is declared.
        since, until: The span.
        every: Width of a bucket as it was asked (`1h`, `1mo`), or None for single samples.
        every_ms: The same where it is exact, else None.
        zone: On whose clocks days, weeks and months begin; None without them.
        aggregate: What of a bucket is shown.
        samples: `time`, `value`, `quality`, and where they apply `label`, `reason`, `code`, `source_time`; with
            buckets `time`, `end`, `value`, `count`, `good`, and `label`, `gap` (reasons) where samples of it are known to
            be missing. `unit` and `type` where they are others than those above and could not be converted.
        gaps: `start`, `end` (None while it lasts), `device`, `gateway`, `frames` (0 when not known), `reason`, by start.
        seams: `time`, `before` and `after` (`type`, `unit`, and `labels` when those changed), `converted`, by time.
        truncated: True when there were more samples than the limit.
    """

    path: str
    asked: str
    unit: str
    type: str
    active: bool
    since: str
    until: str
    every: str | None
    every_ms: int | None
    zone: str | None
    aggregate: str | None
    samples: list[dict[str, Any]]
    gaps: list[dict[str, Any]]
    seams: list[dict[str, Any]]
    truncated: bool

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


def parse_moment(text: str, *, now: datetime, zone: tzinfo | None = None) -> datetime:
    """A moment as every command reads it, UTC; without an offset it is on the clocks of `zone` (None: this machine's).

    Raises:
        NexusError: NX6211.
    """
    from nexus_cli.model.calendar import MOMENT_HINT
    from nexus_cli.model.calendar import parse_moment as parsed

    try:
        return parsed(text, now=now, zone=zone)
    except ValueError:
        raise NexusError(f"'{text}' is not a time.", code="NX6211", hint=MOMENT_HINT, exit_code=1) from None


async def history(
    path: str,
    *,
    since: str = "1h",
    until: str = "now",
    limit: int = 1000,
    every: str | None = None,
    aggregate: Aggregate | None = None,
    zone: tzinfo | None = None,
    settings: Settings | None = None,
    now: datetime | None = None,
) -> History:
    """Read a tag's stored values.

    Args:
        path: `area/line/device/tag`, with or without enterprise and site in front; a former path works too.
        since: Start of the span, see `parse_moment`.
        until: End of the span.
        limit: At most so many samples, the newest.
        every: Width of buckets; None gives single samples.
        aggregate: What to show of each bucket; None is the average, or the last value of what has none.
        zone: Whose clocks times are read and shown on, and days begin on. None is this machine's, and for days the site's
            when its file names one.
        settings: Instead of the environment's.
        now: Instead of the clock.

    Raises:
        NexusError: NX6200 to NX6203; NX6210 there is no such series; NX6211 the span or grid can't be used.
    """
    from nexus_cli.database.connect import connection
    from nexus_cli.database.history_rows import sources_of
    from nexus_cli.model.calendar import iso, microseconds

    chosen = settings or load_settings()
    now = now or datetime.now(UTC)
    start, end = parse_moment(since, now=now, zone=zone), parse_moment(until, now=now, zone=zone)
    if end <= start:
        raise NexusError("The span ends before it begins.", code="NX6211", hint="--since is the earlier", exit_code=1)
    width = None if every is None else _width(every, start, end)
    async with (
        connection(chosen, application="nexus-history") as conn,
        conn.transaction(isolation="repeatable_read", readonly=True),
    ):
        site = chosen.site or await _only_site(conn)
        series = await _find(conn, site=site, path=path)
        reader = _Reader(conn, series, await sources_of(conn, series_id=series.id), site=site)
        days = zone if zone is not None or width is None or width.fixed_us else await reader.site_zone()
        if width is None:
            stretches, samples, found = await reader.samples(start, end, limit=limit + 1, zone=zone)
            shown = None
        else:
            shown = aggregate or _usual(series)
            _check(shown, series)
            stretches, samples, found = await reader.rolled(
                start, min(end, now), every=width, aggregate=shown, days=days, zone=zone
            )
    newest = stretches[-1].last
    calendar = width is not None and not width.fixed_us
    return History(
        path=series.path,
        asked=path,
        unit=newest.unit,
        type=newest.type,
        active=series.active,
        since=iso(start, zone),
        until=iso(end, zone),
        every=None if width is None else width.text,
        every_ms=width.fixed_us // 1000 if width is not None and width.fixed_us else None,
        zone=_zone_name(days, now) if calendar else None,
        aggregate=shown,
        samples=samples[-limit:],
        gaps=[_gap_json(gap, zone) for gap in found],
        seams=_seams(stretches, since_us=microseconds(start), zone=zone),
        truncated=len(samples) > limit,
    )


DRAWN = 144
"""Points that a plot has room for, side by side."""
_WIDTHS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)


async def history_to_draw(path: str, *, every: str | None = None, **question: Any) -> History:
    """As `history`; more samples than its limit become buckets, as narrow as a plot can show, over the whole span."""
    found = await history(path, every=every, **question)
    if every is not None or not found.truncated:
        return found
    span_s = (datetime.fromisoformat(found.until) - datetime.fromisoformat(found.since)).total_seconds()
    width_s = next((each for each in _WIDTHS_S if each >= span_s / DRAWN), 86_400)
    return await history(path, **{**question, "every": f"{width_s}s", "limit": max(question.get("limit", 0), 100_000)})


def _zone_name(zone: tzinfo | None, now: datetime) -> str:
    if zone is None:
        return f"this machine ({now.astimezone().tzname()})"
    return getattr(zone, "key", None) or str(zone)


def _usual(series: Series) -> Aggregate:
    from nexus_cli.database.segments import kind_of

    return "avg" if kind_of(series.type) in ("bool", "number") and not series.labels else "last"


def _check(aggregate: Aggregate, series: Series) -> None:
    from nexus_cli.database.segments import kind_of

    if aggregate in ("avg", "min", "max") and kind_of(series.type) in ("text", "json"):
        raise NexusError(
            f"'{series.path}' is {series.type}: it has no {aggregate}.",
            code="NX6211",
            hint="write --agg last, first, count or good",
            exit_code=1,
        )


class _Reader:
    """One series, looked at within one transaction."""

    def __init__(self, conn: Connection, series: Series, sources: Sources, *, site: str) -> None:
        self._conn, self._series, self._sources, self._site = conn, series, sources, site

    async def site_zone(self) -> tzinfo | None:
        """The time zone of the site's file, None when it names none."""
        from nexus_cli.model.calendar import zone_named

        name = await self._conn.fetchval(
            "SELECT attributes->>'time_zone' FROM nexus.resource WHERE site = $1 AND address = 'site'", self._site
        )
        try:
            return zone_named(name) if name else None
        except ValueError as error:
            raise NexusError(
                f"The site's {error} on this machine.", code="NX6211", hint="write --zone NAME, or --utc", exit_code=1
            ) from None

    async def _segments(self) -> list[Segment]:
        from nexus_cli.database.segments import segments_of

        stored = await self._conn.fetchval("SELECT segments FROM nexus.series WHERE id = $1", self._series.id)
        series = self._series
        return segments_of(stored, type=series.type, unit=series.unit, labels=series.labels)

    async def _gaps(self, start: datetime, end: datetime) -> list[StoredGap]:
        from nexus_cli.database.queries import load_gaps

        # A gap keeps the path that its device had then.
        devices = sorted({each.rpartition("/")[0] for each in (self._series.path, *self._series.former_paths)})
        gateway = await self._conn.fetchval(
            "SELECT lineage->>'gateway' FROM nexus.series WHERE id = $1", self._series.id
        )
        return await load_gaps(
            self._conn, site=self._site, devices=devices, gateways=[gateway or ""], since=start, until=end
        )

    async def samples(
        self, start: datetime, end: datetime, *, limit: int, zone: tzinfo | None
    ) -> tuple[list[Stretch], list[dict[str, Any]], list[StoredGap]]:
        """Single samples, the newest `limit`."""
        from nexus_cli.database.queries import load_samples
        from nexus_cli.database.segments import stretches_of
        from nexus_cli.model.calendar import microseconds
        from nexus_cli.project.history_rows import sample_json

        stored = await load_samples(
            self._conn, series_id=self._series.id, since=start, until=end, limit=limit, newest=True
        )
        stretches = stretches_of(await self._segments(), since_us=microseconds(start), until_us=microseconds(end))
        newest = stretches[-1].last
        rows = []
        for sample in stored:
            segment = _segment_at(stretches, microseconds(sample.time))
            rows.append(sample_json(sample, segment, shown_in=newest, zone=zone))
        return stretches, rows, await self._gaps(start, end)

    async def rolled(
        self,
        start: datetime,
        end: datetime,
        *,
        every: Every,
        aggregate: Aggregate,
        days: tzinfo | None,
        zone: tzinfo | None,
    ) -> tuple[list[Stretch], list[dict[str, Any]], list[StoredGap]]:
        """Buckets up to `end`, those without a value left out unless a gap lies in them."""
        from nexus_cli.database.history_buckets import Question, buckets, lost_moments
        from nexus_cli.database.history_rows import last_before
        from nexus_cli.database.segments import stretches_of
        from nexus_cli.model.calendar import LATEST, microseconds
        from nexus_cli.project.history_rows import bucket_json, name_gaps

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
        held = before is not None and not any(known_us < moment <= since_us for moment in lost)
        every_one = stretches_of(segments, since_us=known_us, until_us=until_us)
        stretches = [each for each in every_one if each.last.until_us > since_us]
        rows: list[dict[str, Any]] = []
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
                before=_held(before, stretch) if first and held else None,
                lost=tuple(lost),
            )
            for bucket in await buckets(self._conn, self._sources, question):
                start_us = bucket.start_us if first else max(bucket.start_us, low_us)
                row = bucket_json(bucket, aggregate, stretch, shown_in=stretches[-1].last, zone=zone, start_us=start_us)
                row["filled"] = bool(bucket.count or bucket.covered_us)
                rows.append(row)
        touching = [gap for gap in gaps if gap.end is None or gap.end >= start]
        name_gaps(rows, [_gap_json(gap, zone) for gap in touching])
        rows = [row for row in rows if row.pop("filled") or "gap" in row]
        return stretches, rows, touching


def _segment_at(stretches: Sequence[Stretch], time_us: int) -> Segment:
    for stretch in reversed(stretches):
        if stretch.segments[0].since_us <= time_us:
            return stretch.at(time_us)
    return stretches[0].segments[0]


def _held(before: StoredSample | None, stretch: Stretch) -> Any:
    """The value of a sample before the span in the terms of the stretch; None when it was stored in others."""
    from nexus_cli.model.calendar import microseconds
    from nexus_cli.project.history_rows import stored_value

    if before is None or microseconds(before.time) < stretch.segments[0].since_us:
        return None
    return stretch.at(microseconds(before.time)).shown(stored_value(before, stretch.kind))


def _width(every: str, start: datetime, end: datetime) -> Every:
    from nexus_cli.database.history_buckets import MOST_BUCKETS, too_many
    from nexus_cli.model.calendar import EVERY_HINT, parse_every

    try:
        width = parse_every(every)
    except ValueError as error:
        raise NexusError(str(error), code="NX6211", hint=EVERY_HINT, exit_code=1) from None
    if too_many((end - start) // timedelta(microseconds=1), width):
        raise NexusError(
            f"That would be more than {MOST_BUCKETS:,} buckets.", code="NX6211", hint="widen --every", exit_code=1
        )
    return width


async def _only_site(conn: Connection) -> str:
    from nexus_cli.database.queries import sites

    found = await sites(conn)
    if len(found) != 1:
        raise NexusError(
            "It is not known which site is meant." if found else "Nothing is stored yet.",
            code="NX6210",
            hint=f"set NEXUS_SITE to one of: {', '.join(found)}" if found else "apply a site first",
            exit_code=1,
        )
    return found[0]


async def _find(conn: Connection, *, site: str, path: str) -> Series:
    from nexus_cli.database.queries import find_series, series_paths

    short = path.removeprefix(site + "/").strip("/")
    series = await find_series(conn, site=site, path=short)
    if series is None:
        paths = await series_paths(conn, site=site)
        raise NexusError(
            f"No series is stored for '{short}'.",
            code="NX6210",
            hint=did_you_mean(short, paths) or "paths are area/line/device/tag",
            exit_code=1,
        )
    return series


def _seams(stretches: Sequence[Stretch], *, since_us: int, zone: tzinfo | None) -> list[dict[str, Any]]:
    from nexus_cli.model.calendar import iso, moment_of

    segments = [(segment, stretch) for stretch in stretches for segment in stretch.segments]
    found = []
    for (old, before), (new, after) in pairwise(segments):
        if (old.type, old.unit, old.labels) == (new.type, new.unit, new.labels) or new.since_us <= since_us:
            continue
        terms: list[dict[str, Any]] = [{"type": each.type, "unit": each.unit} for each in (old, new)]
        if old.labels != new.labels:
            terms = [{**term, "labels": each.labels} for term, each in zip(terms, (old, new), strict=True)]
        seam = {"time": iso(moment_of(new.since_us), zone), "before": terms[0], "after": terms[1]}
        found.append({**seam, "converted": before is after})
    return found


def _gap_json(gap: StoredGap, zone: tzinfo | None) -> dict[str, Any]:
    from nexus_cli.model.calendar import iso

    return {
        "start": iso(gap.start, zone),
        "end": gap.end and iso(gap.end, zone),
        "device": gap.device,
        "gateway": gap.gateway,
        "frames": gap.frames,
        "reason": gap.reason,
    }
