"""The job queue on a real PostgreSQL: order, back-off, dead letters, takeover, and a late result that is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nexus_cli.database import job_queue, jobs
from nexus_cli.database.connect import close, open_connection
from nexus_cli.database.job_queue import GiveUpError, Line, Queue, Taken, TryAgainError
from nexus_cli.settings import Settings
from tests.postgres import SITE
from tests.waiting import until, until_found

pytestmark = [pytest.mark.needs_database]


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Any]:
    """A connection that is closed at the end."""
    conn = await open_connection(settings)
    try:
        yield conn
    finally:
        await close(conn)


@asynccontextmanager
async def working(
    settings: Settings, do: Callable[[Taken], Any], *, kind: str = "k", concurrency: int = 10, limit: int = 0
) -> AsyncIterator[Queue]:
    """A queue that works while the block runs."""
    async with connected(settings) as conn:
        queue = Queue(conn, site=SITE, lines={kind: Line(do=do, concurrency=limit)}, concurrency=concurrency)
        task = asyncio.create_task(queue.run())
        try:
            yield queue
        finally:
            queue.stop()
            await task


async def states(conn: Any) -> list[tuple[str, int]]:
    return [(each.state, each.attempts) for each in await jobs.listing(conn, SITE)]


async def test_schema_is_what_the_library_declares(database: Settings) -> None:
    async with connected(database) as conn:
        assert await job_queue.schema_problems(conn) == []
        await conn.execute("DROP INDEX nexus.job_ep_ea_idx")
        assert await job_queue.schema_problems(conn) != []


async def test_rolled_back_is_not_there_and_committed_is(database: Settings) -> None:
    async with connected(database) as conn:
        with pytest.raises(ZeroDivisionError):
            async with conn.transaction():
                assert await jobs.enqueue(conn, SITE, "k", {"n": 1})
                raise ZeroDivisionError
        assert await jobs.listing(conn, SITE) == []
        async with conn.transaction():
            assert await jobs.enqueue(conn, SITE, "k", {"n": 2}, key="one")
            assert not await jobs.enqueue(conn, SITE, "k", {"n": 3}, key="one")
        assert await jobs.enqueue(conn, "other/site", "k", {}, key="one")
        assert [each.payload for each in await jobs.listing(conn, SITE)] == [{"n": 2}]


async def test_the_higher_priority_goes_first_and_each_is_done_once(database: Settings) -> None:
    done: list[int] = []

    async def do(job: Taken) -> None:
        done.append(job.payload["n"])

    async with connected(database) as conn:
        await jobs.enqueue_all(conn, SITE, [jobs.NewJob(kind="k", payload={"n": n}, priority=n % 3) for n in range(30)])
        await jobs.enqueue(conn, "other/site", "k", {"n": 99})
        async with working(database, do, concurrency=2):
            await until(lambda: len(done) == 30)
        assert done == sorted(range(30), key=lambda n: (-(n % 3), n))
        assert [each.payload for each in await jobs.listing(conn, "other/site")] == [{"n": 99}]


async def test_a_job_that_fails_waits_then_is_kept_with_its_reason_and_can_be_retried(database: Settings) -> None:
    fail, tries = True, 0

    async def do(job: Taken) -> None:
        nonlocal tries
        tries += 1
        if fail and job.attempt < 3:
            raise TryAgainError(f"try {job.attempt}", delay_s=0.05)
        if fail:
            raise GiveUpError("the receiver answered 500")

    async with connected(database) as conn:
        await jobs.enqueue(conn, SITE, "k", {"n": 1}, key="one")
        async with working(database, do):
            kept = await until_found(lambda: jobs.listing(conn, SITE, state="failed"))
            assert [(each.attempts, each.reason) for each in kept] == [(3, "the receiver answered 500")]
            assert tries == 3
            stats = (await jobs.statistics(conn, SITE)).kinds[0]
            assert (stats.failed, stats.given_up, stats.tried_again) == (1, 1, 2)
            fail = False
            assert await jobs.retry(conn, SITE, ids=[kept[0].id], kind="", all_=False, who="anna") == [kept[0].id]
            await until_found(lambda: jobs.listing(conn, SITE), lambda found: not found)
        audit = await conn.fetch("SELECT who, what, subject, detail FROM nexus.audit")
        assert [(row["who"], row["what"], row["subject"]) for row in audit] == [("anna", "retry-job", "k")]


async def test_discard_keeps_what_runs_and_what_is_anothers(database: Settings) -> None:
    go = asyncio.Event()

    async def do(job: Taken) -> None:
        await go.wait()

    async with connected(database) as conn:
        await jobs.enqueue(conn, SITE, "k", {})
        await jobs.enqueue(conn, SITE, "later", {}, after_s=3600)
        await jobs.enqueue(conn, "other/site", "k", {})
        async with working(database, do):
            await until_found(lambda: jobs.listing(conn, SITE, state="running"))
            every = [row["id"] for row in await conn.fetch("SELECT id FROM nexus.job ORDER BY id")]
            gone = await jobs.discard(conn, SITE, ids=every, kind="", all_=False, who="anna")
            assert gone == [every[1]]
            go.set()
            await until_found(lambda: jobs.listing(conn, SITE), lambda found: not found)
        assert len(await jobs.listing(conn, "other/site")) == 1


async def test_a_late_result_is_refused_whatever_it_is(database: Settings) -> None:
    """Who stood still while another took its job neither ends, fails, retries nor keeps it."""
    go, taken = asyncio.Event(), asyncio.Event()
    ends = {0: None, 1: GiveUpError("late"), 2: TryAgainError("late", delay_s=0.0)}

    async def slow(job: Taken) -> None:
        seen.append("slow")
        if len(seen) == 3:
            taken.set()
        await go.wait()
        error = ends[job.payload["n"]]
        if error is not None:
            raise error

    seen: list[str] = []
    async with connected(database) as conn:
        await jobs.enqueue_all(conn, SITE, [jobs.NewJob(kind="k", payload={"n": n}) for n in range(3)])
        async with working(database, slow) as first:
            await taken.wait()
            # As if its worker had said nothing for a minute.
            owner = await conn.fetchval("SELECT DISTINCT queue_manager_id FROM nexus.job")
            await conn.execute("UPDATE nexus.job SET queue_manager_id = gen_random_uuid()")
            go.set()
            await until(lambda: first.refused == 3)
            assert await states(conn) == [("running", 1)] * 3
            before = await conn.fetchval("SELECT min(heartbeat) FROM nexus.job")
            await first._queries.update_heartbeat([row["id"] for row in await conn.fetch("SELECT id FROM nexus.job")])
            assert await conn.fetchval("SELECT min(heartbeat) FROM nexus.job") == before
            assert owner is not None


async def test_the_same_worker_after_another_try_is_late_too(database: Settings) -> None:
    """The number of the try is part of the fence: a job that came back to its worker is another one."""
    go, begun = asyncio.Event(), asyncio.Event()

    async def slow(job: Taken) -> None:
        begun.set()
        await go.wait()

    async with connected(database) as conn:
        await jobs.enqueue(conn, SITE, "k", {})
        async with working(database, slow) as queue:
            await begun.wait()
            await conn.execute("UPDATE nexus.job SET attempts = attempts + 1")
            go.set()
            await until(lambda: queue.refused == 1)
            assert [state for state, _ in await states(conn)] == ["running"]


async def test_jobs_of_a_silent_worker_are_taken_over(database: Settings) -> None:
    assert job_queue.TAKEOVER_S + job_queue.LOOK_S <= 60
    done: list[int] = []

    async def do(job: Taken) -> None:
        done.append(job.id)

    async with connected(database) as conn:
        await jobs.enqueue(conn, SITE, "k", {})
        await conn.execute(
            """UPDATE nexus.job SET status = 'picked', queue_manager_id = gen_random_uuid(),
                                    heartbeat = now() - $1::float8 * interval '1 second'""",
            job_queue.TAKEOVER_S + 1,
        )
        async with working(database, do):
            await until(lambda: len(done) == 1)
        assert await jobs.listing(conn, SITE) == []


async def test_a_job_with_which_workers_are_lost_is_kept_in_the_end(database: Settings) -> None:
    """It may be what kills them; a person lets it begin again, with all its losses to come."""
    tries: list[int] = []

    async def do(job: Taken) -> None:
        tries.append(job.attempt)
        await asyncio.Event().wait()

    async with connected(database) as conn:
        await jobs.enqueue(conn, SITE, "k", {})
        for round_ in (1, 2):
            for loss in range(1, job_queue.MOST_LOST + 1):
                async with connected(database) as own:
                    queue = Queue(own, site=SITE, lines={"k": Line(do=do)}, concurrency=2)
                    task = asyncio.create_task(queue.run())
                    await until(lambda: tries == [*range(1, loss + 1)])  # noqa: B023
                    own.terminate()  # the worker is killed: it says nothing more
                    queue.abandon()
                    await asyncio.wait({task})
                    task.exception()
                await conn.execute("UPDATE nexus.job SET heartbeat = now() - interval '1 hour' WHERE status = 'picked'")
            async with working(database, do):
                [kept] = await until_found(lambda: jobs.listing(conn, SITE, state="failed"))
            assert (kept.reason, kept.attempts) == ("5 workers were lost with it", job_queue.MOST_LOST), round_
            assert await jobs.retry(conn, SITE, ids=[kept.id], kind="", all_=False, who="anna") == [kept.id]
            tries.clear()


async def test_a_worker_that_is_cancelled_gives_its_jobs_back(database: Settings) -> None:
    begun = asyncio.Event()

    async def forever(job: Taken) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with connected(database) as conn:
        await jobs.enqueue(conn, SITE, "k", {})
        async with connected(database) as own:
            queue = Queue(own, site=SITE, lines={"k": Line(do=forever)}, concurrency=2)
            task = asyncio.create_task(queue.run())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert [state for state, _ in await states(conn)] == ["queued"]


async def test_all_workers_together_keep_the_limit_of_a_kind(database: Settings) -> None:
    now, most, done = 0, 0, 0

    async def do(job: Taken) -> None:
        nonlocal now, most, done
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        done += 1

    async with connected(database) as conn:
        await jobs.enqueue_all(conn, SITE, [jobs.NewJob(kind="k")] * 40)
        async with working(database, do, limit=3), working(database, do, limit=3):
            await until(lambda: done == 40)
    assert most <= 3
    assert done == 40
