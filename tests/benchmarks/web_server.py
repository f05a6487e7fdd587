"""The role web without a database, or a bare Starlette application, in a process of its own.

python -m tests.benchmarks.web_server KIND PORT RESOURCES [BROKER]: KIND is `web` or `bare`, RESOURCES a file of recorded resources
as JSON. Answers each line on its standard input with one line of JSON (`tests.benchmarks.web_process`).
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from pathlib import Path
from typing import Any, cast

import orjson
import psutil
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from nexus_cli.runtime import health
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.event_loop import loop_factory
from nexus_cli.runtime.http_guard import GuardedProtocol
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.identity.held import held_by_platform
from nexus_cli.runtime.web import web as role
from nexus_cli.runtime.web.known_callers import KnownCallers
from nexus_cli.runtime.web.routes.api import make_api
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.settings import EventLoop, Settings
from nexus_cli.wire.message import Message

BODY = (
    b'{"path":"a/l/d/t","value":20.5,"quality":"GOOD","reason":"","time":1767225600000000,"received":1767225600000000,'
    b'"unit":"bar","label":""}'
)
STEP_S = 0.01


class _Anybody:
    """A gate that knows everybody: what the database says of a caller is asked once in two seconds."""

    async def caller(self, authorization: str | None) -> Caller:
        return Caller("nexus.cli", held_by_platform("nexus.cli"))


class _Timed(GuardedProtocol):
    """Notes what a request costs: processor time of the loop from its last byte to its answer, on one connection.

    Asking for the time is a call of the kernel: it is asked only when wanted.
    """

    times: list[float] = []
    wanted = False

    def data_received(self, data: bytes) -> None:
        self._began = time.thread_time() if self.wanted else 0.0
        super().data_received(data)

    def on_response_complete(self) -> None:
        if self.wanted:
            self.times.append(time.thread_time() - self._began)
        super().on_response_complete()


class Server:
    """The process, and what it is asked."""

    def __init__(self, kind: str, resources: Path, broker: str) -> None:
        self.kind, self.rate, self.size = kind, 0, 0
        self.process = psutil.Process()
        empty_mb = self._rss_mb()
        settings = Settings(site="acme/chicago", broker_url=broker or "mqtt://127.0.0.1:1")
        self.web = role.Web(settings, pool=cast(Any, None), clock=SystemClock())
        parts = self.web.parts
        object.__setattr__(parts, "callers", KnownCallers(cast(Any, _Anybody()), clock=parts.clock))
        parts.keeper.view = SiteView.of(parts.topics, 1, orjson.loads(resources.read_bytes()), parts.cache)
        parts.keeper.problem = ""
        self.topics = [parts.topics.tag(tag.path) for tag in parts.keeper.view.tags]
        self.memory = {"empty": empty_mb, "site": self._rss_mb()}
        self.feed(len(self.topics))
        self.memory["kept"] = self._rss_mb()
        for slot in parts.keeper.view.slots.tolist():
            parts.cache.read(slot)
        self.memory["read"] = self._rss_mb()

    def _rss_mb(self) -> float:
        return self.process.memory_info().rss / 1e6

    def app(self) -> ASGIApp:
        if self.kind == "bare":

            async def read(_: Request) -> Response:
                return Response(BODY, media_type="application/json")

            async def many(request: Request) -> Response:
                await request.body()
                return Response(bytes(self.size), media_type="application/json")

            return Starlette(
                routes=[
                    Route("/v1/sites/{enterprise}/{site}/values/{path:path}", read),
                    Route("/i3x/v1/objects/value", many, methods=["POST"]),
                ]
            )
        return make_api(self.web.parts, health=[], sockets=self.web.sockets)

    def feed(self, count: int, first: int = 0) -> None:
        """New values of so many tags in turn."""
        now_ms, take = int(time.time() * 1000), self.web.parts.cache.take
        for at in range(first, first + count):
            value = b'{"value":%d.%d,"timestamp":%d,"quality":"GOOD","unit":"bar"}' % (
                at % 97,
                at % 101,
                now_ms,
            )
            take(Message(self.topics[at % len(self.topics)], value, 0, False))

    async def feeding(self) -> None:
        """At `rate` messages a second."""
        at, before = 0, time.monotonic()
        while True:
            await asyncio.sleep(STEP_S)
            now = time.monotonic()
            # What a busy machine held up is not made good at once: that would hold up the loop again.
            count, before = int(min(now - before, 5 * STEP_S) * self.rate), now
            self.feed(count, at)
            at += count

    def answer(self, line: str) -> dict[str, Any]:
        word, _, number = line.partition(" ")
        if word == "feed":
            self.rate = int(number)
        elif word == "size":
            self.size = int(number)
        elif word == "cost":
            began = time.process_time()
            self.feed(int(number))
            return {"us": (time.process_time() - began) / int(number) * 1e6}
        elif word == "time":
            _Timed.times.clear()
            _Timed.wanted = bool(int(number))
        times, cpu = sorted(_Timed.times), self.process.cpu_times()
        return {
            "cpu_s": cpu.user + cpu.system,
            "own_ms": [times[int(len(times) * part)] * 1e3 for part in (0.5, 0.99)] if times else [],
            "rss_mb": self._rss_mb(),
            "memory": self.memory,
            "turn": self.web.parts.cache.turn,
            "clients": len(self.web.sockets.clients),
        }

    async def run(self, port: int, broker: str) -> None:
        health.limited = lambda most: type("Limited", (_Timed,), {"most": most})
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        lines: asyncio.Queue[str] = asyncio.Queue()

        def listen() -> None:
            for line in sys.stdin:
                loop.call_soon_threadsafe(lines.put_nowait, line.strip())
            loop.call_soon_threadsafe(lines.put_nowait, "")

        serving = health.serve_http(
            self.web,
            host="127.0.0.1",
            port=port,
            app=self.app(),
            settings=self.web.parts.settings,
            connections=role.MOST_CONNECTIONS,
        )
        threading.Thread(target=listen, daemon=True).start()
        async with serving, asyncio.TaskGroup() as group:
            group.create_task(self.web.sockets.run(stop))
            feeding = group.create_task(self.feeding())
            if broker:
                filters = [(f"{self.web.parts.topics.live}/#", 0)]
                taking = self.web.parts.client.run(stop, subscriptions=filters, on_message=self.web.parts.cache.take)
                group.create_task(taking)
            print("{}", flush=True)
            while line := await lines.get():
                print(orjson.dumps(self.answer(line)).decode(), flush=True)
            stop.set()
            feeding.cancel()


if __name__ == "__main__":
    kind, port, resources, *broker = sys.argv[1:]
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=loop_factory(EventLoop.AUTO)) as runner:
        runner.run(Server(kind, Path(resources), "".join(broker)).run(int(port), "".join(broker)))
