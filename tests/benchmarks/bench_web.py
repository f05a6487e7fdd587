"""The role web with the 41,000 tags of sites/plant-1000: reads over HTTP beside a bare Starlette handler on the same server,
1,000 WebSocket clients, memory, and what a message of the live view costs it. Run: python -m tests.benchmarks web
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson

from nexus_cli.project.text import load
from nexus_cli.wire.topic import Topics
from tests.benchmarks.figures import Figure
from tests.benchmarks.tally import connect_packet, packet, text
from tests.benchmarks.web_process import WebProcess, web_process
from tests.servers import new_broker

SITE = Path(__file__).parents[2] / "sites" / "plant-1000"
SECONDS = 6.0
CONNECTIONS = 8
CLIENTS = 1_000
MOVING = 41_000
BULK = 1_000


def site_files(folder: Path) -> tuple[Path, Path]:
    """Files with the recorded resources of the plant, and with the paths of its tags."""
    loaded = load(SITE).value
    if loaded is None:
        raise RuntimeError("the site of the benchmark has errors")
    resources, paths = folder / "resources.json", folder / "paths.txt"
    resources.write_bytes(orjson.dumps(dict(loaded.snapshot.resources)))
    found = [f"{path}/{name}" for path, device in loaded.snapshot.of_kind("device") for name in device["tags"]]
    paths.write_text("\n".join(found), encoding="utf-8")
    return resources, paths


def _reads(web: WebProcess, bare: WebProcess) -> list[Figure]:
    alone, _ = web.clients("read", 1, SECONDS)
    own = web.ask("stats")["own_ms"]
    bare_alone, _ = bare.clients("read", 1, SECONDS)
    bare_own = bare.ask("stats")["own_ms"]
    many, used = web.clients("read", CONNECTIONS, SECONDS)
    bare_many, bare_used = bare.clients("read", CONNECTIONS, SECONDS)
    name = f"{CONNECTIONS} connections"
    return [
        Figure(
            name="one value, the server's own time p99",
            value=own[1],
            unit="ms",
            limit=bare_own[1],
            limit_name="bare Starlette",
            at_most=1.0,
            note=f"processor time, p50 {own[0]:.3f} ms; round trip p50 {alone['p50_ms']:.3f} ms, "
            f"bare {bare_alone['p50_ms']:.3f} ms",
        ),
        Figure(
            name=f"one value, reads a second of a core, {name}",
            value=many["count"] / used,
            unit="/s",
            limit=bare_many["count"] / bare_used,
            limit_name="bare Starlette",
            at_least=10_000,
            note=f"on this machine's clock {many['rate']:,.0f}/s, bare {bare_many['rate']:,.0f}/s",
        ),
    ]


def _bulk(web: WebProcess) -> list[Figure]:
    found, used = web.clients("bulk", 1, SECONDS)
    return [
        Figure(
            name=f"{BULK:,} values in one request, processor time",
            value=used / found["count"] * 1000,
            unit="ms",
            at_most=20.0,
            note=f"round trip p50 {found['p50_ms']:.1f} ms, p95 {found['p95_ms']:.1f} ms",
        ),
        Figure(
            name=f"values a second of a core, {BULK:,} in one request",
            value=found["count"] * BULK / used,
            unit="/s",
            at_least=10_000,
        ),
    ]


def _sockets(web: WebProcess) -> list[Figure]:
    web.ask(f"feed {MOVING}")
    time.sleep(1.0)
    before = web.ask("stats")
    time.sleep(SECONDS)
    feeding = (web.ask("stats")["cpu_s"] - before["cpu_s"]) / SECONDS
    rss = before["rss_mb"]
    found, used = web.clients("watch", CLIENTS, SECONDS)
    more = web.ask("stats")["rss_mb"] - rss
    web.ask("feed 0")
    cost = (used / SECONDS - feeding) / found["messages_s"]
    return [
        Figure(
            name=f"{CLIENTS:,} WebSockets, 20 tags each at 1 s, {MOVING:,} moving: share of a core",
            value=cost * CLIENTS * 100,
            unit="%",
            at_most=100,
            note=f"{cost * 1e6:.0f} µs a message; {found['messages_s']:,.0f} messages/s and {found['rows_s']:,.0f} values/s came, "
            f"the slowest client {found['least_s']:.2f}/s; feeding the cache {feeding * 100:.0f} % beside it",
        ),
        Figure(name="memory of a WebSocket client", value=more * 1000 / CLIENTS, unit="kB"),
    ]


def _memory(web: WebProcess) -> list[Figure]:
    memory = web.ask("stats")["memory"]
    return [
        Figure(
            name="newest value of 41,000 tags, beside the process and the site",
            value=memory["read"] - memory["site"],
            unit="MB",
            at_most=100,
            note=f"{memory['kept'] - memory['site']:.0f} MB before the values are read",
        ),
        Figure(
            name="the whole process with the site and every value",
            value=memory["read"],
            unit="MB",
            note=f"its libraries {memory['empty']:.0f} MB, the site {memory['site'] - memory['empty']:.0f} MB",
        ),
    ]


def _ingest(resources: Path, paths: Path) -> list[Figure]:
    """Through a broker, from another process, at the rate of the plant."""
    with tempfile.TemporaryDirectory() as folder:
        broker = new_broker(Path(folder)).start()
        try:
            with web_process("web", resources, paths, broker=broker.url) as web:
                alone = web.ask(f"cost {10 * MOVING}")["us"]
                time.sleep(2.0)
                command = [
                    sys.executable,
                    "-m",
                    "tests.benchmarks.bench_web",
                    str(broker.port),
                    str(paths),
                    str(SECONDS + 4),
                ]
                with subprocess.Popen(command):
                    time.sleep(3.0)
                    before = web.ask("stats")
                    time.sleep(SECONDS)
                    after = web.ask("stats")
        finally:
            broker.kill()
    count = after["turn"] - before["turn"]
    return [
        Figure(
            name=f"a message of the live view at {MOVING:,}/s, from the socket to the cache",
            value=(after["cpu_s"] - before["cpu_s"]) / max(1, count) * 1e6,
            unit="µs",
            at_most=12.0,
            note=f"{count / SECONDS:,.0f}/s came; the cache alone {alone:.2f} µs with making the message",
        )
    ]


def feed(port: int, paths: Path, seconds: float) -> None:
    """Publish QoS 0 messages at the rate of the plant."""
    topics = [text(Topics("acme", "chicago").tag(path)) for path in paths.read_text(encoding="utf-8").split()]
    ready = [packet(0x30, each + b'{"value":20.5,"timestamp":1767225600000,"quality":"GOOD"}') for each in topics]
    chunks = [b"".join(ready[at : at + 100]) for at in range(0, len(ready), 100)]
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(connect_packet("bench-feeder"))
        sock.recv(4)
        began, sent = time.monotonic(), 0
        while (passed := time.monotonic() - began) < seconds:
            while sent < passed * MOVING / 100:
                sock.sendall(chunks[sent % len(chunks)])
                sent += 1
            time.sleep(0.005)


def run() -> list[Figure]:
    """For `python -m tests.benchmarks`."""
    with tempfile.TemporaryDirectory() as folder:
        resources, paths = site_files(Path(folder))
        with web_process("web", resources, paths) as web, web_process("bare", resources, paths) as bare:
            figures = _memory(web) + _reads(web, bare)
        with web_process("web", resources, paths) as web:
            figures += _bulk(web) + _sockets(web)
        return figures + _ingest(resources, paths)


if __name__ == "__main__":
    feed(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
