"""One connection to a broker that goes at an unlucky moment: whatever waits for it ends with it, at once and with a cause."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire import client as client_module
from nexus_cli.wire import connection as connection_module
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.message import Message
from tests.scripted_broker import CONNACK, CONNECT, PUBACK, PUBLISH, SUBACK, Fate, Moment, ScriptedBroker
from tests.waiting import PATIENCE_S, until


@pytest.fixture
async def broker() -> AsyncIterator[ScriptedBroker]:
    async with ScriptedBroker().running() as one:
        yield one


@pytest.fixture
def no_time_outs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ends by waiting: what ends, ends with its connection."""
    monkeypatch.setattr(client_module, "CONNECT_TIMEOUT_S", 3600.0)
    monkeypatch.setattr(connection_module, "UNANSWERED_S", 3600.0)


def once(kind: int, fate: Fate, *, sent: bool, connection: int = 1) -> Callable[[Moment], Fate]:
    """A fate for the packets of one kind on one connection."""
    return lambda moment: (
        fate if (moment.kind, moment.sent, moment.connection) == (kind, sent, connection) else Fate.PASS
    )


@contextlib.asynccontextmanager
async def running(broker: ScriptedBroker, client: BrokerClient, **keys: object) -> AsyncIterator[list[Message]]:
    """A client that stays connected for the length of a block."""
    stop, heard = asyncio.Event(), list[Message]()
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(client.run(stop, subscriptions=[("a/#", 1)], on_message=heard.append, **keys))  # type: ignore[arg-type]
        yield heard
        stop.set()


@pytest.mark.usefixtures("no_time_outs")
@pytest.mark.parametrize("fate", [Fate.RESET, Fate.CLOSE])
async def test_what_is_done_after_a_connect_ends_with_the_connection(broker: ScriptedBroker, fate: Fate) -> None:
    """The role's first publish has no acknowledgement any more: it hung for ever, and said that it was connected."""
    client = BrokerClient(settings=broker.settings(), client_id="role")
    began, done = 0, asyncio.Event()

    async def on_connected() -> None:
        nonlocal began
        began += 1
        await client.publish("a/canary", b"hello")
        done.set()

    broker.decide = once(PUBLISH, fate, sent=False)
    async with running(broker, client, on_connected=on_connected):
        await done.wait()
        assert began == 2
        assert client.connected
        assert client.reconnects == 1


@pytest.mark.usefixtures("no_time_outs")
async def test_what_is_done_after_a_connect_is_cut_short_whatever_it_waits_for(broker: ScriptedBroker) -> None:
    client = BrokerClient(settings=broker.settings(), client_id="role")
    waits, ended, lost = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def on_connected() -> None:
        if client.connects > 1:
            return
        waits.set()
        try:
            await asyncio.Event().wait()  # a database that is away
        finally:
            ended.set()

    async with running(broker, client, on_connected=on_connected, on_lost=lost.set):
        await waits.wait()
        broker.end_all()
        await ended.wait()
        await lost.wait()
        await until(lambda: client.connects == 2 and client.connected)


@pytest.mark.usefixtures("no_time_outs")
async def test_a_stop_ends_what_is_done_after_a_connect(broker: ScriptedBroker) -> None:
    client = BrokerClient(settings=broker.settings(), client_id="role")
    waits = asyncio.Event()

    async def on_connected() -> None:
        waits.set()
        await asyncio.Event().wait()

    async with running(broker, client, on_connected=on_connected):
        await waits.wait()
    assert not client.connected
    await until(lambda: not broker.alive)


@pytest.mark.usefixtures("no_time_outs")
@pytest.mark.parametrize("kind", [CONNECT, SUBACK], ids=["connect", "subscribe"])
async def test_a_stop_ends_an_attempt_that_is_not_answered(broker: ScriptedBroker, kind: int) -> None:
    broker.decide = once(kind, Fate.FREEZE, sent=kind == SUBACK)
    client = BrokerClient(settings=broker.settings(), client_id="role")
    async with running(broker, client):
        await until(lambda: any(moment.kind == kind for moment in broker.moments))
        assert not client.connected


@pytest.mark.usefixtures("no_time_outs")
@pytest.mark.parametrize("fate", [Fate.RESET, Fate.CLOSE])
@pytest.mark.parametrize(("kind", "sent"), [(CONNECT, False), (CONNACK, True), (SUBACK, True)])
async def test_an_attempt_that_the_broker_drops_ends_at_once(
    broker: ScriptedBroker, kind: int, sent: bool, fate: Fate
) -> None:
    broker.decide = once(kind, fate, sent=sent)
    client = BrokerClient(settings=broker.settings(), client_id="role")
    async with running(broker, client):
        await until(lambda: client.problem is not None)
        assert client.problem is not None
        assert client.problem.code == "NX6010"
        assert "closed the connection" in client.problem.cause
        await until(lambda: client.connected)
        assert client.problem is None
    assert client.connects == 1


async def test_a_half_open_attempt_ends_by_its_time_out(
    broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "CONNECT_TIMEOUT_S", 0.3)
    broker.decide = once(CONNECT, Fate.FREEZE, sent=False)
    client = BrokerClient(settings=broker.settings(), client_id="role")
    async with running(broker, client):
        await until(lambda: client.problem is not None)
        assert client.problem is not None
        assert client.problem.cause == "it did not accept the connection within 0.3 s"
        await until(lambda: client.connected)


