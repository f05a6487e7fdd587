"""Our MQTT engine with real brokers of several authors, and aiomqtt at the other end: the same laws for all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiomqtt
import pytest

from nexus_cli.wire.message import Message
from nexus_cli.wire.mqtt.state import State
from tests.contract.mqtt_brokers import CASES, WILL, Case, Line, Running, line
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.needs_broker
SIZES = (0, 1, 100, 117, 118, 16_000, 17_000, 200_000)


def running(case: Case, folders: pytest.TempPathFactory) -> Iterator[Running]:
    """A broker in a folder of its own, for the length of a fixture."""
    with Running(case, folders.mktemp(str(case).replace(".", ""))).started() as started:
        yield started


@pytest.fixture(scope="module", params=CASES, ids=str)
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Each broker on each transport."""
    yield from running(request.param, tmp_path_factory)


@pytest.fixture(scope="module", params=[case for case in CASES if case.broker != "amqtt"], ids=str)
def keeping(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Brokers that keep sessions; amqtt does not deliver all messages of one whose connection was cut."""
    yield from running(request.param, tmp_path_factory)


class Peer:
    """aiomqtt on the plain listener, and everything that it received."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.received: list[Message] = []
        self._moved = asyncio.Event()

    async def read(self) -> None:
        async for one in self.client.messages:
            assert isinstance(one.payload, bytes)
            self.received.append(Message(str(one.topic), one.payload, one.qos, one.retain))
            self._moved.set()

    async def until(self, count: int) -> None:
        """Wait for so many messages."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.received) < count:
                self._moved.clear()
                await self._moved.wait()


@contextlib.asynccontextmanager
async def peer(broker: Running, *filters: str, qos: int = 2) -> AsyncIterator[Peer]:
    """The other end, subscribed."""
    version = aiomqtt.ProtocolVersion.V5 if broker.case.level == 5 else aiomqtt.ProtocolVersion.V311
    async with aiomqtt.Client("127.0.0.1", broker.plain, protocol=version, timeout=PATIENCE_S) as client:
        one = Peer(client)
        for name in filters:
            await client.subscribe(name, qos=qos)
        reading = asyncio.ensure_future(one.read())
        try:
            yield one
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading


async def test_what_we_publish_arrives_in_order_and_is_acknowledged(broker: Running) -> None:
    # QoS 0 from the broker on: mosquitto changes the order of what it queues for a subscriber that falls behind its window.
    async with peer(broker, "up/#", qos=0) as other, line(broker) as ours:
        sent = []
        for number in range(180):
            qos, payload = number % 3, bytes([number]) + bytes(SIZES[number % len(SIZES)])
            ours.session.publish(f"up/{qos}", payload, qos=qos, token=number)
            sent.append(Message(f"up/{qos}", payload, qos, False))
            ours.flush()
        await ours.until(lambda: len(ours.acknowledged) == 120)
        await other.until(180)
    assert sorted(ours.acknowledged) == [number for number in range(180) if number % 3]
    _same(other.received, sent)


async def test_what_is_published_to_us_arrives_in_order(broker: Running) -> None:
    async with peer(broker) as other, line(broker) as ours:
        assert await ours.subscribe(("down/0", 0), ("down/1", 1), ("down/+", 2)) == (0, 1, 2)
        number = ours.session.unsubscribe(["down/+"])
        ours.flush()
        await ours.until(lambda: number in ours.subscribed)
        assert await ours.subscribe(("down/2", 2)) == (2,)
        sent = []
        for number in range(60):
            qos, payload = number % 3, bytes([number]) + bytes(SIZES[number % len(SIZES)])
            await other.client.publish(f"down/{qos}", payload, qos=qos)
            sent.append(Message(f"down/{qos}", payload, qos, False))
        await ours.until(lambda: len(ours.messages) >= 60)
    _same(ours.messages, sent)


def _same(received: list[Message], sent: list[Message]) -> None:
    """The same payloads in the same order per topic; amqtt raises the QoS of a message to that of the subscription."""
    for topic in {one.topic for one in sent}:
        wanted = [one.payload for one in sent if one.topic == topic]
        assert [one.payload for one in received if one.topic == topic] == wanted
    assert all(not one.retain for one in received)


async def test_retained_messages(broker: Running) -> None:
    async with line(broker) as ours:
        ours.session.publish("kept/é", b"value", retain=True, token=1)
        ours.flush()
        await ours.until(lambda: ours.acknowledged == [1])
        await ours.subscribe(("kept/#", 1))
        await ours.until(lambda: Message("kept/é", b"value", 1, True) in ours.messages)
        ours.session.publish("kept/é", b"", retain=True, token=2)
        ours.flush()
        await ours.until(lambda: ours.acknowledged == [1, 2])


async def test_a_will_is_for_a_connection_that_was_cut(broker: Running) -> None:
    async with peer(broker, "will") as other:
        polite = await Line(broker, will=WILL).open()
        await polite.close()
        cut = await Line(broker, will=WILL).open()
        await cut.cut()
        await other.until(1)
        async with line(broker) as ours:
            ours.session.publish("will", b"last", token=1)
            ours.flush()
            await other.until(2)
    assert [one.payload for one in other.received] == [b"gone", b"last"]


async def test_a_ping_is_answered(broker: Running) -> None:
    async with line(broker, keepalive_s=60) as ours:
        before = ours.session._received_s
        assert ours.session.tick(before + 59.5) == []
        ours.flush()
        await ours.until(lambda: ours.session._received_s > before)
        assert ours.session._pinged_s is None and not ours.others


async def test_messages_of_a_session_wait_for_its_next_connection(keeping: Running) -> None:
    state = State()
    first = await Line(keeping, state).open()
    assert await first.subscribe(("wait/1", 1), ("wait/2", 2)) == (1, 2)
    await first.cut()
    async with peer(keeping) as other:
        for number in range(10):
            await other.client.publish(f"wait/{1 + number % 2}", b"%d" % number, qos=1 + number % 2)
    second = await Line(keeping, state).open()
    assert second.present
    await second.until(lambda: len(set(second.messages)) == 10)
    await second.close()
    await _end_session(keeping)
    payloads = [one.payload for one in second.messages if one.topic == "wait/2"]
    assert payloads == [b"1", b"3", b"5", b"7", b"9"]


async def test_what_was_not_acknowledged_is_sent_again(keeping: Running) -> None:
    """The connection is cut while publishes of QoS 1 and 2 are on their way: at least once, exactly once."""
    state, sent, forgotten = State(), 0, []
    async with peer(keeping, "again/#") as other:
        acknowledged: list[Any] = []
        for round_ in range(6):
            ours = await Line(keeping, state).open()
            assert bool(ours.present) == bool(round_)
            if not round_:  # aedes knows only sessions that have a subscription
                await ours.subscribe(("own", 1))
            for _ in range(20):
                ours.session.publish(f"again/{sent % 2}", b"%d" % sent, qos=1 + sent % 2, token=sent)
                sent += 1
            ours.flush()
            await ours.at_least(4 * round_)
            await ours.cut()
            acknowledged += ours.acknowledged
            forgotten += ours.forgotten
        ours = await Line(keeping, state).open()
        await ours.until(lambda: ours.session.inflight == 0)
        acknowledged += ours.acknowledged
        await ours.close()
        await _end_session(keeping)
        async with line(keeping) as last:
            last.session.publish("again/end", b"end", qos=2, token=0)
            last.flush()
            async with asyncio.timeout(PATIENCE_S):
                while not other.received or other.received[-1].payload != b"end":
                    await asyncio.sleep(0.01)
    assert forgotten == [] and sorted(acknowledged) == list(range(sent))
    counts = Counter(one.payload for one in other.received)
    wanted = [b"%d" % number for number in range(sent)]
    assert [one for one in wanted if not counts[one]] == []
    assert {one: counts[one] for one in wanted[1::2] if counts[one] != 1} == {}, "exactly once"
    for topic in ("again/0", "again/1"):
        firsts = list(dict.fromkeys(int(one.payload) for one in other.received if one.topic == topic))
        assert firsts == sorted(firsts)


async def _end_session(broker: Running) -> None:
    """A clean connection under the same identifier ends the session that the broker keeps."""
    async with line(broker):
        pass
