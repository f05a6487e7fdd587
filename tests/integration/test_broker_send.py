"""The bulk door: publishes with a token each, one call per read of the socket, and a bound on what waits."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire import connection as connection_module
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.mqtt.packets import topic_head
from tests.integration.test_gateway import until
from tests.scripted_broker import CONNACK, PUBLISH, Fate, Moment, ScriptedBroker, packet


@pytest.fixture
async def broker() -> AsyncIterator[ScriptedBroker]:
    async with ScriptedBroker().running() as one:
        yield one


class Role:
    """A client that stays connected.

    Attributes:
        calls: The tokens of each call of `on_acknowledged`.
        lost: Connections that ended.
    """

    def __init__(self, settings: Settings) -> None:
        self.client = BrokerClient(settings=settings, client_id="role")
        self.calls: list[list[object]] = []
        self.lost = 0
        self.stop = asyncio.Event()

    @property
    def tokens(self) -> list[object]:
        """All that were acknowledged, in order."""
        return [token for call in self.calls for token in call]

    def _lost(self) -> None:
        self.lost += 1

    async def run(self) -> None:
        """Until `stop`."""
        await self.client.run(
            self.stop,
            subscriptions=[],
            on_message=lambda _: None,
            on_lost=self._lost,
            on_acknowledged=self.calls.append,
        )


async def test_tokens_come_back_in_order_many_in_one_call(broker: ScriptedBroker) -> None:
    role = Role(broker.settings())
    async with asyncio.TaskGroup() as group:
        group.create_task(role.run())
        await until(lambda: role.client.connected)
        for number in range(500):
            role.client.send("a/b", b"%d" % number, ("token", number), qos=1 + number % 2)
        posted = role.client.post("a/b", b"last")
        assert role.client.inflight == 501
        role.client.send("a/b", b"forgotten", "never", qos=0)
        await posted
        await until(lambda: role.client.inflight == 0)
        role.stop.set()
    assert sorted(role.tokens) == [("token", number) for number in range(500)]  # type: ignore[type-var]
    assert [one for one in role.tokens if one[1] % 2 == 0] == [("token", number) for number in range(0, 500, 2)]  # type: ignore[index]
    assert len(role.calls) < 250, "one call for many acknowledgements"
    assert len(broker.received) == 502


async def test_many_messages_in_one_call_leave_in_order_or_none_does(broker: ScriptedBroker) -> None:
    role = Role(broker.settings())
    heads = [topic_head(f"a/{number}") for number in range(500)]
    payloads = [b"%d" % number for number in range(500)]
    async with asyncio.TaskGroup() as group:
        group.create_task(role.run())
        with pytest.raises(NexusError) as failed:
            role.client.send_many(heads, payloads, range(500), qos=1, retain=True)
        assert failed.value.code == "NX6010" and failed.value.retriable
        await until(lambda: role.client.connected)
        role.client.send_many(heads, payloads, range(500), qos=1, retain=True)
        assert role.client.inflight == 500 and role.client.unsent_bytes == sum(map(len, payloads))
        too_many = connection_module.WINDOW - 499
        with pytest.raises(NexusError):
            role.client.send_many(heads[:1] * too_many, payloads[:1] * too_many, range(too_many), qos=1, retain=True)
        role.client.send_many(heads[:3], payloads[:3], ["never"] * 3, qos=0, retain=False)
        await until(lambda: len(broker.received) == 503 and role.client.inflight == 0)
        role.stop.set()
    assert role.tokens == list(range(500))
    assert role.client.unsent_bytes == 0


async def test_what_was_not_acknowledged_before_the_end_does_not_come_back(broker: ScriptedBroker) -> None:
    role = Role(broker.settings())

    def decide(moment: Moment) -> Fate:
        return Fate.RESET if moment.kind == PUBLISH and moment.topic == "a/end" else Fate.PASS

    broker.decide = decide
    async with asyncio.TaskGroup() as group:
        group.create_task(role.run())
        with pytest.raises(NexusError) as failed:
            role.client.send("a", b"", 0)
        assert failed.value.code == "NX6010" and failed.value.retriable
        await until(lambda: role.client.connected)
        role.client.send("a", b"", 1)
        await until(lambda: role.tokens == [1])
        role.client.send("a/end", b"", 2)
        role.client.send("a", b"", 3)
        await until(lambda: role.lost == 1)
        await until(lambda: role.client.connected)
        role.client.send("a", b"", 4)
        await until(lambda: 4 in role.tokens)
        role.stop.set()
    assert role.tokens == [1, 4]


async def test_a_message_that_no_broker_takes_is_refused_at_once(broker: ScriptedBroker) -> None:
    role = Role(broker.settings())
    async with asyncio.TaskGroup() as group:
        group.create_task(role.run())
        await until(lambda: role.client.connected)
        for topic, qos in (("a/#", 1), ("", 1), ("a\x00", 0), ("a", 3)):
            with pytest.raises(NexusError) as failed:
                role.client.send(topic, b"", 1, qos=qos)
            assert failed.value.code == "NX6010"
            with pytest.raises(NexusError):
                await role.client.post(topic, b"", qos=qos)
        assert role.client.inflight == 0 and role.client.connected
        role.stop.set()


async def test_a_fault_of_the_callback_comes_out_of_the_client(broker: ScriptedBroker) -> None:
    client = BrokerClient(settings=broker.settings(), client_id="role")

    def fail(tokens: list[object]) -> None:
        raise ZeroDivisionError

    async def connected() -> None:
        client.send("a", b"", 1)

    async with asyncio.timeout(60):
        with pytest.raises(ExceptionGroup) as failed:
            async with asyncio.TaskGroup() as group:
                running = client.run(asyncio.Event(), subscriptions=[], on_message=lambda _: None, on_acknowledged=fail)
                group.create_task(running)
                await until(lambda: client.connected)
                await connected()
    assert failed.group_contains(ZeroDivisionError)


class Deaf:
    """Accepts, and reads nothing after the CONNECT: what it is sent waits in the sockets and then with us."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.setblocking(False)
        self.opened: list[socket.socket] = []

    @property
    def settings(self) -> Settings:
        return Settings(site="a/b", broker_url=f"mqtt://127.0.0.1:{self.listening.getsockname()[1]}")

    async def serve(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        opened, _ = await loop.sock_accept(self.listening)
        self.opened.append(opened)
        await loop.sock_recv(opened, 4096)
        await loop.sock_sendall(opened, packet(CONNACK, b"\x00\x00"))
        return opened

    def close(self) -> None:
        for one in (*self.opened, self.listening):
            one.close()


async def test_what_waits_for_the_socket_is_bounded() -> None:
    deaf = Deaf()
    role = Role(deaf.settings)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(role.run())
            await deaf.serve()
            await until(lambda: role.client.connected)
            sent = 0
            with pytest.raises(NexusError) as failed:
                while True:
                    role.client.send("a", bytes(1 << 20), None, qos=0)
                    sent += 1
                    if sent % 10 == 0:
                        await asyncio.sleep(0)
            assert "accepts nothing" in failed.value.cause
            assert sent <= 100, "64 MiB, and what the system's buffers take"
            assert role.client.connected
            role.stop.set()
    finally:
        deaf.close()


async def test_a_broker_that_sends_and_does_not_read_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "MOST_ANSWERS", 1_000)
    deaf = Deaf()
    role = Role(deaf.settings)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(role.run())
            opened = await deaf.serve()
            await until(lambda: role.client.connected)
            with pytest.raises(NexusError):
                while True:
                    role.client.send("a", bytes(1 << 20), None, qos=0)
                    await asyncio.sleep(0)
            message = packet(PUBLISH, b"\x00\x01a\x00\x01", flags=2)
            for _ in range(100):
                if role.lost:
                    break
                await loop.sock_sendall(opened, message * 100)
            await until(lambda: role.lost == 1)
            assert role.client.problem is not None and "does not read" in role.client.problem.cause
            role.stop.set()
    finally:
        deaf.close()


