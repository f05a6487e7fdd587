"""The whole gateway (schedule, chain, frames, disk log, live view, broker) beside the bare library, per core.

The field, the historian and the broker are processes of their own; the gateway is this process. Links are polled
as fast as the field answers, late cycles are skipped: what counts is reads per second of CPU. The bare library reads
the same blocks over as many connections and throws the values away.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from pymodbus.client import AsyncModbusTcpClient

from nexus_cli.model.config import DeviceConfig
from nexus_cli.runtime.gateway.gateway import Gateway, run_gateway
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from tests.benchmarks import core_fields as fields
from tests.benchmarks.field import process, repeat, served
from tests.benchmarks.figures import Figure, machine
from tests.field import FakeHistorian, FakeSource
from tests.servers import new_broker

SETTLE_S = 8.0
"""Long enough for the first value of every tag to be on its topic."""


class Rival(NamedTuple):
    """One comparison: a field, how we read it, who else reads it, and how many values of a read are new (0: none)."""

    what: str
    open: Callable[[], Awaitable[Any]]
    devices: Callable[[Sequence[int]], list[DeviceConfig]]
    bare: Callable[[Sequence[int], float], Coroutine[Any, Any, float]]
    bare_name: str
    moving: int = 0


MODBUS = f"Modbus, {fields.MODBUS_LINKS} links x {fields.REGISTERS} registers"
RIVALS = (
    Rival(
        f"{MODBUS}: values unchanged",
        fields.open_modbus,
        partial(fields.modbus_devices, area="input"),
        fields.bare_modbus,
        "bare pymodbus",
    ),
    Rival(
        f"{MODBUS}: all move",
        fields.open_modbus,
        partial(fields.modbus_devices, area="holding"),
        fields.bare_modbus,
        "bare pymodbus",
        fields.REGISTERS // 2,
    ),
    Rival(
        f"OPC UA, {fields.OPCUA_LINKS} links x {fields.NODES} nodes: all move",
        fields.open_opcua,
        fields.opcua_devices,
        fields.bare_opcua,
        "bare asyncua",
        fields.NODES,
    ),
    Rival(
        f"S7, {fields.S7_LINKS} links x {fields.REALS} REAL: all move",
        fields.open_s7,
        fields.s7_devices,
        fields.bare_s7,
        "bare python-snap7",
        fields.REALS,
    ),
    Rival(
        f"ADS, {fields.ADS_LINKS} links x {fields.SYMBOLS} LREAL: all move",
        fields.open_ads,
        fields.ads_devices,
        fields.bare_ads,
        "bare pyads",
        fields.SYMBOLS,
    ),
)


def historian(pipe: Connection, url: str) -> None:
    """Receipts for every frame, as the historian gives them; a process of its own."""

    async def main() -> None:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(FakeHistorian(Settings(site="acme/chicago", broker_url=url), live=False).run(stop))
            await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
            stop.set()

    asyncio.run(main())


async def bare_chain(port: int, url: str, seconds: float) -> float:
    """The least that stores what was read elsewhere: pymodbus, its decoder, JSON, one QoS 1 publish for each read."""
    broker = BrokerClient(settings=Settings(site="acme/chicago", broker_url=url), client_id="bench-bare")
    kind = AsyncModbusTcpClient.DATATYPE.UINT32
    async with fields.modbus_clients(port) as clients, broker.session():

        async def read(client: AsyncModbusTcpClient) -> None:
            answer = await client.read_holding_registers(0, count=fields.REGISTERS, device_id=1)
            values = client.convert_from_registers(answer.registers, kind)
            sent = broker.post("bench/values", orjson.dumps(values))
            if broker.inflight > 200:
                await sent

        return (await repeat([partial(read, client) for client in clients], seconds=seconds)).cpu


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
        before, before_cycles = gateway.facts().counters, cycles(gateway)
        cpu, wall = time.process_time(), time.monotonic()
        await asyncio.sleep(seconds)
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        after, done = gateway.facts().counters, cycles(gateway) - before_cycles
        frames = after.accepted - before.accepted
        live = after.live_published - before.live_published
        lost = sum(gateway.outbox.lost.values())
    note = f"{done / wall:,.0f} reads/s, {cpu / wall:.0%} of a core, {frames / wall:,.0f} frames/s, {live / wall:,.0f} live/s"
    return done / cpu, note + (f", {lost} frames refused by the disk log" if lost else "")


def cycles(gateway: Gateway) -> int:
    """Reads made since the start."""
    return sum(device.counters.cycles for device in gateway.links.devices())


def run(*, seconds: float = 6.0) -> list[Figure]:
    """Every rival, and the bare chain."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        broker = new_broker(home, options=("max_inflight_messages 1000", "max_queued_messages 100000")).start()
        try:
            with process(historian, broker.url):
                for number, rival in enumerate(RIVALS):
                    figures += _against(rival, home / str(number), broker.url, seconds)
        finally:
            broker.kill()
    return figures


def _against(rival: Rival, home: Path, url: str, seconds: float) -> list[Figure]:
    with served(rival.open) as ports:
        found, note = asyncio.run(whole(rival.devices(ports), home, url, seconds))
        limit = asyncio.run(rival.bare(ports, seconds))
        beside = Figure(
            name=f"gateway per core, {rival.what}",
            value=found,
            unit="reads/s",
            limit=limit,
            limit_name=rival.bare_name,
            ratio_at_least=0.8,
            note=note,
        )
        if not rival.moving:
            return [beside]
        changing = "  changing tags, device to broker, per core"
        made = [beside, Figure(name=changing, value=found * rival.moving, unit="tags/s")]
        if rival.bare is not fields.bare_modbus:
            return made
        chain = asyncio.run(bare_chain(ports[0], url, seconds))
    name = "  the same beside pymodbus, its decoder, JSON and one publish"
    return [*made, Figure(name=name, value=found, unit="reads/s", limit=chain, limit_name="bare chain")]


if __name__ == "__main__":
    print(machine())
    for figure in run(seconds=float(sys.argv[1]) if sys.argv[1:] else 6.0):
        print(figure.line())
