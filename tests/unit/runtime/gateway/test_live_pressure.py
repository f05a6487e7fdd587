"""The live view under pressure: what waits, in which order it leaves, and what the site says about it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.config import TagConfig
from nexus_cli.runtime.gateway.devices.tag_table import Positions, TagTable
from nexus_cli.runtime.gateway.live import LiveView
from nexus_cli.runtime.gateway.live_sender import BESIDE_RECORDS, MANY_RECORDS, MOST_IN_FLIGHT, MOST_UNSENT_BYTES
from nexus_cli.runtime.gateway.outbox.gate import FENCE_S
from nexus_cli.wire.sample import Quality, Reason
from tests.simulated_time import LoopClock
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.simulated_time


class Line:
    """A client whose broker the test plays.

    Attributes:
        sent: Topic and payload of every message, in order.
        ways: QoS and retain by topic.
        open: Tokens without acknowledgement.
        fences: Fences without an answer.
    """

    def __init__(self) -> None:
        self.connected = True
        self.unsent_bytes = 0
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.ways: dict[str, tuple[int, bool]] = {}
        self.open: list[int] = []
        self.fences: list[int] = []
        self.live = LiveView(self, clock=LoopClock())  # type: ignore[arg-type]

    @property
    def inflight(self) -> int:
        """Messages without acknowledgement."""
        return len(self.open)

    def send_many(
        self, heads: Sequence[bytes], payloads: Sequence[bytes], tokens: Sequence[int], *, qos: int, retain: bool
    ) -> None:
        """Take messages."""
        for head, payload, token in zip(heads, payloads, tokens, strict=True):
            topic = head[2:].decode()
            self.sent.append((topic, json.loads(payload)))
            self.ways[topic] = qos, retain
            if qos:
                self.open.append(token)

    def send(self, topic: str, payload: bytes, token: int, *, qos: int = 1, retain: bool = False) -> None:
        """Take a message."""
        self.send_many([b"00" + topic.encode()], [payload], [token], qos=qos, retain=retain)

    def fence(self, token: int) -> None:
        """Take a fence."""
        self.fences.append(token)

    def answer(self) -> None:
        """The broker answers the first fence."""
        self.live.gate.acknowledged([self.fences.pop(0)])

    async def put(self, table: TagTable, positions: Positions | None) -> None:
        """Tags have a new sample, and the turn of the loop ends."""
        self.live.put(table, positions)
        await asyncio.sleep(0)

    def acknowledge(self, count: int) -> None:
        """The broker has the first ones."""
        tokens, self.open = self.open[:count], self.open[count:]
        self.live.gate.acknowledged(tokens)

    def lose(self) -> None:
        """The connection ends, and the next one is open."""
        self.open.clear()
        self.fences.clear()
        self.live.gate.reconnected()
        self.live.again()

    def names(self, start: int = 0) -> list[str]:
        """Device and tag of the messages from there on."""
        return ["/".join(topic.split("/")[-2:]) for topic, _ in self.sent[start:]]

    async def until(self, count: int) -> None:
        """Let the live view run until so many messages have left."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group, asyncio.timeout(PATIENCE_S):
            group.create_task(self.live.run(stop))
            while len(self.sent) < count:
                await asyncio.sleep(0.001)
            stop.set()


def device(name: str, count: int, **keys: Any) -> TagTable:
    """A device with tags `0`, `1`, … that have values; each message is acknowledged, unless `keys` say otherwise."""
    keys = {"type": "float64", "live_qos": 1, **keys}
    table = TagTable(f"a/l/{name}", {str(at): TagConfig(**keys) for at in range(count)})
    table.prefix = f"e/s/a/l/{name}/"
    change(table, 0.0)
    return table


def change(table: TagTable, value: Any) -> None:
    """All tags have a new sample."""
    for state in table.states:
        state.value, state.quality = value, Quality.GOOD
        state.time_us = LoopClock().now_us()


async def test_without_pressure_values_leave_at_once_whatever_the_rate() -> None:
    line = Line()
    tables = [device(str(number), 20) for number in range(50)]
    for value in range(3):
        for table in tables:
            change(table, float(value))
            await line.put(table, None)
            await line.put(table, np.array([3]))
        line.acknowledge(len(line.open))
    assert (line.live.waiting, line.live.conflated, line.live.published) == (0, 0, 3 * 50 * 21)
    assert [payload["value"] for topic, payload in line.sent if topic == "e/s/a/l/7/3"] == [
        0.0,
        0.0,
        1.0,
        1.0,
        2.0,
        2.0,
    ]
    lag = line.live.health()
    assert (lag.sent.count, lag.acknowledged.count, lag.sent.max_ms) == (3150, 3150, 0.0)


