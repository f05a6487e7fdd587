"""Clients of web's WebSocket that are slow, gone, greedy or hostile: bounded, answered, and nobody else notices."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from websockets.frames import Frame, Opcode

from nexus_cli.runtime import health, http_guard
from nexus_cli.runtime.socket_guard import LARGEST_MESSAGE
from nexus_cli.runtime.web import web as role
from nexus_cli.runtime.web.socket import client as client_module
from nexus_cli.runtime.web.socket import pace, sockets, subscriptions
from nexus_cli.settings import Settings
from tests.integration.identity_world import PREFIX
from tests.integration.socket_client import SocketClient, socket_client
from tests.integration.web_world import WebWorld, served_web
from tests.servers import new_broker
from tests.waiting import PATIENCE_S, until

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
ENERGY, VOLTAGE = "a/l/one/energy", "a/l/one/voltage"


@pytest.fixture
async def web(database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WebWorld]:
    monkeypatch.setattr(
        health, "PING_S", 600.0
    )  # raw clients answer none, and on a busy machine hundreds take a minute
    (folder := tmp_path / "broker").mkdir()
    broker = new_broker(folder).start()
    try:
        async with served_web(database, tmp_path, broker_url=broker.url) as world:
            yield world
    finally:
        broker.stop()


class Raw:
    """A connection that sends what it likes, and reads when it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, opcode: Opcode, data: bytes, *, fin: bool = True, mask: bool = True) -> None:
        self.writer.write(Frame(opcode, data, fin).serialize(mask=mask))
        await self.writer.drain()

    async def close_code(self) -> int:
        """Read until the server's close frame, or its end (1006)."""
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    first, size = await self.reader.readexactly(2)
                    if size == 126:
                        size = int.from_bytes(await self.reader.readexactly(2), "big")
                    elif size == 127:
                        size = int.from_bytes(await self.reader.readexactly(8), "big")
                    body = await self.reader.readexactly(size)
                    if first & 0x0F == Opcode.CLOSE:
                        return int.from_bytes(body[:2], "big")
        return 1006

    async def ended(self) -> None:
        """Read until the server has closed it."""
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass


