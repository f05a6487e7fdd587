"""The proxies of chaos: each mode does to a connection what it says, and passing again heals."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.chaos.network import HALF_OPEN, PASS, RESET, SILENCE, SLOW, Proxy, State


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[Proxy]:
    """A proxy in front of a server that answers what it hears."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1000):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, Proxy(server.sockets[0].getsockname()[1]).running() as proxy:
        yield proxy


class Client:
    """One connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, proxy: Proxy) -> Client:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", proxy.port))

    async def ask(self, text: bytes) -> bytes:
        """Send, and read as much."""
        self.writer.write(text)
        return await self.reader.readexactly(len(text))


async def test_it_passes_on_and_counts() -> None:
    async with echo() as proxy:
        client = await Client.to(proxy)
        assert await client.ask(b"hello") == b"hello"
        assert proxy.carried == 10
        client.writer.close()


async def test_a_reset_breaks_what_is_open_and_what_comes() -> None:
    async with echo() as proxy:
        client = await Client.to(proxy)
        await client.ask(b"hello")
        proxy.set(State(RESET))
        with pytest.raises(ConnectionResetError):
            await client.reader.readexactly(1)
        later = await Client.to(proxy)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await later.reader.readexactly(1)
        proxy.set(State(PASS))
        assert await (await Client.to(proxy)).ask(b"again") == b"again"


async def test_silence_keeps_connections_and_carries_nothing_until_it_is_over() -> None:
    async with echo() as proxy:
        client = await Client.to(proxy)
        await client.ask(b"hello")
        carried = proxy.carried
        proxy.set(State(SILENCE))
        asked = asyncio.ensure_future(client.ask(b"quiet"))
        newcomer = await Client.to(proxy)
        second = asyncio.ensure_future(newcomer.ask(b"also"))
        for _ in range(50):
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        assert proxy.carried == carried
        assert not asked.done()
        assert not second.done()
        proxy.set(State(PASS))
        assert await asked == b"quiet"
        assert await second == b"also"


async def test_half_open_takes_newcomers_nowhere_and_lets_old_connections_be() -> None:
    async with echo() as proxy:
        client = await Client.to(proxy)
        await client.ask(b"hello")
        proxy.set(State(HALF_OPEN))
        newcomer = await Client.to(proxy)
        second = asyncio.ensure_future(newcomer.ask(b"anyone"))
        assert await client.ask(b"still here") == b"still here"
        assert not second.done()
        proxy.set(State(RESET))
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await second


async def test_slow_delays_every_piece() -> None:
    async with echo() as proxy:
        client = await Client.to(proxy)
        await client.ask(b"hello")
        proxy.set(State(SLOW, 0.2))
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        assert await client.ask(b"slowly") == b"slowly"
        assert loop.time() - began_s >= 0.4, "there and back"
        proxy.set(State(PASS))
        client.writer.close()
