"""Rollups that are kept for each class: one relation for each width, with a row for each series and bucket.

With TimescaleDB it is a continuous aggregate, else a plain table; both have the same columns and are read alike. Every
class has hours, and what its `rollups` name beside them. The historian's upkeep brings them up to date: buckets that are
complete are rolled up, and those whose hours were written to since (late samples) again. `rollup_change` has those hours,
written in the transaction that added the samples: queries compute them from the samples, so that nothing is missing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from nexus_cli.database.class_table import SampleClass
from nexus_cli.database.connect import Connection
from nexus_cli.database.kept_series import KEPT
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.timescale import behind_aggregate, can_aggregate
from nexus_cli.model.calendar import HOUR_US, microseconds, moment_of

WIDTHS_US = {"1m": 60_000_000, "5m": 300_000_000, "15m": 900_000_000, "1h": HOUR_US, "1d": 24 * HOUR_US}
ALWAYS = "1h"
"""Kept for every class: a year of it is 8,760 rows a series."""
OPEN_FROM = datetime(1900, 1, 1, tzinfo=UTC)
"""Rolled up from the first sample on."""
BUDGET_S = 20.0
"""Longest work on one class in a round; the rest of a long history waits for the next one."""
_QUICK_S, _SLOW_S = 0.3, 3.0
_LONGEST_US = 7 * 24 * HOUR_US

COLUMNS = """
  bucket timestamptz NOT NULL,
  series_id integer NOT NULL,
  n bigint NOT NULL,
  good bigint NOT NULL,
  low double precision,
  high double precision,
  first_value double precision,
  last_value double precision,
  low_exact numeric,
  high_exact numeric,
  first_exact numeric,
  last_exact numeric,
  first_time timestamptz NOT NULL,
  last_time timestamptz NOT NULL,
  held double precision,
  held_exact numeric,
  days double precision,
  covered_us double precision NOT NULL
"""
"""`n` and `good` count; `low` to `last_exact` are of what is not BAD; `held` is what the last row left, NULL after a BAD
one; `days` is the sum of values times the days for which each held between the first and the last row."""

_HELD = "CASE WHEN abs(v) <= 1e-290 THEN 0 WHEN abs(v) <= 8e307 OR abs(v) >= 'Infinity' THEN v ELSE sign(v) * 8e307 END"
"""A value in the mean. PostgreSQL ends a statement when a product or a sum is no double any more; `hold` of migration 0020
counts in the same way."""

_VALUE, _EXACT = "CASE WHEN quality <> 0 THEN value END", "CASE WHEN quality <> 0 THEN value_exact END"

_ROLL = """
INSERT INTO {relation}
SELECT bucket, series_id, n, good, low, high, v[1], v[cardinality(v)], low_exact, high_exact, x[1], x[cardinality(x)],
  first_time, last_time, CASE WHEN last_known = last_time THEN v[cardinality(v)] END,
  CASE WHEN last_known = last_time THEN x[cardinality(x)] END, days, coalesce(covered_us, 0)
FROM (
  SELECT bucket, series_id, count(*) AS n, count(*) FILTER (WHERE quality = 192) AS good, min(v) AS low, max(v) AS high,
    min(x) AS low_exact, max(x) AS high_exact, array_agg(v ORDER BY "time") FILTER (WHERE v IS NOT NULL) AS v,
    array_agg(x ORDER BY "time") FILTER (WHERE x IS NOT NULL) AS x, min("time") AS first_time, max("time") AS last_time,
    max("time") FILTER (WHERE v IS NOT NULL) AS last_known, sum({held} * (us / 86400e6)) AS days,
    sum(us) FILTER (WHERE v IS NOT NULL) AS covered_us
  FROM (
    SELECT bucket, series_id, "time", quality, v, x,
      (extract(epoch FROM lead("time") OVER (PARTITION BY series_id, bucket ORDER BY "time") - "time") * 1e6)::float8 AS us
    FROM (
      SELECT date_bin($3::interval, "time", timestamptz '1970-01-01Z') AS bucket, series_id, "time", quality,
        {value} AS v, {exact} AS x
      FROM ({source}) AS sample WHERE "time" >= $1 AND "time" < $2) AS raw) AS held
  GROUP BY bucket, series_id) AS rolled
