"""Rollouts for real: waves, gates, kills of control, and maintenance windows."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import orjson
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.wire.control import DeploymentRequest
from nexus_cli.wire.control_rollouts import Rollout
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.rollout import ACTIVE, Gates, RolloutRequest, WaveRequest
from tests.integration.control_world import (
    TOPICS,
    FakeGateway,
    World,
    applied,
    body_of,
    device,
    ended,
    plan_against,
    rows,
    snapshot,
    tag,
    world,
)
from tests.waiting import until_found

__all__ = ["world"]

ONE, TWO, THREE = "a/l/one", "a/l/two", "a/m/three"
NAMES = ("energy", "voltage")
STRICT = Gates(good=1.0, alarms=0)
SHORT_MS, LONG_MS = 200, 600_000


def plant(*, deadband: float = 0, **site: Any) -> Snapshot:
    """Three devices; another deadband changes each of them."""
    keys = {"deadband": deadband} if deadband else {}
    tags = {"energy": tag(**keys), "voltage": tag(address="holding:2")}
    others = {"site": {"enterprise": "acme", "site": "chicago", **site}} if site else {}
    return snapshot(*(device(path, tags=tags) for path in (ONE, TWO, THREE)), **others)


def in_waves(
    body: DeploymentRequest, *, soak_ms: int = SHORT_MS, gates: Gates = STRICT, on_failure: Any = "stop"
) -> DeploymentRequest:
    """Canary, its line, and the rest."""
    waves = [
        WaveRequest(name="canary", addresses=[f"device.{ONE}"], soak_ms=soak_ms),
        WaveRequest(name="line", addresses=[f"device.{TWO}"], soak_ms=soak_ms),
        WaveRequest(name="rest", addresses=[f"device.{THREE}"]),
    ]
    way = RolloutRequest(waves=waves, gates=gates, on_failure=on_failure)
    return msgspec.structs.replace(body, rollout=way)


async def values(gateway: FakeGateway, quality: str, devices: Iterable[str] = (ONE, TWO, THREE)) -> None:
    """What the broker keeps of the devices' tags."""
    value = None if quality == "BAD" else 1
    for path in devices:
        for name in NAMES:
            payload = orjson.dumps({"value": value, "quality": quality})
            await gateway.client.publish(TOPICS.tag(f"{path}/{name}"), payload, retain=True)


async def over(control: ControlClient, number: int) -> Rollout:
    return await until_found(lambda: control.rollout(number, wait_s=0.5), lambda found: found.state not in ACTIVE)


async def at(control: ControlClient, number: int, state: str) -> Rollout:
    return await until_found(lambda: control.rollout(number), lambda found: found.state == state)


async def recorded_deadbands(control: ControlClient) -> dict[str, float]:
    found = await control.resources([f"device.{path}" for path in (ONE, TWO, THREE)])
    return {path: found[f"device.{path}"]["tags"]["energy"].get("deadband", 0) for path in (ONE, TWO, THREE)}


@contextlib.asynccontextmanager
async def running(control: ControlClient, world: World) -> AsyncIterator[FakeGateway]:
    """The first deployment is applied, and every tag is GOOD."""
    async with FakeGateway(world.settings).up() as gateway:
        await applied(control, plant())
        await values(gateway, "GOOD")
        yield gateway


async def begun(control: ControlClient, desired: Snapshot, **keys: Any) -> int:
    accepted = await control.accept(in_waves(body_of(await plan_against(control, desired)), **keys))
    assert accepted.number == 0
    return accepted.rollout


async def test_waves_go_out_one_after_the_other_and_each_is_measured(world: World) -> None:
    async with world.control() as control, running(control, world) as gateway:
        found = await over(control, await begun(control, plant(deadband=0.5)))
        assert (found.state, found.why) == ("applied", "")
        assert [(wave.name, wave.state, wave.deployment) for wave in found.waves] == [
            ("canary", "passed", 2),
            ("line", "passed", 3),
            ("rest", "passed", 4),
        ]
        assert [[each.gate for each in wave.verdicts] for wave in found.waves] == [["good", "alarms"]] * 2 + [[]]
        assert {each.state for wave in found.waves for each in wave.verdicts} == {"passed"}
        assert await recorded_deadbands(control) == dict.fromkeys((ONE, TWO, THREE), 0.5)
        assert [each["deployment"] for each in gateway.notices if each["deployment"] > 1] == [2, 3, 4]
        deployments = await control.deployments()
        assert [each.outcome for each in deployments] == ["applied"] * 4
        assert [each.rollout and (each.rollout.wave, each.rollout.position) for each in deployments[:3]] == [
            ("rest", 3),
            ("line", 2),
            ("canary", 1),
        ]
        assert (await plan_against(control, plant(deadband=0.5))).empty


