"""The gaps that control keeps open while a gateway is away, and how they end: by the gateway's word, else by the rows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from nexus_cli.wire.client import BrokerClient
from tests.integration.control_world import (
    TOPICS,
    FakeGateway,
    World,
    applied,
    device,
    rows,
    snapshot,
    until,
    world,
)

__all__ = ["world"]

pytestmark = pytest.mark.needs_broker
ONE, TWO = "a/l/one", "a/l/two"
GAPS = 'SELECT gateway, device, start, "end", reason FROM nexus.gap ORDER BY device, start'


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def us(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6)


async def store(world: World, path: str, *moments: datetime, gateway: str = "gw-1", epoch: str = "E1") -> None:
    """Rows of one tag of a device, and what the historian notes of their outbox."""
    conn = await asyncpg.connect(world.settings.database_url, password=world.settings.database_password)
    try:
        number = await conn.fetchval("SELECT id FROM nexus.series WHERE path = $1", f"{path}/energy")
        table = await conn.fetchval("SELECT table_name FROM nexus.retention_class WHERE name = 'default'")
        for moment in moments:
            await conn.execute(
                f"INSERT INTO nexus.{table} (time, series_id, value, quality) VALUES ($1, $2, 1.0, 192)",
                *(moment, number),
            )
        await conn.execute(
            "INSERT INTO nexus.committed (site, gateway, epoch, ranges, updated) VALUES ('acme/chicago', $1, $2, '[[1, 9]]', "
            "$3) ON CONFLICT (site, gateway, epoch) DO UPDATE SET updated = excluded.updated",
            *(gateway, epoch, max(moments)),
        )
    finally:
        await conn.close()


async def gaps_when(
    world: World, condition: Callable[[list[dict[str, Any]]], bool], *, deadline_s: float = 20.0
) -> list[dict[str, Any]]:
    """The gaps, once they are as wanted."""
    limit = time.monotonic() + deadline_s
    while True:
        found = await rows(world, GAPS)
        if condition(found):
            return found
        assert time.monotonic() < limit, found
        await asyncio.sleep(0.05)


def is_open(count: int) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda found: len(found) == count and all(gap["end"] is None for gap in found)


def is_closed(count: int) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda found: len(found) == count and all(gap["end"] is not None for gap in found)


async def lose(world: World, gateway: FakeGateway, *, state: str = "lost") -> None:
    """The broker says that it is gone."""
    topic = TOPICS.health("gateway", gateway.name)
    await gateway.client.publish(topic, gateway.said(state), retain=True)


async def back(gateway: FakeGateway) -> None:
    """The same process says that it runs."""
    await gateway.client.publish(TOPICS.health("gateway", gateway.name), gateway.said("running"), retain=True)


@pytest.mark.parametrize("state", ["lost", "stopping"])
async def test_one_that_comes_back_with_its_past_settles_its_gaps_itself(world: World, state: str) -> None:
    """All 19 gaps of a chaos run held rows: the gateways had read on, and everything was delivered."""
    async with world.control(), FakeGateway(world.settings).up() as gateway, world.client() as control:
        await applied(control, snapshot(device(ONE), device(TWO, host="10.0.0.8")))
        await store(world, ONE, ago(1))
        await lose(world, gateway, state=state)
        found = await gaps_when(world, is_open(2))
        assert [gap["device"] for gap in found] == [ONE, TWO]
        assert {gap["reason"] for gap in found} == {"gateway_lost" if state == "lost" else "gateway_stopped"}
        await store(world, ONE, ago(0))  # its backlog
        await back(gateway)
        await gaps_when(world, lambda found: found == [])
        await until(lambda: any(one.get("again") for one in gateway.notices), what="being asked again")


async def test_one_without_a_past_ends_each_gap_with_the_first_row_of_its_device(world: World) -> None:
    last = {ONE: ago(8), TWO: ago(9)}
    async with world.control() as control:
        async with FakeGateway(world.settings).up() as gateway:
            await applied(control, snapshot(device(ONE), device(TWO, host="10.0.0.8")))
            for path, moment in last.items():
                await store(world, path, moment)
            await lose(world, gateway)
            opened = await gaps_when(world, is_open(2))
        # What was on its way to the historian is stored after control noticed.
        late = opened[0]["start"] + timedelta(milliseconds=5)
        await store(world, ONE, late)
        fresh = datetime.now(UTC)
        async with FakeGateway(world.settings, accounted_since=us(fresh), epoch="E2").up():
            first = {ONE: fresh + timedelta(milliseconds=300), TWO: fresh + timedelta(milliseconds=700)}
            await store(world, ONE, first[ONE], first[ONE] + timedelta(seconds=1), epoch="E2")
            await gaps_when(world, lambda found: found[0]["end"] is not None and found[1]["end"] is None)
            await store(world, TWO, first[TWO], epoch="E2")
            found = await gaps_when(world, is_closed(2))
    tick = timedelta(microseconds=1)
    assert [gap["end"] for gap in found] == [first[ONE] - tick, first[TWO] - tick]
    assert found[0]["start"] == late + tick, "no row lies in it"
    assert found[1]["start"] == opened[1]["start"]


async def test_one_without_a_past_that_nobody_saw_away(world: World) -> None:
    """A container that is started again within a second, with an empty folder."""
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        await applied(control, snapshot(device(ONE)))
        await store(world, ONE, ago(3))
        fresh = datetime.now(UTC)
        gateway.instance, gateway.epoch, gateway.accounted_since = "01NEXT", "E2", us(fresh)
        await store(world, ONE, fresh + timedelta(seconds=1), epoch="E2")
        await back(gateway)
        found = await gaps_when(world, is_closed(1))
    assert found[0]["reason"] == "gateway_lost"
    assert found[0]["start"] < fresh < found[0]["end"] < fresh + timedelta(seconds=1)


async def test_a_new_gateway_that_never_read_anything_has_no_gap(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings, accounted_since=us(ago(0))).up():
        await applied(control, snapshot(device(ONE)))
        await asyncio.sleep(1.5)  # a review passes
        assert await rows(world, GAPS) == []


async def test_after_a_restart_of_control_the_gap_begins_with_what_was_stored_last(world: World) -> None:
    """Control and gateway were killed together: nobody remembers when it was seen last, but the database does."""
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        await applied(control, snapshot(device(ONE)))
        last = ago(30)
        await store(world, ONE, last)
        topic = TOPICS.health("gateway", "gw-1")
        before = gateway.said("lost")
    client = BrokerClient(settings=world.settings, client_id="will")
    async with client.session():
        await client.publish(topic, before, retain=True)
    async with world.control():
        found = await gaps_when(world, is_open(1))
        assert found[0]["start"] == last
    async with world.control():
        assert len(await gaps_when(world, is_open(1))) == 1, "another start opens no second one"


async def test_the_last_will_of_the_one_before_says_nothing_of_its_successor(world: World) -> None:
    async with world.control(), FakeGateway(world.settings).up() as gateway, world.client() as control:
        await applied(control, snapshot(device(ONE)))
        await store(world, ONE, ago(1))
        await until(lambda: gateway.client.connected, what="the connection")
        old = gateway.said("lost")
        gateway.instance = "7ZZZNEXT"
        await back(gateway)
        await gateway.client.publish(TOPICS.health("gateway", "gw-1"), old, retain=True)
        await asyncio.sleep(2.0)  # longer than the grace that control gives
        assert await rows(world, GAPS) == []


async def test_a_device_that_another_gateway_reads_ends_its_gap_with_its_first_row_there(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings, name="gw-2").up():
        async with FakeGateway(world.settings).up() as gateway:
            both = snapshot(device(ONE), device(TWO, host="10.0.0.8"), **{"gateway__gw-2": {}})
            await applied(control, both)
            await store(world, ONE, ago(2))
            await lose(world, gateway)
            await gaps_when(world, is_open(2))
        moved = snapshot(device(ONE, gateway="gw-2"), device(TWO, host="10.0.0.8"), **{"gateway__gw-2": {}})
        deployment = await applied(control, moved)
        assert deployment.outcome in ("applied", "partly")
        first = datetime.now(UTC)
        await store(world, ONE, first, gateway="gw-2", epoch="G2")
        found = await gaps_when(world, lambda found: found[0]["end"] is not None)
    assert found[0]["end"] == first - timedelta(microseconds=1)
    assert found[1]["end"] is None, "its own gateway is still away"


async def test_a_device_that_is_no_longer_declared_ends_its_gap_with_the_deployment(world: World) -> None:
    async with world.control() as control:
        async with FakeGateway(world.settings).up() as gateway:
            await applied(control, snapshot(device(ONE), device(TWO, host="10.0.0.8")))
            await store(world, ONE, ago(2))
            await lose(world, gateway)
            await gaps_when(world, is_open(2))
        before = datetime.now(UTC)
        number = await rows(world, "SELECT max(number) AS n FROM nexus.deployment")
        await applied(control, snapshot(device(ONE)), allow=("data-loss=**",))
        assert (await rows(world, "SELECT max(number) AS n FROM nexus.deployment")) != number
        found = await gaps_when(world, lambda found: found[1]["end"] is not None, deadline_s=90.0)
    assert before <= found[1]["end"] <= datetime.now(UTC)
    assert found[0]["end"] is None


async def test_a_process_that_waits_is_shown_and_changes_nothing(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        await applied(control, snapshot(device(ONE)))
        await store(world, ONE, ago(1))
        waits = FakeGateway(world.settings, instance="01WAITS")
        payload = waits.said("waiting", host="other-machine", pid=42)
        await gateway.client.publish(TOPICS.health("gateway", "gw-1"), payload)
        await status_has(world, "gateways_waiting", {"gw-1": "instance 01WAITS at other-machine (pid 42)"})
        await gateway.client.publish(TOPICS.health("gateway", "gw-1"), waits.said("lost"), retain=True)
        await status_has(world, "gateways_waiting", {})
        await asyncio.sleep(1.5)
        assert await rows(world, GAPS) == []


async def status_has(world: World, key: str, wanted: object) -> None:
    limit = time.monotonic() + 15.0
    async with httpx.AsyncClient(timeout=5.0) as client:
        while True:
            found = (await client.get(f"{world.settings.control_url}/status")).json()
            if found[key] == wanted:
                return
            assert time.monotonic() < limit, found
            await asyncio.sleep(0.05)
