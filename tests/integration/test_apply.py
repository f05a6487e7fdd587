"""Applying for real: PostgreSQL, a broker, and a gateway that answers."""

from __future__ import annotations

import asyncio
import dataclasses

import asyncpg
import orjson
import pytest

from nexus_cli.apply.engine import Timing
from nexus_cli.database import migrate
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire.http import ControlClient
from tests.integration.control_world import (
    FAST,
    TOPICS,
    FakeGateway,
    World,
    applied,
    body_of,
    device,
    ended,
    plan_against,
    snapshot,
    tag,
    until,
    world,
)

__all__ = ["world"]


async def rows(world: World, query: str, *arguments):
    conn = await asyncpg.connect(world.settings.database_url, password=world.settings.database_password)
    try:
        return [dict(row) for row in await conn.fetch(query, *arguments)]
    finally:
        await conn.close()


async def _reachable(control: ControlClient) -> None:
    for _ in range(400):
        try:
            await control.state()
        except NexusError:
            await asyncio.sleep(0.05)
        else:
            return
    pytest.fail("control did not come up")


async def _journal_has(control: ControlClient, number: int, wanted: tuple[str, str]) -> None:
    for _ in range(400):
        if wanted in steps(await control.deployment(number)):
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"{wanted} never came into the journal")


def steps(found) -> list[tuple[str, str]]:
    return [(line["step"], line["state"]) for line in found["journal"]]


