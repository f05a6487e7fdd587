"""Readers of what changes, and what a template's change reaches; as text and JSON."""

from __future__ import annotations

from typing import Any

from nexus_cli.plan.document import plan_document
from nexus_cli.plan.text import plan_text
from tests.unit.plan.test_plan import device, outcome, plan, snapshot, tag

READERS: dict[str, dict[str, Any]] = {
    "alert__hot": {"on_bad": "hold", "severity": "warning", "tag": "a/l/one/energy", "above": 5.0, "priority": "high"},
    "sequence__stop": {"steps": [{"do": "write", "subject": "a/l/one/energy", "value": 0}]},
    "view__line": {"priority": 1, "filters": ["a/l/**"]},
    "view__all": {"priority": 1, "filters": ["**"]},
}


def read(before: dict[str, Any], after: dict[str, Any], **keys: Any) -> list[tuple[str, str, str]]:
    total = {"type": "float64", "expr": "x * 2", "inputs": {"x": "a/l/one/energy"}}
    sums = device("a/l/sums", protocol="external", link="", gateway="", tags={"total": total})
    sides = (snapshot(device("a/l/one", tags=tags), sums, **READERS) for tags in (before, after))
    return [(each.kind, each.name, each.change) for each in plan(*sides, **keys).readers]


def test_each_reader_of_a_changed_tag_is_named_once() -> None:
    every = [("alarm", "hot"), ("calculated", "a/l/sums/total"), ("sequence", "stop")]
    assert read({"energy": tag(unit="kWh")}, {"energy": tag(unit="MWh")}) == [(*one, "unit") for one in every]
    assert read({"energy": tag()}, {"energy": tag(range=[0, 5])}) == [(*one, "range") for one in every]
    gone = [*every, ("view", "line")]
    assert read({"energy": tag()}, {}) == [(*one, "removed") for one in gone], "who watches the whole site is not named"
    assert read({"energy": tag()}, {"energy": tag(deadband=1.0)}) == []
    moved = read({"old": tag()}, {"energy": tag()}, moved=[("a/l/one/old", "a/l/one/energy")])
    assert moved == [(*one, "moved") for one in gone]


def test_a_rule_of_quality_reads_its_own_tag() -> None:
    rules = {"rate": "flag", "rate_above": 2.0}
    found = read({"power": tag(quality=rules)}, {"power": tag(quality=rules, unit="kW")})
    assert found == [("quality", "a/l/one/power", "unit")]


def test_a_template_lists_what_happens_to_its_devices() -> None:
    before = snapshot(*(device(f"a/l/d{n}") for n in range(9)))
    after = snapshot(
        *(device(f"a/l/d{n}", tags={"energy": tag(poll_ms=10)} if n < 8 else {"energy": tag()}) for n in range(9))
    )
    found = outcome(before, after, template_of={f"a/l/d{n}": "motor" for n in range(9)}).unwrap()
    document = plan_document(found)
    (entry,) = document["templates"]
    assert entry["devices"] == [f"a/l/d{n}" for n in range(8)] and entry["actions"] == {"update": 8}
    assert entry["text"] == "8 of 9 devices: 8 updated; 8 tags changed; no session restarts"
    text = plan_text(document, style=lambda text, _: text)
    assert "  motor: 8 of 9 devices: 8 updated; 8 tags changed; no session restarts\n      a/l/* (8)\n" in text
    assert "~ energy  poll: 1s (inherited) -> 10ms" in text
    assert document["load"][0]["share_after"] == 8.01 and "it can't keep its intervals" in text


def test_cleared_messages_are_named() -> None:
    found = plan_document(plan(snapshot(device("a/l/one")), snapshot(device("a/l/one", tags={}))))
    assert [each["names"] for each in found["impact"] if "names" in each] == [["a/l/one/energy"]]


def test_policies_of_a_class_are_said() -> None:
    sides = (
        snapshot(retention__x={"keep_ms": 1000, "rollups": ["1m"], "compress_after_ms": 3_600_000}),
        snapshot(retention__x={"keep_ms": 1000, "rollups": ["1d"]}),
    )
    assert [each.text for each in plan(*sides).impacts] == [
        "rollups of 1d are made, of the samples that are there, too",
        "rollups of 1m are dropped; they can be made again from the samples that are kept",
        "chunks are no longer compressed",
    ]
