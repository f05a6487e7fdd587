"""Plans of deployments on record are the plans that were shown before them, also after the site has gone on."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.document import PlanDocument, plan_document
from nexus_cli.plan.plan import Base, make_plan
from nexus_cli.plan.requests import request_count
from nexus_cli.plan.text import plan_text
from nexus_cli.runtime.control import recorded_plans
from nexus_cli.wire.control_plans import DeploymentPlan
from nexus_cli.wire.http import ControlClient
from tests.integration.control_world import FakeGateway, World, body_of, device, ended, snapshot, tag, world

__all__ = ["world"]

PEOPLE: dict[str, Any] = {
    "role__desk": {"read": ["a/**"], "write": ["a/l/one/energy"]},
    "user__anna": {"role": "desk"},
}


async def _deploy(control: ControlClient, desired: Snapshot, *, allow: tuple[str, ...] = (), moved: Any = ()) -> Any:
    """Apply; gives the plan as it was shown before."""
    state = await control.state()
    base = Base(
        deployment=state.deployment,
        digest=state.digest,
        digests=state.digests,
        resources=await control.resources(list(state.digests)),
    )
    plan = make_plan(base, desired, moved=moved, cost=request_count).unwrap()
    shown = plan_document(plan, allow=allow)
    await ended(control, await control.deploy(body_of(plan, allow=allow)))
    return orjson.loads(orjson.dumps(shown))


async def _on_record(control: ControlClient, number: int) -> DeploymentPlan:
    return await control.call(
        "GET", f"/deployments/{number}/plan", DeploymentPlan, params={"document": "true"}, timeout_s=60
    )


def _text(shown: PlanDocument) -> str:
    return plan_text(shown, style=lambda text, _: text)


async def test_each_plan_is_the_one_that_was_shown(world: World) -> None:
    async with world.control() as control, FakeGateway(world.settings).up():
        one, two = device("a/l/one"), device("a/l/two")
        warm = device(
            "a/l/one",
            tags={"energy": tag(unit="kWh", writable=True), "voltage": tag(address="holding:4", writable=True)},
        )
        wide = {**PEOPLE, "role__desk": {"read": ["a/**"], "write": ["a/**"]}}
        steps = [
            (snapshot(one, two, **PEOPLE), (), ()),
            (
                snapshot(warm, two, device("a/l/three"), **PEOPLE),
                ("write-enable=**", "acl-widen=**", "series-break=**", "data-loss=**"),
                (),
            ),
            (snapshot(warm, two, device("a/l/three"), **wide), ("acl-widen=**",), ()),
            (snapshot(warm, device("a/l/six"), **wide), ("data-loss=**", "acl-widen=**"), (("a/l/two", "a/l/six"),)),
            (snapshot(device("a/l/six", enabled=False)), ("data-loss=**", "empty-target"), ()),
        ]
        shown = [await _deploy(control, desired, allow=allow, moved=moved) for desired, allow, moved in steps]
        for number, before in enumerate(shown, 1):
            found = await _on_record(control, number)
            assert (found.plan, found.text, found.note) == (before, _text(before), "")
        text = (await _on_record(control, 2)).text
        assert "  ~ device.a/l/one" in text and "address: holding:2 -> holding:4" in text and "[allowed]" in text
        assert "desk" in (await _on_record(control, 3)).text and "Rights:" in (await _on_record(control, 3)).text
        bare = await control.call("GET", "/deployments/1/plan", DeploymentPlan)
        assert bare.plan is None and bare.text == _text(shown[0])
        with pytest.raises(NexusError, match="no deployment 99") as refused:
            await _on_record(control, 99)
        assert refused.value.code == "NX5006"


async def test_what_is_too_much_to_compute_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded_plans, "MOST_BYTES", 10)
    async with world.control() as control, FakeGateway(world.settings).up():
        await _deploy(control, snapshot(device("a/l/one")))
        await _deploy(control, snapshot(device("a/l/one", description="A meter.")))
        first, second = await _on_record(control, 1), await _on_record(control, 2)
        assert "are left out" in first.note and "+ device.a/l/one" in first.text
        assert second.note == "" and "description: " in second.text
