"""Alerts with a real broker and a real database: at once, without the database, and across a restart of control."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from nexus_cli.database import migrate
from nexus_cli.runtime.control.leadership import boot_id
from nexus_cli.wire.client import BrokerClient
from tests.integration.control_world import (
    FAST,
    TOPICS,
    FakeGateway,
    World,
    applied,
    body_of,
    device,
    ended,
    journal_has,
    plan_against,
    rows,
    snapshot,
    tag,
    world,
)
from tests.waiting import PATIENCE_S, until, until_found

__all__ = ["world"]
TAG = "a/l/one/energy"


def alert(above: float, **keys: Any) -> dict[str, Any]:
    return {
        "tag": TAG,
        "above": above,
        "for_ms": 0,
        "on_bad": "hold",
        "severity": "critical",
        "description": "",
        **keys,
    }


async def states(control: Any) -> dict[str, str]:
    return {each.name: each.state for each in await control.alerts()}


async def until_states(control: Any, wanted: dict[str, str]) -> None:
    await until_found(lambda: states(control), lambda found: found == wanted)


async def publish(gateway: FakeGateway, value: float, *, retain: bool = True, **more: Any) -> None:
    payload = orjson.dumps({"value": value, "timestamp": 1, "quality": "GOOD", **more})
    await gateway.client.publish(TOPICS.tag(TAG), payload, retain=retain)


async def changes(world: World, name: str) -> list[str]:
    async with world.client() as control:
        return [each.state for each in await control.alert_changes(name)]


@asynccontextmanager
async def hearing(world: World) -> AsyncIterator[list[tuple[str, str]]]:
    """Alerts as everybody hears them: (name, state), in order."""
    heard: list[tuple[str, str]] = []
    client, stop = BrokerClient(settings=world.settings, client_id="operator"), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(
            client.run(
                stop,
                subscriptions=[(TOPICS.alert("+"), 1)],
                on_message=lambda message: (
                    heard.append((message.topic.rpartition("/")[2], orjson.loads(message.payload)["state"]))
                    if message.payload
                    else None
                ),
            )
        )
        await until(lambda: client.connected)
        try:
            yield heard
        finally:
            stop.set()


async def test_new_limits_count_for_the_value_that_stands_still(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        await publish(gateway, 150.0)
        base = device("a/l/one")
        await applied(control, snapshot(base, alert__first=alert(200.0)))
        await until_states(control, {"first": "cleared"})
        await applied(control, snapshot(base, alert__first=alert(100.0), alert__second=alert(120.0)))
        await until_states(control, {"first": "active", "second": "active"})
        await applied(control, snapshot(base, alert__first=alert(300.0), alert__second=alert(120.0)))
        await until_states(control, {"first": "cleared", "second": "active"})
        assert await changes(world, "first") == ["active", "cleared"]


def in_unit(unit: str) -> dict[str, Any]:
    return device("a/l/one", tags={"energy": tag(unit=unit, publish_unit=unit)})


async def test_a_unit_that_changes_with_its_limit_changes_no_alarm(world: World) -> None:
    """110 degC all the time, acknowledged; the gateway answers before it has a new value, or has one before it answers."""
    async with (
        world.control(dataclasses.replace(FAST, observe_s=PATIENCE_S)) as control,
        FakeGateway(world.settings).up() as gateway,
    ):
        hot = {"priority": "high", "group": ""}
        await publish(gateway, 110.0, unit="degC")
        await applied(control, snapshot(in_unit("degC"), alert__hot=alert(100.0, **hot)))
        await until_states(control, {"hot": "active"})
        await control.acknowledge("hot")
        await applied(control, snapshot(in_unit("degF"), alert__hot=alert(212.0, **hot)), allow=("series-break",))
        assert await states(control) == {"hot": "acknowledged"}
        await publish(gateway, 230.0, unit="degF")
        gateway.held = True
        desired = snapshot(in_unit("degC"), alert__hot=alert(300.0, **hot))
        plan = await plan_against(control, desired)
        number = await control.deploy(body_of(plan, allow=("series-break",)))
        await journal_has(control, number, ("observe", "begun"))
        await publish(gateway, 310.0, unit="degC")
        gateway.held = False
        assert (await ended(control, number)).outcome == "applied"
        assert await states(control) == {"hot": "acknowledged"}
        await publish(gateway, 20.0, unit="degC")
        await until_states(control, {"hot": "cleared"})
        await until_found(lambda: changes(world, "hot"), lambda found: len(found) >= 3)
        assert await changes(world, "hot") == ["active", "acknowledged", "cleared"]


async def test_a_silent_gateway_keeps_no_alert_of_another_device_back(world: World) -> None:
    """The deployment waits for gw-1; the alert on a device that it does not change is looked at meanwhile."""
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        await publish(gateway, 150.0)
        await applied(control, snapshot(device("a/l/one")))
        gateway.silent = True
        desired = snapshot(device("a/l/one"), device("a/l/two"), alert__hot=alert(100.0))
        number = await control.deploy(body_of(await plan_against(control, desired)))
        await journal_has(control, number, ("observe", "begun"))
        await until_states(control, {"hot": "active"})
        assert ("observe", "failed") not in [
            (line.step, line.state) for line in (await control.deployment(number)).journal
        ]


async def test_alerts_work_while_the_database_is_away_and_nothing_is_lost_of_their_record(
    world: World, own_postgres: Any
) -> None:
    settings = dataclasses.replace(
        world.settings, database_url=own_postgres.url, database_password=world.settings.database_password
    )
    await migrate.upgrade(settings)
    away = World(settings, world.broker)
    async with FakeGateway(settings).up() as gateway, hearing(away) as heard:
        process = away.control_process()
        try:
            await away.until_leads()
            async with away.client() as control:
                await applied(control, snapshot(device("a/l/one"), alert__hot=alert(100.0)))
                await asyncio.to_thread(own_postgres.kill)
                heard.clear()
                for value, state in ((150.0, "active"), (50.0, "cleared"), (160.0, "active"), (40.0, "cleared")):
                    await publish(gateway, value)
                    await until(lambda state=state: bool(heard) and heard[-1] == ("hot", state))  # type: ignore[misc]
                # Its broker goes, too, and comes back: nothing of it needs the database.
                before = gateway.client.reconnects
                world.broker.kill()
                world.broker.start()
                await until(lambda: gateway.client.reconnects > before and gateway.client.connected)
                heard.clear()
                await publish(gateway, 170.0)
                await until(lambda: ("hot", "active") in heard)
        finally:
            process.kill()  # before the database is back
            process.wait()
        await asyncio.to_thread(own_postgres.start)
        async with away.control() as control:
            found = await until_found(lambda: changes(away, "hot"), lambda them: len(them) >= 5)
            assert found == ["active", "cleared", "active", "cleared", "active"]
            assert (await states(control))["hot"] == "active"


async def test_for_goes_on_across_a_restart_of_control(world: World) -> None:
    hold_s = 6.0
    held = alert(100.0, for_ms=int(hold_s * 1000))
    async with FakeGateway(world.settings).up() as gateway:
        process = world.control_process()
        try:
            await world.until_leads()
            async with world.client() as control:
                await applied(control, snapshot(device("a/l/one"), alert__hot=held))
                begun_s = time.monotonic()
                await publish(gateway, 150.0)
                query = "SELECT pending::text AS pending, state FROM nexus.alert WHERE pending IS NOT NULL"
                stored = await until_found(lambda: rows(world, query))
        finally:
            process.kill()
            process.wait()
        async with world.control() as control:
            await until_states(control, {"hot": "active"})
            assert time.monotonic() - begun_s >= hold_s, "never early"
            pending = orjson.loads(stored[0]["pending"])
            found = (await control.alerts())[0]
            assert found.since - pending["since"] >= hold_s * 1e6 - 50_000
        restarted = await rows(world, "SELECT pending, state FROM nexus.alert")
        assert restarted == [{"pending": None, "state": "active"}]


async def test_pending_that_was_stored_is_not_begun_anew(world: World) -> None:
    """An hour of `for`, 59:58 of them over in an earlier life of control: two seconds are left, not an hour."""
    if not boot_id():
        pytest.skip("this system does not tell which boot is running")
    held = alert(100.0, for_ms=3_600_000)
    async with FakeGateway(world.settings).up() as gateway:
        async with world.control() as control:
            await applied(control, snapshot(device("a/l/one"), alert__hot=held))
            await publish(gateway, 150.0)
            await until_found(lambda: rows(world, "SELECT 1 FROM nexus.alert WHERE pending IS NOT NULL"))
        began = time.monotonic() - 3598
        pending = orjson.dumps({"since": 1, "boot": boot_id(), "began_s": began}).decode()
        await rows(world, "UPDATE nexus.alert SET pending = $1::text::jsonb", pending)
        async with world.control() as control:
            await until_states(control, {"hot": "active"})


async def test_a_tag_without_a_retained_value_is_known_from_its_newest_stored_sample(world: World) -> None:
    others = {
        "path": "a/l/one",
        "protocol": "external",
        "link": "",
        "gateway": "",
        "connection": {},
        "tags": {"energy": {"type": "float64", "published_type": "float64", "address": ""}},
    }
    async with world.control() as control:
        assert (await applied(control, snapshot(others))).outcome == "applied"
        series = (await rows(world, "SELECT id FROM nexus.series"))[0]["id"]
        table = (await rows(world, "SELECT table_name FROM nexus.retention_class WHERE name = 'default'"))[0]
        await rows(
            world,
            f'INSERT INTO nexus."{table["table_name"]}" ("time", series_id, value, quality) '
            "VALUES (now() - interval '2 minutes', $1, 20, 192), (now() - interval '1 minute', $1, 150, 192)",
            series,
        )
        await applied(control, snapshot(others, alert__hot=alert(100.0), alert__cold=alert(200.0)))
        await until_states(control, {"hot": "active", "cold": "cleared"})
