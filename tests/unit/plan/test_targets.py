"""A part of a plan: what globs take, what that needs, and what stays as it is recorded."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.diff import diff
from nexus_cli.plan.document import plan_document
from nexus_cli.plan.narrow import files_digest, narrowed
from nexus_cli.plan.plan import Base, Plan, make_plan
from nexus_cli.plan.targets import Part, Targets

FILLER, CAPPER, TANK = "packaging/line-1/filler", "packaging/line-1/capper", "mixing/line-2/tank"


def tag(**keys: Any) -> dict[str, Any]:
    return {"type": "float64", "published_type": "float64", "address": "holding:0", **keys}


def device(path: str, *, gateway: str = "gw-1", tags: dict[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
    return {
        "path": path,
        "protocol": "modbus",
        "link": "tcp:10.0.0.9:502",
        "gateway": gateway,
        "connection": {"host": "10.0.0.9", "port": 502},
        "tags": tags or {"speed": tag(), "level": tag(address="holding:2")},
        **keys,
    }


def site(*devices: dict[str, Any], **others: Any) -> Snapshot:
    resources: dict[str, Any] = {
        "site": {"enterprise": "acme", "site": "chicago"},
        "gateway.gw-1": {},
        "retention.default": {"keep_ms": 86_400_000, "rollups": []},
        **{f"device.{each['path']}": each for each in devices},
        **{name.replace("__", "."): value for name, value in others.items()},
    }
    return Snapshot.of("acme", "chicago", resources)


def part(
    before: Snapshot, after: Snapshot, *target: str, exclude: tuple[str, ...] = (), moved: Any = ()
) -> tuple[Plan, Part, Snapshot]:
    base = Base(deployment=1, digest=before.digest, digests=before.digests, resources=before.resources)
    targets = Targets(target=target, exclude=exclude)
    desired, found = narrowed(base, after, moved=moved, targets=targets)
    return make_plan(base, desired, moved=moved).unwrap(), found, desired


BEFORE = site(device(FILLER), device(CAPPER), device(TANK))
AFTER = site(
    *(device(path, labels={"team": "red"}) for path in (FILLER, CAPPER, TANK)), role__operator={"read": ["**"]}
)


@pytest.mark.parametrize(
    ("target", "exclude", "taken", "left_out"),
    [
        (["packaging"], [], [CAPPER, FILLER], 2),
        (["packaging/line-1"], [], [CAPPER, FILLER], 2),
        (["packaging/*/filler"], [], [FILLER], 3),
        (["device.packaging/line-1/filler"], [], [FILLER], 3),
        (["**/tank", "role.*"], [], [TANK, "operator"], 2),
        ([], ["packaging", "role.operator"], [TANK], 3),
        (["packaging"], [CAPPER], [FILLER], 3),
    ],
)
def test_globs_take_areas_lines_devices_and_addresses(
    target: list[str], exclude: list[str], taken: list[str], left_out: int
) -> None:
    plan, found, desired = part(BEFORE, AFTER, *target, exclude=tuple(exclude))
    assert sorted(change.name for change in plan.changes) == sorted(taken)
    assert found.left_out == left_out
    assert plan.desired_digest == desired.digest != AFTER.digest
    rest = diff(desired, AFTER)
    assert len(rest) == left_out
    assert {change.address for change in rest}.isdisjoint(change.address for change in plan.changes)


def test_a_part_and_then_the_rest_make_the_whole() -> None:
    _, _, desired = part(BEFORE, AFTER, "packaging")
    _, _, whole = part(desired, AFTER, "mixing", "role.operator")
    assert whole.digest == AFTER.digest


def test_one_tag_of_a_device_leaves_its_other_tags_and_its_own_keys() -> None:
    after = site(
        device(FILLER, tags={"speed": tag(deadband=1), "level": tag(deadband=1)}, labels={"team": "red"}),
        device(CAPPER),
        device(TANK),
    )
    plan, found, desired = part(BEFORE, after, f"{FILLER}/speed")
    recorded = desired.resources[f"device.{FILLER}"]
    assert recorded["tags"] == {"speed": tag(deadband=1), "level": tag(address="holding:2")}
    assert "labels" not in recorded
    assert [each.path for change in plan.changes for each in change.tags] == [f"{FILLER}/speed"]
    assert found.left_out == 1


def test_all_but_one_tag_has_the_devices_own_keys() -> None:
    after = site(
        device(FILLER, tags={"speed": tag(deadband=1), "level": tag(deadband=1)}, labels={"team": "red"}),
        device(CAPPER),
        device(TANK),
    )
    _, _, desired = part(BEFORE, after, FILLER, exclude=(f"{FILLER}/level",))
    recorded = desired.resources[f"device.{FILLER}"]
    assert recorded["labels"] == {"team": "red"}
    assert recorded["tags"]["level"] == tag(address="holding:2")


def test_what_is_needed_is_taken_along_and_named() -> None:
    new = device("packaging/line-1/scale", gateway="gw-2", tags={"mass": tag(retention="long")})
    calculated = tag(
        expr="{packaging/line-1/scale/mass} * 2", inputs={"packaging/line-1/scale/mass": "packaging/line-1/scale/mass"}
    )
    reader = device(FILLER, tags={"speed": tag(), "level": tag(address="holding:2"), "double": calculated})
    after = site(
        reader, device(CAPPER), device(TANK), new, gateway__gw2={}, retention__long={"keep_ms": 1, "rollups": []}
    )
    resources = {("gateway.gw-2" if key == "gateway.gw2" else key): value for key, value in after.resources.items()}
    after = Snapshot.of("acme", "chicago", resources)
    plan, found, _ = part(BEFORE, after, FILLER)
    assert {change.address for change in plan.changes} == {
        f"device.{FILLER}",
        "device.packaging/line-1/scale",
        "gateway.gw-2",
        "retention.long",
    }
    assert [each.address for each in found.added] == ["device.packaging/line-1/scale", "gateway.gw-2", "retention.long"]
    assert f"{FILLER}/double is computed from packaging/line-1/scale/mass" in found.added[0].because
    with pytest.raises(NexusError) as refused:
        part(BEFORE, after, FILLER, exclude=("gateway.gw-2",))
    assert refused.value.code == "NX5031"
    assert "gateway.gw-2 is excluded" in refused.value.message


def test_the_other_side_of_a_moved_tag_comes_along() -> None:
    after = site(
        device(FILLER, tags={"level": tag(address="holding:2")}),
        device(CAPPER, tags={"speed": tag(), "level": tag(address="holding:2"), "pace": tag()}),
        device(TANK),
    )
    moved = [(f"{FILLER}/speed", f"{CAPPER}/pace")]
    plan, found, _ = part(BEFORE, after, CAPPER, moved=moved)
    assert {change.name for change in plan.changes} == {CAPPER, FILLER}
    assert [each.address for each in found.added] == [f"device.{FILLER}"]


def test_roles_of_a_user_and_alarms_of_a_tag_come_along() -> None:
    alarm = {"on_bad": "hold", "severity": "warning", "tag": f"{FILLER}/mass", "above": 5}
    after = site(
        device(FILLER, tags={"speed": tag(), "level": tag(address="holding:2"), "mass": tag()}),
        device(CAPPER),
        device(TANK),
        role__operator={"read": ["**"]},
        user__anna={"roles": ["operator"]},
        alert__heavy=alarm,
    )
    plan, _, _ = part(BEFORE, after, "user.anna")
    assert {change.address for change in plan.changes} == {"user.anna", "role.operator"}
    plan, _, _ = part(BEFORE, after, FILLER)
    assert {change.address for change in plan.changes} == {f"device.{FILLER}", "alert.heavy"}
    plan, _, _ = part(BEFORE, after, "alert.heavy")
    assert {change.address for change in plan.changes} == {f"device.{FILLER}", "alert.heavy"}


@pytest.mark.parametrize(
    ("glob", "hint"),
    [("packaging/line-1/filer", FILLER), ("role.operater", "role.operator"), ("packging", "packaging")],
)
def test_a_glob_that_matches_nothing_is_refused_with_what_was_meant(glob: str, hint: str) -> None:
    for target, exclude in (((glob,), ()), ((), (glob,))):
        with pytest.raises(NexusError) as refused:
            part(BEFORE, AFTER, *target, exclude=exclude)
        assert refused.value.code == "NX5030"
        assert refused.value.hint == f"did you mean '{hint}'?"


def test_a_plan_of_a_part_knows_the_digest_of_its_files() -> None:
    plan, found, _ = part(BEFORE, AFTER, "packaging")
    document = plan_document(plan, part=found)
    assert files_digest(document) == AFTER.digest
    assert document["desired"]["digest"] == plan.desired_digest
    assert list(document)[list(document).index("moved") + 1] == "targets"
