"""What a device does not report is polled and asked for again; nothing is waited for, the clock is moved by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from nexus_cli.drivers.base import DriverError, Fault, Point, Scope
from nexus_cli.drivers.door import guarded
from nexus_cli.model.config import TagConfig
from nexus_cli.runtime.gateway.devices.census import limited
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime, device_runtime, poll_meanwhile
from nexus_cli.runtime.gateway.field.subscriptions import RETRY_LONGEST_S, Subscriptions
from nexus_cli.wire.gateway_health import LimitedDevice
from nexus_cli.wire.sample import Reason
from tests.clock import FakeClock
from tests.field import FakeDriver, FakeSession, FakeSubscription, device
from tests.recorded import Recorded, pipeline_into

FULL = Fault(Reason.DEVICE_ERROR, 0x80DB0000)
PATH = "a/l/plc"


class Full(FakeSubscription):
    """One of a device that has room for so many."""

    room = 1

    async def retry(self) -> None:
        self.retried += 1
        for name in list(self.faults)[: self.room]:
            del self.faults[name]

    def notes(self) -> Sequence[str]:
        return [f"{len(self.faults)} tags: Bad_TooManyMonitoredItems"] if self.faults else []


class Session(FakeSession):
    """Refuses two of three."""

    async def subscribe(self, device: str, points: Sequence[Point], **keys: Any) -> FakeSubscription:
        one = Full(keys["sink"], device, points)
        one.faults.update({point.name: FULL for point in points[1:]})
        self.driver.subscriptions[device] = one
        return one


class Bench:
    """One device with three tags that should be reported."""

    def __init__(self) -> None:
        self.driver, self.clock, self.recorded = FakeDriver(), FakeClock(), Recorded()
        tags = {f"t{at}": TagConfig(type="float64", address=f"a{at}", poll_ms=500, mode="subscribe") for at in range(3)}
        self.device = device_runtime(device(PATH, more=tags, tags=0), "d", guarded(self.driver))
        pipeline = pipeline_into(self.recorded, self.clock)
        pipeline.configure([self.device])
        self.reporting = Subscriptions(
            Session(self.driver, "link"),  # type: ignore[arg-type]
            driver=guarded(self.driver),
            clock=self.clock,
            pipeline=pipeline,
            meanwhile=lambda device, points: poll_meanwhile(device, points, guarded(self.driver)),
        )

    @property
    def polled(self) -> list[str]:
        jobs = [job for jobs in self.device.meanwhile.values() for job in jobs]
        return [point.name for job in jobs for point in job.request.points]

    @property
    def subscription(self) -> Full:
        found = self.driver.subscriptions[PATH]
        assert isinstance(found, Full)
        return found

    def until_due(self) -> None:
        """Time passes until there is something to do."""
        self.clock.advance(max(0.0, self.reporting.next_s - self.clock.monotonic_s()))

    async def renew(self) -> None:
        await self.reporting.renew({PATH: self.device})
        await self.reporting.read_silent()


@pytest.fixture
async def bench() -> Bench:
    one = Bench()
    one.driver.values = {(PATH, f"t{at}"): 1.0 for at in range(3)}
    await one.renew()
    one.subscription.report(t0=1.0)
    return one


async def test_what_is_refused_is_polled_and_said(bench: Bench) -> None:
    assert bench.polled == ["t1", "t2"]
    assert list(bench.device.meanwhile) == [500]
    assert bench.reporting.limits == ("a/l/plc: 2 tags are polled, not reported (2 tags: Bad_TooManyMonitoredItems)")
    facts = LimitedDevice(polled=["t1", "t2"], count=2, why="2 tags: Bad_TooManyMonitoredItems")
    assert limited([bench.device]) == {PATH: facts}, "in health, and for `nexus explain`"
    assert bench.subscription.retried == 0


async def test_it_is_asked_for_again_and_no_longer_polled(bench: Bench) -> None:
    for left in (["t2"], []):
        bench.until_due()
        await bench.renew()
        assert bench.polled == left
    assert bench.reporting.limits == "" and limited([bench.device]) == {}
    assert bench.subscription.retried == 2
    bench.clock.advance(RETRY_LONGEST_S)
    await bench.renew()
    assert bench.subscription.retried == 2


async def test_a_device_that_goes_on_refusing_is_asked_more_and_more_seldom(bench: Bench) -> None:
    bench.subscription.room = 0
    waits, asked_s = [], bench.clock.monotonic_s()
    while len(waits) < 12:
        bench.until_due()
        await bench.renew()
        if bench.subscription.retried > len(waits):
            waits.append(bench.clock.monotonic_s() - asked_s)
            asked_s = bench.clock.monotonic_s()
    assert waits[0] <= 2.0
    assert RETRY_LONGEST_S / 2 <= waits[-1] <= RETRY_LONGEST_S


async def test_what_ends_later_is_polled_at_once(bench: Bench) -> None:
    bench.subscription.room = 3
    bench.until_due()
    await bench.renew()
    assert bench.polled == []
    bench.subscription.faults["t0"] = FULL
    await bench.renew()
    assert bench.polled == ["t0"]
    await bench.reporting.close()
    assert bench.polled == []


# --- opened, renewed, ended -------------------------------------------------------------------------------------

ONE, TWO = "a/l/one", "a/l/two"


class Reported:
    """Devices whose tags are all reported, over a scripted session."""

    def __init__(self, *paths: str, heartbeat_ms: int = 0) -> None:
        self.driver, self.clock, self.recorded = FakeDriver(), FakeClock(), Recorded()
        self.heartbeat_ms = heartbeat_ms
        self.pipeline = pipeline_into(self.recorded, self.clock)
        self.devices = {path: self.made(path) for path in paths or (ONE, TWO)}
        self.pipeline.configure(self.devices.values())
        self.polled: list[tuple[str, list[str]]] = []
        self.reporting = Subscriptions(
            FakeSession(self.driver, "link"),  # type: ignore[arg-type]
            driver=guarded(self.driver),
            clock=self.clock,
            pipeline=self.pipeline,
            meanwhile=lambda device, points: self.polled.append((device.path, [point.name for point in points])),
        )

    def made(self, path: str, *, tags: int = 2) -> DeviceRuntime:
        tag = TagConfig(type="float64", poll_ms=500, mode="subscribe", heartbeat_ms=self.heartbeat_ms)
        more = {f"t{at}": msgspec.structs.replace(tag, address=f"a{at}") for at in range(tags)}
        return device_runtime(device(path, tags=0, more=more), "d", guarded(self.driver))

    async def turn(self) -> None:
        """One turn of the link's loop."""
        await self.reporting.renew(self.devices)
        due = self.reporting.due(self.clock.monotonic_s())
        await self.reporting.read_silent()
        self.reporting.repeat(due)

    async def replace(self, path: str, **keys: Any) -> None:
        """A deployment changes a device."""
        self.devices[path] = self.made(path, **keys)
        self.pipeline.configure(self.devices.values())
        await self.turn()


