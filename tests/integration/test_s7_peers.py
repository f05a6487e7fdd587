"""S7 against implementations that nobody here wrote: python-snap7, npm nodes7, and npm node-snap7 (the C library)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nexus_cli.drivers.base import DriverError, Fault, Scope, points_of
from nexus_cli.drivers.s7.driver import DRIVER
from nexus_cli.drivers.s7.session import S7Session
from nexus_cli.drivers.s7.simulator import SimulatorServer, serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.wire.sample import Reason, Value
from tests.contract.driver_cases import S7, s7_connection, s7_device
from tests.node_peers import node_with, run_node
from tests.servers import free_port
from tests.waiting import PATIENCE_S


@asynccontextmanager
async def simulator() -> AsyncIterator[tuple[SimulatorServer, str]]:
    device = s7_device(0, 0)
    server = await serve([device])
    try:
        yield server, device.path
    finally:
        await server.close()


async def test_our_simulator_with_python_snap7() -> None:
    snap7 = pytest.importorskip("snap7", reason="no python-snap7: pip install python-snap7")
    async with simulator() as (server, path):
        client = snap7.AsyncClient()
        await client.connect("127.0.0.1", 0, 1, server.port)
        try:
            assert client.pdu_length == 240
            assert int.from_bytes(await client.db_read(1, 20, 2), "big", signed=True) == S7.values["int"]
            assert bytes(await client.db_read(1, 128, 22)) == b"\x14\x06gr\xf6\xdfer".ljust(22, b"\0")
            assert int.from_bytes(await client.mb_read(104, 2), "big") == 301
            await client.db_write(1, 32, (99).to_bytes(4, "big"))
            with pytest.raises(snap7.error.S7Error):
                await client.db_read(1, 30000, 2)
            with pytest.raises(snap7.error.S7Error):
                await client.db_read(77, 0, 2)
            assert (await client.list_blocks()).DBCount == 1
            assert (await client.get_block_info(snap7.type.Block.DB, 1)).MC7Size == 2002
            assert (await client.get_cpu_info()).ModuleTypeName == b"CPU 1214C DC/DC/DC"
            assert (await client.get_order_code()).OrderCode == b"6ES7 214-1AG40-0XB0"
            assert server.values(path)["dint"] == 99
        finally:
            await client.disconnect()


async def test_a_wrong_slot_is_refused_to_python_snap7() -> None:
    snap7 = pytest.importorskip("snap7", reason="no python-snap7: pip install python-snap7")
    async with simulator() as (server, _):
        client = snap7.AsyncClient()
        with pytest.raises(snap7.error.S7Error):
            await client.connect("127.0.0.1", 0, 5, server.port)


def plc(port: int) -> DeviceConfig:
    """What both foreign servers hold: 300 bytes of DB1 and eight of M."""
    tags = {
        "real": TagConfig(type="float32", address="%DB1:0:REAL"),
        "int": TagConfig(type="int16", address="%DB1:4:INT"),
        "bit": TagConfig(type="bool", address="%DB1:6.2:BOOL"),
        "text": TagConfig(type="string[20]", address="%DB1:10:STRING(20)"),
        "bytes": TagConfig(type="uint8[260]", address="%DB1:32:BYTE[260]"),
        "marker": TagConfig(type="uint16", address="%M2:WORD"),
        "last": TagConfig(type="uint16", address="%DB1:298:WORD"),
        "behind": TagConfig(type="uint16", address="%DB1:300:WORD"),
        "nowhere": TagConfig(type="uint16", address="%DB9:0:WORD"),
        "nowhere-2": TagConfig(type="uint16", address="%DB9:2:WORD"),
    }
    return DeviceConfig(path="a/l/d", protocol="s7", connection=s7_connection(port, timeout=2000), tags=tags)


MEMORY = {
    "real": 1.5,
    "int": -7,
    "bit": True,
    "text": "hello",
    "bytes": [7] + [0] * 259,
    "marker": 0x0304,
    "last": 0xBEEF,
}
WRITES: dict[str, Value] = {
    "real": 2.5,
    "int": 321,
    "text": "world wide",
    "marker": 513,
    "bytes": [number % 251 for number in range(260)],
}


def memory() -> bytearray:
    """DB1 of both foreign servers."""
    block = bytearray(300)
    block[0:6] = b"\x3f\xc0\0\0\xff\xf9"
    block[6] = 0b0101
    block[10:17] = b"\x14\x05hello"
    block[32] = 7
    block[298:300] = b"\xbe\xef"
    return block


async def everything(session: S7Session, device: DeviceConfig) -> tuple[dict[str, Value], dict[str, Fault]]:
    """Every tag, as the supervisor reads them: a refused request is read tag by tag."""
    values: dict[str, Value] = {}
    faults: dict[str, Fault] = {}
    waiting = list(DRIVER.group(device, points_of(device)))
    while waiting:
        request = waiting.pop()
        try:
            result = await session.read(request)
        except DriverError as error:
            assert error.scope is Scope.REQUEST
            assert len(request.points) > 1
            waiting += DRIVER.group(device, request.points, fill_gaps=False)
            continue
        for place, point in enumerate(request.points):
            values[point.name] = result.values[place]
            if place in result.faults:
                faults[point.name] = result.faults[place]
    return values, faults


async def prove(port: int, *, bits: bool) -> None:
    """Read, write and read again what a foreign server holds."""
    device = plc(port)
    session = await DRIVER.connect([device], home=".")
    try:
        values, faults = await everything(session, device)
        assert {name: value for name, value in values.items() if name not in faults} == MEMORY
        assert set(faults) == {"behind", "nowhere", "nowhere-2"}
        assert {fault.reason for fault in faults.values()} == {Reason.ILLEGAL_ADDRESS}
        points = {point.name: point for point in points_of(device)}
        writes = {**WRITES, "bit": False} if bits else WRITES
        for name, value in writes.items():
            await session.write(device.path, points[name], value)
        for name in ("behind", "nowhere"):
            with pytest.raises(DriverError) as caught:
                await session.write(device.path, points[name], 1)
            assert caught.value.scope is Scope.ITEM
        values, _ = await everything(session, device)
        assert {name: values[name] for name in MEMORY} == {**MEMORY, **writes}
        await session.check()
    finally:
        await session.close()


async def test_our_driver_with_python_snap7_server() -> None:
    """Its server executes the write of a bit wrongly, so that one is left to the C library."""
    snap7 = pytest.importorskip("snap7", reason="no python-snap7: pip install python-snap7")
    port = free_port()
    server = snap7.Server(log=False)
    server.register_area(snap7.type.SrvArea.DB, 1, memory())
    server.register_area(snap7.type.SrvArea.MK, 0, bytearray(range(1, 9)))
    server.start_to("127.0.0.1", port)
    try:
        await prove(port, bits=False)
    finally:
        server.stop()


async def _answer(node: str, script: str, port: int) -> Any:
    process = await run_node(node, "-e", script, str(port))
    async with asyncio.timeout(PATIENCE_S):
        stdout, stderr = await process.communicate()
    assert process.returncode == 0, stderr.decode()
    return json.loads(stdout)


NODES7 = """
const nodes7 = require("nodes7"); const c = new nodes7({silent: true});
c.initiateConnection({port: +process.argv[1], host: "127.0.0.1", rack: 0, slot: 1, timeout: 3000}, err => {
  if (err) { console.error(err); process.exit(1); }
  const v = {int: "DB1,INT20", real: "DB1,REAL36", bool: "DB1,X0.3", text: "DB1,S128.20", dint: "DB1,DINT32",
    marker: "MW104", array: "DB1,REAL116.3", far: "DB1,WORD2000", lreal: "DB1,LREAL64", gone: "DB1,INT30000"};
  c.setTranslationCB(tag => v[tag]); c.addItems(Object.keys(v));
  c.readAllItems((bad, out) => c.writeItems(["int", "bool", "real"], [321, false, 2.5], () => {
    console.log(JSON.stringify(out)); c.dropConnection(() => process.exit(0)); }));
});
"""


async def test_our_simulator_with_nodes7() -> None:
    node = node_with("nodes7")
    async with simulator() as (server, path):
        found = await _answer(node, NODES7, server.port)
        held = server.values(path)
    assert found.pop("gone").startswith("BAD")
    assert found == {name: S7.values[name] for name in found}
    assert len(found) == 9
    assert (held["int"], held["bool"], held["real"]) == (321, False, 2.5)


CLIENT = """
const s = require("node-snap7"); const c = new s.S7Client(); c.SetParam(c.RemotePort, +process.argv[1]);
if (!c.ConnectTo("127.0.0.1", 0, 1)) { console.error(c.ErrorText(c.LastError())); process.exit(1); }
const bytes = c.S7WLByte, db = c.S7AreaDB, out = {pdu: c.PDULength()};
out.int = c.DBRead(1, 20, 2).readInt16BE(); out.marker = c.MBRead(104, 2).readInt16BE();
out.long = c.DBRead(1, 0, 500).length; out.timer = c.TMRead(1, 1).toString("hex"); out.counter = c.CTRead(1, 1).toString("hex");
out.multi = c.ReadMultiVars([
  {Area: db, WordLen: bytes, DBNumber: 1, Start: 36, Amount: 4}, {Area: db, WordLen: bytes, DBNumber: 1, Start: 30000, Amount: 4},
  {Area: c.S7AreaMK, WordLen: bytes, DBNumber: 0, Start: 104, Amount: 2}]).map(x => x.Data ? x.Data.toString("hex") : null);
