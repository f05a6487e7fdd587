"""How many samples a series has, from when to when, and how much room they take: without reading all of them.

A year of one tag at 1 s is 31 million rows. Rollups have counts by the day or hour, so the sum of a few thousand rows
answers; only what is not rolled up yet is counted in the samples. Every statement has the time that is left, and
what is not counted by then is estimated from the planner's statistics.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import asyncpg
import orjson

from nexus_cli.database.class_table import SampleClass
from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.rollup_tables import OPEN_FROM, Kept, changed_hours, load_rollups
from nexus_cli.database.sample_class import load_classes
from nexus_cli.database.session import bound_transaction
from nexus_cli.database.timescale import can_aggregate
from nexus_cli.model.calendar import microseconds, moment_of

BUDGET_S = 4.0
"""Longest work on one question, in seconds."""
LEAST_S = 0.2
"""With less time left no statement is begun."""
MOST_ESTIMATED = 50
"""Series whose rows the planner is asked for one by one."""
MOST_COUNTED = 20_000_000
"""Rows of a class, by its statistics, up to which its samples are counted where no rollup has them."""
ROW_BYTES = 110
"""A row with its part of the unique index, where the table has no statistics: a tuple header of 24 bytes, an item
pointer of 4, time, id, value and quality with padding about 28, source time 8; an index entry of 24 to 40.
Source: PostgreSQL 15 documentation, 73.6 "Database Page Layout" and 67.4 "B-Tree Implementation"."""
LEAST_ROWS = 1000
"""Rows by the statistics, from which on the size of a row is that of the table divided by them."""
TOO_LONG = "counting took too long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What is stored of a series.

    Attributes:
        path: Of the series.
        samples: Rows; None is not known.
        exact: False for an estimate.
        first_us, last_us: Times of the first and last sample, µs since 1970 UTC.
        size_bytes: With its part of the index; an estimate. None is not known.
        why: Why something is estimated or not known; "" otherwise.
    """

    path: str
    samples: int | None = 0
    exact: bool = True
    first_us: int | None = None
    last_us: int | None = None
    size_bytes: int | None = 0
    why: str = ""

    def plus(self, rows: int, first: datetime | None, last: datetime | None, row_bytes: float) -> Stored:
        """With the rows of one more table."""
        spans = [each for each in (self.first_us, None if first is None else microseconds(first)) if each is not None]
        ends = [each for each in (self.last_us, None if last is None else microseconds(last)) if each is not None]
        return replace(
            self,
            samples=(self.samples or 0) + rows,
            first_us=min(spans, default=None),
            last_us=max(ends, default=None),
            size_bytes=(self.size_bytes or 0) + round(rows * row_bytes),
        )


class _TooLong(Exception):
    """The time of the question is over."""


class _Budget:
    """The time that is left for a question."""

    def __init__(self, budget_s: float) -> None:
        self._until_s = time.monotonic() + budget_s

    @asynccontextmanager
    async def statement(self, conn: Connection) -> AsyncIterator[None]:
        """A transaction that reads, and ends in time. Raises _TooLong."""
        left_s = self._until_s - time.monotonic()
        if left_s < LEAST_S:
            raise _TooLong
        try:
            async with conn.transaction(readonly=True):
                await bound_transaction(conn, lock_s=left_s, statement_s=left_s)
                yield
        except (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError):
            raise _TooLong from None


async def stored_samples(
    conn: Connection, *, site: str, paths: Sequence[str], budget_s: float = BUDGET_S
) -> dict[str, Stored]:
    """What is stored of the series at these paths, by path; a path without a series is left out.

    Args:
        conn: An open connection, not in a transaction.
        site: `enterprise/site`.
        paths: `area/line/device/tag`.
        budget_s: When it is over, what is not counted is estimated, or not known.
    """
    rows = await conn.fetch(
        f"SELECT id, path FROM {SCHEMA}.series WHERE site = $1 AND path = ANY($2::text[])", site, list(paths)
    )
    found = {row["id"]: Stored(path=row["path"]) for row in rows}
    budget = _Budget(budget_s)
    if found:
        for made in (await load_classes(conn, site=site)).values():
            await _add_class(conn, made, found, budget)
    return {one.path: one for one in found.values()}


async def _add_class(conn: Connection, made: SampleClass, found: dict[int, Stored], budget: _Budget) -> None:
    """Add what one class has of the series; one that changed its class has samples in several."""
    row_bytes = float(ROW_BYTES)
    try:
        rows, size = await _table_statistics(conn, made, budget)
        if rows >= LEAST_ROWS:
            row_bytes = size / rows
        elif made.hypertable and await can_aggregate(conn):  # an Apache edition compresses nothing
            row_bytes *= await _compressed_to(conn, made, size, budget)
        for part, exact in await _counted(conn, made, list(found), rows, budget):
            for row in part:
                one = found[row["series_id"]]
                counted = one.plus(row["rows"], row["first"], row["last"], row_bytes)
                found[row["series_id"]] = counted if exact else replace(counted, exact=False, why=_LATE)
    except _TooLong:
        await _estimate(conn, made, found, row_bytes)


_LATE = "late samples are not rolled up yet"