async def test_a_canary_that_fails_leaves_the_rest_alone_and_says_why_then_it_goes_on(world: World) -> None:
    async with world.control() as control, running(control, world) as gateway:
        untouched = {path: gateway.running[path] for path in (TWO, THREE)}
        number = await begun(control, plant(deadband=0.5), soak_ms=2_000)
        await at(control, number, "soaking")
        await values(gateway, "BAD", [ONE])
        found = await over(control, number)
        assert found.state == "stopped"
        assert "wave canary failed its gates: 0 of 2 tags GOOD" in found.why
        assert f"{ONE}/energy BAD" in found.why
        assert [wave.state for wave in found.waves] == ["failed", "pending", "pending"]
        assert {path: gateway.running[path] for path in (TWO, THREE)} == untouched
        assert await recorded_deadbands(control) == {ONE: 0.5, TWO: 0, THREE: 0}
        newest = (await control.deployments())[0]
        assert (newest.number, newest.outcome) == (2, "stopped")
        journal = (await control.deployment(2)).journal
        assert [(line.step, line.state, line.detail["code"]) for line in journal if line.step == "gates"] == [
            ("gates", "failed", "NX5033")
        ]
        rest = await plan_against(control, plant(deadband=0.5))
        assert [change.name for change in rest.changes] == [TWO, THREE]
        with pytest.raises(NexusError) as refused:
            await control.deploy(body_of(rest))
        assert (refused.value.code, refused.value.exit_code) == ("NX5039", 3)
        assert refused.value.message.startswith(f"device.{TWO} and 1 more would change without the wave")
        assert "wave canary failed its gates" in refused.value.cause

        await values(gateway, "GOOD", [ONE])
        assert (await control.change_rollout(number, "resume")).state == "applying"
        assert (await over(control, number)).state == "applied"
        assert (await plan_against(control, plant(deadband=0.5))).empty
    audit = await rows(world, "SELECT what FROM nexus.audit WHERE what LIKE 'rollout%' ORDER BY id")
    assert [each["what"] for each in audit] == ["rollout", "rollout-stopped", "rollout-resume", "rollout-applied"]


async def test_what_a_stopped_rollout_left_goes_out_when_a_person_wants_no_waves(world: World) -> None:
    async with world.control() as control, running(control, world):
        number = await begun(control, plant(deadband=0.5), gates=Gates(missed_polls=0.01))
        assert (await over(control, number)).state == "stopped"
        body = body_of(await plan_against(control, plant(deadband=0.5)))
        at_once = msgspec.structs.replace(body, rollout=RolloutRequest(at_once=True))
        assert (await ended(control, await control.deploy(at_once))).outcome == "applied"
        assert await recorded_deadbands(control) == {ONE: 0.5, TWO: 0.5, THREE: 0.5}


async def test_a_failure_in_the_second_wave_takes_the_first_one_back_too(world: World) -> None:
    async with world.control() as control, running(control, world) as gateway:
        before = dict(gateway.running)
        number = await begun(control, plant(deadband=0.5), soak_ms=2_000, on_failure="rollback")
        await until_found(lambda: control.rollout(number), lambda one: (one.wave, one.state) == (2, "soaking"))
        await values(gateway, "BAD", [TWO])
        found = await over(control, number)
        assert found.state == "rolled-back"
        assert [wave.state for wave in found.waves] == ["rolled-back", "rolled-back", "pending"]
        assert found.undone_by == 4
        assert await recorded_deadbands(control) == dict.fromkeys((ONE, TWO, THREE), 0)
        await until_found(lambda: _running(gateway), lambda now: now == before)
        assert (await plan_against(control, plant())).empty


async def _running(gateway: FakeGateway) -> dict[str, str]:
    return dict(gateway.running)


async def test_gates_that_can_not_be_measured_fail(world: World) -> None:
    """Its gateway says nothing of polls."""
    async with world.control() as control, running(control, world):
        number = await begun(control, plant(deadband=0.5), gates=Gates(missed_polls=0.01))
        found = await over(control, number)
        assert found.state == "stopped"
        assert [(each.gate, each.state) for each in found.waves[0].verdicts] == [("missed_polls", "failed")]
        assert f"no polls were counted of {ONE}" in found.why


async def test_nothing_else_is_applied_while_a_wave_soaks_and_a_stop_ends_that(world: World) -> None:
    async with world.control() as control, running(control, world):
        number = await begun(control, plant(deadband=0.5), soak_ms=LONG_MS)
        await at(control, number, "soaking")
        assert "soaks" in (await control.state()).in_flight
        other = body_of(await plan_against(control, plant(deadband=0.7)))
        with pytest.raises(NexusError) as refused:
            await control.deploy(other)
        assert (refused.value.code, refused.value.exit_code) == ("NX5032", 5)
        assert (await control.change_rollout(number, "stop", reason="shift change")).state == "stopped"
        assert (await control.rollout(number)).why == "nexus.cli stopped it: shift change"
        assert (await ended(control, await control.deploy(other))).outcome == "applied"
        with pytest.raises(NexusError) as moved:
            await control.change_rollout(number, "resume")
        assert moved.value.code == "NX5037"


async def test_what_a_stopped_rollout_did_can_be_taken_back(world: World) -> None:
    async with world.control() as control, running(control, world):
        number = await begun(control, plant(deadband=0.5), soak_ms=LONG_MS)
        await at(control, number, "soaking")
        await control.change_rollout(number, "rollback", reason="wrong batch")
        assert (await over(control, number)).state == "rolled-back"
        assert (await plan_against(control, plant())).empty


