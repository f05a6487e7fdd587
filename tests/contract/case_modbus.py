"""Modbus in the contract suite: over TCP, in RTU frames over TCP, on a serial line."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from nexus_cli.drivers.modbus.simulator import serve as serve_modbus
from nexus_cli.drivers.modbus.simulator.serial import SerialSimulator, serve_serial
from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.contract.driver_case import CONNECT_TIMEOUT_MS, TIMEOUT_MS, DriverCase, constant, retyped, values_of
from tests.garble import BadLine, bad_serial


def modbus_tags() -> dict[str, TagConfig]:
    """Every type, the four orders, bits, halves, strings in three layouts, arrays; gaps between some."""
    return {
        "coil": constant("bool", "coil:3", True, writable=True),
        "coils": constant("bool[5]", "coil:9", True),
        "discrete": constant("bool", "discrete:0", True),
        "bit": constant("bool", "holding:0.3", True, writable=True),
        "bits": constant("bool[20]", "holding:1.0", True),
        "low": constant("int8", "holding:4", -5, writable=True),
        "high": constant("uint8", "holding:4", 200, options={"byte": "high"}, writable=True),
        "i16": constant("int16", "holding:5", -12345, writable=True),
        "u16": constant("uint16", "holding:6", 54321),
        "swapped": constant("uint16", "holding:7", 0x1234, options={"order": "BA"}),
        "i32": constant("int32", "holding:8", -123456789, writable=True),
        "u32": constant("uint32", "holding:10", 3_000_000_000, options={"order": "CDAB"}, writable=True),
        "f32": constant("float32", "holding:12", 230.5, options={"order": "BADC"}, writable=True),
        "f32-little": constant("float32", "holding:14", -1.25, options={"order": "DCBA"}, writable=True),
        "i64": constant("int64", "holding:16", -(2**60) - 1, writable=True),
        "u64": constant("uint64", "holding:20", 2**63 + 5, options={"order": "GHEFCDAB"}),
        "f64": constant("float64", "holding:24", 3.141592653589793, options={"order": "EFGHABCD"}, writable=True),
        "f16": constant("float16", "holding:28", 1.5),
        "text": constant("string[9]", "holding:40", "pump 7", writable=True),
        "text-low": constant("string[6]", "holding:45", "abcdef", options={"layout": "low-first"}, writable=True),
        "text-wide": constant("string[4]", "holding:48", "wide", options={"layout": "low-byte"}),
        "array": constant("float32[3]", "holding:60", [1.0, 2.5, -3.0], options={"order": "CDAB"}, writable=True),
        "bytes": constant("uint8[3]", "holding:66", [1, 2, 3]),
        "input": constant("int32", "input:100", 7),
    }


def modbus_device(number: int, port: int) -> DeviceConfig:
    """A device behind unit id `number + 1`."""
    return DeviceConfig(
        path=f"area/line/modbus-{number}",
        protocol="modbus",
        connection=modbus_connection(port, unit_id=number + 1),
        tags=modbus_tags(),
    )


def modbus_connection(port: int, **more: Any) -> dict[str, Any]:
    """Connection keys with short time-outs."""
    return {
        "host": "127.0.0.1",
        "port": port,
        "timeout": TIMEOUT_MS,
        "connect_timeout": CONNECT_TIMEOUT_MS,
        **more,
    }


def modbus_limited(port: int) -> DeviceConfig:
    """A device that gives ten registers and sixteen bits a read."""
    tags = {f"r{at}": constant("float32", f"holding:{at * 2}", float(at)) for at in range(40)}
    tags |= {f"c{at}": constant("bool", f"coil:{at}", at % 3 == 0) for at in range(50)}
    return DeviceConfig(
        path="area/line/limited",
        protocol="modbus",
        connection=modbus_connection(port, max_read=11, max_read_bits=16),
        tags=tags,
    )


MODBUS = DriverCase(
    name="modbus",
    device=modbus_device,
    values=values_of(modbus_tags()) | {"coils": [True] * 5, "bits": [True] * 20},
    writes={
        "coil": False,
        "bit": False,
        "low": 17,
        "high": 1,
        "i16": 321,
        "i32": 2**31 - 1,
        "u32": 1,
        "f32": 1.5,
        "f32-little": 7.75,
        "i64": -(2**63),
        "f64": 2.5e-300,
        "text": "größer",
        "text-low": "odd",
        "array": [9.0, 8.0, 7.0],
    },
    misfits=(("i16", 40_000), ("i16", "four"), ("coil", 7), ("text", "much too long"), ("i32", 1.5), ("array", [1.0])),
    ghost=TagConfig(type="uint16", address="holding:30000"),
    limited=modbus_limited,
    keeps_limits=lambda request: request.detail.count <= (16 if request.detail.function in (1, 2) else 11),
    serve=serve_modbus,
    retyped=retyped(modbus_tags(), i16="uint16", u16="int16"),
    retyped_values={"i16": 53_191, "u16": -11_215},
)


def modbus_rtu() -> DriverCase:
    """The same, in RTU frames over TCP."""

    def framed(device: DeviceConfig) -> DeviceConfig:
        return msgspec.structs.replace(device, connection={**device.connection, "framing": "rtu-over-tcp"})

    fields = {**MODBUS.__dict__, "name": "modbus-rtu-over-tcp"}
    fields["device"] = lambda number, port: framed(modbus_device(number, port))
    fields["limited"] = lambda port: framed(modbus_limited(port))
    return DriverCase(**fields)


MODBUS_RTU = modbus_rtu()

_LINES = Path(tempfile.gettempdir()) / f"nexus-contract-{os.getpid()}"
_numbers = count(1)


def serial_connection(number: int, **more: Any) -> dict[str, Any]:
    """Connection keys of the line with a number; a pseudo-terminal has no parity."""
    return {
        "serial": f"{_LINES}-{number}",
        "framing": "rtu",
        "baudrate": 19_200,
        "parity": "none",
        "timeout": TIMEOUT_MS,
        "connect_timeout": CONNECT_TIMEOUT_MS,
        **more,
    }


async def serve_line(devices: Sequence[DeviceConfig], *, port: int = 0) -> SerialSimulator:
    """A simulator on a pair of pseudo-terminals; its port is the number in the line's path."""
    number = port or next(_numbers)
    server = await serve_serial(devices, device=f"{_LINES}-{number}")
    server.port = number
    return server


@asynccontextmanager
async def mute_line() -> AsyncIterator[int]:
    """A line that nobody answers on."""
    server = await serve_line([])
    try:
        yield server.port
    finally:
        await server.close()


@asynccontextmanager
async def bad_wire(port: int) -> AsyncIterator[BadLine]:
    """A bad line to the line with a number."""
    number = next(_numbers)
    async with bad_serial(f"{_LINES}-{port}", f"{_LINES}-{number}") as line:
        line.port = number
        yield line


def modbus_serial() -> DriverCase:
    """The same on a serial line."""

    def on_line(device: DeviceConfig, number: int) -> DeviceConfig:
        kept = {key: value for key, value in device.connection.items() if key not in ("host", "port")}
        return msgspec.structs.replace(device, connection={**kept, **serial_connection(number)})

    fields = {**MODBUS.__dict__, "name": "modbus-serial", "serve": serve_line}
    fields["device"] = lambda number, port: on_line(modbus_device(number, port), port)
    fields["limited"] = lambda port: on_line(modbus_limited(port), port)
    fields["losses"], fields["losing_timeout_ms"] = 100, 100
    fields["mute"], fields["bad_line"] = mute_line, bad_wire
    return DriverCase(**fields)


MODBUS_SERIAL = modbus_serial()
