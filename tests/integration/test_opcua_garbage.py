"""Servers that are none, or that garble what they send: a DriverError each time, and nothing else."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nexus_cli.drivers.base import DriverError, Scope, points_of
from nexus_cli.drivers.opcua.driver import OpcuaDriver
from nexus_cli.drivers.opcua.simulator import serve
from nexus_cli.model.config import DeviceConfig, TagConfig

ROUNDS = 60
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


@asynccontextmanager
async def garbling(port: int, chance: random.Random) -> AsyncIterator[int]:
    """A proxy that flips bytes of every third answer."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, garble: bool) -> None:
        try:
            while data := bytearray(await reader.read(65536)):
                if garble and len(data) > 30 and chance.random() < 0.3:
                    for _ in range(chance.choice((1, 1, 3))):
                        data[chance.randrange(8, len(data))] = chance.randrange(256)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(reader, back, garble=False))
            group.create_task(pump(there, writer, garble=True))

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


async def test_garbled_answers_never_break_out(tmp_path: Path) -> None:
    chance = random.Random(7)
    server = await serve([device()])
    driver = OpcuaDriver()
    failed = 0

    async def use(port: int) -> None:
        config = device(port)
        session = await driver.connect([config], home=str(tmp_path))
        try:
            points = points_of(config)
            await session.subscribe(config.path, points, interval_ms=[50] * len(points), sink=lambda *_: None)
            for _ in range(4):
                for request in driver.group(config, points):
                    await session.read(request)
                await session.check()
        finally:
            await session.close()

    try:
        for _ in range(ROUNDS):
            async with garbling(server.port, chance) as port:
                try:
                    await use(port)
                except DriverError:
                    failed += 1
    finally:
        await server.close()
    assert failed > ROUNDS / 3, "the proxy garbled too little to prove anything"
