"""What a device does not report is polled and asked for again; nothing is waited for, the clock is moved by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from nexus_cli.drivers.base import Fault, Point
from nexus_cli.drivers.door import guarded
from nexus_cli.model.config import TagConfig
from nexus_cli.runtime.gateway.devices.census import limited
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime, device_runtime, poll_meanwhile
from nexus_cli.runtime.gateway.devices.normaliser import Cycle
from nexus_cli.runtime.gateway.field.subscriptions import RETRY_LONGEST_S, Subscriptions
from nexus_cli.wire.sample import Reason
from tests.field import FakeDriver, FakeSession, FakeSubscription, device

FULL = Fault(Reason.DEVICE_ERROR, 0x80DB0000)
PATH = "a/l/plc"


class Pipeline:
    """Keeps nothing."""

    def now_us(self) -> int:
        return 1

    def cycle(self, path: str, *, at_us: int = 1) -> Cycle:
        return Cycle(1)

    def emit(self, device: DeviceRuntime, cycle: Cycle) -> None:
        pass


class Clock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.s = 100.0

    def monotonic_s(self) -> float:
        return self.s


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
        self.driver, self.clock = FakeDriver(), Clock()
        tags = {f"t{at}": TagConfig(type="float64", address=f"a{at}", poll_ms=500, mode="subscribe") for at in range(3)}
        self.device = device_runtime(device(PATH, more=tags, tags=0), "d", guarded(self.driver))
        self.reporting = Subscriptions(
            Session(self.driver, "link"),  # type: ignore[arg-type]
            driver=guarded(self.driver),
            clock=self.clock,  # type: ignore[arg-type]
            pipeline=Pipeline(),  # type: ignore[arg-type]
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
    facts = {"polled": ["t1", "t2"], "count": 2, "why": "2 tags: Bad_TooManyMonitoredItems"}
    assert limited([bench.device]) == {PATH: facts}, "in health, and for `nexus explain`"
    assert bench.subscription.retried == 0


async def test_it_is_asked_for_again_and_no_longer_polled(bench: Bench) -> None:
    for left in (["t2"], []):
        bench.clock.s = bench.reporting.next_s
        await bench.renew()
        assert bench.polled == left
    assert bench.reporting.limits == "" and limited([bench.device]) == {}
    assert bench.subscription.retried == 2
    bench.clock.s += RETRY_LONGEST_S
    await bench.renew()
    assert bench.subscription.retried == 2


async def test_a_device_that_goes_on_refusing_is_asked_more_and_more_seldom(bench: Bench) -> None:
    bench.subscription.room = 0
    waits, asked_s = [], bench.clock.s
    while len(waits) < 12:
        bench.clock.s = max(bench.clock.s, bench.reporting.next_s)
        await bench.renew()
        if bench.subscription.retried > len(waits):
            waits.append(bench.clock.s - asked_s)
            asked_s = bench.clock.s
    assert waits[0] <= 2.0
    assert RETRY_LONGEST_S / 2 <= waits[-1] <= RETRY_LONGEST_S


async def test_what_ends_later_is_polled_at_once(bench: Bench) -> None:
    bench.subscription.room = 3
    bench.clock.s = bench.reporting.next_s
    await bench.renew()
    assert bench.polled == []
    bench.subscription.faults["t0"] = FULL
    await bench.renew()
    assert bench.polled == ["t0"]
    await bench.reporting.close()
    assert bench.polled == []
