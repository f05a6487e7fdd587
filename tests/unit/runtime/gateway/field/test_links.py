"""The links of a gateway: which ones run, what a deployment leaves alone, and what happens to one that ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from nexus_cli.diagnostics.groups import Group
from nexus_cli.model.config import DeviceConfig, digest, to_json
from nexus_cli.runtime.gateway.configuration import Wanted
from nexus_cli.runtime.gateway.field.links import CLOSE_S, STUCK_LIMITS, Links
from nexus_cli.runtime.gateway.field.supervisor import Supervisor
from tests.field import FakeDriver, device
from tests.measured import latencies
from tests.recorded import Recorded, pipeline_into
from tests.simulated_time import LoopClock

pytestmark = pytest.mark.simulated_time
ONE, TWO, THREE = "a/l/one", "a/l/two", "a/l/three"


def no_driver(protocol: str) -> Any:
    if protocol == "modbus":
        raise ImportError("no library")
    raise KeyError(protocol)


class Gateway:
    """Links and what they record."""

    def __init__(self, group: Group, drivers: Callable[[str], Any]) -> None:
        self.clock, self.recorded, self.changes = LoopClock(), Recorded(), list[str]()
        self.links = Links(
            group,
            drivers=drivers,
            kinds={},
            home=".",
            clock=self.clock,
            pipeline=pipeline_into(self.recorded, self.clock),
            latencies=latencies(self.clock),
            changed=lambda: self.changes.append("changed"),
        )

    def apply(self, *devices: DeviceConfig) -> dict[str, str]:
        return self.links.apply({one.path: Wanted(one, digest(to_json(one))) for one in devices})


@contextlib.asynccontextmanager
async def gateway(driver: FakeDriver | None = None, **keys: Any) -> AsyncIterator[Gateway]:
    async with Group() as group:
        one = Gateway(group, keys.get("drivers", lambda _: driver or FakeDriver()))
        try:
            yield one
        finally:
            await one.links.close()


async def test_a_deployment_starts_changes_and_ends_links_and_leaves_the_others_alone() -> None:
    driver = FakeDriver()
    async with gateway(driver) as one:
        assert one.apply(device(ONE, link="x"), device(TWO, link="y")) == {}
        await asyncio.sleep(3.0)
        kept, ended = one.links.supervisors["x"], one.links.supervisors["y"]
        one.apply(device(ONE, link="x"), device(THREE, link="z"))
        await asyncio.sleep(3.0)
        assert list(one.links.supervisors) == list(one.links._tasks) == ["x", "z"]
        assert one.links.supervisors["x"] is kept and kept.reconnects == 0
        assert ended.devices == {} and [each.closed for each in driver.sessions] == [False, True, False]
        assert len(driver.polls(ONE)) == 60 and len(driver.polls(TWO)) == 30
        assert {link: facts.state for link, facts in one.links.health().items()} == {
            "x": "connected",
            "z": "connected",
        }
    assert all(each.closed for each in driver.sessions)


async def test_a_link_that_is_lost_or_whose_driver_fails_costs_the_others_nothing() -> None:
    driver = FakeDriver()
    driver.down.add("y")
    driver.bug = THREE
    async with gateway(driver) as one:
        one.apply(device(ONE, link="x"), device(TWO, link="y"), device(THREE, link="z"))
        await asyncio.sleep(10.0)
        states = {link: facts.state for link, facts in one.links.health().items()}
        assert states == {"x": "connected", "y": "backoff", "z": "backoff"}
        (counters,) = [each.counters for each in one.links.devices() if each.path == ONE]
        assert (counters.cycles, counters.missed, one.links.restarts) == (100, 0, {})


async def test_a_device_that_moves_to_another_link_is_read_there_alone() -> None:
    driver = FakeDriver()
    async with gateway(driver) as one:
        one.apply(device(ONE, link="x"), device(TWO, link="x"))
        await asyncio.sleep(2.0)
        one.apply(device(ONE, link="y"), device(TWO, link="x"))
        await asyncio.sleep(2.0)
        assert [each.path for each in one.links.devices()] == [TWO, ONE]
        assert len(driver.polls(ONE)) == 40
        times = [frame.time_us for frame in one.recorded.of(ONE)]
        assert times == sorted(set(times))
        assert {each.link: each.closed for each in driver.sessions} == {"x": False, "y": False}


async def test_a_protocol_without_a_driver_fails_its_enabled_devices_and_no_others() -> None:
    async with gateway(drivers=lambda name: FakeDriver() if name == "fake" else no_driver(name)) as one:
        other = msgspec.structs.replace(device(TWO, link="y"), protocol="knx")
        lacking = msgspec.structs.replace(device("a/l/m", link="m"), protocol="modbus")
        off = msgspec.structs.replace(device(THREE, link="z"), protocol="knx", enabled=False)
        assert one.apply(device(ONE, link="x"), other, off, lacking) == {
            TWO: "there is no driver for 'knx' yet",
            "a/l/m": "the driver for 'modbus' can't be used (ImportError: no library)",
        }
        await asyncio.sleep(1.0)
        assert list(one.links.supervisors) == ["x"] and one.links.supervisors["x"].connected


class Ending:
    """Stands in for `Supervisor.run`: it ends by itself, or fails, so many times."""

    def __init__(self, times: int, error: Exception | None = None) -> None:
        self.times, self.error, self.begun = times, error, list[float]()
        self.run = Supervisor.run

    async def __call__(self, supervisor: Supervisor, stop: asyncio.Event) -> None:
        self.begun.append(asyncio.get_running_loop().time())
        if len(self.begun) <= self.times:
            if self.error is not None:
                raise self.error
            return
        await self.run(supervisor, stop)


@pytest.mark.parametrize("error", [None, RuntimeError("a bug of ours")])
async def test_a_link_whose_task_ends_is_started_again_counted_and_bad_meanwhile(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = Ending(5, error)
    monkeypatch.setattr(Supervisor, "run", lambda self, stop: ending(self, stop))
    async with gateway() as one:
        one.apply(device(ONE, link="x"))
        await asyncio.sleep(0.0)
        await asyncio.sleep(0.0)
        state = one.links.supervisors["x"].state
        why = "its task ended by itself" if error is None else "its task failed: RuntimeError: a bug of ours"
        assert (state.state, state.detail) == ("backoff", why)
        assert one.recorded.frames[-1].quality["t0"] == ("BAD", "link_lost", 0)
        await asyncio.sleep(60.0)
        waits = [after - before for before, after in pairwise(ending.begun)]
        assert all(2.0**step / 2 <= wait <= 2.0**step + 0.001 for step, wait in enumerate(waits)) and len(waits) == 5
        assert one.links.restarts == {"x": 5} and state.state == "connected"
        assert one.recorded.values(f"{ONE}/t0")[-1] is not None


async def test_a_link_that_does_nothing_for_long_is_begun_anew_and_one_that_works_is_not() -> None:
    driver = FakeDriver()
    async with gateway(driver) as one:
        one.apply(device(ONE, link="x"))
        await asyncio.sleep(1.0)
        driver.delay_s = 1e6
        await asyncio.sleep(10.0)
        limit_s = one.links.activities()["link x"].limit_s
        one.links.end_stuck(lambda _: limit_s * STUCK_LIMITS - 0.1)
        await asyncio.sleep(0.1)
        assert one.links.restarts == {}
        one.links.end_stuck(lambda _: limit_s * STUCK_LIMITS)
        await asyncio.sleep(0.1)
        assert one.links.supervisors["x"].state.detail == "a call to its driver did not end"
        driver.delay_s = 0.0
        await asyncio.sleep(2.0)
        assert one.links.restarts == {"x": 1} and one.links.supervisors["x"].connected


async def test_the_end_waits_for_no_driver_longer_than_it_must() -> None:
    driver = FakeDriver()
    async with gateway(driver) as one:
        one.apply(device(ONE, link="x"), device(TWO, link="y"))
        await asyncio.sleep(1.0)
        driver.delay_s = 1e6
        await asyncio.sleep(1.0)
        began_s = one.clock.monotonic_s()
        await one.links.close()
        assert one.clock.monotonic_s() - began_s == pytest.approx(CLOSE_S), "side by side"
    assert one.clock.monotonic_s() - began_s == pytest.approx(CLOSE_S), "what hung was cancelled"
    assert all(each.closed for each in driver.sessions)
