"""Retained topics that nobody owns: listed, previewed, cleared; what has an owner stays."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project import retained as project
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.http_steering import SteeringClient
from tests.commanding import retained
from tests.integration.control_world import API, TOPICS, World, applied, device, snapshot
from tests.integration.control_world import world as world
from tests.integration.identity_world import people

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker]
OTHERS = {
    "path": "a/l/scale",
    "protocol": "external",
    "link": "",
    "gateway": "",
    "connection": {"globs": ["a/x/**"], "max_series": 10},
    "tags": {},
}
OWNED = {
    TOPICS.tag("a/l/one/energy"): "the topic of a declared tag",
    TOPICS.tag("a/orders/one"): "the topic of a declared message",
    TOPICS.tag("a/x/y/z"): "another system publishes there",
    "_nexus/acme/chicago/config/gw-1": "a topic of the platform, which clears it itself",
    "acme/boston/a/l/one/energy": "not below acme/chicago",
    "$SYS/broker/uptime": "a topic of the platform, which clears it itself",
}
LOST = [TOPICS.tag("a/l/one/gone"), TOPICS.tag("a/l/old/energy"), TOPICS.tag("b/short")]


async def publish(world: World, topics: list[str]) -> None:
    client = BrokerClient(settings=world.broker.settings(), client_id="publisher")
    async with client.session():
        for topic in topics:
            await client.publish(topic, b'{"value": 1}', retain=True)


async def test_listed_previewed_and_cleared(world: World) -> None:
    desired = snapshot(device("a/l/one"), OTHERS, message__order={"topic": f"{TOPICS.live}/a/orders/{{line}}"})
    settings = dataclasses.replace(world.settings, control_token=API["nexus.cli"], principal="nexus.cli")
    async with world.control() as control, SteeringClient(settings) as client:
        await applied(control, desired)
        await publish(world, [*LOST, *(topic for topic in OWNED if not topic.startswith("$"))])
        listed = await project.listing(settings=settings)
        assert [one.topic for one in listed] == sorted(LOST) and {one.size for one in listed} == {12}

        shown = await client.clear_retained([*LOST, *OWNED, TOPICS.tag("a/l/one/never")], preview=True)
        assert shown.preview and shown.cleared == LOST, "nothing is kept on the last one"
        assert {one.topic: one.why for one in shown.refused} == OWNED
        with pytest.raises(NexusError) as refused:
            await client.clear_retained([LOST[0], next(iter(OWNED))], preview=False)
        assert refused.value.code == "NX6935" and "the topic of a declared tag" in refused.value.message
        assert len(await project.listing(settings=settings)) == 3, "nothing was cleared"

        done = await project.clear([*LOST[:2], LOST[0]], preview=False, settings=settings)
        assert (done.cleared, done.preview) == (LOST[:2], False)
        assert [one.topic for one in await project.listing(settings=settings)] == LOST[2:]
        assert await retained(world.broker, TOPICS.tag("a/l/one/energy")) == [b'{"value": 1}']
        (line,) = (await control.audit(kind="retained")).entries
        assert (line.who, line.what, line.subject, line.count) == ("nexus.cli", "clear-retained", "a/l", 2)
        assert line.detail == "a/l/one/gone, a/l/old/energy"


@pytest.mark.parametrize(
    ("user", "topic", "status"),
    [
        ("vera", LOST[0], 403),
        ("otto", LOST[0], 403),
        ("lars", "acme/chicago/b/short", 403),
        ("tess", LOST[0], 403),
    ],
)
async def test_who_may_not(database: object, tmp_path: Path, user: str, topic: str, status: int) -> None:
    async with people(database, tmp_path) as world:  # type: ignore[arg-type]
        found = await world.ask(
            "POST", "/retained/clear", token=await world.token(user), json={"topics": [topic], "preview": True}
        )
        assert found.status_code == status and found.json()["code"] in ("NX6403", "NX6411"), found.text
