"""Applying while parts die, vanish or hold nonsense: control, a gateway, the broker, the database."""

from __future__ import annotations

import asyncio
import dataclasses

import orjson
import pytest

from nexus_cli.apply.timing import Timing
from nexus_cli.database import migrate
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire.control import as_object
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
    steps,
    world,
)
from tests.waiting import until, until_found

__all__ = ["world"]


async def test_a_silent_gateway_is_unknown_and_the_rest_is_applied(world: World) -> None:
    quick = dataclasses.replace(FAST, observe_s=0.5)
    async with world.control(quick) as control, FakeGateway(world.settings, silent=True).up():
        found = await applied(control, snapshot(device("a/l/one")))
        assert found.outcome == "partly"
        table = {row.address: row.state for row in found.table}
        assert table["device.a/l/one"] == "unknown" and table["retention.default"] == "applied"
        # The state is recorded, so the gateway takes it when it returns.
        assert (await control.state()).deployment == 1


async def test_a_gateway_that_never_ran_is_not_waited_for_and_takes_its_part_when_it_comes(world: World) -> None:
    # A wait for its answer would outlast the patience of any test.
    hurried = dataclasses.replace(FAST, observe_s=3600.0, absent_s=0.0, settle_s=0.0)
    async with world.control(hurried) as control:
        found = await applied(control, snapshot(device("a/l/one")))
        assert found.outcome == "partly"
        (said,) = [line for line in found.journal if (line.step, line.state) == ("observe", "failed")]
        assert said.detail == {"message": "no gateway of this name has ever reported"}
        assert {row.address: row.state for row in found.table}["device.a/l/one"] == "unknown"
        async with FakeGateway(world.settings).up() as gateway:
            await until(lambda: gateway.running, "the gateway's configuration")
            # Now it is known, so that its answer is waited for.
            found = await applied(control, snapshot(device("a/l/one"), device("a/l/two")))
            assert found.outcome == "applied"


async def test_a_broken_lock_stops_the_deployment_before_its_next_step(world: World) -> None:
    timing = Timing(lease_ttl_s=0.6, observe_s=10.0, verify_s=1.0, retry_s=0.1)
    async with world.control(timing) as control, FakeGateway(world.settings, silent=True).up():
        number = await control.deploy(body_of(await plan_against(control, snapshot(device("a/l/one"))), reason="slow"))
        held = await control.lock()
        assert (
            held is not None and held.owner == "nexus.cli" and held.reason == "slow" and "token" not in as_object(held)
        )
        assert (await control.break_lock("slow")).broken
        found = await ended(control, number)
        assert found.outcome in ("partly", "failed")
        assert found.journal[-1].step == "finalise" and found.journal[-1].detail["code"] == "NX5005"
        assert not (await control.break_lock("slow")).broken


async def test_control_killed_in_the_middle_finishes_after_its_restart(world: World) -> None:
    process = world.control_process()
    try:
        async with world.client() as control:
            await world.until_leads()
            number = await control.deploy(body_of(await plan_against(control, snapshot(device("a/l/one")))))
            # No gateway is there yet: control waits for its answer, and is killed while it does.
            await journal_has(control, number, ("observe", "begun"))
            process.kill()
            process.wait()
            process = world.control_process()
            await world.until_leads()
            async with FakeGateway(world.settings).up():
                found = await ended(control, number)
            assert found.outcome == "applied"
            assert steps(found).count(("record", "done")) == 1
            assert await control.lock() is None and (await control.state()).deployment == number
    finally:
        process.kill()
        process.wait()


async def test_killed_before_recording_records_once_after_the_restart(world: World) -> None:
    async with world.control() as control:
        body = body_of(await plan_against(control, snapshot(device("a/l/one"))))
        # A deployment as control leaves it when it dies between accepting and recording.
        digests = snapshot(device("a/l/one")).digests
        plan = {
            "changed": body.changed,
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
            body.base_digest,
            body.desired_digest,
            orjson.dumps(plan).decode(),
        )
    async with world.control() as control, FakeGateway(world.settings).up():
        found = await ended(control, 1)
        assert found.outcome == "applied"
        assert (await control.state()).digest == body.desired_digest


async def test_a_gateway_that_vanishes_marks_its_topics_and_opens_a_gap(world: World) -> None:
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
        gaps = await rows(world, 'SELECT gateway, device, "end", reason FROM nexus.gap')
        assert gaps == [{"gateway": "gw-1", "device": "a/l/one", "end": None, "reason": "gateway_lost"}]
        async with FakeGateway(world.settings).up() as gateway:
            # a mark may lie over a value that it published at its connect
            await until(lambda: any(notice.get("again") for notice in gateway.notices), "being asked again")


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
        assert found.outcome == "failed"
        assert found.journal[-1].detail["code"] == "NX9000"
        assert "a bug in nexus" in caplog.text
        assert (await applied(control, snapshot(device("a/l/one")))).outcome == "applied"
        assert await control.lock() is None
    async with world.control() as control:
        assert [each.outcome for each in await control.deployments()] == ["applied", "failed"]


async def test_a_bug_in_the_middle_gives_the_lock_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from nexus_cli.apply.steps import Steps

    async def bug(self: Steps, run: object) -> None:
        raise ZeroDivisionError("a bug")

    async with world.control() as control, FakeGateway(world.settings).up():
        monkeypatch.setattr(Steps, "observe", bug)
        found = await applied(control, snapshot(device("a/l/one")))
        assert (found.outcome, await control.lock()) == ("partly", None), "it was recorded before"
        monkeypatch.undo()
        assert (await applied(control, snapshot(device("a/l/one"), device("a/l/two")))).outcome == "applied"


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


async def test_the_broker_away_during_an_apply_delays_it_and_loses_nothing(world: World) -> None:
    async with world.control(dataclasses.replace(FAST, observe_s=90.0)) as control:
        async with FakeGateway(world.settings).up():
            await applied(control, snapshot(device("a/l/one")))
        number = await control.deploy(
            body_of(await plan_against(control, snapshot(device("a/l/one"), device("a/l/two"))))
        )
        await journal_has(control, number, ("observe", "begun"))
        world.broker.kill()
        await until_found(world.status, lambda found: not found.get("ready"))
        world.broker.start()
        async with FakeGateway(world.settings).up() as gateway:
            found = await ended(control, number)
        assert found.outcome == "applied", found
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
        await journal_has(control, number, ("observe", "begun"))
        await asyncio.to_thread(own_postgres.kill)
        with pytest.raises(NexusError) as refused:
            await control.state()
        assert (refused.value.code, refused.value.exit_code) == ("NX6200", 6)
        await asyncio.to_thread(own_postgres.start)
        async with FakeGateway(settings).up():
            await away.until_leads()
            found = await ended(control, number)
        assert found.outcome == "applied"
        assert steps(found).count(("record", "done")) == 1
