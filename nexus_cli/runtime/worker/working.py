"""Works off jobs while the database is there, and connects again when it was away."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from nexus_cli.backoff import Backoff
from nexus_cli.database.connect import WRITING, close, open_connection
from nexus_cli.database.job_queue import LOST, GiveUpError, Line, Queue, Taken, TryAgainError
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.lifecycle import tasks, wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.worker.kinds import Kind, PlainError
from nexus_cli.settings import Settings

DRAIN_S = 10.0
"""How long a worker that stops waits for the jobs in hand; what is not done by then is left to the others."""
LONGEST_REASON = 2_000

_log = logging.getLogger("nexus.worker")


class Working:
    """The loop of one worker.

    Attributes:
        problem: Why no jobs are taken; "" while they are.
        counts: Jobs by kind and how their try ended: `done`, `again`, `failed`.
        refused: Results that came too late.
    """

    def __init__(self, settings: Settings, *, kinds: Mapping[str, Kind], concurrency: int, clock: Clock) -> None:
        """Work off these kinds, at most `concurrency` at a time."""
        self._settings, self._kinds, self._concurrency, self._clock = settings, kinds, concurrency, clock
        self._queue: Queue | None = None
        self._refused = 0
        self.problem = "not connected yet"
        self.counts: Counter[tuple[str, str]] = Counter()

    @property
    def running(self) -> int:
        """Jobs in hand."""
        return self._queue.running if self._queue is not None else 0

    @property
    def refused(self) -> int:
        """Results that came too late: another worker had the job."""
        return self._refused + (self._queue.refused if self._queue is not None else 0)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until stopped."""
        backoff = Backoff(first_s=0.5, cap_s=10.0)
        while not stop.is_set():
            try:
                await self._connected(stop, backoff)
            except LOST as error:
                why = error.message if isinstance(error, NexusError) else f"the connection was lost: {error}"
                if not self.problem or backoff.step == 0:
                    event(_log, "no jobs are taken", level=logging.WARNING, why=why)
                self.problem = why
                await wait_for(stop, timeout_s=backoff.next_s())

    async def _connected(self, stop: asyncio.Event, backoff: Backoff) -> None:
        conn = await open_connection(self._settings, application="nexus-worker", limits=WRITING)
        lines = {
            name: Line(do=self._doing(name, kind), concurrency=kind.concurrency) for name, kind in self._kinds.items()
        }
        queue = Queue(conn, site=self._settings.site, lines=lines, concurrency=self._concurrency)
        try:
            self._queue, self.problem = queue, ""
            backoff.reset()
            event(_log, "jobs are taken", kinds=", ".join(sorted(lines)))
            async with tasks("queue") as group:
                working = group.create_task(queue.run(), name="jobs")
                ending = group.create_task(self._end(stop, queue, working), name="end of jobs")
                await asyncio.wait({working})
                ending.cancel()
        finally:
            self._refused += queue.refused
            self._queue = None
            await close(conn)

    async def _end(self, stop: asyncio.Event, queue: Queue, working: asyncio.Task[None]) -> None:
        await stop.wait()
        queue.stop()
        await asyncio.wait({working}, timeout=DRAIN_S)
        queue.abandon()

    def _doing(self, name: str, kind: Kind) -> Callable[[Taken], Awaitable[None]]:
        async def do(job: Taken) -> None:
            try:
                async with asyncio.timeout(kind.limit_s):
                    await kind.handle(job)
            except GiveUpError:
                self.counts[name, "failed"] += 1
                raise
            except Exception as error:  # noqa: BLE001 - the boundary of one job: counted, kept with its reason
                self._failed(name, kind, job, error)
            else:
                self.counts[name, "done"] += 1

        return do

    def _failed(self, name: str, kind: Kind, job: Taken, error: Exception) -> None:
        reason = _reason(error, kind)[:LONGEST_REASON]
        last = job.attempt >= kind.tries
        self.counts[name, "failed" if last else "again"] += 1
        level = logging.ERROR if last else logging.WARNING
        event(_log, "a job failed" if last else "a try failed", level=level, job=job.id, kind=name, why=reason)
        if last:
            raise GiveUpError(reason) from None
        raise TryAgainError(reason, delay_s=kind.wait_s(job.attempt)) from None


def _reason(error: Exception, kind: Kind) -> str:
    if isinstance(error, NexusError):
        return f"{error.message} {error.cause}".strip() if error.cause else error.message
    if isinstance(error, TimeoutError):
        return f"it took longer than {kind.limit_s:g} s"
    if isinstance(error, PlainError):
        return str(error)
    return f"{type(error).__name__}: {error}"
