"""What counts as the time of a request: from its head to the beginning of its answer, of requests that ask for something."""

from __future__ import annotations

from typing import Any, cast

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.api.decisions import Decisions, open_route, route
from nexus_cli.runtime.api.request_guard import RequestGuard
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.latency import Latency
from tests.clock import FakeClock


class Server:
    """A guarded application whose work and answer take time of the test's clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.latency = Latency(self.clock)
        self.guard = RequestGuard(
            self._work,
            site="acme/chicago",
            decisions=Decisions(
                [
                    open_route("GET", "/status", base=""),
                    open_route("GET", "/open", base=""),
                    route("GET", "/closed", "values:read", base=""),
                    open_route("POST", "/body", limit=100, base=""),
                ]
            ),
            gate=self,
            refusals=cast("Any", self),
            stopping=lambda: False,
            latency=self.latency,
        )

    async def caller(self, authorization: str | None) -> Caller:
        """Nobody is known, after a moment."""
        self.clock.advance(0.004)
        raise NexusError("no", code="NX6401")

    def note(self, *_: object, **__: object) -> None:
        """Refusals are not looked at."""

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.clock.advance(0.05)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):  # an answer that is read slowly, or a stream
            self.clock.advance(7.0)
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def ask(self, method: str, path: str, **keys: Any) -> int:
        """The status of an answer."""
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=self.guard), base_url="http://web") as http:
            return (await http.request(method, path, **keys)).status_code

    def found(self) -> tuple[int, float]:
        """How many requests of the last hour were measured, and the longest in ms."""
        hour = self.latency.read().hour
        return hour.count, hour.max_ms


@pytest.mark.parametrize(
    ("method", "path", "status", "count", "longest_ms"),
    [
        ("GET", "/open", 200, 1, 50.0),
        ("POST", "/body", 200, 1, 50.0),
        ("GET", "/open?waiting=1", 200, 1, 50.0),
        ("GET", "/closed", 401, 1, 4.0),
        ("GET", "/nothing", 401, 1, 4.0),
        ("GET", "/status", 200, 0, 0.0),
        ("GET", "/open?wait=25", 200, 0, 0.0),
        ("GET", "/open?after=1&wait=25", 200, 0, 0.0),
    ],
)
async def test_a_request_is_measured_until_its_answer_begins(
    method: str, path: str, status: int, count: int, longest_ms: float
) -> None:
    server = Server()
    assert await server.ask(method, path) == status
    assert server.found() == (count, pytest.approx(longest_ms))


async def test_a_body_that_is_too_large_is_an_answer_too() -> None:
    server = Server()
    assert await server.ask("POST", "/body", content=b"x" * 200) == 413
    assert server.found()[0] == 1
