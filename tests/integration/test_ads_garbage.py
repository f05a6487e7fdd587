"""Garbage and late answers cost a link, never more."""

from __future__ import annotations

import asyncio
import struct

import pytest

from nexus_cli.drivers.ads import frame
from nexus_cli.drivers.ads.driver import DRIVER
from nexus_cli.drivers.base import Scope, points_of
from tests.heard import Heard
from tests.integration.ads_plant import PATH, device, fails, plant

pytestmark = pytest.mark.own_time


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 64,
        struct.pack("<HI", 0, 0xFFFFFFFF) + bytes(64),
        struct.pack("<HI", 0, 3) + bytes(64),
        struct.pack("<HI", 0x1001, 1 << 30) + bytes(64),
        frame.HEADER.pack(0, 40, bytes(8), bytes(8), 9, 5, 4_000, 0, 1) + bytes(8),
    ],
    ids=["http", "huge", "short", "router-note", "two-lengths"],
)
async def test_garbage_ends_the_link_at_once(garbage: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(38)
        writer.write(garbage)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    config = device(server.sockets[0].getsockname()[1])
    loop = asyncio.get_running_loop()
    began = loop.time()
    error = await fails(DRIVER.connect([config], home="."))
    assert error.scope is Scope.SESSION
    assert "not AMS/TCP" in error.message
    assert loop.time() - began < 0.25, "it waited for its time-out"
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("seed", range(12))
async def test_answers_that_lie_raise_only_driver_errors(seed: int) -> None:
    """Right frames with wrong contents: every answer is cut, padded or scrambled."""
    import random

    chance = random.Random(seed)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = frame.FrameParser()
        try:
            while data := await reader.read(65536):
                for one in parser.feed(data):
                    size = chance.choice([0, 3, 4, 8, 12, 38, 200])
                    body = bytearray(chance.randbytes(size))
                    if one.command == frame.READ_STATE:
                        body = bytearray(struct.pack("<IHH", 0, 5, 0))
                    elif chance.random() < 0.7 and size >= 8:
                        body[0:8] = struct.pack("<II", 0, size - 8)
                    writer.write(
                        frame.pack(
                            target=one.source,
                            source=one.target,
                            command=one.command,
                            flags=5,
                            invoke_id=one.invoke_id,
                            data=bytes(body),
                        )
                    )
        except ConnectionError:
            pass
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    config = device(server.sockets[0].getsockname()[1])
    session = await DRIVER.connect([config], home=".")
    points = points_of(config)
    (request,) = DRIVER.group(config, points)
    for _ in range(5):
        for work in (
            session.read(request),
            session.write(PATH, points[0], 5),
            session.subscribe(PATH, points, interval_ms=[20] * len(points), sink=Heard()),
            session.check(),
            anext(session.browse()),
        ):
            try:
                await work
            except StopAsyncIteration:
                continue
            except Exception as error:
                assert type(error).__name__ == "DriverError", repr(error)
    await session.close()
    server.close()
    await server.wait_closed()


async def test_a_late_answer_is_nobodys() -> None:
    async with plant() as one:
        await one.read()
        (connection,) = one.server.connections
        one.server.stall(60)
        task = asyncio.create_task(one.read("n1"))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        one.server.stall(None)
        for _ in range(5):
            assert await one.read("n2") == {"n2": 200}
        assert connection in one.server.connections
        channel = one.session.channel
        assert not channel._pending  # type: ignore[attr-defined]