async def test_values_above_the_window_wait_and_the_newest_of_each_leaves() -> None:
    line = Line()
    first, second = device("first", MOST_IN_FLIGHT), device("second", 500)
    await line.put(first, None)
    await line.put(second, None)
    assert (len(line.sent), line.live.waiting) == (MOST_IN_FLIGHT, 500)
    for value in (1.0, 2.0):
        change(second, value)
        await line.put(second, None)
    assert (line.live.waiting, line.live.conflated) == (500, 1000)
    line.acknowledge(600)
    await line.until(MOST_IN_FLIGHT + 500)
    assert {payload["value"] for _, payload in line.sent[MOST_IN_FLIGHT:]} == {2.0}
    assert sorted(line.names(MOST_IN_FLIGHT)) == sorted(f"second/{at}" for at in range(500))
    assert line.live.waiting == 0


async def test_values_without_acknowledgement_wait_for_the_answer_to_a_fence() -> None:
    line = Line()
    first, second = device("first", 20, live_qos=0), device("second", MOST_IN_FLIGHT + 5, live_qos=0)
    await line.put(first, None)
    assert (len(line.fences), line.live.gate.unproven) == (1, 20)
    await line.put(second, None)
    await line.until(MOST_IN_FLIGHT)
    assert len(line.fences) == 1, "one at a time"
    assert (line.live.waiting, line.live.health().acknowledged.count) == (25, 0)
    line.answer()
    assert line.live.health().acknowledged.count == 20
    assert (len(line.fences), line.live.gate.unproven) == (1, MOST_IN_FLIGHT - 20), "at once, behind so many"
    await line.until(MOST_IN_FLIGHT + 20)
    assert line.live.waiting == 5
    line.answer()
    await line.until(MOST_IN_FLIGHT + 25)
    assert (len(line.fences), line.live.gate.unproven) == (0, 25), "few: no fence yet"
    assert line.live.health().acknowledged.count == MOST_IN_FLIGHT, "what had left when the second fence did"
    await asyncio.sleep(FENCE_S)
    line.live.gate.tidy()
    line.answer()
    assert (len(line.fences), line.live.gate.unproven, line.live.waiting) == (0, 0, 0)
    assert line.live.health().acknowledged.count == MOST_IN_FLIGHT + 25


async def test_the_last_values_get_their_fence_although_nothing_follows() -> None:
    line = Line()
    table, stop = device("d", 3, live_qos=0), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(line.live.run(stop))
        for _ in range(2):
            await line.put(table, None)
        line.answer()
        assert (line.fences, line.live.gate.unproven) == ([], 3)
        await asyncio.sleep(1.0)
        assert len(line.fences) == 1
        line.answer()
        assert line.live.gate.unproven == 0
        stop.set()


async def test_a_fence_that_does_not_leave_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line()
    table = device("d", 3, live_qos=0)

    def refuse(token: int) -> None:
        raise NexusError("full", code="NX6010", retriable=True)

    with monkeypatch.context() as full:
        full.setattr(line, "fence", refuse)
        await line.put(table, None)
    assert (line.fences, line.live.gate.unproven) == ([], 3)
    await asyncio.sleep(FENCE_S)
    await line.put(table, None)
    assert (len(line.fences), line.live.gate.unproven) == (1, 6)
    line.answer()
    assert (line.fences, line.live.gate.unproven) == ([], 0)


async def test_a_full_socket_and_records_that_wait_are_pressure_too() -> None:
    line = Line()
    table = device("d", BESIDE_RECORDS + 1, live_qos=0)
    line.unsent_bytes = MOST_UNSENT_BYTES + 1
    await line.put(table, None)
    assert (len(line.sent), line.live.waiting) == (0, BESIDE_RECORDS + 1)
    line.unsent_bytes = 0
    await line.until(BESIDE_RECORDS + 1)
    while line.fences:
        line.answer()
    other = device("other", BESIDE_RECORDS + 1)
    for seq in range(MANY_RECORDS):
        line.live.gate.post(seq, "record", b'{"value": 0}')
    await line.put(other, None)
    await line.until(BESIDE_RECORDS + 1 + MANY_RECORDS + BESIDE_RECORDS)
    assert line.live.waiting == 1, "the records go first"
    line.acknowledge(MANY_RECORDS)
    await line.until(BESIDE_RECORDS + 1 + MANY_RECORDS + BESIDE_RECORDS + 1)
    assert line.live.waiting == 0


