"""Modbus servers that close their connections, or are slow to open them: no sample is lost that they would have given."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.contract.polled import bad_rows, cycles, good, polled
from tests.waiting import until

pytestmark = pytest.mark.own_time


@dataclass
class Manners:
    """How a server treats its connections.

    Attributes:
        requests: It closes after so many; 0 for never.
        drops: Requests of each connection that it lets drop.
        single: The second connection ends the first one.
        hangs: Numbers of requests, from 1 on, that are never answered, nor what follows on their connection.
        port: Where it listens.
        opened: Connections so far.
        asked: Requests so far.
    """

    requests: int = 0
    drops: int = 0
    single: bool = False
    hangs: frozenset[int] = frozenset()
    port: int = 0
    opened: int = 0
    asked: int = 0
    open: list[asyncio.StreamWriter] = field(default_factory=list)

    async def client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; each register holds its number."""
        self.opened += 1
        if self.single:
            for other in self.open:
                other.transport.abort()
        self.open.append(writer)
        count = 0
        try:
            while not self.requests or count < self.requests:
                head = await reader.readexactly(7)
                asked = await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
                count += 1
                self.asked += 1
                if self.asked in self.hangs:
                    await reader.read()
                if count <= self.drops:
                    continue
                start, size = struct.unpack(">HH", asked[1:5])
                body = bytes((asked[0], 2 * size)) + struct.pack(f">{size}H", *range(start, start + size))
                writer.write(head[:4] + struct.pack(">HB", len(body) + 1, head[6]) + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open.remove(writer)
            writer.close()


@asynccontextmanager
async def served(manners: Manners) -> AsyncIterator[DeviceConfig]:
    """A device behind such a server: three blocks."""
    server = await asyncio.start_server(manners.client, "127.0.0.1", 0)
    manners.port = server.sockets[0].getsockname()[1]
    connection = {"host": "127.0.0.1", "port": manners.port, "timeout": 200, "connect_timeout": 1000}
    tags = {
        f"{area}-{at}": TagConfig(type="uint16", address=f"{area}:{at}", poll_ms=100)
        for area, at in (("holding", 0), ("holding", 1), ("holding", 300), ("input", 5))
    }
    try:
        yield DeviceConfig(path="a/l/d", protocol="modbus", connection=connection, tags=tags)
    finally:
        server.close()
        for writer in manners.open:
            writer.transport.abort()
        await server.wait_closed()


@pytest.mark.parametrize(
    "manners",
    [Manners(requests=1), Manners(requests=4), Manners(requests=2, drops=1), Manners(hangs=frozenset({5, 9}))],
    ids=["after each answer", "after four", "after one answer, the first request dropped", "hangs twice"],
)
async def test_no_sample_is_lost(manners: Manners) -> None:
    async with served(manners) as device, polled(device, ".") as (link, kept):
        await until(lambda: good(link), f"not everything is read: {kept.rows}")
        first = cycles(link)
        await until(lambda: cycles(link) >= first + 5, "it is not polled any more")
        assert good(link) and manners.opened > 1
        assert not bad_rows(kept)


async def test_another_client_that_takes_the_only_connection_costs_nothing() -> None:
    manners = Manners(single=True)
    async with served(manners) as device, polled(device, ".") as (link, kept):
        await until(lambda: good(link), "not everything is read")
        for _ in range(3):
            before = manners.opened
            _, writer = await asyncio.open_connection("127.0.0.1", manners.port)
            await until(lambda before=before: manners.opened > before + 1, "it did not come back")  # type: ignore[misc]
            writer.close()
        first = cycles(link)
        await until(lambda: cycles(link) >= first + 2, "it is not polled any more")
        assert good(link) and not bad_rows(kept)
