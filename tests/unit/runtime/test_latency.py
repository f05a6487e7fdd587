"""The latencies of a role: in its health, for Prometheus, and without a value before the first."""

from __future__ import annotations

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from nexus_cli.runtime.latency import EDGES_S, Latencies
from nexus_cli.runtime.metrics import Metrics
from nexus_cli.wire.gateway_health import GatewayHealth, decode_gateway
from nexus_cli.wire.health import OperatingHealth, decode_status, encode
from nexus_cli.wire.latency_health import LatencyWindow, OperationLatency, rows_of
from tests.clock import FakeClock


def scraped(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Every sample: its name and the values of its labels."""
    families = text_string_to_metric_families(metrics.render().decode())
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_prometheus_gets_a_histogram_since_the_start_and_both_windows() -> None:
    clock, metrics = FakeClock(), Metrics()
    latencies = Latencies(("read", "poll"), clock=clock, metrics=metrics)
    for time_s in (0.00005, 0.0001, 0.004, 70.0):
        latencies["read"].add(-time_s, 0.0)
    clock.advance(120.0)
    found = scraped(metrics)
    buckets = {key[1:]: value for key, value in found.items() if key[0] == "nexus_operation_seconds_bucket"}
    assert len(buckets) == 2 * (len(EDGES_S) + 1), "no more series than this, however many devices there are"
    assert [buckets[edge, "read"] for edge in ("0.0001", "0.0025", "0.005", "50", "+Inf")] == [2, 2, 3, 3, 4]
    assert found["nexus_operation_seconds_count", "read"] == 4
    assert found["nexus_operation_seconds_sum", "read"] == pytest.approx(70.00415)
    assert found["nexus_operation_window_seconds", "read", "0.5", "1m"] == 0, "over, after two minutes"
    assert found["nexus_operation_window_seconds", "read", "1", "1h"] == pytest.approx(70.0)
    assert 0.0001 <= found["nexus_operation_window_seconds", "read", "0.5", "1h"] <= 0.0001 * (1 + 1 / 32)
    assert found["nexus_operation_seconds_count", "poll"] == 0
    assert buckets["+Inf", "poll"] == 0


def test_health_carries_percentiles_and_nothing_that_grows() -> None:
    clock = FakeClock()
    latencies = Latencies(("read", "poll", "publish", "live", "write"), clock=clock)
    empty = len(encode(GatewayHealth(latencies=latencies.health())))
    for number in range(10_000):
        latencies["read"].add(-0.001 * (1 + number % 100), 0.0)
    payload = encode(GatewayHealth(latencies=latencies.health()))
    assert len(payload) < empty + 100
    found = decode_gateway(payload).latencies
    assert list(found) == ["read", "poll", "publish", "live", "write"]
    assert found["read"].minute.count == 10_000 and found["read"].minute.max_ms == 100.0
    assert found["poll"] == OperationLatency()
    assert decode_status(payload, OperatingHealth).latencies == found
    assert decode_status(b'{"role": "gateway", "latencies": {"read": 5}}', OperatingHealth).latencies == {}


def test_rows_say_whose_and_over_what() -> None:
    hour = LatencyWindow(count=5, p50_ms=1.0, p95_ms=2.0, p99_ms=3.0, max_ms=4.0)
    rows = rows_of("gateway", "gw-1", {"read": OperationLatency(hour=hour)}, time_us=7)
    assert [(row.role, row.name, row.operation, row.window, row.time) for row in rows] == [
        ("gateway", "gw-1", "read", "1m", 7),
        ("gateway", "gw-1", "read", "1h", 7),
    ]
    assert [row.count for row in rows] == [0, 5]
    assert {key: getattr(rows[1], key) for key in msgspec.structs.asdict(hour)} == msgspec.structs.asdict(hour)
