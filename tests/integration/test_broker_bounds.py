"""What one client that reads nothing may cost the brokers of `nexus up`."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_cli.access.grants import Grant
from nexus_cli.access.grants_file import Wanted
from nexus_cli.local import broker_mosquitto
from nexus_cli.local.ports import LOOPBACK
from nexus_cli.runtime.gateway.outbox.splitting import MESSAGE_BYTES
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from tests.scripted_broker import CONNECT, PUBACK, PUBLISH, SUBSCRIBE, packet
from tests.servers import answers, free_port
from tests.waiting import until, wait_until

MESSAGES = 3_000
PAYLOAD = b"x" * 4_000
AT_ONCE = 50


async def deaf(port: int, *, qos: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that subscribes to everything and never reads, unless it is asked to."""
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # before the connect: the system keeps little for it
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, (LOOPBACK, port))
    reader, writer = await asyncio.open_connection(sock=small, limit=1024)
    name, user, password = b"deaf", b"desk", b"secret"
    fields = b"".join(len(one).to_bytes(2, "big") + one for one in (name, user, password))
    writer.write(packet(CONNECT, b"\x00\x04MQTT\x04\xc2\x00\x00" + fields))
    writer.write(packet(SUBSCRIBE, b"\x00\x01" + b"\x00\x03p/#" + bytes([qos]), flags=2))
    await reader.readexactly(4 + 5)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    return reader, writer


@pytest.mark.parametrize("qos", [0, 1])
async def test_amqtt_drops_what_a_deaf_client_does_not_take(monkeypatch: pytest.MonkeyPatch, qos: int) -> None:
    pytest.importorskip("amqtt")
    from nexus_cli.local import amqtt_plugin

    monkeypatch.setattr(amqtt_plugin, "QUEUED_BYTES", 200_000)
    monkeypatch.setattr(amqtt_plugin, "QUEUED_MESSAGES", 500)
    rules = amqtt_plugin.Rules()
    grants = (
        Grant("desk", "subscribe", "p/#"),
        Grant("device", "publish", "p/#"),
        Grant("device", "subscribe", "p/#"),
    )
    rules.replace(Wanted(grants), {"desk": "secret", "device": "secret"})
    port = free_port()
    broker = amqtt_plugin.NexusBroker(host=LOOPBACK, port=port, rules=rules)
    await broker.start()
    settings = Settings(broker_url=f"mqtt://{LOOPBACK}:{port}", broker_user="device", broker_password="secret")
    heard = 0
    try:
        async with asyncio.timeout(120):
            _, writer = await deaf(port, qos=qos)
            device, other = (BrokerClient(settings=settings, client_id=name) for name in ("device", "other"))
            async with device.session(), other.session() as messages:
                await other.subscribe([("p/#", 0)])
                for number in range(MESSAGES):
                    waiting = device.post(f"p/{number % 10}", PAYLOAD)
                    if device.inflight > 50:
                        await waiting
                await waiting
                async for _ in messages:
                    heard += 1
                    if heard == MESSAGES:
                        break
                await until(lambda: broker.dropped > 0)
                pending = [task for task in broker._tasks_queue if not task.done()]
                assert len(pending) <= 500
                assert len(broker._tasks_queue) <= 1_000
            writer.close()
    finally:
        await broker.shutdown()
    assert heard == MESSAGES


def test_mosquitto_is_told_its_bounds(tmp_path: Path) -> None:
    local = broker_mosquitto.LocalMosquitto(tmp_path)
    local.prepare(port=1883, wanted=Wanted(()), passwords={})
    lines = (local.folder / "mosquitto.conf").read_text(encoding="utf-8").splitlines()
    assert "max_queued_messages 50000" in lines
    assert "max_queued_bytes 67108864" in lines
    assert "max_packet_size 4194304" in lines
    assert "persistent_client_expiration 1d" in lines
    assert broker_mosquitto.PACKET_BYTES > 2 * MESSAGE_BYTES, "what gateways send passes"


def test_mosquitto_takes_no_packet_that_nobody_of_ours_sends(tmp_path: Path) -> None:
    """It would take memory for it before it knows whether its sender may publish there."""
    with (
        mosquitto(tmp_path, Grant("desk", "subscribe", "acme/chicago/#")) as port,
        socket.create_connection(("127.0.0.1", port), timeout=60) as client,
    ):
        client.sendall(b"\x10\x1d\x00\x04MQTT\x04\xc2\x00\x3c\x00\x03odd\x00\x04desk\x00\x06secret")
        assert client.recv(4) == b"\x20\x02\x00\x00"
        client.sendall(b"\x30\x80\x80\x80\x32\x00\x01x")  # the head of 100 MiB
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b"", "closed at its head"