@pytest.mark.usefixtures("no_time_outs")
@pytest.mark.parametrize("fate", [Fate.RESET, Fate.CLOSE])
async def test_every_open_publish_ends_with_its_connection(broker: ScriptedBroker, fate: Fate) -> None:
    broker.decide = once(PUBACK, Fate.DROP, sent=True)
    client = BrokerClient(settings=broker.settings(), client_id="one")
    async with asyncio.timeout(PATIENCE_S), client.session():
        posted = [client.post("a/b", b"%d" % number) for number in range(100)]
        assert client.inflight == 100
        await until(lambda: len(broker.received) == 100)
        broker.end_all(fate)
        for each in posted:
            with pytest.raises(NexusError) as failed:
                await each
            assert failed.value.code == "NX6010"
            assert failed.value.retriable
        assert not client.connected, "it is gone, and says so, while the session is still open"
        assert client.inflight == 0
        with pytest.raises(NexusError):
            client.post("a/b", b"late")
        with pytest.raises(NexusError):
            await client.subscribe([("b/#", 1)])


@pytest.mark.usefixtures("no_time_outs")
async def test_a_subscription_ends_with_its_connection(broker: ScriptedBroker) -> None:
    client = BrokerClient(settings=broker.settings(), client_id="one")
    async with asyncio.timeout(PATIENCE_S), client.session() as messages:
        broker.decide = once(SUBACK, Fate.RESET, sent=True)
        with pytest.raises(NexusError) as failed:
            await client.subscribe([("a/#", 1)])
        assert failed.value.code == "NX6010"
        with pytest.raises(NexusError):
            await anext(messages)


async def test_a_broker_that_acknowledges_nothing_is_left(
    broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half-open, or stuck: the connection is there, and nothing moves on it."""
    monkeypatch.setattr(connection_module, "LOOK_S", 0.05)
    monkeypatch.setattr(connection_module, "UNANSWERED_S", 0.5)
    client = BrokerClient(settings=broker.settings(), client_id="role")
    async with running(broker, client):
        await until(lambda: client.connected)
        broker.decide = once(PUBACK, Fate.FREEZE, sent=True)
        with pytest.raises(NexusError) as failed:
            await client.publish("a/b", b"first")
        assert "acknowledged nothing" in failed.value.cause
        await until(lambda: client.connects == 2 and client.connected)
        await client.publish("a/b", b"again")
    assert ("a/b", b"again") in broker.received


async def test_a_quiet_connection_is_not_left(broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "LOOK_S", 0.02)
    monkeypatch.setattr(connection_module, "UNANSWERED_S", 0.1)
    client = BrokerClient(settings=broker.settings(), client_id="role")
    async with running(broker, client):
        await until(lambda: client.connected)
        for _ in range(5):
            await asyncio.sleep(0.2)
            await client.publish("a/b", b"now and then")
    assert client.connects == 1


async def test_a_refused_user_is_told_as_such(broker: ScriptedBroker) -> None:
    broker.refuse = 5
    with pytest.raises(NexusError) as failed:
        async with BrokerClient(settings=broker.settings(), client_id="one").session():
            pytest.fail("it refuses")
    assert failed.value.code == "NX6011"
    assert not broker.alive or await _gone(broker)


async def _gone(broker: ScriptedBroker) -> bool:
    await until(lambda: not broker.alive)
    return True


async def test_bytes_that_are_no_mqtt_cost_the_connection_and_not_the_role(broker: ScriptedBroker) -> None:
    client = BrokerClient(settings=broker.settings(), client_id="role")
    async with running(broker, client):
        await until(lambda: client.connected)
        for garbage in (b"\x30\x03\x00\xff\x00", b"\xf0\x7f", b"\x20\x00", b"\x90\x00", b"\x40\x01\x00", b"\xff" * 64):
            connects = client.connects
            for one in list(broker._clients):
                one.writer.write(garbage)
                one.writer.close()
            await until(lambda before=connects: client.connects > before and client.connected)  # type: ignore[misc]


async def test_a_fault_of_a_handler_comes_out_of_the_client(broker: ScriptedBroker) -> None:
    client = BrokerClient(settings=broker.settings(), client_id="role")
    broker.retained["a/b"] = b"boom"

    def handle(message: Message) -> None:
        raise ZeroDivisionError(message.topic)

    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(ZeroDivisionError):
            await client.run(asyncio.Event(), subscriptions=[("a/#", 1)], on_message=handle)


async def test_ending_a_session_that_is_dead_takes_no_time_and_leaves_nothing(broker: ScriptedBroker) -> None:
    loop = asyncio.get_running_loop()
    complaints: list[object] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    for fate in (Fate.RESET, Fate.CLOSE) * 10:
        client = BrokerClient(settings=broker.settings(), client_id="one")
        async with client.session():
            client.post("a/b", b"x")
            broker.end_all(fate)
            await until(lambda one=client: not one.connected)  # type: ignore[misc]
    async with client.session():
        pass
    assert complaints == []
