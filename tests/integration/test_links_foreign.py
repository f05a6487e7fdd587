"""What a driver's library raises, or never ends: its own link begins anew, is counted, and costs no other link a poll."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from nexus_cli.drivers.base import DriverError, Point, ReadResult, Request, Scope, Session, Sink, Subscription
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime import progress
from nexus_cli.runtime.gateway.field import links, supervisor
from nexus_cli.runtime.gateway.field.supervisor import Supervisor
from nexus_cli.wire import health
from nexus_cli.wire.sample import Value
from tests.field import FakeDriver, FakeSession, FakeSource, FakeSubscription, device
from tests.integration.test_gateway import GW, Plant
from tests.servers import TestBroker
from tests.unit.diagnostics.test_foreign import Abrupt, WithResult
from tests.waiting import until

pytestmark = pytest.mark.needs_broker
ILL, WELL = "tcp:ill:1", "tcp:well:1"
RAISED = [asyncio.CancelledError, WithResult, Abrupt, GeneratorExit, SystemExit, TimeoutError, RuntimeError]
HANG = None


class HostileDriver(FakeDriver):
    """Raises, or hangs, in one call of its first link, a few times; then it is well.

    Attributes:
        call: Which call: `connect`, `read`, `configure`, `check`, `subscribe`, `unsubscribe` or `close`.
        raised: What it raises; None hangs.
        times: How often it still does.
    """

    def __init__(self, call: str, raised: type[BaseException] | None, *, times: int = 2, concurrency: int = 1) -> None:
        super().__init__(concurrency=concurrency)
        self.call, self.raised, self.times = call, raised, times
        self.hung = 0

    async def strike(self, call: str, link: str) -> None:
        if call != self.call or link != ILL or not self.times:
            return
        self.times -= 1
        if self.raised is None:
            self.hung += 1
            await asyncio.Event().wait()
        else:
            raise self.raised("from the library")

    async def connect(self, devices: Sequence[DeviceConfig], *, home: str) -> FakeSession:
        session = await super().connect(devices, home=home)
        await self.strike("connect", session.link)
        return HostileSession(self, session.link)


class HostileSession(FakeSession):
    """See `HostileDriver`."""

    driver: HostileDriver

    async def read(self, request: Request) -> ReadResult:
        await self.driver.strike("read", self.link)
        return await super().read(request)

    async def write(self, device: str, point: Point, value: Value) -> None:
        await self.driver.strike("write", self.link)
        await super().write(device, point, value)

    async def configure(self, devices: Sequence[DeviceConfig]) -> None:
        await self.driver.strike("configure", self.link)

    async def check(self) -> None:
        await self.driver.strike("check", self.link)

    async def subscribe(
        self, device: str, points: Sequence[Point], *, interval_ms: Sequence[int], sink: Sink
    ) -> Subscription:
        await self.driver.strike("subscribe", self.link)
        driver, link = self.driver, self.link

        class HostileSubscription(FakeSubscription):
            async def close(self) -> None:
                await driver.strike("unsubscribe", link)

        return HostileSubscription(sink, device, points)

    async def close(self) -> None:
        await self.driver.strike("close", self.link)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-offs are short."""
    monkeypatch.setattr(supervisor, "LINK_FIRST_S", 0.05)
    monkeypatch.setattr(links, "RESTART_FIRST_S", 0.05)


def plant_of(broker: TestBroker, folder: Path, driver: FakeDriver) -> Plant:
    reported = {"said": TagConfig(type="float64", address="r", mode="subscribe", poll_ms=100)}
    devices = [device("a/l/ill", link=ILL, more=reported), device("a/l/well", link=WELL, more=reported)]
    return Plant(broker.settings(principal=f"nexus.gateway.{GW}", home=folder / "home"), FakeSource(devices), driver)


async def well_again(plant: Plant, driver: HostileDriver) -> None:
    """The call has struck each time, and the link polls; the other link never lost its session."""
    await until(lambda: driver.times == 0)
    gateway = plant.gateway
    before = len(driver.polls("a/l/ill"))
    await until(lambda: len(driver.polls("a/l/ill")) > before + 3)
    await until(lambda: gateway.links.supervisors[ILL].connected)
    assert gateway.links.supervisors[WELL].reconnects == 0
    assert gateway.links.supervisors[WELL].connected


