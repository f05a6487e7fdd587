"""Reported tags that fall silent are read now and then; the clock is moved by hand, the device is a script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from nexus_cli.drivers.base import DriverError, Fault, Notification, Point, Promise, ReadResult, Request, Scope
from nexus_cli.drivers.door import guarded
from nexus_cli.model.config import TagConfig
from nexus_cli.runtime.gateway.devices.device import device_runtime, poll_meanwhile
from nexus_cli.runtime.gateway.field.silence import LONGEST_S, MOST_A_READ, SILENT_S, SilenceWatch, Verdict
from nexus_cli.runtime.gateway.field.subscriptions import SCAN_S, Subscriptions
from nexus_cli.wire.sample import Quality, Reason, Value
from tests.clock import FakeClock
from tests.field import FakeDriver, FakeSession, FakeSubscription, device
from tests.recorded import Recorded, pipeline_into

PATH = "a/l/plc"
GONE = Fault(Reason.ILLEGAL_ADDRESS, 0x80340000)


class Forgetful(FakeSubscription):
    """Reports anew what it is asked for again, as a server does for a new item; what is gone stays refused."""

    def __init__(self, driver: FakeDriver, *about: Any) -> None:
        super().__init__(*about)
        self.driver = driver

    async def retry(self) -> None:
        self.retried += 1
        for name in list(self.faults):
            if (PATH, name) not in self.driver.faults:
                del self.faults[name]
                self.report(**{name: self.driver.values[PATH, name]})


class Session(FakeSession):
    """Reports what it holds at the beginning, and then only what the test says."""

    refuses: DriverError | None = None

    async def subscribe(self, device: str, points: Sequence[Point], **keys: Any) -> FakeSubscription:
        one = self.driver.subscriptions[device] = Forgetful(self.driver, keys["sink"], device, points)
        return one

    async def read(self, request: Request) -> ReadResult:
        if self.refuses is not None:
            self.driver.reads.append((0.0, request.device, tuple(point.name for point in request.points)))
            raise self.refuses
        return await super().read(request)


class Bench:
    """A device whose tags are reported once, then never again unless the test does it."""

    def __init__(self, count: int = 2, *, heartbeat_ms: int = 0) -> None:
        self.driver, self.clock, self.recorded = FakeDriver(), FakeClock(), Recorded()
        names = [f"t{at}" for at in range(count)]
        tag = {"type": "float64", "poll_ms": 1000, "mode": "subscribe", "heartbeat_ms": heartbeat_ms}
        tags = {name: TagConfig(address=name, **tag) for name in names}
        self.driver.values = {(PATH, name): 1.0 for name in names}
        self.device = device_runtime(device(PATH, more=tags, tags=0), "d", guarded(self.driver))
        self.session = Session(self.driver, "link")
        pipeline = pipeline_into(self.recorded, self.clock)
        pipeline.configure([self.device])
        self.reporting = Subscriptions(
            self.session,  # type: ignore[arg-type]
            driver=guarded(self.driver),
            clock=self.clock,
            pipeline=pipeline,
            meanwhile=lambda device, points: poll_meanwhile(device, points, guarded(self.driver)),
        )
        self.names = names

    async def open(self) -> Bench:
        await self.turn()
        self.subscription.report(**dict.fromkeys(self.names, 1.0))
        return self

    @property
    def subscription(self) -> Forgetful:
        found = self.driver.subscriptions[PATH]
        assert isinstance(found, Forgetful)
        return found

    async def turn(self) -> None:
        """One turn of the link's loop."""
        await self.reporting.renew({PATH: self.device})
        still = self.reporting.due(self.clock.monotonic_s())
        await self.reporting.read_silent()
        self.reporting.repeat(still)

    async def after(self, seconds: float) -> None:
        """Turns as they are due, until so much time has passed."""
        end_s = self.clock.monotonic_s() + seconds
        while (next_s := max(self.clock.monotonic_s(), self.reporting.next_s)) <= end_s:
            self.clock.advance(next_s + 0.001 - self.clock.monotonic_s())
            await self.turn()
        self.clock.advance(max(0.0, end_s - self.clock.monotonic_s()))

    def row(self, name: str) -> tuple[Value, Quality]:
        state = self.device.normaliser.states[name]
        return state.value, state.quality

    @property
    def reads(self) -> list[tuple[str, ...]]:
        return [names for _, _, names in self.driver.reads]


async def test_a_value_that_stands_still_is_read_once_in_a_while_and_nothing_else_happens() -> None:
    bench = await Bench().open()
    await bench.after(3 * SILENT_S + 5)
    assert bench.reads == [("t0", "t1")] * 3
    assert bench.subscription.distrusted == []


async def test_a_node_that_was_made_again_is_taken_and_reported_anew() -> None:
    bench = await Bench().open()
    bench.driver.values[PATH, "t1"] = 7.0
    await bench.after(SILENT_S + 5)
    assert bench.row("t1") == (7.0, Quality.GOOD)
    assert (bench.subscription.distrusted, bench.subscription.retried) == (["t1"], 1)
    assert not bench.subscription.faults
    assert bench.row("t0") == (1.0, Quality.GOOD)


async def test_a_node_that_is_gone_is_bad_at_once_and_good_when_it_is_back() -> None:
    bench = await Bench().open()
    bench.driver.faults[PATH, "t1"] = GONE
    await bench.after(SILENT_S + 1)
    assert bench.row("t1") == (None, Quality.BAD)
    assert bench.device.meanwhile, "it is polled until it is reported"
    del bench.driver.faults[PATH, "t1"]
    bench.driver.values[PATH, "t1"] = 3.0
    await bench.after(61)
    assert bench.row("t1") == (3.0, Quality.GOOD)
    assert not bench.device.meanwhile


