"""Upkeep on a real PostgreSQL without TimescaleDB: partitions come and go while others read and write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from nexus_cli.database import retention
from nexus_cli.database.class_table import DAY_MS, SampleClass
from nexus_cli.database.connect import UPKEEP, WRITING, Connection, connection, open_connection
from nexus_cli.database.copy import PLAIN_COLUMNS, pack_plain
from nexus_cli.database.partitions import MOST_MOVED, partitions
from nexus_cli.database.retention import Upkeep, keep_up
from nexus_cli.database.sample_class import ensure_class, refresh_view
from nexus_cli.database.samples import SampleTables, copy_staged, copy_straight
from nexus_cli.settings import Settings
from tests.postgres import SITE

pytestmark = pytest.mark.needs_database
NOW = datetime.now(UTC).replace(microsecond=0)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def packed(moments: Sequence[datetime], *, series: int = 1) -> bytes:
    """One row of value 1 at each moment."""
    times = np.array([(moment - EPOCH) // timedelta(microseconds=1) for moment in moments], dtype=np.int64)
    ones = np.ones(len(moments))
    return pack_plain(times, np.full(len(moments), series, dtype=np.int32), ones)


async def store(conn: Connection, made: SampleClass, *moments: datetime) -> int:
    """Store rows the careful way; gives how many were new."""
    async with conn.transaction():
        inserted, conflicts = await copy_staged(conn, made, [packed(moments)], PLAIN_COLUMNS)
    assert conflicts == []
    return inserted


async def fresh(conn: Connection, *, keep_days: int = 5) -> SampleClass:
    """A class with daily partitions for the last days."""
    made = await ensure_class(conn, "short", site=SITE, keep_ms=keep_days * DAY_MS)
    days = [(NOW - timedelta(days=back) - EPOCH).days for back in range(keep_days + 1)]
    assert await SampleTables(site=SITE).prepare(conn, "short", days, now=NOW)
    return made


async def round_of(database: Settings, now: datetime) -> Upkeep:
    """One round of upkeep with the limits that it has in the historian."""
    conn = await open_connection(database, application="upkeep", limits=UPKEEP)
    try:
        done = await keep_up(conn, site=SITE, now=now)
    finally:
        await conn.close()
    assert done is not None
    return done


@asynccontextmanager
async def a_reader(database: Settings) -> AsyncIterator[None]:
    """A report that reads the view and stays in its transaction."""
    conn = await open_connection(database, application="report")
    try:
        async with conn.transaction():
            await conn.fetchval("SELECT count(*) FROM nexus.sample")
            yield
    finally:
        await conn.close()


async def test_retention_drops_makes_and_indexes_partitions(database: Settings) -> None:
    async with connection(database) as conn:
        made = await fresh(conn)
        ages = (0, 1, 4, 5, 30, -300)
        assert await store(conn, made, *(NOW - timedelta(days=back) for back in ages)) == len(ages)
        assert await conn.fetchval(f"SELECT count(*) FROM nexus.{made.rest}") == 2  # a month late; a year ahead
        done = await round_of(database, NOW + timedelta(days=2))
        assert done.deleted_rows == 1
        assert len(done.dropped) >= 2
        assert done.created >= 1
        assert len(done.indexed) >= 2
        assert done.postponed == ()
        left = {row["time"] for row in await conn.fetch("SELECT time FROM nexus.sample")}
        assert left == {NOW, NOW - timedelta(days=1), NOW + timedelta(days=300)}
        assert await round_of(database, NOW + timedelta(days=2)) == Upkeep()
        # the year goes by: the row that a wrong clock left outside moves to its own partition
        await round_of(database, NOW + timedelta(days=300))
        assert await conn.fetchval(f"SELECT count(*) FROM nexus.{made.rest}") == 0
        assert await conn.fetchval(f"SELECT count(*) FROM nexus.{made.table}") == 1


async def test_a_long_report_holds_up_neither_writing_nor_reading_nor_the_next_round(
    database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PATIENT_S", 4.0)
    monkeypatch.setattr(retention, "INDEX_S", 4.0)
    impatient = replace(WRITING, lock_s=0.5)
    later = NOW + timedelta(days=3)
    async with connection(database) as conn:
        made = await fresh(conn)
        await store(conn, made, *(NOW - timedelta(days=back) for back in range(5)))
        old = {each.name for each in await partitions(conn, made) if each.end <= later - timedelta(days=5)}
        assert len(old) >= 2
        writer = await open_connection(database, application="writer", limits=impatient)
        reader = await open_connection(database, application="reader", limits=impatient)
        try:
            async with a_reader(database), asyncio.TaskGroup() as group:
                upkeep = group.create_task(round_of(database, later))
                number = 0
                while not upkeep.done():  # behind somebody who waits for the report these raise
                    number += 1
                    moment = NOW - timedelta(seconds=number)
                    await copy_straight(writer, made.table, [packed([moment], series=2)], PLAIN_COLUMNS)
                    assert await reader.fetchval("SELECT count(*) FROM nexus.sample WHERE series_id = 2") == number
            assert number > 1
        finally:
            await writer.close()
            await reader.close()
        postponed = upkeep.result().postponed
        assert f"old partitions of {made.table}" in postponed
        assert any(what.startswith("index of") for what in postponed)
        done = await round_of(database, later)  # the report has ended
        assert set(done.dropped) == old
        assert done.postponed == ()
        assert len(done.indexed) >= 1
        assert await conn.fetchval("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0


async def test_a_round_that_ended_between_detaching_and_dropping_is_finished(database: Settings) -> None:
    async with connection(database) as conn:
        made = await fresh(conn)
        await store(conn, made, NOW - timedelta(days=5), NOW - timedelta(days=1))
        names = [each.name for each in await partitions(conn, made)]
        for name in (names[0], names[-3]):  # the oldest, and yesterday's as if `keep` had been raised since
            await conn.execute(f"ALTER TABLE nexus.{made.table} DETACH PARTITION nexus.{name} CONCURRENTLY")
        done = await round_of(database, NOW + timedelta(days=1))
        assert names[0] in done.dropped
        assert names[-3] in {each.name for each in await partitions(conn, made)}
        assert await conn.fetchval("SELECT count(*) FROM nexus.sample") == 1


async def test_a_partition_is_made_while_a_report_reads(database: Settings) -> None:
    async with connection(database) as conn:
        made = await ensure_class(conn, "short", site=SITE, keep_ms=20 * DAY_MS)
        day = (NOW - timedelta(days=10) - EPOCH).days
        writer = await open_connection(database, application="writer", limits=WRITING)
        try:
            async with a_reader(database):
                assert await SampleTables(site=SITE).prepare(writer, "short", [day], now=NOW)
                await copy_straight(writer, made.table, [packed([NOW - timedelta(days=10)])], PLAIN_COLUMNS)
        finally:
            await writer.close()
        assert await conn.fetchval(f"SELECT count(*) FROM nexus.{made.rest}") == 0


async def test_a_period_with_very_many_stray_rows_stays_where_it_is(database: Settings) -> None:
    """A gateway that ran a month ahead: no statement of the writer ever has to move its history."""
    ahead = NOW.replace(hour=0, minute=0, second=0) + timedelta(days=30)
    async with connection(database) as conn:
        made = await fresh(conn)
        many = [ahead + timedelta(milliseconds=number * 100) for number in range(MOST_MOVED + 1)]
        assert await store(conn, made, *many) == len(many)
        day = (ahead - EPOCH).days
        tables = SampleTables(site=SITE)
        assert not await tables.prepare(conn, "short", [day], now=ahead)
        assert await store(conn, made, ahead + timedelta(hours=20), many[0]) == 1
        assert await conn.fetchval("SELECT count(*) FROM nexus.sample") == len(many) + 1
        done = await round_of(database, ahead + timedelta(days=9))
        assert done.deleted_rows == len(many) + 1


async def test_a_straight_row_without_a_partition_is_refused_and_the_staged_one_kept(database: Settings) -> None:
    import asyncpg

    async with connection(database) as conn:
        made = await fresh(conn)
        stray = NOW - timedelta(days=4000)
        with pytest.raises(asyncpg.CheckViolationError):
            await copy_straight(conn, made.table, [packed([stray])], PLAIN_COLUMNS)
        assert await store(conn, made, stray, NOW) == 2
        assert await store(conn, made, stray, NOW) == 0
        assert await conn.fetchval(f"SELECT count(*) FROM nexus.{made.rest}") == 1


async def test_a_new_class_does_not_wait_for_a_reader_of_the_view(database: Settings) -> None:
    async def shown(conn: Any) -> int:
        found: int = await conn.fetchval("SELECT count(*) FROM nexus.sample")
        return found

    async with connection(database) as conn:
        await ensure_class(conn, "one", site=SITE)
        async with a_reader(database):
            made = await ensure_class(conn, "two", site=SITE)  # without an end it would wait for the report's
            await store(conn, made, NOW)
            assert await shown(conn) == 0
        assert await refresh_view(conn)
        assert await shown(conn) == 1
        assert await refresh_view(conn)
