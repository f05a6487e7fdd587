"""What goes from a TimescaleDB: purges, protected series and rollups over compressed chunks of a usual size."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from nexus_cli.database import kept_series, purges, sample_class
from nexus_cli.database.class_table import DAY_MS, SampleClass
from nexus_cli.database.connect import Connection, connection, open_pool
from nexus_cli.database.sample_class import bring_all_policies, ensure_class, find_class
from nexus_cli.database.sample_counts import stored_samples
from nexus_cli.settings import Settings
from tests.integration.archive_child import CHUNKS
from tests.integration.test_archive_killed import LATER, killed_at
from tests.integration.test_kept_series import deployed, left, policies, series
from tests.integration.test_purge import FIRST, forget, job, wanted, worker
from tests.integration.test_retention import NOW, round_of
from tests.postgres import SITE

pytestmark = [pytest.mark.needs_database]


@pytest.fixture
def server_kind() -> str:
    """These need a TimescaleDB."""
    return "timescale"


async def compressed(conn: Connection, made: SampleClass, ids: list[int], *, days: int, step_s: float) -> int:
    """Rows of each series over the last days, value = its number, all compressed. Gives how many each has."""
    count = round(days * 86400 / step_s)
    await conn.execute(
        f'INSERT INTO nexus."{made.table}" (time, series_id, value, quality)'
        " SELECT $1::timestamptz - make_interval(secs => n * $2::float8), s, n, 192"
        " FROM generate_series(1, $3::int) n, unnest($4::int[]) s",
        *(NOW, step_s, count, ids),
    )
    await conn.execute("SELECT compress_chunk(c, true) FROM show_chunks($1::text::regclass) c", f"nexus.{made.table}")
    return count


async def rolled(conn: Connection, made: SampleClass, series_id: int) -> int:
    relation = await conn.fetchval(
        "SELECT relation FROM nexus.rollup WHERE table_name = $1 AND width = '1h'", made.table
    )
    return int(await conn.fetchval(f'SELECT count(*) FROM nexus."{relation}" WHERE series_id = $1', series_id))


async def test_a_purge_of_a_fast_tag_in_compressed_chunks(database: Settings) -> None:
    """More rows within one of its batches than TimescaleDB decompresses for one transaction."""
    pool = await open_pool(database)
    try:
        async with connection(database) as conn:
            made = await ensure_class(conn, "short", site=SITE, keep_ms=5 * DAY_MS, compress_after_ms=DAY_MS)
            gone, other = await series(conn, "gone", "other")
            rows = await compressed(conn, made, [gone, other], days=1, step_s=0.1)
            await round_of(database, NOW)
            assert await rolled(conn, made, gone) >= 24
            await forget(conn, gone)
            await wanted(conn, "a/l/d/gone")
            await worker(database, pool).purge(job())
            found = await purges.find_purge(conn, SITE, FIRST)
            assert found is not None
            assert (found.state, found.removed, found.samples) == ("done", 1, rows)
            assert (await left(conn, gone), await left(conn, other)) == (0, rows)
            assert (await rolled(conn, made, gone), await rolled(conn, made, other) >= 24) == (0, True)
    finally:
        pool.terminate()


async def test_a_compressed_chunk_goes_but_for_its_protected_rows(database: Settings) -> None:
    async with connection(database) as conn:
        made = await ensure_class(conn, "short", site=SITE, keep_ms=5 * DAY_MS, compress_after_ms=DAY_MS)
        kept, other = await series(conn, "kept", "other")
        rows = await compressed(conn, made, [kept, other], days=2, step_s=0.5)
        await kept_series.protect(conn, site=SITE, paths=["a/l/d/kept"], deployment_id=await deployed(conn))
        before = await conn.fetch("SELECT * FROM nexus.sample WHERE series_id = $1 ORDER BY time", kept)
        done = await round_of(database, NOW + timedelta(days=400))
        assert done.postponed == ()
        assert (await left(conn, kept), await left(conn, other)) == (rows, 0)
        assert await conn.fetch("SELECT * FROM nexus.sample WHERE series_id = $1 ORDER BY time", kept) == before
        again = await round_of(database, NOW + timedelta(days=400))
        assert (again.dropped, again.deleted_rows, await left(conn, kept)) == ((), 0, rows)


@pytest.mark.parametrize("step", CHUNKS)
async def test_killed_while_a_chunk_with_protected_rows_is_dropped(
    database: Settings, tmp_path: Path, step: str
) -> None:
    async with connection(database) as conn:
        made = await ensure_class(conn, "short", site=SITE, keep_ms=5 * DAY_MS, compress_after_ms=DAY_MS)
        kept, other = await series(conn, "kept", "other")
        # Before the rows are there: the server's own policy would drop them, as soon as it looks.
        await kept_series.protect(conn, site=SITE, paths=["a/l/d/kept"], deployment_id=await deployed(conn))
        await bring_all_policies(conn, site=SITE)
        for back in range(3):  # a chunk a day
            for each in (kept, other):
                await conn.execute(
                    f'INSERT INTO nexus."{made.table}" (time, series_id, value, quality) VALUES ($1, $2, $3, 192)',
                    *(LATER - timedelta(days=20 + back), each, float(back)),
                )
        await killed_at(step, database, tmp_path)
        assert (await left(conn, kept), await left(conn, other)) == (3, 3), "all of it, or nothing"
        assert len((await round_of(database, LATER)).dropped) == 3
        assert (await left(conn, kept), await left(conn, other)) == (3, 0)


async def test_nothing_is_recorded_as_kept_while_the_policy_of_before_is_in_force(
    database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_class, "PROTECT_LOCK_S", 0.5)
    async with connection(database) as conn, connection(database) as other:
        made = await ensure_class(conn, "short", site=SITE, keep_ms=5 * DAY_MS)
        await series(conn, "kept")
        number = await deployed(conn)
        jobs = await conn.fetchval("SELECT oid::regclass::text FROM pg_class WHERE relname = 'bgw_job'")
        async with other.transaction():
            await other.execute(f"LOCK TABLE {jobs} IN SHARE ROW EXCLUSIVE MODE")
            with pytest.raises(asyncpg.LockNotAvailableError):
                async with conn.transaction():
                    await kept_series.protect(conn, site=SITE, paths=["a/l/d/kept"], deployment_id=number)
                    await bring_all_policies(conn, site=SITE)
            for keep_days, archive_after_ms in ((50, None), (5, DAY_MS)):
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await ensure_class(
                        conn, "short", site=SITE, keep_ms=keep_days * DAY_MS, archive_after_ms=archive_after_ms
                    )
            assert await find_class(conn, "short", site=SITE) == made, "what is recorded is what the policy does"
        assert await kept_series.kept_series(conn, site=SITE) == []
        assert await policies(conn, made) == 1
        async with conn.transaction():
            await kept_series.protect(conn, site=SITE, paths=["a/l/d/kept"], deployment_id=number)
            await bring_all_policies(conn, site=SITE)
        assert await policies(conn, made) == 0


async def test_old_rollups_go_but_for_those_of_protected_series(database: Settings) -> None:
    async with connection(database) as conn:
        made = await ensure_class(conn, "short", site=SITE, keep_ms=5 * DAY_MS, compress_after_ms=DAY_MS)
        kept, other = await series(conn, "kept", "other")
        await compressed(conn, made, [kept, other], days=4, step_s=600.0)
        await round_of(database, NOW)
        before = [await rolled(conn, made, each) for each in (kept, other)]
        assert min(before) >= 95
        await kept_series.protect(conn, site=SITE, paths=["a/l/d/kept"], deployment_id=await deployed(conn))
        await round_of(database, NOW + timedelta(days=400))
        assert await rolled(conn, made, kept) >= before[0]
        assert await rolled(conn, made, other) == 0


async def test_the_size_of_rows_that_were_just_compressed(database: Settings) -> None:
    """The server has no statistics of them yet: their series take no more than what is there."""
    async with connection(database) as conn:
        made = await ensure_class(conn, "short", site=SITE, keep_ms=5 * DAY_MS, compress_after_ms=DAY_MS)
        ids = await series(conn, "one", "two")
        rows = await compressed(conn, made, ids, days=4, step_s=2.0)
        size = int(await conn.fetchval("SELECT hypertable_size($1::text::regclass)", f"nexus.{made.table}"))
        assert await conn.fetchval("SELECT approximate_row_count($1::text::regclass)", f"nexus.{made.table}") == 0
        found = await stored_samples(conn, site=SITE, paths=["a/l/d/one", "a/l/d/two"])
        assert [(each.samples, each.exact) for each in found.values()] == [(rows, True)] * 2
        together = sum(each.size_bytes or 0 for each in found.values())
        assert size / 2 < together < 2 * size
        await conn.execute(f'ANALYZE nexus."{made.table}"')
        found = await stored_samples(conn, site=SITE, paths=["a/l/d/one"])
        assert found["a/l/d/one"].size_bytes == pytest.approx(size / 2, rel=0.2)
