"""Browsing: how fast `nexus discover` walks a server and takes a symbol table, beside the bare libraries.

The limit for OPC UA is asyncua asked the way its documentation shows (children of a node, then its attributes), for
ADS it is pyads's `get_all_symbols`; both give less (no units, ranges, names of codes, members of structures).
Run: python -m tests.benchmarks.bench_browse
"""

from __future__ import annotations

import asyncio
import tempfile

from asyncua import Client, Node, ua

from nexus_cli.drivers import registry
from nexus_cli.drivers.ads.simulator import SimulatorServer as AdsServer
from nexus_cli.drivers.ads.simulator import serve as serve_ads
from nexus_cli.drivers.opcua.simulator import SimulatorServer as OpcuaServer
from nexus_cli.drivers.opcua.simulator import serve as serve_opcua
from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.benchmarks.field import PerSecond, once, served
from tests.benchmarks.figures import Figure, machine

NODES = 5_000
SYMBOLS = 20_000
URI = "urn:bench"
HOST, NET_ID = "127.0.0.78", "127.0.0.78.1.1"
ATTRIBUTES = [ua.AttributeIds.DataType, ua.AttributeIds.UserAccessLevel, ua.AttributeIds.Description]


def opcua_device(port: int = 0) -> DeviceConfig:
    """Numbers below one folder."""
    tags = {f"t{at}": TagConfig(type="float64", address=f"nsu={URI};s=Area{at % 50}.T{at}") for at in range(NODES)}
    connection = {"endpoint": f"opc.tcp://127.0.0.1:{port}", "timeout": 30_000, "connect_timeout": 30_000}
    return DeviceConfig(path="a/l/d", protocol="opcua", connection=connection, tags=tags)


async def open_opcua() -> OpcuaServer:
    return await serve_opcua([opcua_device()])


def ads_device() -> DeviceConfig:
    """A program of plain symbols."""
    tags = {f"t{at}": TagConfig(type="float64", address=f"GVL.t{at}") for at in range(SYMBOLS)}
    connection = {"host": HOST, "ams_net_id": NET_ID, "source_net_id": "127.0.0.1.1.1", "timeout": 30_000}
    return DeviceConfig(path="a/l/d", protocol="ads", connection=connection, tags=tags)


async def open_ads() -> AdsServer:
    return await serve_ads([ads_device()], host=HOST, port=48898)


async def ours(device: DeviceConfig, expected: int) -> PerSecond:
    """Our walk, as `nexus discover` does it."""
    with tempfile.TemporaryDirectory() as home:
        session = await registry.driver(device.protocol).connect([device], home=home)
        try:

            async def walk() -> int:
                found = [browsed async for browsed in session.browse() if browsed.type]
                assert len(found) >= expected, len(found)
                return len(found)

            return await once(walk)
        finally:
            await session.close()


async def bare_opcua(device: DeviceConfig) -> PerSecond:
    """asyncua, node by node."""
    async with Client(device.connection["endpoint"], timeout=30, watchdog_intervall=30) as client:

        async def walk() -> int:
            waiting: list[Node] = [client.nodes.objects]
            seen, variables = {client.nodes.server.nodeid}, 0
            while waiting:
                node = waiting.pop()
                for child in await node.get_children_descriptions():
                    found = client.get_node(child.NodeId)
                    if found.nodeid in seen:
                        continue
                    seen.add(found.nodeid)
                    if child.NodeClass == ua.NodeClass.Variable and node.nodeid.NamespaceIndex:
                        await found.read_attributes(ATTRIBUTES)
                        variables += 1
                    waiting.append(found)
            return variables

        return await once(walk)


async def bare_ads() -> PerSecond:
    """pyads, in a thread, because it blocks."""
    import pyads

    def walk() -> int:
        pyads.open_port()
        pyads.set_local_address("127.0.0.1.1.1")
        pyads.close_port()
        plc = pyads.Connection(NET_ID, 851, HOST)
        plc.open()
        try:
            return len(plc.get_all_symbols())
        finally:
            plc.close()

    return await once(lambda: asyncio.to_thread(walk))


def run() -> list[Figure]:
    """Both protocols."""
    with served(open_opcua) as port:
        found = asyncio.run(ours(opcua_device(port), NODES))
        limit = asyncio.run(bare_opcua(opcua_device(port)))
    with served(open_ads):
        asyncio.run(ours(ads_device(), SYMBOLS))  # the simulator makes its table when it is asked the first time
        symbols = asyncio.run(ours(ads_device(), SYMBOLS))
        table = asyncio.run(bare_ads())
    name = f"browse, OPC UA, {NODES:,} variables"
    return [
        Figure(
            name=f"{name}: wall", value=found.wall, unit="nodes/s", limit=limit.wall, limit_name="asyncua", ratio_at_least=0.8
        ),
        Figure(
            name=f"{name}: per CPU second", value=found.cpu, unit="nodes/s", limit=limit.cpu, limit_name="asyncua",
            ratio_at_least=0.8,
        ),
        Figure(
            name=f"browse, ADS, table of {SYMBOLS:,} symbols: per CPU second", value=symbols.cpu, unit="nodes/s",
            limit=table.cpu, limit_name="pyads get_all_symbols", note="pyads gives names and types' names alone",
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    print(machine())
    for figure in run():
        print(figure.line())
