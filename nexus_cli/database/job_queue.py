"""The jobs' library (pgqueuer), with fences: who lost a job can neither end, retry nor keep it.

pgqueuer 1.6 ends, retries and keeps alive a job by its number alone. A worker that was suspended while another took its job
would end that one's work. `FencedQueries` adds who has the job and which try it is to these three statements. A job whose
worker says nothing for `TAKEOVER_S` is given to another.

See docs/decisions/0090.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence import qb
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.buffers import HeartbeatBuffer, JobStatusLogBuffer
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain import models, types
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.ports.repository import EntrypointExecutionParameter

from nexus_cli.database.connect import Connection
from nexus_cli.database.errors import is_lost
from nexus_cli.database.jobs import entrypoint
from nexus_cli.database.nul import plain
from nexus_cli.database.raised import CONNECTION_ERRORS

TAKEOVER_S = 20.0
"""A job whose worker did not say for so long that it lives is taken over."""
LOOK_S = 5.0
"""How often a worker looks for jobs that no notification announced: those that became due, and those to take over."""
MOST_LOST = 5
"""A job whose worker was lost so often since it was put in, or retried by a person, is kept as failed: it may be what kills
them."""
ALIVE_S = TAKEOVER_S / 4
"""How often a worker says that it lives: one statement for all jobs in hand."""
GIVE_BACK_S = 5.0
"""How long a cancelled queue takes for giving its jobs back."""
CHANNEL = "nexus_job"
NAMES = DBSettings(
    db_schema="nexus",
    channel=types.Channel(CHANNEL),
    function="fn_job_changed",
    statistics_table="job_statistics",
    queue_status_type="job_status",
    queue_table="job",
    queue_table_log="job_log",
    trigger="tg_job_changed",
    schedules_table="job_schedule",
    durability=Durability.durable,
)
"""What migration 0015 calls the library's tables."""
_LATE = "AND j.status = 'picked' AND j.queue_manager_id = e.owner AND j.attempts = e.attempts"
_END = f"""WITH e AS (
    SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::int[], $4::nexus.job_status[], $5::jsonb[])
                  AS e(id, owner, attempts, status, traceback)
), gone AS (
    DELETE FROM nexus.job j USING e WHERE j.id = e.id {_LATE} AND e.status NOT IN ('failed', 'canceled')
    RETURNING j.id, j.entrypoint, j.priority
), kept AS (
    UPDATE nexus.job j SET status = 'failed', updated = now(), queue_manager_id = NULL, slot = NULL
    FROM e WHERE j.id = e.id {_LATE} AND e.status = 'failed'
    RETURNING j.id, j.entrypoint, j.priority
), released AS (
    UPDATE nexus.job j SET status = 'queued', updated = now(), execute_after = now(), queue_manager_id = NULL, slot = NULL
    FROM e WHERE j.id = e.id {_LATE} AND e.status = 'canceled'
    RETURNING j.id, j.entrypoint, j.priority
), mine AS (
    SELECT * FROM gone UNION ALL SELECT * FROM kept UNION ALL SELECT * FROM released
), logged AS (
    INSERT INTO nexus.job_log (job_id, status, entrypoint, priority, traceback)
    SELECT mine.id, e.status, mine.entrypoint, mine.priority, e.traceback FROM mine JOIN e ON e.id = mine.id
)
SELECT id FROM mine"""
_DONE = """WITH gone AS (
    DELETE FROM nexus.job
    WHERE id = ANY($1::bigint[]) AND status = 'picked' AND queue_manager_id = $2 AND attempts = $3
    RETURNING id, entrypoint, priority
), logged AS (
    INSERT INTO nexus.job_log (job_id, status, entrypoint, priority)
    SELECT id, 'successful', entrypoint, priority FROM gone
)
SELECT id FROM gone"""
"""As `_END`, of jobs that ended well in the same try: nearly all do, in the first. Half the work for the database."""
_AGAIN = f"""WITH e AS (SELECT $1::bigint AS id, $2::uuid AS owner, $3::int AS attempts), again AS (
    UPDATE nexus.job j SET status = 'queued', execute_after = now() + $4::interval, attempts = j.attempts + 1,
                           updated = now(), queue_manager_id = NULL, slot = NULL
    FROM e WHERE j.id = e.id {_LATE} RETURNING j.id, j.entrypoint, j.priority
), logged AS (
    INSERT INTO nexus.job_log (job_id, status, entrypoint, priority, traceback)
    SELECT id, 'queued', entrypoint, priority, $5::jsonb FROM again
)
SELECT id FROM again"""
_LOST = """WITH stale AS (
    SELECT j.id, (
        SELECT count(*) FROM nexus.job_log l WHERE l.job_id = j.id AND l.traceback->>'exception_type' = 'WorkerLost'
          AND l.created > (SELECT max(b.created) FROM nexus.job_log b
                           WHERE b.job_id = j.id AND b.status = 'queued' AND b.traceback IS NULL)) + 1 AS losses
    FROM nexus.job j WHERE j.status = 'picked' AND j.entrypoint = ANY($1) AND j.heartbeat < now() - $2::interval
    FOR UPDATE OF j SKIP LOCKED
), lost AS (
    UPDATE nexus.job j SET attempts = j.attempts + CASE WHEN stale.losses >= $3 THEN 0 ELSE 1 END, updated = now(),
      queue_manager_id = NULL, slot = NULL, status = CASE WHEN stale.losses >= $3 THEN 'failed' ELSE 'queued' END::nexus.job_status
    FROM stale WHERE j.id = stale.id RETURNING j.id, j.status, j.entrypoint, j.priority, stale.losses
)
INSERT INTO nexus.job_log (job_id, status, entrypoint, priority, traceback)
SELECT id, status, entrypoint, priority, jsonb_build_object(
    'job_id', id, 'timestamp', now(), 'exception_type', 'WorkerLost', 'traceback', '', 'additional_context', NULL,
    'exception_message', CASE WHEN losses = 1 THEN 'its worker was lost' ELSE losses || ' workers were lost with it' END)
FROM lost RETURNING job_id"""
_ALIVE = """UPDATE nexus.job SET heartbeat = now()
            WHERE id = ANY($1::bigint[]) AND status = 'picked' AND queue_manager_id = $2"""
