"""A year's plot of one series on plain PostgreSQL, beside a SELECT that makes the same buckets from the samples."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from nexus_cli.database import migrate
from nexus_cli.database.class_table import SampleClass
from nexus_cli.database.connect import Connection, open_connection
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.retention import keep_up
from nexus_cli.database.rollup_tables import load_rollups
from nexus_cli.database.samples import SampleTables
from nexus_cli.database.series import sync_series
from nexus_cli.history.document import History
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.project.history import history_to_draw
from nexus_cli.settings import Settings
from tests.benchmarks.bench_cli import seconds
from tests.benchmarks.figures import Figure, machine
from tests.postgres import EmbeddedPostgres, settings_for

DEVICE, TAG = "area/line/oven", "temperature"
SPAN = timedelta(days=365)
STEP_S, QUICK_STEP_S = 10, 60
RUNS = 5
LIMIT_S = 1.0
ROUNDS = 60
"""More rounds of upkeep than a year takes."""

FILL = f"""
INSERT INTO {SCHEMA}."{{table}}" ("time", series_id, value, quality)
SELECT t, $1, 180 + 20 * sin(extract(epoch FROM t)::float8 / 9000) + random(), CASE WHEN random() < 0.001 THEN 64 ELSE 192 END
FROM generate_series($2::timestamptz, $3::timestamptz, $4::interval) AS t
"""

BARE = f"""
SELECT bucket, count(*), sum(value * us) / sum(us) FROM (
  SELECT date_bin('1 day', "time", timestamptz '1970-01-01Z') AS bucket, value,
    extract(epoch FROM lead("time", 1, $3) OVER (ORDER BY "time") - "time")::float8 AS us
  FROM {SCHEMA}."{{table}}" WHERE series_id = $1 AND "time" >= $2 AND "time" < $3) AS held
GROUP BY bucket ORDER BY bucket
"""
"""Days as the plot asks for them, on UTC. The samples lie on the borders of days, so that none holds across one."""


async def fill(conn: Connection, settings: Settings, *, step_s: int, now: datetime) -> tuple[SampleClass, int]:
    """A series with a sample each `step_s` seconds of the year before `now`; gives its class and its id."""
    tags = {TAG: TagConfig(type="float64", published_type="float64", unit="degC")}
    device = DeviceConfig(path=DEVICE, protocol="modbus", gateway="gw-1", tags=tags)
    await sync_series(conn, site=settings.site, devices={DEVICE: device})
    tables = SampleTables(site=settings.site)
    today = int(now.timestamp()) // 86_400
    if not await tables.prepare(conn, "default", range(today - SPAN.days, today + 1), now=now):
        raise RuntimeError("a day of the year has no partition")
    made = await tables.table(conn, "default")
    ident: int = await conn.fetchval(f"SELECT id FROM {SCHEMA}.series")
    last = now - timedelta(seconds=step_s)
    await conn.execute(FILL.format(table=made.table), ident, now - SPAN, last, timedelta(seconds=step_s))
    return made, ident


async def bring_up_to_date(conn: Connection, settings: Settings, made: SampleClass, *, now: datetime) -> float:
    """Rounds of the historian's upkeep until nothing is left for the next one; gives the seconds they took."""
    began = time.perf_counter()
    for _ in range(ROUNDS):
        done = await keep_up(conn, site=settings.site, now=now)
        if done is not None and not done.postponed:
            break
    else:
        raise RuntimeError("the upkeep didn't end")
    took_s = time.perf_counter() - began
    if any(each.continuous for each in await load_rollups(conn, [made.table])):
        raise RuntimeError("this is no plain PostgreSQL")
    await conn.execute("VACUUM ANALYZE")
    return took_s


async def draw(settings: Settings, now: datetime) -> tuple[float, History]:
    """Seconds of a year's plot, from the connection on, and what it shows."""
    began = time.perf_counter()
    found = await history_to_draw(f"{DEVICE}/{TAG}", since=f"{SPAN.days}d", now=now, zone=UTC, settings=settings)
    return time.perf_counter() - began, found


async def bare(conn: Connection, made: SampleClass, ident: int, now: datetime) -> tuple[float, list[tuple[int, float]]]:
    """Seconds of the same buckets from the samples alone, and of each its count and average."""
    began = time.perf_counter()
    rows = await conn.fetch(BARE.format(table=made.table), ident, now - SPAN, now)
    return time.perf_counter() - began, [(row[1], row[2]) for row in rows]


def compare(found: History, expected: list[tuple[int, float]]) -> None:
    """Raise unless the plot shows what the samples say."""
    shown = [(each.count, each.value) for each in found.buckets]
    if len(shown) != len(expected) or any(
        one != other or abs(mean - bare_mean) > 1e-6
        for (one, mean), (other, bare_mean) in zip(shown, expected, strict=True)
    ):
        raise RuntimeError(f"the plot and the samples disagree: {shown[:3]} and {expected[:3]}")


def process_s(settings: Settings) -> float:
    """Seconds of `nexus history --plot` as a whole process."""
    surroundings = {
        "NEXUS_DATABASE_URL": settings.database_url,
        "NEXUS_DATABASE_PASSWORD": settings.database_password,
        "NEXUS_SITE": settings.site,
        "NEXUS_HOME": str(settings.home),
    }
    command = [sys.executable, "-m", "nexus_cli", "history", f"{DEVICE}/{TAG}", "--since", f"{SPAN.days}d", "--plot"]
    with mock.patch.dict(os.environ, surroundings):
        return seconds(command, runs=RUNS)


async def _measure(settings: Settings, *, step_s: int) -> list[Figure]:
    await migrate.upgrade(settings)
    now = datetime.fromtimestamp(int(time.time()) // step_s * step_s, UTC)
    conn = await open_connection(settings, command_timeout_s=600)
    try:
        made, ident = await fill(conn, settings, step_s=step_s, now=now)
        rolled_s = await bring_up_to_date(conn, settings, made, now=now)
        ours: list[float] = []
        from_samples: list[float] = []
        for _ in range(RUNS):  # in turns, so that a noisy neighbour meets both
            bare_s, expected = await bare(conn, made, ident, now)
            plot_s, found = await draw(settings, now)
            compare(found, expected)
            ours.append(plot_s)
            from_samples.append(bare_s)
    finally:
        await conn.close()
    bare_s = statistics.median(from_samples)
    beside: dict[str, Any] = {"unit": "s", "limit": bare_s, "limit_name": "SELECT from the samples", "at_most": LIMIT_S}
    samples = SPAN // timedelta(seconds=step_s)
    return [
        Figure(
            name=f"a year's plot, {samples:,} samples, plain PostgreSQL",
            value=statistics.median(ours),
            note=f"slowest of {RUNS}: {max(ours):.3f} s",
            **beside,
        ),
        Figure(name="  nexus history --since 365d --plot, whole process", value=process_s(settings), **beside),
        Figure(name="  rolling the year up, once", value=rolled_s, unit="s"),
    ]


def run(*, step_s: int = STEP_S) -> list[Figure]:
    """Measure on a PostgreSQL of our own."""
    server = EmbeddedPostgres()
    try:
        server.start()
        with tempfile.TemporaryDirectory() as folder:
            settings = dataclasses.replace(settings_for(server.url, Path(folder)), site="acme/chicago")
            return asyncio.run(_measure(settings, step_s=step_s))
    finally:
        server.close()


if __name__ == "__main__":
    print(machine())
    for figure in run(step_s=QUICK_STEP_S if "--quick" in sys.argv else STEP_S):
        print(figure.line())
