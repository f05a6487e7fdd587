"""`nexus validate --with-history`: the declared alerts on the stored history, and which of them would be too much.

Memory holds one window of rows; the time is bounded, and what was not reached is said.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from nexus_cli.alarms.conditions import words_of
from nexus_cli.alarms.replay import Offender, Replay, offenders
from nexus_cli.alarms.values import Reading as Value
from nexus_cli.database.connect import Connection, connection
from nexus_cli.database.queries import Series, StoredSample, series_at
from nexus_cli.database.replayed import PlayedSeries, played_series, rows_between, sample_tables
from nexus_cli.database.segments import NEVER_US
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.outcome import has_errors
from nexus_cli.diagnostics.wording import counted
from nexus_cli.history.moment import parse_moment
from nexus_cli.model.calendar import microseconds
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.resolve import snapshot_of
from nexus_cli.model.resources import AlertConfig, every
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.project.text import Reading
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.control_alarms import KeyFigures
from nexus_cli.wire.sample import Quality

BUDGET_S = 300.0
"""Longest time of one run, in seconds."""
MOST_ROWS = 50_000
"""Rows of one window."""
FIRST_WINDOW, LONGEST_WINDOW, SHORTEST_WINDOW = timedelta(hours=1), timedelta(days=7), timedelta(milliseconds=1)
MOST_TOLD = 10
"""Alerts that are named in one finding, and findings of one code."""

Progress = Callable[[str], None]


class Tried(NamedTuple):
    """What a run came to.

    Attributes:
        findings: Without their places.
        figures: Of the alarms that would have come.
        rows: Rows that were replayed.
        alerts: Alerts that were replayed.
    """

    findings: list[Diagnostic]
    figures: KeyFigures
    rows: int
    alerts: int


async def with_history(
    snapshot: Snapshot,
    *,
    since: str = "30d",
    operators: int = 1,
    zone: tzinfo | None = None,
    settings: Settings | None = None,
    now: datetime | None = None,
    progress: Progress = lambda words: None,
    budget_s: float = BUDGET_S,
    monotonic_s: Callable[[], float] = time.monotonic,
) -> Tried:
    """Replay the declared alerts over what is stored of the site.

    Args:
        snapshot: The site as its files declare it.
        since: How far back: how long ago, or ISO 8601.
        operators: Among how many people alarms are shared.
        zone: On whose clocks `since` is read; None is this machine's.
        settings: Instead of those of this folder.
        now: Instead of the clock.
        progress: Called now and then with how far it is.
        budget_s: Longest time, in seconds.
        monotonic_s: Clock of the budget.

    Raises:
        NexusError: NX6211 not a time; NX6200 to NX6203 the database.
    """
    now = now or datetime.now(UTC)
    start = parse_moment(since, now=now, zone=zone)
    alerts = dict(every(snapshot, "alert", AlertConfig))
    tags, external = _tags(snapshot)
    site = f"{snapshot.enterprise}/{snapshot.site}"
    ends_s = monotonic_s() + budget_s
    async with (
        connection(settings or load_settings(), application="nexus-validate") as conn,
        conn.transaction(isolation="repeatable_read", readonly=True),
    ):
        paths = sorted({path for config in alerts.values() for path in config.paths()})
        series = {one.path: one for one in await series_at(conn, site=site, paths=paths)}
        seams = {one.path: _seam(one, tags, microseconds(start)) for one in await played_series(conn, site=site)}
        refused = _refused(alerts, tags, external, series, seams)
        tried = {name: config for name, config in alerts.items() if name not in refused}
        replay = Replay(tried, tags, since_us=microseconds(start), until_us=microseconds(now), operators=operators)
        wanted = {series[path].id: path for config in tried.values() for path in config.paths()}
        labels = {path: tags[path].values for path in wanted.values()}
        silent = set(wanted.values())
        told_day = ""
        async for ident, sample in _rows(conn, site, sorted(wanted), start, now):
            path = wanted[ident]
            silent.discard(path)
            replay.take(microseconds(sample.time), path, _reading(sample, series[path].type, labels[path]))
            if replay.rows % 1_000 == 0:
                day = f"{sample.time:%Y-%m-%d}"
                if day != told_day:
                    told_day = day
                    progress(f"{day}: {replay.rows} rows")
                if monotonic_s() > ends_s:
                    break
        else:
            replay.reached_us = microseconds(now)
    for name, config in tried.items():
        if all(path in silent for path in config.paths()):
            refused[name] = "nothing is stored of it in this span"
    stopped_us = replay.reached_us if replay.reached_us < microseconds(now) else None
    figures = replay.finish(stopped_us)
    found = [*_findings(figures, tried), *_not_tried(refused)]
    if stopped_us is not None:
        reached = datetime.fromtimestamp(stopped_us / 1e6, UTC)
        message = f"the time was up at {reached:%Y-%m-%d %H:%M} UTC of the history, after {replay.rows} rows"
        found.append(finding("NX6436", message, where=("alerts",), on_key=True, hint="a shorter --since"))
    return Tried(found, figures, replay.rows, len(tried))


async def validate_history(
    readings: Sequence[Reading], *, since: str, operators: int = 1, progress: Progress = lambda words: None
) -> list[Diagnostic]:
    """The findings of `with_history`, in their places, of every site that was read without errors."""
    found: list[Diagnostic] = []
    for reading in readings:
        if reading.tree is None or reading.model is None or has_errors(reading.findings):
            continue
        snapshot = snapshot_of(reading.model)
        tried = await with_history(snapshot, since=since, operators=operators, progress=progress)
        progress(f"{tried.alerts} alerts on {tried.rows} rows: {tried.figures.alarms} alarms")
        found += reading.tree.report_later(tried.findings)
    return found


def _tags(snapshot: Snapshot) -> tuple[dict[str, TagConfig], set[str]]:
    """Every tag by path, and those that others publish."""
    tags: dict[str, TagConfig] = {}
    external: set[str] = set()
    for path, device in every(snapshot, "device", DeviceConfig):
        for name, tag in device.tags.items():
            tags[f"{path}/{name}"] = tag
            if device.protocol == "external":
                external.add(f"{path}/{name}")
    return tags, external


def _refused(
    alerts: Mapping[str, AlertConfig],
    tags: Mapping[str, TagConfig],
    external: set[str],
    series: Mapping[str, Series],
    seams: Mapping[str, str],
) -> dict[str, str]:
    """Why an alert can't be replayed, by name."""
    found: dict[str, str] = {}
    for name, config in alerts.items():
        for path in config.paths():
            stored, tag = series.get(path), tags.get(path)
            if stored is None or tag is None:
                found[name] = f"nothing is stored of {path}"
            elif stored.unit != (tag.publish_unit or tag.unit):
                unit = tag.publish_unit or tag.unit or "no unit"
                found[name] = f"{path} is stored in {stored.unit or 'no unit'}, and the site says {unit}"
            elif seam := seams.get(path):
                found[name] = seam
            elif config.no_data_for_ms is not None and path not in external:
                found[name] = "of a tag that a gateway reads only changes are stored: silence leaves no rows"
    return found


