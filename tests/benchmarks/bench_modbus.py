"""Modbus: `session.read` against bare pymodbus reading the same blocks, client CPU on one core.

Run: python tests/benchmarks/bench_modbus.py [--seconds 3] [--links 16]
The server is a process of its own; the figures are requests and tags per second of client CPU time.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import platform
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from typing import Any

from pymodbus.client import AsyncModbusTcpClient

from nexus_cli.drivers.base import points_of
from nexus_cli.drivers.modbus.driver import DRIVER
from nexus_cli.drivers.modbus.simulator import serve
from nexus_cli.model.config import DeviceConfig, TagConfig

REGISTERS = 100


def device(number: int, port: int = 0) -> DeviceConfig:
    tags = {
        f"t{at}": TagConfig(type="float32", address=f"holding:{at * 2}", simulate={"signal": "constant", "value": 1.5})
        for at in range(REGISTERS // 2)
    }
    return DeviceConfig(
        path=f"a/l/d{number}", protocol="modbus", connection={"host": "127.0.0.1", "port": port}, tags=tags
    )


def server(pipe: Connection) -> None:
    async def main() -> None:
        simulator = await serve([device(0)])
        pipe.send(simulator.port)
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        await simulator.close()

    asyncio.run(main())


async def measure(readers: list[Callable[[], Awaitable[Any]]], seconds: float) -> tuple[float, float]:
    """Requests per second of CPU time and of wall time."""
    count = 0
    end = time.monotonic() + seconds

    async def loop(read: Callable[[], Awaitable[Any]]) -> None:
        nonlocal count
        while time.monotonic() < end:
            await read()
            count += 1

    cpu, wall = time.process_time(), time.monotonic()
    async with asyncio.TaskGroup() as group:
        for read in readers:
            group.create_task(loop(read))
    return count / (time.process_time() - cpu), count / (time.monotonic() - wall)


async def bare(port: int, links: int, seconds: float) -> tuple[float, float]:
    clients = [AsyncModbusTcpClient("127.0.0.1", port=port, retries=0, reconnect_delay=0) for _ in range(links)]
    for client in clients:
        await client.connect()
    found = await measure(
        [lambda client=client: client.read_holding_registers(0, count=REGISTERS, device_id=1) for client in clients],
        seconds,
    )
    for client in clients:
        client.close()
    return found


async def ours(port: int, links: int, seconds: float) -> tuple[float, float]:
    one = device(0, port)
    (request,) = DRIVER.group(one, points_of(one))
    sessions = [await DRIVER.connect([one], home=".") for _ in range(links)]
    found = await measure([lambda session=session: session.read(request) for session in sessions], seconds)
    for session in sessions:
        await session.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--links", type=int, default=16)
    arguments = parser.parse_args()
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=server, args=(there,))
    process.start()
    port = here.recv()
    print(f"Modbus read of {REGISTERS} registers = {REGISTERS // 2} float32, {arguments.links} links")
    print(f"machine: {platform.processor() or platform.machine()}, Python {platform.python_version()}")
    try:
        for _ in range(2):
            limit = asyncio.run(bare(port, arguments.links, arguments.seconds))
            found = asyncio.run(ours(port, arguments.links, arguments.seconds))
            print(f"bare pymodbus (registers, undecoded): {limit[0]:8.0f} req/s of CPU {limit[1]:8.0f} req/s")
            print(f"session.read (decoded values):        {found[0]:8.0f} req/s of CPU {found[1]:8.0f} req/s")
            print(f"ratio {found[0] / limit[0]:.2f} of CPU, {found[1] / limit[1]:.2f} of wall time")
    finally:
        here.send(None)
        process.join(5)


if __name__ == "__main__":
    main()
