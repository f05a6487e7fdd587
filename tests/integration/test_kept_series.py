"""Series that are never dropped (`keep: always`), on a real PostgreSQL: partitions go, their rows stay."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

from nexus_cli.database import kept_series
from nexus_cli.database.class_table import DAY_MS, SampleClass
from nexus_cli.database.connect import Connection, connection
from nexus_cli.database.copy import PLAIN_COLUMNS
from nexus_cli.database.minting import SeriesFacts, create_series
from nexus_cli.database.partitions import partitions
from nexus_cli.database.sample_class import ensure_class
from nexus_cli.database.samples import copy_staged
from nexus_cli.settings import Settings
from tests.integration.test_retention import NOW, fresh, packed, round_of
from tests.postgres import SITE

pytestmark = pytest.mark.needs_database
LATER = NOW + timedelta(days=400)


async def series(conn: Connection, *names: str) -> list[int]:
    """Series of class `short`, with their ids in the order of their names."""
    facts = [SeriesFacts(f"a/l/d/{name}", "float64", "", "short", False, "{}", "{}") for name in names]
    await create_series(conn, site=SITE, facts=facts)
    rows = await conn.fetch("SELECT id, path FROM nexus.series WHERE site = $1", SITE)
    ids = {row["path"]: row["id"] for row in rows}
    return [ids[each.path] for each in facts]


async def deployed(conn: Connection) -> int:
    """A deployment for the record of who protected what."""
    return int(
        await conn.fetchval(
            "INSERT INTO nexus.deployment (site, number, who, outcome, base_digest, desired_digest, plan)"
            " VALUES ($1, 7, 'anna', 'applied', '', '', '{}') RETURNING id",
            SITE,
        )
    )


async def fill(conn: Connection, made: SampleClass, ids: list[int], *, days: int = 5) -> None:
    moments = [NOW - timedelta(days=back) for back in range(days)]
    for each in ids:
        async with conn.transaction():
            await copy_staged(conn, made, [packed(moments, series=each)], PLAIN_COLUMNS)


async def policies(conn: Connection, made: SampleClass) -> int:
    """How many policies of TimescaleDB drop chunks of a class."""
    if not made.hypertable:
        return 0
    return int(
        await conn.fetchval(
            "SELECT count(*) FROM timescaledb_information.jobs WHERE hypertable_name = $1 AND proc_name = $2",
            *(made.table, "policy_retention"),
        )
    )


async def left(conn: Connection, series_id: int) -> int:
    return int(await conn.fetchval("SELECT count(*) FROM nexus.sample WHERE series_id = $1", series_id))


@pytest.mark.every_database
async def test_a_protected_series_outlives_its_partitions_and_no_other_does(database: Settings) -> None:
    async with connection(database) as conn:
        made = await fresh(conn)
        kept, other = await series(conn, "kept", "other")
        await fill(conn, made, [kept, other])
        assert await kept_series.protect(conn, site=SITE, paths=["a/l/d/kept"], deployment_id=await deployed(conn)) == 1
        before = await conn.fetch("SELECT * FROM nexus.sample WHERE series_id = $1 ORDER BY time", kept)
        done = await round_of(database, LATER)
        assert len(done.dropped) >= 5 and done.postponed == ()
        assert await conn.fetch("SELECT * FROM nexus.sample WHERE series_id = $1 ORDER BY time", kept) == before
        assert await left(conn, other) == 0
        # what is there stays there, and further rounds have nothing to do
        again = await round_of(database, LATER)
        assert (again.dropped, again.deleted_rows, await left(conn, kept)) == ((), 0, len(before))
        assert await policies(conn, made) == 0
        assert await kept_series.end(conn, site=SITE, path="a/l/d/kept")
        if made.hypertable:  # from now on the server drops old chunks, in its own time
            assert (await round_of(database, LATER)).dropped == ()
            assert await policies(conn, made) == 1
            return
        assert (await round_of(database, LATER)).deleted_rows == len(before)
        assert await left(conn, kept) == 0


async def test_a_round_that_ended_between_detaching_and_dropping_loses_no_protected_row(database: Settings) -> None:
    async with connection(database) as conn:
        made = await fresh(conn)
        kept, other = await series(conn, "kept", "other")
        await fill(conn, made, [kept, other])
        await kept_series.protect(conn, site=SITE, paths=["a/l/d/kept"], deployment_id=await deployed(conn))
        for each in (await partitions(conn, made))[:3]:
            await conn.execute(f'ALTER TABLE nexus."{made.table}" DETACH PARTITION nexus."{each.name}"')
        await round_of(database, LATER)
        assert (await left(conn, kept), await left(conn, other)) == (5, 0)


async def test_a_row_that_is_saved_twice_is_there_once_and_the_first_stays(database: Settings) -> None:
    async with connection(database) as conn:
        made = await fresh(conn)
        (kept,) = await series(conn, "kept")
        await fill(conn, made, [kept])
        await kept_series.protect(conn, site=SITE, paths=["a/l/d/kept"], deployment_id=await deployed(conn))
        part = next(
            each.name for each in await partitions(conn, made) if each.start <= NOW - timedelta(days=2) < each.end
        )
        await conn.execute(f'ALTER TABLE nexus."{made.table}" DETACH PARTITION nexus."{part}"')
        first = await kept_series.save_rows(conn, made, part)
        assert first > 0 and await kept_series.save_rows(conn, made, part) == 0


async def test_late_rows_of_a_protected_series_stay_and_others_go_after_their_time(database: Settings) -> None:
    async with connection(database) as conn:
        made = await fresh(conn)
        kept, other = await series(conn, "kept", "other")
        await kept_series.protect(conn, site=SITE, paths=["a/l/d/kept"], deployment_id=await deployed(conn))
        long_ago = NOW - timedelta(days=300)
        for each in (kept, other):
            await conn.execute(
                f'INSERT INTO nexus."{made.rest}" (time, series_id, value, quality) VALUES ($1, $2, 1, 0)',
                *(long_ago, each),
            )
        assert (await round_of(database, NOW)).deleted_rows == 1
        assert (await left(conn, kept), await left(conn, other)) == (1, 0)


async def test_a_held_class_deletes_by_days_and_leaves_protected_rows(database: Settings) -> None:
    """A class with days on hold deletes day by day: protected rows stay there, too."""
    async with connection(database) as conn:
        made = await fresh(conn)
        kept, other = await series(conn, "kept", "other")
        await kept_series.protect(conn, site=SITE, paths=["a/l/d/kept"], deployment_id=await deployed(conn))
        for back in (300, 301):
            for each in (kept, other):
                await conn.execute(
                    f'INSERT INTO nexus."{made.rest}" (time, series_id, value, quality) VALUES ($1, $2, 1, 0)',
                    *(NOW - timedelta(days=back), each),
                )
        await conn.execute(
            "INSERT INTO nexus.archive_day (site, class, day, state, hold_until)"
            " VALUES ($1, 'short', '2001-01-01', 'verified', now() + interval '1 day')",
            SITE,
        )
        assert (await round_of(database, NOW)).deleted_rows == 2
        assert (await round_of(database, NOW)).deleted_rows == 0
        assert (await left(conn, kept), await left(conn, other)) == (2, 0)


@pytest.mark.every_database
async def test_the_rollups_of_a_protected_series_stay(database: Settings) -> None:
    async with connection(database) as conn:
        made = await ensure_class(conn, "short", site=SITE, keep_ms=5 * DAY_MS, rollups=["1h"])
        kept, other = await series(conn, "kept", "other")
        await fill(conn, made, [kept, other])
        await kept_series.protect(conn, site=SITE, paths=["a/l/d/kept"], deployment_id=await deployed(conn))
        await round_of(database, NOW)
        relation = await conn.fetchval("SELECT relation FROM nexus.rollup WHERE table_name = $1 LIMIT 1", made.table)
        rolled = await conn.fetchval(f'SELECT count(*) FROM nexus."{relation}" WHERE series_id = $1', kept)
        assert rolled > 0
        await round_of(database, LATER)
        counts = {
            each: await conn.fetchval(f'SELECT count(*) FROM nexus."{relation}" WHERE series_id = $1', each)
            for each in (kept, other)
        }
        assert counts[kept] >= rolled and counts[other] == 0


@pytest.mark.every_database
async def test_the_key_refuses_that_a_protected_series_is_deleted(database: Settings) -> None:
    async with connection(database) as conn:
        await fresh(conn)
        (kept,) = await series(conn, "kept")
        await kept_series.protect(conn, site=SITE, paths=["a/l/d/kept"], deployment_id=await deployed(conn))
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await conn.execute("DELETE FROM nexus.series WHERE id = $1", kept)
        assert [each.path for each in await kept_series.kept_series(conn, site=SITE)] == ["a/l/d/kept"]
        assert await kept_series.kept_series(conn, site=SITE, among=["a/l/d/other"]) == []
        assert not await kept_series.end(conn, site=SITE, path="a/l/d/other")
