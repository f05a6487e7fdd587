"""Servers that are none: a plain sentence each time, and nothing else."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.drivers.opcua.driver import OpcuaDriver
from nexus_cli.model.config import DeviceConfig, TagConfig

pytestmark = pytest.mark.own_time

TYPES = ("float64", "string", "int16[3]", "json", "datetime")


def device(port: int = 0) -> DeviceConfig:
    return DeviceConfig(
        path="area/line/garbled",
        protocol="opcua",
        connection={"endpoint": f"opc.tcp://127.0.0.1:{port}", "timeout": 150, "connect_timeout": 300},
        tags={f"v{at}": TagConfig(type=kind, address=f"nsu=urn:x;s=V{at}") for at, kind in enumerate(TYPES)},
    )


@asynccontextmanager
async def answering(data: bytes) -> AsyncIterator[int]:
    """Something that answers everything with the same bytes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(data)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        bytes(range(64)),
        b"ACKF" + struct.pack("<I", 28) + bytes(20),
        b"ACKF" + struct.pack("<I", 8),
        b"ERRF" + struct.pack("<IIi", 16, 0x80010000, -1),
        b"MSGF" + struct.pack("<I", 0xFFFFFFFF),
    ],
)
async def test_what_is_no_server_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    async with answering(data) as port:
        with pytest.raises(DriverError) as caught:
            await OpcuaDriver().connect([device(port)], home=str(tmp_path))
    assert caught.value.scope is Scope.SESSION
    assert caught.value.retriable
    assert f"127.0.0.1:{port}" in caught.value.message
