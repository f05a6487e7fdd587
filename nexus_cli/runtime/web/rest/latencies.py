"""Latencies of every process of the site, as each says in its health."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import FastAPI, Query, Response

from nexus_cli.runtime.api.bodies import answer
from nexus_cli.runtime.api.decisions import route
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.rest.asking import described
from nexus_cli.wire.control import NO_NUL
from nexus_cli.wire.health import OperatingHealth, decode_status
from nexus_cli.wire.latency_health import HOUR, MINUTE, LatencyRow, LatencyTable, rows_of

ROUTES = (route("GET", "/latencies", "values:read"),)
PASSING = "web"
"""Of this role any number comes and goes; one that ended is not missing."""
Word = Annotated[str, Query(max_length=100, pattern=NO_NUL)]


class HealthTopics:
    """The health messages in the cache. Topics keep their slots, so only those that are new since the last look are looked at."""

    def __init__(self, cache: LiveCache, *, prefix: str) -> None:
        """`prefix` is that of every health topic, with its last `/`."""
        self._cache, self._prefix = cache, prefix
        self._slots: dict[tuple[str, str], int] = {}
        self._seen = 0

    def payloads(self) -> list[tuple[str, str, bytes]]:
        """Role, name and newest message of each process, sorted; without those whose topic was cleared."""
        topics, first = self._cache.topics(), self._seen
        self._seen = len(topics)
        for slot in range(first, self._seen):
            if topics[slot].startswith(self._prefix):
                role, _, name = topics[slot][len(self._prefix) :].partition("/")
                self._slots[role, name] = slot
        found = ((role, name, self._cache.payload(slot)) for (role, name), slot in sorted(self._slots.items()))
        return [(role, name, payload) for role, name, payload in found if payload is not None]


def add_latency_routes(app: FastAPI, *, base: str, parts: WebParts) -> None:
    """Add it."""
    health = HealthTopics(parts.cache, prefix=f"{parts.topics.platform}/health/")

    @app.get(base + "/latencies", responses=described(LatencyTable))
    async def latencies(
        role: Word = "",
        operation: Word = "",
        window: Annotated[str, Query(pattern=f"^({MINUTE}|{HOUR})?$")] = "",
    ) -> Response:
        """How long operations of each process took, as it said at `time`; some of them by role, operation or window. As
        `nexus latency`."""
        table = table_of(health.payloads(), broker_away=not parts.client.connected)
        wanted = {"role": role, "operation": operation, "window": window}
        rows = [row for row in table.rows if all(not word or getattr(row, key) == word for key, word in wanted.items())]
        return answer(msgspec.structs.replace(table, rows=rows))


def table_of(payloads: list[tuple[str, str, bytes]], *, broker_away: bool) -> LatencyTable:
    """The rows of processes that run, from their health messages."""
    rows: list[LatencyRow] = []
    missing = ["broker: away, these are the last words of each process"] if broker_away else []
    for role, name, payload in payloads:
        said = decode_status(payload, OperatingHealth)
        if said.state == "running":
            rows += rows_of(role, name, said.latencies, time_us=said.time or 0)
        elif role != PASSING:
            missing.append(f"{role} {name}: {said.state or 'its health can not be read'}")
    return LatencyTable(rows=rows, missing=missing)
