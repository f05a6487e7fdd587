"""Laws of the diff: equal states have none, and applying it to one side gives the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jsonschema
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.apply.request import changes_between
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.change import Action, Change
from nexus_cli.plan.diff import diff, differing
from nexus_cli.plan.document import plan_document
from nexus_cli.plan.document_schema import plan_schema
from nexus_cli.plan.hazards import hazards_of
from nexus_cli.plan.order import ordered
from nexus_cli.plan.plan import Base, make_plan
from nexus_cli.plan.stages import cleared_paths, stages_of
from tests.examples import examples

SCHEMA = jsonschema.Draft7Validator(plan_schema())
NAMES = st.sampled_from(["a", "b", "c", "d"])
TAG = st.fixed_dictionaries(
    {"type": st.sampled_from(["float32", "int16", "bool"])},
    optional={
        "unit": st.sampled_from(["V", "kWh"]),
        "writable": st.booleans(),
        "deadband": st.sampled_from([0.5, 1.0]),
    },
)


@st.composite
def devices(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in draw(st.sets(NAMES, max_size=4)):
        for line in draw(st.sets(st.sampled_from(["l1", "l2"]), max_size=2)):
            path = f"area/{line}/{name}"
            found[f"device.{path}"] = {
                "path": path,
                "protocol": draw(st.sampled_from(["modbus", "external"])),
                "link": draw(st.sampled_from(["tcp:x:502", "tcp:y:502"])),
                "gateway": draw(st.sampled_from(["g1", "g2"])),
                "connection": {"host": "x", "password": draw(st.sampled_from(["${env:P}", "hunter2"]))},
                "tags": draw(st.dictionaries(NAMES, TAG, max_size=4)),
            }
    return found


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    resources = draw(devices())
    for name in draw(st.sets(NAMES, max_size=2)):
        resources[f"role.{name}"] = {"read": draw(st.lists(NAMES, max_size=2)), "write": []}
    for name in draw(st.sets(NAMES, max_size=2)):
        resources[f"retention.{name}"] = {"keep_ms": draw(st.integers(1, 3)) * 86_400_000, "rollups": []}
    return Snapshot.of("acme", "chicago", resources)


PATHS = st.builds(
    lambda line, device, tag: "/".join(["area", line, device, tag][: 4 if tag else 3]),
    st.sampled_from(["l1", "l2"]),
    NAMES,
    st.one_of(st.just(""), NAMES),
)
RENAMES = st.lists(st.tuples(PATHS, PATHS), max_size=4)


def tags_of(snapshot: Snapshot, *protocols: str) -> set[str]:
    """Paths of tags; of some protocols, or of all."""
    return {
        f"{address.removeprefix('device.')}/{tag}"
        for address, value in snapshot.resources.items()
        if address.startswith("device.") and (not protocols or value["protocol"] in protocols)
        for tag in value["tags"]
    }


def apply_changes(base: Snapshot, changes: Iterable[Change]) -> Snapshot:
    """The snapshot that the changes make of `base`: what control does when it records them."""
    resources = dict(base.resources)
    for change in changes:
        if change.previous_address is not None:
            resources.pop(change.previous_address, None)
        if change.after is None:
            resources.pop(change.address, None)
    for change in changes:
        if change.after is not None:
            resources[change.address] = dict(change.after)
    return Snapshot.of(base.enterprise, base.site, resources)


@given(snapshots(), RENAMES)
def test_a_state_does_not_differ_from_itself(state: Snapshot, moved: list[tuple[str, str]]) -> None:
    assert diff(state, state, moved=moved) == ()


@given(snapshots(), snapshots(), RENAMES)
@settings(max_examples=examples(300))
def test_applying_the_difference_gives_the_other_side(a: Snapshot, b: Snapshot, moved: list[tuple[str, str]]) -> None:
    changes = ordered(diff(a, b, moved=moved))
    assert apply_changes(a, changes).resources == b.resources
    assert ordered(reversed(changes)) == changes
    assert changes == ordered(diff(a, b, moved=moved))


@given(snapshots(), snapshots(), RENAMES)
def test_what_differs_is_enough_to_know(a: Snapshot, b: Snapshot, moved: list[tuple[str, str]]) -> None:
    """Control sends only resources that differ, and gets only those: both see the same changes."""
    wanted = set(differing(a.digests, b.digests))
    partial = Snapshot("acme", "chicago", {each: a.resources[each] for each in wanted & a.resources.keys()}, a.digests)
    whole = diff(a, b, moved=moved)
    assert diff(partial, b, moved=moved) == whole
    changed = {each: b.resources.get(each) for each in wanted}
    assert changes_between(changed, partial.resources, moved=moved) == ordered(whole)


@given(snapshots(), snapshots(), RENAMES)
@settings(max_examples=examples(300))
def test_every_tag_goes_exactly_one_way(a: Snapshot, b: Snapshot, moved: list[tuple[str, str]]) -> None:
    changes = diff(a, b, moved=moved)
    tags = [tag for change in changes for tag in change.tags]
    before, after = tags_of(a), tags_of(b)
    gone = [tag.path for tag in tags if tag.action is Action.FORGET] + [
        tag.previous_path for tag in tags if tag.previous_path
    ]
    come = [tag.path for tag in tags if tag.action in (Action.CREATE, Action.MOVE)]
    assert sorted(gone) == sorted(before - after)
    assert sorted(come) == sorted(after - before)
    # No retained message of a tag that we publish is ever cleared; of one that others publish now only our own is.
    handed_over = tags_of(a, "modbus") & tags_of(b, "external")
    assert not set(cleared_paths(changes)) & tags_of(b, "modbus")
    assert set(cleared_paths(changes)) == (before - after) | handed_over
    assert not changes or stages_of(changes)[0].step == "record"


@given(snapshots(), snapshots())
def test_a_plan_shows_no_secret_and_serialises(a: Snapshot, b: Snapshot) -> None:
    wanted = differing(a.digests, b.digests)
    base = Base(
        deployment=1,
        digest=a.digest,
        digests=a.digests,
        resources={each: a.resources[each] for each in wanted if each in a.resources},
    )
    outcome = make_plan(base, b)
    document = orjson.dumps(plan_document(outcome.unwrap(), findings=outcome.findings))
    SCHEMA.validate(orjson.loads(document))
    assert b"hunter2" not in document
    shown_plain = any(value["connection"]["password"] == "hunter2" for _, value in b.of_kind("device"))
    assert outcome.unwrap().errored == shown_plain
    assert outcome.unwrap().empty == (a.digest == b.digest)


@given(snapshots())
def test_nothing_is_a_hazard_on_an_empty_runtime(b: Snapshot) -> None:
    changes = diff(Snapshot.of("acme", "chicago", {}), b)
    assert hazards_of(changes, devices_left=9, first=True) == ()
