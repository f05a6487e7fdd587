"""Work goes before polls: it waits for the request in flight and for nothing else; two works never overtake each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nexus_cli.drivers.base import Session
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime, device_runtime
from nexus_cli.runtime.gateway.devices.normaliser import Cycle
from nexus_cli.runtime.gateway.field.polling import Poller, WorkQueue
from tests.field import FakeDriver, FakeSession, device


class Nowhere:
    """A pipeline that ends here."""

    def asked(self, path: str) -> None:
        return None

    def cycle(self, path: str) -> Cycle:
        return Cycle(1)

    def ongoing(self, one: DeviceRuntime) -> Cycle:
        return Cycle(1)

    def emit(self, one: DeviceRuntime, cycle: Cycle) -> None:
        return None

    def finish(self, one: DeviceRuntime, *, over: bool = True) -> None:
        return None


class Watched(FakeSession):
    """Says what it reads, and lets something happen in the middle of a read."""

    def __init__(self, driver: FakeDriver, log: list[str], meanwhile: Callable[[str], None]) -> None:
        super().__init__(driver, "link")
        self.log, self.meanwhile = log, meanwhile

    async def read(self, request: Any) -> Any:
        """Read."""
        self.log.append(f"read {request.device}")
        self.meanwhile(request.device)
        await asyncio.sleep(0)
        return await super().read(request)


def plant(concurrency: int) -> tuple[FakeDriver, dict[str, DeviceRuntime]]:
    driver = FakeDriver(concurrency=concurrency)
    devices = {f"a/l/d{n}": device_runtime(device(f"a/l/d{n}"), "x", driver) for n in range(10)}
    return driver, devices


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_work_waits_for_what_is_in_flight_and_nothing_else(concurrency: int) -> None:
    log: list[str] = []
    working = WorkQueue()
    driver, devices = plant(concurrency)

    def order(name: str) -> Callable[[Session], Any]:
        async def work(session: Session) -> None:
            log.append(f"begin {name}")
            await asyncio.sleep(0.002)
            log.append(f"end {name}")

        return work

    def meanwhile(path: str) -> None:
        if path == "a/l/d0":
            for name in ("one", "two", "three"):
                working.append(order(name), None)

    session = Watched(driver, log, meanwhile)
    poller = Poller(session, driver, clock=SystemClock(), pipeline=Nowhere(), work=working)  # type: ignore[arg-type]
    assert await poller.poll(devices, [((path, 100), 0) for path in devices])
    works = [line for line in log if not line.startswith("read")]
    assert works == [f"{word} {name}" for name in ("one", "two", "three") for word in ("begin", "end")]
    assert log.index("begin one") <= concurrency, "only requests that were in flight came first"
    assert len([line for line in log if line.startswith("read")]) == 10


def test_what_never_had_its_turn_is_told() -> None:
    working, told = WorkQueue(), []

    async def work(session: Session) -> None:
        raise AssertionError("it must not be done")

    working.append(work, told.append)
    working.append(work, None)
    working.drop("the line is cut")
    assert told == ["the line is cut"] and len(working) == 0