@contextlib.asynccontextmanager
async def raw(web: WebWorld, token: str, *, method: str = "GET", leave_out: str = "") -> AsyncIterator[Raw]:
    """A WebSocket, or what comes instead of one."""
    port = int(web.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(os.urandom(16)).decode()
    head = {
        "Host": "x",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
        "Authorization": f"Bearer {token}",
    }
    head.pop(leave_out, None)
    lines = [f"{method} {PREFIX}/ws HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    writer.write("\r\n".join(lines).encode())
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


async def upgraded(client: Raw) -> None:
    async with asyncio.timeout(PATIENCE_S):
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")


async def served(web: WebWorld, client: SocketClient, number: int) -> None:
    """A value that is said now arrives at this client."""
    web.say(ENERGY, number)
    await client.until("values", lambda each: any(row[:2] == [ENERGY, number] for row in each["values"]))


async def test_a_client_that_does_not_read_is_ended_and_nobody_else_waits(
    web: WebWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_guard, "ANSWER_S", 1.0)
    token = await web.people.token("vera")
    async with socket_client(web.url, token=token) as good, raw(web, token) as slow:
        await upgraded(slow)
        await good.ask("watch", id=1, paths=[ENERGY], every_ms=100)
        slow.writer.transport.pause_reading()
        await slow.send(Opcode.TEXT, b'{"op":"watch","id":1,"paths":["a/**"],"every_ms":100}')
        await until(lambda: len(web.web.sockets.clients) == 2, "both are there")
        number = 0
        while len(web.web.sockets.clients) == 2:
            web.say(VOLTAGE, "x" * 60_000 + str(number))
            number += 1
            await served(web, good, number)
        slow.writer.transport.resume_reading()
        await slow.ended()
        assert len(web.web.sockets.clients) == 1


async def test_pings_of_a_client_that_reads_nothing_are_not_answered_without_end(
    web: WebWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_guard, "ANSWER_S", 2.0)
    token = await web.people.token("vera")
    async with socket_client(web.url, token=token) as good, raw(web, token) as flood:
        await upgraded(flood)
        await good.ask("watch", id=1, paths=[ENERGY], every_ms=100)
        flood.writer.transport.pause_reading()
        pings = Frame(Opcode.PING, b"x" * 125).serialize(mask=True) * 500
        number = 0
        with contextlib.suppress(ConnectionError):
            while len(web.web.sockets.clients) == 2:
                flood.writer.write(pings)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await flood.writer.drain()
                number += 1
                await served(web, good, number)
        await until(lambda: len(web.web.sockets.clients) == 1, "it is ended")


async def test_a_client_that_answers_no_ping_is_gone(
    database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PING_S", 0.3)
    monkeypatch.setattr(http_guard, "LINGER_S", 0.3)
    (folder := tmp_path / "broker").mkdir()
    broker = new_broker(folder).start()
    try:
        async with served_web(database, tmp_path, broker_url=broker.url) as web:
            token = await web.people.token("vera")
            async with socket_client(web.url, token=token) as good, raw(web, token) as gone:
                await upgraded(gone)
                await until(lambda: len(web.web.sockets.clients) == 2, "both are there")
                assert await gone.close_code() == 1011
                await gone.ended()
                await good.ask("ping", id=1)
                assert (await good.until("pong"))["id"] == 1
    finally:
        broker.stop()


async def test_many_watches_are_refused_one_by_one(web: WebWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "AT_ONCE", 10_000.0)
    monkeypatch.setattr(subscriptions, "MOST_TAGS", 30)
    token = await web.people.token("vera")
    async with socket_client(web.url, token=token) as good, socket_client(web.url, token=token) as greedy:
        await good.ask("watch", id=1, paths=[ENERGY], every_ms=100)
        for number in range(300):
            await greedy.ask("watch", id=number, paths=[f"nowhere/{number}"])
        answers = [await greedy.until("watching" if at < 200 else "error") for at in range(300)]
        assert [each["id"] for each in answers] == list(range(300))
        assert {each["code"] for each in answers[200:]} == {"NX6911"}
        for number in range(200):
            await greedy.ask("unwatch", id=number)
        tags = len(web.web.parts.keeper.view.tags)
        for number in range(30 // tags + 1):
            await greedy.ask("watch", id=number, paths=["**"], every_ms=60_000)
        assert (await greedy.until("error"))["code"] == "NX6911"
        for number in range(subscriptions.MOST_TOPICS + 1):
            await greedy.ask("topics", id=50 + number, filter="#")
        assert (await greedy.until("error"))["id"] == 50 + subscriptions.MOST_TOPICS
        await greedy.ask("counts", id=60, paths=[str(number) for number in range(1000)])
        for number in range(5):
            await greedy.ask("counts", id=61 + number, paths=[str(number) for number in range(1000)])
        assert (await greedy.until("error"))["id"] == 65
        await served(web, good, 1)


async def test_a_flood_waits_and_nobody_else_does(web: WebWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "PER_S", 20.0)
    monkeypatch.setattr(pace, "AT_ONCE", 20.0)
    token = await web.people.token("vera")
    async with socket_client(web.url, token=token) as good, socket_client(web.url, token=token) as flood:
        await good.ask("watch", id=1, paths=[ENERGY], every_ms=100)
        sending = asyncio.create_task(send_many(flood, 20_000))
        for number in range(10):
            await served(web, good, number)
        for number in range(30):  # more than it has at once
            assert (await flood.until("pong"))["id"] == number
        sending.cancel()


async def send_many(client: SocketClient, count: int) -> None:
    for number in range(count):
        await client.ask("ping", id=number)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(Opcode.TEXT, b"x" * (LARGEST_MESSAGE + 1), True)], 1009),
        ([(Opcode.TEXT, b"x" * 200_000, False), (Opcode.CONT, b"x" * 200_000, True)], 1009),
        ([(Opcode.TEXT, b"\xff\xfe", True)], 1007),
        ([(Opcode.CONT, b"x", True)], 1002),
    ],
)
async def test_what_is_no_message_closes_the_connection(
    web: WebWorld, frames: list[tuple[Opcode, bytes, bool]], code: int
) -> None:
    async with raw(web, await web.people.token("vera")) as client:
        await upgraded(client)
        for opcode, data, fin in frames:
            await client.send(opcode, data, fin=fin)
        assert await client.close_code() == code


