"""Latencies over HTTP: every process that runs, and who is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.settings import Settings
from nexus_cli.wire.gateway_health import GatewayHealth
from nexus_cli.wire.health import ControlHealth, Health, HistorianHealth, LastWill, encode
from nexus_cli.wire.latency_health import LatencyWindow, OperationLatency
from nexus_cli.wire.message import Message
from tests.integration.web_world import TOPICS, WebWorld, served_web, web_world
from tests.servers import new_broker
from tests.waiting import until_found

pytestmark = [pytest.mark.needs_database]


def took(count: int) -> OperationLatency:
    """So many in the last minute."""
    window = LatencyWindow(count=count, p50_ms=1.0, p95_ms=2.0, p99_ms=3.0, max_ms=4.0)
    return OperationLatency(minute=window, hour=window)


def says(web: WebWorld, role: str, name: str, health: Health | bytes) -> None:
    """A health message, as if the broker had sent it."""
    payload = health if isinstance(health, bytes) else encode(health)
    web.web.parts.cache.take(Message(TOPICS.health(role, name), payload, 1, True))


async def test_rows_of_every_process_by_role_operation_and_window(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path) as web:
        says(web, "control", "control", ControlHealth(state="running", time=7, latencies={"api": took(1)}))
        says(web, "gateway", "gw-2", GatewayHealth(state="running", latencies={"read": took(2), "poll": took(3)}))
        says(web, "gateway", "gw-1", GatewayHealth(state="running", latencies={"read": took(4)}))
        says(web, "historian", "historian", HistorianHealth(state="running", latencies={"commit": took(5)}))
        found = (await web.ask("GET", "/latencies", user="nina")).json()
        assert [(row["role"], row["name"], row["operation"], row["window"], row["count"]) for row in found["rows"]] == [
            ("control", "control", "api", "1m", 1),
            ("control", "control", "api", "1h", 1),
            ("gateway", "gw-1", "read", "1m", 4),
            ("gateway", "gw-1", "read", "1h", 4),
            ("gateway", "gw-2", "read", "1m", 2),
            ("gateway", "gw-2", "read", "1h", 2),
            ("gateway", "gw-2", "poll", "1m", 3),
            ("gateway", "gw-2", "poll", "1h", 3),
            ("historian", "historian", "commit", "1m", 5),
            ("historian", "historian", "commit", "1h", 5),
        ]
        assert found["rows"][0] == {
            "role": "control", "name": "control", "operation": "api", "window": "1m", "time": 7,
            "count": 1, "p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0, "max_ms": 4.0,
        }  # fmt: skip
        assert found["missing"] == ["broker: away, these are the last words of each process"]
        some = (await web.ask("GET", "/latencies?role=gateway&operation=read&window=1h", user="nina")).json()
        assert [(row["name"], row["window"]) for row in some["rows"]] == [("gw-1", "1h"), ("gw-2", "1h")]
        assert (await web.ask("GET", "/latencies?role=nobody", user="nina")).json()["rows"] == []
        assert (await web.ask("GET", "/latencies?window=2m", user="nina")).status_code == 422
        assert (await web.ask("GET", "/latencies")).status_code == 401


async def test_who_does_not_run_is_missing(database: Settings, tmp_path: Path) -> None:
    async with web_world(database, tmp_path) as web:
        says(web, "gateway", "gw-1", GatewayHealth(state="running", latencies={"read": took(4)}))
        assert (await web.ask("GET", "/latencies", user="nina")).json()["rows"]
        says(web, "gateway", "gw-1", LastWill(state="lost"))
        says(web, "gateway", "gw-2", b"[1, 2")
        says(web, "gateway", "gw-3", b"")
        says(web, "historian", "historian", HistorianHealth(state="stopping", latencies={"commit": took(5)}))
        says(web, "web", "web-of-yesterday", LastWill(state="lost"))
        found = (await web.ask("GET", "/latencies", user="nina")).json()
        assert found["rows"] == []
        assert found["missing"][1:] == [
            "gateway gw-1: lost",
            "gateway gw-2: its health can not be read",
            "historian historian: stopping",
        ]


@pytest.mark.needs_broker
async def test_web_measures_its_own_requests(database: Settings, tmp_path: Path) -> None:
    (folder := tmp_path / "broker").mkdir()
    broker = new_broker(folder).start()
    try:
        async with served_web(database, tmp_path, broker_url=broker.url) as web:
            for _ in range(5):
                await web.ask("GET", "/values/a/l/one/energy", user="vera")
            await web.http.get("/status")
            own = (await web.http.get("/status")).json()["latencies"]["api"]["minute"]
            assert own["count"] == 5 and 0 < own["p50_ms"] <= own["max_ms"]
            text = (await web.http.get("/metrics")).text
            assert 'nexus_operation_seconds_count{operation="api"} 5.0' in text
            web.web._health.changed()

            async def shown() -> bool:
                found = (await web.ask("GET", "/latencies", user="vera")).json()
                return not found["missing"] and any(row["role"] == "web" and row["count"] for row in found["rows"])

            await until_found(shown)
    finally:
        broker.stop()
