"""What a person looks at who signs a deployment: hazards, policies, impact, effect and approvals, and the changes page by page."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import msgspec
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.plan import Base, make_plan
from nexus_cli.runtime.control import recorded_plans
from nexus_cli.wire.control_plans import DeploymentReview
from nexus_cli.wire.http_access import AccessClient
from tests.integration.control_world import FakeGateway, World, applied, body_of, device, ended, snapshot, tag, world
from tests.integration.test_policies import Person

__all__ = ["world"]
UNITS = {
    "subject": "tag",
    "require": "unit != ''",
    "severity": "warning",
    "owner": "quality",
    "message": "needs a unit",
}
SMALL = {"subject": "change", "deny": "action == 'forget'", "overridable": True, "message": "nothing is removed"}


async def _review(control: AccessClient, number: int, **asked: int) -> DeploymentReview:
    params = {name: str(value) for name, value in asked.items()}
    return await control.call("GET", f"/deployments/{number}/review", DeploymentReview, params=params, timeout_s=60)


async def _signed(control: AccessClient, desired: Snapshot, by: Person, *, allow: tuple[str, ...] = ()) -> int:
    """Apply with the approval of one person; gives the number."""
    state = await control.state()
    resources = await control.resources(list(state.digests))
    base = Base(deployment=state.deployment, digest=state.digest, digests=state.digests, resources=resources)
    plan = make_plan(base, desired, at=dt.datetime.now(dt.UTC)).unwrap()
    approval: dict[str, Any] = msgspec.to_builtins(by.approves(plan.effect))
    number = await control.deploy(msgspec.structs.replace(body_of(plan, allow=allow), approvals=[approval]))
    assert (await ended(control, number)).outcome == "applied"
    return number


async def test_a_review_has_what_was_signed(world: World) -> None:
    ann = Person("ann")
    rules: dict[str, Any] = {
        "approvals__rules": {"keys": {"ann": ann.public}},
        "policy__units": UNITS,
        "policy__small": SMALL,
    }
    first = snapshot(device("a/l/one"), device("a/l/two"), **rules)
    warm = device("a/l/one", tags={"energy": tag(), "voltage": tag(address="holding:2", writable=True)})
    second = snapshot(warm, **rules)
    consents = ("data-loss=**", "write-enable=**", "policy=small")
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, first)
        number = await _signed(control, second, ann, allow=consents)
        found = await _review(control, number)
        assert (found.number, found.base, found.note, found.required) == (number, 1, "", 1)
        assert [(one.key, one.signer, one.effect) for one in found.approvals] == [("ann", "", found.effect)]
        assert found.approvals[0].at > 0 and found.effect.startswith("sha256:")
        hazards = {(one["name"], one["scope"], one["allowed"]) for one in found.hazards.shown}
        assert {("write-enable", "a/l/one/voltage", True), ("policy", "small", True)} <= hazards
        assert found.hazards.total == len(found.hazards.shown)
        policies = {one["name"]: one for one in found.policies.shown}
        assert set(policies) == {"units", "small"}
        assert (policies["units"]["severity"], policies["units"]["owner"]) == ("warning", "quality")
        assert policies["units"]["paths"] == ["a/l/one/voltage"] and policies["units"]["more"] == 0
        assert {one.plane for one in found.impact} >= {"devices", "series"}
        assert [(one.address, one.action) for one in found.changes] == [
            ("device.a/l/one", "update"),
            ("device.a/l/two", "forget"),
        ]
        assert "      ~ voltage  writable: none -> true" in found.changes[0].lines
        assert found.summary["update"] == 1 and found.total == 2 and found.text.startswith("Plan for acme/chicago")
        assert "Violates policies:" in found.text and "quality" in found.text
        later = await _review(control, number, offset=1, limit=1)
        assert ([one.address for one in later.changes], later.text, later.total) == (["device.a/l/two"], "", 2)
        assert (await _review(control, number, offset=7)).changes == []
        with pytest.raises(NexusError, match="no deployment 99"):
            await _review(control, 99)


async def test_long_lists_are_cut_and_counted(world: World) -> None:
    many = {f"t{number:03}": tag(address=f"holding:{number * 2}") for number in range(150)}
    devices = [device(f"a/l/unit-{number:03}", tags=many) for number in range(130)]
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, snapshot(*devices, policy__units=UNITS))
        found = await _review(control, 1, limit=100)
        (policy,) = found.policies.shown
        assert len(policy["paths"]) == 100 and policy["more"] == 130 * 150 - 100
        assert len(found.changes) == 100 and found.total == 130 + 4
        planes = {one.plane: one for one in found.impact}
        assert all(len(one.shown) <= 100 <= one.total or one.total == len(one.shown) for one in planes.values())
        assert len(msgspec.json.encode(found)) < 500_000


async def test_what_is_not_known_any_more_is_not_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An effect without the state before would be another one than was signed."""
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, snapshot(device("a/l/one"), policy__units=UNITS))
        await applied(control, snapshot(device("a/l/one", description="A meter."), policy__units=UNITS))
        whole = await _review(control, 1)
        assert whole.effect and whole.policies.total == 1
        monkeypatch.setattr(recorded_plans, "MOST_BYTES", 10)
        await applied(control, snapshot(device("a/l/one", description="The meter."), policy__units=UNITS))
        found = await _review(control, 1)
        assert (found.effect, found.policies.total) == ("", 0) and "the effect" in found.note
        assert "Effect:" not in found.text


async def test_a_plan_is_computed_once_until_more_is_recorded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every page of it, also for two who ask at once."""
    computed: list[int] = []
    review = recorded_plans._reviewed

    def counted(number: int, past: Any) -> Any:
        computed.append(number)
        return review(number, past)

    monkeypatch.setattr(recorded_plans, "_reviewed", counted)
    units = [f"a/l/unit-{number:03}" for number in range(120)]
    async with world.control() as control, FakeGateway(world.settings).up():
        await applied(control, snapshot(*map(device, units)))
        first, again = await asyncio.gather(_review(control, 1), _review(control, 1))
        assert first == again and first.text and first.total >= len(units)
        pages = [await _review(control, 1, offset=offset) for offset in range(50, first.total, 50)]
        shown = [one.address for page in (first, *pages) for one in page.changes]
        assert len(shown) == len(set(shown)) == first.total and {f"device.{unit}" for unit in units} <= set(shown)
        assert computed == [1] and {page.effect for page in pages} == {first.effect}
        await applied(control, snapshot(device(units[0], description="The first."), *map(device, units[1:])))
        later = await _review(control, 1)
        assert computed == [1, 1] and later.changes == first.changes
        assert [one.address for one in (await _review(control, 2)).changes] == [f"device.{units[0]}"]
        assert computed == [1, 1, 2]
