"""A deployment whose broker or gateway is away: nothing of it begins, and the plan says so before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.plan.document import plan_document
from nexus_cli.plan.measured_document import with_measures
from nexus_cli.plan.plan import Plan
from nexus_cli.plan.text import plan_text
from nexus_cli.project.measure import measure
from nexus_cli.wire.http import ControlClient
from tests.integration.control_world import FAST, TOPICS, FakeGateway, World, applied, body_of, plan_against, world
from tests.integration.test_deployed_sequences import ALLOW, runs_by_name, site
from tests.waiting import until_found

__all__ = ["world"]
pytestmark = [pytest.mark.needs_broker, pytest.mark.needs_database]

SOON = replace(FAST, connect_s=0.2)


async def text_of(plan: Plan, world: World) -> str:
    measured = await measure(plan, replace(world.settings, control_token="cli-token"))
    document = with_measures(plan_document(plan, allow=ALLOW), plan.changes, measured)
    return plan_text(document, style=lambda each, _: each)


async def refused(control: ControlClient, plan: Plan) -> NexusError:
    with pytest.raises(NexusError) as caught:
        await control.deploy(body_of(plan, allow=ALLOW))
    assert (caught.value.code, caught.value.retriable, caught.value.exit_code) == ("NX5040", True, 6)
    assert "`nexus status`" in caught.value.hint
    return caught.value


async def nothing_began(control: ControlClient) -> None:
    state = await control.state()
    assert state.deployment == 1 and await runs_by_name(control) == {}
    assert [each.number for each in await control.deployments()] == [1]
    assert await control.lock() is None


async def test_without_the_broker_no_sequence_runs_and_nothing_is_recorded(world: World) -> None:
    async with world.control(SOON) as control, FakeGateway(world.settings).up():
        await applied(control, site("10.0.0.7"))
        plan = await plan_against(control, site("10.0.0.8"))
        assert "Can't be applied now:" not in await text_of(plan, world)
        world.broker.stop()
        await until_found(world.status, lambda found: not found.get("ready"))
        assert "Can't be applied now:\n  control is not connected to the broker" in await text_of(plan, world)
        error = await refused(control, plan)
        assert "it can't reach gateway gw-1" in error.message and "nothing changed" in error.message
        await nothing_began(control)
        world.broker.start()
        await until_found(world.status, lambda found: bool(found.get("ready")))
    async with world.control(SOON) as control, FakeGateway(world.settings).up():
        assert (await applied(control, site("10.0.0.8"), allow=ALLOW)).outcome == "applied"
        assert await runs_by_name(control) == {"stop": ["done"], "start": ["done"]}


async def test_no_machine_is_stopped_for_a_gateway_that_is_lost(world: World) -> None:
    async with world.control(SOON) as control:
        async with FakeGateway(world.settings).up() as gateway:
            await applied(control, site("10.0.0.7"))
            await gateway.client.publish(TOPICS.health("gateway", "gw-1"), gateway.said("lost"), retain=True)
        plan = await plan_against(control, site("10.0.0.8"))

        async def is_away() -> str:
            return await text_of(plan, world)

        text = await until_found(is_away, lambda found: "Can't be applied now:" in found)
        assert "sequence 'stop' would run for a change that it can't make" in text
        assert "Gateway gw-1 is lost" in (await refused(control, plan)).message
        await nothing_began(control)