"""

_CONTINUOUS = """
CREATE MATERIALIZED VIEW {relation} WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT time_bucket(interval '{seconds} s', "time", timestamptz '1970-01-01Z') AS bucket, series_id, count(*) AS n,
  count(*) FILTER (WHERE quality = 192) AS good, min({value}) AS low, max({value}) AS high,
  first(value, "time") FILTER (WHERE quality <> 0) AS first_value,
  last(value, "time") FILTER (WHERE quality <> 0) AS last_value,
  min({exact}) AS low_exact, max({exact}) AS high_exact,
  first(value_exact, "time") FILTER (WHERE quality <> 0) AS first_exact,
  last(value_exact, "time") FILTER (WHERE quality <> 0) AS last_exact,
  min("time") AS first_time, max("time") AS last_time, last({value}, "time") AS held, last({exact}, "time") AS held_exact,
  ({schema}.hold({value}, "time" ORDER BY "time"))[1] AS days,
  ({schema}.hold({value}, "time" ORDER BY "time"))[2] AS covered_us
FROM {source} GROUP BY 1, 2 WITH NO DATA
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Rollups of one width of one class.

    Attributes:
        table: The class's table of samples.
        width: Key of `WIDTHS_US`.
        relation: Where they are, without the schema.
        continuous: True for a continuous aggregate of TimescaleDB.
        done_from, done_until: What is rolled up, µs since 1970 UTC; None before the first round.
    """

    table: str
    width: str
    relation: str
    continuous: bool
    done_from_us: int | None = None
    done_until_us: int | None = None

    @property
    def width_us(self) -> int:
        """Width of a bucket, µs."""
        return WIDTHS_US[self.width]


async def load_rollups(conn: Connection, tables: Sequence[str]) -> list[Kept]:
    """The rollups of these tables of samples, the widest first."""
    rows = await conn.fetch(
        f"SELECT table_name, width, relation, continuous, done_from, done_until FROM {SCHEMA}.rollup"
        " WHERE table_name = ANY($1::text[])",
        list(tables),
    )
    found = [
        Kept(
            table=row["table_name"],
            width=row["width"],
            relation=row["relation"],
            continuous=row["continuous"],
            done_from_us=None if row["done_from"] is None else microseconds(row["done_from"]),
            done_until_us=None if row["done_until"] is None else microseconds(row["done_until"]),
        )
        for row in rows
        if row["width"] in WIDTHS_US
    ]
    return sorted(found, key=lambda each: (-each.width_us, each.table))


async def changed_hours(conn: Connection, tables: Sequence[str]) -> set[int]:
    """Hours since 1970 that rows were added to and that are not rolled up again yet."""
    rows = await conn.fetch(
        f"SELECT DISTINCT unnest(hours) AS hour FROM {SCHEMA}.rollup_change WHERE table_name = ANY($1::text[])",
        list(tables),
    )
    return {row["hour"] for row in rows}


async def mark_changed(conn: Connection, table: str, hours: Iterable[int]) -> None:
    """Say that rows of these hours (since 1970) were added; part of the transaction that adds them."""
    await conn.execute(
        f"INSERT INTO {SCHEMA}.rollup_change (table_name, hours) VALUES ($1, $2::bigint[])", table, sorted(hours)
    )


async def ensure_rollups(conn: Connection, made: SampleClass) -> list[Kept]:
    """Make the relations of a class that are missing, and drop those that are no longer declared."""
    there = {each.width: each for each in await load_rollups(conn, [made.table])}
    wanted = {ALWAYS, *(width for width in made.rollups if width in WIDTHS_US)}
    for width in sorted(there.keys() - wanted):
        async with conn.transaction():
            kind = "MATERIALIZED VIEW" if there[width].continuous else "TABLE"
            await conn.execute(f'DROP {kind} IF EXISTS {SCHEMA}."{there[width].relation}"')
            await conn.execute(f"DELETE FROM {SCHEMA}.rollup WHERE table_name = $1 AND width = $2", made.table, width)
    for width in sorted(wanted - there.keys()):
        await _create(conn, made, width)
    return await load_rollups(conn, [made.table])


async def _create(conn: Connection, made: SampleClass, width: str) -> None:
    relation = await _free_name(conn, f"{made.table}_{width}")
    if made.hypertable and await can_aggregate(conn):
        try:
            async with conn.transaction():
                await conn.execute(_continuous(made, width, relation))
                await _remember(conn, made, width, relation, continuous=True)
            return
        except (asyncpg.FeatureNotSupportedError, asyncpg.InsufficientPrivilegeError):
            pass  # the server can't, or this user may not: a plain table serves as well
    async with conn.transaction():
        await conn.execute(f'CREATE TABLE {SCHEMA}."{relation}" ({COLUMNS}, PRIMARY KEY (series_id, bucket))')
        await conn.execute(f'CREATE INDEX "{relation}_bucket" ON {SCHEMA}."{relation}" (bucket)')
        await _remember(conn, made, width, relation, continuous=False)


async def _free_name(conn: Connection, base: str) -> str:
    """A class may be called as another one's rollups would be; they get a number then."""
    names = (base, *(f"{base}_{number}" for number in range(2, 100)))
    for name in names:
        if await conn.fetchval("SELECT to_regclass($1)", f'{SCHEMA}."{name}"') is None:
            return name
    return names[-1]


