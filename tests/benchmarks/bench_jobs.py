"""Jobs that do nothing: put in and worked off, ours beside the bare library on the same tables, in turns.

Run alone: `python -m tests.benchmarks.bench_jobs`. Workers are processes of their own.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median
from typing import Any

from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence import qb
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain import types

from nexus_cli.database import jobs, migrate
from nexus_cli.database.connect import connection, open_connection
from nexus_cli.database.job_queue import CHANNEL, NAMES
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.garbage import GARBAGE
from nexus_cli.runtime.worker.kinds import Kind
from nexus_cli.runtime.worker.working import Working
from nexus_cli.settings import Settings
from tests.benchmarks.figures import HEAD, Figure, machine, report
from tests.postgres import SITE, EmbeddedPostgres, new_database

JOBS, BATCH, IN_HAND = 20_000, 1_000, 2_000
ROUNDS = 3
KIND = "nothing"
_SPAWN = multiprocessing.get_context("spawn")


async def _nothing(_job: Any) -> None:
    """The job."""


async def _ours(settings: Settings, ready: Event, stop: Event) -> None:
    GARBAGE.manage()
    working = Working(settings, kinds={KIND: Kind(handle=_nothing)}, concurrency=IN_HAND, clock=SystemClock())
    ends = asyncio.Event()
    task = asyncio.create_task(working.run(ends))
    while working.problem:
        await asyncio.sleep(0.01)
    ready.set()
    await asyncio.to_thread(stop.wait)
    ends.set()
    await task


async def _bare(settings: Settings, ready: Event, stop: Event) -> None:
    conn = await open_connection(settings)
    queries = Queries(
        driver=AsyncpgDriver(conn),
        qbe=qb.QueryBuilderEnvironment(settings=NAMES),
        qbq=qb.QueryQueueBuilder(settings=NAMES),
        qbs=qb.QuerySchedulerBuilder(settings=NAMES),
    )
    manager = QueueManager(queries=queries, channel=types.Channel(CHANNEL))
    manager.entrypoint(jobs.entrypoint(SITE, KIND), accepts_context=False)(_nothing)
    task = asyncio.create_task(
        manager.run(
            batch_size=BATCH,
            max_concurrent_tasks=IN_HAND,
            dequeue_timeout=timedelta(seconds=5),
            log_aggregation_interval=timedelta(0),
        )
    )
    await asyncio.sleep(0.2)
    ready.set()
    await asyncio.to_thread(stop.wait)
    manager.shutdown.set()
    await task


def _worker(ours: bool, facts: dict[str, str], ready: Event, stop: Event) -> None:
    settings = Settings(
        site=SITE, database_url=facts["url"], database_password=facts["password"], home=Path(facts["home"])
    )
    asyncio.run((_ours if ours else _bare)(settings, ready, stop))


@contextmanager
def workers(settings: Settings, *, ours: bool, count: int) -> Iterator[None]:
    """So many workers, which wait for jobs."""
    stop = _SPAWN.Event()
    facts = {"url": settings.database_url, "password": settings.database_password, "home": str(settings.home)}
    readies = [_SPAWN.Event() for _ in range(count)]
    running = [_SPAWN.Process(target=_worker, args=(ours, facts, ready, stop), daemon=True) for ready in readies]
    for each in running:
        each.start()
    try:
        for ready in readies:
            assert ready.wait(60), "a worker did not start"
        yield
    finally:
        stop.set()
        for each in running:
            each.join(30)


async def put(settings: Settings) -> None:
    """Put all jobs in, a batch a statement, each its own transaction."""
    async with connection(settings) as conn:
        for begin in range(0, JOBS, BATCH):
            new = [jobs.NewJob(kind=KIND, payload={"n": n}) for n in range(begin, min(JOBS, begin + BATCH))]
            assert await jobs.enqueue_all(conn, SITE, new) == len(new)


async def worked_off(settings: Settings) -> None:
    """Wait until no job is left."""
    async with connection(settings) as conn:
        while await conn.fetchval("SELECT EXISTS (SELECT FROM nexus.job)"):
            await asyncio.sleep(0.02)


async def clear(settings: Settings) -> None:
    """As at the beginning."""
    async with connection(settings) as conn:
        await conn.execute("TRUNCATE nexus.job_log")
        await conn.execute("VACUUM ANALYZE nexus.job")


async def _enqueued(settings: Settings) -> float:
    began = time.perf_counter()
    await put(settings)
    took_s = time.perf_counter() - began
    async with connection(settings) as conn:
        await conn.execute("TRUNCATE nexus.job, nexus.job_log")
    return JOBS / took_s


async def _waiting(settings: Settings, *, ours: bool, count: int) -> float:
    """Jobs that wait when the workers begin: rate at which they are worked off."""
    async with connection(settings) as conn:
        await conn.execute("BEGIN")
        for begin in range(0, JOBS, BATCH):  # one transaction: they appear together
            new = [jobs.NewJob(kind=KIND, payload={"n": n}) for n in range(begin, begin + BATCH)]
            await jobs.enqueue_all(conn, SITE, new)
        with workers(settings, ours=ours, count=count):
            await conn.execute("COMMIT")
            began = time.perf_counter()
            await worked_off(settings)
            took_s = time.perf_counter() - began
    await clear(settings)
    return JOBS / took_s


async def _together(settings: Settings, *, ours: bool, count: int) -> float:
    """Put in while the workers work."""
    with workers(settings, ours=ours, count=count):
        began = time.perf_counter()
        await put(settings)
        await worked_off(settings)
        took_s = time.perf_counter() - began
    await clear(settings)
    return JOBS / took_s


def run() -> list[Figure]:
    """All figures: the median of some rounds, ours and the bare library in turns."""
    server = EmbeddedPostgres()
    with tempfile.TemporaryDirectory() as folder:
        try:
            server.start()
            with new_database(server, Path(folder)) as settings:
                asyncio.run(migrate.upgrade(settings))
                return list(_figures(settings))
        finally:
            server.close()


def _figures(settings: Settings) -> Iterable[Figure]:
    put_in = median(asyncio.run(_enqueued(settings)) for _ in range(ROUNDS))
    yield Figure(name=f"jobs put in, {BATCH:,} a statement", value=put_in, unit="/s", at_least=10_000)
    for what, measure, count, goal in (
        ("worked off, one worker", _waiting, 1, None),
        ("worked off, two workers", _waiting, 2, 10_000),
        ("put in and worked off together, two workers", _together, 2, 10_000),
    ):
        ours, bare = [], []
        for _ in range(ROUNDS):
            bare.append(asyncio.run(measure(settings, ours=False, count=count)))
            ours.append(asyncio.run(measure(settings, ours=True, count=count)))
        yield Figure(
            name=f"jobs {what}",
            value=median(ours),
            unit="/s",
            limit=median(bare),
            limit_name="bare pgqueuer",
            at_least=goal,
            note=f"load {os.getloadavg()[0]:.1f}",
        )


if __name__ == "__main__":
    print(machine())
    print(HEAD)
    print(report(run()))

__all__ = ["run"]
