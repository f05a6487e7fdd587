"""One term of a leading control: all parts that act, which end with the term.

It is built for each term, so that no state of an earlier one remains in memory. Writes go through a fenced pool,
messages through a fenced client; see `leadership.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from functools import partial

import msgspec

from nexus_cli.apply.engine import Engine
from nexus_cli.apply.observation import Observations
from nexus_cli.apply.timing import Timing
from nexus_cli.database.connect import Pool
from nexus_cli.database.leader import FencedPool
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.command_sender import CommandSender
from nexus_cli.runtime.control import stall_watch
from nexus_cli.runtime.control.alerts.alerting import Alerting
from nexus_cli.runtime.control.alerts.record import AlertRecord
from nexus_cli.runtime.control.audit_chain import AnchorWriter
from nexus_cli.runtime.control.clearing import Clearing
from nexus_cli.runtime.control.confirming import WHO, Confirming
from nexus_cli.runtime.control.deployer import Deployer
from nexus_cli.runtime.control.drift_watch import DriftWatch
from nexus_cli.runtime.control.gateway_liveness import GatewayLiveness
from nexus_cli.runtime.control.intake import NAME, Intake
from nexus_cli.runtime.control.keeping import Keeping
from nexus_cli.runtime.control.leadership import LeaderClient, Leadership
from nexus_cli.runtime.control.live_intake import LiveIntake
from nexus_cli.runtime.control.loading import Loading
from nexus_cli.runtime.control.maintenance import Maintenance, with_force
from nexus_cli.runtime.control.notices import Notices
from nexus_cli.runtime.control.retained import Retained
from nexus_cli.runtime.control.reverting import Reverting
from nexus_cli.runtime.control.rights_keeper import RightsKeeper
from nexus_cli.runtime.control.rollouts import Rollouts
from nexus_cli.runtime.control.sequences.deployed import DeployedSequences
from nexus_cli.runtime.control.sequences.live_values import LiveValues
from nexus_cli.runtime.control.sequences.record import Runs
from nexus_cli.runtime.control.sequences.sequencing import Sequencing
from nexus_cli.runtime.control.service import Service
from nexus_cli.runtime.control.settling import Settling
from nexus_cli.runtime.control.undoing import Undoing
from nexus_cli.runtime.control.waiting import first_of
from nexus_cli.runtime.control.wave_meter import WaveMeter
from nexus_cli.runtime.control.wave_values import WaveValues
from nexus_cli.runtime.health import HealthReporter, lost_payload
from nexus_cli.runtime.latency import Latency
from nexus_cli.runtime.lifecycle import tasks
from nexus_cli.runtime.progress import Progress
from nexus_cli.runtime.signed_values import SignedValues
from nexus_cli.settings import Settings
from nexus_cli.wire.health import BrokerLink, ControlHealth
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.message import Message
from nexus_cli.wire.signature import signer_of
from nexus_cli.wire.topic import Topics


class Term:
    """The parts that act, joined.

    Attributes:
        pool: Refuses writes once the term is over.
        engine: Executes deployments.
        wanted: Set when a deployment is waiting.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        pool: Pool,
        timing: Timing,
        clock: Clock,
        leadership: Leadership,
        service: Service,
        undoing: Undoing,
        runs: Runs,
        status: Callable[[], ControlHealth],
        latency: Latency,
    ) -> None:
        """Join them; nothing runs yet. `status` gives the details of control's health, `latency` gets the time that commands
        of sequences take."""
        self._latency = latency
        self._settings, self._clock, self._leadership = settings, clock, leadership
        enterprise, _, name = settings.site.partition("/")
        self._topics = topics = Topics(enterprise, name)
        self.pool = FencedPool(pool, site=settings.site, term=leadership.term)
        self.wanted = asyncio.Event()
        self.seen = Observations()
        self.broker = LeaderClient(
            leadership=leadership,
            settings=settings,
            client_id=client_id(settings, "leader"),
            will=(topics.health(NAME, NAME), lost_payload(role=NAME, name=NAME)),
        )
        self._health = HealthReporter(
            client=self.broker, topic=topics.health(NAME, NAME), role=NAME, name=NAME, clock=clock, details=status
        )
        self._notices = Notices(pool=self.pool, site=settings.site, topics=topics, publish=self._publish)
        self._service, self._undoing, self._runs = service, undoing, runs
        self._join_alerts_and_sequences(runs)
        self._join_liveness()
        self._join_deployments(timing)
        self._watch(timing)

    def _join_alerts_and_sequences(self, runs: Runs) -> None:
        """Build what evaluates live values, and what loads and subscribes for it."""
        settings, topics, clock = self._settings, self._topics, self._clock
        self._values = LiveValues(topics, clock=clock)
        self._sender = CommandSender(
            self.broker, topics, principal=settings.principal, clock=clock, latency=self._latency
        )
        self._sender.signer = signer_of(settings)
        self.record = AlertRecord(
            settings=settings, pool=self.pool, spool=settings.home / "alerts-unstored.jsonl", clock=clock
        )
        self.alerting = Alerting(settings=settings, record=self.record, publish=self._publish, clock=clock)
        self.sequencing = Sequencing(
            settings=settings,
            pool=self.pool,
            runs=runs,
            sender=self._sender,
            values=self._values,
            confirmed=self._leadership.confirmed,
            clock=clock,
        )
        signed = SignedValues(wall_us=clock.wall_us, kept=False)
        self.live = LiveIntake(topics, alerting=self.alerting, values=self._values, signed=signed)
        self._loading = Loading(
            settings=settings,
            pool=self.pool,
            broker=self.broker,
            alerting=self.alerting,
            sequencing=self.sequencing,
            values=self._values,
            sender=self._sender,
            signed=self.live.signed,
            fixed=[topics.observed("+"), topics.health("gateway", "+"), topics.health(NAME, NAME), self._sender.filter],
        )

    def _join_liveness(self) -> None:
        """Build what tracks the gateways."""
        self.liveness = GatewayLiveness(
            settings=self._settings,
            pool=self.pool,
            publish=self._publish,
            ask_again=self._notices.ask_again,
            observations=self.seen,
            clock=self._clock,
        )
        self._intake = Intake(
            topics=self._topics,
            seen=self.seen,
            liveness=self.liveness,
            alive=(self._values.alive, self.alerting.alive),
            leadership=self._leadership,
            health_changed=self._health.changed,
            rest=self._receive_rest,
            clock=self._clock,
        )
        self._sender.away = lambda name: name in self.liveness.lost or name in self.liveness.stopped

    def _join_deployments(self, timing: Timing) -> None:
        """Build what executes deployments, and what clears the retained messages of removed resources."""
        settings = self._settings
        self.rights_keeper = RightsKeeper(
            settings=settings, pool=self.pool, clock=self._clock, may_act=self._leadership.assert_acting
        )
        self.engine = Engine(
            pool=self.pool,
            site=settings.site,
            publish=self._publish,
            observations=self.seen,
            rights=self.rights_keeper.rights,
            timing=timing,
            on_step=self._stepped,
            on_recorded=self._recorded,
            may_act=self._leadership.assert_acting,
            make_way=self.sequencing.make_way,
            act=DeployedSequences(sequencing=self.sequencing, runs=self._runs).run,
        )
        self.deployer = Deployer(
            settings=settings,
            pool=self.pool,
            engine=self.engine,
            wanted=self.wanted,
            on_recorded=self._ended,
            retry_s=timing.retry_s,
        )
        self.retained = Retained(
            settings=settings,
            pool=self.pool,
            publish=self._publish,
            quiet=self.deployer.quiet,
            gateway_heard=self._intake.heard_s.get,
            client_id=lambda: client_id(settings, "retained"),
            clock=self._clock,
        )
        values = WaveValues(
            settings=settings, pool=self.pool, client_id=lambda: client_id(settings, "waves"), clock=self._clock
        )
        self.rollouts = Rollouts(
            settings=settings,
            pool=self.pool,
            engine=self.engine,
            deploy=self.wanted,
            meter=WaveMeter(settings=settings, pool=self.pool, seen=self.seen, values=values),
            clock=self._clock,
            lease_ttl_s=timing.lease_ttl_s,
            stepped=self._stepped,
        )
        self.confirming = Confirming(settings=settings, pool=self.pool, roll_back=self._take_back, clock=self._clock)
        self.maintenance = Maintenance(settings=settings, pool=self.pool, notice=self._notices.one, seen=self.seen)
        self.anchors = AnchorWriter(pool=self.pool, settings=settings)
        self.keeping = Keeping(settings=settings, pool=self.pool)
        self._settling = Settling(
            settings=settings,
            loading=self._loading,
            alerting=self.alerting,
            record=self.record,
            notices=self._notices,
            retained=self.retained,
        )
        self.clearing = Clearing(settings=settings, pool=self.pool, retained=self.retained)
        self._service.with_force = partial(with_force, self.seen)
        self._service.with_problem = self.confirming.with_problem
        self._join_drift()

    def _join_drift(self) -> None:
        """Build the schedule of drift, and what puts back."""
        self.drift = DriftWatch(
            settings=self._settings,
            pool=self.pool,
            clock=self._clock,
            seen=self.seen,
            feed=self.alerting.feed_own,
            changed=self._health.changed,
            rights_problem=lambda: self.rights_keeper.problem,
        )
        self.reverting = Reverting(
            settings=self._settings,
            pool=self.pool,
            watch=self.drift,
            notify=self._notices.one,
            rights=self.rights_keeper.changed,
            retained=self.retained.look,
        )

    def _watch(self, timing: Timing) -> None:
        """Watch the parts for stalls."""
        self._stalls = stall_watch.StallNotices(self._topics, self.seen)
        self.progress = Progress(clock=self._clock, changed=self._health.changed)
        stall_watch.watch(
            self.progress,
            client=self.broker,
            deployer=self.deployer,
            liveness=self.liveness,
            alerting=self.alerting,
            notices=self._stalls,
            timing=timing,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Act until stopped, or until the term is over. Downstream opens first and closes last."""
        over, broker_over = asyncio.Event(), asyncio.Event()
        async with tasks("term") as outer:
            outer.create_task(self._leadership.hold(broker_over), name="lead")
            outer.create_task(
                self.broker.run(
                    broker_over,
                    subscriptions=self._loading.subscriptions,
                    on_message=self.receive,
                    on_connected=self._on_connected,
                ),
                name="broker",
            )
            try:
                async with tasks(NAME) as group:
                    running = [group.create_task(part, name=name) for name, part in self._parts(over).items()]
                    await first_of(stop, self._leadership.lost)
                    over.set()
                    if self._leadership.lost.is_set():
                        for part in running:  # at a stop the parts may finish; an ended term cancels them
                            part.cancel()
                await self._end()
            finally:
                broker_over.set()

    def _parts(self, over: asyncio.Event) -> Mapping[str, Coroutine[object, object, None]]:
        return {
            "settling": self._settling.run(over),
            "silent tags": self._loading.run(over),
            "deployer": self.deployer.run(over),
            "alerting": self.alerting.run(over),
            "alert record": self.record.run(over),
            "presence": self.liveness.run(over),
            "sequences": self.sequencing.run(over),
            "confirmations": self.confirming.run(over),
            "rollouts": self.rollouts.run(over),
            "retained": self.retained.run(over),
            "rights": self.rights_keeper.run(over),
            "health": self._health.run(over),
            "progress": self.progress.run(over),
            "audit anchors": self.anchors.run(over),
            "drift": self.drift.run(over),
        }

    async def _end(self) -> None:
        """Store the queued alert changes; those of an ended term are dropped."""
        if not self._leadership.lost.is_set():
            await self.record.drain()

    def status(self, health: ControlHealth) -> ControlHealth:
        """Control's health with deployments, gateways and alerts."""
        return msgspec.structs.replace(
            health,
            stalled=list(self.progress.stalled.values()),
            broker=BrokerLink(connected=self.broker.connected, reconnects=self.broker.reconnects),
            deployment_running=self.deployer.running,
            unconfirmed=self.confirming.said(),
            rollout=self.rollouts.said(),
            gateways_lost=sorted(self.liveness.lost),
            gateways_stopped=sorted(self.liveness.stopped),
            gateways_waiting={
                name: f"instance {one.instance} at {one.host} (pid {one.pid})"
                for name, one in self.seen.waiting.items()
            },
            links=self.seen.links(),
            sequences_running=sorted(run.name for run in self.sequencing.running.values()),
            alerts_active=self.alerting.active,
            alert_changes_waiting=len(self.record),
            audit_anchor=self.anchors.newest,
            drift=self.drift.health(),
        )

    def problem(self) -> str:
        """Why it does not work; "" when it does."""
        if self.deployer.problem:
            return self.deployer.problem
        if not self.broker.connected:
            return self.broker.problem.message if self.broker.problem else "connecting to the broker"
        return self.progress.ready()[1] if self._settling.loaded else "reading what is recorded"

    def receive(self, message: Message) -> None:
        """Take a message of the broker."""
        self._intake.receive(message)

    def _receive_rest(self, message: Message) -> None:
        if not self._sender.receive(message.topic, message.payload):
            self.live.receive(message)

    async def _publish(self, topic: str, payload: bytes, *, retain: bool = True) -> None:
        await self._leadership.confirmed()
        await self.broker.publish(topic, payload, qos=1, retain=retain)
        self._stalls.published(topic, payload)

    async def _take_back(self, number: int, reason: str) -> int:
        return await self._undoing.roll_back(self, number, who=WHO, reason=reason)

    def _stepped(self) -> None:
        self.deployer.steps += 1
        self._service.stepped()

    async def _on_connected(self) -> None:
        """Only what needs no database; `Settling` does the rest."""
        self.seen.connected()
        self._health.changed()
        self.alerting.publish_all()
        self._intake.connected()
        self._settling.connected()

    async def _recorded(self, changing: Collection[str]) -> None:
        await self._settling.recorded(changing)

    async def _ended(self) -> None:
        self.sequencing.way_is_free()
        await self._loading.load()
        self.retained.look()
