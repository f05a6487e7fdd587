"""What `bench_core` reads: for each protocol a field in a process of its own, our devices, and the bare library.

The bare library reads the same blocks over as many connections and throws the values away.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from asyncua import Client, ua
from pymodbus.client import AsyncModbusTcpClient

from nexus_cli.drivers.ads.simulator import serve as serve_ads
from nexus_cli.drivers.base import points_of
from nexus_cli.drivers.opcua.groups import node_of
from nexus_cli.drivers.opcua.nodes import node_id, read_value_id
from nexus_cli.drivers.opcua.simulator import serve as serve_opcua
from nexus_cli.drivers.s7.simulator import serve as serve_s7
from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.benchmarks.field import repeat
from tests.e2e.counting_device import CountingDevice

Read = Callable[[], Awaitable[Any]]
RAMP = {"signal": "ramp", "low": 0.0, "high": 1e6, "period": 3_600_000}

REGISTERS, MODBUS_LINKS, MODBUS_POLL_MS = 100, 160, 10
NODES, OPCUA_LINKS, OPCUA_POLL_MS = 200, 8, 40
REALS, S7_LINKS, S7_POLL_MS = 100, 40, 5
SYMBOLS, ADS_LINKS, ADS_POLL_MS = 200, 4, 2
URI = "urn:bench"


class Open:
    """Servers of this process, with the ports that the other one wants."""

    def __init__(self, *servers: Any, ports: Sequence[int]) -> None:
        """Take them over."""
        self.port = list(ports)
        self._servers = servers

    async def close(self) -> None:
        """End them."""
        for server in self._servers:
            closing = server.close()
            if closing is not None:
                await closing


def _device(number: int, protocol: str, connection: dict[str, Any], tags: dict[str, TagConfig]) -> DeviceConfig:
    return DeviceConfig(
        path=f"a/l/d{number}",
        protocol=protocol,
        link=f"{protocol}:{number}",
        gateway="gw-1",
        connection=connection,
        tags=tags,
    )


# --- Modbus: holding registers move with every read, input registers do not change -------------------------


async def open_modbus() -> Open:
    """One server for all links."""
    server = await asyncio.get_running_loop().create_server(CountingDevice, "127.0.0.1", 0)
    return Open(server, ports=[server.sockets[0].getsockname()[1]])


def modbus_devices(ports: Sequence[int], area: str) -> list[DeviceConfig]:
    """One block of 100 registers each, 50 values."""
    tags = {
        f"t{at:02}": TagConfig(type="uint32", address=f"{area}:{at * 2}", poll_ms=MODBUS_POLL_MS)
        for at in range(REGISTERS // 2)
    }
    return [
        _device(number, "modbus", {"host": "127.0.0.1", "port": ports[0], "unit_id": number % 200 + 1}, tags)
        for number in range(MODBUS_LINKS)
    ]


@contextlib.asynccontextmanager
async def modbus_clients(port: int) -> AsyncIterator[list[AsyncModbusTcpClient]]:
    """pymodbus, as many connections as we have links."""
    clients = [AsyncModbusTcpClient("127.0.0.1", port=port, retries=0, reconnect_delay=0) for _ in range(MODBUS_LINKS)]
    for client in clients:
        await client.connect()
    yield clients
    for client in clients:
        client.close()


async def bare_modbus(ports: Sequence[int], seconds: float) -> float:
    """Reads per CPU second of pymodbus."""
    async with modbus_clients(ports[0]) as clients:
        reads = [partial(client.read_holding_registers, 0, count=REGISTERS, device_id=1) for client in clients]
        return (await repeat(reads, seconds=seconds)).cpu


# --- OPC UA: one server a link, every value moves ----------------------------------------------------------


async def open_opcua() -> Open:
    """One server a link."""
    servers = [await serve_opcua([device]) for device in opcua_devices([0] * OPCUA_LINKS)]
    return Open(*servers, ports=[server.port for server in servers])


def opcua_devices(ports: Sequence[int]) -> list[DeviceConfig]:
    """200 nodes in one read."""
    tags = {
        f"t{at:03}": TagConfig(type="float64", address=f"nsu={URI};s=R{at}", poll_ms=OPCUA_POLL_MS, simulate=RAMP)
        for at in range(NODES)
    }
    return [
        _device(number, "opcua", {"endpoint": f"opc.tcp://127.0.0.1:{port}", "max_read": NODES}, tags)
        for number, port in enumerate(ports)
    ]


async def bare_opcua(ports: Sequence[int], seconds: float) -> float:
    """Reads per CPU second of asyncua with prebuilt requests."""
    async with contextlib.AsyncExitStack() as stack:
        reads: list[Read] = []
        for config in opcua_devices(ports):
            client = await stack.enter_async_context(Client(config.connection["endpoint"], watchdog_intervall=10))
            names = await client.get_namespace_array()
            parameters = ua.ReadParameters()
            for point in points_of(config):
                found = node_id(node_of(point), names)
                assert found is not None
                parameters.NodesToRead.append(read_value_id(found))
            parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
            reads.append(partial(client.uaclient.session.read, parameters))
        return (await repeat(reads, seconds=seconds)).cpu


# --- S7: one server, every value moves ---------------------------------------------------------------------


async def open_s7() -> Open:
    """One server for all links."""
    server = await serve_s7(s7_devices([0])[:1])
    return Open(server, ports=[server.port])


def s7_devices(ports: Sequence[int]) -> list[DeviceConfig]:
    """400 bytes in one read, 100 values."""
    tags = {
        f"t{at:03}": TagConfig(type="float32", address=f"%DB1:{at * 4}:REAL", poll_ms=S7_POLL_MS, simulate=RAMP)
        for at in range(REALS)
    }
    connection = {"host": "127.0.0.1", "port": ports[0], "pdu": 480}
    return [_device(number, "s7", connection, tags) for number in range(S7_LINKS)]


async def bare_s7(ports: Sequence[int], seconds: float) -> float:
    """Reads per CPU second of python-snap7."""
    import snap7

    clients = [snap7.AsyncClient() for _ in range(S7_LINKS)]
    for client in clients:
        await client.connect("127.0.0.1", 0, 1, ports[0])
    reads = [partial(client.db_read, 1, 0, REALS * 4) for client in clients]
    found = await repeat(reads, seconds=seconds)
    for client in clients:
        await client.disconnect()
    return found.cpu


# --- ADS: one server a link, because pyads knows port 48898 only -------------------------------------------


def _ads_host(number: int) -> str:
    return f"127.0.0.{80 + number}"


async def open_ads() -> Open:
    """One server a link."""
    devices = ads_devices([])
    servers = [await serve_ads([device], host=_ads_host(number), port=48898) for number, device in enumerate(devices)]
    return Open(*servers, ports=[server.port for server in servers])


def ads_devices(_: Sequence[int]) -> list[DeviceConfig]:
    """200 symbols in one sum read."""
    tags = {
        f"t{at:03}": TagConfig(type="float64", address=f"GVL.t{at}", poll_ms=ADS_POLL_MS, simulate=RAMP, mode="poll")
        for at in range(SYMBOLS)
    }
    return [
        _device(
            number,
            "ads",
            {
                "host": _ads_host(number),
                "ams_net_id": f"{_ads_host(number)}.1.1",
                "source_net_id": "127.0.0.1.1.1",
            },
            tags,
        )
        for number in range(ADS_LINKS)
    ]


async def bare_ads(_: Sequence[int], seconds: float) -> float:
    """Sum reads per CPU second of pyads; it blocks, so one link after the other."""
    import pyads
    from pyads import pyads_ex

    pyads.open_port()
    pyads.set_local_address("127.0.0.1.1.1")
    pyads.close_port()
    links = []
    for number in range(ADS_LINKS):
        plc = pyads.Connection(f"{_ads_host(number)}.1.1", 851, _ads_host(number))
        plc.open()
        infos = [plc.get_symbol(f"GVL.t{at}") for at in range(SYMBOLS)]
        links.append((plc, [(info.index_group, info.index_offset, 8) for info in infos]))
    count, cpu, end = 0, time.process_time(), time.monotonic() + seconds
    while time.monotonic() < end:
        for plc, symbols in links:
            pyads_ex.adsSumReadBytes(plc._port, plc._adr, symbols)
            count += 1
    found = count / (time.process_time() - cpu)
    for plc, _symbols in links:
        plc.close()
    return found