async def test_a_frame_without_a_mask_closes_the_connection(web: WebWorld) -> None:
    async with raw(web, await web.people.token("vera")) as client:
        await upgraded(client)
        await client.send(Opcode.TEXT, b'{"op":"ping"}', mask=False)
        assert await client.close_code() == 1002


async def test_a_message_in_very_many_empty_parts_is_one_message(web: WebWorld) -> None:
    async with raw(web, await web.people.token("vera")) as client:
        await upgraded(client)
        await client.send(Opcode.TEXT, b'{"op":"ping",', fin=False)
        for _ in range(2000):
            await client.send(Opcode.CONT, b"", fin=False)
        await client.send(Opcode.CONT, b'"id":4}')
        async with asyncio.timeout(PATIENCE_S):
            assert b'{"op":"pong","id":4}' in await client.reader.readuntil(b'"id":4}')


@pytest.mark.parametrize(
    ("keys", "status"),
    [
        ({"leave_out": "Sec-WebSocket-Key"}, (400,)),
        ({"leave_out": "Sec-WebSocket-Version"}, (400, 426)),
        ({"method": "POST"}, (404, 405)),
        ({"leave_out": "Upgrade"}, (404, 405)),
    ],
)
async def test_a_handshake_that_is_none_is_answered(
    web: WebWorld, keys: dict[str, str], status: tuple[int, ...]
) -> None:
    async with raw(web, await web.people.token("vera"), **keys) as client:
        async with asyncio.timeout(PATIENCE_S):
            line = await client.reader.readline()
        assert int(line.split()[1]) in status


async def test_there_are_places_for_so_many_and_each_has_a_share(
    web: WebWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "MOST_CLIENTS", 3)
    monkeypatch.setattr(sockets, "MOST_OF_ONE", 2)
    vera, otto, ada = [await web.people.token(name) for name in ("vera", "otto", "ada")]
    async with contextlib.AsyncExitStack() as stack:
        for token in (vera, vera):
            client = await stack.enter_async_context(socket_client(web.url, token=token))
            assert (await client.next())["op"] == "hello"
        async with socket_client(web.url, token=vera) as third:
            assert (await third.closed())[0] == 1013
        client = await stack.enter_async_context(socket_client(web.url, token=otto))
        assert (await client.next())["op"] == "hello"
        async with socket_client(web.url, token=ada) as fourth:
            assert (await fourth.closed())[0] == 1013


async def test_more_clients_than_other_roles_have_connections(web: WebWorld) -> None:
    assert http_guard.MOST_CONNECTIONS < 450 < role.MOST_CONNECTIONS
    token = await web.people.token("vera")
    async with contextlib.AsyncExitStack() as stack:
        clients = []
        for _ in range(450):
            client = await stack.enter_async_context(raw(web, token))
            await upgraded(client)
            await client.send(Opcode.TEXT, b'{"op":"watch","id":1,"paths":["a/l/one/energy"],"every_ms":100}')
            clients.append(client)
        web.say(ENERGY, 4711)
        for client in clients:
            async with asyncio.timeout(PATIENCE_S):
                assert b"4711" in await client.reader.readuntil(b"4711")
        assert len(web.web.sockets.clients) == 450
        status = (await web.http.get("/status")).json()
        assert status["clients"] == 450


async def test_answers_that_are_not_read_stop_the_reading_of_questions(
    web: WebWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "AT_ONCE", 1e9)
    monkeypatch.setattr(http_guard, "ANSWER_S", 3600.0)
    async with raw(web, await web.people.token("vera")) as client:
        await upgraded(client)
        client.writer.transport.pause_reading()
        question = msgspec.json.encode({"op": "dance", "id": 1, "more": "x" * 50_000})
        sent = 0
        try:
            async with asyncio.timeout(PATIENCE_S):
                while sent < 5_000:
                    async with asyncio.timeout(2.0):
                        await client.send(Opcode.TEXT, question)
                    sent += 1
        except TimeoutError:
            pass
        (one,) = web.web.sockets.clients
        assert len(one._unsent) <= client_module.MOST_UNSENT