def _continuous(made: SampleClass, width: str, relation: str) -> str:
    return _CONTINUOUS.format(
        relation=f'{SCHEMA}."{relation}"',
        source=f'{SCHEMA}."{made.table}"',
        schema=SCHEMA,
        seconds=WIDTHS_US[width] // 1_000_000,
        value=_VALUE,
        exact=_EXACT,
    )


async def _remember(conn: Connection, made: SampleClass, width: str, relation: str, *, continuous: bool) -> None:
    await conn.execute(
        f"INSERT INTO {SCHEMA}.rollup (table_name, width, relation, continuous) VALUES ($1, $2, $3, $4)",
        *(made.table, width, relation, continuous),
    )


async def roll_up(conn: Connection, made: SampleClass, *, now: datetime, budget_s: float = BUDGET_S) -> bool:
    """Bring the rollups of a class up to date, newest first; the caller does so alone.

    Args:
        conn: An open connection, not in a transaction.
        made: The class.
        now: Buckets that are complete by then are rolled up.
        budget_s: The history before the first round is rolled up for so long.

    Returns:
        False when some of that history is left for the next round.
    """
    kept = await ensure_rollups(conn, made)
    changes = await conn.fetch(f"SELECT id, hours FROM {SCHEMA}.rollup_change WHERE table_name = $1", made.table)
    hours = sorted({hour for row in changes for hour in row["hours"]})
    oldest = await _oldest(conn, made)
    until_s, whole = time.monotonic() + budget_s, True
    for each in kept:
        work = _Work(conn, made, each)
        await work.again(hours)
        await work.forward(microseconds(now))
        whole &= await work.backward(oldest, until_s=until_s)
        await work.expire(now - timedelta(milliseconds=made.keep_ms))
    await conn.execute(
        f"DELETE FROM {SCHEMA}.rollup_change WHERE id = ANY($1::bigint[])", [row["id"] for row in changes]
    )
    return whole


def _sources(made: SampleClass) -> list[str]:
    return [made.table] if made.hypertable else [made.table, made.rest]


async def _oldest(conn: Connection, made: SampleClass) -> int | None:
    """The first sample, µs since 1970 UTC; the driver's years end at 1, so what lies before counts as 1900."""
    found = [
        await conn.fetchval(
            f"""SELECT greatest("time", '1900-01-01Z') FROM {SCHEMA}."{table}" ORDER BY "time" LIMIT 1"""
        )
        for table in _sources(made)
    ]
    moments = [microseconds(moment) for moment in found if moment is not None]
    return min(moments, default=None)