def _seam(series: PlayedSeries, tags: Mapping[str, TagConfig], since_us: int) -> str:
    """Why what is stored of a series since a moment can't be held against today's limits; "" when it can."""
    tag = tags.get(series.path)
    if tag is None:
        return ""
    unit = tag.publish_unit or tag.unit
    for segment in reversed(series.segments):
        if segment.until_us > since_us and segment.unit != unit:
            until = datetime.fromtimestamp(segment.until_us / 1e6, UTC) if segment.until_us < NEVER_US else None
            when = f" until {until:%Y-%m-%d %H:%M} UTC" if until else ""
            return (
                f"{series.path} was stored in {segment.unit or 'no unit'}{when}, and the site says {unit or 'no unit'}"
            )
    return ""


async def _rows(
    conn: Connection, site: str, series: Sequence[int], start: datetime, end: datetime
) -> AsyncIterator[tuple[int, StoredSample]]:
    """Rows in the order of time, window by window; a window has at most `MOST_ROWS`."""
    if not series:
        return
    tables, window = await sample_tables(conn, site=site), FIRST_WINDOW
    while start < end:
        until = min(start + window, end)
        found = await rows_between(conn, tables, series=series, since=start, until=until, limit=MOST_ROWS + 1)
        if len(found) > MOST_ROWS and window > SHORTEST_WINDOW:
            window = max(window / 4, SHORTEST_WINDOW)
            continue
        for row in found:
            yield row
        start = until
        if len(found) < MOST_ROWS // 4:
            window = min(window * 2, LONGEST_WINDOW)


