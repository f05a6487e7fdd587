"""What amqtt does to connections while others come and go, mended in the one that `nexus up` starts."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from nexus_cli.access.grants import Grant
from nexus_cli.access.grants_file import Wanted
from nexus_cli.access.passwords import hash_password
from nexus_cli.local.ports import LOOPBACK
from tests.scripted_broker import CONNACK, CONNECT, DISCONNECT, PINGREQ, PINGRESP, PUBLISH, SUBACK, SUBSCRIBE, packet
from tests.servers import free_port
from tests.waiting import PATIENCE_S, until

Broker = pytest.importorskip("amqtt.broker").Broker
amqtt_plugin = pytest.importorskip("nexus_cli.local.amqtt_plugin")

CLEAN, WILL, USER = 0x02, 0x2C, 0xC0
MESSAGES = 200
PAYLOAD = b"x" * 50_000


class Peer:
    """A client of a few lines that reads when it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def read(self) -> tuple[int, bytes]:
        """The next packet: kind, body."""
        async with asyncio.timeout(PATIENCE_S):
            (head,) = await self.reader.readexactly(1)
            size = shift = 0
            while True:
                (digit,) = await self.reader.readexactly(1)
                size, shift = size | (digit & 0x7F) << shift, shift + 7
                if digit < 0x80:
                    return head >> 4, await self.reader.readexactly(size)

    async def read_until(self, kind: int) -> list[tuple[int, bytes]]:
        """The packets before the first of this kind."""
        found = []
        while (one := await self.read())[0] != kind:
            found.append(one)
        return found

    async def alive(self) -> list[tuple[int, bytes]]:
        """Show that the broker still answers; gives what came before the answer."""
        self.writer.write(packet(PINGREQ, b""))
        return await self.read_until(PINGRESP)

    async def subscribe(self, filter_: str) -> None:
        self.writer.write(packet(SUBSCRIBE, b"\x00\x01" + text(filter_) + b"\x01", flags=2))
        await self.read_until(SUBACK)

    def publish(self, topic: str, payload: bytes, *, number: int = 0, retain: bool = False) -> None:
        """QoS 1 with a packet number, else QoS 0."""
        identifier = number.to_bytes(2, "big") if number else b""
        self.writer.write(packet(PUBLISH, text(topic) + identifier + payload, flags=bool(number) << 1 | retain))

    async def ended(self) -> bool:
        """Wait until the broker closes the connection."""
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(PATIENCE_S):
                while await self.reader.read(65_536):
                    pass
        return True


def text(value: str) -> bytes:
    return len(value).to_bytes(2, "big") + value.encode()


class Plant:
    """A broker in this process, and whoever connects."""

    def __init__(self, *, plain: bool) -> None:
        self.port = free_port()
        if plain:
            everyone = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
            listener = {"type": "tcp", "bind": f"{LOOPBACK}:{self.port}"}
            self.broker = Broker({"listeners": {"default": listener}, "plugins": everyone})
        else:
            rules = amqtt_plugin.Rules()
            rules.replace(Wanted((Grant("desk", "publish", "#"), Grant("desk", "subscribe", "#"))), {"desk": "secret"})
            self.broker = amqtt_plugin.NexusBroker(host=LOOPBACK, port=self.port, rules=rules)
        self._peers: list[Peer] = []

    async def connect(
        self, name: str, *, clean: bool = True, will: str = "", password: str = "secret", deaf: bool = False
    ) -> tuple[Peer, bytes]:
        """A new connection, and the body of the broker's answer. A deaf one takes little before it is read from."""
        one = socket.socket()
        if deaf:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.setblocking(False)
        await asyncio.get_running_loop().sock_connect(one, (LOOPBACK, self.port))
        peer = Peer(*await asyncio.open_connection(sock=one, limit=1024 if deaf else 65_536))
        self._peers.append(peer)
        flags = USER | (CLEAN if clean else 0) | (WILL if will else 0)
        fields = [name, *([will, "gone"] if will else []), "desk", password]
        peer.writer.write(
            packet(CONNECT, b"\x00\x04MQTT\x04" + bytes([flags]) + b"\x00\x00" + b"".join(map(text, fields)))
        )
        kind, answer = await peer.read()
        assert kind == CONNACK
        return peer, answer

    async def end(self) -> None:
        for peer in self._peers:
            peer.writer.transport.abort()
        await self.broker.shutdown()


@pytest.fixture
async def plant(request: pytest.FixtureRequest) -> AsyncIterator[Plant]:
    one = Plant(plain=getattr(request, "param", "nexus") == "plain")
    await one.broker.start()
    try:
        yield one
    finally:
        await one.end()


@pytest.mark.parametrize("plant", ["nexus", "plain"], indirect=True)
async def test_a_connection_survives_that_others_subscribe_while_it_is_made(plant: Plant) -> None:
    """amqtt sends it what is retained for the filters of others, and waits for its socket within a loop over them: a plain
    one ends it."""
    other, _ = await plant.connect("other")
    await other.subscribe("first/#")
    for number in range(MESSAGES):
        other.publish(f"first/{number}", PAYLOAD, retain=True)
    await until(lambda: len(plant.broker.retained_messages) == MESSAGES)
    await other.alive()
    deaf, _ = await plant.connect("deaf", deaf=True)
    await until(lambda: "deaf" in plant.broker.sessions)
    await other.subscribe("second/#")
    if isinstance(plant.broker, amqtt_plugin.NexusBroker):
        assert await deaf.alive() == [], "it has not subscribed to anything"
    else:
        assert await deaf.ended()


