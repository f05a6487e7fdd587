"""The live view: newest wins, every tag again after a reconnect, labels and units in the payload."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from nexus_cli.model.config import TagConfig
from nexus_cli.runtime.gateway.devices.tag_table import TagState, TagTable
from nexus_cli.runtime.gateway.live import LiveView, payload
from nexus_cli.wire.sample import Quality, Reason
from tests.brokers import MemoryBroker
from tests.simulated_time import LoopClock
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.simulated_time


class Broker:
    """What the live view needs of a client."""

    def __init__(self) -> None:
        self.connected = True
        self.inflight = 0
        self.sent: list[tuple[str, Any]] = []
        self.ways: set[tuple[int, bool]] = set()

    unsent_bytes = 0

    def fence(self, token: int) -> None:
        """Never answered."""

    def send_many(
        self, heads: Sequence[bytes], payloads: Sequence[bytes], tokens: Sequence[int], *, qos: int, retain: bool
    ) -> None:
        """Keep them."""
        self.ways.add((qos, retain))
        for head, data in zip(heads, payloads, strict=True):
            self.sent.append((head[2:].decode(), json.loads(data)["value"]))


def device(name: str, **values: Any) -> TagTable:
    """A device whose tags have recorded values; each is a value, or one with the keys of its configuration."""
    tags = {tag: value if isinstance(value, tuple) else (value, {}) for tag, value in values.items()}
    table = TagTable(f"a/l/{name}", {tag: TagConfig(**{"type": "float64", **keys}) for tag, (_, keys) in tags.items()})
    table.prefix = f"e/s/a/l/{name}/"
    for state, (value, _) in zip(table.states, tags.values(), strict=True):
        state.value, state.quality, state.time_us = value, Quality.GOOD, 1_700_000_000_123_456
    return table


def tag(name: str, value: Any, **keys: Any) -> TagState:
    """A tag with a recorded value, of a device of its own."""
    return device(name, v=(value, keys)).state(0)


def put(live: LiveView, *states: TagState) -> None:
    """Tags have a new sample; each is of a table of its own."""
    for state in states:
        live.put(state.table, None)


async def settle(live: LiveView, broker: Broker, count: int) -> None:
    """Let it publish until so many are out."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group, asyncio.timeout(PATIENCE_S):
        group.create_task(live.run(stop))
        while len(broker.sent) < count:
            await asyncio.sleep(0.001)
        stop.set()


async def test_newer_values_replace_older_ones_that_wait() -> None:
    broker = Broker()
    broker.connected = False
    live = LiveView(broker, clock=LoopClock())  # type: ignore[arg-type]
    broker.on_acknowledged = live.gate.acknowledged
    one, two = tag("one", 1.0), tag("two", 2.0)
    put(live, one, two)
    one.value = 5.0
    put(live, one)
    assert (live.waiting, live.conflated) == (2, 1)
    broker.connected = True
    await settle(live, broker, 2)
    assert broker.sent == [("e/s/a/l/one/v", 5.0), ("e/s/a/l/two/v", 2.0)]
    live.again()
    live.forget("e/s/a/l/two/v")
    await settle(live, broker, 3)
    assert broker.sent[2:] == [("e/s/a/l/one/v", 5.0)]
    for nothing in (b"", b"[]", b'{"deployment": 1}', b'{"again": 1}'):
        live.noticed(nothing)
    assert live.waiting == 0
    live.noticed(b'{"deployment": 1, "again": true}')
    await settle(live, broker, 4)
    assert broker.sent[3:] == [("e/s/a/l/one/v", 5.0)]


