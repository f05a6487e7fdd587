"""The whole gateway (schedule, chain, frames, disk log, live view, broker) beside the bare library, per core.

The field, the historian and the broker are processes of their own; the gateway is this process. Links are polled
faster than it can, so that it is never idle: late cycles are skipped, what counts is reads per second of CPU. The
bare library reads the same blocks over as many connections and throws the values away.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import orjson
from asyncua import Client, ua
from pymodbus.client import AsyncModbusTcpClient

from nexus_cli.drivers.base import points_of
from nexus_cli.drivers.opcua.groups import node_of
from nexus_cli.drivers.opcua.nodes import node_id, read_value_id
from nexus_cli.drivers.opcua.simulator import serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.gateway.gateway import Gateway, run_gateway
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from tests.benchmarks.figures import Figure, machine
from tests.field import FakeHistorian, FakeSource
from tests.servers import new_broker

REGISTERS, MODBUS_LINKS, MODBUS_POLL_MS = 100, 160, 10
NODES, OPCUA_LINKS, OPCUA_POLL_MS = 200, 8, 40
URI = "urn:bench"
SETTLE_S = 8.0
"""Long enough for the first value of every tag to be on its topic."""
Read = Callable[[], Awaitable[Any]]


# --- the field and the historian, each a process ----------------------------------------------------------


def counting_field(pipe: Connection) -> None:
    """Modbus: every value of holding registers moves with every read, input registers stand still."""
    from tests.e2e.counting_device import CountingDevice

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(CountingDevice, "127.0.0.1", 0)
        pipe.send([server.sockets[0].getsockname()[1]])
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        server.close()

    asyncio.run(main())


def opcua_field(pipe: Connection) -> None:
    """OPC UA: one server per link; every value moves all the time."""

    async def main() -> None:
        servers = [await serve([opcua_device(number)]) for number in range(OPCUA_LINKS)]
        pipe.send([server.port for server in servers])
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        for server in servers:
            await server.close()

    asyncio.run(main())


def historian(pipe: Connection, url: str) -> None:
    """Receipts for every frame, as the historian gives them."""

    async def main() -> None:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(FakeHistorian(Settings(site="acme/chicago", broker_url=url), live=False).run(stop))
            await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
            stop.set()

    asyncio.run(main())


@contextlib.contextmanager
def process(target: Callable[..., None], *arguments: object) -> Any:
    """A process that ends when the block does; gives our end of its pipe."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=target, args=(there, *arguments), daemon=True)
    child.start()
    try:
        yield here
    finally:
        with contextlib.suppress(OSError):
            here.send(None)
        child.join(5)
        child.terminate()


# --- devices ----------------------------------------------------------------------------------------------


