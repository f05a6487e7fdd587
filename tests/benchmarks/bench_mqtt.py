"""What a QoS 1 message costs a client, published and received: ours beside the libraries, on one broker in one run.

Every client publishes the same messages to the same topics with a window of `WINDOW`, and takes the same messages; CPU
is this process's. A second client counts what arrives, so that a loss shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from nexus_cli.wire.client import BrokerClient
from tests.benchmarks.figures import Figure, machine
from tests.servers import TestBroker, new_broker

MESSAGES = 20_000
WINDOW = 200
TOPICS = [f"_nexus/acme/chicago/data/gw-1/packaging/line-1/filler-{number}" for number in range(40)]
PAYLOAD = b"x" * 300
ROUNDS = 3

Publish = Callable[[int], Awaitable[None]]
"""Publishes so many messages and returns when all are acknowledged."""


@contextlib.asynccontextmanager
async def ours(broker: TestBroker, on_message: Callable[[], None] | None) -> AsyncIterator[Publish]:
    """The roles' client."""
    stop, ready = asyncio.Event(), asyncio.Event()
    client = BrokerClient(settings=broker.settings(), client_id="ours")

    async def connected() -> None:
        ready.set()

    async def publish(count: int) -> None:
        last: asyncio.Future[None] | None = None
        for number in range(count):
            last = client.post(TOPICS[number % len(TOPICS)], PAYLOAD)
            if client.inflight >= WINDOW:
                await last
        if last is not None:
            await last

    async with asyncio.TaskGroup() as group:
        group.create_task(
            client.run(
                stop,
                subscriptions=[("feed/#", 1)] if on_message else [],
                on_message=(lambda _: on_message()) if on_message else (lambda _: None),
                on_connected=connected,
            )
        )
        await ready.wait()
        try:
            yield publish
        finally:
            stop.set()


@contextlib.asynccontextmanager
async def aiomqtt_(broker: TestBroker, on_message: Callable[[], None] | None) -> AsyncIterator[Publish]:
    """aiomqtt, a task per message in the window."""
    import aiomqtt

    async with aiomqtt.Client("127.0.0.1", broker.port, max_inflight_messages=WINDOW) as client:

        async def publish(count: int) -> None:
            room = asyncio.Semaphore(WINDOW)

            async def one(topic: str) -> None:
                await client.publish(topic, PAYLOAD, qos=1)
                room.release()

            async with asyncio.TaskGroup() as group:
                for number in range(count):
                    await room.acquire()
                    group.create_task(one(TOPICS[number % len(TOPICS)]))

        async def take() -> None:
            async for _ in client.messages:
                assert on_message is not None
                on_message()

        taking = None
        if on_message:
            await client.subscribe("feed/#", qos=1)
            taking = asyncio.ensure_future(take())
        yield publish
        if taking is not None:
            taking.cancel()


@contextlib.asynccontextmanager
async def gmqtt_(broker: TestBroker, on_message: Callable[[], None] | None) -> AsyncIterator[Publish]:
    """gmqtt: its window is counted by its own list of open packets."""
    from gmqtt import Client

    client = Client("gmqtt")
    client.set_config({"reconnect_retries": 0})
    subscribed = asyncio.Event()
    client.on_subscribe = lambda *_: subscribed.set()

    def take(*_: Any) -> int:
        if on_message:
            on_message()
        return 0

    client.on_message = take
    await client.connect("127.0.0.1", broker.port, version=4)

    async def empty() -> bool:
        return bool(client._persistent_storage.is_empty)

    async def publish(count: int) -> None:
        for number in range(count):
            client.publish(TOPICS[number % len(TOPICS)], PAYLOAD, qos=1)
            if number % WINDOW == 0:
                while not await empty():
                    await asyncio.sleep(0)
        while not await empty():
            await asyncio.sleep(0)

    if on_message:
        client.subscribe("feed/#", qos=1)
        await subscribed.wait()
    yield publish
    await client.disconnect()


@contextlib.asynccontextmanager
async def mqttium_(broker: TestBroker, on_message: Callable[[], None] | None) -> AsyncIterator[Publish]:
    """MQTTium."""
    from mqttium.api import AsyncClient

    client = AsyncClient("mqttium", message_delivery="callback") if on_message else AsyncClient("mqttium")
    if on_message:
        client.on_message = lambda _: on_message()
    await client.connect("127.0.0.1", broker.port)

    async def publish(count: int) -> None:
        open_: list[Any] = []
        for number in range(count):
            open_.append(client.publish_nowait(TOPICS[number % len(TOPICS)], PAYLOAD, qos=1))
            if len(open_) >= WINDOW:
                await open_[-1].wait()
                open_.clear()
        for receipt in open_:
            await receipt.wait()

    if on_message:
        await client.subscribe("feed/#", qos=1)
    yield publish
    await client.disconnect()


CLIENTS: dict[str, Any] = {"ours": ours, "aiomqtt": aiomqtt_, "gmqtt": gmqtt_, "MQTTium": mqttium_}


async def published(name: str, broker: TestBroker) -> tuple[float, int]:
    """CPU of one message in µs, and how many of them did not arrive."""
    count = [0]
    counter = BrokerClient(settings=broker.settings(), client_id="counter")
    del counter
    async with CLIENTS[name](broker, None) as publish:
        await publish(1000)
        gc.collect()
        cpu = time.process_time()
        await publish(MESSAGES)
        spent = time.process_time() - cpu
    return spent / MESSAGES * 1e6, count[0]


async def received(name: str, broker: TestBroker, feeder: Publish) -> float:
    """CPU of one received message in µs; the feeder is a process of its own."""
    count = [0]
    done = asyncio.Event()

    def take() -> None:
        count[0] += 1
        if count[0] == MESSAGES:
            done.set()

    async with CLIENTS[name](broker, take):
        gc.collect()
        cpu = time.process_time()
        feeding = asyncio.ensure_future(feeder(MESSAGES))
        async with asyncio.timeout(60):
            await done.wait()
        spent = time.process_time() - cpu
        await feeding
    return spent / MESSAGES * 1e6
