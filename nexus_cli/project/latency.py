"""The verb of `nexus latency`: how long the operations of this folder's runtime take."""

from __future__ import annotations

import asyncio

from nexus_cli.local.latencies import ask_latencies
from nexus_cli.local.layout import home_of
from nexus_cli.settings import load_settings
from nexus_cli.wire.latency_health import LatencyTable


def latency(*, role: str = "") -> LatencyTable:
    """Count, percentiles and maximum of every operation, of all roles or of one kind."""
    return asyncio.run(ask_latencies(home_of(load_settings()), role=role))
