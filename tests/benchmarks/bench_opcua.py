"""OPC UA: `session.read` and our subscription against bare asyncua doing the same, client CPU on one core.

The server is a process of its own; figures are per second of the client's CPU time.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from asyncua import Client, ua

from nexus_cli.drivers.base import Notification, points_of
from nexus_cli.drivers.opcua.driver import DRIVER
from nexus_cli.drivers.opcua.groups import node_of
from nexus_cli.drivers.opcua.nodes import node_id, read_value_id
from nexus_cli.drivers.opcua.simulator import serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.benchmarks.figures import Figure, machine

READ_NODES = 200
ITEMS = 500
PERIOD_MS = 100
URI = "urn:bench"


def device(port: int = 0) -> DeviceConfig:
    """200 constants to read and 500 signals to report at 10 Hz."""
    tags = {
        f"r{at:03}": TagConfig(
            type="float64", address=f"nsu={URI};s=R{at}", simulate={"signal": "constant", "value": at + 0.5}
        )
        for at in range(READ_NODES)
    }
    tags |= {
        f"s{at:03}": TagConfig(
            type="float64",
            address=f"nsu={URI};s=S{at}",
            poll_ms=PERIOD_MS,
            simulate={"signal": "ramp", "low": 0.0, "high": 1e6, "period": 3_600_000},
        )
        for at in range(ITEMS)
    }
    connection = {"endpoint": f"opc.tcp://127.0.0.1:{port}", "max_read": READ_NODES, "max_subscribe": ITEMS}
    return DeviceConfig(path="a/l/d", protocol="opcua", connection=connection, tags=tags)


def server(pipe: Connection) -> None:
    """The server's process."""

    async def run(*, seconds: float = 3.0) -> list[Figure]:
    """Measure against a server in a process of its own."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=server, args=(theirs,), daemon=True)
    process.start()
    try:
        return asyncio.run(figures(ours.recv(), seconds))
    finally:
        ours.send("stop")
        process.join(5)
        process.terminate()


if __name__ == "__main__":
    print(machine())
    for figure in run():
        print(figure.line())
