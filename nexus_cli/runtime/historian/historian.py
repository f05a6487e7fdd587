"""The historian: stores the broker's frames exactly once, and sends receipts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Any

import msgspec

from nexus_cli.database.committed import living_outboxes
from nexus_cli.database.connect import UPKEEP, WRITING
from nexus_cli.database.revision import require_current
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock, SystemClock
from nexus_cli.runtime.garbage import GARBAGE
from nexus_cli.runtime.health import HealthReporter, lost_payload, serve_http
from nexus_cli.runtime.historian import stall_watch
from nexus_cli.runtime.historian.announcer import Announcer
from nexus_cli.runtime.historian.assignments import Assignments
from nexus_cli.runtime.historian.back_pressure import BackPressure
from nexus_cli.runtime.historian.batcher import Batcher
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.database_link import DatabaseLink, StoppedError
from nexus_cli.runtime.historian.external_topics import ExternalTopics
from nexus_cli.runtime.historian.following import StateWatch
from nexus_cli.runtime.historian.inbound_queue import InboundQueue
from nexus_cli.runtime.historian.lanes import Lane
from nexus_cli.runtime.historian.letter_retries import LetterRetries
from nexus_cli.runtime.historian.maintenance import HourlyMaintenance
from nexus_cli.runtime.historian.mapping import SeriesMap
from nexus_cli.runtime.historian.new_series import NewSeries
from nexus_cli.runtime.historian.reading import Reader
from nexus_cli.runtime.historian.subscriber import Subscriber
from nexus_cli.runtime.historian.time_bounds import TimeBounds
from nexus_cli.runtime.latency import Latencies
from nexus_cli.runtime.lifecycle import stop_on_signals, tasks, wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.metrics import Metrics
from nexus_cli.runtime.progress import Progress
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.health import HistorianHealth, KnownOutbox, QueueHealth
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.topic import Topics

_log = logging.getLogger("nexus.historian")
OPERATIONS = ("commit", "queue")
"""What its latencies are of."""
DRAIN_S = 5.0
"""How long a stopping historian tries to store what it has, in seconds; the gateways send the rest again."""


class Historian:
    """One historian process: its parts, their start and stop."""

    def __init__(self, settings: Settings, *, name: str = "historian", clock: Clock | None = None) -> None:
        """Join the parts; nothing is opened yet."""
        enterprise, _, site = settings.site.partition("/")
        if not enterprise or not site:
            raise NexusError("No site is named.", code="NX6001", hint="set NEXUS_SITE to ENTERPRISE/SITE")
        self.settings, self.name = settings, name
        self.topics = Topics(enterprise, site)
        self.clock = clock or SystemClock()
        self.counters, self.metrics = Counters(), Metrics()
        self.latencies = Latencies(OPERATIONS, clock=self.clock, metrics=self.metrics)
        will = (self.topics.health("historian", name), lost_payload(role="historian", name=name))
        self.client = BrokerClient(settings=settings, client_id=client_id(settings, name), will=will)
        self.inbound_queue = InboundQueue(topics=self.topics, counters=self.counters, lanes=settings.historian_writers)
        self.back_pressure = BackPressure(queue=self.inbound_queue, client=self.client, counters=self.counters)
        self.announcer = Announcer(client=self.client, topics=self.topics)
        self.series = SeriesMap(site=settings.site)
        self.assignments = Assignments(site=settings.site)
        self.bounds = TimeBounds(clock=self.clock)
        self.external_topics = ExternalTopics(
            topics=self.topics,
            site=settings.site,
            series=self.series,
            counters=self.counters,
            wall_us=self.clock.wall_us,
        )
        self.health = HealthReporter(
            client=self.client,
            topic=self.topics.health("historian", name),
            role="historian",
            name=name,
            clock=self.clock,
            details=self._details,
        )
        self._open_links()
        self._join_reading()
        self.letter_retries = LetterRetries(
            link=self.letters_link,
            topics=self.topics,
            site=settings.site,
            bounds=self.bounds,
            clock=self.clock,
            counters=self.counters,
        )
        self.maintenance = HourlyMaintenance(link=self.maintenance_link, site=settings.site, clock=self.clock)
        self._watch_progress()
        self._watch()

    def _open_links(self) -> None:
        """Prepare one database connection per kind of work and lane, so that none waits for another."""
        changed, name = self.health.changed, self.name
        self.lanes = [
            Lane(
                self.settings,
                number=number,
                application=f"nexus-{name}-write" + (f"-{number + 1}" if number else ""),
                clock=self.clock,
                counters=self.counters,
                latencies=self.latencies,
                on_committed=self.announcer.note,
                on_change=changed,
                on_room=self.inbound_queue.wake,
            )
            for number in range(self.settings.historian_writers)
        ]
        self.read_link = DatabaseLink(self.settings, application=f"nexus-{name}-read", on_change=changed)
        self.maintenance_link = DatabaseLink(
            self.settings, application=f"nexus-{name}-upkeep", on_change=changed, limits=UPKEEP
        )
        self.follow_link = DatabaseLink(self.settings, application=f"nexus-{name}-follow", on_change=changed)
        self.series_link = DatabaseLink(self.settings, application=f"nexus-{name}-series", on_change=changed)
        self.letters_link = DatabaseLink(
            self.settings, application=f"nexus-{name}-letters", on_change=changed, limits=WRITING, writer=True
        )

    def _join_reading(self) -> None:
        """Build the way from the broker to batches."""
        self.following = StateWatch(
            link=self.follow_link,
            site=self.settings.site,
            name=self.name,
            clock=self.clock,
            bounds=self.bounds,
            on_recorded=self.inbound_queue.changed,
            on_turn=lambda: self.subscriber.take_all_retained(),
            on_letters=lambda: self.letter_retries.look(),
        )
        self.inbound_queue.on_notice = self.following.look
        self.new_series = NewSeries(
            link=self.series_link,
            external_topics=self.external_topics,
            inbound_queue=self.inbound_queue,
            counters=self.counters,
        )
        self.batcher = Batcher(
            inbound_queue=self.inbound_queue,
            reader=Reader(
                topics=self.topics,
                series=self.series,
                assignments=self.assignments,
                bounds=self.bounds,
                counters=self.counters,
            ),
            series=self.series,
            assignments=self.assignments,
            external_topics=self.external_topics,
            new_series=self.new_series,
            following=self.following,
            link=self.read_link,
            clock=self.clock,
            counters=self.counters,
        )
        self.subscriber = Subscriber(
            settings=self.settings,
            topics=self.topics,
            client=self.client,
            inbound_queue=self.inbound_queue,
            external_topics=self.external_topics,
            batcher=self.batcher,
            following=self.following,
            on_connected=self._connected,
            on_lost=self.health.changed,
        )

    def _watch_progress(self) -> None:
        """Watch the parts for stalls."""
        self.progress = Progress(clock=self.clock, metrics=self.metrics, changed=self.health.changed)
        stall_watch.watch(
            self.progress,
            client=self.client,
            inbound_queue=self.inbound_queue,
            announcer=self.announcer,
            storing=lambda: [lane.progress for lane in self.lanes],
        )

    @property
    def database_problem(self) -> str:
        """Why a lane can't write; "" when all can."""
        return next((lane.link.problem for lane in self.lanes if lane.link.problem), "")

    @property
    def waiting_aside(self) -> int:
        """Samples that wait aside."""
        return sum(lane.placement.waiting for lane in self.lanes)

    @property
    def shared(self) -> bool:
        """True when the broker delivers each message to one of several historians."""
        return self.subscriber.shared

    def _watch(self) -> None:
        self.counters.watch(self.metrics)
        gauge = self.metrics.watch_gauges
        gauge("nexus_historian_queue_messages", "Messages that wait", (), lambda: {(): float(len(self.inbound_queue))})
        gauge("nexus_historian_queue_bytes", "Bytes that wait", (), lambda: {(): float(self.inbound_queue.size_bytes)})
        self.metrics.watch_counters(
            "nexus_historian_database_losses",
            "Times the database was lost, or refused a statement",
            (),
            lambda: {(): float(sum(lane.link.losses for lane in self.lanes))},
        )
        gauge("nexus_historian_waiting_aside", "Samples that wait aside", (), lambda: {(): float(self.waiting_aside)})
        gauge("nexus_historian_series", "Series known", (), lambda: {(): float(len(self.series))})
        gauge("nexus_historian_broker_up", "1 while connected", (), lambda: {(): float(self.client.connected)})
        gauge("nexus_historian_database_up", "1 unless away", (), lambda: {(): float(not self.database_problem)})

    def ready(self) -> tuple[bool, str]:
        """True when broker and database are connected, and nothing is held for a clock; else why not."""
        if not self.client.connected:
            return False, self.client.problem.message if self.client.problem else "the broker is away"
        if not self.subscriber.listening:
            return False, "subscribing"
        if self.database_problem:
            return False, f"the database is away: {self.database_problem}"
        if self.bounds.holding:
            return False, f"frames are held: {self.bounds.holding}"
        return self.progress.ready()

    def status(self) -> HistorianHealth:
        """The document of `/status`."""
        return msgspec.structs.replace(
            self._details(),
            role="historian",
            name=self.name,
            site=self.settings.site,
            undeclared_topics=dict(self.counters.undeclared_seen),
            outboxes=[
                KnownOutbox(gateway=key.gateway, epoch=key.epoch, ranges=len(ranges))
                for key, ranges in self.announcer.known()
            ],
        )

    def _details(self) -> HistorianHealth:
        return HistorianHealth(
            broker="connected" if self.client.connected else "away",
            database=self.database_problem or "connected",
            shared_subscription=self.shared,
            stalled=list(self.progress.stalled.values()),
            stores_others_alone=self.following.is_our_turn,
            clock_doubt=self.bounds.doubt,
            queue=QueueHealth(messages=len(self.inbound_queue), bytes=self.inbound_queue.size_bytes),
            waiting_aside=self.waiting_aside,
            clock_steps=getattr(self.clock, "steps", 0),
            counters=self.counters.as_json(),
            latencies=self.latencies.health(),
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Work until stopped; then store what has arrived and publish the last receipts.

        Raises:
            NexusError: NX6201 or NX6204, the schema is not the one this version needs.
        """
        http = serve_http(self, host=self.settings.http_host, port=self.settings.http_port, settings=self.settings)
        async with http as port:
            event(_log, "historian starts", site=self.settings.site, http_port=port)
            try:
                await self._prepare(stop)
            except StoppedError:
                return
            GARBAGE.changed()
            client_stop, giving_up = asyncio.Event(), asyncio.Event()
            async with tasks("historian") as group:
                receipts_stop = asyncio.Event()
                group.create_task(self.subscriber.run(client_stop), name="broker")
                announcing = group.create_task(self.announcer.run(receipts_stop), name="receipts")
                reporting = group.create_task(self.health.run(stop), name="health")
                group.create_task(self.maintenance.run(stop), name="upkeep")
                group.create_task(self.progress.run(stop), name="progress")
                group.create_task(self.subscriber.follow(stop), name="filters")
                group.create_task(self.following.run(stop), name="following")
                group.create_task(self.new_series.run(stop), name="new series")
                group.create_task(self.letter_retries.run(stop), name="letters")
                writing = {
                    group.create_task(lane.run(giving_up), name=f"writer {lane.number + 1}") for lane in self.lanes
                }
                outs = [lane.batches for lane in self.lanes]
                batching = group.create_task(self.batcher.run(outs, stop), name="batcher")
                group.create_task(self._give_up(stop, giving_up, {batching, *writing}), name="drain")
                await asyncio.wait(writing)
                receipts_stop.set()
                await announcing
                stop.set()
                await reporting
                client_stop.set()
            others = (self.read_link, self.maintenance_link, self.follow_link, self.series_link, self.letters_link)
            links = (*(lane.link for lane in self.lanes), *others)
            async with tasks("closing") as closing:
                for link in links:
                    closing.create_task(link.close())
            event(_log, "historian ended", rows=self.counters.rows, frames=self.counters.frames)

    async def _prepare(self, stop: asyncio.Event) -> None:
        """Wait for the database, refuse a wrong schema, and load what is committed."""

        async def work(conn: Any) -> None:
            # Before the load, so that no deployment in between is missed.
            await self.following.begin(conn)
            self.announcer.note_all(await living_outboxes(conn, site=self.settings.site))
            await self.series.load(conn)
            await self.assignments.load(conn)
            await self.external_topics.load(conn)

        while True:
            try:
                await require_current(self.settings)
                break
            except NexusError as error:
                if not error.retriable:
                    raise
                first = self.lanes[0].link
                if not first.problem:
                    event(_log, "waiting for the database", level=logging.WARNING, cause=error.cause)
                first.problem = error.cause or error.message
            if await wait_for(stop, timeout_s=1.0):
                raise StoppedError
        self.lanes[0].link.problem = ""
        await self.read_link.use(work, stop=stop)

    def _connected(self) -> None:
        self.announcer.say_again()
        self.health.changed()

    async def _give_up(
        self, stop: asyncio.Event, giving_up: asyncio.Event, draining: Collection[asyncio.Task[None]]
    ) -> None:
        """After the stop, limit the time of draining."""
        await stop.wait()
        await asyncio.wait(draining, timeout=DRAIN_S)
        giving_up.set()


async def run_historian(
    settings: Settings, *, name: str = "historian", stop: asyncio.Event | None = None, clock: Clock | None = None
) -> None:
    """Run the historian until SIGTERM, SIGINT or `stop`.

    Args:
        settings: Site, broker, database, HTTP.
        name: Distinguishes several historians.
        stop: Instead of the signals (tests).
        clock: Instead of the machine's clock.

    Raises:
        NexusError: The schema is not up to date, the health port is taken, or no site is named.
    """
    historian = Historian(settings, name=name, clock=clock)
    if stop is not None:
        await historian.run(stop)
        return
    async with stop_on_signals() as signalled:
        await historian.run(signalled)
