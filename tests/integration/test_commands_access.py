"""Who may command: the rights that a site compiles to, in a real broker. A foreign name in the topic does not pass."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.access.brokers.mosquitto.acl_file import render_acl
from nexus_cli.access.compile import compile_grants
from nexus_cli.access.grants import Grant
from nexus_cli.model.config import to_json
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.wire.client import BrokerClient
from tests.commanding import GW, Asker, Bench, CountingServer, counting, drive
from tests.servers import TestBroker, new_broker
from tests.waiting import PATIENCE_S, until

pytestmark = [pytest.mark.needs_broker]
PATH = "a/l/drive/setpoint"
PRINCIPALS = (
    "nexus.control",
    "nexus.historian",
    "nexus.cli",
    f"nexus.gateway.{GW}",
    "nexus.gateway.gw-2",
    "desk",
    "guest",
    "ear",
)


@pytest.fixture
async def field() -> AsyncIterator[CountingServer]:
    async with counting([drive()]) as server:
        yield server


@pytest.fixture
def broker(tmp_path: Path, field: CountingServer) -> Iterator[TestBroker]:
    folder = tmp_path / "broker"
    folder.mkdir()
    resources: dict[str, Any] = {
        "site": {"enterprise": "acme", "site": "chicago"},
        f"gateway.{GW}": {"select": ["line:a/l"]},
        "gateway.gw-2": {},
        "device.a/l/drive": to_json(drive(port=field.port)),
        "device.b/l/drive": to_json(drive("b/l/drive", gateway="gw-2")),
        "message.start-order": {"topic": "erp/orders/{line}/start"},
        "message.recipe": {"topic": "erp/recipe"},
        "role.operator": {"read": ["a/**"], "write": ["a/l/drive/setpoint"], "publish": ["start-*"]},
        "role.viewer": {"read": ["a/**"]},
        "user.desk": {"roles": ["operator"]},
        "user.guest": {"roles": ["viewer"]},
    }
    grants = (*compile_grants(Snapshot.of("acme", "chicago", resources)), Grant("ear", "subscribe", "erp/#"))
    users = {principal: f"secret-{principal}" for principal in PRINCIPALS}
    one = new_broker(folder, users=users, acl=render_acl(grants).splitlines())
    if one.kind != "mosquitto":
        pytest.skip("needs mosquitto: amqtt has no users here")
    one.start()
    yield one
    one.kill()


class Principals:
    """A bench whose clients have names and passwords."""

    def __init__(self, broker: TestBroker, home: Path, field: CountingServer) -> None:
        self.broker = broker
        self.bench = Bench(broker, home, [drive(port=field.port)])
        self.bench.historian.client._settings = dataclasses.replace(
            self.bench.settings, broker_user="nexus.historian", broker_password=broker.users["nexus.historian"]
        )
        self.bench.asker = self.asker("desk")

    def asker(self, principal: str) -> Asker:
        """A client that may hear its own answers alone."""
        made = Asker(self.broker.settings(principal=principal), principal=principal)
        made.reports_too = False
        return made


async def test_only_the_own_name_and_what_the_role_says(
    broker: TestBroker, field: CountingServer, tmp_path: Path
) -> None:
    plant = Principals(broker, tmp_path / "home", field)
    guest, stop = plant.asker("guest"), asyncio.Event()
    async with plant.bench.running(), asyncio.TaskGroup() as group:
        group.create_task(guest.run(stop))
        await until(lambda: guest.client.connected)
        desk = plant.bench.asker
        assert (await desk.ask(PATH, 30.0))["state"] == "done"
        # Nothing of this arrives: Mosquitto acknowledges what its rules drop (MQTT 3.1.1 §3.3.5).
        await guest.send(PATH, 31.0)
        await guest.send(PATH, 31.0, principal="desk", id="stolen")
        await desk.send(PATH, 31.0, principal="guest")
        await desk.send("a/l/drive/speed", 31.0)
        await desk.send(PATH, 31.0, principal="nexus.cli")
        await guest.client.publish(f"_nexus/acme/chicago/cmd/{PATH}", b"{}", qos=2)
        last = await desk.ask(PATH, 32.0)
        assert last["state"] == "done"
        assert "stolen" not in desk.answers and not guest.answers
        stop.set()
    assert [int.from_bytes(data[:2], "big") for _, _, data in field.writes] == [300, 320]


async def test_the_command_line_of_this_machine_may_write_what_is_writable(
    broker: TestBroker, field: CountingServer, tmp_path: Path
) -> None:
    plant = Principals(broker, tmp_path / "home", field)
    plant.bench.asker = plant.asker("nexus.cli")
    async with plant.bench.running():
        cli = plant.bench.asker
        assert (await cli.ask(PATH, 33.0))["state"] == "done"
        refused = await cli.ask("a/l/drive/fixed", 1)
        assert (refused["state"], refused["code"]) == ("refused", "NX6803")
        command = await cli.send("b/l/drive/setpoint", 20.0, id=uuid.uuid4().hex)
        assert (await cli.ask(PATH, 34.0))["state"] == "done"
        assert command not in cli.answers, "another gateway's device is not ours to answer for"
    assert len(field.writes) == 2


async def test_a_role_publishes_its_messages_and_no_others(broker: TestBroker) -> None:
    heard: list[str] = []

    def client(name: str) -> BrokerClient:
        return BrokerClient(settings=broker.settings(principal=name), client_id=f"{name}-{uuid.uuid4().hex[:6]}")

    ear = client("ear")
    async with ear.session() as messages, asyncio.timeout(PATIENCE_S):
        await ear.subscribe([("erp/#", 1)])
        for name, topic in (
            ("guest", "erp/orders/one/start"),
            ("desk", "erp/recipe"),
            ("desk", "erp/orders/one/stop"),
            ("desk", "erp/orders/one/two/start"),
            ("desk", "erp/orders/one/start"),
            ("nexus.cli", "erp/recipe"),
            ("nexus.control", "erp/orders/two/start"),
        ):
            sender = client(name)
            async with sender.session():
                await sender.publish(topic, b"{}", qos=1)
        async for message in messages:
            heard.append(message.topic)
            if len(heard) == 2:
                break
    assert heard == ["erp/orders/one/start", "erp/orders/two/start"], "control publishes for the command line"
