"""A login that was refused is tried twice, then the link rests: accounts get locked."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.drivers.door import guarded
from nexus_cli.runtime.gateway.field.supervisor import Supervisor
from nexus_cli.wire.sample import Reason
from tests.field import FakeDriver, FakeSession, device
from tests.unit.runtime.test_reporting import Pipeline

REST_S = 300.0


class Clock:
    """Its waits are noted and over at once, by the alarm that stands in for the supervisor's."""

    turns = 0
    s = 0.0

    def monotonic_s(self) -> float:
        return self.s

    def now_us(self) -> int:
        return 1


class Refusing(FakeDriver):
    """Refuses the login, at a cost or without."""

    def __init__(self, clock: Clock, *, rest_s: float) -> None:
        super().__init__()
        self.clock, self.rest_s = clock, rest_s

    async def connect(self, devices: object, *, home: str) -> FakeSession:
        self.connects.append(self.clock.s)
        raise DriverError(
            "wrong", scope=Scope.SESSION, reason=Reason.ACCESS_DENIED, retriable=False, rest_s=self.rest_s
        )


class Wakeup:
    """Moves the clock instead of waiting."""

    def __init__(self, clock: Clock, stop: asyncio.Event) -> None:
        self.clock, self.stop, self.waits = clock, stop, 0

    def set(self) -> None:
        pass

    def clear(self) -> None:
        pass

    async def wait(self, delay_s: float | None) -> None:
        await asyncio.sleep(0)
        self.waits += 1
        self.clock.s += (delay_s or 0.0) + 1e-6  # a sum of floats may fall short of what was asked for
        if self.waits == 5:
            self.stop.set()


async def attempts(*, rest_s: float) -> tuple[list[float], str]:
    """Seconds between the attempts, and what the link says at the end."""
    clock, stop = Clock(), asyncio.Event()
    driver = Refusing(clock, rest_s=rest_s)
    link = Supervisor(
        "link",
        driver=guarded(driver),
        link_keys=frozenset(),
        home="",
        clock=clock,  # type: ignore[arg-type]
        pipeline=Pipeline(),  # type: ignore[arg-type]
        changed=lambda: None,
    )
    link._wake = Wakeup(clock, stop)  # type: ignore[assignment]
    link.apply([(device("a/l/plc"), "d")])
    await link.run(stop)
    return [after - before for before, after in pairwise(driver.connects)], link.state.detail


async def test_a_costly_attempt_is_made_twice_then_rests() -> None:
    waits, detail = await attempts(rest_s=REST_S)
    assert waits[0] < 2.0
    assert all(wait_s >= REST_S for wait_s in waits[1:])
    assert len(waits) > 2
    assert "tried 2 times, again in 5 min" in detail


async def test_what_costs_nothing_is_tried_with_the_usual_back_off() -> None:
    waits, _ = await attempts(rest_s=0.0)
    assert max(waits) < 61.0
