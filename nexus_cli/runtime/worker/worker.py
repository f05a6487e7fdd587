"""The role worker: its parts, their start and stop."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets

import msgspec

from nexus_cli.database import jobs as stored
from nexus_cli.database.connect import Pool, open_pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock, SystemClock
from nexus_cli.runtime.health import HealthReporter, lost_payload, serve_http
from nexus_cli.runtime.lifecycle import stop_on_signals, tasks, wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.metrics import Metrics
from nexus_cli.runtime.worker.archiving.kinds import Archiving
from nexus_cli.runtime.worker.discovering import Discovering
from nexus_cli.runtime.worker.exporting import Exporting
from nexus_cli.runtime.worker.kinds import chosen
from nexus_cli.runtime.worker.notifying.kinds import notification_kinds
from nexus_cli.runtime.worker.purging import Purging
from nexus_cli.runtime.worker.working import Working
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.health import WorkerHealth
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics

NAME = "worker"
POOL_SIZE = 4
PRUNE_S = 60.0

_log = logging.getLogger("nexus.worker")


async def run_worker(
    settings: Settings, *, name: str = NAME, clock: Clock | None = None, stop: asyncio.Event | None = None
) -> None:
    """Run a worker until SIGTERM, SIGINT or `stop`.

    Args:
        settings: `site`, broker, database, and `http_host`, `http_port` to listen on.
        name: Of this worker, of several; its health is published under it.
        clock: Instead of the system's clock.
        stop: Instead of signals.

    Raises:
        NexusError: NX6001 no site, NX6003 the port is taken. A broker or database that is away is waited for, and said.
    """
    if settings.site.count("/") != 1:
        raise NexusError("The worker does not know its site.", code="NX6001", hint="set NEXUS_SITE to enterprise/site")
    pool = await open_pool(settings, application="nexus-worker", size=POOL_SIZE, later=True)
    try:
        worker = Worker(settings, name=name, pool=pool, clock=clock or SystemClock())
        if stop is not None:
            await worker.run(stop)
            return
        async with stop_on_signals() as signalled:
            await worker.run(signalled)
    finally:
        pool.terminate()


class Worker:
    """One worker process.

    Attributes:
        name: Any number of them may run, each under a name of its own.
        instance: This process: its name and a random part.
    """

    def __init__(self, settings: Settings, *, name: str, pool: Pool, clock: Clock) -> None:
        """Join the parts; nothing runs yet."""
        enterprise, _, site = settings.site.partition("/")
        topics = Topics(enterprise, site)
        self.name, self.instance = name, f"{name}-{secrets.token_hex(4)}"
        self.metrics, self._settings, self._pool = Metrics(), settings, pool
        self.archiving = Archiving(settings, pool=pool, clock=clock)
        self.exporting = Exporting(settings, pool=pool)
        self.discovering = Discovering(settings, pool=pool, clock=clock)
        known = notification_kinds(settings, pool=pool, clock=clock) | self.archiving.kinds() | self.exporting.kinds()
        self.purging = Purging(settings, pool=pool)
        known |= self.discovering.kinds() | self.purging.kinds()
        kinds = chosen(known, settings.worker_kinds)
        self._kinds = tuple(sorted(kinds))
        self.working = Working(settings, kinds=kinds, concurrency=settings.worker_jobs, clock=clock)
        self._client = BrokerClient(
            settings=settings,
            client_id=client_id(settings, NAME),
            will=(topics.health(NAME, name), lost_payload(role=NAME, name=name)),
        )
        self._health = HealthReporter(
            client=self._client,
            topic=topics.health(NAME, name),
            role=NAME,
            name=name,
            clock=clock,
            details=self._details,
        )
        working = self.working
        self.metrics.watch_counters(
            "nexus_worker_jobs",
            "Tries of jobs by kind and how they ended.",
            ("kind", "end"),
            lambda: {ends: float(count) for ends, count in working.counts.items()},
        )
        self.metrics.watch_counters(
            "nexus_worker_late_results", "Results that came too late.", (), lambda: {(): working.refused}
        )
        self.metrics.watch_gauges("nexus_worker_running", "Jobs in hand.", (), lambda: {(): working.running})
        archiving, exporting = self.archiving, self.exporting
        self.metrics.watch_counters(
            "nexus_export_rows", "Samples that this worker exported.", (), lambda: {(): exporting.rows}
        )
        self.metrics.watch_counters(
            "nexus_archive_rows", "Rows that this worker put into the archive.", (), lambda: {(): archiving.rows}
        )
        self.metrics.watch_gauges(
            "nexus_archive_waiting_days", "Days that are due.", (), lambda: {(): archiving.health.waiting}
        )
        self.metrics.watch_gauges(
            "nexus_archive_behind_seconds",
            "How long the oldest day that is not in the archive has been due.",
            (),
            lambda: {(): archiving.health.behind_s},
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Work until stopped. Downstream opens first and closes last."""
        settings, broker_stop = self._settings, asyncio.Event()
        http = serve_http(self, host=settings.http_host, port=settings.http_port, settings=settings)
        async with http as bound, tasks(NAME) as group:
            event(_log, "worker is up", site=settings.site, http_port=bound)
            broker = self._client.run(broker_stop, subscriptions=(), on_message=_ignore, on_lost=self._health.changed)
            group.create_task(broker, name="broker")
            working = group.create_task(self.working.run(stop), name="jobs")
            group.create_task(self._prune(stop), name="log of jobs")
            group.create_task(self.archiving.run(stop), name="archive")
            if "export" in self._kinds:
                group.create_task(self.exporting.run(stop), name="exports")
            if "discover" in self._kinds:
                group.create_task(self.discovering.run(stop), name="discoveries")
            if "purge" in self._kinds:
                group.create_task(self.purging.run(stop), name="purges")
            reporting = group.create_task(self._health.run(stop), name="health")
            await stop.wait()
            await asyncio.wait({working, reporting})
            broker_stop.set()

    async def _prune(self, stop: asyncio.Event) -> None:
        """Keep the log of states small. While the database is away there is nothing to remove."""
        while not stop.is_set():
            try:
                with plain_errors(self._settings):
                    async with self._pool.acquire() as conn:
                        while await stored.prune_log(conn) and not stop.is_set():
                            pass
            except (NexusError, TimeoutError):
                pass
            await wait_for(stop, timeout_s=PRUNE_S)

    def ready(self) -> tuple[bool, str]:
        """True when jobs are taken and the broker is connected; else what is missing."""
        problems = [self._broker_problem(), self.working.problem]
        return not any(problems), "; ".join(each for each in problems if each)

    def _broker_problem(self) -> str:
        if self._client.connected:
            return ""
        return self._client.problem.message if self._client.problem is not None else "the broker is away"

    def status(self) -> WorkerHealth:
        """The document of `/status`."""
        ready, detail = self.ready()
        said = detail or self.archiving.health.problem
        return msgspec.structs.replace(
            self._details(), role=NAME, name=self.name, site=self._settings.site, ready=ready, detail=said
        )

    def _details(self) -> WorkerHealth:
        by_end = {"done": 0, "again": 0, "failed": 0}
        for (_, end), count in self.working.counts.items():
            by_end[end] += count
        return WorkerHealth(
            instance=f"{self.instance}.{os.getpid()}",
            broker=self._broker_problem() or "connected",
            database=self.working.problem or "connected",
            kinds=list(self._kinds),
            running=self.working.running,
            counters={**by_end, "late_results": self.working.refused},
            archive=self.archiving.health,
        )


def _ignore(message: Message) -> None:
    """A worker subscribes to nothing."""
