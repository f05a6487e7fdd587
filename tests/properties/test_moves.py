"""Laws of renames: no history is lost or mixed up, whatever a site says; an old path that is kept is never cleared."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.access.aliases import with_old_paths
from nexus_cli.access.compile import compile_grants
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.change import Action
from nexus_cli.plan.diff import diff
from nexus_cli.plan.document import plan_document
from nexus_cli.plan.order import ordered
from nexus_cli.plan.plan import Base, Plan, make_plan
from nexus_cli.plan.stages import CLEAR, cleared_paths, stages_of
from nexus_cli.wire.topic import Topics, matches
from tests.examples import examples
from tests.properties.test_diff import apply_changes, tags_of

TOPICS = Topics("acme", "chicago")
LEVELS = (("a1", "a2"), ("l1", "l2"), ("d1", "d2", "d3"), ("t1", "t2", "t3"))
DEVICES = st.tuples(*(st.sampled_from(level) for level in LEVELS[:3])).map("/".join)


@st.composite
def sites(draw: st.DrawFn) -> Snapshot:
    """Devices whose tags have addresses of their own, so that what is the same can be recognised."""
    resources: dict[str, Any] = {}
    for path in draw(st.sets(DEVICES, max_size=5)):
        names = draw(st.sets(st.sampled_from(LEVELS[3]), max_size=3))
        resources[f"device.{path}"] = {
            "path": path,
            "protocol": "modbus",
            "link": f"tcp:{draw(st.sampled_from(['x', 'y', 'z']))}:502",
            "gateway": "gw",
            "connection": {"host": "x"},
            "tags": {
                name: {"type": "int16", "address": f"holding:{number}"} for number, name in enumerate(sorted(names))
            },
        }
    return Snapshot.of("acme", "chicago", resources)


@st.composite
def moves(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Entries of any depth: areas, lines, devices, tags."""
    found = []
    for _ in range(draw(st.integers(0, 4))):
        depth = draw(st.integers(1, 4))
        old, new = ("/".join(draw(st.sampled_from(level)) for level in LEVELS[:depth]) for _ in range(2))
        found.append((old, new))
    return found


def planned(a: Snapshot, b: Snapshot, moved: list[tuple[str, str]]) -> Plan:
    base = Base(deployment=1, digest=a.digest, digests=a.digests, resources=a.resources)
    return make_plan(base, b, moved=moved).unwrap()


@given(sites(), sites(), moves())
@settings(max_examples=examples(300))
def test_each_history_goes_to_one_place_at_most_and_nothing_is_planned_after_the_apply(
    a: Snapshot, b: Snapshot, moved: list[tuple[str, str]]
) -> None:
    changes = ordered(diff(a, b, moved=moved))
    tags = [tag for change in changes for tag in change.tags]
    pairs = [(tag.previous_path, tag.path) for tag in tags if tag.previous_path is not None]
    assert len({old for old, _ in pairs}) == len({new for _, new in pairs}) == len(pairs)
    # what was recorded is there under its path, moved, or said to be forgotten: nothing else
    forgotten = {tag.path for tag in tags if tag.action is Action.FORGET}
    assert tags_of(a) == (tags_of(a) & tags_of(b)) | {old for old, _ in pairs} | forgotten
    after = apply_changes(a, changes)
    assert after.resources == b.resources
    assert diff(after, b, moved=moved) == (), "an entry that was applied does nothing again"


@given(sites(), moves())
def test_a_site_against_itself_has_no_finding_about_its_moves(site: Snapshot, moved: list[tuple[str, str]]) -> None:
    base = Base(deployment=1, digest=site.digest, digests=site.digests, resources=site.resources)
    found = make_plan(base, site, moved=moved)
    assert found.findings == () and found.unwrap().empty


@given(sites(), sites())
@settings(max_examples=examples(300))
def test_what_is_proposed_keeps_histories_and_leaves_nothing_to_propose(a: Snapshot, b: Snapshot) -> None:
    proposed = planned(a, b, []).renames
    assert len({old for old, _ in proposed}) == len({new for _, new in proposed}) == len(proposed)
    declared = planned(a, b, list(proposed))
    moved = {tag.previous_path for change in declared.changes for tag in change.tags if tag.previous_path is not None}
    lost = {tag.path for change in declared.changes for tag in change.tags if tag.action is Action.FORGET}
    for old, _ in proposed:
        below = {path for path in tags_of(a) if path == old or path.startswith(f"{old}/")}
        assert below and below <= moved and not below & lost
    assert not set(declared.renames) & set(proposed)


@given(sites(), sites(), moves(), st.data())
@settings(max_examples=examples(200))
def test_an_old_path_that_is_kept_is_never_cleared_and_its_gateway_may_publish_there(
    a: Snapshot, b: Snapshot, moved: list[tuple[str, str]], data: st.DataObject
) -> None:
    kept = {
        f"alias.{old}": {"to": new, "for_ms": 1000, "gateways": ["gw"]}
        for old, new in data.draw(st.lists(st.sampled_from(moved), unique=True) if moved else st.just([]))
        if old != new
    }
    after = Snapshot.of("acme", "chicago", {**b.resources, **kept})
    changes = ordered(diff(a, after, moved=moved))
    published = tags_of(with_old_paths(after))
    pairs = {tag.previous_path: tag.path for change in changes for tag in change.tags if tag.previous_path}
    left = {
        old
        for old, new in pairs.items()
        if any(new.replace(value["to"], name.removeprefix("alias."), 1) == old and new.startswith(value["to"])
               for name, value in kept.items())
    }  # fmt: skip
    assert not set(cleared_paths(changes)) & left
    may = [each for each in compile_grants(after) if each.principal == "nexus.gateway.gw" and each.action == "publish"]
    assert all(any(matches(each.filter, TOPICS.tag(path)) for each in may) for path in published)
    cleared = [path for stage in stages_of(changes) if stage.step == CLEAR for path in stage.paths]
    control = [each for each in compile_grants(after) if each.principal == "nexus.control" and each.action == "publish"]
    assert all(any(matches(each.filter, TOPICS.tag(path)) for each in control) for path in cleared)
    plan = planned(a, after, moved)
    assert {f"alias.{each['old']}" for each in plan_document(plan)["aliases"]} == set(kept)
