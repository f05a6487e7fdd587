"""The law of a lost connection: wherever it is lost, however often, everything is delivered afterwards and nothing hangs.

The publisher with its outbox, the historian's way of hearing and answering, and control's announcement run against a
scripted broker that loses a connection at any of the packets that pass.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus_cli.database.committed import OutboxKey, RangeSet
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.gateway.outbox.outbox import Limits, Outbox
from nexus_cli.runtime.gateway.outbox.publisher import Publisher
from nexus_cli.runtime.historian.announcer import Announcer
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.inbound_queue import InboundQueue
from nexus_cli.wire import client as client_module
from nexus_cli.wire import connection as connection_module
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics
from tests.examples import examples
from tests.frames import columns, frames_in
from tests.scripted_broker import Fate, Moment, ScriptedBroker
from tests.waiting import until

TOPICS = Topics("acme", "chicago")
GATEWAY, DEVICE = "gw-1", "a/l/one"
FRAMES = 12
DEADLINE_S = 60.0
SIDE_BY_SIDE = 20
LIMITS = Limits(delay_s=0.001)


class Gateway:
    """Outbox and publisher of a gateway with its own way of announcing itself."""

    def __init__(self, broker: ScriptedBroker, folder: Path) -> None:
        self.client = BrokerClient(settings=broker.settings(), client_id="gateway", rng=random.Random(1))
        self.outbox = Outbox(folder, clock=SystemClock(), gap_topic=TOPICS.gap(GATEWAY), limits=LIMITS)
        self.outbox.open()
        self.publisher = Publisher(self.outbox, self.client, clock=SystemClock(), stall_first_s=0.2)
        self.greeted = 0

    async def run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.outbox.run(stop))
            group.create_task(self.publisher.run(stop))
            group.create_task(
                self.client.run(
                    stop,
                    subscriptions=[(TOPICS.committed(GATEWAY), 1)],
                    on_message=lambda message: self.publisher.receipt(message.payload),
                    on_connected=self._connected,
                    on_acknowledged=self.publisher.gate.acknowledged,
                )
            )

    async def _connected(self) -> None:
        self.publisher.reconnected()
        await self.client.publish(TOPICS.observed(GATEWAY), b"{}", retain=True)
        self.greeted += 1

    @property
    def delivered(self) -> bool:
        return self.outbox.durable_seq >= FRAMES and self.outbox.lowest_uncommitted() > self.outbox.durable_seq


class Historian:
    """Intake and announcer of a historian whose database is a set."""

    def __init__(self, broker: ScriptedBroker) -> None:
        self.client = BrokerClient(settings=broker.settings(), client_id="historian", rng=random.Random(2))
        self.inbound_queue = InboundQueue(topics=TOPICS, counters=Counters())
        self.announcer = Announcer(client=self.client, topics=TOPICS)
        self.stored: dict[int, object] = {}
        self._ranges: dict[OutboxKey, RangeSet] = {}

    async def run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.announcer.run(stop))
            group.create_task(self._store(stop))
            group.create_task(
                self.client.run(
                    stop,
                    subscriptions=[(f"{TOPICS.platform}/data/#", 1)],
                    on_message=self.inbound_queue.put,
                    on_connected=self._connected,
                )
            )

    async def _connected(self) -> None:
        self.announcer.say_again()
        await self.client.subscribe([(TOPICS.config("+"), 1)])

    async def _store(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.inbound_queue.wait(0.05)
            self.inbound_queue.config_changed.clear()  # nothing is read again here
            while (message := self.inbound_queue.pop()) is not None:
                for frame in frames_in(message.payload):
                    assert self.stored.setdefault(frame.seq, frame.samples) == frame.samples
                    key = OutboxKey(GATEWAY, frame.epoch)
                    ranges = self._ranges.setdefault(key, RangeSet())
                    ranges.add(frame.seq)
                    self.announcer.note(key, ranges)


class Control:
    """Announces a notice to each of a few gateways after every connect, as control does."""

    def __init__(self, broker: ScriptedBroker) -> None:
        self.client = BrokerClient(settings=broker.settings(), client_id="control", rng=random.Random(3))
        self.heard: list[Message] = []
        self.announced = 0

    async def run(self, stop: asyncio.Event) -> None:
        await self.client.run(
            stop,
            subscriptions=[(TOPICS.observed("+"), 1)],
            on_message=self.heard.append,
            on_connected=self._announce,
        )

    async def _announce(self) -> None:
        for at in range(3):
            await self.client.publish(TOPICS.config(f"gw-{at}"), b'{"deployment":1,"digest":"d"}', retain=True)
        self.announced += 1


@contextlib.asynccontextmanager
async def together(broker: ScriptedBroker) -> AsyncIterator[tuple[Gateway, Historian, Control]]:
    """The three of them, and frames that the gateway accepts."""
    stop = asyncio.Event()
    with tempfile.TemporaryDirectory() as folder:
        async with broker.running(), asyncio.TaskGroup() as group:
            gateway, historian, control = Gateway(broker, Path(folder)), Historian(broker), Control(broker)
            for one in (historian, gateway, control):
                group.create_task(one.run(stop))
            try:
                yield gateway, historian, control
            finally:
                stop.set()


async def play(decide: Callable[[Moment], Fate]) -> list[Moment]:
    """One life of the plant; gives the packets that passed. Fails when something was lost or hangs."""
    broker = ScriptedBroker(decide)
    async with together(broker) as (gateway, historian, control):
        for seq in range(1, FRAMES + 1):
            while not gateway.outbox.add_frame(
                columns(DEVICE, time_us=1_700_000_000_000_000 + seq, samples={"v": seq})
            ):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0)
        await until(lambda: gateway.delivered, deadline_s=DEADLINE_S)
        await until(lambda: gateway.greeted and control.announced and control.heard, deadline_s=DEADLINE_S)
        await until(lambda: all(one.client.connected for one in (gateway, historian, control)), deadline_s=DEADLINE_S)
        assert sorted(historian.stored) == list(range(1, FRAMES + 1))
        assert {f"{TOPICS.config(f'gw-{at}')}" for at in range(3)} <= broker.retained.keys()
    return broker.moments


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnects are soon; and nothing but its connection ends a wait, so that a wait which does not end is seen."""
    monkeypatch.setattr(client_module, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(client_module, "LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(client_module, "CONNECT_TIMEOUT_S", 3600.0)
    monkeypatch.setattr(connection_module, "UNANSWERED_S", 3600.0)


@pytest.mark.parametrize("fate", [Fate.RESET, Fate.CLOSE])
async def test_a_loss_at_every_single_packet(fate: Fate) -> None:
    count = len(await play(lambda _: Fate.PASS))
    assert count > 40
    for first in range(1, count + 1, SIDE_BY_SIDE):
        async with asyncio.TaskGroup() as group:
            for at in range(first, min(first + SIDE_BY_SIDE, count + 1)):
                group.create_task(play(lambda moment, at=at: fate if moment.number == at else Fate.PASS))  # type: ignore[misc]


@settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.dictionaries(st.integers(1, 120), st.sampled_from([Fate.RESET, Fate.CLOSE]), max_size=12))
def test_many_losses(fates: dict[int, Fate]) -> None:
    asyncio.run(play(lambda moment: fates.get(moment.number, Fate.PASS)))


@settings(
    max_examples=examples(8),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.integers(1, 80), st.sampled_from(["gateway", "historian", "control"]))
def test_a_connection_that_stays_open_and_moves_nothing(at: int, who: str) -> None:
    """Half-open at any packet: what is not answered ends the connection by itself."""
    frozen: set[int] = set()

    def decide(moment: Moment) -> Fate:
        if moment.number >= at and moment.client_id == who and not frozen:
            frozen.add(moment.connection)
            return Fate.FREEZE
        return Fate.PASS

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client_module, "CONNECT_TIMEOUT_S", 0.5)
        patch.setattr(client_module, "KEEPALIVE_S", 1)
        patch.setattr(connection_module, "UNANSWERED_S", 0.5)
        patch.setattr(connection_module, "LOOK_S", 0.05)
        asyncio.run(play(decide))


def test_the_errors_of_a_lost_connection_are_retriable() -> None:
    """Whoever waits may try again: that is what the roles above rely on."""

    async def scene() -> None:
        async with ScriptedBroker().running() as broker:
            client = BrokerClient(settings=broker.settings(), client_id="one")
            async with client.session():
                waiting = client.post("a", b"x")
                broker.end_all()
                with pytest.raises(NexusError) as failed:
                    await waiting
                assert failed.value.retriable

    asyncio.run(scene())
