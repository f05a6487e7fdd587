"""A whole command against servers that nobody here wrote: broker, gateway, write, read back, answer, row."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexus_cli.database.connect import connection
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.proof import same_raw
from nexus_cli.runtime.historian.command_rows import record_reports
from nexus_cli.runtime.historian.dead_letters import DeadLetters
from nexus_cli.settings import Settings
from nexus_cli.wire.sample import Value
from tests.command_rows import commands
from tests.commanding import GW, Bench
from tests.contract.driver_cases import modbus_connection
from tests.integration import test_modbus_peers as modbus
from tests.integration import test_opcua_peers as opcua
from tests.integration import test_s7_peers as s7
from tests.node_peers import node_with, run_node
from tests.servers import TestBroker, free_port
from tests.waiting import PATIENCE_S, until

pytestmark = [pytest.mark.needs_broker, pytest.mark.needs_database]
Peer = Callable[[Path], AbstractAsyncContextManager[DeviceConfig]]


@asynccontextmanager
async def node_opcua(folder: Path) -> AsyncIterator[DeviceConfig]:
    async with opcua.served(str(folder), most=100) as port:
        yield opcua.device(port)


@asynccontextmanager
async def modbus_serial(_: Path) -> AsyncIterator[DeviceConfig]:
    process = await run_node(node_with("modbus-serial"), "-e", modbus.SERVER)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            port = int(await process.stdout.readline())
        tags = {
            "word": TagConfig(type="uint16", address="holding:7"),
            "real": TagConfig(type="float32", address="holding:20"),
            "long": TagConfig(type="int64", address="holding:30"),
            "tenths": TagConfig(type="int16", address="holding:40", scale=0.1, published_type="float64", range=(0, 90)),
        }
        yield DeviceConfig(path="a/l/d", protocol="modbus", connection=modbus_connection(port, unit_id=3), tags=tags)
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def node_snap7(_: Path) -> AsyncIterator[DeviceConfig]:
    node, port = node_with("node-snap7"), free_port()
    process = await run_node(node, "-e", s7.SERVER, str(port), s7.memory().hex())
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await process.stdout.readline() == b"ready\n"
        yield s7.plc(port)
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def python_snap7(_: Path) -> AsyncIterator[DeviceConfig]:
    snap7 = pytest.importorskip("snap7", reason="no python-snap7: pip install python-snap7")
    port = free_port()
    server = snap7.Server(log=False)
    server.register_area(snap7.type.SrvArea.DB, 1, s7.memory())
    server.register_area(snap7.type.SrvArea.MK, 0, bytearray(range(1, 9)))
    server.start_to("127.0.0.1", port)
    try:
        yield s7.plc(port)
    finally:
        server.stop()


CASES: dict[str, tuple[Peer, Mapping[str, Value], tuple[str, Value]]] = {
    "node-opcua": (node_opcua, opcua.WRITES, ("i16", 40_000)),
    "modbus-serial": (
        modbus_serial,
        {"word": 4711, "real": -1.5, "long": -(2**53) - 1, "tenths": 42.5},
        ("tenths", 90.1),
    ),
    "node-snap7": (node_snap7, {**s7.WRITES, "bit": False}, ("int", 40_000)),
    "python-snap7": (python_snap7, s7.WRITES, ("int", 40_000)),
}


def writable(device: DeviceConfig, names: set[str]) -> DeviceConfig:
    """The tags that are written, and no others: a peer's faults are not what is looked at here."""
    tags = {name: msgspec.structs.replace(device.tags[name], writable=True) for name in names}
    return msgspec.structs.replace(device, tags=tags, gateway=GW, link=f"{device.protocol}:peer")


@pytest.mark.parametrize("name", CASES)
async def test_a_whole_command(name: str, broker: TestBroker, database: Settings, tmp_path: Path) -> None:
    serve, writes, (unfit, wrong) = CASES[name]
    async with serve(tmp_path / "peer") as plain:
        device = writable(plain, {*writes, unfit})
        bench = Bench(broker, tmp_path / "home", [device])
        answers: dict[str, Any] = {}
        async with bench.running():
            for tag, value in writes.items():
                found = await bench.asker.ask(f"{device.path}/{tag}", value, reason=tag)
                assert found["state"] == "done", (tag, value, found)
                assert same_raw(device.tags[tag].type, value, found["read_back"]), (tag, value, found)
                answers[found["id"]] = found
            refused = await bench.asker.ask(f"{device.path}/{unfit}", wrong)
            assert refused["state"] == "refused", refused
            await until(lambda: {*answers, refused["id"]} <= set(bench.asker.reports))
    letters = DeadLetters()
    async with connection(database) as conn:
        async with conn.transaction():
            await record_reports(conn, "acme/chicago", list(bench.asker.reports.values()), letters)
        rows = {row["id"]: row for row in await commands(conn, "acme/chicago", limit=100)}
        audited = await conn.fetchval("SELECT count(*) FROM nexus.audit WHERE what = 'command'")
    assert len(letters) == 0 and audited == len(rows) == len(writes) + 1
    for one, answer in answers.items():
        row = rows[one]
        assert (row["state"], row["path"], row["principal"]) == ("done", answer["path"], "desk")
        assert json.dumps(row["read_back"]) == json.dumps(answer["read_back"]), row
    assert rows[refused["id"]]["code"] in ("NX6806", "NX6807")
