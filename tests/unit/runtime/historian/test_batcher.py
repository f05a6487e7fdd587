"""The batcher without a database: mutated messages raise nothing, unknown tags hold up nobody."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.historian.assignments import FOREVER_US, Assignments
from nexus_cli.runtime.historian.batch import Batch
from nexus_cli.runtime.historian.batcher import MOST_BYTES, MOST_DEFERRED, MOST_DEFERRED_BYTES, RELOAD_S, Batcher
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.external_topics import ExternalTopics
from nexus_cli.runtime.historian.following import StateWatch
from nexus_cli.runtime.historian.inbound_queue import InboundQueue
from nexus_cli.runtime.historian.mapping import SeriesMap, Target
from nexus_cli.runtime.historian.new_series import NewSeries
from nexus_cli.runtime.historian.reading import Reader
from nexus_cli.runtime.historian.rows import Column
from nexus_cli.runtime.historian.time_bounds import TimeBounds
from nexus_cli.wire.frame import Frame, Gap, Letter, encode
from nexus_cli.wire.frame_batch import FrameColumns, Shape, encode_batch
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock
from tests.mutation import mutated_bytes, mutations
from tests.waiting import until

TOPICS = Topics("acme", "chicago")
TIME = 1_690_000_000_000_000


class Link:
    """Stands for the database: knows the series of `paths` and who speaks for `a/l/d`; counts how often it was asked."""

    def __init__(self, series: SeriesMap, assignments: Assignments) -> None:
        self.series, self.assignments, self.paths, self.loads = series, assignments, {"a/l/d/known"}, 0
        self.gateways = {"gw"}

    async def use(self, work: Callable[[Any], Awaitable[Any]], *, stop: asyncio.Event) -> None:
        self.loads += 1
        self.series._targets = {
            path: Target(at, "default", Column.NUMBER) for at, path in enumerate(sorted(self.paths))
        }
        self.series.forget_plans()
        self.series.stale = False
        self.assignments._until_us = {(gateway, "a/l/d"): FOREVER_US for gateway in self.gateways}


class Bench:
    """A batcher with its parts."""

    def __init__(self, clock: FakeClock | SystemClock, *, lanes: int = 1) -> None:
        self.counters, self.clock, self.stop = Counters(), clock, asyncio.Event()
        self.series = SeriesMap(site="acme/chicago")
        self.assignments = Assignments(site="acme/chicago")
        self.bounds = TimeBounds(clock=clock)
        self.link = Link(self.series, self.assignments)
        self.inbound_queue = InboundQueue(topics=TOPICS, counters=self.counters, lanes=lanes)
        self.external_topics = ExternalTopics(
            topics=TOPICS,
            site="acme/chicago",
            series=self.series,
            counters=self.counters,
            wall_us=clock.wall_us,
        )
        link: Any = self.link
        self.following = StateWatch(
            link=link,
            site="acme/chicago",
            name="historian",
            clock=clock,
            bounds=self.bounds,
            on_recorded=self.inbound_queue.changed,
            on_turn=lambda: None,
        )
        self.new_series = NewSeries(
            link=link, external_topics=self.external_topics, inbound_queue=self.inbound_queue, counters=self.counters
        )
        self.batcher = Batcher(
            inbound_queue=self.inbound_queue,
            reader=Reader(
                topics=TOPICS,
                series=self.series,
                assignments=self.assignments,
                bounds=self.bounds,
                counters=self.counters,
            ),
            series=self.series,
            assignments=self.assignments,
            external_topics=self.external_topics,
            new_series=self.new_series,
            following=self.following,
            link=link,
            clock=clock,
            counters=self.counters,
        )
        self.batcher.shared = True

    def put(self, seq: int, *, gateway: str = "gw", time_us: int = TIME, **samples: float) -> None:
        payload = encode(Frame(epoch="E", seq=seq, time=time_us + seq, samples=dict(samples)))
        self.inbound_queue.put(Message(TOPICS.data(gateway, "a/l/d"), payload, 1, False))

    async def gather(self) -> Batch:
        """One batch of everything that has arrived."""
        batch = Batch()
        while (message := self.inbound_queue.pop()) is not None:
            await self.batcher._take(batch, message)
        return batch

    async def drain(self) -> list[Batch]:
        """Stop and give every batch."""
        out: asyncio.Queue[Batch | None] = asyncio.Queue()
        self.stop.set()
        await self.batcher.run([out], self.stop)
        found = [out.get_nowait() for _ in range(out.qsize())]
        assert found[-1] is None
        return [batch for batch in found if batch is not None]


async def test_mutated_messages_raise_nothing() -> None:
    pick, bench = random.Random(20), Bench(SystemClock())
    frame = Frame(
        epoch="E",
        seq=7,
        time=TIME,
        samples={"known": 1.5, "other": "x", "list": [1, {"a": None}]},
        quality={"known": ("BAD", "link_lost", 3)},
        source_time={"known": TIME},
    )
    gap = Gap(epoch="E", seq=8, device="a/l/d", start=TIME, end=TIME + 5, frames=3, reason="overflow")
    seeds = [
        (TOPICS.data("gw", "a/l/d"), encode(frame)),
        (TOPICS.gap("gw"), encode(gap)),
        (TOPICS.tag("a/l/d/known"), b'{"value": 84.0, "timestamp": 1700000000000, "quality": "GOOD"}'),
    ]
    count = mutations(10_000)
    for _ in range(count):
        topic, payload = pick.choice(seeds)
        bench.inbound_queue.put(Message(topic, mutated_bytes(payload, pick), 1, pick.random() < 0.1))
    batches = await bench.drain()
    whole = sum(len(batch.frames) + len(batch.gaps) + len(batch.samples) + batch.letters.count for batch in batches)
    assert whole > count // 2
    assert all(batch.packed is not None for batch in batches)


async def test_rejected_values_of_a_gateway_are_a_dead_letter_of_their_tag_and_no_gap() -> None:
    bench = Bench(FakeClock())
    await bench.batcher._load()
    letter = Letter(tag="known", rule="range", detail="500 is outside [0, 100]", value=500.0, count=3)
    gap = Gap(epoch="E", seq=8, device="a/l/d", start=TIME, end=TIME + 5, letter=letter)
    bench.inbound_queue.put(Message(TOPICS.gap("gw"), encode(gap), 1, False))
    batch = await bench.gather()
    assert [pending.seq for pending in batch.gaps] == [8]
    refusal = batch.gaps[0].refusal
    assert refusal is not None
    assert (refusal.topic, refusal.reason, refusal.count) == (TOPICS.tag("a/l/d/known"), "quality_range", 3)
    assert (refusal.payload, refusal.detail, refusal.hole) == (b"500.0", "500 is outside [0, 100]", "")


async def test_an_unknown_tag_waits_for_one_load_and_holds_up_nobody() -> None:
    clock = FakeClock()
    bench = Bench(clock)
    await bench.batcher._load()
    bench.put(1, known=1.0, new=1.0)
    bench.put(2, known=2.0)
    batch = Batch()
    while (message := bench.inbound_queue.pop()) is not None:
        await bench.batcher._take(batch, message)
    assert [pending.frame.seq for pending in batch.frames] == [2]
    assert not bench.batcher._deferred_due()

    bench.link.paths.add("a/l/d/new")
    clock.advance(RELOAD_S + 0.1)
    assert bench.batcher._deferred_due()
    late = Batch()
    await bench.batcher._take_deferred([late])
    assert [(pending.frame.seq, pending.plan.unknown) for pending in late.frames] == [(1, ())]
    assert bench.link.loads == 2


async def test_names_that_never_exist_cost_ever_fewer_loads() -> None:
    clock = FakeClock()
    bench = Bench(clock)
    await bench.batcher._load()
    bench.link.loads = 0
    seq = 0
    for _ in range(60):  # a minute of a gateway gone mad: other tags in every frame
        batch = Batch()
        for _ in range(10):
            seq += 1
            bench.put(seq, **{f"mad-{seq}": 1.0})
            message = bench.inbound_queue.pop()
            assert message is not None
            await bench.batcher._take(batch, message)
        if bench.batcher._deferred_due():
            await bench.batcher._take_deferred([batch])
        clock.advance(1.0)
    assert bench.link.loads <= 7
    assert len(bench.batcher._deferred) <= MOST_DEFERRED


async def test_a_gateway_that_got_a_device_just_now_is_believed_after_one_load() -> None:
    clock = FakeClock()
    bench = Bench(clock)
    await bench.batcher._load()
    bench.put(1, gateway="gw-2", known=1.0)
    bench.put(2, known=2.0)
    batch = await bench.gather()
    assert [pending.key.gateway for pending in batch.frames] == ["gw"]

    bench.link.gateways.add("gw-2")
    clock.advance(RELOAD_S + 0.1)
    late = Batch()
    await bench.batcher._take_deferred([late])
    assert [(pending.key.gateway, pending.refusal) for pending in late.frames] == [("gw-2", None)]


async def test_a_gateway_that_never_gets_the_device_is_set_aside_and_costs_no_more_loads() -> None:
    clock = FakeClock()
    bench = Bench(clock)
    await bench.batcher._load()
    bench.put(1, gateway="thief", known=1.0)
    assert (await bench.gather()).frames == []
    clock.advance(RELOAD_S + 0.1)
    late = Batch()
    await bench.batcher._take_deferred([late])
    loads = bench.link.loads
    for seq in range(2, 100):
        bench.put(seq, gateway="thief", known=1.0)
    batch = await bench.gather()
    assert bench.link.loads == loads
    assert len(batch.frames) == 98
    for pending in (*late.frames, *batch.frames):
        assert pending.refusal is not None and pending.refusal.reason == "not_assigned"
        assert pending.frame.samples == {}


async def test_a_crowd_of_unknown_tags_gets_no_receipt_rather_than_a_letter() -> None:
    bench = Bench(FakeClock())
    await bench.batcher._load()
    for seq in range(1, MOST_DEFERRED + 51):
        bench.put(seq, **{f"new-{seq}": 1.0})
    batch = await bench.gather()
    assert batch.frames == []
    assert len(batch.letters) == 0
    assert bench.counters.dropped_frames == 50  # their gateway sends them again


def batch_of(first: int, frames: int, *, gateway: str = "gw", tags: int = 1) -> Message:
    """A frame batch of this many frames of `a/l/d`."""
    shape = Shape("a/l/d", ["known", *(f"new-{at}" for at in range(1, tags))])
    values = struct.pack(f"<{tags}d", *range(tags))
    some = [FrameColumns(shape, TIME + first + at, b"", values) for at in range(frames)]
    return Message(TOPICS.batches(gateway), encode_batch(some, epoch="E", seq=first), 1, False)


async def test_frames_of_a_batch_with_unknown_names_wait_and_the_others_are_stored() -> None:
    clock = FakeClock()
    bench = Bench(clock)
    await bench.batcher._load()
    shape, value = Shape("a/l/d", ["known", "new"]), struct.pack("<d", 1.0)
    some = [FrameColumns(shape, TIME + at, struct.pack("<H", at), value) for at in range(2)]
    bench.inbound_queue.put(Message(TOPICS.batches("gw"), encode_batch(some, epoch="E", seq=1), 1, False))
    assert [pending.seq for pending in (await bench.gather()).frames] == [1]
    bench.link.paths.add("a/l/d/new")
    clock.advance(RELOAD_S + 0.1)
    late = Batch()
    await bench.batcher._take_deferred([late])
    assert [pending.seq for pending in late.frames] == [2]


async def test_what_waits_for_a_load_is_bounded_by_bytes() -> None:
    bench = Bench(FakeClock())
    await bench.batcher._load()
    message = batch_of(1, 50, tags=2_000)
    most = MOST_DEFERRED_BYTES // len(message.payload)
    batch = Batch()
    for _ in range(most + 3):
        await bench.batcher._take(batch, message)
    assert len(bench.batcher._deferred) == most
    assert bench.counters.dropped_frames == 3 * 50
    await bench.batcher._take_deferred([batch])
    assert bench.batcher._deferred_bytes == 0


async def test_a_batch_ends_at_its_limit_of_bytes() -> None:
    bench = Bench(FakeClock())
    for seq in range(1, 40):
        payload = encode(Frame(epoch="E", seq=seq, time=TIME + seq, samples={"known": "x" * 500_000}))
        bench.inbound_queue.put(Message(TOPICS.data("gw", "a/l/d"), payload, 1, False))
    batches = await bench.drain()
    assert sum(len(batch.frames) for batch in batches) == 39
    assert all(batch.size_bytes < MOST_BYTES + 600_000 for batch in batches)
    assert len(batches) >= 2


async def test_a_lane_whose_writer_waits_holds_up_no_other() -> None:
    bench = Bench(SystemClock(), lanes=2)
    names = {bench.inbound_queue.lane(TOPICS.batches(f"gw-{at}")): f"gw-{at}" for at in range(20)}
    stuck, free = names[0], names[1]
    assert {bench.inbound_queue.lane(topic) for topic in (TOPICS.gap(stuck), TOPICS.data(stuck, "a/l/d"))} == {0}
    bench.link.gateways |= {stuck, free}
    await bench.batcher._load()
    outs: list[asyncio.Queue[Batch | None]] = [asyncio.Queue(1), asyncio.Queue(1)]
    running = asyncio.ensure_future(bench.batcher.run(outs, bench.stop))
    for first in range(1, 60_000, 1_000):
        bench.inbound_queue.put(batch_of(first, 1_000, gateway=stuck))
    await until(lambda: outs[0].full(), "a batch that nobody takes")
    bench.inbound_queue.put(batch_of(1, 10, gateway=free))
    other = await outs[1].get()
    assert other is not None
    assert len(other.frames) == 10
    assert len(bench.inbound_queue) > 0  # the stuck lane's gathered batch is full: the rest stays in the queue
    bench.stop.set()
    taken = 0
    while (batch := await outs[0].get()) is not None:
        bench.inbound_queue.wake()
        taken += len(batch.frames)
    await running
    assert taken == 60_000


async def test_each_lane_of_the_queue_has_its_share() -> None:
    queue = InboundQueue(topics=TOPICS, counters=Counters(), most_bytes=200, most_messages=100, lanes=2)
    names = {queue.lane(TOPICS.batches(f"gw-{at}")): TOPICS.batches(f"gw-{at}") for at in range(20)}
    for topic in names.values():
        for _ in range(3):
            queue.put(Message(topic, b"x" * 40, 1, False))
    assert (len(queue), queue.size_bytes) == (4, 160)
