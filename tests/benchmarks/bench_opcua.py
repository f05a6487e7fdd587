"""OPC UA: `session.read` and our subscription against bare asyncua doing the same, client CPU on one core.

The server is a process of its own; figures are per second of the client's CPU time.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from asyncua import Client, ua

from nexus_cli.drivers.base import Notification, points_of
from nexus_cli.drivers.opcua.driver import DRIVER
from nexus_cli.drivers.opcua.groups import node_of
from nexus_cli.drivers.opcua.nodes import node_id, read_value_id
from nexus_cli.drivers.opcua.simulator import SimulatorServer, serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.benchmarks.field import served
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


async def open_server() -> SimulatorServer:
    """The server's process runs this."""
    return await serve([device()])


async def read_ours(config: DeviceConfig, seconds: float, home: str) -> tuple[float, float]:
    """Values per second of CPU and of wall time."""
    session = await DRIVER.connect([config], home=home)
    points = points_of(config, [name for name in config.tags if name.startswith("r")])
    (request,) = DRIVER.group(config, points)
    result = await session.read(request)
    assert not result.faults
    assert result.values[-1] == READ_NODES - 0.5
    count, cpu, wall = 0, time.process_time(), time.monotonic()
    while time.monotonic() - wall < seconds:
        await session.read(request)
        count += READ_NODES
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    await session.close()
    return count / cpu, count / wall


async def read_bare(config: DeviceConfig, seconds: float) -> tuple[float, float]:
    """The same nodes with a prebuilt `ReadParameters` of asyncua."""
    async with Client(config.connection["endpoint"], watchdog_intervall=10) as client:
        names = await client.get_namespace_array()
        parameters = ua.ReadParameters()
        for point in points_of(config, [name for name in config.tags if name.startswith("r")]):
            found = node_id(node_of(point), names)
            assert found is not None
            parameters.NodesToRead.append(read_value_id(found))
        parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
        count, cpu, wall = 0, time.process_time(), time.monotonic()
        while time.monotonic() - wall < seconds:
            answers = await client.uaclient.session.read(parameters)
            assert len([answer.Value.Value for answer in answers]) == READ_NODES
            count += READ_NODES
        return count / (time.process_time() - cpu), count / (time.monotonic() - wall)


async def hear_ours(config: DeviceConfig, seconds: float, home: str) -> tuple[float, int]:
    """Client CPU per notification in µs, and how many came."""
    session = await DRIVER.connect([config], home=home)
    points = points_of(config, [name for name in config.tags if name.startswith("s")])
    heard = 0

    def sink(_: str, found: Sequence[Notification]) -> None:
        nonlocal heard
        heard += len(found)

    await session.subscribe(config.path, points, interval_ms=[PERIOD_MS] * len(points), sink=sink)
    await asyncio.sleep(0.5)
    heard, cpu = 0, time.process_time()
    await asyncio.sleep(seconds)
    spent = time.process_time() - cpu
    await session.close()
    return spent / max(heard, 1) * 1e6, heard


async def hear_bare(config: DeviceConfig, seconds: float) -> tuple[float, int]:
    """The same items through a handler of asyncua."""
    heard = 0

    class Handler:
        def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
            nonlocal heard
            heard += 1

    async with Client(config.connection["endpoint"], watchdog_intervall=10) as client:
        names = await client.get_namespace_array()
        points = points_of(config, [name for name in config.tags if name.startswith("s")])
        nodes = [client.get_node(node_id(node_of(point), names)) for point in points]
        subscription = await client.create_subscription(PERIOD_MS, Handler())
        await subscription.subscribe_data_change(nodes)
        await asyncio.sleep(0.5)
        heard, cpu = 0, time.process_time()
        await asyncio.sleep(seconds)
        spent = time.process_time() - cpu
        await subscription.delete()
    return spent / max(heard, 1) * 1e6, heard


async def figures(port: int, seconds: float) -> list[Figure]:
    """All figures against a running server."""
    config = device(port)
    with tempfile.TemporaryDirectory() as home:
        bare_cpu, bare_wall = await read_bare(config, seconds)
        ours_cpu, ours_wall = await read_ours(config, seconds, home)
        bare_us, bare_heard = await hear_bare(config, seconds)
        ours_us, ours_heard = await hear_ours(config, seconds, home)
    wanted = ITEMS * seconds * 1000 / PERIOD_MS
    return [
        Figure(
            name="opcua read, 200 nodes, per CPU second of the client",
            value=ours_cpu,
            unit="values/s",
            limit=bare_cpu,
            limit_name="asyncua, prebuilt",
            ratio_at_least=0.8,
        ),
        Figure(
            name="opcua read, one connection, wall",
            value=ours_wall,
            unit="values/s",
            limit=bare_wall,
            limit_name="asyncua, prebuilt",
            ratio_at_least=0.8,
        ),
        Figure(
            name="opcua notification, 500 items at 10 Hz, client CPU",
            value=ours_us,
            unit="us",
            limit=bare_us,
            limit_name="asyncua, handler",
            ratio_at_most=1.0,
        ),
        Figure(
            name="opcua notifications received of those expected",
            value=ours_heard / wanted,
            unit="share",
            limit=bare_heard / wanted,
            limit_name="asyncua, handler",
            at_least=0.95,
        ),
    ]


def run(*, seconds: float = 3.0) -> list[Figure]:
    """Measure against a server in a process of its own."""
    with served(open_server) as port:
        return asyncio.run(figures(port, seconds))


if __name__ == "__main__":
    print(machine())
    for figure in run():
        print(figure.line())
