"""A default for everything is no mistake where it can't apply; the same key on the tag itself is."""

from __future__ import annotations

from nexus_cli.checks import check
from nexus_cli.model.bind import bind
from nexus_cli.model.config import device_from_json
from nexus_cli.model.resolve import snapshot_of
from tests.unit.model.kinds import KINDS, device, site


def codes(root: object) -> list[str]:
    outcome = bind(root, KINDS)
    assert outcome.ok, outcome.findings
    return [item.code for item in check(outcome.unwrap())]


def test_a_deadband_for_the_whole_site_passes_over_texts() -> None:
    tags = {"name": {"type": "string[8]", "address": 1, "deadband": 0.5}}
    assert codes(site({"a": device(tags)})) == ["NX2104"]
    assert codes(site({"a": device(tags)}, defaults={"deadband": 0.5})) == []
    assert codes(site({"a": device(tags, deadband=0.5)})) == []


def test_a_mode_for_the_whole_site_applies_where_it_can() -> None:
    tags = {"x": {"type": "int16", "address": 1, "mode": "cyclic"}}
    assert codes(site({"a": device(tags)})) == ["NX3002"]
    root = site({"a": device(tags)}, defaults={"mode": "cyclic"})
    assert codes(root) == []
    snapshot = snapshot_of(bind(root, KINDS).unwrap())
    assert device_from_json(snapshot.resources["device.hall/one/a"]).tags["x"].mode == "poll"


def test_what_follows_from_an_error_is_not_told_again() -> None:
    tags = {"x": {"type": "nope", "address": 1}}
    calculated = {"y": {"expr": "x > 1", "type": "bool"}}
    root = site(
        {"a": device(tags, calculated=calculated)},
        alerts={"hot": {"tag": "hall/one/a/x", "above": 1}},
        access={"roles": {"r": {"read": ["hall/one/a/x"]}}, "users": {"u": {"role": "r"}}},
    )
    outcome = bind(root, KINDS)
    assert [item.code for item in outcome.findings] == ["NX1006"]
    assert [item.code for item in check(outcome.unwrap())] == []


def test_long_chains_of_calculated_tags_are_walked_without_recursion() -> None:
    calculated = {f"c{n}": {"expr": f"c{n - 1} + 1" if n else "x + 1", "type": "float64"} for n in range(3000)}
    assert codes(site({"a": device({"x": {"type": "float32", "address": 1}}, calculated=calculated)})) == []
    calculated["c0"] = {"expr": "c2999 + 1", "type": "float64"}
    found = codes(site({"a": device({"x": {"type": "float32", "address": 1}}, calculated=calculated)}))
    assert found == ["NX2405"]
