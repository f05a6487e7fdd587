"""Retention without TimescaleDB: drop old partitions, make the next ones, index those that are complete."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nexus_cli.database.connect import Connection
from nexus_cli.database.sample_class import (
    LOCK_KEY,
    SampleClass,
    ensure_partitions,
    load_classes,
    period_of,
    periods_around,
)
from nexus_cli.database.tables import SCHEMA

_NAME = re.compile(r"_p(\d{8})\Z")
_BOUND = re.compile(r"TO \('([^']+)'\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """What one round of upkeep did.

    Attributes:
        dropped: Partitions that were dropped.
        created: How many were made ahead.
        indexed: Complete partitions that got their index by series.
        deleted_rows: Old rows deleted from default partitions.
    """

    dropped: tuple[str, ...] = ()
    created: int = 0
    indexed: tuple[str, ...] = ()
    deleted_rows: int = 0


async def keep_up(conn: Connection, *, now: datetime) -> Upkeep | None:
    """One round over all classes, under an advisory lock; None when another process is at it.

    Args:
        conn: An open connection, not in a transaction.
        now: The time to measure ages from.
    """
    if not await conn.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY + 1):
        return None
    try:
        dropped: list[str] = []
        indexed: list[str] = []
        created = deleted = 0
        for made in (await load_classes(conn)).values():
            if made.hypertable:
                continue
            moments = [start for start, _ in periods_around(now, keep_ms=made.keep_ms)[1:]]
            created += await ensure_partitions(conn, made, moments)
            dropped += await _drop_old(conn, made, now=now)
            deleted += await _delete_old(conn, made, now=now)
            indexed += await _index_complete(conn, made, now=now)
        return Upkeep(dropped=tuple(dropped), created=created, indexed=tuple(indexed), deleted_rows=deleted)
    finally:
        await conn.execute("SELECT pg_advisory_unlock($1)", LOCK_KEY + 1)


async def _partitions(conn: Connection, table: str) -> list[tuple[str, datetime]]:
    """Name and end of every partition with bounds, by name."""
    rows = await conn.fetch(
        """SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits i
           JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1::text::regclass ORDER BY c.relname""",
        f'{SCHEMA}."{table}"',
    )
    found = []
    for row in rows:
        bound = _BOUND.search(row["bound"])
        if bound is not None and _NAME.search(row["relname"]):
            end = datetime.fromisoformat(bound[1])
            found.append((row["relname"], end if end.tzinfo else end.replace(tzinfo=UTC)))
    return found


async def _drop_old(conn: Connection, made: SampleClass, *, now: datetime) -> list[str]:
    oldest = now - timedelta(milliseconds=made.keep_ms)
    names = [name for name, end in await _partitions(conn, made.table) if end <= oldest]
    for name in names:
        await conn.execute(f'DROP TABLE IF EXISTS {SCHEMA}."{name}"')
    return names


async def _delete_old(conn: Connection, made: SampleClass, *, now: datetime) -> int:
    """Rows that came later than their partition lived lie in the default partition."""
    done: str = await conn.execute(
        f'DELETE FROM {SCHEMA}."{made.table}_default" WHERE "time" < $1', now - timedelta(milliseconds=made.keep_ms)
    )
    return int(done.split()[-1])


async def _index_complete(conn: Connection, made: SampleClass, *, now: datetime) -> list[str]:
    """Index by series what is written no more: the unique key begins with the time, which serves writing, not reading.

    While a partition is being written a second index would cost a third of the speed (FIELD §7).
    """
    current, _ = period_of(now, keep_ms=made.keep_ms)
    indexed = []
    for name, end in await _partitions(conn, made.table):
        if end > current - timedelta(hours=1):
            continue
        index = f"{name}_series"
        if await conn.fetchval("SELECT to_regclass($1)", f'{SCHEMA}."{index}"') is None:
            await conn.execute(f'CREATE INDEX "{index}" ON {SCHEMA}."{name}" (series_id, "time")')
            indexed.append(name)
    return indexed