async def test_a_message_that_is_too_large_is_dropped_and_the_connection_stays(
    monkeypatch: pytest.MonkeyPatch, broker: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connection_module, "LARGEST_MESSAGE", 1_000)
    client = BrokerClient(settings=broker.settings(), client_id="one")
    async with client.session() as messages:
        await client.subscribe([("a/#", 1)])
        for size in (900, 2_000, 900_000, 1):
            await client.publish("a/b", bytes(size))
        assert [len((await anext(messages)).payload) for _ in range(2)] == [900, 1]
        assert client.connected and client.inflight == 0
    dropped = [one.getMessage() for one in caplog.records if "larger" in one.getMessage()]
    assert len(dropped) == 2 and "2010 bytes on a/b" in dropped[0]


async def test_a_fence_is_answered_behind_what_was_sent_before(broker: ScriptedBroker) -> None:
    role = Role(broker.settings())
    heads = [topic_head(f"a/{number}") for number in range(500)]
    async with asyncio.TaskGroup() as group:
        group.create_task(role.run())
        await until(lambda: role.client.connected)
        role.client.send_many(heads, [b"x"] * 500, range(500), qos=0, retain=True)
        role.client.fence("fence")
        await until(lambda: bool(role.calls))
        assert len(broker.received) == 500
        assert role.client.inflight == 0
        role.stop.set()
    assert role.tokens == ["fence"]


async def test_a_client_that_holds_gets_nothing_and_then_everything(broker: ScriptedBroker) -> None:
    got: list[bytes] = []
    client, sender = (BrokerClient(settings=broker.settings(), client_id=name) for name in ("slow", "sender"))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group, sender.session():
        group.create_task(
            client.run(stop, subscriptions=[("a/#", 1)], on_message=lambda message: got.append(message.payload))
        )
        await until(lambda: client.connected)
        await sender.publish("a/b", b"first")
        await until(lambda: got == [b"first"])
        client.hold(True)
        client.hold(True)
        for number in range(100):
            await sender.publish("a/b", b"%d" % number)
        assert got == [b"first"]
        client.hold(False)
        await until(lambda: len(got) == 101)
        assert client.connected and client.connects == 1
        stop.set()