@contextlib.contextmanager
def mosquitto(folder: Path, *grants: Grant) -> Iterator[int]:
    """The broker as `nexus up` starts it; gives its port. Everybody's password is `secret`, its log is `broker.log`."""
    if broker_mosquitto.program() is None:
        pytest.skip("mosquitto is not installed")
    local, port = broker_mosquitto.LocalMosquitto(folder), free_port()
    local.prepare(port=port, wanted=Wanted(grants), passwords={grant.principal: "secret" for grant in grants})
    launch = local.launch()
    identity = launch.identity.popen_arguments() if launch.identity else {}
    with (folder / "broker.log").open("wb") as log:
        running = subprocess.Popen(
            launch.command, cwd=launch.folder, env=dict(launch.environment), stdout=log, stderr=log, **identity
        )
    try:
        wait_until(lambda: answers(port), "the broker")
        yield port
    finally:
        running.terminate()  # killed, it would not write the end of its log
        running.wait()


async def take_until(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, last: bytes) -> int:
    """Read and acknowledge what the broker kept for a client, up to a message on this topic; gives how many came."""
    taken = 0
    while True:
        head = (await reader.readexactly(1))[0]
        size = shift = 0
        while True:
            digit = (await reader.readexactly(1))[0]
            size, shift = size | (digit & 0x7F) << shift, shift + 7
            if digit < 0x80:
                break
        body = await reader.readexactly(size)
        if head >> 4 != PUBLISH:
            continue
        length = int.from_bytes(body[:2], "big")
        if body[2 : 2 + length] == last:
            return taken
        taken += 1
        if head & 6:
            writer.write(packet(PUBACK, body[2 + length : 4 + length]))


@pytest.mark.parametrize(
    ("messages", "most_bytes", "kept"),
    [(500, 64 << 20, 500), (50_000, 500 * len(PAYLOAD), 500)],
    ids=["count", "bytes"],
)
async def test_mosquitto_keeps_so_much_for_a_slow_client_and_drops_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: int, most_bytes: int, kept: int
) -> None:
    """QoS 1 and a client that does not read: what waits for it is bounded, and everybody else gets everything."""
    monkeypatch.setattr(broker_mosquitto, "QUEUED_MESSAGES", messages)
    monkeypatch.setattr(broker_mosquitto, "QUEUED_BYTES", most_bytes)
    (inflight,) = re.findall(r"max_inflight_messages (\d+)", broker_mosquitto.CONFIGURATION)
    grants = [Grant("device", action, "p/#") for action in ("publish", "subscribe")]
    heard = 0
    with mosquitto(tmp_path, Grant("desk", "subscribe", "p/#"), *grants) as port:
        settings = Settings(broker_url=f"mqtt://{LOOPBACK}:{port}", broker_user="device", broker_password="secret")
        device, other = (BrokerClient(settings=settings, client_id=name) for name in ("device", "other"))
        async with asyncio.timeout(240), device.session(), other.session() as received:
            reader, writer = await deaf(port, qos=1)
            await other.subscribe([("p/#", 1)])
            for _ in range(MESSAGES // AT_ONCE):  # in step with the one that reads, or it would be a slow one too
                for number in range(AT_ONCE):
                    waiting = device.post(f"p/{number}", PAYLOAD)
                await waiting
                for _ in range(AT_ONCE):
                    assert (await anext(received)).payload == PAYLOAD
                    heard += 1
            taking = asyncio.ensure_future(take_until(reader, writer, b"p/last"))
            writer.transport.resume_reading()  # type: ignore[attr-defined]
            while not taking.done():  # this one is dropped as well, as long as there is no place for it
                await device.publish("p/last", b"")
                await asyncio.wait({taking}, timeout=0.2)
            writer.close()
            assert 0 < await taking <= int(inflight) + kept + 1
    assert heard == MESSAGES
    log = (tmp_path / "broker.log").read_text(encoding="utf-8", errors="replace")
    assert "Outgoing messages are being dropped for client deaf" in log
    assert "dropped for client other" not in log