_log = logging.getLogger("nexus.jobs")
# It prints the traceback of each failed try; what failed, and why, is in the job and in our own log.
logging.getLogger("pgqueuer").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A job that this worker has.

    Attributes:
        id: Its number.
        kind: Its kind.
        payload: What it is about.
        attempt: Which try this is, from 1.
    """

    id: int
    kind: str
    payload: Mapping[str, Any]
    attempt: int


class TryAgainError(Exception):
    """This try failed; the next one is `delay_s` later. The text is the reason that is kept."""

    def __init__(self, reason: str, *, delay_s: float) -> None:
        """Say why, and when the next try is."""
        super().__init__(reason)
        self.delay_s = delay_s


class GiveUpError(Exception):
    """The job failed for good: it is kept with this reason."""


Do = Callable[[Taken], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One kind of job at a queue: who does it, and how many at a time all workers of the site may have (0: no limit)."""

    do: Do
    concurrency: int = 0


class FencedQueries(Queries):
    """The library's statements; those that end, retry and keep alive a job ask for its holder, too.

    `looked_s` is when jobs of lost workers were looked for.

    Attributes:
        owner: The queue manager that uses them.
        refused: Results that came too late: another worker had the job.
    """

    owner: uuid.UUID
    refused: int
    looked_s: float = float("-inf")

    async def dequeue(
        self,
        batch_size: int,
        entrypoints: dict[types.QueueEntrypoint, EntrypointExecutionParameter],
        queue_manager_id: types.QueueManagerId,
        global_concurrency_limit: int | None,
        heartbeat_timeout: timedelta,
    ) -> list[models.Job]:
        """Take jobs. Those of lost workers wait again first: being lost is a failed try, which the library does not count."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self.looked_s >= LOOK_S / 2:
            self.looked_s = now_s
            lost = await self.driver.fetch(_LOST, list(entrypoints), heartbeat_timeout, MOST_LOST)
            if lost:
                _log.warning("the workers of %d jobs were lost", len(lost))
        return await super().dequeue(
            batch_size, entrypoints, queue_manager_id, global_concurrency_limit, heartbeat_timeout
        )

    async def log_jobs(
        self, job_status: list[tuple[models.Job, types.JOB_STATUS, models.TracebackRecord | None]]
    ) -> None:
        """End jobs that are still ours. A cancelled one is released: it was the worker that stopped, not the job."""
        done = [job for job, status, _ in job_status if status == "successful"]
        others = [each for each in job_status if each[1] != "successful"]
        for attempts in {job.attempts for job in done}:
            some = [job for job in done if job.attempts == attempts]
            self._compare(some, await self.driver.fetch(_DONE, [job.id for job in some], self.owner, attempts))
        if others:
            rows = await self.driver.fetch(
                _END,
                [job.id for job, _, _ in others],
                [job.queue_manager_id for job, _, _ in others],
                [job.attempts for job, _, _ in others],
                [status for _, status, _ in others],
                [told.model_dump_json() if told else None for _, _, told in others],
            )
            self._compare([job for job, _, _ in others], rows)

    async def retry_job(
        self, job: models.Job, delay: timedelta, traceback_record: models.TracebackRecord | None
    ) -> None:
        """Let a job that is still ours wait for its next try.

        When the database is lost meanwhile, nothing is done: the job is taken over. An error here would make it fail.
        """
        told = traceback_record.model_dump_json() if traceback_record else None
        try:
            rows = await self.driver.fetch(_AGAIN, job.id, job.queue_manager_id, job.attempts, delay, told)
        except Exception as error:
            if not (is_lost(error) or isinstance(error, TimeoutError)):
                raise
            return
        if not rows:
            self._late([job.id])

    async def update_heartbeat(self, job_ids: list[types.JobId]) -> None:
        """Say that we live, for jobs that are still ours."""
        await self.driver.execute(_ALIVE, list(set(job_ids)), self.owner)

    def _compare(self, jobs: Sequence[models.Job], rows: Sequence[Mapping[str, Any]]) -> None:
        if len(rows) < len(jobs):
            mine = {row["id"] for row in rows}
            self._late([job.id for job in jobs if job.id not in mine])

    def _late(self, ids: Sequence[int]) -> None:
        self.refused += len(ids)
        _log.warning("the result of %d jobs came too late and was refused: %s", len(ids), list(ids)[:10])


class _Manager(QueueManager):
    """The library's, without its task and timer for each job that says that the job is alive: `Queue` says it for all."""

    def _dispatch(
        self, job: models.Job, jbuff: JobStatusLogBuffer, hbuff: HeartbeatBuffer, heartbeat_timeout: timedelta
    ) -> Coroutine[Any, Any, None]:
        return super()._dispatch(job, jbuff, hbuff, timedelta(0))