async def _counted(
    conn: Connection, made: SampleClass, ids: list[int], rows: float, budget: _Budget
) -> list[tuple[list[asyncpg.Record], bool]]:
    """Rows, first and last time by series: of what is rolled up, then of the samples after it. Raises _TooLong."""
    async with budget.statement(conn):
        kept = next((each for each in await load_rollups(conn, [made.table]) if _whole(each)), None)
    if kept is None:
        if rows > MOST_COUNTED:
            raise _TooLong
        return [(await _of_samples(conn, made, ids, OPEN_FROM, budget), True)]
    assert kept.done_until_us is not None
    until = moment_of(kept.done_until_us)
    async with budget.statement(conn):
        late = await changed_hours(conn, [made.table])
        rolled = await conn.fetch(
            f"""SELECT series_id, sum(n)::bigint AS rows, min(first_time) AS first, max(last_time) AS last
                FROM {SCHEMA}."{kept.relation}" WHERE series_id = ANY($1::int[]) AND bucket < $2 GROUP BY series_id""",
            ids,
            until,
        )
    hour_us = 3_600_000_000
    exact = not any(hour * hour_us < kept.done_until_us for hour in late)
    return [(rolled, exact), (await _of_samples(conn, made, ids, until, budget), True)]


def _whole(kept: Kept) -> bool:
    """Whether the history before the first round is rolled up, too."""
    first_us = microseconds(OPEN_FROM)
    return kept.done_until_us is not None and kept.done_from_us is not None and kept.done_from_us <= first_us


async def _of_samples(
    conn: Connection, made: SampleClass, ids: list[int], since: datetime, budget: _Budget
) -> list[asyncpg.Record]:
    tables = _tables(made)
    union = " UNION ALL ".join(
        f'SELECT series_id, "time" FROM {SCHEMA}."{table}" WHERE "time" >= $2 AND series_id = ANY($1::int[])'
        for table in tables
    )
    async with budget.statement(conn):
        found: list[asyncpg.Record] = await conn.fetch(
            f"""SELECT series_id, count(*) AS rows, min("time") AS first, max("time") AS last
                FROM ({union}) AS sample GROUP BY series_id""",
            ids,
            since,
        )
    return found


async def _table_statistics(conn: Connection, made: SampleClass, budget: _Budget) -> tuple[float, int]:
    """Rows of a class by PostgreSQL's statistics (0 where there are none yet), and its bytes with indexes."""
    async with budget.statement(conn):
        if made.hypertable:
            row = await conn.fetchrow(
                "SELECT approximate_row_count($1::text::regclass)::float8 AS rows,"
                " hypertable_size($1::text::regclass) AS size",
                f'{SCHEMA}."{made.table}"',
            )
        else:
            row = await conn.fetchrow(
                """SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::float8 AS rows,
                     coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint AS size
                   FROM (SELECT relid FROM pg_partition_tree($1::text::regclass) WHERE isleaf
                         UNION SELECT $2::text::regclass) AS leaf JOIN pg_class c ON c.oid = leaf.relid""",
                f'{SCHEMA}."{made.table}"',
                f'{SCHEMA}."{made.rest}"',
            )
    return float(row["rows"]), int(row["size"] or 0)


async def _compressed_to(conn: Connection, made: SampleClass, size: int, budget: _Budget) -> float:
    """What compression leaves of a hypertable: its bytes by those that it had without. A chunk that was just compressed has
    no statistics of its rows until the server's next round, and takes a fiftieth of them."""
    async with budget.statement(conn):
        row = await conn.fetchrow(
            """SELECT sum(before_compression_total_bytes)::bigint AS before, sum(after_compression_total_bytes)::bigint AS after
               FROM hypertable_compression_stats($1::text::regclass)""",
            f'{SCHEMA}."{made.table}"',
        )
    before, after = (row["before"] or 0, row["after"] or 0) if row else (0, 0)
    plain = size - after + before
    return size / plain if 0 < size <= plain else 1.0


async def _estimate(conn: Connection, made: SampleClass, found: dict[int, Stored], row_bytes: float) -> None:
    """Add what the planner expects of each series; of more than `MOST_ESTIMATED` nothing is known then."""
    for number, (series_id, one) in enumerate(list(found.items())):
        rows = None
        if number < MOST_ESTIMATED:
            rows = await _expected(conn, made, series_id)
        if rows is None or one.samples is None:
            found[series_id] = replace(one, samples=None, size_bytes=None, exact=False, why=TOO_LONG)
        else:
            found[series_id] = replace(
                one.plus(rows, None, None, row_bytes), exact=False, why=f"{TOO_LONG}; by the planner's statistics"
            )


async def _expected(conn: Connection, made: SampleClass, series_id: int) -> int | None:
    """Rows of a series as the planner expects; it reads statistics alone. None when even that takes too long."""
    union = " UNION ALL ".join(
        f'SELECT 1 FROM {SCHEMA}."{table}" WHERE series_id = {series_id:d}' for table in _tables(made)
    )
    try:
        async with conn.transaction(readonly=True):
            await bound_transaction(conn, lock_s=LEAST_S, statement_s=LEAST_S)
            plan = orjson.loads(await conn.fetchval(f"EXPLAIN (FORMAT JSON) {union}"))
    except (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError):
        return None
    return int(plan[0]["Plan"]["Plan Rows"])


def _tables(made: SampleClass) -> list[str]:
    return [made.table] if made.hypertable else [made.table, made.rest]
