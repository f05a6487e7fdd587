"""Plans: changes in order, renames, impacts, hazards and their consents, findings."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.model.secrets import is_reference
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.change import Action
from nexus_cli.plan.document import plan_document
from nexus_cli.plan.hazards import blocked, covers, unknown_names
from nexus_cli.plan.masking import masked, sensitive
from nexus_cli.plan.moved import tag_moves
from nexus_cli.plan.plan import Base, Plan, make_plan
from nexus_cli.plan.requests import request_count
from nexus_cli.plan.stages import cleared_paths, stages_of


def tag(**keys: Any) -> dict[str, Any]:
    return {"type": "float32", "published_type": "float32", "address": "holding:0", **keys}


def device(path: str, **keys: Any) -> dict[str, Any]:
    return {
        "path": path,
        "protocol": "modbus",
        "link": "tcp:10.0.0.9:502",
        "gateway": "gw",
        "connection": {"host": "10.0.0.9", "port": 502},
        "tags": {"energy": tag()},
        **keys,
    }


def snapshot(*devices: dict[str, Any], **others: dict[str, Any]) -> Snapshot:
    resources = {f"device.{each['path']}": each for each in devices}
    return Snapshot.of(
        "acme", "chicago", {**resources, **{name.replace("__", "."): value for name, value in others.items()}}
    )


def plan(before: Snapshot, after: Snapshot, **keys: Any) -> Plan:
    return outcome(before, after, **keys).unwrap()


def outcome(before: Snapshot, after: Snapshot, *, broker: str = "", **keys: Any):
    base = Base(
        deployment=1 if before.resources else 0,
        digest=before.digest,
        digests=before.digests,
        resources=before.resources,
        broker=broker,
    )
    return make_plan(base, after, **keys)


def texts(found: Plan) -> list[str]:
    return [f"{impact.plane}: {impact.text}" for impact in found.impacts]


def test_equal_states_make_an_empty_plan() -> None:
    found = plan(snapshot(device("a/l/one")), snapshot(device("a/l/one")))
    assert found.empty and not found.applyable and found.impacts == found.hazards == ()


def test_order_moves_first_deletes_last_and_reverse_among_deletes() -> None:
    before = snapshot(
        device("a/l/gone"), device("a/l/old"), device("a/l/same"), retention__x={"keep_ms": 1}, role__r={"read": []}
    )
    same = device("a/l/same", description="new")
    after = snapshot(device("a/l/fresh"), device("a/l/new"), same, retention__y={"keep_ms": 1})
    found = plan(before, after, moved=[("a/l/old", "a/l/new")])
    assert [(change.action.value, change.address) for change in found.changes] == [
        ("move", "device.a/l/new"),
        ("create", "retention.y"),
        ("create", "device.a/l/fresh"),
        ("update", "device.a/l/same"),
        ("forget", "role.r"),
        ("forget", "device.a/l/gone"),
        ("forget", "retention.x"),
    ]
    assert found.changes[0].previous_address == "device.a/l/old"
    assert found.desired["device.a/l/old"] is None and found.desired["device.a/l/new"]["path"] == "a/l/new"


def test_a_tag_that_moves_between_devices_is_neither_new_nor_forgotten() -> None:
    before = snapshot(device("a/l/one", tags={"temp": tag(), "energy": tag()}), device("a/l/two"))
    after = snapshot(device("a/l/one"), device("a/l/two", tags={"energy": tag(), "temperature": tag(unit="degC")}))
    found = plan(before, after, moved=[("a/l/one/temp", "a/l/two/temperature")])
    tags = [tag_change for change in found.changes for tag_change in change.tags]
    assert [(each.action, each.previous_path, each.path) for each in tags] == [
        (Action.MOVE, "a/l/one/temp", "a/l/two/temperature")
    ]
    assert [hazard.name for hazard in found.hazards] == ["series-break"]


def test_renames_chain_and_do_nothing_twice() -> None:
    moved = [("a/l/x", "a/l/y"), ("a/l/y", "a/l/z")]
    assert tag_moves(moved, base={"a/l/x/t"}, desired={"a/l/z/t"}) == {"a/l/x/t": "a/l/z/t"}
    assert tag_moves(moved, base={"a/l/z/t"}, desired={"a/l/z/t"}) == {}
    assert tag_moves(moved, base={"a/l/xx/t"}, desired={"a/l/zx/t"}) == {}


def test_a_misspelt_rename_is_found() -> None:
    before = snapshot(device("a/l/one"))
    found = outcome(before, snapshot(device("a/l/one"), device("a/l/two")), moved=[("a/l/on", "a/l/two")])
    assert [(each.code, each.where) for each in found.findings] == [("NX4005", ("moved", 0, "from"))]
    assert not found.unwrap().errored


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"connection": {"host": "10.0.0.9", "port": 502, "connect_timeout": 500}},
            "devices: session on tcp:10.0.0.9:502 is set up again with the new connection; "
            "gap of about one connect (at most 1 poll at 1s)",
        ),
        (
            {"link": "tcp:other:502"},
            "devices: session restarts: tcp:10.0.0.9:502 closes, tcp:other:502 opens; "
            "gap of about one connect (at most 3 polls at 1s)",
        ),
        ({"gateway": "gw2"}, "devices: moves from gateway gw to gw2; gap of about one connect (at most 3 polls at 1s)"),
        ({"enabled": False}, "devices: goes out of service: BAD out_of_service"),
        ({"tags": {"energy": tag(deadband=1.0)}}, "devices: its session stays; only the tags below restart"),
        (
            {"tags": {"energy": tag(), "power": tag()}},
            "series: 1 begins, or is resumed where the path was known before",
        ),
        ({"tags": {}}, "series: 1 forgotten; its samples are kept"),
        ({"tags": {}}, "topics: 1 retained message cleared"),
        (
            {"tags": {"energy": tag(publish_unit="kWh")}},
            "series: energy starts a new segment: float32 -> float32 kWh; samples stored so far stay as they are",
        ),
        ({"tags": {"energy": tag(live_retain=False)}}, "topics: 1 retained message cleared"),
        ({"tags": {"energy": tag(live_publish=False)}}, "topics: 1 retained message cleared"),
        ({"tags": {"energy": tag(live_publish=False)}}, "topics: 1 tag no longer published in the live view"),
        ({"tags": {"energy": tag(retention="long")}}, "series: energy is kept in class long from now on"),
    ],
)
def test_impacts_of_a_changed_device(change: dict[str, Any], expected: str) -> None:
    assert expected in texts(plan(snapshot(device("a/l/one")), snapshot(device("a/l/one", **change))))


def test_a_tag_that_is_published_again_clears_nothing() -> None:
    quiet = snapshot(device("a/l/one", tags={"energy": tag(live_publish=False)}))
    loud = snapshot(device("a/l/one", tags={"energy": tag()}))
    assert [text for text in texts(plan(quiet, loud)) if text.startswith("topics")] == [
        "topics: 1 tag published in the live view from now on"
    ]
    assert cleared_paths(plan(loud, quiet).changes) == ("a/l/one/energy",)
    assert cleared_paths(plan(quiet, loud).changes) == ()


def test_impacts_of_rights_and_retention() -> None:
    before = snapshot(role__op={"read": ["a/**"], "write": ["x"]}, retention__p={"keep_ms": 86_400_000 * 400})
    after = snapshot(role__op={"read": ["**"], "write": []}, retention__p={"keep_ms": 86_400_000 * 30})
    found = plan(before, after)
    assert texts(found) == [
        "database: samples kept 400d -> 30d",
        "rights: role op gains read **",
        "rights: role op loses read a/**",
        "rights: role op loses write x",
    ]
    assert [(hazard.name, hazard.scope) for hazard in found.hazards] == [("data-loss", "p")], "nobody has the role"


@pytest.mark.parametrize(("before", "after"), [({}, {"frames": "json"}), ({"frames": "json"}, {})])
def test_a_gateway_that_sends_its_record_otherwise_is_told_so(before: dict[str, Any], after: dict[str, Any]) -> None:
    found = plan(snapshot(device("a/l/one"), gateway__gw=before), snapshot(device("a/l/one"), gateway__gw=after))
    (text,) = texts(found)
    assert text.startswith(f"topics: the record is sent as {after.get('frames', 'columns')}: ")
    steps = [(stage.step, stage.subject, stage.paths) for stage in stages_of(found.changes)]
    assert ("notify", "gw", ()) in steps
    assert ("observe", "gw", ()) in steps
    assert any(stage.text == "wait until gateway gw runs as planned" for stage in stages_of(found.changes))
    other = plan(snapshot(gateway__gw=before), snapshot(gateway__gw={**before, "description": "new"}))
    assert not texts(other)
    assert not [one for one in stages_of(other.changes) if one.step == "notify"]


def sequence(*writes: str, publish: str = "") -> dict[str, Any]:
    steps = [{"do": "write", "subject": path, "value": 1} for path in writes]
    return {"steps": [*steps, *([{"do": "publish", "subject": publish}] if publish else [])]}


def test_impacts_of_sequences() -> None:
    before = snapshot(sequence__a=sequence("x/l/d/one"), sequence__b=sequence("x/l/d/two"))
    changed = sequence("x/l/d/one", "x/l/d/three", publish="hello")
    found = plan(before, snapshot(sequence__b=changed, sequence__c=sequence("x/l/d/two")))
    assert texts(found) == [
        "rights: sequence c writes x/l/d/two",
        "rights: sequence b writes x/l/d/one, x/l/d/three",
        "rights: written by no sequence before: x/l/d/three",
        "rights: sequence b no longer writes x/l/d/two",
        "topics: sequence b publishes hello",
        "devices: a run on its way ends as it began; the next one takes the new steps",
        "rights: sequence a no longer writes x/l/d/one",
        "devices: a run in progress continues to its end; no new one starts",
    ]
    assert found.hazards == (), "who may run it may write every writable tag already"


def test_impacts_of_messages_and_who_may_publish_them() -> None:
    before: dict[str, Any] = {
        "role__erp": {"read": [], "write": [], "publish": ["order-*"]},
        "message__order-1": {"topic": "erp/{n}", "retain": True},
        "message__x": {"topic": "x"},
    }
    after: dict[str, Any] = {
        "role__erp": {"read": [], "write": [], "publish": ["order-*", "y"]},
        "message__order-1": {"topic": "new/{n}"},
        "message__y": {"topic": "y/y"},
    }
    found = plan(snapshot(**before), snapshot(**after))
    assert texts(found) == [
        "topics: publishes on y/y",
        "rights: nexus.cli, sequences, role erp may publish on y/y",
        "rights: role erp gains publish y",
        "topics: publishes on new/{n} instead of erp/{n}; what the broker has retained there stays",
        "rights: nexus.cli, sequences, role erp may publish on new/{n}",
        "topics: nothing is published on x any more",
        "rights: nexus.cli, sequences may no longer publish on x",
    ]
    assert found.hazards == (), "nobody has the role"
    found = plan(snapshot(**before, user__erp={"roles": ["erp"]}), snapshot(**after, user__erp={"roles": ["erp"]}))
    assert "rights: nexus.cli, sequences may publish on y/y" in texts(found)
    assert not any("role erp" in text for text in texts(found)), "the rights of its users say the same"
    assert [(gain.principal, gain.action, gain.gained, gain.lost) for gain in found.rights] == [
        ("erp", "publish", ("y",), ()),
        ("erp", "publish", ("new/+",), ("erp/+",)),
    ]
    assert [(hazard.name, hazard.scope) for hazard in found.hazards] == [("acl-widen", "erp")]


def test_load_is_told_from_the_drivers_own_grouping() -> None:
    far = device("a/l/one", tags={"energy": tag(), "far": tag(address="holding:5000")})
    assert (request_count(device("a/l/one")), request_count(far)) == (1, 2)
    found = plan(snapshot(device("a/l/one")), snapshot(far), cost=request_count)
    assert "load: 1 -> 2 requests for a full read on tcp:10.0.0.9:502" in texts(found)
    assert request_count({"path": "a/l/x", "protocol": "external"}) is None


def test_hazards_and_consents() -> None:
    before = snapshot(device("a/l/one", tags={"energy": tag(), "old": tag()}), device("b/l/two"))
    after = snapshot(device("a/l/one", tags={"energy": tag(writable=True, type="int16", published_type="int16")}))
    hazards = plan(before, after).hazards
    assert sorted((hazard.name, hazard.scope) for hazard in hazards) == [
        ("data-loss", "a/l/one/old"),
        ("data-loss", "b/l/two/energy"),
        ("series-break", "a/l/one/energy"),
        ("write-enable", "a/l/one/energy"),
    ]
    allowed = ["data-loss=a/**", "write-enable", "series-break=a/*/one/en*"]
    assert [hazard.scope for hazard in blocked(hazards, allowed)] == ["b/l/two/energy"]
    assert blocked(hazards, [*allowed, "data-loss=**"]) == ()
    assert unknown_names(["data-loss=x", "dataloss"]) == ["dataloss"]


def test_removing_everything_needs_its_own_consent() -> None:
    found = plan(snapshot(device("a/l/one")), snapshot())
    assert [hazard.name for hazard in found.hazards] == ["empty-target", "data-loss"]
    assert [hazard.name for hazard in blocked(found.hazards, ["data-loss"])] == ["empty-target"]
    assert plan(snapshot(), snapshot(device("a/l/one"))).hazards == ()


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("**", "a/b/c", True),
        ("a/**", "a", True),
        ("a/*", "a/b/c", False),
        ("a/*/c", "a/b/c", True),
        ("a/m-*/c", "a/m-1/c", True),
        ("**/c", "a/b/c", True),
        ("a", "a/b", False),
        ("", "a", False),
    ],
)
def test_globs(glob: str, path: str, expected: bool) -> None:
    assert covers(glob, path) is expected


def test_secrets_are_references_or_masked() -> None:
    safe = device("a/l/one", connection={"password": "${env:P}", "user": "me"})
    assert masked(safe) == safe and sensitive(safe) == {}
    bare = device("a/l/one", connection={"auth": {"password": "hunter2"}, "token": "${env:A}${env:B}"})
    assert masked(bare)["connection"] == {"auth": {"password": "(sensitive)"}, "token": "(sensitive)"}
    assert sensitive(bare) == {"connection": {"auth": {"password": True}, "token": True}}
    assert bare["connection"]["auth"]["password"] == "hunter2"
    found = outcome(snapshot(), snapshot(bare))
    assert [each.code for each in found.findings] == ["NX4004", "NX4004"]
    assert "hunter2" not in str(plan_document(found.unwrap(), findings=found.findings))
    assert is_reference("${file:/run/secrets/x}") and not is_reference("x${env:A}")


def test_a_tuple_and_the_list_it_comes_back_as_are_the_same() -> None:
    before = snapshot(device("a/l/one", tags={"energy": tag(range=[0.0, 10.0])}))
    after = snapshot(device("a/l/one", description="x", tags={"energy": tag(range=(0.0, 10.0))}))
    found = plan(before, after)
    assert [change.keys for change in found.changes] == [("description",)] and found.changes[0].tags == ()


def test_a_tag_that_comes_back_under_another_name_is_offered_as_moved() -> None:
    before = device("packaging/line-1/meter", tags={"energy": tag(), "power": tag(address="holding:8")})
    after = device("packaging/line-1/meter", tags={"energy-total": tag(), "power": tag(address="holding:8")})
    found = plan(snapshot(before), snapshot(after))
    assert found.renames == (("packaging/line-1/meter/energy", "packaging/line-1/meter/energy-total"),)
    declared = plan(snapshot(before), snapshot(after), moved=found.renames)
    assert declared.renames == () and [change.tags[0].action for change in declared.changes] == [Action.MOVE]


def test_a_device_under_another_name_is_one_rename() -> None:
    tags = {"energy": tag(), "power": tag(address="holding:8"), "sum": {"type": "float64", "expr": "energy + power"}}
    old, new = device("packaging/line-1/meter", tags=tags), device("packaging/line-2/meter-2", tags=tags)
    assert plan(snapshot(old), snapshot(new)).renames == (("packaging/line-1/meter", "packaging/line-2/meter-2"),)


def test_what_is_not_the_same_place_is_no_rename() -> None:
    path = "packaging/line-1/meter"
    before = snapshot(device(path, tags={"a": tag(), "b": tag()}))
    assert plan(before, snapshot(device(path, tags={"c": tag(), "d": tag()}))).renames == ()
    before = snapshot(device(path, connection={"unit_id": 1}))
    other = device(path, connection={"unit_id": 2}, tags={"x": tag()})
    assert plan(before, snapshot(other)).renames == ()


METERS = [f"packaging/line-1/meter-{number}" for number in range(3)]


def moved_to(paths: list[str], old: str, new: str, **keys: Any) -> list[dict[str, Any]]:
    """Devices that differ in their address, under another path."""
    return [
        device(path.replace(old, new, 1), connection={"host": "10.0.0.9", "unit_id": at}, **keys)
        for at, path in enumerate(paths)
    ]


def test_a_line_and_an_area_under_another_name_are_one_rename_each() -> None:
    before = snapshot(*moved_to(METERS, "", ""))
    line = plan(before, snapshot(*moved_to(METERS, "line-1", "line-9")))
    assert line.renames == (("packaging/line-1", "packaging/line-9"),)
    two = [*METERS, *(path.replace("line-1", "line-2") for path in METERS)]
    area = plan(snapshot(*moved_to(two, "", "")), snapshot(*moved_to(two, "packaging", "boxing")))
    assert area.renames == (("packaging", "boxing"),)
    declared = plan(before, snapshot(*moved_to(METERS, "line-1", "line-9")), moved=line.renames)
    assert declared.renames == () and {change.action for change in declared.changes} == {Action.MOVE}


def test_a_line_that_keeps_a_device_is_no_renamed_line() -> None:
    before = snapshot(*moved_to(METERS, "", ""), device("packaging/line-1/rest", link="tcp:10.0.0.8:502"))
    after = snapshot(*moved_to(METERS, "line-1", "line-9"), device("packaging/line-1/rest", link="tcp:10.0.0.8:502"))
    assert plan(before, after).renames == tuple((path, path.replace("line-1", "line-9")) for path in METERS)


def test_a_device_at_another_host_is_the_same_one_when_all_else_is_and_no_other_is_like_it() -> None:
    old = device("packaging/line-1/meter")
    new = device("packaging/line-1/counter", link="tcp:10.0.0.7:502", connection={"host": "10.0.0.7", "port": 502})
    assert plan(snapshot(old), snapshot(new)).renames == (("packaging/line-1/meter", "packaging/line-1/counter"),)
    twin = {**new, "path": "packaging/line-1/twin", "link": "tcp:10.0.0.6:502"}
    assert plan(snapshot(old), snapshot(new, twin)).renames == ()
    other = {**new, "tags": {"energy": tag(address="holding:8")}}
    assert plan(snapshot(old), snapshot(other)).renames == ()


def test_an_ambiguous_rename_is_said_and_not_proposed() -> None:
    path = "packaging/line-1/meter"
    before = snapshot(device(path, tags={"a": tag(), "b": tag()}))
    found = outcome(before, snapshot(device(path, tags={"c": tag(), "d": tag()})))
    assert [each.code for each in found.findings] == ["NX4113"] and found.unwrap().renames == ()
    assert "holding:0" in found.findings[0].message and not found.unwrap().errored


@pytest.mark.parametrize("target_changes", [False, True])
def test_a_move_onto_a_recorded_tag_is_refused(target_changes: bool) -> None:
    before = snapshot(device("a/l/one"), device("a/l/two"))
    after = snapshot(device("a/l/two", **({"description": "new"} if target_changes else {})))
    found = outcome(before, after, moved=[("a/l/one", "a/l/two")])
    assert [(each.code, each.where) for each in found.findings] == [("NX4112", ("moved", 0, "to"))]
    assert found.unwrap().errored


def test_an_applied_rename_is_silent_also_when_its_target_grows() -> None:
    before = snapshot(device("a/new/one"))
    after = snapshot(device("a/new/one"), device("a/new/two", tags={"x": tag(address="holding:9")}))
    found = outcome(before, after, moved=[("a/old", "a/new")])
    assert found.findings == () and [change.action for change in found.unwrap().changes] == [Action.CREATE]


ALIAS = {"to": "a/l/two", "for_ms": 86_400_000, "gateways": ["gw"]}


def test_an_old_path_that_is_kept_is_not_cleared_and_its_gateway_is_notified() -> None:
    moved = [("a/l/one", "a/l/two")]
    begins = plan(snapshot(device("a/l/one")), snapshot(device("a/l/two"), **{"alias.a/l/one": ALIAS}), moved=moved)
    assert cleared_paths(begins.changes) == ()
    assert plan_document(begins)["aliases"] == [
        {"old": "a/l/one", "to": "a/l/two", "for_ms": 86_400_000, "action": "create"}
    ]
    ends = plan(snapshot(device("a/l/two"), **{"alias.a/l/one": ALIAS}), snapshot(device("a/l/two")), moved=moved)
    assert [stage.step for stage in stages_of(ends.changes)] == [
        "record", "rights", "notify", "observe", "revoke", "finalise",
    ]  # fmt: skip
    assert plan_document(ends)["aliases"][0]["action"] == "forget"
    assert texts(ends) == [
        "topics: a/l/two is no longer published under a/l/one; its retained messages there are cleared"
    ]


def test_the_plan_says_that_keep_always_begins_and_that_its_line_does_not_end_it() -> None:
    plain, kept = snapshot(device("a/l/one")), snapshot(device("a/l/one", tags={"energy": tag(keep_always=True)}))
    assert "series: energy is never dropped from now on" in texts(plan(plain, kept))
    assert "series: energy stays protected: only `nexus keep end a/l/one/energy` ends that" in texts(plan(kept, plain))


@pytest.mark.parametrize(
    ("globs", "said"),
    [
        (["a/l/one/**"], "if it should follow, write 'a/l/two/**'"),
        (["a/l/one/energy"], "if it should follow, write 'a/l/two/energy'"),
        (["a/*/one/*"], "write the new paths there, if it should follow"),
        (["**"], ""),
        (["a/l/**"], ""),
        (["a/l/other/**"], ""),
    ],
)
def test_a_role_that_named_the_old_path_is_said_with_its_edit(globs: list[str], said: str) -> None:
    roles = {"role.r": {"read": globs, "deny": {"write": [{"path": globs[0]}]}}}
    found = outcome(
        snapshot(device("a/l/one"), **roles), snapshot(device("a/l/two"), **roles), moved=[("a/l/one", "a/l/two")]
    ).findings
    places = [("access", "roles", "r", "read", 0), ("access", "roles", "r", "deny", "write", 0)]
    assert [(each.code, each.where, each.hint) for each in found] == (
        [("NX4117", place, said) for place in places] if said else []
    )
    applied = outcome(
        snapshot(device("a/l/two"), **roles), snapshot(device("a/l/two"), **roles), moved=[("a/l/one", "a/l/two")]
    )
    assert applied.findings == ()