async def test_devices_and_both_classes_of_values_take_turns() -> None:
    line = Line()
    full, small = device("full", MOST_IN_FLIGHT + 600), device("small", 10)
    events = device("events", 1, mode="subscribe")
    await line.put(full, None)  # more than the window: all of it waits, and leaves in parts
    await line.put(small, None)
    await line.put(events, None)
    assert line.names() == ["events/0"], "a reported value passes the polled ones that wait"
    await line.until(MOST_IN_FLIGHT - 1)
    assert Counter(name.partition("/")[0] for name in line.names(1))["small"] == 10, "each device has its turn"
    # A device that reports without end gets half of what becomes free, and no polled value is left behind.
    flood = device("flood", 700, mode="subscribe")
    while "full/2599" not in line.names():
        await line.put(flood, None)
        start = len(line.sent)
        line.acknowledge(400)
        await line.until(start + 400)
        shares = Counter(name.partition("/")[0] for name in line.names(start))
        assert shares["full"] >= 100 or "full/2599" in line.names()
    assert len({name for name in line.names() if name.startswith("full/")}) == MOST_IN_FLIGHT + 600


async def test_a_new_connection_gets_every_tag_again_and_their_age_is_no_lag() -> None:
    line = Line()
    tables = [device(str(number), 30) for number in range(100)]
    for table in tables:
        await line.put(table, None)
        line.acknowledge(30)
    unknown = device("unknown", 3)
    unknown.times[1] = 0
    await line.put(unknown, np.array([0]))
    line.acknowledge(1)
    assert line.live.health().sent.count == 3001
    await asyncio.sleep(100)
    start = len(line.sent)
    line.lose()
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group, asyncio.timeout(PATIENCE_S):
        group.create_task(line.live.run(stop))
        while line.live.waiting:
            await asyncio.sleep(0.001)
            line.acknowledge(len(line.open))
        stop.set()
    assert sorted(line.names(start)) == sorted(
        [*(f"{number}/{at}" for number in range(100) for at in range(30)), "unknown/0", "unknown/2"]
    )
    assert line.live.health().sent.count == 0, "older than a minute, and nothing since"
    change(tables[0], 5.0)
    await line.put(tables[0], None)
    assert line.live.health().sent.count == 30


async def test_the_site_says_how_tags_are_published() -> None:
    line = Line()
    configs = {
        "plain": TagConfig(type="float64"),
        "sure": TagConfig(type="float64", live_qos=1),
        "event": TagConfig(type="float64", live_retain=False, mode="subscribe"),
        "hidden": TagConfig(type="float64", live_publish=False),
    }
    table = TagTable("a/l/d", configs)
    table.prefix = "e/s/a/l/d/"
    change(table, 1.5)
    await line.put(table, None)
    await line.put(table, np.array([3]))
    line.live.again()
    await line.until(6)
    assert line.ways == {
        "e/s/a/l/d/plain": (0, True),
        "e/s/a/l/d/sure": (1, True),
        "e/s/a/l/d/event": (0, False),
    }
    assert line.live.waiting == 0


async def test_a_tag_is_published_at_most_every_so_often_but_a_change_of_quality_at_once() -> None:
    line = Line()
    table = device("d", 2, live_every_ms=10_000)
    await line.put(table, None)
    for value in (1.0, 2.0, 3.0):
        await asyncio.sleep(1)
        table.state(0).value = value
        await line.put(table, np.array([0]))
    assert line.names() == ["d/0", "d/1"] and (line.live.waiting, line.live.conflated) == (0, 2)
    table.state(1).value, table.state(1).quality, table.state(1).reason = None, Quality.BAD, Reason.LINK_LOST
    await line.put(table, np.array([1]))
    assert line.names(2) == ["d/1"]
    began_s = LoopClock().monotonic_s()
    await line.until(4)
    assert line.names(3) == ["d/0"] and line.sent[3][1]["value"] == 3.0
    assert 6.9 <= LoopClock().monotonic_s() - began_s <= 8.0, "ten seconds after the first"
    table.state(0).value = 4.0
    await line.put(table, np.array([0]))
    await line.live.finish(deadline_s=1.0)
    assert line.sent[4][1]["value"] == 4.0, "a stop waits for no time"


async def test_a_removed_tag_is_not_published_any_more() -> None:
    line = Line()
    line.connected = False
    table = device("d", 3)
    await line.put(table, None)
    line.live.forget("e/s/a/l/d/1")
    line.live.forget("e/s/a/l/d/unknown")
    line.live.forget("e/s/a/l/nobody/1")
    assert line.live.waiting == 2
    line.connected = True
    line.live.again()
    await line.until(2)
    assert line.names() == ["d/0", "d/2"]
    for name in ("0", "2"):
        line.live.forget(f"e/s/a/l/d/{name}")
    line.live.again()
    assert line.live.waiting == 0


