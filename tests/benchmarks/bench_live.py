"""The live view: what a message costs, how far it is behind, and how soon 41,000 topics are back after a reconnect.

The view, its gate and the client are the gateway's, with its tables as sources and mosquitto as the broker. `before` is
one payload and one publish a value in the same run. Run: python -m tests.benchmarks live
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from nexus_cli.model.config import TagConfig
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.gateway.devices.tag_table import TagTable
from nexus_cli.runtime.gateway.live import LiveView
from nexus_cli.runtime.gateway.live_table import payload
from nexus_cli.settings import ClockTrust, Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.mqtt import packets
from nexus_cli.wire.mqtt.packets import Options
from nexus_cli.wire.mqtt.session import Session
from nexus_cli.wire.sample import Quality
from tests.benchmarks.figures import Figure
from tests.servers import TestBroker, new_broker

TAGS = 41_000
EACH = 20
SECONDS = 8.0
ROUNDS = 40
TICK_S = 0.001


def devices(count: int, each: int, *, name: str = "filler", **keys: Any) -> list[TagTable]:
    """Devices whose tags have GOOD float values."""
    tables = []
    for number in range(count):
        configs = {f"temperature-{at}": TagConfig(type="float32", unit="degC", **keys) for at in range(each)}
        table = TagTable(f"packaging/line-1/{name}-{number}", configs)
        table.prefix = f"acme/chicago/packaging/line-1/{name}-{number}/"
        for state in table.states:
            state.value, state.quality, state.time_us = 20.5, Quality.GOOD, time.time_ns() // 1000
        tables.append(table)
    return tables


def move(table: TagTable, now_us: int) -> None:
    """Every tag of a device has a new value."""
    table.number[:] = (np.arange(len(table)) + random.random() * 100).round(3)
    table.time_us[:] = now_us


class _Bare:
    """A client without a socket: a session alone."""

    connected, unsent_bytes = True, 0

    def __init__(self) -> None:
        self.session = Session(Options(client_id="bare"), now_s=0.0)
        self.session.receive(b"\x20\x02\x00\x00", 0.0)
        self.session.take(0.0)

    @property
    def inflight(self) -> int:
        return self.session.inflight

    def send_many(self, heads: Any, payloads: Any, tokens: Any, *, qos: int, retain: bool) -> None:
        self.session.publish_many(heads, payloads, tokens, qos=qos, retain=retain)

    def fence(self, token: Any) -> None:
        self.session.fence(token, 0.0)


async def message() -> list[Figure]:
    """A live message without a socket, by the number of a device's tags that moved."""
    clock = SystemClock()
    found = []
    for each in (1, 4, EACH, 100):
        tables = devices(1_900 // each if each > 1 else 400, each)
        bare = _Bare()
        view = LiveView(bare, clock=clock)  # type: ignore[arg-type]
        before = _Bare()
        put_s = one_s = ack_s = 0.0
        rounds = ROUNDS if each > 4 else ROUNDS // 2
        for _ in range(rounds):
            for table in tables:
                move(table, clock.now_us())
            began = time.process_time()
            for table in tables:
                view.put(table, None)
            await asyncio.sleep(0)
            bare.session.take(0.0)
            put_s += time.process_time() - began
            answers = b"\xd0\x00" * len(bare.session._pings)  # to the fences: the default is QoS 0
            began = time.process_time()
            for event in bare.session.receive(answers, 0.0):
                view.gate.acknowledged(event.tokens)  # type: ignore[union-attr]
            ack_s += time.process_time() - began
            assert not view.waiting and not bare.inflight
            began = time.process_time()
            for table in tables:
                for state in table.states:
                    before.session.publish(state.topic, payload(state), qos=1, retain=True, token=state)
            before.session.take(0.0)
            one_s += time.process_time() - began
            acks = b"".join(packets.answer(packets.PUBACK, number) for number in before.session._open)
            before.session.receive(acks, 0.0)
        count = rounds * len(tables) * each / 1e6
        found.append(
            Figure(
                name=f"live message, put to bytes, {each} tags of a device",
                value=put_s / count,
                unit="µs",
                limit=one_s / count,
                limit_name="one payload and one publish a value",
                at_most=2.0 if each >= EACH else None,
                note=f"answers to fences {ack_s / count:.2f} µs",
            )
        )
    return found


@contextlib.asynccontextmanager
async def connected(settings: Settings, name: str) -> AsyncIterator[tuple[LiveView, BrokerClient, asyncio.Event]]:
    """A live view on a broker; the event is set at each connect."""
    stop, ready = asyncio.Event(), asyncio.Event()
    client = BrokerClient(settings=settings, client_id=name)
    view = LiveView(client, clock=SystemClock(trust=ClockTrust.YES))

    async def on_connected() -> None:
        view.gate.reconnected()
        view.again()
        ready.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(
            client.run(
                stop,
                subscriptions=[],
                on_message=lambda _: None,
                on_connected=on_connected,
                on_acknowledged=view.gate.acknowledged,
            )
        )
        group.create_task(view.run(stop))
        await ready.wait()
        try:
            yield view, client, ready
        finally:
            stop.set()


async def hold(stop: asyncio.Event) -> float:
    """The longest time that the loop did not come back, in seconds, until stopped."""
    worst, before = 0.0, time.monotonic()
    while not stop.is_set():
        await asyncio.sleep(TICK_S)
        now = time.monotonic()
        worst, before = max(worst, now - before - TICK_S), now
    return worst


async def again(broker: TestBroker, name: str) -> Figure:
    """The broker ends and comes back; how long until it has acknowledged every topic again."""
    async with connected(broker.settings(), "again") as (view, client, ready):
        for table in devices(TAGS // EACH, EACH):
            view.put(table, None)
        while view.waiting or client.inflight:
            await asyncio.sleep(0.01)
        ready.clear()
        broker.stop()
        broker.start()
        await ready.wait()
        stop = asyncio.Event()
        watching = asyncio.ensure_future(hold(stop))
        began, published = time.monotonic(), view.published
        while view.waiting or client.inflight:
            await asyncio.sleep(0.002)
        passed = time.monotonic() - began
        stop.set()
        worst = await watching
        return Figure(
            name=f"{view.published - published:,} retained topics back after a reconnect, {name}",
            value=passed,
            unit="s",
            at_most=3.0,
            note=f"longest hold of the loop {worst * 1000:.1f} ms",
        )


async def stream(settings: Settings, rate: int, seconds: float, name: str, **keys: Any) -> tuple[float, LiveView]:
    """So many values a second for so long; gives the CPU seconds and the view."""
    tables = devices(max(1, rate // EACH), EACH, name=name, **keys)
    async with connected(settings, name) as (view, client, _):
        for table in tables:
            view.put(table, None)
        while view.waiting or client.inflight:
            await asyncio.sleep(0.01)
        clock = SystemClock(trust=ClockTrust.YES)
        cpu, began, done = time.process_time(), time.monotonic(), 0
        while (passed := time.monotonic() - began) < seconds:
            for number in range(done, int(passed * len(tables))):
                table = tables[number % len(tables)]
                move(table, clock.now_us())
                view.put(table, None)
            done = int(passed * len(tables))
            await asyncio.sleep(TICK_S)
        cpu = time.process_time() - cpu
        while view.waiting or client.inflight:
            await asyncio.sleep(0.01)
    return cpu, view


def _lag(name: str, view: LiveView) -> list[Figure]:
    health = view.health()
    note = f"p50 {health.sent.p50_ms:.1f}, max {health.sent.max_ms:.0f} ms; {view.conflated:,} conflated"
    return [
        Figure(name=f"live lag p99, {name}: sample to socket", value=health.sent.p99_ms, unit="ms", note=note),
        Figure(
            name=f"live lag p99, {name}: sample to acknowledgement",
            value=health.acknowledged.p99_ms,
            unit="ms",
            note=f"p50 {health.acknowledged.p50_ms:.1f} ms",
        ),
    ]


def rates(broker: TestBroker) -> list[Figure]:
    """41,000 values a second: their lag, and the CPU of both ends by QoS."""
    assert broker.process is not None
    server = psutil.Process(broker.process.pid)
    found = []

    def broker_s() -> float:
        times = server.cpu_times()
        return float(times.user + times.system)

    for qos in (1, 0):
        before, began = broker_s(), time.monotonic()
        cpu, view = asyncio.run(stream(broker.settings(), TAGS, SECONDS, f"qos-{qos}", live_qos=qos))
        share = (broker_s() - before) / view.published * 1e6
        rate = (view.published - TAGS) / (time.monotonic() - began)
        found += _lag(f"{TAGS:,} values/s, QoS {qos}", view)[: 2 if qos else 1]
        found.append(
            Figure(
                name=f"CPU of a live message with its socket, QoS {qos}: gateway",
                value=cpu / max(1, view.published - TAGS) * 1e6,
                unit="µs",
                note=f"broker {share:.1f} µs, {rate:,.0f}/s",
            )
        )
    return found


def two(broker: TestBroker) -> list[Figure]:
    """The same values from two processes."""
    command = (sys.executable, "-m", "tests.benchmarks.bench_live", broker.url, str(TAGS // 2))
    other = subprocess.Popen([*command, "second"], stdout=subprocess.PIPE, text=True)
    _, view = asyncio.run(stream(broker.settings(), TAGS // 2, SECONDS, "first"))
    text, _ = other.communicate(timeout=60)
    figures = _lag(f"{TAGS:,} values/s from two gateways", view)
    return [*figures[:1], Figure(name="  the other one", value=float(text), unit="ms")]


def run() -> list[Figure]:
    """For `python -m tests.benchmarks`."""
    found = asyncio.run(message())
    with tempfile.TemporaryDirectory() as folder:
        broker = new_broker(Path(folder)).start()
        try:
            found += rates(broker)
            found += two(broker)
            found.append(asyncio.run(again(broker, "mosquitto")))
        finally:
            broker.kill()
    with tempfile.TemporaryDirectory() as folder:
        options = ("persistence true", f"persistence_location {folder}/")
        broker = new_broker(Path(folder), options=options).start()
        try:
            found.append(asyncio.run(again(broker, "mosquitto with persistence")))
        finally:
            broker.kill()
    return found


if __name__ == "__main__":
    settings = Settings(site="acme/chicago", broker_url=sys.argv[1])
    print(asyncio.run(stream(settings, int(sys.argv[2]), SECONDS, sys.argv[3]))[1].health().sent.p99_ms)