async def test_first_apply_records_notifies_verifies(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        found = await applied(control, snapshot(device("a/l/one"), device("a/l/two")))
        assert found["outcome"] == "applied"
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
        assert {row["address"]: row["verification"] for row in found["table"] if row["gateway"]} == {
            "device.a/l/one": "verified",
            "device.a/l/two": "verified",
        }
        assert gateway.notices[-1]["deployment"] == 1
        assert (await control.state())["deployment"] == 1
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
        assert found["outcome"] == "applied"
        assert [path for path in before if before[path] != gateway.running[path]] == ["a/l/d7"]
        assert [row["address"] for row in found["table"]] == ["device.a/l/d7"]


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
        assert found["outcome"] == "applied"
        retained = await world.messages("acme/chicago/#", count=1)
        assert list(retained) == ["acme/chicago/a/l/one/other"]
        assert (await rows(world, "SELECT ulid, former_paths FROM nexus.series WHERE path = 'a/l/one/work'")) == [
            {"ulid": ulid, "former_paths": ["a/l/one/energy"]}
        ]
        assert (await rows(world, "SELECT active FROM nexus.series WHERE path = 'a/l/one/voltage'")) == [
            {"active": False}
        ]


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
        assert (await ended(control, numbers[0]))["outcome"] == "applied"
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
    gateway = FakeGateway(world.settings, failing=("a/l/bad",), unreachable=("a/l/off", "a/l/was-on"))
    async with world.control() as control, gateway.up():
        await applied(control, snapshot(device("a/l/was-on")))
        changed = device("a/l/was-on")
        changed["connection"]["port"] = 503
        off = device("a/l/off", host="10.0.0.99")
        found = await applied(control, snapshot(device("a/l/bad"), off, changed))
        table = {row["address"]: row for row in found["table"]}
        assert table["device.a/l/bad"]["state"] == "failed" and table["device.a/l/bad"]["detail"] == "no such register"
        assert table["device.a/l/off"]["verification"] == "unverified"
        assert table["device.a/l/was-on"]["verification"] == "failed"
        assert found["outcome"] == "partly"


async def test_a_silent_gateway_is_unknown_and_the_rest_is_applied(world: World) -> None:
    quick = dataclasses.replace(FAST, observe_s=0.5)
    async with world.control(quick) as control, FakeGateway(world.settings, silent=True).up():
        found = await applied(control, snapshot(device("a/l/one")))
        assert found["outcome"] == "partly"
        table = {row["address"]: row["state"] for row in found["table"]}
        assert table["device.a/l/one"] == "unknown" and table["retention.default"] == "applied"
        # The state is recorded, so the gateway takes it when it returns.
        assert (await control.state())["deployment"] == 1


async def test_a_broken_lock_stops_the_deployment_before_its_next_step(world: World) -> None:
    timing = Timing(lease_ttl_s=0.6, observe_s=10.0, verify_s=1.0, retry_s=0.1)
    async with world.control(timing) as control, FakeGateway(world.settings, silent=True).up():
        number = await control.deploy(body_of(await plan_against(control, snapshot(device("a/l/one"))), reason="slow"))
        held = await control.lock()
        assert held is not None and held["owner"] == "nexus.cli" and held["reason"] == "slow" and "token" not in held
        assert await control.break_lock() is True
        found = await ended(control, number)
        assert found["outcome"] in ("partly", "failed")
        assert found["journal"][-1]["step"] == "finalise" and found["journal"][-1]["detail"]["code"] == "NX5005"
        assert await control.break_lock() is False


async def test_control_killed_in_the_middle_finishes_after_its_restart(world: World) -> None:
    process = world.control_process()
    try:
        async with world.client() as control:
            await _reachable(control)
            number = await control.deploy(body_of(await plan_against(control, snapshot(device("a/l/one")))))
            # No gateway is there yet: control waits for its answer, and is killed while it does.
            await _journal_has(control, number, ("observe", "begun"))
            process.kill()
            process.wait()
            process = world.control_process()
            await _reachable(control)
            async with FakeGateway(world.settings).up():
                found = await ended(control, number, deadline_s=30)
            assert found["outcome"] == "applied"
            assert steps(found).count(("record", "done")) == 1
            assert await control.lock() is None and (await control.state())["deployment"] == number
    finally:
        process.kill()
        process.wait()


async def test_killed_before_recording_records_once_after_the_restart(world: World) -> None:
    async with world.control() as control:
        body = body_of(await plan_against(control, snapshot(device("a/l/one"))))
        # A deployment as control leaves it when it dies between accepting and recording.
        digests = snapshot(device("a/l/one")).digests
        plan = {
            "changed": body["changed"],
            "before": {},
            "digests": dict(digests),
            "moved": [],
            "allow": [],
            "summary": {},
        }
        await rows(
            world,
            "INSERT INTO nexus.deployment (site, number, who, outcome, base_digest, desired_digest, plan) "
            "VALUES ('acme/chicago', 1, 'nexus.cli', 'running', $1, $2, $3::text::jsonb)",
            body["base_digest"],
            body["desired_digest"],
            orjson.dumps(plan).decode(),
        )
    async with world.control() as control, FakeGateway(world.settings).up():
        found = await ended(control, 1)
        assert found["outcome"] == "applied"
        assert (await control.state())["digest"] == body["desired_digest"]


async def test_a_gateway_that_vanishes_marks_its_topics_and_opens_a_gap_until_it_is_back(world: World) -> None:
    async with world.control() as control:
        async with FakeGateway(world.settings).up() as gateway:
            await applied(control, snapshot(device("a/l/one")))
            assert await rows(world, "SELECT id FROM nexus.gap") == []
            await gateway.client.publish(TOPICS.health("gateway", "gw-1"), b'{"state":"lost"}', retain=True)
            live = await world.messages("acme/chicago/#", count=2)
        for payload in live.values():
            assert orjson.loads(payload) | {"timestamp": 0} == {
                "value": None,
                "timestamp": 0,
                "quality": "BAD",
                "reason": "gateway_lost",
            }
        gaps = await rows(world, 'SELECT gateway, "end", reason FROM nexus.gap')
        assert gaps == [{"gateway": "gw-1", "end": None, "reason": "gateway_lost"}]
        async with FakeGateway(world.settings).up():
            for _ in range(200):
                gaps = await rows(world, 'SELECT "start", "end" FROM nexus.gap')
                if gaps[0]["end"] is not None:
                    break
                await asyncio.sleep(0.02)
            assert len(gaps) == 1 and gaps[0]["end"] >= gaps[0]["start"]


@pytest.mark.parametrize("plan", ["{}", '{"changed": [], "moved": 3, "allow": {}, "before": "x", "digests": 1}', "[]"])
async def test_a_poisoned_deployment_fails_alone(world: World, plan: str, caplog: pytest.LogCaptureFixture) -> None:
    """A row that no version of control can carry out ends once, and the next deployment goes on."""
    async with world.control():
        await rows(
            world,
            "INSERT INTO nexus.deployment (site, number, who, outcome, base_digest, desired_digest, plan) "
            "VALUES ('acme/chicago', 1, 'nexus.cli', 'running', 'a', 'b', $1::text::jsonb)",
            plan,
        )
    async with world.control() as control, FakeGateway(world.settings).up():
        found = await ended(control, 1)
        assert found["outcome"] == "failed"
        assert found["journal"][-1]["detail"]["code"] == "NX9000"
        assert "a bug in nexus" in caplog.text
        assert (await applied(control, snapshot(device("a/l/one"))))["outcome"] == "applied"
        assert await control.lock() is None
    async with world.control() as control:
        assert [each["outcome"] for each in await control.deployments()] == ["applied", "failed"]


async def test_a_bug_in_the_middle_gives_the_lock_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from nexus_cli.apply.engine import Engine

    async def bug(self: Engine, run: object) -> None:
        raise ZeroDivisionError("a bug")

    async with world.control() as control, FakeGateway(world.settings).up():
        monkeypatch.setattr(Engine, "_observe", bug)
        found = await applied(control, snapshot(device("a/l/one")))
        assert (found["outcome"], await control.lock()) == ("partly", None), "it was recorded before"
        monkeypatch.undo()
        assert (await applied(control, snapshot(device("a/l/one"), device("a/l/two"))))["outcome"] == "applied"


async def test_a_gateway_that_stops_on_purpose_is_told_apart(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async with world.control() as control:
        async with FakeGateway(world.settings).up() as gateway:
            await applied(control, snapshot(device("a/l/one")))
            with caplog.at_level("INFO", logger="nexus.presence"):
                await gateway.client.publish(TOPICS.health("gateway", "gw-1"), b'{"state":"stopping"}', retain=True)
                live = await world.messages("acme/chicago/#", count=2)
            told = [(record.levelname, record.message) for record in caplog.records if record.name == "nexus.presence"]
        assert {orjson.loads(payload)["reason"] for payload in live.values()} == {"gateway_lost"}
        assert told == [("INFO", "gateway stopped")]
        gaps = await rows(world, 'SELECT gateway, "end", reason FROM nexus.gap')
        assert gaps == [{"gateway": "gw-1", "end": None, "reason": "gateway_stopped"}]
        async with FakeGateway(world.settings).up():
            for _ in range(200):
                gaps = await rows(world, 'SELECT "end" FROM nexus.gap')
                if gaps[0]["end"] is not None:
                    break
                await asyncio.sleep(0.02)
            assert len(gaps) == 1
            assert gaps[0]["end"] is not None


async def test_an_alert_goes_active_is_acknowledged_and_clears(world: World) -> None:
    alert = {"tag": "a/l/one/energy", "above": 100.0, "clear_below": 95.0, "severity": "critical", "on_bad": "hold"}
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        await applied(control, snapshot(device("a/l/one"), alert__hot=alert))
        await until(lambda: True)

        async def live(value: float) -> None:
            payload = orjson.dumps({"value": value, "timestamp": 1, "quality": "GOOD"})
            await gateway.client.publish(TOPICS.tag("a/l/one/energy"), payload, retain=True)

        async def becomes(state: str):
            for _ in range(400):
                found = next(iter(await control.alerts()), {"state": "not heard of yet"})
                stored = await rows(world, "SELECT state FROM nexus.alert")
                if found["state"] == state and stored == [{"state": state}]:
                    return found
                await asyncio.sleep(0.02)
            pytest.fail(f"the alert did not become {state}: {found}, {stored}")

        with pytest.raises(NexusError) as refused:
            await control.acknowledge("hot")
        assert refused.value.code == "NX6407"
        await live(101.0)
        assert (await becomes("active"))["value"] == 101.0
        published = await world.messages(TOPICS.alert("hot"), count=1)
        assert orjson.loads(published[TOPICS.alert("hot")])["state"] == "active"
        await control.acknowledge("hot")
        assert (await becomes("acknowledged"))["acknowledged_by"] == "nexus.cli"
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
            await _journal_has(control, number, ("observe", "done"))  # how long it takes: `make bench ARGS=observed`
            found = await ended(control, number)
            assert found["outcome"] == "applied"
            assert [row["address"] for row in found["table"]] == ["device.a5/l0/d0"]


async def test_the_broker_away_during_an_apply_delays_it_and_loses_nothing(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        await applied(control, snapshot(device("a/l/one")))
        world.broker.kill()
        number = await control.deploy(
            body_of(await plan_against(control, snapshot(device("a/l/one"), device("a/l/two"))))
        )
        await _journal_has(control, number, ("record", "done"))
        world.broker.start()
        found = await ended(control, number, deadline_s=30)
        assert found["outcome"] == "applied", found
        assert sorted(gateway.running) == ["a/l/one", "a/l/two"]


async def test_the_database_away_during_an_apply_delays_it(world: World, own_postgres, tmp_path) -> None:
    settings = dataclasses.replace(
        world.settings, database_url=own_postgres.url, database_password=world.settings.database_password
    )
    await migrate.upgrade(settings)
    away = World(settings, world.broker)
    timing = dataclasses.replace(FAST, observe_s=10.0, verify_s=1.0)
    async with away.control(timing) as control:
        number = await control.deploy(body_of(await plan_against(control, snapshot(device("a/l/one")))))
        await _journal_has(control, number, ("observe", "begun"))
        await asyncio.to_thread(own_postgres.kill)
        with pytest.raises(NexusError) as refused:
            await control.state()
        assert (refused.value.code, refused.value.exit_code) == ("NX6200", 6)
        await asyncio.to_thread(own_postgres.start)
        async with FakeGateway(settings).up():
            await _reachable(control)
            found = await ended(control, number, deadline_s=40)
        assert found["outcome"] == "applied"
        assert steps(found).count(("record", "done")) == 1
