"""Events and messages over web's WebSocket: where each comes from, and who may know of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexus_cli.database import commands, sequences
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.control_sequences import RunEnd
from tests.integration.identity_world import SITE
from tests.integration.socket_client import SocketClient, socket_client
from tests.integration.web_world import TOPICS, WebWorld, served_web
from tests.servers import TestBroker, new_broker
from tests.waiting import until

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
ENERGY, VOLTAGE = "a/l/one/energy", "a/l/one/voltage"
GATEWAY = TOPICS.health("gateway", "gw-1")
AT_US = 1_767_225_600_000_000
RECIPE = {"topic": "erp/orders/{line}", "schema": {"type": "object", "properties": {"line": {"type": "string"}}}}


class Plant:
    """The web, its broker, and somebody who publishes."""

    def __init__(self, web: WebWorld, broker: TestBroker, publisher: BrokerClient) -> None:
        self.web, self.broker, self.publisher = web, broker, publisher

    async def say(self, topic: str, body: object, *, retain: bool = True) -> None:
        await self.publisher.publish(topic, msgspec.json.encode(body), retain=retain)

    async def heard(self, topic: str) -> None:
        cache = self.web.web.parts.cache
        await until(lambda: cache.known(topic) is not None and cache.payload(cache.slot(topic)) is not None, topic)

    @contextlib.asynccontextmanager
    async def client(self, user: str) -> AsyncIterator[SocketClient]:
        async with socket_client(self.web.url, token=await self.web.people.token(user)) as client:
            yield client


@pytest.fixture
async def plant(database: Settings, tmp_path: Path) -> AsyncIterator[Plant]:
    (folder := tmp_path / "broker").mkdir()
    broker = new_broker(folder).start()
    more: dict[str, Any] = {
        "role__half": {"read": [VOLTAGE], "alerts": ["cold"], "subscribe": ["recipe"]},
        "user__hal": {"roles": ["half"]},
        "message__recipe": RECIPE,
    }
    try:
        async with served_web(database, tmp_path, broker_url=broker.url, **more) as web:
            publisher = BrokerClient(settings=broker.settings(), client_id="publisher")
            async with publisher.session():
                yield Plant(web, broker, publisher)
    finally:
        broker.stop()


def health(**more: Any) -> dict[str, Any]:
    return {"state": "running", "role": "gateway", "name": "gw-1", "time": AT_US, "instance": "one", **more}


async def next_event(client: SocketClient) -> tuple[str, dict[str, Any]]:
    found = await client.until("event")
    assert found["id"] == 3 and found["time"] > 0
    return found["kind"], found["event"]


async def test_alerts_are_told_to_who_may_hear_them(plant: Plant) -> None:
    alert = {"name": "hot", "state": "active", "since": AT_US, "value": 1, "severity": "critical", "tag": ENERGY}
    await plant.say(TOPICS.alert("hot"), {**alert, "state": "cleared"})
    await plant.heard(TOPICS.alert("hot"))
    async with plant.client("vera") as vera, plant.client("hal") as hal:
        for client in (vera, hal):
            await client.ask("events", id=3, kinds=["alert"])
            await client.until("listening")
        await plant.say(TOPICS.alert("hot"), alert)
        await plant.say(TOPICS.alert("cold"), {**alert, "name": "cold"})
        assert await next_event(vera) == ("alert", alert)
        assert await next_event(vera) == ("alert", {**alert, "name": "cold"})
        assert await next_event(hal) == ("alert", {**alert, "name": "cold"})


async def test_links_devices_and_roles_are_compared_from_one_health_to_the_next(plant: Plant) -> None:
    link = "tcp:10.0.0.9:502"
    silent = {"path": "a/l/one", "reason": "device_timeout", "since": AT_US}
    up = {"state": "connected", "since": 1}
    await plant.say(GATEWAY, health(links={link: up, "tcp:none:1": up}))
    await plant.heard(GATEWAY)
    async with plant.client("vera") as vera, plant.client("nina") as nina:
        for client in (vera, nina):
            await client.ask("events", id=3, kinds=["link", "device", "role"])
            await client.until("listening")
        down = {"state": "backoff", "detail": "no route", "since": AT_US}
        await plant.say(GATEWAY, health(links={link: down, "tcp:none:1": down}, silent=[silent]))
        facts = {"link": link, "gateway": "gw-1", **down}
        assert await next_event(vera) == ("link", facts)
        kind, event = await next_event(vera)
        assert (kind, event["path"], event["state"], event["reason"]) == (
            "device",
            "a/l/one",
            "silent",
            "device_timeout",
        )
        await plant.say(GATEWAY, health(links={link: down, "tcp:none:1": down}, silent=[]))
        assert (await next_event(vera))[1]["state"] == "speaking"
        await plant.say(GATEWAY, {"state": "lost", "role": "gateway", "name": "gw-1"})
        for client in (vera, nina):
            kind, event = await next_event(client)
            assert (kind, event["role"], event["name"], event["state"]) == ("role", "gateway", "gw-1", "lost")
        assert all(each["kind"] == "role" for each in nina.heard if each["op"] == "event")


async def test_commands_sequences_and_deployments_come_from_the_record(plant: Plant) -> None:
    pool = plant.web.people.pool
    async with plant.client("vera") as vera, plant.client("erik") as erik:
        kinds = ["command", "sequence", "deployment"]
        for client in (vera, erik):
            await client.ask("events", id=3, kinds=kinds)
            await client.until("listening")
        record = plant.web.web.sockets.shared.events.record
        await until(lambda: record._commands is not None, "the first look")

        async def command(path: str, number: int) -> None:
            async with pool.acquire() as conn, conn.transaction():
                keys: dict[str, Any] = {"value": 1, "state": "done", "detail": {"gateway": "gw-1"}, "at_us": AT_US}
                sent: dict[str, Any] = {
                    "command_id": f"c-{number}",
                    "path": path,
                    "principal": "nexus.web",
                    "asked_by": "otto",
                }
                await commands.add_command(conn, SITE, **sent, **keys)

        await command(ENERGY, 1)
        kind, event = await next_event(vera)
        assert (kind, event["path"], event["who"], event["state"], event["value"]) == (
            "command",
            ENERGY,
            "otto",
            "done",
            1,
        )
        assert (await next_event(erik))[0] == "command"
        run = {"run": "r-1", "name": "start", "who": "otto", "reason": ""}
        async with pool.acquire() as conn:
            await sequences.begin_run(conn, SITE, definition={"steps": []}, **run)
        kind, event = await next_event(erik)
        assert (kind, event["run"], event["name"], event["state"]) == ("sequence", "r-1", "start", "running")
        async with pool.acquire() as conn:
            await pool.execute(
                "INSERT INTO nexus.sequence_step (site, run, step, text, state) VALUES ($1, 'r-1', 1, 'open', 'done')",
                SITE,
            )
            await sequences.end_run(conn, SITE, "r-1", state="done", detail=RunEnd())
        step, end = await next_event(erik), await next_event(erik)
        assert (step[1]["step"], step[1]["text"], step[1]["state"]) == (1, "open", "done")
        assert (end[1]["run"], end[1]["state"], end[1]["ended"] > 0) == ("r-1", "done", True)
        await plant.web.people.record({"role.spare": {"read": []}})
        states = [await next_event(erik)]
        while states[-1][1]["state"] == "running":
            states.append(await next_event(erik))
        assert states[-1][0] == "deployment" and states[-1][1]["who"] == "test"
        kind, event = await next_event(vera)
        assert kind == "deployment" and set(event) == {"number", "state"}
        assert "sequence" not in {each.get("kind") for each in vera.heard}


async def test_messages_come_each_until_the_ring_is_full(plant: Plant) -> None:
    plant.web.say(VOLTAGE, 1)
    plant.web.say(ENERGY, 1)
    async with plant.client("hal") as hal:
        await hal.ask("topics", id=4, filter="acme/chicago/#", every_ms=100, keep=3)
        assert await hal.until("listening") == {"op": "listening", "id": 4, "topics": 1}
        first = await hal.until("messages")
        assert [row[1] for row in first["messages"]] == [TOPICS.tag(VOLTAGE)]
        for number in range(10):
            plant.web.say(VOLTAGE, number)
            plant.web.say(ENERGY, number)
        found = await hal.until("messages")
        assert [msgspec.json.decode(row[6])["value"] for row in found["messages"]] == [7, 8, 9]
        assert found["dropped"] == 7
        assert [row[0] for row in found["messages"]] == [9, 10, 11]
        assert set(found["rates"]) == {TOPICS.tag(VOLTAGE)} and found["rates"][TOPICS.tag(VOLTAGE)] > 0
        row = found["messages"][0]
        assert (row[3], row[5], row[4]) == (False, "utf8", len(row[6]))
        await plant.publisher.publish(TOPICS.tag(VOLTAGE), b"\xff" * 5000)
        row = (await hal.until("messages"))["messages"][0]
        assert (row[4], row[5], len(row[6])) == (5000, "base64", 4 * -(-4096 // 3))


async def test_the_topics_of_a_declared_message_are_subscribed_while_somebody_listens(plant: Plant) -> None:
    extra = plant.web.web.sockets.shared.extra
    async with plant.client("hal") as one, plant.client("hal") as two, plant.client("vera") as vera:
        for client in (one, two, vera):
            await client.ask("topics", id=4, filter="erp/#", every_ms=100)
            await client.until("listening")
        assert dict(extra._needs) == {"erp/orders/+": 2}
        await plant.say("erp/orders/l1", {"line": "l1"}, retain=False)
        for client in (one, two):
            assert [row[1] for row in (await client.until("messages"))["messages"]] == ["erp/orders/l1"]
        await one.ask("unwatch", id=4)
        await one.until("unwatched")
        plant.broker.stop()
        assert "broker" in (await two.until("missing", lambda each: "broker" in each["parts"]))["parts"]
        plant.broker.start()
        await two.until("missing", lambda each: "broker" not in each["parts"])
        async with BrokerClient(settings=plant.broker.settings(), client_id="publisher-2").session():
            pass
        other = BrokerClient(settings=plant.broker.settings(), client_id="publisher-3")
        async with other.session():
            await other.publish("erp/orders/l2", b"{}")
            assert [row[1] for row in (await two.until("messages"))["messages"]] == ["erp/orders/l2"]
            assert all(each["op"] != "messages" for each in vera.heard)
            await two.ask("unwatch", id=4)
            await two.until("unwatched")
            client = plant.web.web.parts.client
            await until(lambda: "erp/orders/+" not in client._subscribed, "the subscription ends")
            assert not extra._needs
