"""Sequences around a deployment in a real control: in their order, at most once, and said where it is not known."""

from __future__ import annotations

from typing import Any

import psutil
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.wire.control import DeploymentProgress
from nexus_cli.wire.http import ControlClient
from tests.integration.control_world import (
    FakeGateway,
    World,
    applied,
    body_of,
    device,
    ended,
    plan_against,
    snapshot,
    tag,
    world,
)
from tests.waiting import until, until_found

__all__ = ["world"]
pytestmark = [pytest.mark.needs_broker, pytest.mark.needs_database]

ALLOW = ("runs-sequence=stop", "runs-sequence=start")
SHORT = {"steps": [{"do": "wait", "wait_ms": 1}]}
LONG = {"steps": [{"do": "wait", "wait_ms": 600_000}]}
REFUSED = {"requires": ["{a/l/one/energy} > 5"], **SHORT}
BINDING = {"before": "stop", "after": "start"}


def site(host: str, *, stop: dict[str, Any] = SHORT, start: dict[str, Any] = SHORT, **keys: Any) -> Snapshot:
    one = device("a/l/one", host=host, on_change=BINDING, tags={"energy": tag()}, **keys)
    two = device("a/l/two", host="10.0.0.10", tags={"energy": tag()})
    return snapshot(one, two, sequence__stop=stop, sequence__start=start)


def lines(found: DeploymentProgress, *steps: str) -> list[tuple[str, str, str]]:
    return [(line.step, line.state, line.subject) for line in found.journal if line.step in steps]


async def runs_by_name(control: ControlClient) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for run in (await control.sequences()).runs:
        found.setdefault(run.name, []).append(run.state)
    return found


async def test_both_run_once_around_the_change_and_are_audited_with_its_number(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        first = await applied(control, site("10.0.0.7"))
        assert first.outcome == "applied" and await runs_by_name(control) == {}, "a new device has nothing to stop"
        plan = await plan_against(control, site("10.0.0.8"))
        assert [(one.bound.sequence, one.bound.when, one.bound.because) for one in plan.actions] == [
            ("stop", "before", ("a/l/one",)),
            ("start", "after", ("a/l/one",)),
        ]
        with pytest.raises(NexusError) as error:
            await control.deploy(body_of(plan, allow=("runs-sequence=stop",)))
        assert (error.value.code, error.value.exit_code) == ("NX4002", 3)
        assert "runs-sequence=start" in error.value.hint
        found = await ended(control, await control.deploy(body_of(plan, allow=ALLOW)))
        assert found.outcome == "applied"
        assert lines(found, "before", "record", "observe", "after", "finalise") == [
            ("before", "begun", "stop"),
            ("before", "done", "stop"),
            ("record", "begun", ""),
            ("record", "done", ""),
            ("observe", "begun", "gw-1"),
            ("observe", "done", "gw-1"),
            ("after", "begun", "start"),
            ("after", "done", "start"),
            ("finalise", "begun", ""),
            ("finalise", "done", ""),
        ]
        assert await runs_by_name(control) == {"stop": ["done"], "start": ["done"]}
        audited = [entry for entry in (await control.audit()).entries if entry.what == "sequence"]
        assert sorted(str(entry.reason) for entry in audited) == [
            "deployment 2, after its changes",
            "deployment 2, before its changes",
        ]


async def test_what_moves_nothing_runs_nothing(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, site("10.0.0.7"))
        plan = await plan_against(control, site("10.0.0.7", description="the first one"))
        assert plan.changes and not plan.actions
        assert (await ended(control, await control.deploy(body_of(plan)))).outcome == "applied"
        assert await runs_by_name(control) == {}


async def test_nothing_changes_when_the_sequence_before_it_fails(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, site("10.0.0.7", stop=REFUSED))
        found = await applied(control, site("10.0.0.8", stop=REFUSED), allow=ALLOW)
        assert found.outcome == "failed" and (await control.state()).deployment == 1
        assert lines(found, "before", "notify", "after") == [("before", "begun", "stop"), ("before", "failed", "stop")]
        assert all("Sequence 'stop' has to run before the change" in row.detail for row in found.table)
        with pytest.raises(NexusError) as error:
            await control.resume(2)
        assert (error.value.code, error.value.exit_code) == ("NX4014", 1)
        assert "sequence 'stop' before its change did not end well: it was refused" in error.value.message
        assert "`nexus apply` makes a new deployment" in error.value.hint
        assert (await control.deployment(2)).outcome == "failed"
        assert await runs_by_name(control) == {"stop": ["refused"]}


async def test_a_failure_after_the_change_is_the_outcome_of_its_devices(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, site("10.0.0.7", start=REFUSED))
        found = await applied(control, site("10.0.0.8", start=REFUSED), allow=ALLOW)
        assert found.outcome == "partly" and (await control.state()).deployment == 2
        (row,) = [row for row in found.table if row.address == "device.a/l/one"]
        assert (row.state, row.verification) == ("applied", "failed") and "'start' after the change" in row.detail


async def test_it_does_not_start_what_no_gateway_runs_as_planned(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings, failing=("a/l/one",)).up():
        await applied(control, site("10.0.0.7"))
        found = await applied(control, site("10.0.0.8"), allow=ALLOW)
        assert found.outcome == "partly" and await runs_by_name(control) == {"stop": ["done"]}
        assert lines(found, "after") == [("after", "skipped", "start")]


@pytest.mark.parametrize(
    "line", [f"{w} {s} {t}" for s in ("before", "after") for t in ("begun", "done") for w in ("before", "inside")]
)
async def test_a_kill_at_any_line_repeats_no_sequence(world: World, line: str) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, site("10.0.0.7"))
    process = world.control_process(stop_at=line)
    try:
        async with FakeGateway(world.settings).up():
            await world.until_leads()
            async with world.client() as control:
                plan = await plan_against(control, site("10.0.0.8"))
                await control.deploy(body_of(plan, allow=ALLOW))
            await until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED, f"the stop {line}")
            process.kill()
            process.wait()
            async with world.control() as control:
                found = await ended(control, 2)
                runs = await runs_by_name(control)
        assert found.outcome == "applied"
        assert runs == {"stop": ["done"], "start": ["done"]}
    finally:
        process.kill()
        process.wait()


async def test_a_sequence_that_was_cut_is_said_and_not_repeated(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, site("10.0.0.7", stop=LONG))
    process = world.control_process()
    try:
        async with FakeGateway(world.settings).up():
            await world.until_leads()
            async with world.client() as control:
                plan = await plan_against(control, site("10.0.0.8", stop=LONG))
                await control.deploy(body_of(plan, allow=ALLOW))
                await until_found(lambda: runs_by_name(control), lambda runs: runs == {"stop": ["running"]})
            process.kill()
            process.wait()
            async with world.control() as control:
                found = await ended(control, 2)
                assert found.outcome == "failed" and (await control.state()).deployment == 1
                assert "not known how far it came" in found.table[0].detail
                with pytest.raises(NexusError, match="not known how far it came") as error:
                    await control.resume(2)
                assert error.value.code == "NX4014"
                assert await runs_by_name(control) == {"stop": ["interrupted"]}
    finally:
        process.kill()
        process.wait()
