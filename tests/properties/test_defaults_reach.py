"""The blast radius of defaults is what a reader finds who resolves each tag by hand: the nearest text wins."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.plan.plan import Base, Plan, make_plan
from nexus_cli.project.text import LoadedSite, load
from nexus_cli.source.inheritance import Inheritance
from tests.examples import examples

PLACES = ["", "a", "b", "a/l", "a/m", "b/l"]
DEVICES = ["a/l/one", "a/l/two", "a/m/one", "b/l/one"]
polls = st.dictionaries(
    st.sampled_from([*PLACES, *DEVICES, *(f"{device}/t" for device in DEVICES), "template"]), st.integers(1, 3)
)
"""Seconds of `poll:` by who says it; a device's tags are `s` and `t`."""
templated = st.sets(st.sampled_from(DEVICES))


def site(said: dict[str, int], made: set[str]) -> dict[str, Any]:
    def poll(place: str) -> dict[str, Any]:
        return {"poll": f"{said[place]}s"} if place in said else {}

    tags = {"s": {"address": "holding:0", "type": "uint16"}, "t": {"address": "holding:2", "type": "uint16"}}
    areas: dict[str, Any] = {}
    for path in DEVICES:
        area, line, name = path.split("/")
        there = areas.setdefault(area, {"defaults": poll(area), "lines": {}})
        below = there["lines"].setdefault(line, {"defaults": poll(f"{area}/{line}"), "devices": {}})
        own: dict[str, Any] = {"t": poll(f"{path}/t")} if f"{path}/t" in said else {}
        if path in made:
            below["devices"][name] = {"template": "motor", **poll(path), **({"tags": own} if own else {})}
        else:
            device = {"protocol": "modbus", "connection": {"host": f"10.0.0.{1 + DEVICES.index(path)}"}}
            written = {each: {**tags[each], **own.get(each, {})} for each in tags}
            below["devices"][name] = {**device, **poll(path), "tags": written}
    motor = {"protocol": "modbus", "connection": {"host": "10.0.0.9"}, **poll("template"), "tags": tags}
    found = {"nexus": 1, "enterprise": "acme", "site": "chicago", "defaults": poll(""), "areas": areas}
    return {**found, "templates": {"motor": motor}} if made else found


def truth(said: dict[str, int], path: str, tag: str, made: set[str]) -> tuple[int, str]:
    """Seconds, and who says them: the nearest of tag, device, template, line, area and site; `built-in` is 1 s."""
    area, line, _ = path.split("/")
    own = [f"{path}/t"] if tag == "t" else []
    for place in (*own, path, *(["template"] if path in made else []), f"{area}/{line}", area, ""):
        if place in said:
            return said[place], place
    return 1, "built-in"


def loaded(said: dict[str, int], made: set[str], folder: Path) -> LoadedSite:
    file = folder / "site.yaml"
    file.write_text(yaml.safe_dump(site(said, made), sort_keys=False), encoding="utf-8")
    found = load(file)
    assert found.value is not None, found.findings
    return found.value


def planned(before: LoadedSite, after: LoadedSite) -> Plan:
    old = before.snapshot
    base = Base(deployment=1, digest=old.digest, digests=old.digests, resources=old.resources)
    return make_plan(
        base, after.snapshot, template_of=after.tree.template_of, giver_of=Inheritance(after.tree).giver
    ).unwrap()


@given(said=polls, other=polls, made=templated)
@settings(max_examples=examples(60), deadline=None)
def test_each_place_has_the_tags_whose_value_it_hands_down_and_that_changed(
    said: dict[str, int], other: dict[str, int], made: set[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plan = planned(loaded(said, made, Path(folder)), loaded(other, made, Path(folder)))
    expected: dict[str, set[str]] = {}
    for path in DEVICES:
        for tag in ("s", "t"):
            (was, _), (now, who) = truth(said, path, tag, made), truth(other, path, tag, made)
            if was != now and who in (*PLACES, "built-in"):
                expected.setdefault(who, set()).add(f"{path}/{tag}")
    of_devices = {who: sorted({tag.rpartition("/")[0] for tag in tags}) for who, tags in expected.items()}
    if len(of_devices.get("built-in", [])) < 2:
        expected.pop("built-in", None)
    found = {"built-in" if each.level == "built-in" else each.path: each for each in plan.defaults}
    assert found.keys() == expected.keys()
    for who, each in found.items():
        assert each.keys == ("poll",) and each.reached.tags == len(expected[who])
        assert list(each.reached.devices) == of_devices[who]
        whole = [path for path in DEVICES if who in ("", "built-in") or path.startswith(f"{who}/")]
        assert each.reached.unchanged == len(whole) - len(of_devices[who])
        assert each.reached.restarts == 0
