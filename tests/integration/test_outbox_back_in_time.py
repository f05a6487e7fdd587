"""An outbox folder that goes back in time, or twice into the world: every new sample is stored, none is doubled."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.gateway.gateway import Gateway, run_gateway
from nexus_cli.settings import Settings
from tests.field import FakeDriver, FakeSource
from tests.integration.historian_rig import declare, historian, query
from tests.servers import TestBroker
from tests.waiting import until, until_found

pytestmark = pytest.mark.needs_broker
PATH = "a/l/one"
TAG = TagConfig(type="float64", published_type="float64", address="a0", poll_ms=50)
DEVICE = DeviceConfig(path=PATH, protocol="fake", link="x", gateway="gw-1", tags={"t0": TAG})


class Machine:
    """A gateway's home on some machine, and the field that counts what it is asked."""

    def __init__(self, broker: TestBroker, home: Path, driver: FakeDriver) -> None:
        self.settings = broker.settings(principal="nexus.gateway.gw-1", home=home)
        self.folder = home / "outbox" / "gw-1"
        self.driver = driver

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Gateway]:
        """One life of the gateway."""
        stop, started = asyncio.Event(), asyncio.Event()
        gateways: list[Gateway] = []

        def note(gateway: Gateway) -> None:
            gateways.append(gateway)
            started.set()

        async with asyncio.TaskGroup() as group:
            role = group.create_task(
                run_gateway(
                    self.settings,
                    name="gw-1",
                    source=FakeSource([DEVICE]),
                    stop=stop,
                    drivers=lambda _: self.driver,
                    started=note,
                )
            )
            await started.wait()
            yield gateways[0]
            stop.set()
            await role

    async def live(self, *, samples: int) -> None:
        """Run until so many polls are made and delivered."""
        async with self.running() as gateway:
            goal = len(self.driver.polls(PATH)) + samples
            await until(lambda: len(self.driver.polls(PATH)) >= goal, "the polls")
            outbox = gateway.outbox
            await until(lambda: outbox.lowest_uncommitted() > outbox.durable_seq - 5, "the receipts")


async def values(database: Settings) -> list[float]:
    """Every stored value, by time. The field is a counter, so each is there once when nothing is lost or doubled."""
    return [row["value"] for row in await query(database, "SELECT value FROM nexus.sample ORDER BY time")]


async def complete(database: Settings, driver: FakeDriver) -> None:
    """Every value that was polled is a row, once."""
    polled = len(driver.polls(PATH))
    found = await until_found(lambda: values(database), lambda rows: len(rows) >= polled)
    assert found == [float(one) for one in range(1, polled + 1)]


async def test_a_folder_set_back_while_the_gateway_was_off(
    database: Settings, broker: TestBroker, tmp_path: Path
) -> None:
    await declare(database, DEVICE)
    machine = Machine(broker, tmp_path / "home", FakeDriver())
    async with historian(database, broker) as role:
        await machine.live(samples=10)
        shutil.copytree(machine.folder, tmp_path / "snapshot")
        await machine.live(samples=20)
        shutil.rmtree(machine.folder)
        shutil.copytree(tmp_path / "snapshot", machine.folder)
        await machine.live(samples=20)
        await complete(database, machine.driver)
        assert role.counters.dead_letters == 0
    assert not await query(database, "SELECT * FROM nexus.gap WHERE reason LIKE 'outbox%'")


async def test_a_copy_of_the_folder_on_another_machine(database: Settings, broker: TestBroker, tmp_path: Path) -> None:
    await declare(database, DEVICE)
    driver = FakeDriver()
    here, elsewhere = Machine(broker, tmp_path / "here", driver), Machine(broker, tmp_path / "elsewhere", driver)
    async with historian(database, broker):
        await here.live(samples=10)
        shutil.copytree(here.folder, elsewhere.folder)
        await elsewhere.live(samples=10)
        await here.live(samples=10)
        await elsewhere.live(samples=10)
        await complete(database, driver)
    epochs = await query(database, "SELECT DISTINCT epoch FROM nexus.committed")
    assert len(epochs) == 4, "every opening has an epoch of its own"


@pytest.mark.parametrize("lost", [1, 300, 2_000])
async def test_a_disk_that_lost_what_it_had_synced(
    database: Settings, broker: TestBroker, tmp_path: Path, lost: int
) -> None:
    """A power cut takes the last pages, although the disk had said that they were safe, and their frames were stored."""
    await declare(database, DEVICE)
    machine = Machine(broker, tmp_path / "home", FakeDriver())
    async with historian(database, broker):
        await machine.live(samples=20)
        newest = max(machine.folder.glob("*.log"))
        newest.write_bytes(newest.read_bytes()[:-lost])
        (machine.folder / "running").touch()
        await machine.live(samples=20)
        await complete(database, machine.driver)
