"""The crowd of a plant, in a process of its own: python -m tests.benchmarks.crowd_clients PORT SITE CLIENTS PAGES PATHS < TOKEN.

CLIENTS WebSockets watch 20 tags at 1 s; PAGES ask for what a page with an open tree asks for: rows in view at 250 ms, counts of the
branches at 1 s, and the events of its views. PATHS is a file with one path a line, the token the first line of the standard input.
Prints `{}` once each client has had a value, and at each further line what came since the line before.
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
from tests.benchmarks.web_clients import EACH, OPEN_AT_ONCE, Watcher

IN_VIEW = 60
"""Rows of a large window."""


class Client(Watcher):
    """Asks for several things."""

    def __init__(self, upgrade: bytes, asks: list[dict[str, Any]]) -> None:
        super().__init__([])
        self.upgrade, self.asks = upgrade, asks

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.upgrade)

    def connection_lost(self, exc: Exception | None) -> None:
        raise SystemExit(f"web closed the connection of a client: {exc}")


def watch(id_: int, paths: list[str], every_ms: int) -> dict[str, Any]:
    return {"op": "watch", "id": id_, "paths": paths, "every_ms": every_ms}


def page(paths: list[str], number: int) -> list[dict[str, Any]]:
    """What an open page asks for."""
    first = number * 997 % max(1, len(paths) - IN_VIEW)
    branches = sorted(
        {"", *(path.rsplit("/", depth)[0] for path in paths[first : first + IN_VIEW] for depth in (1, 2, 3))}
    )
    kinds = ["alert", "device", "link", "sequence", "deployment"]
    return [
        watch(1, paths[first : first + IN_VIEW], 250),
        {"op": "counts", "id": 2, "paths": branches, "every_ms": 1000},
        {"op": "events", "id": 3, "kinds": kinds},
    ]


async def run(port: int, site: str, clients: int, pages: int, paths: list[str], token: str) -> None:
    loop = asyncio.get_running_loop()
    upgrade = (
        f"GET /v1/sites/{site}/ws HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nupgrade: websocket\r\n"
        "connection: Upgrade\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
    ).encode()
    asks = [
        *(page(paths, number) for number in range(pages)),
        *([watch(1, [paths[(each * EACH + at) % len(paths)] for at in range(EACH)], 1000)] for each in range(clients)),
    ]
    opened: list[Client] = []
    for first in range(0, len(asks), OPEN_AT_ONCE):
        some = [Client(upgrade, mine) for mine in asks[first : first + OPEN_AT_ONCE]]
        for each in some:
            await loop.create_connection(lambda each=each: each, "127.0.0.1", port)
        opened += some
        await asyncio.sleep(0.2)
    while not all(each.messages for each in opened):
        await asyncio.sleep(0.1)
    print("{}", flush=True)
    before, began = [(each.messages, each.rows) for each in opened], time.monotonic()
    while await asyncio.to_thread(sys.stdin.readline):
        now, passed = [(each.messages, each.rows) for each in opened], time.monotonic() - began
        came = [after[0] - was[0] for was, after in zip(before, now, strict=True)]
        rows = sum(after[1] - was[1] for was, after in zip(before, now, strict=True))
        found = {
            "page_s": sum(came[:pages]) / max(1, pages) / passed,
            "client_s": sum(came[pages:]) / max(1, clients) / passed,
            "least_s": min(came[pages:], default=0) / passed,
            "rows_s": rows / passed,
            "cpu_s": time.process_time(),
        }
        print(orjson.dumps(found).decode(), flush=True)
        before, began = now, time.monotonic()


def main() -> None:
    port, site, clients, pages, file = sys.argv[1:]
    paths, token = Path(file).read_text(encoding="utf-8").split(), sys.stdin.readline().strip()
    with asyncio.Runner(loop_factory=loop_factory(EventLoop.AUTO)) as runner:
        runner.run(run(int(port), site, int(clients), int(pages), paths, token))


if __name__ == "__main__":
    main()
