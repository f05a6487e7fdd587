"""Modbus against implementations that nobody here wrote: pymodbus's server and client, and npm modbus-serial."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient

from nexus_cli.drivers.base import DriverError, Scope, points_of
from nexus_cli.drivers.modbus.driver import DRIVER
from nexus_cli.drivers.modbus.simulator import SimulatorServer, serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.wire.sample import Reason
from tests.contract.driver_cases import MODBUS, modbus_connection, modbus_device
from tests.node_peers import node_with, run_node
from tests.waiting import PATIENCE_S


@asynccontextmanager
async def simulator(framing: str = "tcp") -> AsyncIterator[tuple[SimulatorServer, DeviceConfig]]:
    made = modbus_device(0, 0)
    device = DeviceConfig(
        path=made.path, protocol="modbus", connection={**made.connection, "framing": framing}, tags=made.tags
    )
    server = await serve([device])
    device.connection["port"] = server.port
    try:
        yield server, device
    finally:
        await server.close()


@pytest.mark.parametrize("framing", ["tcp", "rtu-over-tcp"])
async def test_our_simulator_with_pymodbus_client(framing: str) -> None:
    async with simulator(framing) as (server, device):
        framer = FramerType.SOCKET if framing == "tcp" else FramerType.RTU
        client = AsyncModbusTcpClient("127.0.0.1", port=server.port, framer=framer, timeout=2, retries=0)
        assert await client.connect()
        try:
            read = await client.read_holding_registers(8, count=2, device_id=1)
            assert client.convert_from_registers(read.registers, client.DATATYPE.INT32) == MODBUS.values["i32"]
            read = await client.read_holding_registers(24, count=4, device_id=1)
            assert len(read.registers) == 4
            assert (await client.read_coils(3, count=1, device_id=1)).bits[0] is True
            assert (await client.read_discrete_inputs(0, count=1, device_id=1)).bits[0] is True
            assert (await client.read_input_registers(100, count=2, device_id=1)).registers == [0, 7]
            await client.write_registers(8, [0, 99], device_id=1)
            await client.write_coil(3, False, device_id=1)
            await client.write_coils(9, [False] * 5, device_id=1)
            await client.mask_write_register(address=0, and_mask=0xFFF7, or_mask=0, device_id=1)
            held = server.values(device.path)
            assert (held["i32"], held["coil"], held["coils"], held["bit"]) == (99, False, [False] * 5, False)
            assert (await client.read_holding_registers(30000, count=1, device_id=1)).exception_code == 2
            assert (await client.read_holding_registers(0, count=1, device_id=77)).exception_code == 0x0B
        finally:
            client.close()


async def test_our_driver_with_pymodbus_server() -> None:
    from pymodbus.server import ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    block = [SimData(0, values=[0x4366, 0x8000, 0xFFFE, 0x1234, 5, 6, 7, 8], datatype=DataType.REGISTERS)]
    peer = ModbusTcpServer(SimDevice(id=1, simdata=block), address=("127.0.0.1", 0))
    await peer.serve_forever(background=True)
    port = peer.transport.sockets[0].getsockname()[1]
    device = DeviceConfig(
        path="a/l/d",
        protocol="modbus",
        connection=modbus_connection(port),
        tags={
            "f": TagConfig(type="float32", address="holding:0"),
            "i": TagConfig(type="int16", address="holding:2"),
            "b": TagConfig(type="bool", address="holding:3.2", writable=True),
            "high": TagConfig(type="uint8", address="holding:3", options={"byte": "high"}),
            "w": TagConfig(type="uint32", address="holding:4", options={"order": "CDAB"}, writable=True),
            "gone": TagConfig(type="uint16", address="holding:400"),
        },
    )
    session = await DRIVER.connect([device], home=".")
    try:
        good, gone = DRIVER.group(device, points_of(device))
        result = await session.read(good)
        found = {point.name: value for point, value in zip(good.points, result.values, strict=True)}
        assert found == {"f": 230.5, "i": -2, "b": True, "high": 0x12, "w": 0x00060005}
        with pytest.raises(DriverError) as caught:
            await session.read(gone)
        assert (caught.value.scope, caught.value.reason) == (Scope.REQUEST, Reason.ILLEGAL_ADDRESS)
        points = {point.name: point for point in points_of(device)}
        await session.write(device.path, points["w"], 0xAABBCCDD)
        await session.write(device.path, points["b"], False)
        await session.write(device.path, points["high"], 0xEE)
        result = await session.read(good)
        found = {point.name: value for point, value in zip(good.points, result.values, strict=True)}
        assert (found["w"], found["b"], found["high"]) == (0xAABBCCDD, False, 0xEE)
    finally:
        await session.close()
        await peer.shutdown()


CLIENT = """
const M = require("modbus-serial"); const c = new M();
(async () => {
  await c.connectTCP("127.0.0.1", {port: +process.argv[1]}); c.setID(1); c.setTimeout(2000);
  const out = {};
  out.i32 = (await c.readHoldingRegisters(8, 2)).buffer.readInt32BE();
  out.coil = (await c.readCoils(3, 1)).data[0];
  out.input = (await c.readInputRegisters(100, 2)).data;
  await c.writeRegister(5, 321); await c.writeRegisters(8, [0, 42]); await c.writeCoils(9, [false,false,false,false,false]);
  try { await c.readHoldingRegisters(30000, 1); } catch (e) { out.code = e.modbusCode; }
  const many = await Promise.all([0,1,2,3].map(i => c.readHoldingRegisters(8 + 2 * i, 2)));
  out.pipelined = many.length;
  console.log(JSON.stringify(out)); c.close(() => process.exit(0));
})().catch(e => { console.error(e); process.exit(1); });
"""

SERVER = """
const M = require("modbus-serial"); const held = {};
const vector = {
  getHoldingRegister: (a, u) => a in held ? held[a] : a * u,
  getInputRegister: (a, u) => a + 1000, getCoil: (a, u) => a % 2 === 0, getDiscreteInput: (a, u) => a % 3 === 0,
  setRegister: (a, v, u) => { held[a] = v; }, setCoil: (a, v, u) => {},
};
const s = new M.ServerTCP(vector, {host: "127.0.0.1", port: 0, debug: false, unitID: 0});
s._server.on("listening", () => console.log(s._server.address().port));
process.stdin.on("end", () => process.exit(0)); process.stdin.resume();
"""


async def test_our_simulator_with_modbus_serial_client() -> None:
    node = node_with("modbus-serial")
    async with simulator() as (server, device):
        process = await run_node(node, "-e", CLIENT, str(server.port))
        async with asyncio.timeout(PATIENCE_S):
            stdout, stderr = await process.communicate()
        assert process.returncode == 0, stderr.decode()
        held = server.values(device.path)
    assert json.loads(stdout) == {"i32": -123456789, "coil": True, "input": [0, 7], "code": 2, "pipelined": 4}
    assert (held["i16"], held["i32"], held["coils"]) == (321, 42, [False] * 5)


async def test_our_driver_with_modbus_serial_server() -> None:
    node = node_with("modbus-serial")
    process = await run_node(node, "-e", SERVER)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            port = int(await process.stdout.readline())
        device = DeviceConfig(
            path="a/l/d",
            protocol="modbus",
            connection=modbus_connection(port, unit_id=3),
            tags={
                "h": TagConfig(type="uint16", address="holding:7", writable=True),
                "i": TagConfig(type="uint16", address="input:5"),
                "c": TagConfig(type="bool[3]", address="coil:4"),
                "d": TagConfig(type="bool", address="discrete:6"),
            },
        )
        session = await DRIVER.connect([device], home=".")
        try:
            found = {}
            for request in DRIVER.group(device, points_of(device)):
                result = await session.read(request)
                found |= {point.name: value for point, value in zip(request.points, result.values, strict=True)}
            assert found == {"h": 21, "i": 1005, "c": [True, False, True], "d": True}
            point = next(point for point in points_of(device) if point.name == "h")
            await session.write(device.path, point, 4711)
            (request,) = DRIVER.group(device, [point])
            assert (await session.read(request)).values == [4711]
        finally:
            await session.close()
    finally:
        process.kill()
        await process.wait()
