"""The control role: desired state, deployments, alerts, and watching over the gateways."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from urllib.parse import urlsplit

from nexus_cli.apply.engine import Engine, Timing
from nexus_cli.apply.observation import Observations
from nexus_cli.apply.rights import Rights
from nexus_cli.apply.run import gateway_digest, notice
from nexus_cli.database import alerts as alert_rows
from nexus_cli.database import deployments as db
from nexus_cli.database.connect import Pool, open_pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock, SystemClock
from nexus_cli.runtime.control.alerting import Alerting
from nexus_cli.runtime.control.api import make_api
from nexus_cli.runtime.control.auth import Tokens
from nexus_cli.runtime.control.database_watch import DatabaseWatch
from nexus_cli.runtime.control.deployer import Deployer
from nexus_cli.runtime.control.hands import BrokerHands
from nexus_cli.runtime.control.live_values import LiveValues
from nexus_cli.runtime.control.presence import Presence
from nexus_cli.runtime.control.sequencing import Sequencing
from nexus_cli.runtime.control.service import Service
from nexus_cli.runtime.health import HealthReporter, health_routes, lost_payload, serve_http
from nexus_cli.runtime.lifecycle import stop_on_signals, tasks
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.metrics import Metrics
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient, Message
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.topic import Topics

NAME = "control"
POOL_SIZE = 8
DATABASE_RETRY_S = 1.0

_log = logging.getLogger("nexus.control")


async def run_control(settings: Settings, *, timing: Timing | None = None, clock: Clock | None = None) -> None:
    """Run control until SIGTERM or SIGINT.

    Args:
        settings: `site`, database, broker, and `control_url` whose host and port are listened on.
        timing: Waits of deployments.
        clock: Instead of the system's.

    Raises:
        NexusError: NX6001 no site, NX6003 the port is taken, NX6201 the schema is not up to date, NX6202 the
            database refused us. A database or broker that is away is waited for.
    """
    if settings.site.count("/") != 1:
        raise NexusError("Control does not know its site.", code="NX6001", hint="set NEXUS_SITE to enterprise/site")
    async with stop_on_signals() as stop:
        pool = await _pool(settings, stop)
        if pool is None:
            return
        try:
            control = Control(settings, pool=pool, timing=timing or Timing(), clock=clock or SystemClock())
            await control.run(stop)
        finally:
            pool.terminate()


async def _pool(settings: Settings, stop: asyncio.Event) -> Pool | None:
    """A pool, waiting for a database that does not answer yet; None when stopped meanwhile."""
    told = False
    while not stop.is_set():
        try:
            pool = await open_pool(settings, application="nexus-control", size=POOL_SIZE)
            try:
                with plain_errors(settings):
                    await pool.fetchval("SELECT count(*) FROM nexus.resource WHERE site = $1", settings.site)
            except BaseException:
                pool.terminate()
                raise
            return pool
        except NexusError as error:
            if not error.retriable:
                raise
            if not told:
                event(_log, error.message, level=logging.WARNING, cause=error.cause)
            told = True
            await asyncio.sleep(DATABASE_RETRY_S)
    return None


class Control:
    """All parts of the role, joined."""

    def __init__(self, settings: Settings, *, pool: Pool, timing: Timing, clock: Clock) -> None:
        """Join them; nothing runs yet."""
        self._settings, self._pool, self._clock = settings, pool, clock
        enterprise, _, name = settings.site.partition("/")
        self._topics = Topics(enterprise, name)
        self.metrics = Metrics()
        self._seen = Observations()
        self._database = DatabaseWatch(pool=pool, settings=settings)
        self._broker = BrokerClient(
            settings=settings,
            client_id=client_id(NAME),
            will=(self._topics.health(NAME, NAME), lost_payload(role=NAME, name=NAME)),
        )
        self._subscriptions: list[tuple[str, int]] = [
            (self._topics.observed("+"), 1),
            (self._topics.health("gateway", "+"), 1),
        ]
        self._values = LiveValues(self._topics)
        self._hands = BrokerHands(self._broker, self._topics, principal=settings.principal, clock=clock)
        self._subscriptions.append((self._hands.filter, 1))
        self._fixed_subscriptions = len(self._subscriptions)
        self._sequencing = Sequencing(settings=settings, pool=pool, hands=self._hands, values=self._values, clock=clock)
        self._alerting = Alerting(settings=settings, pool=pool, publish=self._publish, clock=clock)
        self._presence = Presence(
            settings=settings,
            pool=pool,
            publish=self._publish,
            ask_again=self._ask_again,
            observations=self._seen,
            clock=clock,
        )
        self._rights = Rights(settings.home, enterprise=enterprise, site=name)
        engine = Engine(
            pool=pool,
            site=settings.site,
            publish=self._publish,
            observations=self._seen,
            rights=self._rights,
            timing=timing,
            on_step=lambda: self._service.stepped(),
        )
        self._service = Service(pool=pool, settings=settings, engine=engine, lease_ttl_s=timing.lease_ttl_s)
        self._deployer = Deployer(
            settings=settings,
            pool=pool,
            engine=engine,
            wanted=self._service.wanted,
            on_recorded=self._load_alerts,
            retry_s=timing.retry_s,
        )
        self._health = HealthReporter(
            client=self._broker,
            topic=self._topics.health(NAME, NAME),
            role=NAME,
            name=NAME,
            clock=clock,
            details=self.status,
        )
        self._watch_metrics()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve, watch and deploy until stopped. Downstream opens first and closes last."""
        host, port = _listen_on(self._settings)
        with plain_errors(self._settings):
            await self._load_alerts()
            await self._hold_rights()
        app = make_api(
            service=self._service,
            alerting=self._alerting,
            sequencing=self._sequencing,
            tokens=Tokens.of(self._settings),
            health=list(health_routes(self)),
        )
        broker_stop = asyncio.Event()
        async with tasks("broker") as outer:
            outer.create_task(
                self._broker.run(
                    broker_stop,
                    subscriptions=self._subscriptions,
                    on_message=self._hear,
                    on_connected=self._announce,
                ),
                name="broker",
            )
            try:
                async with serve_http(self, host=host, port=port, app=app) as bound, tasks(NAME) as group:
                    event(_log, "control is up", site=self._settings.site, url=f"http://{host}:{bound}")
                    group.create_task(self._deployer.run(stop), name="deployer")
                    group.create_task(self._alerting.run(stop), name="alerting")
                    group.create_task(self._presence.run(stop), name="presence")
                    group.create_task(self._sequencing.run(stop), name="sequences")
                    group.create_task(self._database.run(stop), name="database")
                    group.create_task(self._health.run(stop), name="health")
                    await stop.wait()
            finally:
                broker_stop.set()

    def ready(self) -> tuple[bool, str]:
        """Control does its work with a database and a broker."""
        problem = self._database.problem or self._deployer.problem
        if problem:
            return False, problem
        if not self._broker.connected:
            return False, self._broker.problem.message if self._broker.problem else "connecting to the broker"
        return True, ""

    def status(self) -> dict[str, Any]:
        """Deployments, gateways and alerts."""
        ready, why = self.ready()
        return {
            "site": self._settings.site,
            "ready": ready,
            "detail": why,
            "broker": {"connected": self._broker.connected, "reconnects": self._broker.reconnects},
            "deployment_running": self._deployer.running,
            "gateways_lost": sorted(self._presence.lost),
            "gateways_stopped": sorted(self._presence.stopped),
            "gateways_waiting": {
                name: f"instance {one.instance} at {one.host} (pid {one.pid})"
                for name, one in self._seen.waiting.items()
            },
            "links": self._seen.links(),
            "sequences_running": sorted(run.name for run in self._sequencing.running.values()),
            "alerts_active": sum(each["state"] != "cleared" for each in self._alerting.listing()),
        }

    async def _publish(self, topic: str, payload: bytes) -> None:
        await self._broker.publish(topic, payload, qos=1, retain=True)

    def _hear(self, message: Message) -> None:
        observed, health = self._topics.observed(""), self._topics.health("gateway", "")
        if message.topic.startswith(observed):
            self._seen.hear(message.topic[len(observed) :], message.payload)
        elif message.topic.startswith(health):
            gateway = message.topic[len(health) :]
            found = self._seen.hear_health(gateway, message.payload)
            if found is not None:
                self._presence.hear(gateway, found)
        elif not self._hands.hear(message.topic, message.payload):
            self._alerting.hear(message.topic, message.payload)
            self._values.hear(message.topic, message.payload)

    async def _announce(self) -> None:
        """After every connect: a broker that lost its state gets the notices again."""
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                state = await db.recorded(conn, self._settings.site)
        for gateway in sorted(set(state.gateways.values())):
            digest = gateway_digest(state.gateway_devices(gateway))
            await self._publish(self._topics.config(gateway), notice(deployment=state.number, digest=digest))

    async def _ask_again(self, gateway: str) -> None:
        """Have a gateway publish every tag once more."""
        async with self._pool.acquire() as conn:
            state = await db.recorded(conn, self._settings.site)
        digest = gateway_digest(state.gateway_devices(gateway))
        await self._publish(self._topics.config(gateway), notice(deployment=state.number, digest=digest, again=True))

    async def _hold_rights(self) -> None:
        """At start: the rights of what is recorded, should the file have gone. A running deployment adds its own."""
        async with self._pool.acquire() as conn:
            if not await db.recorded_number(conn, self._settings.site):
                return
            state = await db.full_state(conn, self._settings.site)
        try:
            await self._rights.hold(state)
        except NexusError as error:
            event(_log, error.message, level=logging.WARNING, cause=error.cause)

    async def _load_alerts(self) -> None:
        async with self._pool.acquire() as conn:
            configs = await db.attributes_of_kind(conn, self._settings.site, "alert")
            stored = await alert_rows.load(conn, self._settings.site)
            sequences = await db.attributes_of_kind(conn, self._settings.site, "sequence")
            recorded = await db.recorded(conn, self._settings.site)
        devices = recorded.gateways.items()
        self._hands.gateways = {address.removeprefix("device."): gateway for address, gateway in devices}
        gone = self._alerting.load(configs, stored)
        self._sequencing.load(sequences)
        wanted = [(topic, 1) for topic in sorted({*self._alerting.topics(), *self._values.filters()})]
        before = set(self._subscriptions)
        fresh = [each for each in wanted if each not in before]
        self._subscriptions[self._fixed_subscriptions :] = wanted
        await self._alerting.clear(gone)
        if fresh and self._broker.connected:
            await self._broker.subscribe(fresh)

    def _watch_metrics(self) -> None:
        watch = self.metrics
        watch.watch_gauges(
            "nexus_control_deployment_running",
            "Number of the running deployment",
            (),
            lambda: {(): float(self._deployer.running)},
        )
        watch.watch_gauges(
            "nexus_control_gateways_lost", "Gateways that are lost", (), lambda: {(): float(len(self._presence.lost))}
        )
        watch.watch_counters(
            "nexus_control_alert_changes", "Changes of state of alerts", (), lambda: {(): float(self._alerting.changed)}
        )
        watch.watch_counters(
            "nexus_control_unreadable_messages",
            "Messages of gateways that can't be read",
            (),
            lambda: {(): float(self._seen.unreadable)},
        )


def _listen_on(settings: Settings) -> tuple[str, int]:
    """Host and port of `control_url`; without one, the role's own HTTP address."""
    if not settings.control_url:
        return settings.http_host, settings.http_port
    try:
        parts = urlsplit(settings.control_url)
        return parts.hostname or settings.http_host, parts.port or 80
    except ValueError:
        raise NexusError(
            "The control URL can't be read.", code="NX6001", hint="write NEXUS_CONTROL_URL as http://HOST:PORT"
        ) from None