class _Work:
    """One width of one class."""

    def __init__(self, conn: Connection, made: SampleClass, kept: Kept) -> None:
        self._conn, self._made, self._kept = conn, made, kept
        self._width_us = kept.width_us
        self._from_us, self._until_us = kept.done_from_us, kept.done_until_us

    def _floor(self, time_us: int) -> int:
        return time_us - time_us % self._width_us

    async def again(self, hours: Sequence[int]) -> None:
        """Roll up what was written to since, as far as it was rolled up before."""
        if self._from_us is None or self._until_us is None:
            return
        spans: list[list[int]] = []
        for hour in hours:
            start = max(self._floor(hour * HOUR_US), self._from_us)
            end = min(self._floor((hour + 1) * HOUR_US - 1) + self._width_us, self._until_us)
            if start >= end:
                continue
            if spans and start <= spans[-1][1] and end - spans[-1][0] <= 24 * HOUR_US:
                spans[-1][1] = max(spans[-1][1], end)
            else:
                spans.append([start, end])
        for start, end in spans:
            await self._roll(start, end)

    async def forward(self, now_us: int) -> None:
        """Roll up what became complete."""
        target = self._floor(now_us)
        if self._until_us is None:
            self._from_us = self._until_us = target
            await self._save_progress()
        while self._until_us < target:
            end = min(target, self._until_us + max(self._width_us, HOUR_US * 6))
            start, self._until_us = self._until_us, end
            await self._roll(start, end)

    async def backward(self, oldest_us: int | None, *, until_s: float) -> bool:
        """Roll up the history, from the newest on; False when time ran out."""
        open_us = microseconds(OPEN_FROM)
        span_us = max(self._width_us, HOUR_US)
        while self._from_us is not None and self._from_us > open_us:
            if oldest_us is None or self._from_us <= oldest_us:
                self._from_us = open_us
                await self._save_progress()
                return True
            if time.monotonic() >= until_s:
                return False
            began_s = time.monotonic()
            end, self._from_us = self._from_us, max(self._floor(self._from_us - span_us), self._floor(oldest_us))
            await self._roll(self._from_us, end)
            took_s = time.monotonic() - began_s
            if took_s < _QUICK_S:
                span_us = min(2 * span_us, _LONGEST_US)
            elif took_s > _SLOW_S:
                span_us = max(span_us // 2, self._width_us, HOUR_US)
        return True

    async def expire(self, oldest: datetime) -> None:
        """Delete rollups that are older than the samples; those of protected series stay, as their samples do."""
        name: str | None = f'{SCHEMA}."{self._kept.relation}"'
        if self._kept.continuous:  # whole chunks as far as they go; where a series is protected its rows are looked at
            await self._conn.execute(
                f"SELECT drop_chunks($1::text::regclass, older_than => $2::timestamptz) WHERE NOT EXISTS ({KEPT} $3)",
                *(name, oldest, self._made.site),
            )
            protects = await self._conn.fetchval(f"SELECT EXISTS ({KEPT} $1)", self._made.site)
            name = await behind_aggregate(self._conn, self._kept.relation) if protects else None
        if name is None:
            return
        await self._conn.execute(
            f"DELETE FROM {name} WHERE bucket < $1 AND series_id NOT IN ({KEPT} $2)",
            *(oldest - timedelta(microseconds=self._width_us), self._made.site),
        )

    async def _roll(self, start_us: int, end_us: int) -> None:
        """Roll up whole buckets again, and say how far it reaches now."""
        start, end = moment_of(start_us), moment_of(end_us)
        name = f'{SCHEMA}."{self._kept.relation}"'
        if self._kept.continuous:  # it commits by itself, so what it reaches is said afterwards
            await self._conn.execute(
                f"CALL refresh_continuous_aggregate('{name}', timestamptz '{start.isoformat()}', timestamptz '{end.isoformat()}')"
            )
            await self._save_progress()
            return
        source = " UNION ALL ".join(
            f'SELECT "time", series_id, value, value_exact, quality FROM {SCHEMA}."{table}"'
            for table in _sources(self._made)
        )
        async with self._conn.transaction():
            await self._conn.execute(f"DELETE FROM {name} WHERE bucket >= $1 AND bucket < $2", start, end)
            await self._conn.execute(
                _ROLL.format(relation=name, source=source, value=_VALUE, exact=_EXACT, held=_HELD),
                *(start, end, timedelta(microseconds=self._width_us)),
            )
            await self._save_progress()

    async def _save_progress(self) -> None:
        await self._conn.execute(
            f"UPDATE {SCHEMA}.rollup SET done_from = $3, done_until = $4 WHERE table_name = $1 AND width = $2",
            *(self._kept.table, self._kept.width, moment_of(self._from_us or 0), moment_of(self._until_us or 0)),
        )


__all__ = [
    "Kept",
    "changed_hours",
    "ensure_rollups",
    "load_rollups",
    "mark_changed",
    "roll_up",
]
