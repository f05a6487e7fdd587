"""A thousand link losses leave no thread, task, socket or memory; garbage and late answers cost a link, never more."""

from __future__ import annotations

import asyncio
import gc
import os
import struct
import threading
import tracemalloc

import pytest

from nexus_cli.drivers.ads import frame
from nexus_cli.drivers.ads.driver import DRIVER
from nexus_cli.drivers.ads.simulator import serve
from nexus_cli.drivers.base import Scope, points_of
from tests.integration.ads_plant import PATH, Heard, device, fails, plant, until

LOSSES = 1000


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@pytest.mark.slow
async def test_a_thousand_losses_leave_nothing() -> None:
    server = await serve([device(0)])
    config = device(server.port)
    points = points_of(config)
    (request,) = DRIVER.group(config, points)
    heard = Heard()

    async def lose() -> None:
        session = await DRIVER.connect([config], home=".")
        subscription = await session.subscribe(PATH, points, interval_ms=[20] * len(points), sink=heard.sink)
        assert not (await session.read(request)).faults
        server.drop_connections()
        assert (await fails(session.read(request))).scope is Scope.SESSION
        await subscription.close()
        await session.close()
        heard.all.clear()

    for _ in range(20):
        await lose()
    gc.collect()
    await asyncio.sleep(0.05)
    tasks, threads, files = len(asyncio.all_tasks()), threading.active_count(), descriptors()
    tracemalloc.start()
    for _ in range(10):
        await lose()
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(40):
        await lose()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 40 * 200, f"{grown} bytes stayed after 40 losses"
    for _ in range(LOSSES - 70):
        await lose()
    gc.collect()
    await until(lambda: len(asyncio.all_tasks()) <= tasks, "a task was left")
    await until(lambda: descriptors() <= files, "a socket was left")
    assert threading.active_count() <= threads
    assert server.clients == 0
    await server.close()


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
            session.subscribe(PATH, points, interval_ms=[20] * len(points), sink=Heard().sink),
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