async def test_waves_that_are_not_those_of_the_plan_are_refused(world: World) -> None:
    async with world.control() as control, running(control, world):
        body = in_waves(body_of(await plan_against(control, plant(deadband=0.5))))
        assert body.rollout is not None
        way = msgspec.structs.replace(body.rollout, waves=body.rollout.waves[:2])
        with pytest.raises(NexusError) as refused:
            await control.accept(msgspec.structs.replace(body, rollout=way))
        assert refused.value.code == "NX5034"
        assert (await control.state()).deployment == 1


@pytest.mark.parametrize("state", ["applying", "soaking"])
async def test_a_control_that_is_killed_goes_on_where_it_was(world: World, state: str) -> None:
    process = world.control_process(leader_ttl_s=2.0)
    try:
        async with world.client() as control, FakeGateway(world.settings).up() as gateway:
            await world.until_leads()
            await applied(control, plant())
            await values(gateway, "GOOD")
            gateway.silent = state == "applying"
            number = await begun(control, plant(deadband=0.5), soak_ms=LONG_MS if state == "soaking" else SHORT_MS)
            await at(control, number, state)
            process.kill()
            process.wait()
            gateway.silent = False
            # What is left of the soak is in the database; the test makes it short, and the soaks of later waves, too.
            await rows(
                world, "UPDATE nexus.rollout_wave SET left_ms = least(left_ms, 1000), soak_ms = least(soak_ms, 1000)"
            )
            process = world.control_process(leader_ttl_s=2.0)
            await world.until_leads()
            found = await over(control, number)
            assert (found.state, found.why) == ("applied", "")
            assert [wave.deployment for wave in found.waves] == [2, 3, 4]
            assert (await plan_against(control, plant(deadband=0.5))).empty
    finally:
        process.kill()
        process.wait()


class Moved(SystemClock):
    """The machine's clock, moved by the test."""

    ahead = timedelta()

    def now_us(self) -> int:
        return super().now_us() + self.ahead // timedelta(microseconds=1)


def shut_window(hours: int = 3) -> dict[str, Any]:
    """A window that opens in some hours, for two hours, every day."""
    opens = datetime.now(UTC) + timedelta(hours=hours)
    closes = opens + timedelta(hours=2)
    text = f"mon-sun {opens:%H:%M}-{closes:%H:%M}"
    return {"windows": {"nights": {"hours": [text], "zone": "UTC"}}, "window_at": {"a/l": "nights"}}


async def test_a_shut_window_refuses_and_control_waits_for_it_where_asked(world: World) -> None:
    clock = Moved()
    async with world.control(clock=clock) as control, FakeGateway(world.settings).up():
        site = shut_window()
        await applied(control, plant(**site))
        body = body_of(await plan_against(control, plant(deadband=0.5, **site)))
        with pytest.raises(NexusError) as refused:
            await control.deploy(body)
        assert (refused.value.code, refused.value.exit_code) == ("NX5035", 3)
        assert "The maintenance window 'nights'" in refused.value.message
        assert "opens" in refused.value.message
        assert "--wait-for-window" in refused.value.hint

        accepted = await control.accept(msgspec.structs.replace(body, rollout=RolloutRequest(window="wait")))
        waiting = await until_found(
            lambda: control.rollout(accepted.rollout), lambda found: found.waves[0].state == "waiting"
        )
        assert waiting.waves[0].opens is not None
        assert await recorded_deadbands(control) == dict.fromkeys((ONE, TWO, THREE), 0)
        clock.ahead = timedelta(hours=3, minutes=30)
        assert (await over(control, accepted.rollout)).state == "applied"
        assert await recorded_deadbands(control) == dict.fromkeys((ONE, TWO, THREE), 0.5)
        # It is open now: an ordinary deployment goes out at once.
        body = body_of(await plan_against(control, plant(deadband=0.7, **site)))
        assert (await ended(control, await control.deploy(body))).outcome == "applied"


async def test_what_the_window_does_not_hold_and_what_is_sent_now_goes_out(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        site = shut_window()
        await applied(control, plant(**site))
        tags = {"energy": tag(deadband=0.5), "voltage": tag(address="holding:2")}
        elsewhere = Snapshot.of(
            "acme", "chicago", {**plant(**site).resources, f"device.{THREE}": device(THREE, tags=tags)}
        )
        plan = await plan_against(control, elsewhere)
        assert [change.name for change in plan.changes] == [THREE]
        assert (await ended(control, await control.deploy(body_of(plan)))).outcome == "applied"
        body = body_of(await plan_against(control, plant(deadband=0.5, **site)), reason="a leak")
        now = msgspec.structs.replace(body, rollout=RolloutRequest(window="ignore"))
        accepted = await control.accept(now)
        assert (await ended(control, accepted.number)).outcome == "applied"
    audit = await rows(
        world, "SELECT subject, detail->>'reason' AS reason FROM nexus.audit WHERE what = 'outside-window'"
    )
    assert audit == [{"subject": f"deployment {accepted.number}", "reason": "a leak"}]
