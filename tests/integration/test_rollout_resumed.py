"""A wave that is resumed continues its deployment: it runs no sequence a second time, and the waves after it follow."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import orjson
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.rollout import RolloutRequest, WaveRequest
from tests.integration.control_world import (
    FAST,
    TOPICS,
    FakeGateway,
    World,
    applied,
    body_of,
    device,
    journal_has,
    plan_against,
    snapshot,
    tag,
    world,
)
from tests.integration.test_deployed_sequences import lines, runs_by_name
from tests.integration.test_rollouts import at, over
from tests.waiting import until_found

__all__ = ["world"]
pytestmark = [pytest.mark.needs_broker, pytest.mark.needs_database]

SHORT = {"steps": [{"do": "wait", "wait_ms": 1}]}
AWAITS = {"steps": [{"do": "until", "subject": "{a/m/three/energy} > 5", "timeout_ms": 600_000}]}
BRIEFLY = dataclasses.replace(FAST, observe_s=1.0)
CANARY = ("a/l/one", "a/l/two")


def plant(host: str, **sequences: Any) -> Snapshot:
    """The canary's devices are each stopped by a sequence of their own; a third device has the value that the second awaits."""
    tags = {"energy": tag()}
    one = device("a/l/one", host=host, tags=tags, on_change={"before": "a-stop"})
    two = device("a/l/two", host=host, tags=tags, on_change={"before": "b-stop"})
    three = device("a/m/three", host="10.0.0.30", tags=tags)
    four = device("a/m/four", host=host, tags=tags)
    named = {f"sequence__{name.replace('-', '_')}": value for name, value in sequences.items()}
    found = snapshot(one, two, three, four, **named)
    renamed = {address.replace("_stop", "-stop"): value for address, value in found.resources.items()}
    return Snapshot.of("acme", "chicago", renamed)


async def begun(control: ControlClient, desired: Snapshot) -> int:
    waves = [
        WaveRequest(name="canary", addresses=[f"device.{path}" for path in CANARY]),
        WaveRequest(name="rest", addresses=["device.a/m/four"]),
    ]
    body = body_of(await plan_against(control, desired), allow=("runs-sequence",))
    return (await control.accept(msgspec.structs.replace(body, rollout=RolloutRequest(waves=waves)))).rollout


async def value_of_three(gateway: FakeGateway, value: int) -> None:
    payload = orjson.dumps({"value": value, "quality": "GOOD"})
    await gateway.client.publish(TOPICS.tag("a/m/three/energy"), payload, retain=True)


async def cut(control: ControlClient, desired: Snapshot) -> int:
    """Begin a rollout, and break its lock after the first sequence was done, while the second runs."""
    number = await begun(control, desired)
    await until_found(lambda: runs_by_name(control), lambda runs: runs.get("b-stop") == ["running"])
    assert (await control.break_lock("a test")).broken
    found = await over(control, number)
    assert (found.state, found.waves[0].state) == ("stopped", "failed")
    assert (await control.state()).deployment == 1, "nothing was recorded"
    return number


async def test_a_wave_that_recorded_nothing_continues_its_deployment(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        keys = {"a-stop": SHORT, "b-stop": AWAITS}
        await applied(control, plant("10.0.0.7", **keys))
        await value_of_three(gateway, 1)
        number = await cut(control, plant("10.0.0.8", **keys))
        resumed = await control.change_rollout(number, "resume")
        assert resumed.waves[0].deployment == 2
        await journal_has(control, 2, ("resume", "begun"))
        await value_of_three(gateway, 6)
        found = await over(control, number)
        assert (found.state, [wave.deployment for wave in found.waves]) == ("applied", [2, 3])
        assert await runs_by_name(control) == {"a-stop": ["done"], "b-stop": ["done"]}
        assert lines(await control.deployment(2), "before", "resume", "record") == [
            ("before", "begun", "a-stop"),
            ("before", "done", "a-stop"),
            ("before", "begun", "b-stop"),
            ("resume", "begun", ""),
            ("before", "begun", "b-stop"),
            ("before", "done", "b-stop"),
            ("record", "begun", ""),
            ("record", "done", ""),
        ]
        assert (await plan_against(control, plant("10.0.0.8", **keys))).empty


async def test_a_wave_whose_sequence_did_not_end_well_waits_for_a_person(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        keys = {"a-stop": SHORT, "b-stop": AWAITS}
        await applied(control, plant("10.0.0.7", **keys))
        await value_of_three(gateway, 1)
        number = await cut(control, plant("10.0.0.8", **keys))
        await control.change_rollout(number, "resume")
        (run,) = [run for run in (await control.sequences()).runs if run.name == "b-stop"]
        await control.abort_sequence(run.id)
        found = await at(control, number, "stopped")
        with pytest.raises(NexusError) as refused:
            await control.change_rollout(number, "resume")
        assert refused.value.code == "NX4014" and "sequence 'b-stop'" in refused.value.message
        assert (await control.rollout(number)).state == found.state == "stopped"
        # A new deployment of what is left runs them again: a person asked for it.
        await value_of_three(gateway, 6)
        again = await over(control, await begun(control, plant("10.0.0.8", **keys)))
        assert again.state == "applied"
        assert {name: sorted(states) for name, states in (await runs_by_name(control)).items()} == {
            "a-stop": ["done", "done"],
            "b-stop": ["aborted", "done"],
        }


async def test_a_wave_that_ended_partly_is_finished_and_the_next_one_follows(world: World) -> None:
    async with world.control(BRIEFLY) as control, FakeGateway(world.settings).up() as gateway:
        keys = {"a-stop": SHORT, "b-stop": SHORT}
        await applied(control, plant("10.0.0.7", **keys))
        gateway.silent = True
        number = await begun(control, plant("10.0.0.8", **keys))
        found = await over(control, number)
        assert (found.state, found.why) == ("stopped", "deployment 2 of wave canary ended partly")
        gateway.silent = False
        await control.change_rollout(number, "resume")
        await journal_has(control, 2, ("resume", "begun"))
        found = await over(control, number)
        assert (found.state, [(wave.state, wave.deployment) for wave in found.waves]) == (
            "applied",
            [("passed", 2), ("passed", 3)],
        )
        assert [each.outcome for each in await control.deployments()] == ["applied"] * 3
        assert (await plan_against(control, plant("10.0.0.8", **keys))).empty
