"""Stored values of a tag, for `nexus history`."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.settings import Settings, load_settings

if TYPE_CHECKING:
    from nexus_cli.database.connect import Connection
    from nexus_cli.database.queries import Series, StoredGap, StoredSample
    from nexus_cli.database.rollups import Rollup

Aggregate = Literal["avg", "min", "max", "last", "first", "count", "good"]
MOST_BUCKETS = 100_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is stored of one tag in a span, as JSON values; the views render it.

    Attributes:
        path: `area/line/device/tag`, where the series stands now.
        asked: The path that was asked for; differs after a rename.
        unit, type, active: Of the series.
        since, until: The span, ISO 8601.
        every_ms: Width of a bucket, or None for single samples.
        samples: `time`, `value`, `quality`, and where they apply `label`, `reason`, `code`, `source_time`; with
            buckets `time`, `value`, `count`, `good`, and `gap` (reasons) where samples of it are known to be missing.
        gaps: `start`, `end` (None while it lasts), `device`, `gateway`, `frames` (0 when not known), `reason`, by start.
        truncated: True when there were more samples than the limit.
    """

    path: str
    asked: str
    unit: str
    type: str
    active: bool
    since: str
    until: str
    every_ms: int | None
    aggregate: str | None
    samples: list[dict[str, Any]]
    gaps: list[dict[str, Any]]
    truncated: bool

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