@pytest.mark.parametrize("away", ["broker", "suspect"])
async def test_a_value_whose_time_has_come_waits_for_the_broker_without_turns_of_its_own(
    away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line()
    table = device("d", 1, live_every_ms=100)
    stop, turns = asyncio.Event(), 0
    pause_s = line.live._pause_s

    def counted(now_s: float) -> float:
        nonlocal turns
        turns += 1
        assert turns < 1000, "it turns without a pause"
        return pause_s(now_s)

    monkeypatch.setattr(line.live, "_pause_s", counted)
    async with asyncio.TaskGroup() as group:
        group.create_task(line.live.run(stop))
        await line.put(table, None)
        change(table, 1.0)
        await line.put(table, None)
        if away == "broker":
            line.connected = False
        else:
            monkeypatch.setattr(type(line.live.gate), "careful", True)
        await asyncio.sleep(1.0)
        line.connected = True
        monkeypatch.setattr(type(line.live.gate), "careful", False)
        await asyncio.sleep(1.0)
        stop.set()
    assert [payload["value"] for _, payload in line.sent] == [0.0, 1.0]


async def test_a_tag_that_is_removed_in_the_turn_of_its_last_value_is_not_published() -> None:
    line = Line()
    table = device("d", 2)
    line.live.put(table, None)
    line.live.forget(f"{table.prefix}1")
    await asyncio.sleep(0)
    assert (line.names(), line.live.waiting) == (["d/0"], 0)


async def test_what_waits_of_a_replaced_configuration_is_counted_no_more() -> None:
    line = Line()
    line.connected = False
    one, two = device("d", 3), device("d", 2)
    for table, waiting in ((one, 3), (two, 2), (one, 3), (two, 2)):
        await line.put(table, None)
        assert line.live.waiting == waiting
    line.connected = True
    await line.until(2)
    assert (line.names(), line.live.waiting) == (["d/0", "d/1"], 0)
    line.live.again()
    await line.until(4)
    assert (line.names(2), line.live.waiting) == (["d/0", "d/1"], 0)


async def test_a_suspect_that_is_gone_or_not_read_yet_is_not_published_alone() -> None:
    line = Line()
    old = device("d", 3)
    for count in (3, 6):
        await line.put(old, None)
        await line.until(count)
        line.lose()
    assert line.live.gate.careful
    line.live.forget(f"{old.prefix}2")
    new = device("d", 2)
    new.times[1] = 0
    await line.put(new, np.array([0]))
    alone: list[str] = []

    async def post_alone(key: str, topic: str, payload: bytes, *, retain: bool) -> bool:
        alone.append(topic)
        line.live.gate.cleared(key)
        return True

    line.live.gate.post_alone = post_alone  # type: ignore[method-assign,assignment]
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group, asyncio.timeout(PATIENCE_S):
        group.create_task(line.live.run(stop))
        while line.live.gate.careful:
            await asyncio.sleep(0.01)
        stop.set()
    assert alone == [f"{new.prefix}0"]


async def test_a_device_with_a_new_configuration_replaces_its_old_values() -> None:
    line = Line()
    line.connected = False
    await line.put(device("d", 3), None)
    table = device("d", 2, unit="V")
    await line.put(table, None)
    assert line.live.waiting == 2
    line.connected = True
    await line.until(2)
    assert [payload["unit"] for _, payload in line.sent] == ["V", "V"]
    line.live.again()
    await line.until(4)
    assert len(line.sent) == 4


async def test_unacknowledged_values_are_suspects_whatever_their_qos() -> None:
    for qos in (0, 1):
        line = Line()
        table = device("d", 3, live_qos=qos)
        for count in (3, 6):
            await line.put(table, None)
            await line.until(count)
            line.lose()
        assert line.live.gate.careful
        await asyncio.sleep(1)
        assert line.live.gate.suspect(str) in {"e/s/a/l/d/0", "e/s/a/l/d/1", "e/s/a/l/d/2"}


async def test_values_before_an_answered_fence_are_no_suspects() -> None:
    line = Line()
    old, new = device("old", 3, live_qos=0), device("new", 1, live_qos=0)
    for _ in range(2):
        sent = len(line.sent)
        await asyncio.sleep(FENCE_S)
        await line.put(old, None)
        line.answer()
        await line.put(new, None)
        await line.until(sent + 4)
        line.open.clear()
        line.fences.clear()
        line.live.gate.reconnected()
    assert line.live.gate.careful
    await asyncio.sleep(1)
    assert line.live.gate.suspect(str) == "e/s/a/l/new/0"
