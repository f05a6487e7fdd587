"""What one client that reads nothing may cost the brokers of `nexus up`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from pathlib import Path

import pytest

from nexus_cli.access.grants import Grant
from nexus_cli.local import broker_mosquitto
from nexus_cli.local.ports import LOOPBACK
from nexus_cli.runtime.gateway.splitting import MESSAGE_BYTES
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from tests.integration.test_gateway import until
from tests.scripted_broker import CONNECT, SUBSCRIBE, packet
from tests.servers import answers, free_port, wait_until

MESSAGES = 3_000
PAYLOAD = b"x" * 4_000


async def deaf(port: int, *, qos: int) -> asyncio.StreamWriter:
    """A client that subscribes to everything and never reads."""
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
    return writer


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
    rules.replace(grants, {"desk": "secret", "device": "secret"})
    port = free_port()
    broker = amqtt_plugin.NexusBroker(host=LOOPBACK, port=port, rules=rules)
    await broker.start()
    settings = Settings(broker_url=f"mqtt://{LOOPBACK}:{port}", broker_user="device", broker_password="secret")
    heard = 0
    try:
        async with asyncio.timeout(120):
            writer = await deaf(port, qos=qos)
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
                await until(lambda: broker.dropped > 0, deadline_s=60)
                pending = [task for task in broker._tasks_queue if not task.done()]
                assert len(pending) <= 500
                assert len(broker._tasks_queue) <= 1_000
            writer.close()
    finally:
        await broker.shutdown()
    assert heard == MESSAGES


def test_mosquitto_is_told_its_bounds(tmp_path: Path) -> None:
    local = broker_mosquitto.LocalMosquitto(tmp_path)
    local.prepare(port=1883, grants=(), passwords={})
    lines = (local.folder / "mosquitto.conf").read_text(encoding="utf-8").splitlines()
    assert "max_queued_messages 50000" in lines
    assert "max_queued_bytes 67108864" in lines
    assert "max_packet_size 4194304" in lines
    assert "persistent_client_expiration 1d" in lines
    assert broker_mosquitto.PACKET_BYTES > 2 * MESSAGE_BYTES, "what gateways send passes"


def test_mosquitto_takes_no_packet_that_nobody_of_ours_sends(tmp_path: Path) -> None:
    """It would take memory for it before it knows whether its sender may publish there."""
    program = broker_mosquitto.program()
    if program is None:
        pytest.skip("mosquitto is not installed")
    local, port = broker_mosquitto.LocalMosquitto(tmp_path), free_port()
    local.prepare(port=port, grants=(Grant("desk", "subscribe", "acme/chicago/#"),), passwords={"desk": "secret"})
    launch = local.launch()
    identity = launch.identity.popen_arguments() if launch.identity else {}
    running = subprocess.Popen(
        launch.command, cwd=launch.folder, env=dict(launch.environment), stdout=subprocess.DEVNULL, **identity
    )
    try:
        wait_until(lambda: answers(port), what="the broker")
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(b"\x10\x1d\x00\x04MQTT\x04\xc2\x00\x3c\x00\x03odd\x00\x04desk\x00\x06secret")
            assert client.recv(4) == b"\x20\x02\x00\x00"
            client.sendall(b"\x30\x80\x80\x80\x32\x00\x01x")  # the head of 100 MiB
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b"", "closed at its head"
    finally:
        running.kill()
        running.wait()