def modbus_device(number: int, port: int, area: str) -> DeviceConfig:
    """One block of 100 registers, 50 values."""
    tags = {
        f"t{at:02}": TagConfig(type="uint32", address=f"{area}:{at * 2}", poll_ms=MODBUS_POLL_MS)
        for at in range(REGISTERS // 2)
    }
    link = f"tcp:127.0.0.1:{port}:{number}"
    connection = {"host": "127.0.0.1", "port": port, "unit_id": number % 200 + 1}
    return DeviceConfig(
        path=f"a/l/d{number}", protocol="modbus", link=link, gateway="gw-1", connection=connection, tags=tags
    )


def opcua_device(number: int, port: int = 0) -> DeviceConfig:
    """200 nodes in one read."""
    ramp = {"signal": "ramp", "low": 0.0, "high": 1e6, "period": 3_600_000}
    tags = {
        f"t{at:03}": TagConfig(type="float64", address=f"nsu={URI};s=R{at}", poll_ms=OPCUA_POLL_MS, simulate=ramp)
        for at in range(NODES)
    }
    connection = {"endpoint": f"opc.tcp://127.0.0.1:{port}", "max_read": NODES}
    path = f"a/l/d{number}"
    return DeviceConfig(
        path=path, protocol="opcua", link=f"o{number}", gateway="gw-1", connection=connection, tags=tags
    )


# --- measuring --------------------------------------------------------------------------------------------


async def saturate(readers: Sequence[Read], seconds: float) -> float:
    """Reads per second of CPU, all readers side by side."""
    count, end = 0, time.monotonic() + seconds

    async def loop(read: Read) -> None:
        nonlocal count
        while time.monotonic() < end:
            await read()
            count += 1

    cpu = time.process_time()
    async with asyncio.TaskGroup() as group:
        for read in readers:
            group.create_task(loop(read))
    return count / (time.process_time() - cpu)


async def bare_modbus(port: int, seconds: float) -> float:
    """pymodbus alone, the registers thrown away."""
    async with _modbus_clients(port) as clients:

        def reader(client: AsyncModbusTcpClient) -> Read:
            return lambda: client.read_holding_registers(0, count=REGISTERS, device_id=1)

        return await saturate([reader(client) for client in clients], seconds)


async def bare_chain(port: int, url: str, seconds: float) -> float:
    """The least that stores what was read elsewhere: pymodbus, its decoder, JSON, one QoS 1 publish for each read."""
    broker = BrokerClient(settings=Settings(site="acme/chicago", broker_url=url), client_id="bench-bare")
    kind = AsyncModbusTcpClient.DATATYPE.UINT32
    async with _modbus_clients(port) as clients, broker.session():

        def reader(client: AsyncModbusTcpClient) -> Read:
            async def read() -> None:
                answer = await client.read_holding_registers(0, count=REGISTERS, device_id=1)
                values = client.convert_from_registers(answer.registers, kind)
                sent = broker.post("bench/values", orjson.dumps(values))
                if broker.inflight > 200:
                    await sent

            return read

        return await saturate([reader(client) for client in clients], seconds)


@contextlib.asynccontextmanager
async def _modbus_clients(port: int) -> AsyncIterator[list[AsyncModbusTcpClient]]:
    clients = [AsyncModbusTcpClient("127.0.0.1", port=port, retries=0, reconnect_delay=0) for _ in range(MODBUS_LINKS)]
    for client in clients:
        await client.connect()
    yield clients
    for client in clients:
        client.close()


async def bare_opcua(ports: Sequence[int], seconds: float) -> float:
    """asyncua alone, with prebuilt requests."""
    async with contextlib.AsyncExitStack() as stack:
        readers: list[Read] = []
        for number, port in enumerate(ports):
            config = opcua_device(number, port)
            client = await stack.enter_async_context(Client(config.connection["endpoint"], watchdog_intervall=10))
            names = await client.get_namespace_array()
            parameters = ua.ReadParameters()
            for point in points_of(config, list(config.tags)):
                found = node_id(node_of(point), names)
                assert found is not None
                parameters.NodesToRead.append(read_value_id(found))
            parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
            readers.append(lambda client=client, parameters=parameters: client.uaclient.session.read(parameters))  # type: ignore[misc]
        return await saturate(readers, seconds)


@contextlib.asynccontextmanager
async def gateway_of(configs: Sequence[DeviceConfig], folder: Path, url: str) -> AsyncIterator[Gateway]:
    """A gateway of this process that runs these devices."""
    settings = Settings(home=folder, site="acme/chicago", principal="nexus.gateway.gw-1", broker_url=url)
    stop = asyncio.Event()
    found: list[Gateway] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(
            run_gateway(settings, name="gw-1", source=FakeSource(configs), stop=stop, started=found.append)
        )
        try:
            while not (found and hasattr(found[0], "links") and len(found[0].links.devices()) == len(configs)):
                await asyncio.sleep(0.05)
            yield found[0]
        finally:
            stop.set()


async def whole(configs: Sequence[DeviceConfig], folder: Path, url: str, seconds: float) -> tuple[float, str]:
    """Reads per second of CPU of a whole gateway, and what it did."""
    async with gateway_of(configs, folder, url) as gateway:
        await asyncio.sleep(SETTLE_S)
        before, before_cycles = gateway.facts()["counters"], cycles(gateway)
        cpu, wall = time.process_time(), time.monotonic()
        await asyncio.sleep(seconds)
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        after, done = gateway.facts()["counters"], cycles(gateway) - before_cycles
        frames = after["accepted"] - before["accepted"]
        live = after["live_published"] - before["live_published"]
        lost = sum(gateway.outbox.lost.values())
    note = f"{done / wall:,.0f} reads/s, {cpu / wall:.0%} of a core, {frames / wall:,.0f} frames/s, {live / wall:,.0f} live/s"
    return done / cpu, note + (f", {lost} frames refused by the disk log" if lost else "")


def cycles(gateway: Gateway) -> int:
    """Reads made since the start."""
    return sum(device.counters.cycles for device in gateway.links.devices())


def run(*, seconds: float = 6.0) -> list[Figure]:
    """Both protocols."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        broker = new_broker(home, options=("max_inflight_messages 1000", "max_queued_messages 100000")).start()
        try:
            with process(historian, broker.url):
                figures += _modbus(home, broker.url, seconds)
                figures += _opcua(home, broker.url, seconds)
        finally:
            broker.kill()
    return figures


def _modbus(home: Path, url: str, seconds: float) -> list[Figure]:
    with process(counting_field) as pipe:
        (port,) = pipe.recv()
        found = {}
        for area in ("holding", "input"):
            configs = [modbus_device(number, port, area) for number in range(MODBUS_LINKS)]
            found[area] = asyncio.run(whole(configs, home / f"modbus-{area}", url, seconds))
        limit = asyncio.run(bare_modbus(port, seconds))
        chain = asyncio.run(bare_chain(port, url, seconds))
    what = f"gateway per core, Modbus, {MODBUS_LINKS} links x {REGISTERS} registers"
    return [
        _figure(f"{what}: values stand still", found["input"], limit, "bare pymodbus", 0.8),
        _figure(f"{what}: all move", found["holding"], limit, "bare pymodbus", 0.8),
        _figure("  the same beside pymodbus, its decoder, JSON and one publish", found["holding"], chain, "bare chain"),
    ]


def _opcua(home: Path, url: str, seconds: float) -> list[Figure]:
    with process(opcua_field) as pipe:
        ports = pipe.recv()
        configs = [opcua_device(number, port) for number, port in enumerate(ports)]
        found = asyncio.run(whole(configs, home / "opcua", url, seconds))
        limit = asyncio.run(bare_opcua(ports, seconds))
    what = f"gateway per core, OPC UA, {OPCUA_LINKS} links x {NODES} nodes: all move"
    return [_figure(what, found, limit, "bare asyncua", 0.8)]


def _figure(name: str, found: tuple[float, str], limit: float, limit_name: str, least: float | None = None) -> Figure:
    return Figure(
        name=name,
        value=found[0],
        unit="reads/s",
        limit=limit,
        limit_name=limit_name,
        ratio_at_least=least,
        note=found[1],
    )


if __name__ == "__main__":
    print(machine())
    for figure in run(seconds=float(sys.argv[1]) if sys.argv[1:] else 6.0):
        print(figure.line())
