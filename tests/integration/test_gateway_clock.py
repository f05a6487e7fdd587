"""A gateway whose machine's clock goes wrong: doubtful samples are marked, heal by themselves, and are never of a time
that can't be. And the heartbeats of what no poll repeats."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.clock import SANE_FROM_US, SystemClock
from nexus_cli.runtime.gateway import gateway as gateway_module
from nexus_cli.runtime.kernel_clock import KernelClock
from nexus_cli.settings import ClockTrust
from nexus_cli.wire.frame import Frame
from tests.field import FakeDriver, FakeSource
from tests.integration.test_gateway import GW, Plant
from tests.servers import TestBroker
from tests.waiting import until

pytestmark = pytest.mark.needs_broker
PATH = "a/l/one"
TAGS = ("polled", "told", "sum")
HOUR_US = 3_600_000_000
DOUBTFUL = ("UNCERTAIN", "clock_unsynchronised", 0)
GOOD = ("GOOD", None, 0)


class Machine:
    """The machine under a gateway: how far its wall clock is off, and whether its kernel vouches for it."""

    def __init__(self) -> None:
        self.off_us = 0
        self.synchronised: bool | None = False

    def clock(self, *, trust: ClockTrust) -> SystemClock:
        """Instead of the real one's, which the settings of a test would vouch for."""
        return SystemClock(
            trust=ClockTrust.AUTO,
            wall_ns=lambda: time.time_ns() + self.off_us * 1000,
            kernel=lambda: KernelClock(self.synchronised),
        )

    def set(self, off_us: int, *, synchronised: bool = False) -> None:
        """Set it."""
        self.off_us, self.synchronised = off_us, synchronised


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine whose clock the test sets."""
    one = Machine()
    monkeypatch.setattr(gateway_module, "SystemClock", one.clock)
    return one


def one_device(*, heartbeat_ms: int = 0, sum_only: bool = False) -> DeviceConfig:
    """A tag that is polled, one that is subscribed, and their sum."""
    return DeviceConfig(
        path=PATH,
        protocol="fake",
        link="tcp:one:1",
        gateway=GW,
        tags={
            "polled": TagConfig(type="float64", address="a", poll_ms=100),
            "told": TagConfig(
                type="float64", address="b", mode="subscribe", heartbeat_ms=0 if sum_only else heartbeat_ms
            ),
            "sum": TagConfig(
                type="float64",
                published_type="float64",
                expr="x + y",
                inputs={"x": f"{PATH}/polled", "y": f"{PATH}/told"},
                heartbeat_ms=heartbeat_ms,
            ),
        },
    )


@pytest.fixture
def plant(broker: TestBroker, tmp_path: Path) -> Plant:
    """One device whose values do not change."""
    settings = broker.settings(principal=f"nexus.gateway.{GW}", home=tmp_path / "home")
    driver = FakeDriver()
    driver.values[PATH, "polled"] = 1.0
    driver.values[PATH, "told"] = 2.0  # what a read finds while nothing is reported
    return Plant(settings, FakeSource([one_device()]), driver)


def frames(plant: Plant) -> list[Frame]:
    """In the order of their numbers."""
    return [frame for _, frame in sorted(plant.historian.frames.items())]


def told(plant: Plant, tag: str) -> list[tuple[Any, tuple[str, str | None, int]]]:
    """Value and quality of every sample of a tag, in order."""
    return [(one.samples[tag], one.quality.get(tag, GOOD)) for one in frames(plant) if tag in one.samples]


async def newest(plant: Plant, quality: tuple[str, str | None, int]) -> None:
    """Wait until the newest sample of each tag has this quality."""
    await until(lambda: all(told(plant, tag)[-1:] and told(plant, tag)[-1][1] == quality for tag in TAGS))


async def report(plant: Plant, value: float) -> None:
    """The device reports a value."""
    await until(lambda: PATH in plant.driver.subscriptions and not plant.driver.subscriptions[PATH].closed)
    plant.driver.subscriptions[PATH].report(told=value)


async def test_a_glitch_of_an_hour_marks_standing_values_and_heals(plant: Plant, machine: Machine) -> None:
    async with plant.running():
        await report(plant, 2.0)
        await newest(plant, GOOD)
        machine.set(HOUR_US)
        await newest(plant, DOUBTFUL)
        facts = plant.gateway.facts().clock
        assert "apart" in facts.doubt and facts.doubtful_since > 0 and facts.steps == 1
        assert plant.gateway.ready()[0], "it does its work"
        machine.set(0)
        await newest(plant, GOOD)
        facts = plant.gateway.facts().clock
        assert (facts.doubt, facts.doubtful_since, facts.turns) == ("", 0, 0)
        live = f"acme/chicago/{PATH}/sum"
        await until(lambda: json.loads(plant.historian.live[live])["quality"] == "GOOD")
    assert {value for value, _ in told(plant, "sum")} == {3.0}
    times = [frame.time for frame in frames(plant)]
    assert times == sorted(set(times)) and times[-1] < time.time_ns() // 1000 + 1_000_000, (
        "nothing of it is in the record"
    )


async def test_a_boot_in_2106_stores_and_heals(plant: Plant, machine: Machine) -> None:
    machine.set(4_294_967_295_000_000 - time.time_ns() // 1000)
    async with plant.running():
        await report(plant, 2.0)
        await newest(plant, DOUBTFUL)
        assert "can't be" in plant.gateway.facts().clock.doubt
        machine.set(0, synchronised=True)
        await newest(plant, GOOD)
    times = [frame.time for frame in frames(plant)]
    assert times[0] > SANE_FROM_US and times == sorted(set(times))
    assert abs(times[-1] - time.time_ns() // 1000) < 60_000_000


async def test_a_log_that_ends_in_the_future_does_not_hold_the_next_life(plant: Plant, machine: Machine) -> None:
    """An earlier life ran with a wrong year, and its operating system vouched for it."""
    machine.set(4 * 365 * 24 * HOUR_US, synchronised=True)
    async with plant.running():
        await report(plant, 2.0)
        await newest(plant, GOOD)
        await until(plant.everything_delivered)
    wrong = len(frames(plant))
    plant.historian.frames.clear()
    machine.set(0, synchronised=True)
    async with plant.running():
        await report(plant, 2.0)
        await newest(plant, GOOD)
        assert plant.gateway.facts().clock.refused_floor_us > time.time_ns() // 1000 + 24 * HOUR_US
    assert wrong and all(abs(frame.time - time.time_ns() // 1000) < 60_000_000 for frame in frames(plant))


async def test_a_time_that_was_an_hour_ahead_is_set_back_and_everything_is_recorded_anew(
    plant: Plant, machine: Machine
) -> None:
    async with plant.running():
        await report(plant, 2.0)
        await newest(plant, GOOD)
        before = len(frames(plant))
        machine.set(-HOUR_US)
        await newest(plant, DOUBTFUL)
        machine.set(-HOUR_US, synchronised=True)
        await newest(plant, GOOD)
        assert plant.gateway.facts().clock.turns == 1
    held = [frame for frame in frames(plant)[before:] if frame.quality]
    back = [frame for frame in frames(plant)[before:] if frame.time < held[0].time - HOUR_US // 2]
    assert held and {name for frame in back for name in frame.samples} == set(TAGS)
    assert all(not frame.quality for frame in back[-1:])


async def test_a_machine_that_knew_its_time_server_is_doubtful_until_it_finds_it(
    plant: Plant, machine: Machine
) -> None:
    machine.set(0, synchronised=True)
    async with plant.running():
        await report(plant, 2.0)
        await newest(plant, GOOD)
        await until(lambda: (plant.settings.home / "gateway" / "clock-synchronised").exists())
    plant.historian.frames.clear()
    machine.set(0, synchronised=False)
    async with plant.running():
        await report(plant, 2.0)
        await newest(plant, DOUBTFUL)
        machine.set(0, synchronised=True)
        await newest(plant, GOOD)
    assert told(plant, "polled")[0] == (1.0, DOUBTFUL), "from the first sample on"


async def test_heartbeats_of_what_is_subscribed_and_calculated(plant: Plant) -> None:
    plant.source.deploy(one_device(heartbeat_ms=1000))
    async with plant.running():
        await report(plant, 2.0)
        await until(lambda: len(told(plant, "told")) >= 4 and len(told(plant, "sum")) >= 4)
        assert len(told(plant, "polled")) == 1, "a tag without a heartbeat has none"
        plant.driver.down.add("tcp:one:1")
        await until(lambda: told(plant, "told")[-1] == (None, ("BAD", "link_lost", 0)))
        ended = len(told(plant, "told"))
        # The calculated tag goes on saying that its input is bad; nobody claims the reported value any more.
        already = len(told(plant, "sum"))
        await until(lambda: len(told(plant, "sum")) >= already + 2)
        assert told(plant, "sum")[-1] == (None, ("BAD", "input_bad", 0))
        assert {value for value, _ in told(plant, "told")[ended:]} <= {None}
        plant.driver.down.clear()
        await until(
            lambda: plant.driver.subscriptions[PATH].closed is False and plant.gateway.links.devices()[0].subscribed,
        )
        await report(plant, 2.0)
        await until(lambda: [one[0] for one in told(plant, "told")[ended:]].count(2.0) >= 3)
    assert {value for value, _ in told(plant, "sum")} == {3.0, None}


async def test_a_calculated_tag_has_a_heartbeat_of_its_own(plant: Plant) -> None:
    plant.source.deploy(one_device(heartbeat_ms=1000, sum_only=True))
    async with plant.running():
        await report(plant, 2.0)
        await until(lambda: len(told(plant, "sum")) >= 3)
    assert (len(told(plant, "polled")), len(told(plant, "told"))) == (1, 1)
    assert {one for one, _ in told(plant, "sum")} == {3.0}


async def test_a_heartbeat_is_no_claim_that_nobody_has_proved(plant: Plant) -> None:
    """The link answers its polls, but a check finds that its subscription is dead."""
    plant.source.deploy(one_device(heartbeat_ms=1000))
    checks: list[str] = []

    async def check(session: Any) -> None:
        checks.append(session.link)
        raise DriverError("the subscription is silent", scope=Scope.SESSION)

    original = plant.driver.connect

    async def connect(devices: Any, *, home: str) -> Any:
        session = await original(devices, home=home)
        session.check = lambda: check(session)  # type: ignore[method-assign]
        return session

    plant.driver.connect = connect  # type: ignore[method-assign]
    async with plant.running():
        await report(plant, 2.0)
        await until(lambda: bool(checks) and told(plant, "told")[-1][0] is None)
    assert [value for value, _ in told(plant, "told")][:2] == [2.0, None]
