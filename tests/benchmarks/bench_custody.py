"""A frame's whole way through the gateway's custody: added, durable, published, receipted; by column and in JSON.

Run alone: `python -m tests.benchmarks.bench_custody`. Broker and historian are processes of their own; only the gateway's
CPU is counted.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.gateway.outbox.gate import Gate, Key, packet_bytes
from nexus_cli.runtime.gateway.outbox.intervals import Intervals
from nexus_cli.runtime.gateway.outbox.outbox import Outbox
from nexus_cli.runtime.gateway.outbox.publisher import Publisher
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.frame import Committed, encode
from nexus_cli.wire.frame_batch import FrameColumns, Shape, decode_batch
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics
from tests.benchmarks.figures import Figure, machine
from tests.servers import new_broker

TOPICS, GATEWAY = Topics("acme", "chicago"), "gw-1"
DEVICES, TAGS = 400, 20
NAMES = [f"temperature-{at}" if at % 2 else f"pressure-{at}" for at in range(TAGS)]
SHAPES = [Shape(f"packaging/line-{number % 8}/device-{number}", NAMES) for number in range(DEVICES)]
RECEIPT_S = 0.05
BEHIND = 20_000
"""Frames without receipt above which none is added."""
SLICE_S = 0.01
ROUNDS = 3


class _CountingGate(Gate):
    """Counts what is published."""

    messages = sent_bytes = 0

    def post(self, key: Key, topic: str, payload: bytes, *, retain: bool = False) -> None:
        super().post(key, topic, payload, retain=retain)
        self.messages += 1
        self.sent_bytes += packet_bytes(topic, payload)


class _Custody:
    """Outbox and publisher of a gateway with columns that are made in advance of the measurement."""

    def __init__(self, settings: Settings, folder: Path, *, as_json: bool) -> None:
        self.clock = SystemClock()
        self.client = BrokerClient(settings=settings, client_id="gateway")
        self.box = Outbox(folder, clock=self.clock, gap_topic=TOPICS.gap(GATEWAY))
        self.box.json_frames = as_json
        self.box.open()
        self.gate = _CountingGate(self.client, clock=self.clock)
        self.publisher = Publisher(self.box, self.client, clock=self.clock, gate=self.gate)

    @property
    def behind(self) -> int:
        return self.box.newest_seq - self.box.lowest_uncommitted() + 1

    async def run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.box.run(stop))
            group.create_task(self.publisher.run(stop))
            group.create_task(
                self.client.run(
                    stop,
                    subscriptions=[(TOPICS.committed(GATEWAY), 1)],
                    on_message=lambda message: self.publisher.receipt(message.payload),
                    on_connected=self._connected,
                    on_acknowledged=self.gate.acknowledged,
                )
            )

    async def _connected(self) -> None:
        self.publisher.reconnected()

    async def add(self, frames: list[FrameColumns], *, rate: int) -> None:
        """Add frames at a rate (0: as they are taken), and wait for their receipts."""
        began_s, at = time.perf_counter(), 0
        while at < len(frames):
            due = min(len(frames), int((time.perf_counter() - began_s) * rate)) if rate else at + 500
            for one in frames[at:due]:
                self.box.add_frame(one)
            at = max(at, due)
            await asyncio.sleep(SLICE_S if rate else 0)
            while self.behind > BEHIND:
                await asyncio.sleep(SLICE_S)
        while self.behind > 0:
            await asyncio.sleep(SLICE_S)


def _frames(count: int, clock: SystemClock) -> list[FrameColumns]:
    pack, now_us = struct.Struct(f"<{TAGS}d").pack, clock.now_us()
    return [
        FrameColumns(SHAPES[at % DEVICES], now_us + at, b"", pack(*[at * 0.37 + tag * 1.25 for tag in range(TAGS)]))
        for at in range(count)
    ]


async def _once(settings: Settings, folder: Path, *, as_json: bool, rate: int, count: int) -> tuple[float, ...]:
    """CPU in µs a frame, bytes on the wire and on disk a sample, messages."""
    custody = _Custody(settings, folder, as_json=as_json)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(custody.run(stop))
        while not custody.client.connected:
            await asyncio.sleep(SLICE_S)
        await custody.add(_frames(DEVICES, custody.clock), rate=0)
        frames = _frames(count, custody.clock)
        custody.gate.messages = custody.gate.sent_bytes = 0
        written = 0
        append = custody.box._disk.append

        def counting(group_: object, *rest: object) -> None:
            nonlocal written
            written += sum(len(one.encoded) for one in group_)  # type: ignore[attr-defined]
            append(group_, *rest)  # type: ignore[arg-type]

        custody.box._disk.append = counting  # type: ignore[method-assign]
        began = time.process_time()
        await custody.add(frames, rate=rate)
        cpu_us = (time.process_time() - began) / count * 1e6
        stop.set()
    samples = count * TAGS
    return cpu_us, custody.gate.sent_bytes / samples, written / samples, custody.gate.messages


async def custody(folder: Path) -> list[Figure]:
    """Both ways, interleaved; of each figure the best round."""
    folder.mkdir(exist_ok=True)
    broker = new_broker(folder, options=("max_inflight_messages 1000", "max_queued_messages 100000")).start()
    receipts = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.bench_custody", "receipts", broker.url, cwd=os.getcwd()
    )
    best: dict[tuple[int, bool], tuple[float, ...]] = {}
    try:
        for round_ in range(ROUNDS):
            for rate, count in ((4_000, 12_000), (0, 40_000)):
                for as_json in (False, True):
                    home = folder / f"{round_}-{rate}-{as_json}"
                    found = await _once(broker.settings(), home, as_json=as_json, rate=rate, count=count)
                    best[rate, as_json] = min(best.get((rate, as_json), found), found)
    finally:
        receipts.terminate()
        await receipts.wait()
        broker.kill()
    return [figure for key, found in sorted(best.items()) for figure in _figures(*key, found)]


def _figures(rate: int, as_json: bool, found: tuple[float, ...]) -> list[Figure]:
    cpu_us, wire_bytes, disk_bytes, messages = found
    what = f"custody, {'JSON' if as_json else 'by column'}, {f'{rate:,} frames/s' if rate else 'as fast as it goes'}"
    note = f"{wire_bytes:.1f} B/sample on the wire, {disk_bytes:.1f} on disk, {messages:,.0f} messages"
    return [
        Figure(name=f"{what}: CPU a frame of {TAGS}", value=cpu_us, unit="µs", note=note),
        Figure(name="  a sample", value=cpu_us / TAGS, unit="µs"),
    ]


class _Numbers(msgspec.Struct):
    epoch: str
    seq: int


async def _answer(url: str) -> None:
    """A historian that stores nothing: receipts for all that comes."""
    client = BrokerClient(settings=Settings(site="acme/chicago", broker_url=url), client_id="receipts")
    decoder = msgspec.json.Decoder(_Numbers)
    ranges: dict[str, Intervals] = {}
    fresh: set[str] = set()

    def hear(message: Message) -> None:
        if message.payload.startswith(b"{"):
            one = decoder.decode(message.payload)
            epoch, first, last = one.epoch, one.seq, one.seq
        else:
            batch = decode_batch(message.payload)
            epoch, first, last = batch.epoch, batch.seq, batch.last_seq
        ranges.setdefault(epoch, Intervals()).add(first, last)
        fresh.add(epoch)

    async def say() -> None:
        while True:
            await asyncio.sleep(RECEIPT_S)
            for epoch in list(fresh):
                payload = encode(Committed(epoch=epoch, ranges=ranges[epoch].ranges()[-50:]))
                try:
                    await client.publish(TOPICS.committed(GATEWAY), payload, retain=True)
                except NexusError:
                    continue
                fresh.discard(epoch)

    async with asyncio.TaskGroup() as group:
        group.create_task(say())
        data = [(f"{TOPICS.platform}/data/#", 1), (f"{TOPICS.platform}/gap/#", 1)]
        group.create_task(client.run(asyncio.Event(), subscriptions=data, on_message=hear))


def run() -> list[Figure]:
    """All of it."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(custody(Path(folder)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["receipts"]:
        asyncio.run(_answer(sys.argv[2]))
    else:
        print(machine())
        for found in run():
            print(found.line())
