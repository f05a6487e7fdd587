"""Each descriptor has one owner: thousands of resets of broker connections, and no other connection of the process hears less."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from tests.waiting import PATIENCE_S, until

RESETS = 2_000
LINKS = 8


class ResettingBroker:
    """Accepts, sends a CONNACK, reads a little, and resets: on a thread, so that it happens in the middle of a turn."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.resets = 0
        self.thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def settings(self) -> Settings:
        return Settings(site="a/b", broker_url=f"mqtt://127.0.0.1:{self.listening.getsockname()[1]}")

    def _serve(self) -> None:
        while True:
            try:
                opened, _ = self.listening.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                opened.recv(4096)
                opened.sendall(b"\x20\x02\x00\x00")
                if self.resets % 3:
                    opened.settimeout(0.05)
                    opened.recv(64 * (self.resets % 5))  # some of what comes, or nothing
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            opened.close()
            self.resets += 1


@pytest.fixture
def broker() -> Iterator[ResettingBroker]:
    one = ResettingBroker()
    one.thread.start()
    yield one
    with contextlib.suppress(OSError):
        one.listening.shutdown(socket.SHUT_RDWR)
    one.listening.close()
    one.thread.join(10)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(100):
            writer.write(data)
    writer.close()


class Link:
    """Another connection of the process: opened, asked a few times, closed, and again."""

    def __init__(self, port: int) -> None:
        self.port, self.asked = port, 0

    async def live(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            for _ in range(5):
                writer.write(b"ping")
                async with asyncio.timeout(PATIENCE_S):
                    assert await reader.readexactly(4) == b"ping"
                self.asked += 1
            writer.close()
            await writer.wait_closed()


async def publish_without_rest(broker: ResettingBroker, number: int, stop: asyncio.Event) -> None:
    """Connect, and have publishes on their way when the reset comes."""
    while not stop.is_set():
        client = BrokerClient(settings=broker.settings, client_id=f"c{number}")
        with contextlib.suppress(NexusError):
            async with client.session():
                while client.connected:
                    for _ in range(20):
                        client.post("t", b"x" * 200)
                    await asyncio.sleep(0)


@pytest.mark.slow
async def test_thousands_of_resets_cost_no_other_connection_anything(broker: ResettingBroker) -> None:
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    before = set(loop._selector.get_map())  # type: ignore[attr-defined]
    links = [Link(port) for _ in range(LINKS)]
    stop, links_stop = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for link in links:
            group.create_task(link.live(links_stop))
        for number in range(4):
            group.create_task(publish_without_rest(broker, number, stop))
        await until(lambda: broker.resets >= RESETS, deadline_s=240)
        stop.set()
        asked = [link.asked for link in links]
        await until(lambda: all(link.asked > had + 20 for link, had in zip(links, asked, strict=True)))
        links_stop.set()
    await until(lambda: set(loop._selector.get_map()) <= before)  # type: ignore[attr-defined]
    server.close()
    assert complaints == []