async def test_what_was_acknowledged_is_passed_on_although_its_sender_has_left(plant: Plant) -> None:
    reader, _ = await plant.connect("reader")
    await reader.subscribe("d/#")
    sender, _ = await plant.connect("sender")
    for number in range(1, MESSAGES + 1):
        sender.publish(f"d/{number:03d}", b"", number=number)
    for _ in range(MESSAGES):
        await sender.read()
    sender.writer.write(packet(DISCONNECT, b""))
    heard = [(await reader.read())[1][2:7] for _ in range(MESSAGES)]
    assert heard == [f"d/{number:03d}".encode() for number in range(1, MESSAGES + 1)]


@pytest.mark.parametrize("clean", [True, False])
async def test_a_second_connection_with_a_client_id_ends_the_first(plant: Plant, clean: bool) -> None:
    """The will of the first comes before the second is answered, and the second gets what it subscribes to."""
    reader, _ = await plant.connect("reader")
    await reader.subscribe("#")
    first, _ = await plant.connect("same", clean=clean, will="w/first")
    await first.subscribe("d/#")
    second, answer = await plant.connect("same", clean=clean)
    assert answer == bytes([not clean, 0]), "the session is there when it is to be kept"
    second.publish("d/early", b"")
    assert await first.ended()
    assert [(await reader.read())[1][:9] for _ in range(2)] == [text("w/first"), text("d/early")]
    if clean:
        assert await second.alive() == []
        await second.subscribe("d/#")
    reader.publish("d/late", b"")
    topics = []
    while text("d/late") not in topics:
        topics.append((await second.read())[1][:8])
    assert plant.broker.sessions["same"][0].transitions.state == "connected"


async def test_a_second_connection_does_not_wait_for_a_first_that_reads_nothing(plant: Plant) -> None:
    sender, _ = await plant.connect("sender")
    for number in range(MESSAGES):
        sender.publish(f"first/{number}", PAYLOAD, retain=True)
    await until(lambda: len(plant.broker.retained_messages) == MESSAGES)
    first, _ = await plant.connect("same", deaf=True)
    first.writer.write(packet(SUBSCRIBE, b"\x00\x01" + text("first/#") + b"\x01", flags=2))
    await until(lambda: "first/#" in plant.broker.subscriptions)
    second, _ = await plant.connect("same")
    assert await second.alive() == []


@pytest.mark.parametrize("clean", [True, False])
async def test_a_refused_client_changes_nothing_for_the_owner_of_the_client_id(plant: Plant, clean: bool) -> None:
    owner, _ = await plant.connect("same", clean=clean)
    await owner.subscribe("d/#")
    stranger, answer = await plant.connect("same", clean=clean, password="wrong", will="d/stranger")
    assert answer == b"\x00\x05"
    assert await stranger.ended()
    owner.publish("d/own", b"")
    assert (await owner.read())[1][:7] == text("d/own")
    await until(lambda: set(plant.broker.sessions) == {"same"}, "the refused one to be forgotten")


async def test_a_connection_is_closed_and_its_will_sent_for_what_it_may_not_send(plant: Plant) -> None:
    reader, _ = await plant.connect("reader")
    await reader.subscribe("#")
    odd, _ = await plant.connect("odd", will="w/odd")
    odd.publish("$SYS/odd", b"")
    assert await odd.ended()
    assert (await reader.read())[1][:7] == text("w/odd")
    await until(lambda: set(plant.broker.sessions) == {"reader"}, "the session to be forgotten")


async def test_a_connection_ends_when_its_password_has_changed_and_no_other_one(plant: Plant) -> None:
    """As Mosquitto does when it reads its password file again."""
    rules = plant.broker._rules
    grants = tuple(Grant(name, "publish", "#") for name in ("desk", "other"))
    assert rules.replace(Wanted(grants), {"desk": "secret", "other": "x"}) == frozenset()
    desk, _ = await plant.connect("d1")
    again, _ = await plant.connect("d2")
    assert rules.replace(Wanted(grants), {"desk": "secret", "other": "y"}) == {"other"}
    assert plant.broker.end_refused({"other"}) == 0
    hashed = {"desk": hash_password("secret", argon2id=False)}
    assert plant.broker.end_refused(rules.replace(Wanted(grants, hashed), {})) == 0, (
        "its password is the same, kept as a hash"
    )
    await desk.alive()
    changed = rules.replace(Wanted(grants, {"desk": hash_password("new", argon2id=False)}), {})
    assert changed == {"desk"} and plant.broker.end_refused(changed) == 2
    assert await desk.ended() and await again.ended()
    _, refused = await plant.connect("d3")
    assert refused[1] != 0
    third, accepted = await plant.connect("d4", password="new")
    assert accepted[1] == 0
    assert plant.broker.end_refused(rules.replace(Wanted(grants[1:]), {"other": "y"})) == 1, "a user that is gone"
    assert await third.ended()
