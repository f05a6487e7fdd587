"""Native partitions of a class: which period holds a moment, and how one is made without holding up anybody.

Nothing here waits for a reader. To attach a partition excludes only another change of the same table, because there is
no default partition that would have to be searched.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nexus_cli.database.class_table import DAY_MS, SampleClass
from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA

LOCK_KEY = 0x6E6578_75730004
"""Advisory lock, with the site, of a session that makes a partition."""
MOST_MOVED = 100_000
"""Rows of a period that wait in the rest table move into its partition when it is made. Where there are more, the
period stays in the rest table: to move its rows would block writing."""
_BOUNDS = re.compile(r"FROM \('([^']+)'\) TO \('([^']+)'\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A partition of a class.

    Attributes:
        name: Its table.
        start: First moment, inclusive.
        end: Last moment, exclusive.
        leaving: True when a session has begun to detach it: no new statement sees it.
    """

    name: str
    start: datetime
    end: datetime
    leaving: bool = False


def period_of(moment: datetime, *, keep_ms: int) -> tuple[datetime, datetime]:
    """The partition that holds a moment: a day, a week (from Monday) or a month, by how long samples live.

    Days up to 31 days of keeping, weeks up to 800, else months: at most some 120 partitions for years of data.

    Args:
        moment: With a time zone.
        keep_ms: The class's `keep`.

    Returns:
        Start (inclusive) and end (exclusive), UTC.
    """
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if keep_ms <= 31 * DAY_MS:
        return day, day + timedelta(days=1)
    if keep_ms <= 800 * DAY_MS:
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


def periods_around(now: datetime, *, keep_ms: int) -> list[tuple[datetime, datetime]]:
    """The period before now, the one of now and the next: what is always prepared."""
    current = period_of(now, keep_ms=keep_ms)
    before = period_of(current[0] - timedelta(hours=1), keep_ms=keep_ms)
    return [before, current, period_of(current[1], keep_ms=keep_ms)]


def partition_name(table: str, start: datetime) -> str:
    """The name of the partition that begins at `start`."""
    return f"{table}_p{start:%Y%m%d}"


async def partitions(conn: Connection, made: SampleClass) -> list[Partition]:
    """The partitions of a class by their start, those that are leaving included."""
    rows = await conn.fetch(
        """SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bound, i.inhdetachpending AS leaving
           FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1::text::regclass""",
        f'{SCHEMA}."{made.table}"',
    )
    found = []
    for row in rows:
        bounds = _BOUNDS.search(row["bound"] or "")
        if bounds is not None:
            start, end = (_moment(text) for text in bounds.groups())
            found.append(Partition(name=row["relname"], start=start, end=end, leaving=row["leaving"]))
    return sorted(found, key=lambda each: each.start)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def ensure_partitions(conn: Connection, made: SampleClass, moments: Sequence[datetime]) -> list[datetime]:
    """Create the partitions that hold these moments, each in a transaction of its own.

    Returns:
        The starts of those that were created. A moment whose period can't have one stays with the rest table.
    """
    if made.hypertable:
        return []
    created = []
    for start, end in sorted({period_of(moment, keep_ms=made.keep_ms) for moment in moments}):
        async with conn.transaction():
            if await _make(conn, made, start, end):
                created.append(start)
    return created


async def _make(conn: Connection, made: SampleClass, start: datetime, end: datetime) -> bool:
    """Create one partition unless its period is taken; what the rest table holds of it moves into it."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, $2))", made.site, LOCK_KEY)
    if any(each.start < end and start < each.end for each in await partitions(conn, made)):
        return False  # it is there, or `keep` was changed and periods of another length lie here
    name = partition_name(made.table, start)
    if await conn.fetchval("SELECT to_regclass($1)", f'{SCHEMA}."{name}"') is not None:
        return False  # detached and not dropped yet: upkeep decides
    # From here on no session adds to the rest table, so that no row arrives there during the move.
    await conn.execute(f'LOCK TABLE {SCHEMA}."{made.rest}" IN SHARE ROW EXCLUSIVE MODE')
    waiting: int = await conn.fetchval(
        f'SELECT count(*) FROM (SELECT FROM {SCHEMA}."{made.rest}" WHERE "time" >= $1 AND "time" < $2 LIMIT $3) AS found',
        *(start, end, MOST_MOVED + 1),
    )
    if waiting > MOST_MOVED:
        return False
    await conn.execute(f'CREATE TABLE {SCHEMA}."{name}" (LIKE {SCHEMA}."{made.table}" INCLUDING ALL)')
    if waiting:
        await conn.execute(
            f'WITH moved AS (DELETE FROM {SCHEMA}."{made.rest}" WHERE "time" >= $1 AND "time" < $2 RETURNING *)'
            f' INSERT INTO {SCHEMA}."{name}" SELECT * FROM moved',
            *(start, end),
        )
    await attach(conn, made, Partition(name=name, start=start, end=end))
    return True


async def attach(conn: Connection, made: SampleClass, partition: Partition) -> None:
    """Make a table of the right shape a partition; excludes neither readers nor writers."""
    await conn.execute(
        f'ALTER TABLE {SCHEMA}."{made.table}" ATTACH PARTITION {SCHEMA}."{partition.name}"'
        f" FOR VALUES FROM ('{partition.start.isoformat()}') TO ('{partition.end.isoformat()}')"
    )