out.wrote = c.WriteArea(db, 1, 3, 1, c.S7WLBit, Buffer.from([0]));
out.bit = c.ReadArea(db, 1, 3, 1, c.S7WLBit)[0];
out.blocks = c.ListBlocksOfType(c.Block_DB); out.size = c.GetAgBlockInfo(c.Block_DB, 1).MC7Size;
out.order = c.GetOrderCode().Code.trim(); out.module = c.GetCpuInfo().ModuleTypeName; out.state = c.PlcStatus();
out.protection = c.GetProtection().sch_rel;
out.missing = c.DBRead(99, 0, 5) || c.ErrorText(c.LastError());
console.log(JSON.stringify(out)); c.Disconnect();
"""

SERVER = """
const s = require("node-snap7"); const server = new s.S7Server();
server.SetParam(server.LocalPort, +process.argv[1]);
server.RegisterArea(server.srvAreaDB, 1, Buffer.from(process.argv[2], "hex"));
server.RegisterArea(server.srvAreaMK, Buffer.from([1, 2, 3, 4, 5, 6, 7, 8]));
if (!server.StartTo("127.0.0.1")) { console.error(server.ErrorText(server.LastError())); process.exit(1); }
console.log("ready"); process.stdin.on("end", () => process.exit(0)); process.stdin.resume();
"""


async def test_our_simulator_with_the_c_library() -> None:
    node = node_with("node-snap7")
    async with simulator() as (server, path):
        found = await _answer(node, CLIENT, server.port)
        held = server.values(path)
    assert found == {
        "pdu": 240,
        "int": -12345,
        "marker": 301,
        "long": 500,
        "timer": "0999",
        "counter": "0321",
        "multi": ["43668000", None, "012d"],
        "wrote": True,
        "bit": 0,
        "blocks": [1],
        "size": 2002,
        "order": "6ES7 214-1AG40-0XB0",
        "module": "CPU 1214C DC/DC/DC",
        "state": 8,
        "protection": 1,
        "missing": "CPU : Item not available",
    }
    assert held["bool"] is False
    assert {name: held[name] for name in ("int", "dint")} == {name: S7.values[name] for name in ("int", "dint")}


async def test_our_driver_with_the_c_library() -> None:
    node, port = node_with("node-snap7"), free_port()
    process = await run_node(node, "-e", SERVER, str(port), memory().hex())
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await process.stdout.readline() == b"ready\n"
        await prove(port, bits=True)
        session = await DRIVER.connect([plc(port)], home=".")
        found = [browsed async for browsed in session.browse()]
        await session.close()
    finally:
        process.kill()
        await process.wait()
    facts = found[0].detail["facts"]
    assert (facts["order_code"], facts["state"], facts["protection"]) == ("6ES7 315-2EH14-0AB0", "run", "1")
    assert [(one.path, one.detail["length"]) for one in found if "length" in one.detail] == [(("DB1",), 300)]
