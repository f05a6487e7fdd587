"""Modbus: `session.read` against bare pymodbus reading the same blocks, client CPU on one core.

The server is a process of its own. Run: python -m tests.benchmarks.bench_modbus
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

from pymodbus.client import AsyncModbusTcpClient

from nexus_cli.drivers.base import points_of
from nexus_cli.drivers.modbus.driver import DRIVER
from nexus_cli.drivers.modbus.simulator import SimulatorServer, serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.benchmarks.field import PerSecond, repeat, served
from tests.benchmarks.figures import Figure, machine

REGISTERS = 100


def device(number: int, port: int = 0) -> DeviceConfig:
    tags = {
        f"t{at}": TagConfig(type="float32", address=f"holding:{at * 2}", simulate={"signal": "constant", "value": 1.5})
        for at in range(REGISTERS // 2)
    }
    return DeviceConfig(
        path=f"a/l/d{number}", protocol="modbus", connection={"host": "127.0.0.1", "port": port}, tags=tags
    )


async def open_server() -> SimulatorServer:
    return await serve([device(0)])


async def bare(port: int, links: int, seconds: float) -> PerSecond:
    clients = [AsyncModbusTcpClient("127.0.0.1", port=port, retries=0, reconnect_delay=0) for _ in range(links)]
    for client in clients:
        await client.connect()
    found = await repeat(
        [partial(client.read_holding_registers, 0, count=REGISTERS, device_id=1) for client in clients],
        seconds=seconds,
    )
    for client in clients:
        client.close()
    return found


async def ours(port: int, links: int, seconds: float) -> PerSecond:
    one = device(0, port)
    (request,) = DRIVER.group(one, points_of(one))
    sessions = [await DRIVER.connect([one], home=".") for _ in range(links)]
    found = await repeat([partial(session.read, request) for session in sessions], seconds=seconds)
    for session in sessions:
        await session.close()
    return found


def run(*, seconds: float = 2.0, links: int = 16) -> list[Figure]:
    """Measure reading and grouping."""
    with served(open_server) as port:
        asyncio.run(bare(port, links, 0.5))
        limit = asyncio.run(bare(port, links, seconds))
        found = asyncio.run(ours(port, links, seconds))
    what = f"Modbus session.read, {REGISTERS} registers to {REGISTERS // 2} float32, {links} links"
    values = REGISTERS // 2
    return [
        Figure(
            name=f"{what}: per core",
            value=found.cpu * values,
            unit="tags/s",
            limit=limit.cpu * values,
            limit_name="bare pymodbus",
            ratio_at_least=0.92,
        ),
        Figure(
            name=f"{what}: wall",
            value=found.wall * values,
            unit="tags/s",
            limit=limit.wall * values,
            limit_name="bare pymodbus",
            ratio_at_least=0.92,
        ),
        Figure(name="Modbus grouping, 1,000 devices x 20 tags", value=grouping(), unit="s", at_most=1.0),
    ]


def grouping() -> float:
    """Seconds to plan the reads of a plant."""
    tags = {f"t{at}": TagConfig(type="float32", address=f"holding:{at * 2}") for at in range(20)}
    plant = [
        DeviceConfig(path=f"a/l/d{at}", protocol="modbus", connection={"host": "h"}, tags=tags) for at in range(1000)
    ]
    began = time.perf_counter()
    for one in plant:
        DRIVER.group(one, points_of(one))
    return time.perf_counter() - began


if __name__ == "__main__":
    print(machine())
    for figure in run():
        print(figure.line())
