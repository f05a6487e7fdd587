"""Applying for real: PostgreSQL, a broker, and a gateway that answers."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from nexus_cli.diagnostics.errors import NexusError
from tests.integration.control_world import (
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
    steps,
    tag,
    world,
)
from tests.waiting import until_found

__all__ = ["world"]


async def test_first_apply_records_notifies_verifies(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        found = await applied(control, snapshot(device("a/l/one"), device("a/l/two")))
        assert found.outcome == "applied"
        assert steps(found) == [
            ("record", "begun"),
            ("record", "done"),
            ("rights", "begun"),
            ("rights", "done"),
            ("notify", "begun"),
            ("notify", "done"),
            ("observe", "begun"),
            ("observe", "done"),
            ("revoke", "begun"),
            ("revoke", "done"),
            ("finalise", "begun"),
            ("finalise", "done"),
            ("verify", "begun"),
            ("verify", "done"),
        ]
        assert {row.address: row.verification for row in found.table if row.gateway} == {
            "device.a/l/one": "verified",
            "device.a/l/two": "verified",
        }
        assert gateway.notices[-1]["deployment"] == 1
        assert (await control.state()).deployment == 1
        assert await control.lock() is None
        plan = await plan_against(control, snapshot(device("a/l/one"), device("a/l/two")))
        assert plan.empty
    series = await rows(world, "SELECT path, active FROM nexus.series ORDER BY path")
    assert [each["path"] for each in series] == [f"a/l/{d}/{t}" for d in ("one", "two") for t in ("energy", "voltage")]
    audit = await rows(world, "SELECT who, what FROM nexus.audit")
    assert audit == [{"who": "nexus.cli", "what": "apply"}]


async def test_only_the_changed_device_is_sent_again(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        await applied(control, snapshot(*(device(f"a/l/d{n}") for n in range(20))))
        before = dict(gateway.running)
        changed = [device(f"a/l/d{n}") for n in range(20)]
        changed[7]["tags"]["energy"]["deadband"] = 0.5
        found = await applied(control, snapshot(*changed))
        assert found.outcome == "applied"
        assert [path for path in before if before[path] != gateway.running[path]] == ["a/l/d7"]
        assert [row.address for row in found.table] == ["device.a/l/d7"]


async def test_a_forgotten_and_a_moved_tag_leave_no_retained_message(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        await applied(control, snapshot(device("a/l/one")))
        for name in ("energy", "voltage"):
            await gateway.client.publish(TOPICS.tag(f"a/l/one/{name}"), b'{"value":1}', retain=True)
        await gateway.client.publish(TOPICS.tag("a/l/one/other"), b'{"value":2}', retain=True)
        ulid = (await rows(world, "SELECT ulid FROM nexus.series WHERE path = 'a/l/one/energy'"))[0]["ulid"]
        desired = snapshot(device("a/l/one", tags={"work": tag()}))
        moved = [("a/l/one/energy", "a/l/one/work")]
        plan = await plan_against(control, desired, moved=moved)
        with pytest.raises(NexusError) as blocked:
            await control.deploy(body_of(plan))
        assert (blocked.value.code, blocked.value.exit_code) == ("NX4002", 3)
        found = await applied(control, desired, moved=moved, allow=("data-loss=a/l/one/voltage",))
        assert found.outcome == "applied"
        retained = await world.messages("acme/chicago/#", count=1)
        assert list(retained) == ["acme/chicago/a/l/one/other"]
        assert (await rows(world, "SELECT ulid, former_paths FROM nexus.series WHERE path = 'a/l/one/work'")) == [
            {"ulid": ulid, "former_paths": ["a/l/one/energy"]}
        ]
        assert (await rows(world, "SELECT active FROM nexus.series WHERE path = 'a/l/one/voltage'")) == [
            {"active": False}
        ]


async def test_who_gains_a_right_is_asked_for_by_control_itself(world: World) -> None:
    """Whatever the command said: control compares what it has recorded, also of what the request leaves alone."""
    people: dict[str, Any] = {
        "role__op": {"read": [{"path": "**", "gateway": "gw-1"}], "write": []},
        "user__ann": {"roles": ["op"]},
        "group__shift": {"roles": []},
        "user__bob": {"groups": ["shift"]},
    }
    devices = [device("a/l/one"), device("a/l/two", gateway="gw-2")]
    async with world.control() as control, FakeGateway(world.settings).up():
        assert (await applied(control, snapshot(*devices, **people))).outcome == "partly", "gw-2 does not run"
        moved = [device("a/l/one"), device("a/l/two")]
        for desired, who in (
            (snapshot(*devices, **{**people, "group__shift": {"roles": ["op"]}}), "bob"),
            (snapshot(*moved, **people), "ann"),
        ):
            plan = await plan_against(control, desired)
            assert [(hazard.name, hazard.scope) for hazard in plan.hazards] == [("acl-widen", who)]
            for allow in ((), ("acl-widen=eve", "data-loss")):
                with pytest.raises(NexusError) as blocked:
                    await control.deploy(body_of(plan, allow=allow))
                assert (blocked.value.code, blocked.value.exit_code) == ("NX4002", 3)
                assert blocked.value.message == f"Blocked: {plan.hazards[0].message}."
        found = await applied(control, snapshot(*moved, **people), allow=("acl-widen=ann",))
        assert ("rights", "done") in steps(found) and ("revoke", "done") in steps(found)
        less = await applied(control, snapshot(*moved, **{**people, "user__ann": {"roles": []}}))
        assert less.outcome == "applied", "who loses rights needs no consent"


async def test_two_applies_at_once_one_is_refused(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        bodies = [body_of(await plan_against(control, snapshot(device(f"a/l/{name}")))) for name in ("one", "two")]
        results = []

        async def deploy(body) -> None:
            try:
                results.append(await control.deploy(body))
            except NexusError as error:
                results.append(error)

        async with asyncio.TaskGroup() as group:
            for body in bodies:
                group.create_task(deploy(body))
        numbers = [each for each in results if isinstance(each, int)]
        errors = [each for each in results if isinstance(each, NexusError)]
        assert len(numbers) == len(errors) == 1
        assert errors[0].exit_code == 5 and errors[0].code in ("NX5001", "NX5002")
        assert (await ended(control, numbers[0])).outcome == "applied"
        assert len(await control.deployments()) == 1


async def test_a_stale_plan_is_refused_and_says_so(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        old = await plan_against(control, snapshot(device("a/l/one")))
        await applied(control, snapshot(device("a/l/two")))
        with pytest.raises(NexusError) as stale:
            await control.deploy(body_of(old))
        assert (stale.value.code, stale.value.exit_code) == ("NX5002", 5)
        assert "deployment 1" in stale.value.message


async def test_a_failing_and_an_unreachable_device_show_in_the_table(world: World) -> None:
    away = ("a/l/off", "a/l/was-on", "a/l/was-mute")
    gateway = FakeGateway(world.settings, failing=("a/l/bad",), unreachable=away, mute=("a/l/was-mute",))
    async with world.control() as control, gateway.up():
        await applied(control, snapshot(device("a/l/was-on"), device("a/l/was-mute")))
        changed, mute = device("a/l/was-on"), device("a/l/was-mute")
        changed["connection"]["port"] = mute["connection"]["port"] = 503
        off = device("a/l/off", host="10.0.0.99")
        found = await applied(control, snapshot(device("a/l/bad"), off, changed, mute))
        table = {row.address: row for row in found.table}
        assert table["device.a/l/bad"].state == "failed" and table["device.a/l/bad"].detail == "no such register"
        assert table["device.a/l/off"].verification == "unverified"
        assert table["device.a/l/was-on"].verification == "failed"
        assert table["device.a/l/was-mute"].verification == "unverified", "its link was connected, it gave nothing"
        assert found.outcome == "partly"


async def test_an_alert_goes_active_is_acknowledged_and_clears(world: World) -> None:
    alert = {"tag": "a/l/one/energy", "above": 100.0, "clear_below": 95.0, "severity": "critical", "on_bad": "hold"}
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        await applied(control, snapshot(device("a/l/one"), alert__hot=alert))

        async def live(value: float) -> None:
            payload = orjson.dumps({"value": value, "timestamp": 1, "quality": "GOOD"})
            await gateway.client.publish(TOPICS.tag("a/l/one/energy"), payload, retain=True)

        async def becomes(state: str):
            await until_found(
                lambda: rows(world, "SELECT state FROM nexus.alert"), lambda found: found == [{"state": state}]
            )
            (found,) = await until_found(control.alerts, lambda all_: [one.state for one in all_] == [state])
            return found

        with pytest.raises(NexusError) as refused:
            await control.acknowledge("hot")
        assert refused.value.code == "NX6407"
        await live(101.0)
        assert (await becomes("active")).value == 101.0
        published = await world.messages(TOPICS.alert("hot"), count=1)
        assert orjson.loads(published[TOPICS.alert("hot")])["state"] == "active"
        await control.acknowledge("hot")
        assert (await becomes("acknowledged")).acknowledged_by == "nexus.cli"
        await live(97.0)
        await live(94.0)
        await becomes("cleared")


async def test_one_changed_device_of_a_thousand_is_observed(world: World) -> None:
    def plant(deadband: float):
        tags = {f"v{n:02}": tag(address=f"holding:{2 * n}") for n in range(41)}
        found = [device(f"a{n // 100}/l{n // 10 % 10}/d{n % 10}", tags=dict(tags)) for n in range(1000)]
        found[500]["tags"]["v07"] = tag(address="holding:14", deadband=deadband)
        return snapshot(*found)

    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, plant(1.0))
        for deadband in (2.0, 3.0):
            plan = await plan_against(control, plant(deadband))
            number = await control.deploy(body_of(plan))
            await journal_has(control, number, ("observe", "done"))  # how long it takes: `make bench ARGS=observed`
            found = await ended(control, number)
            assert found.outcome == "applied"
            assert [row.address for row in found.table] == ["device.a5/l0/d0"]
