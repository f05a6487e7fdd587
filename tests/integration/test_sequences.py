"""Runs and deployments meet in a real control: what a run was agreed to use is not changed under it."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.running import agreement, meaning
from nexus_cli.wire.control_sequences import RunProgress
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

__all__ = ["world"]
pytestmark = [pytest.mark.needs_broker, pytest.mark.needs_database]

ALLOW = ("series-break", "running-sequence")


def waiting(on_change: str = "refuse") -> dict[str, Any]:
    """A sequence that waits for a value which never comes, and uses `a/l/one/energy`."""
    step = {"do": "until", "subject": "{a/l/one/energy} > 5", "timeout_ms": 600_000}
    return {"steps": [step], "timeout_ms": 900_000, "on_change": on_change}


def site(on_change: str, *, unit: str = "", other: str = "") -> Snapshot:
    one = device("a/l/one", tags={"energy": tag(unit=unit, publish_unit=unit)})
    two = device("a/l/two", host="10.0.0.10", tags={"energy": tag(description=other)})
    return snapshot(one, two, sequence__slow=waiting(on_change))


async def refusal(wish: Any) -> NexusError:
    with pytest.raises(NexusError) as error:
        await wish
    return error.value


async def run_ended(control: ControlClient, run: str) -> RunProgress:
    while (found := await control.sequence_run(run, wait_s=5.0)).state == "running":
        pass
    return found


async def test_a_deployment_that_changes_what_a_run_uses_is_named_and_refused(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, site("refuse", unit="degC"))
        await control.start_sequence("slow", run="r1")
        plan = await plan_against(control, site("refuse", unit="degF"))
        (hazard,) = [one for one in plan.hazards if one.name == "running-sequence"]
        assert hazard.scope == "slow" and "a/l/one/energy" in hazard.message and "refused" in hazard.message
        error = await refusal(control.deploy(body_of(plan, allow=("series-break",))))
        assert (error.code, error.exit_code) == ("NX4002", 3)
        error = await refusal(control.deploy(body_of(plan, allow=ALLOW)))
        assert (error.code, error.exit_code) == ("NX5010", 5) and "r1" in error.message
        await applied(control, site("refuse", unit="degC", other="beside it"))
        assert (await control.sequence_run("r1")).state == "running", "what it does not use may change"
        await control.abort_sequence("r1")
        await run_ended(control, "r1")
        found = await applied(control, site("refuse", unit="degF", other="beside it"), allow=ALLOW)
        assert found.outcome == "applied"


async def test_a_deployment_aborts_the_run_first_where_that_is_declared(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, site("abort", unit="degC"))
        await control.start_sequence("slow", run="r1")
        found = await applied(control, site("abort", unit="degF"), allow=ALLOW)
        assert found.outcome == "applied"
        assert [line.subject for line in found.journal if line.step == "sequences"] == ["r1"]
        run = await control.sequence_run("r1")
        assert (run.state, run.detail.aborted_by) == ("aborted", "deployment 2")


async def test_a_deployment_waits_for_the_run_and_no_new_one_begins_meanwhile(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, site("wait", unit="degC"))
        await control.start_sequence("slow", run="r1")
        plan = await plan_against(control, site("wait", unit="degF"))
        number = await control.deploy(body_of(plan, allow=ALLOW))
        while not any(line.step == "sequences" for line in (await control.deployment(number, wait_s=1.0)).journal):
            pass
        error = await refusal(control.start_sequence("slow", run="r2"))
        assert (error.code, f"Deployment {number}" in error.message) == ("NX6831", True)
        assert (await control.state()).deployment == 1, "nothing is recorded before the run has ended"
        found = await control.abort_sequence("r1")
        assert found.again is False
        assert (await ended(control, number)).outcome == "applied"
        assert (await run_ended(control, "r1")).detail.aborted_by == "nexus.cli"
        await control.start_sequence("slow", run="r3")


async def test_an_id_stands_for_one_sequence_and_its_values(world: World) -> None:
    rest = {"steps": [{"do": "wait", "wait_ms": 600_000}], "parameters": {"count": {"type": "uint64", "default": 1}}}
    most = 2**64 - 1
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, snapshot(device("a/l/one"), sequence__slow=waiting(), sequence__rest=rest))
        begun = await control.start_sequence("rest", run="order-1", values={"count": most})
        assert begun.set == {"count": most}
        again = await control.start_sequence("rest", run="order-1", values={"count": most})
        assert again.id == begun.id and again.set == {"count": most}
        for wish in (
            control.start_sequence("slow", run="order-1"),
            control.start_sequence("rest", run="order-1", values={"count": most - 1}),
            control.start_sequence("rest", run="order-1"),
        ):
            error = await refusal(wish)
            assert (error.code, error.exit_code) == ("NX6839", 5)
        assert (await refusal(control.start_sequence("rest", run="order-1", values={"nonsense": 1}))).code == "NX6837"


async def test_a_run_that_would_stop_in_the_middle_does_not_begin(world: World) -> None:
    writable = {"level": tag(type="uint16", scale=0.1, range=[0, 90], writable=True)}
    steps = [{"do": "wait", "wait_ms": 1}, {"do": "write", "subject": "a/l/one/level", "value": "${param:amount}"}]
    fill = {"steps": steps, "parameters": {"amount": {"type": "float64"}}}
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, snapshot(device("a/l/one", tags=writable), sequence__fill=fill))
        for amount, hint in ((12.34, "12.3"), (95.0, "90")):
            error = await refusal(control.start_sequence("fill", run=f"r{amount:g}", values={"amount": amount}))
            assert error.code == "NX6837" and "step 2" in error.message and hint in error.hint
        assert (await control.sequences()).runs == []


async def test_what_was_shown_before_a_deployment_does_not_begin_after_it(world: World) -> None:
    rest = {"steps": [{"do": "write", "subject": "a/l/one/energy", "value": 40.0}]}

    def site_in(unit: str) -> Snapshot:
        level = tag(unit=unit, publish_unit=unit, writable=True)
        return snapshot(device("a/l/one", tags={"energy": level}), sequence__rest=rest)

    async def shown(control: ControlClient) -> str:
        found = await control.resources(["sequence.rest", "device.a/l/one"])
        path = "a/l/one/energy"
        return agreement(found["sequence.rest"], {path: meaning(found["device.a/l/one"], "energy")}, {})

    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, site_in("degC"))
        agreed = await shown(control)
        await applied(control, site_in("degF"), allow=ALLOW)
        error = await refusal(control.start_sequence("rest", run="r1", agreed=agreed))
        assert (error.code, error.exit_code) == ("NX6838", 5)
        assert (await control.sequences()).runs == []
        assert (await control.start_sequence("rest", run="r2", agreed=await shown(control))).state == "running"


async def test_what_a_person_types_is_one_level_of_a_path(world: World) -> None:
    async with world.control() as control:
        for typed in ("../state", "a/b", "..", "x?y=1", "x#y"):
            error = await refusal(control.sequence_run(typed))
            assert error.code in ("NX6830", "NX6405", "NX6406")


async def test_a_message_with_a_nul_is_published_and_on_record(world: World) -> None:
    """jsonb takes no NUL: a message that could not be recorded would have been published without a trace."""
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, snapshot(device("a/l/one"), message__order={"topic": "erp/{line}"}))
        found = await control.publish("order", {"line": "one", "note": "a\0b"})
        assert found.payload == {"note": "a\0b"}
        (line,) = [one for one in (await control.audit()).entries if one.kind == "message"]
        assert line.subject == "order"


async def test_people_run_abort_acknowledge_and_publish_what_their_roles_name_and_stand_in_the_trail(
    world: World,
) -> None:
    others: dict[str, Any] = {
        "role__operator": {"run": ["slow"], "acknowledge": ["hot"], "publish": ["order"]},
        "role__reader": {"read": ["**"], "alerts": ["hot"]},
        "user__anna": {"roles": ["operator"]},
        "user__ben": {"roles": ["reader"]},
        "sequence__slow": waiting(),
        "sequence__rest": {"steps": [{"do": "wait", "wait_ms": 1}]},
        "alert__hot": {"tag": "a/l/one/voltage", "above": 100.0, "severity": "critical"},
        "alert__cold": {"tag": "a/l/one/energy", "below": -100.0},
        "message__order": {"topic": "erp/{line}", "payload": {"source": "nexus"}},
    }
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        await applied(control, snapshot(device("a/l/one"), **others))
        async with world.client("anna") as anna, world.client("ben") as ben:
            found = await anna.sequences()
            assert [one.name for one in found.sequences] == ["slow"]
            assert (await anna.sequence("slow")).agreed
            await anna.start_sequence("slow", run="r1")
            assert (await anna.sequence_run("r1")).who == "anna"
            value = b'{"value": 150.0, "timestamp": 1700000000000, "quality": "GOOD"}'
            await gateway.client.publish("acme/chicago/a/l/one/voltage", value, retain=True)
            while (await ben.alerts())[0].state != "active":
                pass
            assert [one.name for one in await ben.alerts()] == ["hot"]
            for wish in (
                lambda: ben.start_sequence("slow", run="r2"),
                lambda: ben.abort_sequence("r1"),
                lambda: ben.sequence_run("r1"),
                lambda: ben.acknowledge("hot"),
                lambda: ben.publish("order", {"line": "one"}),
                lambda: anna.start_sequence("rest", run="r3"),
                lambda: anna.acknowledge("cold"),
                lambda: anna.state(),
                lambda: anna.deploy({}),
                lambda: anna.audit(),
                lambda: anna.gateway_index("gw-1"),
                lambda: anna.break_lock("test"),
            ):
                assert (await refusal(wish())).code == "NX6403"
            assert (await anna.acknowledge("hot")).acknowledged_by == "anna"
            assert (await anna.publish("order", {"line": "one"})).payload == {"source": "nexus"}
            assert (await refusal(anna.publish("order", {"line": "one", "source": "evil"}))).code == "NX6841"
            await anna.abort_sequence("r1")
            assert (await run_ended(anna, "r1")).detail.aborted_by == "anna"
        # What was refused is there, too (tests/integration/test_logins.py).
        while len(trail := [one for one in (await control.audit(who="anna")).entries if one.kind != "access"]) < 4:
            pass
        assert [(one.kind, one.subject) for one in trail] == [
            ("alert", "hot"),
            ("message", "order"),
            ("sequence", "slow"),
            ("sequence", "slow"),
        ]
