"""Hostile and slow clients of control's API, over real sockets: refused from their heads, and never in the way."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from nexus_cli.runtime import http_guard
from nexus_cli.runtime.api import request_guard as door
from nexus_cli.runtime.health import serve_http
from nexus_cli.runtime.metrics import Metrics
from tests.integration.control_world import World, world
from tests.waiting import PATIENCE_S, until

__all__ = ["world"]
PREFIX = "/v1/sites/acme/chicago"
MIB = 2**20


def head(path: str, *lines: str, method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def token(name: str = "cli-token") -> str:
    return f"Authorization: Bearer {name}"


class Socket:
    """A client that sends what it likes and reads what comes."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Socket:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *error: object) -> None:
        self.writer.transport.abort()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, deadline_s: float = 60.0) -> tuple[int, str]:
        """Status and code of one answer."""
        async with asyncio.timeout(deadline_s):
            first = await self.reader.readline()
            length = 0
            while (line := await self.reader.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = await self.reader.readexactly(length)
        return int(first.split()[1]), json.loads(body)["code"] if body.startswith(b'{"code"') else ""

    async def closed_or_answered(self, deadline_s: float = 60.0) -> bool:
        """True once the server has said something or closed it."""
        async with asyncio.timeout(deadline_s):
            with contextlib.suppress(OSError):
                await self.reader.read(1)
            return True

    async def closed(self, deadline_s: float = 60.0) -> bool:
        """True once the server has closed it."""
        async with asyncio.timeout(deadline_s):
            with contextlib.suppress(OSError):
                return await self.reader.read(1) == b""
            return True


def port_of(world: World) -> int:
    return int(world.settings.control_url.rsplit(":", 1)[1])


@pytest.mark.parametrize(
    ("path", "lines", "status", "code"),
    [
        ("/deployments", (), 401, "NX6401"),
        ("/deployments", (token("wrong"),), 401, "NX6401"),
        ("/deployments", (token("wrong"), token()), 401, "NX6401"),
        ("/deployments", (token("gateway-token"),), 403, "NX6403"),
        ("/resources", (token("gateway-token"),), 403, "NX6403"),
        ("/deployments", (token(),), 413, "NX6405"),
        ("/resources", (token(),), 413, "NX6405"),
        ("/alerts/hot/acknowledge", (token(),), 413, "NX6405"),
        ("/runs/r1/abort", (token(),), 413, "NX6405"),
        ("/nothing/deployments/x", (), 401, "NX6401"),
    ],
)
async def test_the_head_decides_before_a_byte_of_the_body_is_there(
    world: World, path: str, lines: tuple[str, ...], status: int, code: str
) -> None:
    async with world.control(), Socket(port_of(world)) as client:
        await client.send(head(PREFIX + path, *lines, "Content-Type: application/json", f"Content-Length: {10**9}"))
        assert await client.answer() == (status, code)
        # What it sends all the same is thrown away, so that the answer reaches it; then it is closed.
        for _ in range(64):
            await client.send(b"x" * 2**16)


async def test_who_closes_after_its_request_hears_why_it_was_refused(world: World) -> None:
    """A reset over what it still sends would take the answer along."""
    async with world.control(), Socket(port_of(world)) as client:
        lines = ("Content-Type: application/json", f"Content-Length: {30 * MIB}", "Connection: close")
        await client.send(head(PREFIX + "/deployments", *lines))
        with contextlib.suppress(OSError):
            for _ in range(30):
                await client.send(b"[" * MIB)
        assert await client.answer() == (401, "NX6401")
        assert await client.closed()


async def test_bodies_that_never_end_take_no_memory_and_are_closed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a token nothing of them is kept; with one, only within what all bodies together may take."""
    process = world.control_process(pause_s=2.0)
    try:
        await world.until_leads()
        port = port_of(world)
        before = psutil.Process(process.pid).memory_info().rss
        async with contextlib.AsyncExitStack() as stack:
            hostile = [await stack.enter_async_context(Socket(port)) for _ in range(6)]
            for each in hostile:
                await each.send(head(PREFIX + "/deployments", "Content-Length: 67000000"))
                assert await each.answer() == (401, "NX6401")
                with contextlib.suppress(OSError):
                    for _ in range(40):
                        await each.send(b"[" * MIB)
            assert psutil.Process(process.pid).memory_info().rss - before < 40 * MIB
            known = [await stack.enter_async_context(Socket(port)) for _ in range(3)]
            for each in known[:2]:
                await each.send(head(PREFIX + "/deployments", token(), f"Content-Length: {40 * MIB}"))
                await each.send(b"[" * MIB)
            await known[2].send(head(PREFIX + "/deployments", token(), f"Content-Length: {40 * MIB}"))
            assert await known[2].answer() == (503, "NX6410"), "memory is reserved by what is announced"
            assert await known[0].answer() == (408, "NX6405"), "no silence within a body"
            async with httpx.AsyncClient(base_url=world.settings.control_url) as http:
                assert (await http.get("/health/live")).status_code == 200
            for each in hostile:
                assert await each.closed()
    finally:
        process.kill()
        process.wait()


async def test_a_chunked_body_over_the_limit_is_refused_while_it_comes(world: World) -> None:
    async with world.control(), Socket(port_of(world)) as client:
        await client.send(head(PREFIX + "/runs/r1/abort", token(), "Transfer-Encoding: chunked"))
        chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
        await client.send(chunk * 3)
        assert await client.answer() == (413, "NX6405")


async def test_half_open_connections_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "HEAD_S", 3600.0)
    monkeypatch.setattr(http_guard, "MOST_CONNECTIONS", 20)
    async with world.control(), contextlib.AsyncExitStack() as stack:
        port = port_of(world)
        silent = [await stack.enter_async_context(Socket(port)) for _ in range(60)]
        for number, each in enumerate(silent):
            with contextlib.suppress(OSError):
                await each.send(b"GET /health/live HTTP/1.1\r\n" if number % 2 else b"")
            if number % 10 == 0:  # a proper request finds room at any moment
                async with httpx.AsyncClient(base_url=world.settings.control_url) as http:
                    assert (await http.get("/health/live")).status_code == 200
        await until(lambda: sum(each.reader.at_eof() for each in silent) >= 40, "the oldest closed")
        assert not all(each.reader.at_eof() for each in silent)


async def test_who_shows_no_token_keeps_no_connection_by_announcing_a_body(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that needs no token needs no body either: waiting for it would fill the room with strangers."""
    monkeypatch.setattr(http_guard, "MOST_CONNECTIONS", 20)
    monkeypatch.setattr(door, "PAUSE_S", 3600.0)
    monkeypatch.setattr(door, "START_S", 3600.0)
    async with world.control(), contextlib.AsyncExitStack() as stack:
        strangers = [await stack.enter_async_context(Socket(port_of(world))) for _ in range(20)]
        for each in strangers:
            await each.send(head("/status", "Content-Length: 1000"))
        async with world.client() as control:
            assert await control.lock() is None
        for each in strangers:
            assert await each.closed_or_answered()


async def test_who_reads_no_answer_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "MOST_CONNECTIONS", 5)

    class Role:
        metrics = Metrics()
        asked = 0

        def ready(self) -> tuple[bool, str]:
            return True, ""

        def status(self) -> dict[str, str]:
            self.asked += 1
            return {"large": "x" * 16 * MIB}

    role = Role()
    async with serve_http(role, host="127.0.0.1", port=0) as port, contextlib.AsyncExitStack() as stack:
        for number in range(5):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(head("/status", method="GET") * 2)
            await until(lambda wanted=2 * number + 2: role.asked == wanted, "its second answer being begun")
        async with Socket(port) as other:
            await other.send(head("/health/live", method="GET"))
            assert (await other.answer())[0] == 200