async def test_a_report_is_a_frame_and_what_was_not_reported_is_not_in_it() -> None:
    one = Reported()
    await one.turn()
    one.driver.subscriptions[ONE].report(t0=1.0)
    one.driver.subscriptions[TWO].report(t0=2.0, t1=3.0)
    assert [(frame.device, dict(frame.samples)) for frame in one.recorded.frames] == [
        (ONE, {"t0": 1.0}),
        (TWO, {"t0": 2.0, "t1": 3.0}),
    ]
    assert all(each.reachable and each.subscribed for each in one.devices.values()) and one.reporting.open


async def test_a_subscription_that_fails_costs_its_device_alone_and_is_tried_again_after_its_back_off() -> None:
    one, tried = Reported(), list[str]()

    def refuses(path: str) -> DriverError | None:
        tried.append(path)
        return DriverError("no", scope=Scope.DEVICE, reason=Reason.DEVICE_TIMEOUT) if path == TWO else None

    one.driver.refuses_reports = refuses
    await one.turn()
    assert [(frame.device, set(frame.quality.values())) for frame in one.recorded.frames] == [
        (TWO, {("BAD", "device_timeout", 0)})
    ]
    assert one.devices[ONE].subscribed and not one.devices[TWO].subscribed
    await one.turn()
    assert tried == [ONE, TWO], "it is left alone"
    one.clock.advance(1.0)
    await one.turn()
    assert tried == [ONE, TWO, TWO]
    one.driver.refuses_reports = lambda _: None
    one.clock.advance(2.0)
    await one.turn()
    assert one.devices[TWO].subscribed and one.devices[TWO].backoff.step == 0


async def test_a_subscription_that_ends_the_session_says_so() -> None:
    one = Reported()
    one.driver.refuses_reports = lambda _: DriverError("reset", scope=Scope.SESSION)
    with pytest.raises(DriverError, match="reset"):
        await one.turn()
    assert one.recorded.frames == [] and not one.reporting.open


async def test_a_changed_device_is_subscribed_anew_and_the_others_keep_their_subscription() -> None:
    one = Reported()
    await one.turn()
    kept, old = one.driver.subscriptions[ONE], one.driver.subscriptions[TWO]
    await one.replace(TWO, tags=3)
    assert one.driver.subscriptions[ONE] is kept and not kept.closed
    new = one.driver.subscriptions[TWO]
    assert old.closed and not new.closed and [point.name for point in new.points] == ["t0", "t1", "t2"]


async def test_what_an_old_subscription_reports_of_a_tag_that_is_gone_is_nobody_s() -> None:
    one = Reported(ONE)
    await one.turn()
    old = one.driver.subscriptions[ONE]
    await one.replace(ONE, tags=1)
    old.report(t0=5.0, t1=6.0)
    assert [dict(frame.samples) for frame in one.recorded.frames] == [{"t0": 5.0}]
    del one.devices[ONE]
    await one.turn()
    old.report(t0=7.0)
    assert len(one.recorded.frames) == 1 and not one.reporting.open


async def test_a_value_that_stands_still_is_repeated_at_its_heartbeat_and_a_reported_one_is_not() -> None:
    one = Reported(ONE, heartbeat_ms=10_000)
    await one.turn()
    one.driver.subscriptions[ONE].report(t0=1.0, t1=1.0)
    one.driver.values = {(ONE, "t0"): 1.0, (ONE, "t1"): 2.0}
    for second in range(1, 31):
        one.clock.advance(1.0)
        one.driver.subscriptions[ONE].report(t1=float(second))
        await one.turn()
    times = [time_us for time_us, _ in one.recorded.rows[f"{ONE}/t0"]]
    assert [round((after - before) / 1e6) for before, after in pairwise(times)] == [10, 10, 10]
    assert one.recorded.values(f"{ONE}/t1") == [1.0, *map(float, range(2, 31))], "its first report was no change"


async def test_the_end_of_the_session_ends_every_subscription_and_what_was_polled_meanwhile() -> None:
    one = Reported()
    await one.turn()
    one.driver.subscriptions[TWO].faults["t1"] = FULL
    await one.turn()
    assert one.polled == [(TWO, ["t1"])]
    await one.reporting.close()
    assert all(each.closed for each in one.driver.subscriptions.values())
    assert one.polled == [(TWO, ["t1"]), (TWO, [])]
    assert not any(each.subscribed or each.lacking for each in one.devices.values())
