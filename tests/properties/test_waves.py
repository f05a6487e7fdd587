"""Laws of waves and of parts of a plan, over random sites."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.apply.run import StoredPlan
from nexus_cli.apply.waves import part_of, undone, with_old_addresses, work_of
from nexus_cli.model.config import digest
from nexus_cli.model.rollouts import Rollout
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.dependencies import needs_of
from nexus_cli.plan.diff import diff
from nexus_cli.plan.narrow import narrowed
from nexus_cli.plan.order import ordered
from nexus_cli.plan.plan import Base, make_plan
from nexus_cli.plan.targets import Targets
from nexus_cli.plan.waves import waves_of
from nexus_cli.wire.rollout import WaveRequest

PATHS = tuple(f"{area}/{line}/{device}" for area in "ab" for line in ("l", "m") for device in ("one", "two"))
NAMES = ("speed", "level", "mass")
KEYS = ("", "retention", "deadband", "label")


@st.composite
def devices(draw: st.DrawFn) -> dict[str, Any]:
    """A device's part of a site: which tags, what is said of each, which gateway, what is computed from elsewhere."""
    tags: dict[str, Any] = {}
    for name in draw(st.sets(st.sampled_from(NAMES), min_size=1)):
        tags[name] = {"type": "float64", "published_type": "float64", "address": f"holding:{len(tags)}"}
        key = draw(st.sampled_from(KEYS))
        if key == "retention":
            tags[name]["retention"] = "long"
        elif key == "deadband":
            tags[name]["deadband"] = draw(st.sampled_from([0.5, 1.5]))
    if draw(st.booleans()):
        source = f"{draw(st.sampled_from(PATHS))}/{draw(st.sampled_from(NAMES))}"
        tags["double"] = {"type": "float64", "published_type": "float64", "expr": "x * 2", "inputs": {"x": source}}
    return {"gateway": draw(st.sampled_from(["gw-1", "gw-2"])), "tags": tags}


@st.composite
def sites(draw: st.DrawFn) -> Snapshot:
    found = draw(st.dictionaries(st.sampled_from(PATHS), devices(), min_size=1))
    resources: dict[str, Any] = {
        "site": {"enterprise": "acme", "site": "chicago"},
        "gateway.gw-1": {},
        "gateway.gw-2": {},
        "retention.long": {"keep_ms": draw(st.sampled_from([1000, 2000])), "rollups": []},
    }
    for path, one in found.items():
        link = {"protocol": "modbus", "link": "tcp:10.0.0.9:502", "connection": {"host": "10.0.0.9", "port": 502}}
        resources[f"device.{path}"] = {"path": path, **link, **one}
    if draw(st.booleans()):
        resources["alert.hot"] = {
            "on_bad": "hold",
            "severity": "warning",
            "tag": f"{draw(st.sampled_from(PATHS))}/speed",
        }
    return Snapshot.of("acme", "chicago", resources)


globs = st.sampled_from([*PATHS, "a", "b", "a/l", "b/m", "*/l", "**/one", "alert.*", "retention.long"])
rollouts = st.lists(
    st.lists(st.sampled_from([*PATHS, "a", "b/l", "**/two"]), min_size=1, max_size=2), min_size=1, max_size=4
).map(
    lambda waves: Rollout.model_validate(
        {"waves": [{"name": f"w{number}", "devices": devices} for number, devices in enumerate(waves)]}
    )
)
moves = st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(PATHS)), max_size=2)


@given(sites(), sites(), rollouts, moves)
def test_waves_have_each_change_once_and_nothing_before_what_it_needs(
    before: Snapshot, after: Snapshot, rollout: Rollout, moved: list[tuple[str, str]]
) -> None:
    changes = ordered(diff(before, after, moved=moved))
    waves = waves_of(changes, rollout)
    assert Counter(address for wave in waves for address in wave.addresses) == Counter(each.address for each in changes)
    at = {address: number for number, wave in enumerate(waves) for address in wave.addresses}
    for need in needs_of(changes):
        if need.firm and need.address.startswith("device.") and not need.needs.startswith("alert."):
            assert at[need.needs] <= at[need.address], need


@given(sites(), sites(), rollouts, moves)
def test_the_waves_one_after_the_other_make_the_plan_and_can_be_taken_back(
    before: Snapshot, after: Snapshot, rollout: Rollout, moved: list[tuple[str, str]]
) -> None:
    base = Base(deployment=1, digest=before.digest, digests=before.digests, resources=before.resources)
    plan = make_plan(base, after, moved=moved).unwrap()
    whole = StoredPlan(
        changed=plan.desired,
        before={each: before.resources[each] for each in plan.desired if each in before.resources},
        digests={each: digest(value) for each, value in plan.desired.items() if value is not None},
        moved=list(moved),
        allow=[],
    )
    asked = [WaveRequest(name=each.name, addresses=list(each.addresses)) for each in waves_of(plan.changes, rollout)]
    state = dict(before.resources)
    for wave in with_old_addresses(asked, plan.changes):
        _record(state, work_of(part_of(whole, wave.addresses)).plan)
    assert state == dict(after.resources)
    _record(state, work_of(undone(whole, before.digests)).plan)
    assert state == dict(before.resources)


def _record(state: dict[str, Any], plan: StoredPlan) -> None:
    for address, value in plan.changed.items():
        if value is None:
            state.pop(address, None)
        else:
            state[address] = value


@given(sites(), sites(), st.lists(globs, max_size=2), moves)
def test_a_part_changes_nothing_else_and_the_rest_is_still_to_be_done(
    before: Snapshot, after: Snapshot, target: list[str], moved: list[tuple[str, str]]
) -> None:
    known = {*before.digests, *after.digests}
    devices = {each.removeprefix("device.") for each in known if each.startswith("device.")}
    target = [each for each in target if each in devices or (each in ("retention.long",))]
    base = Base(deployment=1, digest=before.digest, digests=before.digests, resources=before.resources)
    desired, part = narrowed(base, after, moved=moved, targets=Targets(target=tuple(target)))
    made = {each.address for each in diff(before, desired, moved=moved)}
    left = {each.address for each in diff(desired, after, moved=moved)}
    assert not made & left
    assert bool(left) == bool(part.left_out)
    if not target:
        assert desired.digest == after.digest
    assert Snapshot.of("acme", "chicago", desired.resources).digest == desired.digest
