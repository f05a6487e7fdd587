"""What an apply changes of external devices reaches the historian at once, with the real control."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator

import pytest

from nexus_cli.runtime.historian.following import StateWatch
from nexus_cli.runtime.historian.historian import Historian
from nexus_cli.wire.client import BrokerClient
from tests.integration.control_world import TOPICS, FakeGateway, World, applied, device, rows, snapshot, world
from tests.waiting import until

__all__ = ["world"]

pytestmark = [pytest.mark.needs_database, pytest.mark.needs_broker, pytest.mark.every_database]
SCALE = "a/l/scale"


def scale(*tags: str) -> dict[str, object]:
    made = {tag: {"type": "float64", "published_type": "float64"} for tag in tags}
    return {"path": SCALE, "protocol": "external", "tags": made}


@contextlib.asynccontextmanager
async def historian(world: World) -> AsyncIterator[Historian]:
    role, stop = (
        Historian(dataclasses.replace(world.settings, principal="nexus.historian", http_port=0)),
        asyncio.Event(),
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(role.run(stop))
        try:
            await until(lambda: role.ready()[0], "the historian")
            yield role
        finally:
            stop.set()


async def say(world: World, tag: str, value: str, *, retain: bool = False) -> None:
    client = BrokerClient(settings=world.settings, client_id=f"scale-{time.monotonic_ns()}")
    async with client.session():
        await client.publish(TOPICS.tag(f"{SCALE}/{tag}"), value.encode(), retain=retain)


async def test_an_apply_that_only_changes_external_devices_reaches_the_historian(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up() as gateway, historian(world) as role:
        role.following._period_s = 3600.0  # the database's word alone
        assert (await applied(control, snapshot(device("a/l/one")))).outcome == "applied"
        notices = len(gateway.notices)
        await say(world, "weight", "1.5", retain=True)  # before anybody declared it

        found = await applied(control, snapshot(device("a/l/one"), scale("weight")))
        assert found.outcome == "applied"
        assert len(gateway.notices) == notices  # no gateway has to act
        await until(lambda: role.counters.external_rows == 1, "what the broker retained")
        await say(world, "weight", "2.5")
        await until(lambda: role.counters.external_rows == 2, "what was published")

        await applied(control, snapshot(device("a/l/one"), scale("weight", "tare")))
        await until(lambda: role.series.target(f"{SCALE}/tare") is not None, "the new tag")
        await say(world, "tare", "0.5")
        await until(lambda: role.counters.external_rows == 3, "the new tag's value")

        await applied(control, snapshot(device("a/l/one")), allow=("data-loss=**",))
        await until(lambda: role.external_topics.filters == [], "the removal")
        await say(world, "weight", "9.5")
        await until(lambda: role.counters.undeclared >= 1, "a message that nothing declares")
    stored = await rows(
        world,
        "SELECT s.path, x.value FROM nexus.sample x JOIN nexus.series s ON s.id = x.series_id ORDER BY x.value",
    )
    assert [(row["path"], row["value"]) for row in stored] == [
        (f"{SCALE}/tare", 0.5),
        (f"{SCALE}/weight", 1.5),
        (f"{SCALE}/weight", 2.5),
    ]


async def test_a_deployment_of_which_no_word_came_is_found_by_its_number(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StateWatch, "_on_notice", lambda *_: None)  # as with a pooler that keeps no session
    async with world.control() as control, FakeGateway(world.settings).up(), historian(world) as role:
        await applied(control, snapshot(device("a/l/one")))
        await until(lambda: role.following._number == 1)
        await applied(control, snapshot(device("a/l/one"), scale("weight")))
        await until(lambda: role.external_topics.filters == [f"{TOPICS.tag(SCALE)}/#"], "the look")


async def test_a_move_between_gateways_is_recorded_with_the_deployment(world: World) -> None:
    async with (
        world.control() as control,
        FakeGateway(world.settings).up(),
        FakeGateway(world.settings, name="gw-2").up(),
    ):
        await applied(control, snapshot(device("a/l/one"), device("a/l/two")))
        await applied(control, snapshot(device("a/l/one", gateway="gw-2")), allow=("data-loss=**",))
    found = await rows(
        world, "SELECT device, gateway, until IS NULL AS lasts FROM nexus.assignment ORDER BY device, id"
    )
    assert [tuple(row.values()) for row in found] == [
        ("a/l/one", "gw-1", False),
        ("a/l/one", "gw-2", True),
        ("a/l/two", "gw-1", False),
    ]