def parse_moment(text: str, *, now: datetime) -> datetime:
    """A moment: how long ago (`90s`, `1h`, `7d`), `now`, or ISO 8601 (without a zone it is UTC).

    Raises:
        NexusError: NX6211.
    """
    from nexus_cli.model.site import parse_duration

    if text == "now":
        return now
    try:
        return now - timedelta(milliseconds=parse_duration(text))
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise NexusError(
            f"'{text}' is not a time.", code="NX6211", hint="write 1h, 30m, 7d or 2026-01-31T06:00", exit_code=1
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def history(
    path: str,
    *,
    since: str = "1h",
    until: str = "now",
    limit: int = 1000,
    every: str | None = None,
    aggregate: Aggregate = "avg",
    settings: Settings | None = None,
) -> History:
    """Read a tag's stored values.

    Args:
        path: `area/line/device/tag`, with or without enterprise and site in front; a former path works too.
        since: Start of the span, see `parse_moment`.
        until: End of the span.
        limit: At most so many samples, the newest.
        every: Width of buckets; None gives single samples.
        aggregate: What to show of each bucket.
        settings: Instead of the environment's.

    Raises:
        NexusError: NX6200 to NX6203; NX6210 there is no such series; NX6211 the span or grid can't be used.
    """
    from nexus_cli.database.connect import connection
    from nexus_cli.database.queries import last_before, load_gaps, load_samples

    chosen = settings or load_settings()
    now = datetime.now(UTC)
    start, end = parse_moment(since, now=now), parse_moment(until, now=now)
    if end <= start:
        raise NexusError("The span ends before it begins.", code="NX6211", hint="--since is the earlier", exit_code=1)
    every_ms = None if every is None else _width(every, start, end)
    async with connection(chosen, application="nexus-history") as conn:
        site = chosen.site or await _only_site(conn)
        series = await _find(conn, site=site, path=path)
        # A gap keeps the path that its device had then.
        devices = sorted({path.rpartition("/")[0] for path in (series.path, *series.former_paths)})
        gateway: str = await conn.fetchval("SELECT lineage->>'gateway' FROM nexus.series WHERE id = $1", series.id)
        found = await load_gaps(conn, site=site, devices=devices, gateways=[gateway or ""], since=start, until=end)
        gaps = [_gap_json(gap) for gap in found]
        if every_ms is None:
            stored = await load_samples(conn, series_id=series.id, since=start, until=end, limit=limit + 1, newest=True)
            samples = [sample_json(sample, series) for sample in stored]
        else:
            before = await last_before(conn, series_id=series.id, moment=start)
            lost_us = [_us(gap.start) for gap in found]
            held = before.value if before else None
            buckets = await _buckets(conn, series, start, min(end, now), every_ms, held, lost_us)
            samples = [_bucket_json(bucket, aggregate) for bucket in buckets]
            _name_gaps(samples, gaps, width=timedelta(milliseconds=every_ms))
            filled = [bool(bucket.count or bucket.covered_us) for bucket in buckets]
            samples = [one for one, has in zip(samples, filled, strict=True) if has or "gap" in one]
    truncated = len(samples) > limit
    samples = samples[-limit:]
    return History(
        path=series.path,
        asked=path,
        unit=series.unit,
        type=series.type,
        active=series.active,
        since=start.isoformat(),
        until=end.isoformat(),
        every_ms=every_ms,
        aggregate=aggregate if every_ms is not None else None,
        samples=samples,
        gaps=gaps,
        truncated=truncated,
    )


def _width(every: str, start: datetime, end: datetime) -> int:
    from nexus_cli.model.site import parse_duration

    try:
        every_ms = parse_duration(every)
    except ValueError as error:
        raise NexusError(str(error), code="NX6211", hint="write 1m, 15m, 1h or 1d", exit_code=1) from None
    if every_ms <= 0 or (end - start) / timedelta(milliseconds=every_ms) > MOST_BUCKETS:
        raise NexusError(
            f"That would be more than {MOST_BUCKETS:,} buckets.", code="NX6211", hint="widen --every", exit_code=1
        )
    return every_ms


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


async def _buckets(
    conn: Connection,
    series: Series,
    start: datetime,
    end: datetime,
    every_ms: int,
    before: float | None,
    lost_us: list[int],
) -> list[Rollup]:
    """Buckets of the span; where a gap begins (`lost_us`, ascending) the value is not known until the next sample."""
    from nexus_cli.database.queries import stream_numbers
    from nexus_cli.database.rollups import RollupBuilder

    builder = RollupBuilder(every_us=every_ms * 1000, since_us=_us(start), until_us=_us(end), before=before)
    buckets: list[Rollup] = []
    lost = deque(moment for moment in lost_us if moment < _us(end))
    async for time, value, quality in stream_numbers(conn, series_id=series.id, since=start, until=end):
        while lost and lost[0] <= _us(time):
            buckets.extend(builder.lose(lost.popleft()))
        buckets.extend(builder.add(_us(time), value, quality))
    for moment in lost:
        buckets.extend(builder.lose(moment))
    buckets.extend(builder.finish())
    return buckets


def _us(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def sample_json(sample: StoredSample, series: Series) -> dict[str, Any]:
    """One sample as JSON values: the value as its type says, the label of an enumeration, the reason when not GOOD."""
    from nexus_cli.wire.sample import Quality, unpack_status

    reason, code = unpack_status(sample.status)
    row: dict[str, Any] = {
        "time": sample.time.isoformat(),
        "value": _value(sample, series.type),
        "quality": Quality(sample.quality).name,
    }
    label = series.labels.get(str(row["value"])) if series.labels else None
    optional = {"label": label, "reason": reason and reason.value, "code": code or None}
    row |= {name: value for name, value in optional.items() if value is not None}
    if sample.source_time is not None:
        row["source_time"] = sample.source_time.isoformat()
    return row


def _value(sample: StoredSample, type_name: str) -> Any:
    for kept in (sample.exact, sample.text, sample.json):
        if kept is not None:
            return kept
    number = sample.value
    if number is None:
        return None
    if type_name == "bool" and number in (0.0, 1.0):
        return bool(number)
    return int(number) if type_name.lstrip("u").startswith("int") and number.is_integer() else number


def _bucket_json(bucket: Rollup, aggregate: Aggregate) -> dict[str, Any]:
    values: dict[Aggregate, float | int | None] = {
        "avg": bucket.average,
        "min": bucket.minimum,
        "max": bucket.maximum,
        "first": bucket.first,
        "last": bucket.last,
        "count": bucket.count,
        "good": bucket.good,
    }
    moment = EPOCH + timedelta(microseconds=bucket.start_us)
    return {"time": moment.isoformat(), "value": values[aggregate], "count": bucket.count, "good": bucket.good}


def _name_gaps(buckets: list[dict[str, Any]], gaps: list[dict[str, Any]], *, width: timedelta) -> None:
    """Say in each bucket which gaps lie in it: what is shown of it was made of fewer samples."""
    starts = [datetime.fromisoformat(bucket["time"]) for bucket in buckets]
    for gap in gaps:
        first = bisect_right(starts, datetime.fromisoformat(gap["start"]) - width)
        last = len(starts) if gap["end"] is None else bisect_right(starts, datetime.fromisoformat(gap["end"]))
        for bucket in buckets[first:last]:
            bucket["gap"] = " ".join(sorted({*bucket.get("gap", "").split(), gap["reason"]}))


def _gap_json(gap: StoredGap) -> dict[str, Any]:
    return {
        "start": gap.start.isoformat(),
        "end": gap.end and gap.end.isoformat(),
        "device": gap.device,
        "gateway": gap.gateway,
        "frames": gap.frames,
        "reason": gap.reason,
    }
