"""The verb of `nexus latency`: how long the operations of this folder's runtime take."""

from __future__ import annotations

import asyncio

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.latencies import ask_latencies
from nexus_cli.local.layout import home_of
from nexus_cli.settings import load_settings
from nexus_cli.wire.latency_health import LatencyTable


def latency(*, role: str = "") -> LatencyTable:
    """Count, percentiles and maximum of every operation, of all roles or of one kind.

    Raises:
        NexusError: NX6400, nothing was started for this folder.
    """
    home = home_of(load_settings())
    if not home.read_runtime().site:
        raise NexusError(
            "No runtime is configured here.", code="NX6400", hint="`nexus up SITE` starts one on this machine"
        )
    return asyncio.run(ask_latencies(home, role=role))