async def test_a_report_that_was_on_its_way_is_waited_for() -> None:
    bench = await Bench().open()
    bench.driver.values[PATH, "t1"] = 7.0
    await bench.after(SILENT_S + 1)
    assert bench.row("t1") == (1.0, Quality.GOOD)
    bench.subscription.report(t1=7.0)
    await bench.after(SILENT_S - 5)
    assert bench.subscription.distrusted == []


async def test_no_heartbeat_claims_what_a_read_has_put_in_doubt() -> None:
    bench = await Bench(heartbeat_ms=10_000).open()
    await bench.after(10.5)
    changed_us = bench.clock.now_us()
    bench.driver.values[PATH, "t1"] = 7.0
    await bench.after(25.0)
    since = [
        (name, value)
        for frame in bench.recorded.frames
        for name, value in frame.samples.items()
        if frame.time_us > changed_us
    ]
    assert {value for name, value in since if name == "t1"} == {7.0}
    assert since.count(("t0", 1.0)) >= 2


async def test_what_was_never_reported_is_found_too() -> None:
    bench = Bench(1)
    await bench.turn()
    await bench.after(SILENT_S + 5)
    assert bench.row("t0") == (1.0, Quality.GOOD)


async def test_silent_tags_cost_at_most_two_small_reads_a_second() -> None:
    bench = await Bench(1_000).open()
    await bench.after(SILENT_S + 12)
    assert max(map(len, bench.reads)) == MOST_A_READ
    assert len(bench.reads) <= 12 / SCAN_S + 1
    assert {name for names in bench.reads for name in names} == set(bench.names)


def test_twenty_thousand_silent_tags_are_read_in_their_turn() -> None:
    silence = SilenceWatch()
    points = [Point(f"t{at}", f"a{at}", "float64") for at in range(20_000)]
    silence.watch(PATH, [(point, Promise(1.0), 0.0) for point in points], 0.0)
    silence.reported(PATH, [Notification(point, 1.0) for point in points], 0.0)
    read: set[str] = set()
    turns = 0
    while len(read) < len(points):
        now_s = SILENT_S + turns * SCAN_S
        many = silence.due(now_s)
        assert len(many) == MOST_A_READ
        for one in many:
            silence.classify(one, 1.0, None, now_s)
            assert one.point.name not in read, "the longest silent comes first"
            read.add(one.point.name)
        turns += 1
    assert turns == len(points) / MOST_A_READ


async def test_a_device_that_does_not_answer_the_reads_is_asked_seldom_and_believed() -> None:
    bench = await Bench(200).open()
    bench.session.refuses = DriverError("no answer", scope=Scope.DEVICE, reason=Reason.DEVICE_TIMEOUT)
    await bench.after(5 * SILENT_S)
    assert len(bench.reads) <= 5
    assert bench.row("t7") == (1.0, Quality.GOOD)


async def test_one_point_that_spoils_a_read_does_not_hide_the_others() -> None:
    silence = SilenceWatch()
    points = [Point(f"t{at}", f"a{at}", "float64") for at in range(4)]
    silence.watch(PATH, [(point, Promise(1.0), 0.0) for point in points], 0.0)
    now_s, proved = 0.0, set()
    for _ in range(200):
        now_s += 10
        many = silence.due(now_s)
        if "t2" in [one.point.name for one in many]:
            silence.refused(many, now_s)
            continue
        for one in many:
            silence.classify(one, None, None, now_s)
            proved.add(one.point.name)
    assert proved == {"t0", "t1", "t3"}


@pytest.mark.parametrize(
    ("promise", "before", "now", "same"),
    [
        (Promise(1.0), 1.0, 1.0, True),
        (Promise(1.0), math.nan, math.nan, True),
        (Promise(1.0), [1.0, math.nan], [1.0, math.nan], True),
        (Promise(1.0), [1, 2], [1, 3], False),
        (Promise(1.0), [1, 2], [1, 2, 3], False),
        (Promise(1.0, 0.5), 10.0, 10.5, True),
        (Promise(1.0, 0.5), 10.0, 10.6, False),
        (Promise(1.0, 0.5), "a", "b", False),
        (Promise(1.0, math.inf), 10.0, 99.0, True),
        (Promise(1.0), None, 0, False),
    ],
)
def test_what_a_device_need_not_report_is_no_contradiction(promise: Promise, before: Any, now: Any, same: bool) -> None:
    silence = SilenceWatch()
    point = Point("t", "a", "json")
    silence.watch(PATH, [(point, promise, 0.0)], 0.0)
    silence.reported(PATH, [Notification(point, before)], 0.0)
    (one,) = silence.due(SILENT_S)
    assert silence.classify(one, now, None, SILENT_S) is (Verdict.HOLDS if same else Verdict.WAIT)


def test_a_device_whose_reads_and_reports_always_differ_is_asked_less_and_less() -> None:
    silence = SilenceWatch()
    point = Point("t", "a", "float64")
    silence.watch(PATH, [(point, Promise(1.0), 0.0)], 0.0)
    others, now_s = [], 0.0
    while now_s < 10 * LONGEST_S:
        now_s = max(now_s, silence.next_s)
        for one in silence.due(now_s):
            if silence.classify(one, 2.0, None, now_s) is Verdict.OTHER:
                others.append(now_s)
                silence.reported(PATH, [Notification(point, 1.0)], now_s)
    gaps = [after - before for before, after in pairwise(others)]
    assert gaps[0] < 5 * SILENT_S
    assert gaps[-1] >= LONGEST_S
