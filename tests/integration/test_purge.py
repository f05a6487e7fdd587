"""Purges on a real PostgreSQL: what is shown goes, nothing else, exactly counted, also when workers die in between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nexus_cli.access.globs import matches_glob
from nexus_cli.database import kept_series, purges
from nexus_cli.database.connect import Connection, Pool, connection, open_pool
from nexus_cli.database.job_queue import GiveUpError, Taken
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.worker.purging import Purging
from nexus_cli.settings import Settings
from nexus_cli.wire.control_purges import Purge
from tests.integration.test_kept_series import deployed, fill, left, series
from tests.integration.test_retention import NOW, fresh
from tests.postgres import SITE

pytestmark = [pytest.mark.needs_database, pytest.mark.every_database]
FIRST = "01JZ3V5T8Q2M4N6P8R0S2T4V6W"


class KilledError(BaseException):
    """Ends a worker as SIGKILL does: nobody catches it."""


def takes(*globs: str) -> purges.Takes:
    return lambda path: any(matches_glob(glob, path) for glob in globs)


async def forget(conn: Connection, *ids: int) -> None:
    await conn.execute("UPDATE nexus.series SET active = false WHERE id = ANY($1::int[])", list(ids))


async def wanted(conn: Connection, *globs: str, purge: str = FIRST) -> Purge:
    shown = await purges.preview(conn, SITE, takes(*globs))
    paths = [each.path for each in shown.series if not each.protected]
    return await purges.add_purge(
        conn, SITE, purge, who="anna", why="moved out", selectors=list(globs), takes=takes(*globs), paths=paths
    )


def worker(settings: Settings, pool: Pool) -> Purging:
    return Purging(replace(settings, site=SITE), pool=pool)


def job(purge: str = FIRST, *, attempt: int = 1) -> Taken:
    return Taken(id=1, kind=purges.KIND, payload={"purge": purge}, attempt=attempt)


async def paths(conn: Connection) -> list[str]:
    return [row["path"] for row in await conn.fetch("SELECT path FROM nexus.series ORDER BY path")]


async def test_what_was_shown_goes_and_nothing_else(database: Settings) -> None:
    pool = await open_pool(database)
    try:
        async with connection(database) as conn:
            made = await fresh(conn)
            gone, kept, living, other = await series(conn, "gone", "kept", "living", "other")
            await fill(conn, made, [gone, kept, living, other])
            await kept_series.protect(conn, site=SITE, paths=["a/l/d/kept"], deployment_id=await deployed(conn))
            await forget(conn, gone, kept, other)
            rows = await left(conn, gone)
            shown = await purges.preview(conn, SITE, takes("a/l/d/gone", "a/l/d/kept", "a/l/d/living"))
            assert [(each.path, each.samples, each.protected) for each in shown.series] == [
                ("a/l/d/gone", rows, False),
                ("a/l/d/kept", rows, True),
            ]
            assert shown.living == ["a/l/d/living"]
            assert rows > 0
            newest = int(NOW.timestamp() * 1e6)
            assert shown.series[0].last == newest

            assert (await wanted(conn, "a/l/d/gone", "a/l/d/kept", "a/l/d/living")).state == "waiting"
            await worker(database, pool).purge(job())
            found = await purges.find_purge(conn, SITE, FIRST)
            assert found is not None
            assert (found.state, found.series, found.removed, found.left, found.samples) == ("done", 1, 1, 0, rows)
            assert await paths(conn) == ["a/l/d/kept", "a/l/d/living", "a/l/d/other"]
            assert await left(conn, gone) == 0
            assert [await left(conn, each) for each in (kept, living, other)] == [rows] * 3
            trail = await conn.fetch("SELECT who, what, detail FROM nexus.audit WHERE what LIKE 'purge%' ORDER BY id")
            assert [(row["who"], row["what"]) for row in trail] == [("anna", "purge"), ("anna", "purged")]
            await worker(database, pool).purge(job())  # a job that is done again does nothing
            assert (await purges.find_purge(conn, SITE, FIRST)) == found
    finally:
        pool.terminate()


async def test_a_worker_that_is_killed_after_any_batch_leaves_an_exact_count(
    database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, real = await open_pool(database), purges.remove_some
    try:
        async with connection(database) as conn:
            made = await fresh(conn)
            ids = await series(conn, "one", "two")
            await fill(conn, made, ids)
            await forget(conn, *ids)
            total = sum([await left(conn, each) for each in ids])
            await wanted(conn, "a/l/d/**")
            kills = 0
            for _ in range(100):
                calls = 0

                async def once(*given: object, **named: object) -> bool | None:
                    nonlocal calls
                    calls += 1
                    if calls > 1:
                        raise KilledError
                    return await real(*given, **named)  # type: ignore[arg-type]

                monkeypatch.setattr(purges, "remove_some", once)
                try:
                    await worker(database, pool).purge(job())
                except KilledError:
                    kills += 1
                found = await purges.find_purge(conn, SITE, FIRST)
                assert found is not None
                assert found.samples + sum([await left(conn, each) for each in ids]) == total
                if found.state == "done":
                    break
            assert kills >= 10
            assert (found.state, found.removed, found.samples) == ("done", 2, total)
            assert await paths(conn) == []
    finally:
        pool.terminate()


async def test_a_series_that_is_declared_again_meanwhile_is_left(database: Settings) -> None:
    pool = await open_pool(database)
    try:
        async with connection(database) as conn:
            made = await fresh(conn)
            one, two = await series(conn, "one", "two")
            await fill(conn, made, [one, two])
            await forget(conn, one, two)
            await wanted(conn, "a/l/d/**")
            rows = await left(conn, one)
            await conn.execute("UPDATE nexus.series SET active = true WHERE id = $1", one)
            await worker(database, pool).purge(job())
            found = await purges.find_purge(conn, SITE, FIRST)
            assert found is not None
            assert (found.state, found.removed, found.left, found.samples) == ("done", 1, 1, rows)
            assert await left(conn, one) == rows and await paths(conn) == ["a/l/d/one"]
    finally:
        pool.terminate()


async def test_another_try_takes_it_over_and_the_late_one_changes_nothing(
    database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, real = await open_pool(database), purges.remove_some
    try:
        async with connection(database) as conn:
            made = await fresh(conn)
            (one,) = await series(conn, "one")
            await fill(conn, made, [one])
            await forget(conn, one)
            await wanted(conn, "a/l/d/**")

            async def overtaken(*given: object, **named: object) -> bool | None:
                await purges.begin(conn, SITE, FIRST, token="other")
                return await real(*given, **named)  # type: ignore[arg-type]

            monkeypatch.setattr(purges, "remove_some", overtaken)
            rows = await left(conn, one)
            with pytest.raises(NexusError) as refused:
                await worker(database, pool).purge(job())
            assert refused.value.code == "NX4144"
            assert await left(conn, one) == rows
    finally:
        pool.terminate()


async def test_refusals(database: Settings) -> None:
    async with connection(database) as conn:
        made = await fresh(conn)
        one, two = await series(conn, "one", "two")
        await fill(conn, made, [one, two])
        with pytest.raises(NexusError) as declared:
            await purges.preview(conn, SITE, takes("a/l/d/one"))
        assert (declared.value.code, declared.value.cause) == (
            "NX4140",
            "1 tag there is declared: its series is in use; the site has no forgotten series",
        )
        await forget(conn, one)
        with pytest.raises(NexusError) as changed:
            await purges.add_purge(
                conn,
                SITE,
                FIRST,
                who="a",
                why="",
                selectors=["**"],
                takes=takes("**"),
                paths=["a/l/d/one", "a/l/d/two"],
            )
        assert changed.value.code == "NX4142"
        await wanted(conn, "**")
        with pytest.raises(NexusError) as second:
            await wanted(conn, "**", purge="01JZ3V5T8Q2M4N6P8R0S2T4V6X")
        assert second.value.code == "NX4143"
        assert await conn.fetchval("SELECT count(*) FROM nexus.purge") == 1
        with pytest.raises(GiveUpError):
            await Purging(database, pool=None).purge(Taken(id=1, kind="purge", payload={}, attempt=1))  # type: ignore[arg-type]
