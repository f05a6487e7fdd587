"""A declared user with a password of its own, who wants to stop the record: forty sessions, and every write is answered
and stored. At which rate is counted in `test_hostile_rate`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import aiomqtt
import asyncpg

from nexus_cli.settings import Settings
from nexus_cli.wire.identity import client_id
from tests.e2e.commanded import PATH
from tests.e2e.test_commands_rights import ANSWER, COMMAND, Rights, answers_of, body, rights
from tests.e2e.test_commands_rights import pytestmark as pytestmark

__all__ = ["rights"]  # the fixture
PLATFORM = "_nexus/acme/commanded"
SESSIONS = 40
WRITES = 20
GUESSED_IDS = (
    "nexus-historian-acme.commanded-historian",
    "nexus.gateway.acme.commanded.gateway",
    "nexus.gateway.acme.commanded.gateway.commands",
    "nexus.control-acme-commanded",
    "nexus-control",
    "nexus-gateway-gateway",
    client_id(Settings(principal="nexus.gateway.gateway"), "record"),
)


def metric(rights: Rights, principal: str, name: str) -> float:
    """The sum of one metric of a role."""
    port = rights.runtime["http_ports"][principal]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def never_read(rights: Rights, name: str) -> socket.socket:
    """A session that subscribes to everything and takes nothing from its socket."""
    port = int(str(rights.runtime["broker_url"]).rsplit(":", 1)[1])
    session = socket.create_connection(("127.0.0.1", port), 10)
    session.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    words = [client_id(Settings(principal=name), "deaf"), name, rights.passwords[name]]
    connect = _text("MQTT") + bytes([4, 0xC2]) + struct.pack(">H", 60) + b"".join(map(_text, words))
    subscribe = struct.pack(">H", 1) + _text("#") + b"\x01" + _text(f"{PLATFORM}/#") + b"\x01"
    session.sendall(_packet(0x10, connect) + _packet(0x82, subscribe))
    return session


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _packet(kind: int, rest: bytes) -> bytes:
    size, length = len(rest), b""
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (128 if size else 0)])
        if not size:
            return bytes([kind]) + length + rest


async def join_groups(client: aiomqtt.Client, group: str) -> None:
    """Ask for a part of what only the historian may take."""
    for filter_ in ("data/#", "gap/+", "audit/+", "#"):
        with contextlib.suppress(aiomqtt.MqttError):  # a broker may say so at once
            await client.subscribe(f"$share/{group}/{PLATFORM}/{filter_}", qos=1)


async def take_over(rights: Rights, name: str) -> None:
    """Connect once with the client id that a role might have."""
    with contextlib.suppress(aiomqtt.MqttError):
        async with rights.client("guest", identifier=name):
            pass


@contextlib.asynccontextmanager
async def hostile(rights: Rights) -> AsyncIterator[None]:
    """Forty sessions: half of them read nothing, half ask for a part of what the historian takes."""
    async with contextlib.AsyncExitStack() as sessions:
        for number in range(SESSIONS):
            if number % 2:
                deaf = never_read(rights, "guest")
                sessions.callback(deaf.close)
                continue
            guest = await sessions.enter_async_context(rights.client("guest"))
            await join_groups(guest, "historian" if number % 4 else "nexus")
        yield


async def stored(rights: Rights) -> list[float]:
    """Every value of the setpoint that has a row, by time."""
    found = await asyncpg.connect(rights.runtime["database_url"], password=rights.credentials["database"]["nexus"])
    try:
        rows: list[Any] = await found.fetch(
            "SELECT p.value FROM nexus.sample p JOIN nexus.series s ON s.id = p.series_id"
            " WHERE s.path = $1 ORDER BY p.time",
            PATH,
        )
        return [row["value"] for row in rows]
    finally:
        await found.close()


def test_forty_hostile_sessions_cost_the_record_nothing(rights: Rights) -> None:
    wanted = [10.0 + step / 2 for step in range(WRITES)]
    repeated = metric(rights, "nexus.gateway.gateway", "nexus_gateway_repeated_frames_total")

    async def attack() -> None:
        async with hostile(rights), rights.client("desk") as desk:
            await desk.subscribe(f"{ANSWER}/+/desk/+", qos=1)
            for number, value in enumerate(wanted):
                await take_over(rights, GUESSED_IDS[number % len(GUESSED_IDS)])
                await desk.publish(f"{COMMAND}/{PATH}/desk", body(f"under-attack-{number}", value), qos=2)
                answer = (await answers_of(desk, f"under-attack-{number}", deadline_s=60.0))[-1]
                assert answer["state"] == "done", answer
            async with asyncio.timeout(60.0):
                while (await stored(rights))[-WRITES:] != wanted:
                    await asyncio.sleep(0.1)

    asyncio.run(attack())
    assert metric(rights, "nexus.gateway.gateway", "nexus_gateway_repeated_frames_total") == repeated, (
        "no frame was taken away from the historian"
    )
    log = (rights.plant.home.path / "logs" / "broker.log").read_text(encoding="utf-8", errors="replace")
    assert "already connected" not in log, "no session was ended by a second one with its id"