async def test_a_reported_value_does_not_wait_behind_polled_ones() -> None:
    broker = Broker()
    live = LiveView(broker, clock=LoopClock(), rate_per_s=1000)  # type: ignore[arg-type]
    put(live, *(tag(f"polled-{n}", float(n)) for n in range(500)))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group, asyncio.timeout(PATIENCE_S):
        group.create_task(live.run(stop))
        while len(broker.sent) < 20:
            await asyncio.sleep(0.001)
        before = len(broker.sent)
        put(live, tag("event", 1.0, mode="subscribe"))
        while ("e/s/a/l/event/v", 1.0) not in broker.sent:
            await asyncio.sleep(0.001)
        # At most the slice that was allowed when it came, of the 480 that still wait.
        assert broker.sent.index(("e/s/a/l/event/v", 1.0)) - before <= 40
        # And it does not keep the others from theirs.
        while len({topic for topic, _ in broker.sent}) < 501:
            put(live, tag("event", float(len(broker.sent)), mode="subscribe"))
            await asyncio.sleep(0.001)
        stop.set()


def test_payloads_carry_unit_label_and_reason() -> None:
    state = tag("state", 1, type="int16", values={"0": "stopped", "1": "running"}, unit="degF", publish_unit="degC")
    assert json.loads(payload(state)) == {
        "value": 1,
        "timestamp": 1_700_000_000_123,
        "quality": "GOOD",
        "unit": "degC",
        "label": "running",
    }
    state.value, state.quality, state.reason = None, Quality.BAD, Reason.LINK_LOST
    assert json.loads(payload(state))["reason"] == "link_lost"
    assert "label" not in json.loads(payload(state))


async def test_a_value_that_ends_the_connection_is_marked_and_the_others_are_published() -> None:
    broker = MemoryBroker()
    broker.limit_bytes = 5_000
    live = LiveView(broker, clock=LoopClock())  # type: ignore[arg-type]
    broker.on_acknowledged = live.gate.acknowledged
    broker.on_connected = lambda: (live.gate.reconnected(), live.again())[1]
    large, small = tag("large", "x" * 8_000, type="string"), tag("small", 1.0)
    put(live, large, small)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group, asyncio.timeout(90):
        group.create_task(broker.run(stop))
        group.create_task(live.run(stop))
        while json.loads(broker.live.get(large.topic, b"{}")).get("reason") != "too_large":
            await asyncio.sleep(0.001)
        losses = broker.losses
        small.value = 2.0
        put(live, small)
        while json.loads(broker.live.get(small.topic, b"{}")).get("value") != 2.0:
            await asyncio.sleep(0.001)
        large.value = "short"
        put(live, large)
        while json.loads(broker.live[large.topic]).get("value") != "short":
            await asyncio.sleep(0.001)
        stop.set()
    assert broker.losses == losses, "found once, it ends no connection any more"
    assert live.too_large >= 1


async def test_a_live_topic_that_ends_every_connection_is_left_alone() -> None:
    broker = MemoryBroker()
    live = LiveView(broker, clock=LoopClock())  # type: ignore[arg-type]
    broker.on_acknowledged = live.gate.acknowledged
    broker.on_connected = lambda: (live.gate.reconnected(), live.again())[1]
    denied, free = tag("denied", 1.0), tag("free", 1.0)
    broker.denied = {denied.topic}
    put(live, denied, free)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group, asyncio.timeout(90):
        group.create_task(broker.run(stop))
        group.create_task(live.run(stop))
        while free.topic not in broker.live or live.gate.careful:
            await asyncio.sleep(0.001)
        losses = broker.losses
        for value in range(2, 12):
            free.value = float(value)
            live.again()
            while json.loads(broker.live[free.topic])["value"] != free.value:
                await asyncio.sleep(0.001)
        assert broker.losses == losses
        stop.set()
    assert live.gate.limit_bytes == 0
    assert live.too_large == 0


async def test_a_payload_above_every_brokers_limit_is_never_sent() -> None:
    broker = MemoryBroker()
    live = LiveView(broker, clock=LoopClock())  # type: ignore[arg-type]
    broker.on_acknowledged = live.gate.acknowledged
    huge = tag("huge", "x" * 2_000_000, type="string")
    put(live, huge)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group, asyncio.timeout(90):
        group.create_task(broker.run(stop))
        group.create_task(live.run(stop))
        while huge.topic not in broker.live:
            await asyncio.sleep(0.001)
        stop.set()
    assert json.loads(broker.live[huge.topic]) == {
        "value": None,
        "timestamp": 1_700_000_000_123,
        "quality": "BAD",
        "reason": "too_large",
    }
