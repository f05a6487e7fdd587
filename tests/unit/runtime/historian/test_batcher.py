"""The batcher without a database: mutated messages raise nothing, unknown tags hold up nobody."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.historian.assignments import FOREVER_US, Assignments
from nexus_cli.runtime.historian.batch import Batch
from nexus_cli.runtime.historian.batcher import MOST_DEFERRED, RELOAD_S, Batcher
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.external_topics import ExternalTopics
from nexus_cli.runtime.historian.following import StateWatch
from nexus_cli.runtime.historian.inbound_queue import InboundQueue
from nexus_cli.runtime.historian.mapping import SeriesMap, Target
from nexus_cli.runtime.historian.new_series import NewSeries
from nexus_cli.runtime.historian.reading import Reader
from nexus_cli.runtime.historian.rows import Column
from nexus_cli.runtime.historian.time_bounds import TimeBounds
from nexus_cli.wire.client import Message
from nexus_cli.wire.frame import Frame, Gap, encode
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock
from tests.mutation import mutated_bytes, mutations

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

    def __init__(self, clock: FakeClock | SystemClock) -> None:
        self.counters, self.clock, self.stop = Counters(), clock, asyncio.Event()
        self.series = SeriesMap(site="acme/chicago")
        self.assignments = Assignments(site="acme/chicago")
        self.bounds = TimeBounds(clock=clock)
        self.link = Link(self.series, self.assignments)
        self.inbound_queue = InboundQueue(topics=TOPICS, counters=self.counters)
        self.external_topics = ExternalTopics(
            topics=TOPICS, site="acme/chicago", series=self.series, counters=self.counters
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