@pytest.mark.parametrize("raised", RAISED, ids=lambda raised: raised.__name__)
@pytest.mark.parametrize("call", ["connect", "read", "subscribe"])
async def test_a_link_outlives_what_its_library_raises(
    broker: TestBroker, tmp_path: Path, call: str, raised: type[BaseException]
) -> None:
    driver = HostileDriver(call, raised)
    plant = plant_of(broker, tmp_path, driver)
    async with plant.running():
        await well_again(plant, driver)
        assert plant.gateway.links.supervisors[ILL].reconnects + (call == "connect") >= 1


@pytest.mark.parametrize("call", ["close", "unsubscribe", "configure"])
@pytest.mark.parametrize("raised", [asyncio.CancelledError, Abrupt], ids=lambda raised: raised.__name__)
async def test_the_end_of_a_session_may_raise_too(
    broker: TestBroker, tmp_path: Path, call: str, raised: type[BaseException]
) -> None:
    driver = HostileDriver(call, raised, times=1)
    plant = plant_of(broker, tmp_path, driver)
    async with plant.running():
        await until(lambda: len(driver.polls("a/l/ill")) > 3)
        changed = device("a/l/ill", link=ILL, tags=3)
        plant.source.deploy(changed, plant.source.devices["a/l/well"])
        if call != "configure":
            driver.down.add(ILL)
            await until(lambda: not plant.gateway.links.supervisors[ILL].connected)
            driver.down.clear()
        plant.gateway.following.notice()
        await well_again(plant, driver)


@pytest.mark.parametrize("raised", [asyncio.CancelledError, WithResult, Abrupt], ids=lambda raised: raised.__name__)
async def test_polls_side_by_side_are_seen_too(broker: TestBroker, tmp_path: Path, raised: type[BaseException]) -> None:
    """A child of a task group that ended by a foreign cancellation: the group would go on without its poll."""
    driver = HostileDriver("read", raised, concurrency=4)
    plant = plant_of(broker, tmp_path, driver)
    plant.source.deploy(*plant.source.devices.values(), device("a/l/ill-2", link=ILL))
    async with plant.running():
        await well_again(plant, driver)
        assert plant.gateway.links.supervisors[ILL].reconnects >= 1


