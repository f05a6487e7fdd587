"""A deployment that recorded nothing is weighed again when it is resumed: what could not be applied now does not go ahead."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.wire.control import DeploymentRequest
from nexus_cli.wire.http import ControlClient
from tests.integration.control_world import FakeGateway, World, applied, body_of, ended, plan_against, world
from tests.integration.test_deployed_sequences import runs_by_name
from tests.integration.test_policies import Person
from tests.integration.test_rollout_resumed import AWAITS, SHORT, plant, value_of_three
from tests.integration.test_rollouts import Moved, shut_window
from tests.waiting import until_found

__all__ = ["world"]
pytestmark = [pytest.mark.needs_broker, pytest.mark.needs_database]

SEQUENCES = {"a-stop": SHORT, "b-stop": AWAITS}


def with_more(desired: Snapshot, **more: Any) -> Snapshot:
    resources = {**desired.resources, **{name.replace("__", "."): value for name, value in more.items()}}
    return Snapshot.of("acme", "chicago", resources)


async def cut(control: ControlClient, body: DeploymentRequest) -> int:
    """Begin a deployment, and break its lock before it recorded anything."""
    number = await control.deploy(body)
    await until_found(lambda: runs_by_name(control), lambda runs: runs.get("b-stop", [])[-1:] == ["running"])
    await control.break_lock("a test")
    assert (await ended(control, number)).outcome == "failed"
    return number


async def test_a_window_that_has_closed_holds_it(world: World) -> None:
    clock = Moved()
    site = {"enterprise": "acme", "site": "chicago", **shut_window()}
    async with world.control(clock=clock) as control, FakeGateway(world.settings).up() as gateway:
        await applied(control, with_more(plant("10.0.0.7", **SEQUENCES), site=site))
        await value_of_three(gateway, 1)
        desired = with_more(plant("10.0.0.8", **SEQUENCES), site=site)
        clock.ahead = timedelta(hours=3, minutes=30)
        number = await cut(control, body_of(await plan_against(control, desired), allow=("runs-sequence",)))
        clock.ahead = timedelta(hours=6)
        with pytest.raises(NexusError) as refused:
            await control.resume(number)
        assert (refused.value.code, refused.value.exit_code) == ("NX5035", 3)
        assert (await control.state()).deployment == 1
        clock.ahead = timedelta(hours=3, minutes=40)
        await value_of_three(gateway, 6)
        await control.resume(number)
        assert (await ended(control, number)).outcome == "applied"
        assert (await runs_by_name(control)) == {"a-stop": ["done"], "b-stop": ["done"]}


async def test_an_approval_that_was_given_back_is_used_once(world: World) -> None:
    ann = Person("ann")
    rules = {"approvals__rules": {"keys": {"ann": ann.public}}}
    first, desired = plant("10.0.0.7", **SEQUENCES), plant("10.0.0.8", **SEQUENCES)
    async with world.control() as control, FakeGateway(world.settings).up() as gateway:
        await applied(control, with_more(first, **rules))
        await value_of_three(gateway, 1)
        plan = await plan_against(control, with_more(desired, **rules))
        good = [msgspec.to_builtins(ann.approves(plan.effect))]
        body = msgspec.structs.replace(body_of(plan, allow=("runs-sequence",)), approvals=good)
        number = await cut(control, body)
        with pytest.raises(NexusError) as refused:
            await control.resume(number)
        assert refused.value.code == "NX4034", "control keeps no approval: it is shown again with a new deployment"
        await value_of_three(gateway, 6)
        again = await ended(control, await control.deploy(body))
        assert again.outcome == "applied"
        back = await plan_against(control, with_more(first, **rules))
        undo = body_of(back, allow=("runs-sequence",))
        undo = msgspec.structs.replace(undo, approvals=[msgspec.to_builtins(ann.approves(back.effect))])
        assert (await ended(control, await control.deploy(undo))).outcome == "applied"
        with pytest.raises(NexusError) as refused:
            await control.resume(number)
        assert refused.value.code == "NX5016", (
            "the recorded state is the same again, and yet another one recorded since"
        )
