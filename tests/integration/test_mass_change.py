"""Limits on how much changes at once, and the reach of templates and defaults, through a real control and its database."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.database.connect import connection
from nexus_cli.database.recorded_tags import tags_by_class
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan import mass_change
from nexus_cli.wire.control import DeploymentRequest, PlanSummary
from nexus_cli.wire.control_plans import DeploymentPlan
from nexus_cli.wire.reach import Reach, SentDefaults, SentTemplate
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
from tests.postgres import SITE

__all__ = ["world"]
LIMIT = {"enterprise": "acme", "site": "chicago", "mass_change": {"tags": 0.25}}


def site(**tags: dict[str, Any]) -> Snapshot:
    """Two devices with ten tags together, three of them in the class `short`, and one of another system."""
    big = {f"t{n}": tag(address=f"holding:{2 * n}", **({"retention": "short"} if n < 3 else {})) for n in range(8)}
    return snapshot(
        device("a/l/big", tags={**big, **tags}),
        device("a/l/small"),
        device("a/l/bare", tags={}),
        site=LIMIT,
        retention__short={"keep_ms": 3_600_000, "rollups": []},
    )


def other(number: int, **keys: Any) -> dict[str, Any]:
    return {f"t{n}": tag(address=f"holding:{2 * n}", poll_ms=50, **keys) for n in range(3, 3 + number)}


async def test_control_counts_the_tags_on_record(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, site())
        async with connection(world.settings) as conn:
            counted = await tags_by_class(conn, SITE)
        devices = [value for address, value in site().resources.items() if address.startswith("device.")]
        assert counted == mass_change.tags_by_class(devices) == {"default": 7, "short": 3}
        few = await plan_against(control, site(**other(2)))
        assert not few.hazards, "2 of 10 is no more than 25 %"
        many = await plan_against(control, site(**other(3)))
        with pytest.raises(NexusError, match=r"3 of 10 tags change \(30%\); the site allows 25% at once") as caught:
            await control.deploy(body_of(many))
        assert (caught.value.code, caught.value.hint) == ("NX4002", "if this is intended: --allow mass-change")
        done = await ended(control, await control.deploy(body_of(many, allow=("mass-change",))))
        assert done.outcome == "applied"
        shown = await control.call("GET", "/deployments/2/plan", DeploymentPlan, params={"document": "true"})
        assert shown.plan is not None
        assert [each["message"] for each in shown.plan["hazards"]] == [hazard.message for hazard in many.hazards]


async def test_a_deployment_keeps_what_its_plan_said_of_templates_and_defaults(world: World) -> None:
    reach = Reach(
        templates=[
            SentTemplate(template="motor", devices=["a/l/big"], unchanged=1, tags=1, actions={"update": 1}, restarts=0)
        ],
        defaults=[
            SentDefaults(
                level="site", path="", keys=["poll"], devices=["a/l/big"], unchanged=2, tags=1, actions={"update": 1}
            )
        ],
    )
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, site())
        plan = await plan_against(control, site(**other(1)))
        body = body_of(plan)
        sent = DeploymentRequest(
            base_digest=body.base_digest,
            desired_digest=body.desired_digest,
            changed=body.changed,
            plan=PlanSummary(moved=body.plan.moved, summary=body.plan.summary, reach=reach),
        )
        await ended(control, await control.deploy(sent))
        shown = await control.call("GET", "/deployments/2/plan", DeploymentPlan, params={"document": "true"})
        assert shown.plan is not None
        assert "\nTemplates:\n  motor: 1 of 2 devices: 1 updated; 1 tag changed; no session restarts\n" in shown.text
        assert (
            "\nDefaults:\n  site: poll: 1 of 3 devices: 1 updated; 1 tag changed; no session restarts\n" in shown.text
        )
        assert [each["template"] for each in shown.plan["templates"]] == ["motor"]
        assert [each["keys"] for each in shown.plan["defaults"]] == [["poll"]]
        first = await control.call("GET", "/deployments/1/plan", DeploymentPlan, params={"document": "true"})
        assert first.plan is not None and first.plan["templates"] == first.plan["defaults"] == []
