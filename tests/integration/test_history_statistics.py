"""Statistics of stored values against a plain computation over the rows; and `nexus history PATH --stats`."""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nexus_cli.database.connect import connection
from nexus_cli.database.series import sync_series
from nexus_cli.history import statistics as stats
from nexus_cli.history.statistics import Statistics
from nexus_cli.model.calendar import microseconds
from nexus_cli.project.history import statistics as read
from nexus_cli.settings import Settings
from tests.integration.test_history import run
from tests.integration.test_history_rolled import NOW, PATH, changed, device, put, roll, tag
from tests.postgres import SITE

pytestmark = [pytest.mark.needs_database, pytest.mark.every_database]
Row = tuple[datetime, float | None, int]
GAP = (NOW - timedelta(hours=66, minutes=7), NOW - timedelta(hours=65))


def by_hand(rows: Sequence[Row], since: datetime, until: datetime) -> dict[str, Any]:
    """Every number, computed from the rows alone."""
    inside = [row for row in rows if since <= row[0] < until]
    values = [value for _, value, _ in inside if value is not None]
    area, covered_us = 0.0, 0
    turns: list[Row] = sorted([*rows, (GAP[0], None, 0)], key=lambda row: row[0])
    for (time, value, _), ends in zip(turns, [row[0] for row in turns[1:]] + [until], strict=True):
        span_us = microseconds(min(ends, until)) - microseconds(max(time, since))
        if value is not None and span_us > 0:
            area, covered_us = area + value * span_us, covered_us + span_us
    good = sum(quality == 192 for *_, quality in inside)
    return {
        "count": len(inside),
        "good": good,
        "good_share": good / len(inside) if inside else None,
        "minimum": min(values, default=None),
        "maximum": max(values, default=None),
        "mean": statistics.fmean(values) if values else None,
        "stddev": statistics.pstdev(values) if values else None,
        "time_weighted_mean": area / covered_us if covered_us else None,
        "covered_share": covered_us / (microseconds(until) - microseconds(since)),
        "first": values[0] if values else None,
        "last": values[-1] if values else None,
    }


def numbers(found: Statistics, keys: Sequence[str]) -> dict[str, Any]:
    got = {key: getattr(found, key) for key in keys}
    return got | {key: got[key] and got[key].value for key in ("first", "last")}


async def ask(database: Settings, since: datetime, until: datetime, name: str = "temp") -> Statistics:
    span = {"since": since.isoformat(), "until": until.isoformat()}
    return await read(f"{PATH}/{name}", settings=database, now=NOW, zone=UTC, **span)


@pytest.mark.parametrize("seed", range(4))
async def test_statistics_are_what_the_rows_say(database: Settings, seed: int) -> None:
    source = random.Random(seed)
    start = NOW - timedelta(days=4)
    times = sorted({start + timedelta(microseconds=source.randrange(4 * 86_400 * 10**6)) for _ in range(500)})
    rows: list[Row] = []
    for time in times:
        quality = source.choice((192, 192, 192, 64, 0))
        rows.append((time, None if quality == 0 else round(source.uniform(-50, 50), 3), quality))
    ahead, behind = start - timedelta(hours=5), NOW - timedelta(minutes=1)
    spans = [(ahead, behind), (start, start + timedelta(hours=1)), (ahead, start - timedelta(hours=1))]
    for _ in range(25):
        low, high = sorted(source.sample(range(5 * 86_400), 2))
        first = NOW - timedelta(days=5) + timedelta(seconds=low)
        spans.append((first, first + timedelta(seconds=high - low)))
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices=device(temp=tag()))
        await put(conn, "temp", rows)
        await conn.execute(
            'INSERT INTO nexus.gap (site, gateway, device, start, "end", reason) VALUES ($1, $2, $3, $4, $5, $6)',
            *(SITE, "gw-1", PATH, *GAP, "overflow"),
        )
        for rolled in (False, True):
            if rolled:
                await roll(conn)
            for since, until in spans:
                wanted = by_hand(rows, since, min(until, NOW))
                found = numbers(await ask(database, since, min(until, NOW)), list(wanted))
                for key, value in wanted.items():
                    alike = value if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)
                    assert found[key] == alike, (key, since, until, rolled)


async def test_values_before_a_change_of_unit_are_converted_or_left_out(database: Settings) -> None:
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices=device(temp=tag(unit="kg")))
        await put(conn, "temp", [(NOW - timedelta(hours=3), 1.0, 192), (NOW - timedelta(hours=2), 3.0, 192)])
        await changed(conn, NOW - timedelta(hours=1), tag(unit="g"))
        await put(conn, "temp", [(NOW - timedelta(minutes=30), 5000.0, 192)])
        found = await ask(database, NOW - timedelta(hours=4), NOW)
        assert (found.unit, found.count, found.minimum, found.maximum) == ("g", 3, 1000.0, 5000.0)
        assert found.mean == pytest.approx(3000.0)
        assert found.stddev == pytest.approx(statistics.pstdev([1000.0, 3000.0, 5000.0]))
        assert found.begins == found.since
        await changed(conn, NOW - timedelta(minutes=10), tag("string"))
        await put(conn, "temp", [(NOW - timedelta(minutes=5), None, 192, {"text": "on"})])
        found = await ask(database, NOW - timedelta(hours=4), NOW)
        assert (found.count, found.mean, found.stddev, found.minimum, found.left_out) == (1, None, None, None, "")
        assert found.last is not None
        assert found.last.value == "on"
        assert found.begins > found.since


async def test_too_many_samples_have_no_mean_and_say_so(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices=device(temp=tag()))
        await put(conn, "temp", [(NOW - timedelta(hours=3, seconds=each), float(each), 192) for each in range(20)])
        await roll(conn)
    monkeypatch.setattr(stats, "MOST_SAMPLES", 10)
    found = await ask(database, NOW - timedelta(hours=6), NOW)
    assert (found.mean, found.stddev, found.left_out) == (None, None, "more than 10 samples")
    assert (found.count, found.minimum, found.maximum) == (20, 0.0, 19.0)


@pytest.fixture
async def stored(database: Settings) -> Settings:
    now = datetime.now(UTC)
    async with connection(database) as conn:
        await sync_series(conn, site=SITE, devices=device(temp=tag(unit="degC")))
        await put(conn, "temp", [(now - timedelta(minutes=10), 20.0, 192), (now - timedelta(minutes=5), 22.0, 64)])
    return database


def test_the_command_prints_text_and_json(stored: Settings) -> None:
    shown = run(stored, "history", f"{PATH}/temp", "--stats")
    assert shown.exception is None, shown.output
    lines = [line.split() for line in shown.output.splitlines()]
    assert ["samples", "2,", "50", "%", "GOOD"] in lines
    assert ["mean", "21", "degC"] in lines
    assert ["deviation", "1", "degC"] in lines
    found = json.loads(run(stored, "history", f"{PATH}/temp", "--stats", "--format", "json").output)
    assert (found["count"], found["good_share"], found["minimum"], found["maximum"]) == (2, 0.5, 20.0, 22.0)
    assert run(stored, "history", f"{PATH}/temp", "--stats", "--every", "1m").exit_code != 0