def _reading(sample: StoredSample, kind: str, labels: Mapping[str, str]) -> Value:
    value = next((one for one in (sample.exact, sample.text, sample.json) if one is not None), sample.value)
    if kind == "bool" and isinstance(value, (int, float)):
        value = bool(value)
    elif kind.lstrip("u").startswith("int") and isinstance(value, float) and value.is_integer():
        value = int(value)
    label = labels.get(str(value)) if labels and isinstance(value, int) else None
    quality = Quality(sample.quality) if sample.quality in set(Quality) else Quality.BAD
    return Value(None if quality is Quality.BAD else value, quality, label)


def _findings(figures: KeyFigures, alerts: Mapping[str, AlertConfig]) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    for one in offenders(figures):
        where, condition = ("alerts", one.name), words_of(alerts[one.name]).text
        if one.chatters:
            message = f"'{one.name}' ({condition}) would have come {counted(one.alarms, 'time')} and chattered {counted(one.chatters, 'time')}"
            found.append(finding("NX6432", message, where=where, on_key=True, hint=_calmer(alerts[one.name])))
        if one.a_day > 15:
            message = f"'{one.name}' ({condition}) would have come {counted(one.alarms, 'time')}, {one.a_day:.0f} a day"
            found.append(finding("NX6433", message, where=where, on_key=True, hint=_calmer(alerts[one.name])))
        if one.stale:
            found.append(_stood(one, condition))
    if figures.flood_count:
        found.append(_flood(figures))
    return found


def _stood(one: Offender, condition: str) -> Diagnostic:
    first = one.stale[0]
    since = datetime.fromtimestamp(first.since / 1e6, UTC)
    until = datetime.fromtimestamp(first.until / 1e6, UTC) if first.until else None
    span = f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC" if until else f"since {since:%Y-%m-%d %H:%M} UTC"
    more = f", and {len(one.stale) - 1} times more" if len(one.stale) > 1 else ""
    message = f"'{one.name}' ({condition}) would have stood for more than a day: {span}{more}"
    return finding(
        "NX6434",
        message,
        where=("alerts", one.name),
        on_key=True,
        hint="another limit, or suppressed_by what explains it",
    )


def _flood(figures: KeyFigures) -> Diagnostic:
    worst = max(figures.floods, key=lambda one: one.peak)
    begin = datetime.fromtimestamp(worst.begin / 1e6, UTC)
    top = ", ".join(f"{one.name} ({one.alarms})" for one in figures.bad_actors[:MOST_TOLD])
    share = next(one for one in figures.figures if one.name == "flood-share")
    many = "a flood" if figures.flood_count == 1 else f"{figures.flood_count} floods"
    message = (
        f"an operator would have had {many} in {counted(figures.alarms, 'alarm')}, {share.value:.2%} of the time; the worst at "
        f"{begin:%Y-%m-%d %H:%M} UTC, {worst.peak} alarms in 10 minutes; most often came {top}"
    )
    return finding(
        "NX6435", message, where=("alerts",), on_key=True, hint="delays, hysteresis, suppressed_by, a lower count"
    )


def _calmer(config: AlertConfig) -> str:
    wanted = [] if config.for_ms else ["for: 5s"]
    if (config.above is not None and config.clear_below is None) or (
        config.below is not None and config.clear_above is None
    ):
        wanted.append("clear_below" if config.above is not None else "clear_above")
    wanted += [] if config.clear_after_ms else ["clear_after: 10s"]
    return " and ".join(wanted) if wanted else "longer delays, or another limit"


def _not_tried(refused: Mapping[str, str]) -> list[Diagnostic]:
    return [
        finding("NX6436", f"'{name}' was not tried: {why}", where=("alerts", name), on_key=True)
        for name, why in sorted(refused.items())
    ]