class Queue:
    """Works off jobs over one connection, until stopped or until the connection is lost.

    Attributes:
        running: Jobs in hand.
    """

    def __init__(self, conn: Connection, *, site: str, lines: Mapping[str, Line], concurrency: int) -> None:
        """Join the parts.

        Args:
            conn: For the queue alone; it listens.
            site: `enterprise/site`.
            lines: By kind; jobs of other kinds are left to other workers.
            concurrency: Most jobs in hand, at least 2.
        """
        queries = FencedQueries(
            driver=AsyncpgDriver(conn),
            qbe=qb.QueryBuilderEnvironment(settings=NAMES),
            qbq=qb.QueryQueueBuilder(settings=NAMES),
            qbs=qb.QuerySchedulerBuilder(settings=NAMES),
        )
        self._manager = _Manager(queries=queries, channel=types.Channel(CHANNEL))
        queries.owner, queries.refused = self._manager.queue_manager_id, 0
        self._queries, self._concurrency = queries, max(2, concurrency)
        self._hands: set[asyncio.Task[Any]] = set()
        for kind, line in lines.items():
            name = entrypoint(site, kind)
            made = self._manager.entrypoint(
                name, concurrency_limit=line.concurrency, accepts_context=False, on_failure="hold"
            )
            made(self._doing(kind, line.do))

    @property
    def running(self) -> int:
        """Jobs in hand."""
        return len(self._manager.job_context)

    @property
    def refused(self) -> int:
        """Results that came too late."""
        return self._queries.refused

    def stop(self) -> None:
        """Take no more jobs; `run` ends when those in hand have."""
        self._manager.shutdown.set()

    def abandon(self) -> None:
        """Give the jobs in hand back: they are cancelled, and wait for another worker."""
        self.stop()
        for task in self._hands:
            task.cancel()

    async def run(self) -> None:
        """Work off jobs. Raises what the connection raises when it is lost; jobs in hand are then taken over.

        Cancelled, it gives its jobs back first: the library would wait until they are done.
        """
        working = asyncio.ensure_future(self._run())
        try:
            await asyncio.wait({working})
        except asyncio.CancelledError:
            self.abandon()
            await asyncio.wait({working}, timeout=GIVE_BACK_S)
            working.cancel()
            raise
        await working

    async def _run(self) -> None:
        living = asyncio.ensure_future(self._live())
        try:
            await self._manager.run(
                dequeue_timeout=timedelta(seconds=LOOK_S),
                batch_size=max(1, self._concurrency // 2),
                max_concurrent_tasks=self._concurrency,
                heartbeat_timeout=timedelta(seconds=TAKEOVER_S),
                log_aggregation_interval=timedelta(0),
            )
        finally:
            living.cancel()
            await asyncio.wait({living})

    async def _live(self) -> None:
        """Say that we live, while jobs are in hand, until they have ended."""
        while True:
            await asyncio.sleep(ALIVE_S)
            if jobs := list(self._manager.job_context):
                with contextlib.suppress(*LOST):  # the manager's own statements find out
                    await self._queries.update_heartbeat(jobs)

    def _doing(self, kind: str, do: Do) -> Callable[[models.Job], Awaitable[None]]:
        async def run(job: models.Job) -> None:
            task = asyncio.current_task()
            if task is not None:
                self._hands.add(task)
                task.add_done_callback(self._hands.discard)
            try:
                payload = orjson.loads(job.payload or b"{}")
            except orjson.JSONDecodeError as error:
                raise GiveUpError(f"its payload is not JSON: {error}") from None
            try:
                await do(Taken(id=int(job.id), kind=kind, payload=payload, attempt=job.attempts + 1))
            except TryAgainError as error:
                raise RetryRequested(delay=timedelta(seconds=error.delay_s), reason=plain(str(error))) from None
            except GiveUpError as error:
                raise GiveUpError(plain(str(error))) from None

        return run


async def schema_problems(conn: Connection) -> list[str]:
    """What the installed library would change about its tables; empty when migration 0015 fits it."""
    queries = Queries(
        driver=AsyncpgDriver(conn),
        qbe=qb.QueryBuilderEnvironment(settings=NAMES),
        qbq=qb.QueryQueueBuilder(settings=NAMES),
        qbs=qb.QuerySchedulerBuilder(settings=NAMES),
    )
    plan = await queries.plan_upgrade()
    return [str(each) for each in (*plan.statements, *plan.notes)]


LOST: tuple[type[Exception], ...] = CONNECTION_ERRORS
"""What opening a connection and `Queue.run` raise when the database is away."""

__all__ = ["LOST", "GiveUpError", "Line", "Queue", "Taken", "TryAgainError", "schema_problems"]
