"""A login that was refused is tried twice, then the link rests: accounts get locked."""

from __future__ import annotations

import asyncio

from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.drivers.door import guarded
from nexus_cli.runtime.gateway.supervisor import Supervisor
from nexus_cli.wire.sample import Reason
from tests.field import FakeDriver, FakeSession, device
from tests.unit.runtime.test_reporting import Pipeline

REST_S = 300.0


class Refusing(FakeDriver):
    """Refuses the login, at a cost or without."""

    rest_s = REST_S

    async def connect(self, devices: object, *, home: str) -> FakeSession:
        self.connects.append(0.0)
        raise DriverError(
            "wrong", scope=Scope.SESSION, reason=Reason.ACCESS_DENIED, retriable=False, rest_s=self.rest_s
        )


class Clock:
    """Its waits are noted and over at once, by the alarm that stands in for the supervisor's."""

    turns = 0
    s = 0.0

    def monotonic_s(self) -> float:
        return self.s

    def now_us(self) -> int:
        return 1


class Alarm:
    """Moves the clock instead of waiting."""

    def __init__(self, clock: Clock, stop: asyncio.Event) -> None:
        self.clock, self.stop, self.waits = clock, stop, list[float]()

    def set(self) -> None:
        pass

    def clear(self) -> None:
        pass

    async def wait(self, delay_s: float | None) -> None:
        await asyncio.sleep(0)
        self.waits.append(delay_s or 0.0)
        self.clock.s += delay_s or 0.0
        if len(self.waits) == 5:
            self.stop.set()


async def waits_of(driver: Refusing) -> tuple[list[float], str]:
    clock, stop = Clock(), asyncio.Event()
    link = Supervisor(
        "link",
        driver=guarded(driver),
        link_keys=frozenset(),
        home="",
        clock=clock,  # type: ignore[arg-type]
        pipeline=Pipeline(),  # type: ignore[arg-type]
        changed=lambda: None,
    )
    alarm = link._wake = Alarm(clock, stop)  # type: ignore[assignment]
    link.apply([(device("a/l/plc"), "d")])
    await link.run(stop)
    return alarm.waits, link.state.detail


async def test_a_costly_attempt_is_made_twice_then_rests() -> None:
    waits, detail = await waits_of(Refusing())
    assert waits[0] < 2.0
    assert all(wait_s >= REST_S for wait_s in waits[1:])
    assert "tried 2 times, again in 5 min" in detail


async def test_what_costs_nothing_is_tried_with_the_usual_back_off() -> None:
    driver = Refusing()
    driver.rest_s = 0.0
    waits, _ = await waits_of(driver)
    assert max(waits) < 60.0
