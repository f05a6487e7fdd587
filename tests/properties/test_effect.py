"""Laws of the effect digest: what does not change what a plan does keeps it, anything else voids it; control has the same."""

from __future__ import annotations

import random
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.apply.request import DeploymentRequest, read_request, request_hazards
from nexus_cli.database.deployments import Recorded
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.effect import effect_digest
from nexus_cli.plan.plan import Base, Plan, make_plan
from nexus_cli.project.text import load
from tests.examples import examples

tags = st.fixed_dictionaries(
    {"type": st.sampled_from(["int16", "float32"]), "address": st.sampled_from(["holding:0", "holding:2"])},
    optional={"unit": st.sampled_from(["kWh", "W"]), "writable": st.booleans(), "poll_ms": st.integers(100, 5000)},
)
devices = st.dictionaries(
    st.sampled_from(["a/l/one", "a/l/two", "b/l/one"]),
    st.dictionaries(st.sampled_from(["s", "t", "u"]), tags, min_size=1),
    min_size=1,
)


def snapshot(found: dict[str, Any], **keys: Any) -> Snapshot:
    resources: dict[str, Any] = {"site": {"enterprise": "acme", "site": "chicago", **keys}}
    for path, of in found.items():
        resources[f"device.{path}"] = {
            "path": path,
            "protocol": "modbus",
            "link": "tcp:10.0.0.9:502",
            "gateway": "gw",
            "connection": {"host": "10.0.0.9"},
            "tags": of,
        }
    return Snapshot.of("acme", "chicago", resources)


def plan(before: Snapshot, after: Snapshot, *, deployment: int = 1) -> Plan:
    base = Base(deployment=deployment, digest=before.digest, digests=before.digests, resources=before.resources)
    return make_plan(base, after).unwrap()


@given(before=devices, after=devices, number=st.integers(1, 999), seed=st.integers())
@settings(max_examples=examples(60), deadline=None)
def test_neither_order_nor_the_number_of_the_deployment_counts(
    before: dict[str, Any], after: dict[str, Any], number: int, seed: int
) -> None:
    made = plan(snapshot(before), snapshot(after))
    turned = list(after.items())
    random.Random(seed).shuffle(turned)
    again = plan(
        snapshot(before), snapshot({path: dict(reversed(of.items())) for path, of in turned}), deployment=number
    )
    assert again.effect == made.effect
    changes, hazards = list(made.changes), list(made.hazards)
    random.Random(seed).shuffle(changes)
    random.Random(seed).shuffle(hazards)
    assert effect_digest("acme/chicago", changes, hazards) == made.effect
    assert effect_digest("acme/berlin", changes, hazards) != made.effect


@given(before=devices, after=devices, other=devices)
@settings(max_examples=examples(100), deadline=None)
def test_two_plans_have_one_effect_only_when_they_change_the_same(
    before: dict[str, Any], after: dict[str, Any], other: dict[str, Any]
) -> None:
    base = snapshot(before)
    one, two = plan(base, snapshot(after)), plan(base, snapshot(other))
    assert (one.effect == two.effect) == (snapshot(after).digest == snapshot(other).digest)


@given(before=devices, after=devices, path=st.sampled_from(["a/l/one", "a/l/two", "b/l/one"]))
@settings(max_examples=examples(60), deadline=None)
def test_another_base_of_what_changes_voids_it_and_of_anything_else_does_not(
    before: dict[str, Any], after: dict[str, Any], path: str
) -> None:
    made = plan(snapshot(before), snapshot(after))
    edited = {"x": {"type": "bool", "address": "coil:9"}}
    changed = {change.address for change in made.changes}
    other_base = plan(snapshot({**before, path: edited}), snapshot(after))
    if f"device.{path}" in changed:
        assert other_base.effect != made.effect
    elif path in before:  # the same edit on both sides: the plan leaves it alone
        both = plan(snapshot({**before, path: edited}), snapshot({**after, path: edited}))
        assert both.effect == made.effect


@given(before=devices, after=devices, limit=st.sampled_from([0.0, 0.3, {"tags": 0.5}, {"series": 0.2}, 1.0]))
@settings(max_examples=examples(60), deadline=None)
def test_control_computes_the_same_effect_from_what_it_gets(
    before: dict[str, Any], after: dict[str, Any], limit: object
) -> None:
    old = snapshot(before, mass_change=limit)
    made = plan(old, snapshot(after, mass_change=limit))
    request = DeploymentRequest(
        base_digest=made.base_digest, desired_digest=made.desired_digest, changed=made.desired, moved=made.moved
    )
    count = {"default": sum(len(of) for of in before.values())}
    recorded = Recorded(enterprise="acme", site="chicago", number=1, digests=dict(old.digests), tags=count)
    was = {address: value for address, value in old.resources.items() if address in made.desired}
    checked = read_request(request, recorded, was)
    hazards = request_hazards(request, recorded, was, checked, kept={"site": old.resources["site"]})
    assert effect_digest("acme/chicago", checked.changes, hazards) == made.effect
    mass = [[each for each in found if each.name == "mass-change"] for found in (hazards, made.hazards)]
    assert mass[0] == mass[1]


SITE: dict[str, Any] = {
    "nexus": 1,
    "enterprise": "acme",
    "site": "chicago",
    "policies": {"units": {"for": "tag", "require": "unit != ''"}},
    "areas": {
        "packaging": {
            "lines": {
                "line-1": {
                    "devices": {
                        "meter": {
                            "protocol": "modbus",
                            "connection": {"host": "10.0.0.9"},
                            "tags": {"energy": {"address": "holding:0", "type": "float32", "unit": "kWh"}},
                        }
                    }
                }
            }
        }
    },
}


@given(
    flow=st.booleans(),
    indent=st.integers(2, 8),
    width=st.integers(20, 200),
    comment=st.text("abc #:{}", max_size=20),
    sort=st.booleans(),
)
@settings(max_examples=examples(40), deadline=None)
def test_a_site_file_written_in_another_way_keeps_the_effect(
    tmp_path_factory: Any, flow: bool, indent: int, width: int, comment: str, sort: bool
) -> None:
    folder = tmp_path_factory.mktemp("effect")
    effects = set()
    for name, text in (
        ("one", yaml.safe_dump(SITE)),
        (
            "two",
            f"# {comment}\n"
            + yaml.safe_dump(SITE, default_flow_style=flow, indent=indent, width=width, sort_keys=sort)
            + f"\n# {comment}\n",
        ),
    ):
        path = folder / f"{name}.yaml"
        path.write_text(text)
        desired = load(path).value
        assert desired is not None
        effects.add(plan(Snapshot.of("acme", "chicago", {}), desired.snapshot, deployment=0).effect)
    assert len(effects) == 1
