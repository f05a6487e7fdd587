"""The jobs' library (pgqueuer), with fences: who lost a job can neither end, retry nor keep it.

pgqueuer 1.6 ends, retries and keeps alive a job by its number alone. A worker that was suspended while another took its job
would end that one's work. `FencedQueries` adds who has the job and which try it is to these three statements. A job whose
worker says nothing for `TAKEOVER_S` is given to another.

See docs/decisions/0090.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import orjson
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence import qb
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain import models, types
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.settings import DBSettings, Durability

from nexus_cli.database.connect import Connection
from nexus_cli.database.errors import is_lost
from nexus_cli.database.jobs import entrypoint
from nexus_cli.diagnostics.errors import NexusError

TAKEOVER_S = 20.0
"""A job whose worker did not say for so long that it lives is taken over."""
LOOK_S = 5.0
"""How often a worker looks for jobs that no notification announced: those that became due, and those to take over."""
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
_AGAIN = f"""WITH e AS (SELECT $1::bigint AS id, $2::uuid AS owner, $3::int AS attempts), again AS (
    UPDATE nexus.job j SET status = 'queued', execute_after = now() + $4::interval, attempts = j.attempts + 1,
                           updated = now(), queue_manager_id = NULL, slot = NULL
    FROM e WHERE j.id = e.id {_LATE} RETURNING j.id, j.entrypoint, j.priority
), logged AS (
    INSERT INTO nexus.job_log (job_id, status, entrypoint, priority, traceback)
    SELECT id, 'queued', entrypoint, priority, $5::jsonb FROM again
)
SELECT id FROM again"""
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

    Attributes:
        owner: The queue manager that uses them.
        refused: Results that came too late: another worker had the job.
    """

    owner: uuid.UUID
    refused: int

    async def log_jobs(
        self, job_status: list[tuple[models.Job, types.JOB_STATUS, models.TracebackRecord | None]]
    ) -> None:
        """End jobs that are still ours. A cancelled one is released: it was the worker that stopped, not the job."""
        rows = await self.driver.fetch(
            _END,
            [job.id for job, _, _ in job_status],
            [job.queue_manager_id for job, _, _ in job_status],
            [job.attempts for job, _, _ in job_status],
            [status for _, status, _ in job_status],
            [told.model_dump_json() if told else None for _, _, told in job_status],
        )
        if len(rows) < len(job_status):
            mine = {row["id"] for row in rows}
            self._late([job.id for job, _, _ in job_status if job.id not in mine])

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

    def _late(self, ids: Sequence[int]) -> None:
        self.refused += len(ids)
        _log.warning("the result of %d jobs came too late and was refused: %s", len(ids), list(ids)[:10])


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
        self._manager = QueueManager(queries=queries, channel=types.Channel(CHANNEL))
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
        await self._manager.run(
            dequeue_timeout=timedelta(seconds=LOOK_S),
            batch_size=max(1, self._concurrency // 2),
            max_concurrent_tasks=self._concurrency,
            heartbeat_timeout=timedelta(seconds=TAKEOVER_S),
            log_aggregation_interval=timedelta(0),
        )

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
                raise RetryRequested(delay=timedelta(seconds=error.delay_s), reason=str(error)) from None

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


LOST: tuple[type[Exception], ...] = (NexusError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What opening a connection and `Queue.run` raise when the database is away."""

__all__ = ["LOST", "GiveUpError", "Line", "Queue", "Taken", "TryAgainError", "schema_problems"]