async def test_half_open_connections_are_closed_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "HEAD_S", 1.0)
    async with world.control(), contextlib.AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(Socket(port_of(world))) for _ in range(30)]
        for each in silent[::2]:
            await each.send(b"GET /health/live HTTP/1.1\r\n")
        for each in silent:
            assert await each.closed()


async def test_a_slow_head_is_closed_although_something_comes_again_and_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_guard, "HEAD_S", 1.0)
    async with world.control(), Socket(port_of(world)) as client:
        await client.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\n")
        limit = time.monotonic() + 60
        with pytest.raises(OSError):
            while time.monotonic() < limit:
                await client.send(b"X-Slow: 1\r\n")
                await asyncio.sleep(0.1)
        # A kept connection gets as long for its next head, and no longer.
    async with world.control(), Socket(port_of(world)) as client:
        await client.send(head("/health/live", method="GET"))
        assert (await client.answer())[0] == 200
        await client.send(b"GET /hea")
        assert await client.closed()


async def test_a_client_that_reads_no_answer_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "ANSWER_S", 1.0)

    class Role:
        metrics = Metrics()

        def ready(self) -> tuple[bool, str]:
            return True, ""

        def status(self) -> dict[str, str]:
            return {"large": "x" * 8 * MIB}

    async with serve_http(Role(), host="127.0.0.1", port=0) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setblocking(False)
            client.sendall(head("/status", method="GET"))
            loop = asyncio.get_running_loop()
            await until(lambda: not _server_end_open(port, client), "the connection being closed")
            async with asyncio.timeout(PATIENCE_S):
                async with Socket(port) as other:
                    await other.send(head("/health/live", method="GET"))
                    assert (await other.answer())[0] == 200
            assert loop.is_running()


