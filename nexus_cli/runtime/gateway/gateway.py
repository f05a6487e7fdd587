"""The gateway: joins configuration, links, outbox, publisher and live view, and stops them in the order of the data
flow."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

import msgspec

from nexus_cli.drivers import registry
from nexus_cli.drivers.base import Driver
from nexus_cli.runtime.clock import RisingTime, SystemClock
from nexus_cli.runtime.gateway import stall_watch
from nexus_cli.runtime.gateway.aliases import Aliases
from nexus_cli.runtime.gateway.broker_session import BrokerSession
from nexus_cli.runtime.gateway.browsing import Browsing
from nexus_cli.runtime.gateway.commands.admission import Clocks
from nexus_cli.runtime.gateway.commands.commands import Commands
from nexus_cli.runtime.gateway.commands.journal import Journal
from nexus_cli.runtime.gateway.configuration import ConfigSource, Configuration
from nexus_cli.runtime.gateway.counters import register
from nexus_cli.runtime.gateway.devices.absence import Absence
from nexus_cli.runtime.gateway.devices.census import tags_by_quality
from nexus_cli.runtime.gateway.facts import facts_of
from nexus_cli.runtime.gateway.field.links import Links
from nexus_cli.runtime.gateway.following import ConfigurationFollower
from nexus_cli.runtime.gateway.instance import Identity, InstanceElection
from nexus_cli.runtime.gateway.live import LiveView
from nexus_cli.runtime.gateway.mark import Marking, load_mark, past_of, sign
from nexus_cli.runtime.gateway.outbox.outbox import Limits, Outbox
from nexus_cli.runtime.gateway.outbox.publisher import Publisher
from nexus_cli.runtime.gateway.pauses import Pauses
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.runtime.gateway.publish_check import PublishCheck
from nexus_cli.runtime.gateway.started_parts import PARTS, StartedParts
from nexus_cli.runtime.gateway.timekeeping import Timekeeping
from nexus_cli.runtime.health import HealthReporter, lost_payload, serve_http
from nexus_cli.runtime.latency import Latencies
from nexus_cli.runtime.lifecycle import stop_on_signals, tasks
from nexus_cli.runtime.metrics import Metrics
from nexus_cli.runtime.progress import Progress
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.gateway_health import GatewayHealth
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics

_log = logging.getLogger("nexus.gateway")
ROLE = "gateway"
OPERATIONS = ("read", "poll", "publish", "live", "write")
"""What its latencies are of."""
DRAIN_S = 3.0
"""How long a stop waits for receipts, in seconds; frames without one stay on disk."""


async def run_gateway(
    settings: Settings,
    *,
    name: str,
    source: ConfigSource | None = None,
    stop: asyncio.Event | None = None,
    drivers: Callable[[str], Driver] = registry.driver,
    limits: Limits | None = None,
    started: Callable[[Gateway], None] | None = None,
) -> None:
    """Run one gateway until SIGTERM or SIGINT.

    Args:
        settings: Site, broker, control, home.
        name: The gateway's name in the site file.
        source: Instead of control's API (tests).
        stop: Instead of signals (tests).
        drivers: Driver by protocol.
        limits: Bounds of the outbox.
        started: Called with the gateway once it is built.

    Raises:
        NexusError: NX6002 bad broker address, NX6003 health port taken, NX6014 the disk log can't be used.
    """
    async with contextlib.AsyncExitStack() as stack:
        if stop is None:
            stop = await stack.enter_async_context(stop_on_signals())
        if source is None:
            source = await stack.enter_async_context(ControlClient(settings))
        gateway = Gateway(settings, name=name, source=source, drivers=drivers, limits=limits)
        if started is not None:
            started(gateway)
        await gateway.run(stop)


class Gateway:
    """One gateway process.

    Attributes:
        metrics: For Prometheus.
        latencies: How long its operations take.
        clock, outbox, live, publisher, configuration, pauses, following, absence, commands, publish_check: Its parts.
        links: The supervisors, while it runs.
        identity: This process.
        election: Whether this instance is the active one of its name.
    """

    links: Links
    publisher: Publisher
    commands: Commands
    following: ConfigurationFollower
    absence: Absence
    _broker_session: BrokerSession
    timekeeping: Timekeeping

    def __init__(
        self,
        settings: Settings,
        *,
        name: str,
        source: ConfigSource,
        drivers: Callable[[str], Driver] = registry.driver,
        limits: Limits | None = None,
    ) -> None:
        """Build the parts; `run` opens them."""
        enterprise, _, site = settings.site.partition("/")
        self.metrics = Metrics()
        self.configuration = Configuration(
            settings.home / "gateway" / f"{name}.json", enterprise=enterprise, site=site, gateway=name
        )
        self._settings, self._name, self._source, self._drivers = settings, name, source, drivers
        self._topics = Topics(enterprise, site)
        self.clock = SystemClock(trust=settings.clock_synchronised)
        self.identity = Identity.new()
        self.election = InstanceElection(self.identity, name=name, own=(), term=0, clock=self.clock)
        self.pauses = Pauses(settings.home / "gateway" / f"{name}.out-of-service.json", clock=self.clock)
        topics = self._topics
        self._client = BrokerClient(
            settings=settings,
            client_id=client_id(settings, "record"),
            will=(topics.health(ROLE, name), lost_payload(role=ROLE, name=name, instance=self.identity.instance)),
        )
        self.outbox = Outbox(
            settings.home / "outbox" / name, clock=self.clock, gap_topic=topics.gap(name), limits=limits
        )
        self.latencies = Latencies(OPERATIONS, clock=self.clock, metrics=self.metrics)
        self.live = LiveView(
            self._client, clock=self.clock, latencies=self.latencies, rate_per_s=settings.live_rate_per_s
        )
        self.aliases = Aliases(settings.home, name, client=self._client, topics=topics, clock=self.clock)
        self.aliases.beside(self.live, active=lambda: self.election.active)
        self._browsing = Browsing(self._client, topics=topics, gateway=name, clock=self.clock, owner=self)
        self.publish_check = PublishCheck(self._client, topic=topics.canary(settings.principal), changed=self._changed)
        self._health = HealthReporter(
            client=self._client,
            topic=topics.health(ROLE, name),
            role=ROLE,
            name=name,
            clock=self.clock,
            details=self.facts,
            waiting=lambda: not self.election.active,
        )
        self.progress = Progress(clock=self.clock, metrics=self.metrics, changed=self._changed)
        self.http_port = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Run until stopped, then stop the parts in the order of the data flow. Raises NexusError."""
        marking = self._open()
        pipeline = self._pipeline()
        journal = Journal(self._settings.home / "commands" / self._name)
        journal.open(now_us=self.clock.now_us(), lost_us=self._lost_us)
        async with tasks(f"gateway {self._name}") as group, tasks("links") as link_group:
            self._join(link_group, journal, pipeline)
            self._observe(pipeline)
            async with serve_http(
                self, host=self._settings.http_host, port=self._settings.http_port, settings=self._settings
            ) as port:
                self.http_port = port
                running = self._start(group, marking, stop)
                await stop.wait()
                await self._stop(running, marking)
        journal.close()

    def _pipeline(self) -> Pipeline:
        """Build the parts between the links and the broker."""
        self.publisher = Publisher(self.outbox, self._client, clock=self.clock, gate=self.live.gate)
        pipeline = Pipeline(
            topics=self._topics, outbox=self.outbox, live=self.live, time=RisingTime(self.clock), absence=self.absence
        )
        self.outbox.aftermath.on_over(pipeline.restate)
        seen = self._settings.home / "gateway" / "clock-synchronised"
        self.timekeeping = Timekeeping(self.clock, pipeline, metrics=self.metrics, seen=seen, changed=self._changed)
        return pipeline

    def _join(self, link_group: asyncio.TaskGroup, journal: Journal, pipeline: Pipeline) -> None:
        """Build the links and the parts that use them."""
        self.links = Links(
            link_group,
            drivers=self._drivers,
            kinds=registry.kinds(),
            home=str(self._settings.home),
            clock=self.clock,
            pipeline=pipeline,
            latencies=self.latencies,
            changed=self._changed,
        )
        self.commands = self._commands(journal, pipeline)
        self.following = self._following()
        self._broker_session = BrokerSession(
            self.election,
            client=self._client,
            topic=self._topics.health(ROLE, self._name),
            health=self._health,
            clock=self.clock,
            changed=self.following.notice,
            acknowledged=self.live.gate.acknowledged,
        )

    def _observe(self, pipeline: Pipeline) -> None:
        """Register the parts' counters, and watch them for stalls."""
        register(
            self.metrics,
            links=self.links,
            outbox=self.outbox,
            publisher=self.publisher,
            live=self.live,
            pipeline=pipeline,
            commands=self.commands,
            absence=self.absence,
            tried=lambda: self._browsing.tried,
        )
        stall_watch.watch(
            self.progress,
            client=self._client,
            outbox=self.outbox,
            publisher=self.publisher,
            live=self.live,
            links=self.links,
            commands=self.commands,
        )

    def _start(self, group: asyncio.TaskGroup, marking: Marking, stop: asyncio.Event) -> StartedParts:
        """Start the tasks of all parts."""
        ends = {part: asyncio.Event() for part in PARTS}
        running = {
            "outbox": self.outbox.run(ends["outbox"]),
            "mark": marking.run(ends["mark"]),
            "publisher": self.publisher.run(ends["publisher"]),
            "live": self.live.run(ends["live"]),
            "aliases": self.aliases.run(ends["live"]),
            "health": self._health.run(ends["health"]),
            "canary": self.publish_check.run(ends["client"]),
            "broker": self._broker(ends["client"]),
            "election": self._broker_session.run(ends["client"]),
            "progress": self.progress.run(stop),
            "browsing": self._browsing.run(ends["client"]),
            "timekeeping": self.timekeeping.run(stop),
            "commands": self.commands.run(ends["commands"]),
            "configuration": self.following.run(stop),
        }
        return StartedParts(ends, {name: group.create_task(part, name=name) for name, part in running.items()})

    async def _stop(self, started: StartedParts, marking: Marking) -> None:
        """Stop the parts in the order of the data flow, so that each one's output is still handled by the next."""
        await started.running["configuration"]
        await started.end("commands")
        await self.links.close()
        await started.end("mark")
        await started.end("outbox")
        await marking.close()  # once everything is durable: nothing of this run is missing then
        await self.publisher.drain(deadline_s=DRAIN_S)
        started.ends["publisher"].set()
        await self.live.finish(deadline_s=1.0)
        started.ends["live"].set()
        await started.end("health")  # before the client disconnects: it publishes `stopping`
        started.ends["client"].set()

    def _open(self) -> Marking:
        """Open the disk log, and find out how the previous process ended. Raises NexusError."""
        opened = self.outbox.open()
        self._lost_us = opened.lost_us
        self.clock.raise_to(self.outbox.last_time_us)
        self.configuration.load()
        self.pauses.load()
        self.aliases.load()
        folder = self._settings.home / "outbox" / self._name
        mark = load_mark(folder)
        self.absence = Absence(clock=self.clock, add_gap=self.outbox.add_gap)
        paths = self.configuration.devices
        past = past_of(mark, opened, self.outbox, gateway=self._name, topics=self._topics, paths=paths)
        if past is not None:
            self.absence.resume(past)
        self.election = InstanceElection(
            self.identity,
            name=self._name,
            own=mark.instances if mark is not None else (),
            term=mark.term if mark is not None else 0,
            clock=self.clock,
        )
        return Marking(
            folder,
            outbox=self.outbox,
            absence=self.absence,
            clock=self.clock,
            instances=sign(folder, mark, self.identity.instance, since_us=self.absence.since_us),
            election=self.election,
        )

    def _following(self) -> ConfigurationFollower:
        return ConfigurationFollower(
            self.configuration,
            self._source,
            client=self._client,
            topic=self._topics.observed(self._name),
            clock=self.clock,
            instance=self.identity.instance,
            election=self.election,
            absence=self.absence,
            links=self.links,
            commands=self.commands,
            outbox=self.outbox,
            pauses=self.pauses,
            aliases=self.aliases,
            changed=self._changed,
        )

    def _commands(self, journal: Journal, pipeline: Pipeline) -> Commands:
        """Build the commands, with their own MQTT session, which starts clean."""
        return Commands(
            gateway=self._name,
            topics=self._topics,
            client=BrokerClient(settings=self._settings, client_id=client_id(self._settings, "commands")),
            links=self.links,
            outbox=self.outbox,
            journal=journal,
            pipeline=pipeline,
            clock=self.clock,
            clocks=Clocks(self.clock.wall_us, doubt=lambda: self.clock.wall_doubt),
            latency=self.latencies["write"],
            paused=self.pauses.why,
            own_keys=self._settings.credentials.get("signing_public", {}),
        )

    def ready(self) -> tuple[bool, str]:
        """True when active and connected, the disk accepts frames and a configuration runs; else why not."""
        if not self.election.active and self.election.other is not None:
            return False, self.election.why
        if not self._client.connected:
            return False, self._client.problem.message if self._client.problem else "connecting to the broker"
        if self.outbox.failing:
            return False, f"the disk log can't be written: {self.outbox.failing}"
        if not self.election.active:
            return False, self.election.why
        if not self.configuration.deployment and self.following.problem is not None:
            return False, self.following.problem.message
        if self.publish_check.silent:
            return False, "the broker drops what this gateway publishes (NX6012)"
        return self.progress.ready()

    def status(self) -> GatewayHealth:
        """The document of `/status`."""
        ready, detail = self.ready()
        tags = tags_by_quality(self.links.devices())  # visits every tag: in `/status`, and not in each health message
        return msgspec.structs.replace(self.facts(), role=ROLE, name=self._name, ready=ready, detail=detail, tags=tags)

    def facts(self) -> GatewayHealth:
        """The gateway's part of the health document."""
        return facts_of(self)

    async def _broker(self, stop: asyncio.Event) -> None:
        topics = self._topics
        own = (topics.committed(self._name), topics.config(self._name), topics.browse(self._name, "+"))
        await self._broker_session.session(
            stop,
            subscriptions=[(one, 1) for one in (*own, topics.canary(self._settings.principal))],
            on_message=self._receive,
            on_connected=self._connected,
        )

    def _receive(self, message: Message) -> None:
        topics = self._topics
        if message.topic == topics.committed(self._name):
            if message.payload and not self.publisher.receipt(message.payload):
                _log.warning("a receipt on %s can't be read", message.topic)
        elif message.topic == topics.config(self._name):
            self.following.notice()
            self.live.noticed(message.payload)
        elif message.topic == topics.canary(self._settings.principal):
            self.publish_check.receive(message.payload)
        elif self.election.active:
            self._browsing.receive(message)

    async def _connected(self) -> None:
        self.live.again()
        self.publisher.reconnected()
        self.publish_check.send()
        await self.following.greet()

    def _changed(self) -> None:
        self._health.changed()
