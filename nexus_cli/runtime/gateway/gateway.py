"""The gateway: joins configuration, links, outbox, publisher and live view, and ends them in the order of the flow."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Any

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.drivers import registry
from nexus_cli.drivers.base import Driver
from nexus_cli.runtime.backoff import Backoff
from nexus_cli.runtime.clock import RisingTime, SystemClock
from nexus_cli.runtime.gateway import moving
from nexus_cli.runtime.gateway.browsing import Browsing
from nexus_cli.runtime.gateway.canary import Canary
from nexus_cli.runtime.gateway.commanding.commands import Commands
from nexus_cli.runtime.gateway.commanding.journal import Journal
from nexus_cli.runtime.gateway.commanding.judge import Clocks
from nexus_cli.runtime.gateway.configuration import ConfigSource, Configuration, Difference
from nexus_cli.runtime.gateway.counters import register
from nexus_cli.runtime.gateway.device import Running
from nexus_cli.runtime.gateway.links import Links
from nexus_cli.runtime.gateway.live import LiveView
from nexus_cli.runtime.gateway.observed import VERIFY_S, answer, settled, verify
from nexus_cli.runtime.gateway.outbox import Limits, Outbox
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.runtime.gateway.publisher import Publisher
from nexus_cli.runtime.gateway.timekeeping import Timekeeping
from nexus_cli.runtime.health import HealthReporter, lost_payload, serve_http
from nexus_cli.runtime.lifecycle import first_of, stop_on_signals, tasks
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.metrics import Metrics
from nexus_cli.runtime.progress import Progress
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient, Message
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.topic import Topics

_log = logging.getLogger("nexus.gateway")
ROLE = "gateway"
DRAIN_S = 3.0
"""How long a stop waits for receipts, in seconds; what is left stays on disk."""
ASK_AGAIN_S = 60.0
"""How often control is asked although no notice came (a retained notice can be lost with the broker's state)."""


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
        started: Called with the gateway once its parts exist.

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
        outbox, live, publisher, configuration: Its parts.
        links: The supervisors, while it runs.
    """

    links: Links
    publisher: Publisher
    commands: Commands
    _timekeeping: Timekeeping

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
        self._clock = SystemClock(trust=settings.clock_synchronised)
        topics = self._topics
        self._client = BrokerClient(
            settings=settings,
            client_id=client_id(f"{ROLE}-{name}"),
            will=(topics.health(ROLE, name), lost_payload(role=ROLE, name=name)),
        )
        self.outbox = Outbox(
            settings.home / "outbox" / name, clock=self._clock, gap_topic=topics.gap(name), limits=limits
        )
        self.live = LiveView(self._client, clock=self._clock, rate_per_s=settings.live_rate_per_s)
        self._browsing = Browsing(self._client, topics=topics, gateway=name, clock=self._clock, owner=self)
        self._canary = Canary(self._client, topic=topics.canary(settings.principal), changed=self._changed)
        self._health = HealthReporter(
            client=self._client,
            topic=topics.health(ROLE, name),
            role=ROLE,
            name=name,
            clock=self._clock,
            details=self.facts,
        )
        self.progress = Progress(clock=self._clock, metrics=self.metrics, changed=self._changed)
        self._notice = asyncio.Event()
        self._config_problem: NexusError | None = None
        self._observed = b""
        self.http_port = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Run until stopped, then end against the flow: links, outbox, publisher, health, client."""
        self.outbox.open()
        self._clock.raise_to(self.outbox.last_time_us)
        time = RisingTime(self._clock)
        self.publisher = Publisher(self.outbox, self._client, clock=self._clock, gate=self.live.gate)
        pipeline = Pipeline(topics=self._topics, gateway=self._name, outbox=self.outbox, live=self.live, time=time)
        seen = self._settings.home / "gateway" / "clock-synchronised"
        self._timekeeping = Timekeeping(self._clock, pipeline, metrics=self.metrics, seen=seen, changed=self._changed)
        parts = ("outbox", "publisher", "live", "health", "client", "commands")
        ends = {part: asyncio.Event() for part in parts}
        journal = Journal(self._settings.home / "commands" / self._name)
        journal.open(now_us=self._clock.now_us())
        async with tasks(f"gateway {self._name}") as group, tasks("links") as link_group:
            self.links = Links(
                link_group,
                drivers=self._drivers,
                kinds=registry.kinds(),
                home=str(self._settings.home),
                clock=self._clock,
                pipeline=pipeline,
                changed=self._changed,
            )
            self.commands = self._commands(journal, pipeline)
            register(
                self.metrics,
                links=self.links,
                outbox=self.outbox,
                publisher=self.publisher,
                live=self.live,
                pipeline=pipeline,
                commands=self.commands,
            )
            moving.watch(
                self.progress,
                client=self._client,
                outbox=self.outbox,
                publisher=self.publisher,
                live=self.live,
                links=self.links,
                commands=self.commands,
            )
            async with serve_http(self, host=self._settings.http_host, port=self._settings.http_port) as port:
                self.http_port = port
                disk = group.create_task(self.outbox.run(ends["outbox"]), name="outbox")
                group.create_task(self.publisher.run(ends["publisher"]), name="publisher")
                group.create_task(self.live.run(ends["live"]), name="live")
                reporting = group.create_task(self._health.run(ends["health"]), name="health")
                group.create_task(self._canary.run(ends["client"]), name="canary")
                group.create_task(self._broker(ends["client"]), name="broker")
                group.create_task(self.progress.run(stop), name="progress")
                group.create_task(self._browsing.run(ends["client"]), name="browsing")
                group.create_task(self._timekeeping.run(stop), name="timekeeping")
                commanding = group.create_task(self.commands.run(ends["commands"]), name="commands")
                configuring = group.create_task(self._configure(stop), name="configuration")
                await stop.wait()
                await configuring
                ends["commands"].set()
                await commanding
                await self.links.close()
                ends["outbox"].set()
                await disk
                await self.publisher.drain(deadline_s=DRAIN_S)
                ends["publisher"].set()
                await self.live.finish(deadline_s=1.0)
                ends["live"].set()
                ends["health"].set()
                await reporting
                ends["client"].set()
        journal.close()

    def _commands(self, journal: Journal, pipeline: Pipeline) -> Commands:
        """Commands have an MQTT session of their own, and it starts clean."""
        return Commands(
            gateway=self._name,
            topics=self._topics,
            client=BrokerClient(settings=self._settings, client_id=client_id(f"{ROLE}-{self._name}-commands")),
            links=self.links,
            outbox=self.outbox,
            journal=journal,
            pipeline=pipeline,
            clock=self._clock,
            clocks=Clocks(self._clock.wall_us, doubt=lambda: self._clock.wall_doubt),
        )

    def ready(self) -> tuple[bool, str]:
        """True when the broker is there, the disk takes frames and a configuration runs."""
        if not self._client.connected:
            return False, self._client.problem.message if self._client.problem else "connecting to the broker"
        if self.outbox.failing:
            return False, f"the disk log can't be written: {self.outbox.failing}"
        if not self.configuration.deployment and self._config_problem is not None:
            return False, self._config_problem.message
        if self._canary.silent:
            return False, "the broker drops what this gateway publishes (NX6012)"
        return self.progress.ready()

    def status(self) -> dict[str, Any]:
        """Everything worth seeing."""
        ready, detail = self.ready()
        return {"role": ROLE, "name": self._name, "ready": ready, "detail": detail, **self.facts()}

    def facts(self) -> dict[str, Any]:
        """The gateway's part of its health."""
        devices = self.links.devices()
        problem = self._config_problem
        return {
            "deployment": self.configuration.deployment,
            "digest": self.configuration.digest,
            "configuration": problem.message if problem is not None else "",
            "devices": len(devices),
            "unreachable": sorted(one.path for one in devices if one.config.enabled and not one.reachable)[:100],
            "links": self.links.health(),
            "stalled": list(self.progress.stalled.values()),
            "commands": self.commands.facts(),
            "canary": self._canary.state,
            "clock": self._timekeeping.facts(),
            "outbox": self.publisher.facts(),
            "counters": {
                "accepted": self.outbox.accepted,
                "published": self.publisher.published,
                "repeated": self.publisher.repeated,
                "missed_cycles": sum(one.counters.missed for one in devices),
                "live_published": self.live.published,
                "live_conflated": self.live.conflated,
            },
        }

    async def _broker(self, stop: asyncio.Event) -> None:
        topics = self._topics
        own = (topics.committed(self._name), topics.config(self._name), topics.browse(self._name, "+"))
        await self._client.run(
            stop,
            subscriptions=[(one, 1) for one in (*own, topics.canary(self._settings.principal))],
            on_message=self._hear,
            on_connected=self._connected,
            on_lost=self._changed,
        )

    def _hear(self, message: Message) -> None:
        topics = self._topics
        if message.topic == topics.committed(self._name):
            if message.payload and not self.publisher.receipt(message.payload):
                _log.warning("a receipt on %s can't be read", message.topic)
        elif message.topic == topics.config(self._name):
            self._notice.set()
            self.live.noticed(message.payload)
        elif message.topic == topics.canary(self._settings.principal):
            self._canary.heard(message.payload)
        else:
            self._browsing.hear(message)

    async def _connected(self) -> None:
        self.live.again()
        self.publisher.reconnected()
        self._canary.send()
        if self._observed:
            await self._client.publish(self._topics.observed(self._name), self._observed, retain=True)
        self._changed()

    def _changed(self) -> None:
        self._health.changed()

    async def _configure(self, stop: asyncio.Event) -> None:
        """Start from the local copy, then follow control."""
        if self.configuration.load():
            failed = self._run_devices()
            event(_log, "started from the local copy", deployment=self.configuration.deployment, failed=len(failed))
        backoff = Backoff(first_s=0.5, cap_s=30.0)
        first = True
        async with Group() as verifying:
            while not stop.is_set():
                self._notice.clear()
                try:
                    await self._refresh(verifying, stop, announce_all=first)
                except NexusError as error:
                    if self._config_problem is None or self._config_problem.code != error.code:
                        event(_log, error.message, level=logging.WARNING, cause=error.cause)
                    self._config_problem = error
                    self._changed()
                    await first_of(self._notice, stop, timeout_s=backoff.next_s())
                    continue
                first = False
                self._config_problem = None
                backoff.reset()
                await first_of(self._notice, stop, timeout_s=ASK_AGAIN_S)

    def _run_devices(self) -> dict[str, str]:
        failed = self.links.apply(self.configuration.devices)
        self.commands.configured(list(self.configuration.devices))
        return failed

    async def _refresh(self, group: asyncio.TaskGroup, stop: asyncio.Event, *, announce_all: bool) -> None:
        before = (self.configuration.deployment, self.configuration.digest)
        difference = await self.configuration.refresh(self._source)
        failed: dict[str, str] = {}
        if difference.changed or difference.removed or announce_all:
            failed = self._run_devices()
        if (self.configuration.deployment, self.configuration.digest) == before and not announce_all:
            return
        if announce_all:
            difference.changed = list(self.configuration.devices)
        event(
            _log,
            "configuration applied",
            deployment=self.configuration.deployment,
            changed=len(difference.changed),
            removed=len(difference.removed),
            failed=len(failed) + len(difference.failed),
        )
        await self._observe(difference, failed)
        self._save()
        paths = set(difference.changed)
        devices = [one for one in self.links.devices() if one.path in paths]
        group.create_task(self._verify(difference, failed, devices, self.configuration.deployment, stop), name="verify")

    async def _verify(
        self,
        difference: Difference,
        failed: dict[str, str],
        devices: Iterable[Running],
        deployment: int,
        stop: asyncio.Event,
    ) -> None:
        until_s = self._clock.monotonic_s() + VERIFY_S
        changed = list(devices)
        while not settled(changed) and self._clock.monotonic_s() < until_s and not stop.is_set():
            await self._clock.sleep(0.1)
        if deployment == self.configuration.deployment:
            await self._observe(difference, failed, verification=verify(changed))

    async def _observe(
        self, difference: Difference, failed: dict[str, str], *, verification: dict[str, Any] | None = None
    ) -> None:
        self._observed = answer(
            self.configuration, difference, failed, time_us=self._clock.now_us(), verification=verification
        )
        self._changed()
        with contextlib.suppress(NexusError):  # sent again after the next connect
            await self._client.publish(self._topics.observed(self._name), self._observed, retain=True)

    def _save(self) -> None:
        try:
            self.configuration.save()
        except OSError as error:
            event(_log, "the local copy of the configuration can't be written", level=logging.WARNING, cause=str(error))
