"""Nothing stalls silently: each role says in health, readiness and status when work waits and nothing moves, and takes it back."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.local.status import _role
from nexus_cli.runtime import progress
from nexus_cli.runtime.gateway import stall_watch as gateway_moving
from nexus_cli.runtime.historian import stall_watch as historian_moving
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from tests.field import FakeDriver, FakeSource, device
from tests.integration.historian_rig import DEVICE, SmallOutbox, declare, historian, lane, outbox_settings
from tests.integration.historian_rig import device as stored_device
from tests.integration.test_gateway import GW, Plant
from tests.servers import TestBroker
from tests.waiting import until

pytestmark = pytest.mark.needs_broker


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of a second."""
    monkeypatch.setattr(progress, "LOOK_S", 0.05)
    for name in ("RECEIPT_S", "DISK_S", "LIVE_S", "COMMANDS_S"):
        monkeypatch.setattr(gateway_moving, name, 1.0)
    for name in ("TAKE_S", "STORE_S", "RECEIPT_S"):
        monkeypatch.setattr(historian_moving, name, 1.0)


def plant_of(broker: TestBroker, folder: Path, driver: FakeDriver) -> Plant:
    settings = broker.settings(principal=f"nexus.gateway.{GW}", home=folder / "home")
    return Plant(settings, FakeSource([device("a/l/one", link="tcp:one:1")]), driver)


async def test_a_gateway_without_receipts_says_so_until_they_come(broker: TestBroker, tmp_path: Path) -> None:
    plant = plant_of(broker, tmp_path, FakeDriver())
    async with plant.running():
        await until(lambda: len(plant.historian.frames) > 3)
        gateway = plant.gateway
        await until(lambda: gateway.ready() == (True, ""))
        plant.historian.forgetting = True
        await until(lambda: "no receipt comes from the historian" in gateway.ready()[1])
        role = await _role("gateway", gateway.http_port, None)
        assert role.state == "degraded", "what `nexus status` exits with 6 for"
        assert "no receipt comes" in role.detail
        # The counts in the sentences go on between the two looks.
        assert [re.sub(r"\d+", "n", one) for one in json.loads(bytes(role.status))["stalled"]] == [
            re.sub(r"\d+", "n", one) for one in gateway.progress.stalled.values()
        ]
        plant.historian.forgetting = False
        await until(lambda: gateway.ready() == (True, ""))


async def test_the_health_message_says_what_stands_still(broker: TestBroker, tmp_path: Path) -> None:
    plant = plant_of(broker, tmp_path, FakeDriver())
    plant.historian.forgetting = True
    async with plant.running():
        await until(lambda: plant.gateways)
        client = BrokerClient(settings=plant.settings, client_id="watcher")
        async with asyncio.timeout(60), client.session() as messages:
            await client.subscribe([(plant.gateway._topics.health("gateway", GW), 1)])
            async for message in messages:
                told: dict[str, Any] = json.loads(message.payload)
                if told["state"] == "running" and told["stalled"]:
                    break
        assert told["stalled"][0].startswith("no receipt comes from the historian")
        plant.historian.forgetting = False


async def test_an_idle_gateway_is_well(broker: TestBroker, tmp_path: Path) -> None:
    """Values do not change, so no frame is made, and no receipt comes: nothing is wrong."""
    driver = FakeDriver()
    driver.values.update({("a/l/one", f"t{at}"): 7.0 for at in range(4)})
    plant = plant_of(broker, tmp_path, driver)
    async with plant.running():
        await until(lambda: plant.gateways)
        gateway = plant.gateway
        await until(plant.everything_delivered)
        said: list[str] = []
        before = len(driver.reads)
        await until(lambda: said.extend(gateway.progress.stalled) or len(driver.reads) > before + 30)
        assert said == []
        assert gateway.ready() == (True, "")


@pytest.mark.needs_database
async def test_a_historian_that_stores_nothing_says_so(
    database: Settings, broker: TestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await declare(database, stored_device(DEVICE, temperature="float64"))
    go_on = asyncio.Event()
    go_on.set()
    async with historian(database, broker) as role, SmallOutbox(outbox_settings(broker)).running() as outbox:
        write = lane(role).placement.write

        async def slow(*arguments: Any) -> Any:
            await go_on.wait()
            return await write(*arguments)

        monkeypatch.setattr(lane(role).placement, "write", slow)
        outbox.frame(1, {"temperature": 1.0})
        await outbox.drained()
        assert role.ready() == (True, "")
        go_on.clear()
        outbox.frame(2, {"temperature": 2.0})
        await until(lambda: "nothing is stored although batches wait" in role.ready()[1])
        assert role.status().stalled == list(role.progress.stalled.values())
        go_on.set()
        await outbox.drained()
        await until(lambda: role.ready() == (True, ""))
