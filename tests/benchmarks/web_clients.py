"""Clients of web for its benchmark, in a process of its own: python -m tests.benchmarks.web_clients PORT KIND COUNT SECONDS PATHS.

KIND `read` asks for one value after the other on COUNT connections, `bulk` for 1,000 at once, `i3x`
the same of i3X, `watch` opens COUNT WebSockets, each
with a watch of 20 tags at 1 s. PATHS is a file with one path a line. Prints what it counted as JSON.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import orjson

from nexus_cli.runtime.event_loop import loop_factory
from nexus_cli.settings import EventLoop

HEAD = b"host: x\r\nauthorization: Bearer a-token-as-long-as-a-real-one-would-be-0123456789\r\n"
BASE = b"/v1/sites/acme/chicago"
UPGRADE = (
    b"GET " + BASE + b"/ws HTTP/1.1\r\n" + HEAD + b"upgrade: websocket\r\nconnection: Upgrade\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
)
EACH = 20
BULK = 1_000
OPEN_AT_ONCE = 50


class Reader(asyncio.Protocol):
    """Asks again as soon as it is answered."""

    def __init__(self, requests: list[bytes]) -> None:
        self.requests, self.buffer = requests, b""
        self.times: list[float] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.began = time.perf_counter()
        self.transport.write(self.requests[len(self.times) % len(self.requests)])

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(self.buffer[:400])
        self.buffer = b""
        self.times.append(time.perf_counter() - self.began)
        self.ask()


class Watcher(asyncio.Protocol):
    """Counts messages and rows; the text is not parsed, or this side would be the bottleneck."""

    def __init__(self, paths: list[str]) -> None:
        self.asks: list[dict[str, Any]] = [{"op": "watch", "id": 1, "paths": paths, "every_ms": 1000}]
        self.messages = self.rows = self.bytes = 0
        self.open = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(UPGRADE)

    def data_received(self, data: bytes) -> None:
        if not self.open:
            if not data.startswith(b"HTTP/1.1 101"):
                raise RuntimeError(data[:400])
            self.open = True
            for ask in map(orjson.dumps, self.asks):
                # A client's frame is masked; the mask may be zeros.
                size = bytes((0x80 | len(ask),)) if len(ask) < 126 else b"\xfe" + len(ask).to_bytes(2, "big")
                self.transport.write(b"\x81" + size + bytes(4) + ask)
        if b"\x89\x04" in data:  # a ping of uvicorn has four bytes, which the pong repeats
            at = data.index(b"\x89\x04") + 2
            self.transport.write(b"\x8a\x84" + bytes(4) + data[at : at + 4])
        self.messages += data.count(b'"op":"values"')
        self.rows += data.count(b'"GOOD"')
        self.bytes += len(data)


async def read(port: int, requests: list[bytes], count: int, seconds: float) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    readers = [(await loop.create_connection(lambda: Reader(requests), "127.0.0.1", port))[1] for _ in range(count)]
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    passed = time.perf_counter() - began
    times = sorted(each for reader in readers for each in reader.times)
    return {
        "rate": len(times) / passed,
        "count": len(times),
        "p50_ms": times[len(times) // 2] * 1e3,
        "p95_ms": times[int(len(times) * 0.95)] * 1e3,
        "p99_ms": times[int(len(times) * 0.99)] * 1e3,
    }


async def watch(port: int, paths: list[str], count: int, seconds: float) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    watchers: list[Watcher] = []
    for first in range(0, count, OPEN_AT_ONCE):
        for number in range(first, min(count, first + OPEN_AT_ONCE)):
            mine = [paths[(number * EACH + at) % len(paths)] for at in range(EACH)]
            watchers.append((await loop.create_connection(lambda mine=mine: Watcher(mine), "127.0.0.1", port))[1])
        await asyncio.sleep(0.1)
    while not all(each.messages for each in watchers):
        await asyncio.sleep(0.1)
    print("{}", flush=True)  # the server's clock is read now
    before = [(each.messages, each.rows) for each in watchers]
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    passed = time.perf_counter() - began
    messages = sorted(each.messages - was[0] for each, was in zip(watchers, before, strict=True))
    rows = sum(each.rows - was[1] for each, was in zip(watchers, before, strict=True))
    return {"messages_s": sum(messages) / passed, "least_s": messages[0] / passed, "rows_s": rows / passed}


def main() -> None:
    port, kind, count, seconds, file = sys.argv[1:]
    paths = Path(file).read_text(encoding="utf-8").split()
    if kind == "watch":
        work = watch(int(port), paths, int(count), float(seconds))
    elif kind == "read":
        asks = [
            b"GET " + BASE + b"/values/" + path.encode() + b" HTTP/1.1\r\n" + HEAD + b"\r\n" for path in paths[::41]
        ]
        work = read(int(port), asks, int(count), float(seconds))
    else:
        target, key = (b"/i3x/v1/objects/value", "elementIds") if kind == "i3x" else (BASE + b"/values", "paths")
        asks = []
        for first in range(0, len(paths) - BULK, BULK):
            body = orjson.dumps({key: paths[first : first + BULK]})
            head = b"POST " + target + b" HTTP/1.1\r\n" + HEAD + b"content-type: application/json\r\n"
            asks.append(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        work = read(int(port), asks, int(count), float(seconds))
    with asyncio.Runner(loop_factory=loop_factory(EventLoop.AUTO)) as runner:
        print(orjson.dumps(runner.run(work)).decode(), flush=True)


if __name__ == "__main__":
    main()
