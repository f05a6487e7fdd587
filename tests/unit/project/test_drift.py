"""What `nexus drift` compares, and what it says of an `--ignore` that reaches nothing."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from nexus_cli.drift.declared import declared_drift
from nexus_cli.drift.kinds import found as kind_found
from nexus_cli.drift.kinds import ignored_of, naming_nothing
from nexus_cli.model.snapshot import Attributes
from nexus_cli.project.drift import _names_nothing, changes_of, names_in
from nexus_cli.project.drift_adopt import adoption
from nexus_cli.project.text import LoadedSite, load
from nexus_cli.wire.control import State
from nexus_cli.wire.control_drift import DriftFinding, DriftReport

SITE = """\
nexus: 1
enterprise: acme
site: plant
areas:
  hall:
    lines:
      line-1:
        devices:
          oven:
            protocol: modbus
            connection: {host: 10.0.0.9}
            tags:
              temperature: {address: "holding:0", type: int16, unit: degC, range: [0, 500], deadband: 0.5}
"""
OVEN = "device.hall/line-1/oven"


def loaded(folder: Path, text: str) -> LoadedSite:
    (folder / "site.yaml").write_text(text)
    found = load(str(folder)).value
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("word", "changed", "kind", "keys"),
    [
        ("deadband: 0.5", "deadband: 0.9", "sampling-changed", {"deadband": 0.9}),
        ("deadband: 0.5", "deadband: 0.5, poll: 5s", "sampling-changed", {"poll_ms": 5000}),
        ("range: [0, 500]", "range: [0, 900]", "type-changed", {"range": [0.0, 900.0]}),
        ("holding:0", "holding:7", "address-changed", {"address": "holding:7"}),
        ("deadband: 0.5", "deadband: 0.5, enabled: false", "address-changed", {"enabled": False}),
        ("deadband: 0.5", "deadband: 0.5, keep: always", "settings-changed", {"keep_always": True}),
        (
            "deadband: 0.5",
            "deadband: 0.5, classification: restricted",
            "rights-changed",
            {"classification": "restricted"},
        ),
        ("unit: degC", "unit: degC, description: Of the oven", "description-changed", {"description": "Of the oven"}),
    ],
)
def test_only_what_differs_is_named_though_the_record_has_lists_for_tuples(
    tmp_path: Path, word: str, changed: str, kind: str, keys: dict[str, object]
) -> None:
    before = loaded(tmp_path, SITE).snapshot
    recorded: dict[str, Attributes] = orjson.loads(orjson.dumps(dict(before.resources)))
    state = State(deployment=1, digest=before.digest, digests=dict(before.digests))
    (one,) = declared_drift(changes_of(loaded(tmp_path, SITE.replace(word, changed)), state, recorded))
    assert (one.path, one.kind, one.found) == ("hall/line-1/oven/temperature", kind, keys)


def test_an_ignore_that_reaches_nothing_is_said_with_what_to_write(tmp_path: Path) -> None:
    known = {*names_in(loaded(tmp_path, SITE).snapshot.resources), OVEN}
    assert {"hall/line-1/oven", "hall/line-1/oven/temperature"} <= known
    given = ["hall/line-1/oven/temprature", "hall/line-1", "hall/**", OVEN, "zz:type-changed"]
    useless = naming_nothing([ignored_of(each) for each in given], known)
    assert useless == ["hall/line-1/oven/temprature", "hall/line-1", "zz"]
    assert [_names_nothing(each, known).partition(": ")[2] for each in useless] == [
        "did you mean 'hall/line-1/oven/temperature'?",
        "write 'hall/line-1/**' for what is in it",
        "",
    ]


OVERLAY = "areas: {hall: {lines: {line-1: {devices: {oven: {tags: {temperature: {type: int32}}}}}}}}\n"
HOT = "hall/line-1/oven/temperature"


def report(*findings: DriftFinding) -> DriftReport:
    return DriftReport(site="acme/plant", time=1, findings=list(findings))


def retyped(path: str, recorded: str, now: str) -> DriftFinding:
    return kind_found("type-changed", path, "device", f"{path} has {now}", recorded=recorded, now=now, adoptable=True)


def test_what_an_overlay_decides_is_written_into_the_overlay(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE)
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "prod.yaml").write_text(OVERLAY)
    made = adoption(report(retyped(HOT, "int32", "float32")), str(tmp_path), env="prod").unwrap()
    assert [(one.path.name, one.after) for one in made.edits] == [("prod.yaml", OVERLAY.replace("int32", "float32"))]
    other = kind_found("read-only", HOT, "device", "read-only", recorded="writable", adoptable=True)
    base = adoption(report(other), str(tmp_path), env="prod").unwrap()
    assert [one.path.name for one in base.edits] == ["site.yaml"], "the overlay says nothing of it"


def test_one_value_that_the_site_can_not_have_leaves_the_others_adoptable(tmp_path: Path) -> None:
    level = '\n              level: {address: "holding:4", type: int16}\n'
    (tmp_path / "site.yaml").write_text(SITE.rstrip("\n") + level)
    other = "hall/line-1/oven/level"
    made = adoption(report(retyped(HOT, "int16", "bool"), retyped(other, "int16", "uint16")), str(tmp_path)).unwrap()
    assert list(made.adopted.taken) == [f"{other} has uint16"]
    (left,) = made.adopted.left
    assert (left.code, left.message) == ("NX4202", f"{HOT} has bool; not adopted")
    assert left.hint.startswith("the site would have an error: ")
    assert "type: int16, unit: degC" in made.edits[0].after
    assert 'level: {address: "holding:4", type: uint16}' in made.edits[0].after


def test_devices_of_one_template_that_disagree_get_entries_of_their_own(tmp_path: Path) -> None:
    template = "templates: {t: {protocol: modbus, tags: {n: {address: 'holding:0', type: int16}}}}\n"
    device = "{template: t, connection: {host: h, unit_id: %d}}"
    text = (
        "nexus: 1\nenterprise: acme\nsite: plant\n"
        f"{template}areas: {{a: {{lines: {{l: {{devices: {{one: {device % 1}, two: {device % 2}, three: {device % 3}}}}}}}}}}}\n"
    )
    (tmp_path / "site.yaml").write_text(text)
    found = report(retyped("a/l/one/n", "int16", "uint16"), retyped("a/l/two/n", "int16", "int32"))
    (edit,) = adoption(found, str(tmp_path)).unwrap().edits
    (tmp_path / "site.yaml").write_text(edit.after)
    after = load(str(tmp_path)).unwrap().snapshot.resources
    types = {name: after[f"device.a/l/{name}"]["tags"]["n"]["type"] for name in ("one", "two", "three")}
    assert types == {"one": "uint16", "two": "int32", "three": "int16"}
    assert template in edit.after, "the template is as it was"
