"""Latencies of the parts that a test builds itself."""

from __future__ import annotations

from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.gateway import OPERATIONS
from nexus_cli.runtime.latency import Latencies


def latencies(clock: Clock) -> Latencies:
    """Those of a gateway, on the clock of the test."""
    return Latencies(OPERATIONS, clock=clock)