def _server_end_open(port: int, client: socket.socket) -> bool:
    """Whether the server's end of a connection is still there."""
    mine = client.getsockname()[1]
    return any(
        each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port and each.raddr and each.raddr.port == mine
        for each in psutil.Process().net_connections("tcp")
    )


async def test_a_large_body_keeps_nobody_waiting(world: World) -> None:
    """It is split by a scanner and checked in a thread: other requests are answered meanwhile."""
    process = world.control_process()
    try:
        await world.until_leads()
        body = b'{"base_digest": "x", "changed": {"a": [' + b"1," * (30 * MIB - 100) + b"1]}}"
        asked = 0
        async with (
            httpx.AsyncClient(base_url=world.settings.control_url, timeout=60) as http,
            Socket(port_of(world)) as client,
        ):
            await client.send(head(PREFIX + "/deployments", token(), f"Content-Length: {len(body)}"))
            async with asyncio.TaskGroup() as group:
                sent = group.create_task(client.send(body))
                answered = group.create_task(client.answer(120))
                while not answered.done():
                    assert (await http.get("/health/live")).status_code == 200
                    asked += 1
            assert sent.done() and answered.result() == (422, "NX6405")
            assert asked > 3
    finally:
        process.kill()
        process.wait()


async def test_while_it_stops_every_request_is_answered_as_json(world: World) -> None:
    """A long poll that is waiting is answered, a new request refused, both with a code."""
    process = world.control_process()
    try:
        await world.until_leads()
        async with Socket(port_of(world)) as poll, Socket(port_of(world)) as slow:
            await slow.send(head(PREFIX + "/resources", token(), "Content-Length: 100"))
            await poll.send(head(PREFIX + "/state", token(), method="GET"))
            assert (await poll.answer())[0] == 200
            process.send_signal(signal.SIGTERM)
            assert await slow.answer() == (503, "NX6409")
        process.wait(timeout=60)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where control runs in this process, silence is shorter."""
    monkeypatch.setattr(door, "PAUSE_S", 2.0)
    yield