@pytest.mark.parametrize("call", ["connect", "read", "close"])
async def test_a_call_that_never_ends_is_told_and_its_link_begins_anew(
    broker: TestBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(supervisor, "STUCK_S", 1.0)
    monkeypatch.setattr(progress, "LOOK_S", 0.1)
    driver = HostileDriver(call, HANG, times=1)
    if call == "close":
        driver.down.add(ILL)
    plant = plant_of(broker, tmp_path, driver)
    told: list[str] = []
    async with plant.running():
        await until(lambda: plant.gateways and hasattr(plant.gateway, "links"))
        await until(lambda: ILL in plant.gateway.links.supervisors)
        if call == "close":
            driver.down.clear()
            await until(lambda: plant.gateway.links.supervisors[ILL].connected)
            driver.down.add(ILL)
            await until(lambda: driver.hung == 1)
            driver.down.clear()
        else:
            await until(lambda: told.extend(plant.gateway.facts().stalled) or bool(told))
            assert any(f"link {ILL} says" in one for one in told)
            await until(lambda: plant.gateway.links.restarts.get(ILL, 0) == 1)
            assert b'nexus_link_restarts_total{link="tcp:ill:1"} 1.0' in plant.gateway.metrics.render()
        await well_again(plant, driver)
        await until(lambda: not plant.gateway.progress.stalled)


@pytest.mark.parametrize("raised", [asyncio.CancelledError, WithResult, Abrupt, RuntimeError, None], ids=str)
async def test_a_supervisor_whose_task_ends_is_started_again(
    broker: TestBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: type[BaseException] | None
) -> None:
    driver, times = FakeDriver(), 2
    run = Supervisor.run

    async def ends(self: Supervisor, stop: asyncio.Event) -> None:
        nonlocal times
        if self.link == ILL and times:
            times -= 1
            if raised is not None:
                raise raised("out of the supervisor")
            return
        await run(self, stop)

    monkeypatch.setattr(Supervisor, "run", ends)
    plant = plant_of(broker, tmp_path, driver)
    async with plant.running():
        await until(lambda: len(driver.polls("a/l/ill")) > 3)
        assert plant.gateway.links.restarts == {ILL: 2}
        assert plant.gateway.links.supervisors[WELL].reconnects == 0


class Unfit(FakeDriver):
    """Raises what no driver should at each device of one link, before anything is asked of it."""

    def __init__(self, raised: type[Exception]) -> None:
        super().__init__()
        self.raised = raised

    def group(self, device: DeviceConfig, points: Sequence[Point], *, fill_gaps: bool = True) -> tuple[Request, ...]:
        if device.link == ILL:
            raise self.raised("from the driver")
        return super().group(device, points, fill_gaps=fill_gaps)


@pytest.mark.parametrize(
    "raised", [AttributeError, IndexError, RecursionError, AssertionError], ids=lambda one: one.__name__
)
async def test_a_device_that_its_driver_can_not_take_costs_itself_alone(
    broker: TestBroker, tmp_path: Path, raised: type[Exception]
) -> None:
    driver = Unfit(raised)
    plant = plant_of(broker, tmp_path, driver)
    async with plant.running():
        await until(lambda: len(driver.polls("a/l/well")) > 3)
        await until(lambda: plant.gateway.following.observed)
        told = json.loads(plant.gateway.following.observed)["devices"]["a/l/ill"]
        assert told["state"] == "failed" and raised.__name__ in told["detail"]
        assert not driver.polls("a/l/ill")


async def test_a_protocol_whose_driver_can_not_be_had_costs_its_links_alone(broker: TestBroker, tmp_path: Path) -> None:
    driver = FakeDriver()
    plant = plant_of(broker, tmp_path, driver)
    odd = msgspec.structs.replace(device("a/l/ill", link=ILL), protocol="odd")
    plant.source.deploy(plant.source.devices["a/l/well"], odd)

    def drivers(protocol: str) -> FakeDriver:
        if protocol == "odd":
            raise ImportError("no module named 'odd'")
        return driver

    plant.drivers = drivers
    async with plant.running():
        await until(lambda: len(driver.polls("a/l/well")) > 3)
        await until(lambda: plant.gateway.following.observed)
        told = json.loads(plant.gateway.following.observed)["devices"]["a/l/ill"]
        assert told["state"] == "failed" and "no module named 'odd'" in told["detail"]


@pytest.mark.parametrize("raised", [RuntimeError, DriverError], ids=lambda one: one.__name__)
async def test_a_device_whose_words_are_no_text_is_told_in_health(
    broker: TestBroker, tmp_path: Path, raised: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is logged would go into this run's report, which takes text alone; our own handlers escape it.
    monkeypatch.setattr(logging.getLogger("nexus"), "propagate", False)

    class Garbled(HostileDriver):
        async def strike(self, call: str, link: str) -> None:
            if link == ILL and call == "connect":
                said = "said \udc80\x1b[2J"
                raise DriverError(said, scope=Scope.SESSION) if raised is DriverError else raised(said)

    driver = Garbled("connect", None)
    plant = plant_of(broker, tmp_path, driver)
    async with plant.running():
        await until(lambda: len(driver.connects) > 3 and len(driver.polls("a/l/well")) > 3)
        told = json.loads(health.encode(plant.gateway.facts()))
        assert "said \\udc80\\x1b[2J" in told["links"][ILL]["detail"]
        reads = plant.gateway.facts().reads["a/l/well"]
        assert (reads.polls > 3, reads.answered_s > 0, reads.read_ms >= 0, reads.kinds) == (True, True, True, {})
        assert plant.gateway.facts().outbox.free_bytes


def test_the_fakes_are_sessions() -> None:
    """What the tests script is what a gateway uses."""
    session: Session = HostileSession(HostileDriver("read", RuntimeError), ILL)
    assert session is not None
