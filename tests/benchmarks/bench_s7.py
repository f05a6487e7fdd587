"""S7: `session.read` against bare python-snap7 reading the same bytes, client CPU on one core.

The server is a process of its own. Two shapes: blocks (runs of REALs) and scattered values (one per data block).
Run: python -m tests.benchmarks.bench_s7
"""

from __future__ import annotations

import asyncio
import struct
import time
from functools import partial
from typing import Any

from nexus_cli.drivers.base import Request, points_of
from nexus_cli.drivers.s7.driver import DRIVER
from nexus_cli.drivers.s7.simulator import SimulatorServer, serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.benchmarks.field import PerSecond, repeat, served
from tests.benchmarks.figures import Figure, machine

REALS = 100
SCATTERED = 20
PDU = 480


def tags() -> dict[str, TagConfig]:
    """A run of 400 bytes, and one value in each of 20 data blocks."""
    held = {"signal": "constant", "value": 1.5}
    found = {f"r{at}": TagConfig(type="float32", address=f"%DB1:{at * 4}:REAL", simulate=held) for at in range(REALS)}
    for at in range(SCATTERED):
        found[f"s{at}"] = TagConfig(type="float32", address=f"%DB{100 + at}:0:REAL", simulate=held)
    return found


def device(port: int = 0) -> DeviceConfig:
    return DeviceConfig(
        path="a/l/plc", protocol="s7", connection={"host": "127.0.0.1", "port": port, "pdu": PDU}, tags=tags()
    )


async def open_server() -> SimulatorServer:
    return await serve([device()])


async def bare(port: int, links: int, seconds: float, *, scattered: bool) -> PerSecond:
    """python-snap7's AsyncClient, decoded by one `struct`; the scattered ones by a hand-built multi-item PDU, because its
    own `read_multi_vars` sends one request a variable."""
    import snap7

    clients = [snap7.AsyncClient() for _ in range(links)]
    for client in clients:
        await client.connect("127.0.0.1", 0, 1, port)
    unpack = struct.Struct(f">{REALS}f").unpack
    many = struct.Struct(f">{SCATTERED}f").unpack
    items = [(snap7.type.Area.DB, 100 + at, 0, 4) for at in range(SCATTERED)]

    async def block(client: Any) -> list[float]:
        return list(unpack(await client.db_read(1, 0, REALS * 4)))

    async def multi(client: Any) -> list[float]:
        reply = await client._send_receive(client.protocol.build_multi_read_request(items))
        return list(many(b"".join(client.protocol.extract_multi_read_data(reply, SCATTERED))))

    read = multi if scattered else block
    assert await read(clients[0]) == [1.5] * (SCATTERED if scattered else REALS)
    found = await repeat([partial(read, client) for client in clients], seconds=seconds)
    for client in clients:
        await client.disconnect()
    return found


def requests(port: int) -> tuple[Request, Request]:
    """The block's read and the scattered values' read."""
    one = device(port)
    (block,) = DRIVER.group(one, [point for point in points_of(one) if point.name.startswith("r")])
    (scattered,) = DRIVER.group(one, [point for point in points_of(one) if point.name.startswith("s")])
    return block, scattered


async def ours(port: int, links: int, seconds: float, *, scattered: bool) -> PerSecond:
    request = requests(port)[scattered]
    sessions = [await DRIVER.connect([device(port)], home=".") for _ in range(links)]
    assert (await sessions[0].read(request)).values == [1.5] * (SCATTERED if scattered else REALS)
    found = await repeat([partial(session.read, request) for session in sessions], seconds=seconds)
    for session in sessions:
        await session.close()
    return found


def run(*, seconds: float = 2.0, links: int = 8) -> list[Figure]:
    """Measure reading and grouping."""
    figures = []
    with served(open_server) as port:
        for scattered, values in ((False, REALS), (True, SCATTERED)):
            asyncio.run(bare(port, links, 0.3, scattered=scattered))
            limit = asyncio.run(bare(port, links, seconds, scattered=scattered))
            found = asyncio.run(ours(port, links, seconds, scattered=scattered))
            shape = f"{values} scattered REALs" if scattered else f"{values} REALs in a row"
            for what, value, bound in (("per core", found.cpu, limit.cpu), ("wall", found.wall, limit.wall)):
                figures.append(
                    Figure(
                        name=f"S7 session.read, {shape}, {links} links: {what}",
                        value=value * values,
                        unit="tags/s",
                        limit=bound * values,
                        limit_name="bare python-snap7",
                        ratio_at_least=0.8,
                    )
                )
    figures.append(Figure(name="S7 grouping, 150 CPUs x 100 tags", value=grouping(), unit="s", at_most=1.0))
    return figures


def grouping() -> float:
    """Seconds to plan the reads of a plant."""
    found = {f"t{at}": TagConfig(type="float32", address=f"%DB1:{at * 4}:REAL") for at in range(100)}
    plant = [DeviceConfig(path=f"a/l/d{at}", protocol="s7", connection={"host": "h"}, tags=found) for at in range(150)]
    began = time.perf_counter()
    for one in plant:
        DRIVER.group(one, points_of(one))
    return time.perf_counter() - began


if __name__ == "__main__":
    print(machine())
    for figure in run():
        print(figure.line())
