"""What the HTTP guard adds to uvicorn's parser: heads in small parts, trailers, clients that never read a small answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from nexus_cli.runtime import http_guard
from nexus_cli.runtime.health import serve_http
from nexus_cli.runtime.metrics import Metrics
from tests.waiting import PATIENCE_S, until


class State:
    metrics = Metrics()


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body, then says which headers there are."""
    if scope["type"] == "http":
        request = Request(scope, receive)
        size = len(await request.body())
        names = ",".join(sorted(name.decode() for name, _ in scope["headers"]))
        await Response(f"{size} {names} " + "x" * 30_000 * (request.url.path == "/large"))(scope, receive, send)


@contextlib.asynccontextmanager
async def connected(app: ASGIApp = echo) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with serve_http(State(), host="127.0.0.1", port=0, app=app) as port:  # type: ignore[arg-type]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    async with asyncio.timeout(PATIENCE_S):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return int(head.split()[1]), await reader.readexactly(length)


async def test_a_trailer_is_no_header() -> None:
    async with connected() as (reader, writer):
        writer.write(
            b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nauthorization: me\r\n\r\n"
        )
        assert await answer(reader) == (200, b"2 host,transfer-encoding ")
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\naccept: y\r\n\r\n")
        assert await answer(reader) == (200, b"0 accept,host ")


@pytest.mark.parametrize(
    "part", [b"a: " + b"b" * 1000 + b"\r\n", b"b" * 1003, b"x:y\r\n" * 200], ids=["lines", "one line", "many lines"]
)
async def test_a_head_that_does_not_end_is_refused(part: bytes) -> None:
    async with connected() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nlong: ")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof() and sent < 4 * http_guard.LARGEST_HEAD and not reader._buffer:  # type: ignore[attr-defined]
                writer.write(part)
                await writer.drain()
                sent += len(part)
                await asyncio.sleep(0)
        assert (await answer(reader))[0] == 400
        assert sent <= 2 * http_guard.LARGEST_HEAD + 65_536


async def test_a_head_within_the_limit_is_read_however_it_comes() -> None:
    async with connected() as (reader, writer):
        for line in (b"GET / HTTP/1.1\r\n", b"host: x\r\n", *[b"a: " + b"b" * 1000 + b"\r\n"] * 30, b"\r\n"):
            writer.write(line)
            await writer.drain()
            await asyncio.sleep(0)
        assert (await answer(reader))[0] == 200


async def test_requests_one_behind_the_other_are_answered_in_their_order() -> None:
    async with connected() as (reader, writer):
        writer.write(
            b"".join(
                b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size for size in range(50)
            )
        )
        for size in range(50):
            assert (await answer(reader))[1].startswith(b"%d " % size)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nho st: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded: x\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nhost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_what_is_no_request_is_answered_with_400_and_closed(request_: bytes) -> None:
    async with connected() as (reader, writer):
        writer.write(request_)
        async with asyncio.timeout(PATIENCE_S):
            found = await reader.read()
        assert found.startswith(b"HTTP/1.1 400 ")


async def test_an_offer_of_http_2_is_answered_in_http_1() -> None:
    async with connected() as (reader, writer):
        writer.write(
            b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AA\r\n\r\n"
        )
        assert (await answer(reader))[0] == 200


async def test_a_client_that_reads_no_small_answer_is_closed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "ANSWER_S", 0.5)
    ended = asyncio.Event()
    lost = http_guard.GuardedProtocol.connection_lost

    def seen(self: http_guard.GuardedProtocol, error: Exception | None) -> None:
        lost(self, error)
        ended.set()

    monkeypatch.setattr(http_guard.GuardedProtocol, "connection_lost", seen)
    async with connected() as (_, writer):
        writer.transport.pause_reading()
        with contextlib.suppress(ConnectionError):
            for _ in range(2_000):
                writer.write(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        await until(ended.is_set, "the connection ends")


JAVA = b"connection: Upgrade, HTTP2-Settings\r\nhttp2-settings: AAEAAEAA\r\nupgrade: h2c\r\n"


@pytest.mark.parametrize("apart", [False, True], ids=["at once", "body later"])
async def test_an_offer_of_another_protocol_is_not_taken_and_loses_no_body(apart: bool) -> None:
    """As Java's HttpClient offers HTTP/2 with each first request."""
    async with connected() as (reader, writer):
        for body, length in (
            (b"abc", b"content-length: 3\r\n"),
            (b"3\r\nabc\r\n0\r\n\r\n", b"transfer-encoding: chunked\r\n"),
        ):
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\n" + JAVA + length + b"\r\n")
            if apart:
                await writer.drain()
                await asyncio.sleep(0.05)
            writer.write(body)
            name = length.partition(b":")[0]
            names = b",".join(sorted((b"connection", name, b"host", b"http2-settings")))
            assert await answer(reader) == (200, b"3 " + names + b" ")
        writer.write((b"GET / HTTP/1.1\r\nhost: x\r\n" + JAVA + b"\r\n") * 2 + b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        for names in (b"connection,host,http2-settings", b"connection,host,http2-settings", b"host"):
            assert await answer(reader) == (200, b"0 " + names + b" "), (
                "requests behind one with an offer are read, too"
            )


async def test_a_tunnel_is_refused() -> None:
    async with connected() as (reader, writer):
        writer.write(b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n")
        status, _ = await answer(reader)
        assert status in (200, 400, 404), "one answer, and no end of it"
