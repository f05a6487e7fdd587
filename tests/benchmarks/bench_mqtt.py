"""What a QoS 1 message costs a client, published and received: ours beside the libraries, on one broker in one run.

Every client publishes the same messages to the same topics with a window of `WINDOW`, and receives the same messages from a
feeder in another process; CPU is this process's. Run: python -m tests.benchmarks.bench_mqtt
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.mqtt import packets
from nexus_cli.wire.mqtt.packets import Options
from nexus_cli.wire.mqtt.session import Session
from tests.benchmarks.figures import Figure, machine, report
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


@contextlib.asynccontextmanager
async def sending(broker: TestBroker, on_message: Callable[[], None] | None) -> AsyncIterator[Publish]:
    """The roles' client through its bulk door: a token a message, no future."""
    room = asyncio.Event()
    stop, ready = asyncio.Event(), asyncio.Event()
    client = BrokerClient(settings=broker.settings(), client_id="sending")

    async def connected() -> None:
        ready.set()

    async def publish(count: int) -> None:
        for number in range(count):
            client.send(TOPICS[number % len(TOPICS)], PAYLOAD, number)
            while client.inflight >= WINDOW:
                room.clear()
                await room.wait()
        while client.inflight:
            room.clear()
            await room.wait()

    async with asyncio.TaskGroup() as group:
        running = client.run(
            stop,
            subscriptions=[],
            on_message=lambda _: None,
            on_connected=connected,
            on_acknowledged=lambda _: room.set(),
        )
        group.create_task(running)
        await ready.wait()
        try:
            yield publish
        finally:
            stop.set()


Client = Callable[[TestBroker, Callable[[], None] | None], contextlib.AbstractAsyncContextManager[Publish]]
OURS = "ours"
BULK = "ours, without a future a message"
CLIENTS: dict[str, Client] = {
    OURS: ours,
    BULK: sending,
    "aiomqtt": aiomqtt_,
    "gmqtt": gmqtt_,
    "MQTTium": mqttium_,
}
"""A library's module is its name in lower case."""


async def published(client: Client, broker: TestBroker) -> float:
    """CPU of one published and acknowledged message, µs."""
    async with client(broker, None) as publish:
        await publish(1000)
        gc.collect()
        cpu = time.process_time()
        await publish(MESSAGES)
        spent = time.process_time() - cpu
    return spent / MESSAGES * 1e6


async def received(client: Client, broker: TestBroker) -> float:
    """CPU of one received and acknowledged message, µs."""
    count = 0
    done = asyncio.Event()

    def take() -> None:
        nonlocal count
        count += 1
        if count == MESSAGES:
            done.set()

    async with client(broker, take):
        gc.collect()
        cpu = time.process_time()
        command = (sys.executable, "-m", "tests.benchmarks.mqtt_feeder", str(broker.port), str(MESSAGES))
        feeder = await asyncio.create_subprocess_exec(*command)
        async with asyncio.timeout(120):
            await done.wait()
        spent = time.process_time() - cpu
        await feeder.wait()
    return spent / MESSAGES * 1e6


def core() -> list[Figure]:
    """The session alone, without a socket, µs."""
    one = Session(Options(client_id="core"), now_s=0.0)
    one.receive(b"\x20\x02\x00\x00", 0.0)
    one.take(0.0)
    spent = 0.0
    for _ in range(MESSAGES // WINDOW):
        began = time.process_time()
        for number in range(WINDOW):
            one.publish(TOPICS[number % len(TOPICS)], PAYLOAD, token=number)
        one.take(0.0)
        spent += time.process_time() - began
        answers = b"".join(packets.answer(packets.PUBACK, number) for number in one._open)
        began = time.process_time()
        one.receive(answers, 0.0)
        spent += time.process_time() - began
    assert one.inflight == 0
    heads = [packets.topic_head(TOPICS[number % len(TOPICS)]) for number in range(WINDOW)]
    payloads, tokens = [PAYLOAD] * WINDOW, list(range(WINDOW))
    many = acknowledged = 0.0
    for _ in range(MESSAGES // WINDOW):
        began = time.process_time()
        one.publish_many(heads, payloads, tokens, qos=1, retain=False)
        one.take(0.0)
        many += time.process_time() - began
        answers = b"".join(packets.answer(packets.PUBACK, number) for number in one._open)
        began = time.process_time()
        one.receive(answers, 0.0)
        acknowledged += time.process_time() - began
    messages = b"".join(
        packets.publish(TOPICS[number % len(TOPICS)], PAYLOAD, qos=1, retain=False, number=number + 1, level=4)
        for number in range(WINDOW)
    )
    began = time.process_time()
    for _ in range(MESSAGES // WINDOW):
        one.receive(messages, 0.0)
        one.take(0.0)
    taken = time.process_time() - began
    return [
        Figure(
            name="MQTT session alone: QoS 1 publish and its acknowledgement", value=spent / MESSAGES * 1e6, unit="µs"
        ),
        Figure(
            name=f"MQTT session alone: QoS 1 publish, {WINDOW} in one call",
            value=many / MESSAGES * 1e6,
            unit="µs",
            note=f"acknowledgement {acknowledged / MESSAGES * 1e6:.2f} µs",
        ),
        Figure(name="MQTT session alone: QoS 1 message received", value=taken / MESSAGES * 1e6, unit="µs"),
    ]


async def measure(folder: Path) -> list[Figure]:
    """All figures."""
    options = ("max_queued_messages 1000000", "max_inflight_messages 1000")
    broker = new_broker(folder, options=options).start()
    costs: dict[str, dict[str, list[float]]] = {"publish": {}, "receive": {}}
    try:
        for name, client in CLIENTS.items():
            if name not in (OURS, BULK) and importlib.util.find_spec(name.lower()) is None:
                print(f"   {name} is not installed", flush=True)
                continue
            for _ in range(ROUNDS):
                costs["publish"].setdefault(name, []).append(await published(client, broker))
                if name != BULK:
                    costs["receive"].setdefault(name, []).append(await received(client, broker))
    finally:
        broker.kill()
    found = core()
    for what, by_name in costs.items():
        medians = {name: statistics.median(values) for name, values in by_name.items()}
        others = {name: value for name, value in medians.items() if name not in (OURS, BULK)}
        cheapest = min(others, key=lambda name: others[name], default="")
        for name, value in medians.items():
            found.append(
                Figure(
                    name=f"MQTT {what}, QoS 1, window {WINDOW}, CPU: {name}",
                    value=value,
                    unit="µs",
                    limit=others.get(cheapest) if name not in others else None,
                    limit_name=cheapest,
                    ratio_at_most=1.0 if name not in others and cheapest else None,
                    note=f"{min(by_name[name]):.1f}–{max(by_name[name]):.1f}",
                )
            )
    return found


def run() -> list[Figure]:
    """For `python -m tests.benchmarks`."""
    logging.getLogger("gmqtt").setLevel(logging.CRITICAL)  # it logs every acknowledgement that it does not know
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(measure(Path(folder)))


if __name__ == "__main__":
    print(machine())
    print(report(run()))
