"""Modbus against libmodbus (Debian libmodbus5), which most C programs in the field use: as server, and as client."""

from __future__ import annotations

import asyncio
import ctypes
import ctypes.util
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.drivers.base import DriverError, Scope, points_of
from nexus_cli.drivers.modbus.driver import DRIVER
from nexus_cli.drivers.modbus.simulator import serve
from nexus_cli.drivers.modbus.simulator.serial import Wire
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.wire.sample import Reason
from tests.contract.driver_cases import MODBUS, modbus_connection, modbus_device
from tests.integration.peers.libmodbus_server import library
from tests.reads import read_all
from tests.waiting import PATIENCE_S

SERVER = Path(__file__).parent / "peers" / "libmodbus_server.py"
ILLEGAL_DATA_ADDRESS = 112_345_678 + 2
"""errno of libmodbus for exception code 2. Source: modbus.h, MODBUS_ENOBASE."""

pytestmark = pytest.mark.skipif(
    ctypes.util.find_library("modbus") is None, reason="no libmodbus: apt-get install libmodbus5"
)

TAGS = {
    "word": TagConfig(type="uint16", address="holding:7", writable=True),
    "pair": TagConfig(type="uint32", address="holding:20", writable=True),
    "input": TagConfig(type="uint16", address="input:5"),
    "coils": TagConfig(type="bool[3]", address="coil:4"),
    "coil": TagConfig(type="bool", address="coil:11", writable=True),
    "discrete": TagConfig(type="bool", address="discrete:6"),
    "bit": TagConfig(type="bool", address="holding:8.3", writable=True),
}
HELD = {
    "word": 21,
    "pair": 60 << 16 | 63,
    "input": 15,
    "coils": [True, False, True],
    "coil": False,
    "discrete": True,
    "bit": True,
}
"""Registers hold three times their address, so register 8 holds 0b11000."""


@asynccontextmanager
async def libmodbus(*line: str) -> AsyncIterator[str]:
    """The server in a process of its own, on TCP or on a serial line; gives what it says when it serves: its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SERVER), *line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            said = await process.stdout.readline()
        yield said.decode().strip()
    finally:
        process.kill()
        await process.wait()


class End(asyncio.Protocol):
    """One plug of a cable: what comes in here goes out at the other one."""

    def __init__(self, *, other: End | None = None) -> None:
        self.other, self.wire = other, Wire(self)
        if other is not None:
            other.other = self

    def data_received(self, data: bytes) -> None:
        """Called by the wire."""
        assert self.other is not None
        self.other.wire.write(data)


@asynccontextmanager
async def cable() -> AsyncIterator[tuple[str, str]]:
    """Two serial lines that are one: the paths of its ends."""
    near = End()
    far = End(other=near)
    try:
        yield near.wire.name, far.wire.name
    finally:
        near.wire.abort()
        far.wire.abort()


def serial_connection(line: str) -> dict[str, Any]:
    """Where our driver finds the cable's end."""
    return {"serial": line, "framing": "rtu", "baudrate": 19_200, "parity": "none", "timeout": 500}


async def held_by(session: Any, device: DeviceConfig) -> dict[str, Any]:
    """Every tag."""
    found, faults = await read_all(session, DRIVER.group(device, points_of(device)))
    assert not faults
    return found


async def test_our_driver_with_a_libmodbus_server() -> None:
    async with libmodbus() as port:
        await use(modbus_connection(int(port)))


async def test_our_driver_with_libmodbus_on_a_serial_line() -> None:
    async with cable() as (ours, theirs), libmodbus(theirs) as said:
        assert said == "ready"
        await use(serial_connection(ours))


async def use(connection: dict[str, Any]) -> None:
    """Read, write, read back, be refused, and go on."""
    device = DeviceConfig(path="a/l/d", protocol="modbus", connection=connection, tags=TAGS)
    session = await DRIVER.connect([device], home=".")
    try:
        assert await held_by(session, device) == HELD
        points = {point.name: point for point in points_of(device)}
        written = {"word": 4711, "pair": 0xAABBCCDD, "coil": True, "bit": False}
        for name, value in written.items():
            await session.write(device.path, points[name], value)
        assert await held_by(session, device) == HELD | written
        gone = DeviceConfig(
            path=device.path,
            protocol="modbus",
            connection=connection,
            tags={"gone": TagConfig(type="uint16", address="holding:5000")},
        )
        (request,) = DRIVER.group(gone, points_of(gone))
        with pytest.raises(DriverError) as caught:
            await session.read(request)
        assert (caught.value.scope, caught.value.reason) == (Scope.REQUEST, Reason.ILLEGAL_ADDRESS)
        assert (await held_by(session, device))["word"] == 4711
    finally:
        await session.close()


async def test_our_simulator_with_a_libmodbus_client() -> None:
    made = modbus_device(0, 0)
    server = await serve([made])
    try:
        found = await asyncio.to_thread(_ask, server.port)
        held = server.values(made.path)
    finally:
        await server.close()
    assert found == {
        "i32": MODBUS.values["i32"],
        "coil": True,
        "discrete": True,
        "input": [0, 7],
        "gone": ILLEGAL_DATA_ADDRESS,
        "both": [0, 99],
    }
    assert (held["i32"], held["coil"], held["bit"]) == (99, False, False)


def _ask(port: int) -> dict[str, Any]:
    """What libmodbus reads and writes, in the order of the functions of the standard."""
    modbus = library()
    context = ctypes.c_void_p(modbus.modbus_new_tcp(b"127.0.0.1", port))
    modbus.modbus_set_slave(context, 1)
    assert modbus.modbus_connect(context) == 0
    try:
        words, bits = (ctypes.c_uint16 * 10)(), (ctypes.c_uint8 * 10)()
        found: dict[str, Any] = {}
        assert modbus.modbus_read_registers(context, 8, 2, words) == 2
        found["i32"] = ctypes.c_int32(words[0] << 16 | words[1]).value
        assert modbus.modbus_read_bits(context, 3, 1, bits) == 1
        found["coil"] = bool(bits[0])
        assert modbus.modbus_read_input_bits(context, 0, 1, bits) == 1
        found["discrete"] = bool(bits[0])
        assert modbus.modbus_read_input_registers(context, 100, 2, words) == 2
        found["input"] = list(words[:2])
        assert modbus.modbus_write_bit(context, 3, 0) == 1
        assert modbus.modbus_mask_write_register(context, 0, 0xFFF7, 0) == 1
        sent = (ctypes.c_uint16 * 2)(0, 99)
        assert modbus.modbus_write_registers(context, 8, 2, sent) == 2
        assert modbus.modbus_read_registers(context, 8, 2, words) == 2
        found["both"] = list(words[:2])
        assert modbus.modbus_read_registers(context, 30000, 1, words) == -1
        found["gone"] = ctypes.get_errno()
        return found
    finally:
        modbus.modbus_close(context)
        modbus.modbus_free(context)
