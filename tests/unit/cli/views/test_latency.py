"""The table of `nexus latency`."""

from __future__ import annotations

import pytest

from nexus_cli.cli.views.latency import render_latency, time_text
from nexus_cli.wire.latency_health import LatencyTable, LatencyWindow, OperationLatency, rows_of

READ = OperationLatency(
    minute=LatencyWindow(count=24_000, p50_ms=0.412, p95_ms=0.925, p99_ms=1.31, max_ms=1234.0), hour=LatencyWindow()
)


def test_a_process_and_an_operation_are_named_once() -> None:
    rows = rows_of("gateway", "gw-1", {"read": READ}) + rows_of("control", "control", {"api": OperationLatency()})
    text = render_latency(LatencyTable(rows=rows, missing=["web: does not answer"]), colour=False)
    assert text.splitlines() == [
        "process       operation  window   count     p50     p95      p99     max",
        "gateway gw-1  read       1m      24,000  412 µs  925 µs  1.31 ms  1.23 s",
        "                         1h           0       -       -        -       -",
        "control       api        1m           0       -       -        -       -",
        "                         1h           0       -       -        -       -",
        "web: does not answer",
    ]


def test_equal_operations_of_two_processes_are_both_named() -> None:
    rows = rows_of("gateway", "a", {"read": READ}) + rows_of("gateway", "b\x1b[2J", {"read": READ})
    lines = render_latency(LatencyTable(rows=rows), colour=False).splitlines()
    assert [line.split()[:3] for line in (lines[1], lines[3])] == [
        ["gateway", "a", "read"],
        ["gateway", "b\\x1b[2J", "read"],
    ]


def test_nothing_that_answers() -> None:
    text = render_latency(LatencyTable(missing=["control: does not run here"]), colour=False)
    assert text.splitlines() == ["nothing that answers has latencies", "control: does not run here"]


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0.00085, "0.85 µs"),
        (0.9991, "999 µs"),
        (0.9996, "1 ms"),
        (12.345, "12.3 ms"),
        (999.4, "999 ms"),
        (999.6, "1 s"),
        (61_240.0, "61.2 s"),
        (3_600_000.0, "3,600 s"),
    ],
)
def test_times_have_three_digits(ms: float, text: str) -> None:
    assert time_text(ms) == text
