"""The role web: its parts, their start and stop."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets

import msgspec

from nexus_cli.database.connect import Pool, open_pool
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock, SystemClock
from nexus_cli.runtime.command_sender import CommandSender
from nexus_cli.runtime.health import HealthReporter, health_routes, lost_payload, serve_http
from nexus_cli.runtime.identity.identities import Identities
from nexus_cli.runtime.latency import Latencies
from nexus_cli.runtime.lifecycle import stop_on_signals, tasks
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.metrics import Metrics
from nexus_cli.runtime.web.interruptions import Interruptions
from nexus_cli.runtime.web.known_callers import KnownCallers
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.qualities import Qualities
from nexus_cli.runtime.web.routes.api import make_api
from nexus_cli.runtime.web.signed_topics import SignedTopics
from nexus_cli.runtime.web.site_keeper import SiteKeeper
from nexus_cli.runtime.web.socket.sockets import Sockets
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.forwarding import Forwarder
from nexus_cli.wire.health import WebHealth
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.message import Message
from nexus_cli.wire.signature import signer_of
from nexus_cli.wire.topic import Topics

NAME = "web"
OPERATIONS = ("api", "write")
"""What its latencies are of."""
POOL_SIZE = 8
MOST_CONNECTIONS = 4_000
"""Open HTTP connections: pages, WebSockets and event streams."""
OBSERVER_QOS = 0
"""A broker queues QoS 1 for a slow subscriber; a client that only watches uses QoS 0."""
ANSWER_QOS = 1
"""Of answers to commands: one that is lost makes a command `unknown`."""

_log = logging.getLogger("nexus.web")


async def run_web(
    settings: Settings, *, name: str = NAME, clock: Clock | None = None, stop: asyncio.Event | None = None
) -> None:
    """Run web until SIGTERM, SIGINT or `stop`.

    Args:
        settings: `site`, broker, database, `control_url`, and `http_host`, `http_port` to listen on.
        name: Of this web, of several; its health is published under it.
        clock: Instead of the system's clock.
        stop: Instead of signals.

    Raises:
        NexusError: NX6001 no site, NX6003 the port is taken. A broker or database that is away is waited for, and said.
    """
    if settings.site.count("/") != 1:
        raise NexusError("Web does not know its site.", code="NX6001", hint="set NEXUS_SITE to enterprise/site")
    pool = await open_pool(settings, application="nexus-web", size=POOL_SIZE, later=True)
    try:
        web = Web(settings, name=name, pool=pool, clock=clock or SystemClock())
        if stop is not None:
            await web.run(stop)
            return
        async with stop_on_signals() as signalled:
            await web.run(signalled)
    finally:
        pool.terminate()


class Web:
    """One web process.

    Attributes:
        name: Any number of them may run, each under a name of its own.
        instance: This process: its name and a random part.
        parts: What the routes are built from.
        signed: Messages on their way into the cache.
    """

    def __init__(self, settings: Settings, *, name: str = NAME, pool: Pool, clock: Clock) -> None:
        """Join the parts; nothing runs yet."""
        enterprise, _, site = settings.site.partition("/")
        self.name, self.instance = name, f"{name}-{secrets.token_hex(4)}"
        self.metrics, self._settings, self._clock, self._stopping = Metrics(), settings, clock, False
        topics = Topics(enterprise, site)
        self._answers = topics.response("", "", "").rstrip("/") + "/"
        client = BrokerClient(
            settings=settings,
            client_id=client_id(settings, NAME),
            will=(topics.health(NAME, self.name), lost_payload(role=NAME, name=self.name)),
        )
        cache = LiveCache(now_us=clock.wall_us)
        identity = Identities(settings=settings, pool=pool, clock=clock)
        latencies = Latencies(OPERATIONS, clock=clock, metrics=self.metrics)
        sender = CommandSender(client, topics, principal=settings.principal, clock=clock, latency=latencies["write"])
        sender.signer = signer_of(settings)
        self.parts = WebParts(
            settings=settings,
            topics=topics,
            clock=clock,
            metrics=self.metrics,
            latencies=latencies,
            pool=pool,
            client=client,
            sender=sender,
            forwarder=Forwarder(settings),
            cache=cache,
            interruptions=Interruptions(client, cache, topics, clock=clock),
            qualities=Qualities(cache),
            keeper=SiteKeeper(settings=settings, pool=pool, topics=topics, cache=cache),
            callers=KnownCallers(identity.gate, clock=clock),
            refusals=identity.refusals,
            stopping=lambda: self._stopping,
        )
        self.signed = SignedTopics(topics, keeper=self.parts.keeper, cache=cache, wall_us=clock.wall_us)
        self.metrics.watch_counters(
            "nexus_web_refused_messages",
            "Messages of external devices without a good signature, by reason.",
            ("reason",),
            self.signed.values.counts,
        )
        self.sockets = Sockets(self.parts, instance=self.instance)
        self._health = HealthReporter(
            client=client,
            topic=topics.health(NAME, self.name),
            role=NAME,
            name=self.name,
            clock=clock,
            details=self._details,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until stopped. Downstream opens first and closes last."""
        parts, settings = self.parts, self._settings
        app = make_api(parts, health=list(health_routes(self)), sockets=self.sockets)
        host, port = settings.http_host, settings.http_port
        broker_stop = asyncio.Event()
        http = serve_http(self, host=host, port=port, app=app, settings=settings, connections=MOST_CONNECTIONS)
        async with http as bound, tasks(NAME) as group:
            event(_log, "web is up", site=settings.site, http_port=bound)
            topics = parts.topics
            filters = (f"{topics.live}/#", topics.alert("+"), f"{topics.platform}/health/#")
            view = [(each, OBSERVER_QOS) for each in filters]
            broker = parts.client.run(
                broker_stop,
                subscriptions=[*view, (parts.sender.filter, ANSWER_QOS)],
                on_message=self._hear,
                on_connected=self._connected,
                on_lost=self._lost,
            )
            group.create_task(broker, name="broker")
            group.create_task(parts.interruptions.run(stop, subscriptions=view), name="interruptions")
            group.create_task(parts.keeper.run(stop), name="site")
            group.create_task(parts.refusals.run(stop), name="refusals")
            group.create_task(self.sockets.run(stop), name="sockets")
            for name, job in parts.jobs.items():
                group.create_task(job(stop), name=name)
            reporting = group.create_task(self._health.run(stop), name="health")
            await stop.wait()
            self._stopping = True
            await reporting
            broker_stop.set()
        await parts.forwarder.close()

    async def _connected(self) -> None:
        self.parts.interruptions.happened()
        await self.sockets.shared.extra.connected()

    def _lost(self) -> None:
        self.parts.interruptions.happened()
        self._health.changed()

    def _hear(self, message: Message) -> None:
        if not (message.topic.startswith(self._answers) and self.parts.sender.receive(message.topic, message.payload)):
            self.signed.take(message)

    def ready(self) -> tuple[bool, str]:
        """True when values and the record can be served; else what is missing."""
        problems = [self._broker_problem(), self.parts.keeper.problem]
        return not any(problems), "; ".join(each for each in problems if each)

    def _broker_problem(self) -> str:
        client = self.parts.client
        if client.connected:
            return ""
        return client.problem.message if client.problem is not None else "the broker is away"

    def status(self) -> WebHealth:
        """The document of `/status`."""
        ready, detail = self.ready()
        return msgspec.structs.replace(
            self._details(), role=NAME, name=self.name, site=self._settings.site, ready=ready, detail=detail
        )

    def _details(self) -> WebHealth:
        parts = self.parts
        return WebHealth(
            instance=f"{self.instance}.{os.getpid()}",
            deployment=parts.keeper.view.number,
            tags=len(parts.keeper.view.tags),
            topics=len(parts.cache),
            clients=len(self.sockets.clients),
            broker=self._broker_problem() or "connected",
            database=parts.keeper.problem or "connected",
            latencies=parts.latencies.health(),
        )
