"""Laws of rights in a plan: gains and losses are the difference of the evaluator's answers, and control sees the same hazards."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.access.compile import compile_grants
from nexus_cli.access.evaluate import GrantRules
from nexus_cli.access.request import Request
from nexus_cli.apply.request import DeploymentRequest, read_request, refuse_hazards, weighs_rights
from nexus_cli.database.deployments import Recorded
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.diff import differing
from nexus_cli.plan.hazards import Hazard
from nexus_cli.plan.plan import Base, Plan, make_plan
from nexus_cli.wire.topic import Topics
from tests.examples import examples

TOPICS = Topics("acme", "chicago")
USERS = ("ann", "bob", "cy")
PLACES = ("a/l/one", "a/l/two", "b/l-1/one", "b/l-2/one")
GLOBS = ("**", "a/**", "a/l/one/*", "*/l-*/*/t", "*/*/*/s", "a/l/two/t", "b/**")
CLASSES = ("", "public", "confidential", "restricted")
KEYS = ("tags", "labels", "gateway")
PARTS = (
    "site labels",
    "group.g",
    *(f"user.{name}" for name in USERS),
    *(f"role.{role} {key}" for role in ("r1", "r2") for key in ("read", "write", "clearance", "deny")),
    *(f"device.{path} {key}" for path in PLACES for key in KEYS),
)
"""Resources, or one key of them, that an edit takes from another site."""
scopes: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(GLOBS),
    st.fixed_dictionaries(
        {"path": st.sampled_from(GLOBS)},
        optional={
            "gateway": st.sampled_from(["g1", "g*"]),
            "labels": st.just({"zone": "1"}),
            "classification": st.sampled_from(CLASSES[1:]),
            "protocol": st.sampled_from(["modbus", "external"]),
        },
    ),
)
lists = st.lists(scopes, max_size=2)
roles = st.fixed_dictionaries(
    {"read": lists, "write": lists},
    optional={
        "clearance": st.sampled_from(CLASSES[1:]),
        "deny": st.fixed_dictionaries({}, optional={"read": lists, "write": lists}),
    },
)
tags = st.fixed_dictionaries(
    {"type": st.just("int16")},
    optional={"writable": st.booleans(), "classification": st.sampled_from(CLASSES[1:])},
)


@st.composite
def sites(draw: st.DrawFn, *, whole: bool = True) -> Snapshot:
    """A site; `whole` has every device and tag, else some."""
    labels = draw(st.sampled_from([{}, {"a": {"zone": "1"}}, {"b/l-1": {"zone": "1"}}]))
    found: dict[str, Any] = {"site": {"enterprise": "acme", "site": "chicago", "labels": labels}}
    for path in PLACES:
        if not whole and draw(st.integers(0, 3)) == 0:
            continue
        external = draw(st.integers(0, 4)) == 0
        names = [name for name in ("s", "t") if whole or draw(st.integers(0, 3))]
        found[f"device.{path}"] = {
            "path": path,
            "protocol": "external" if external else "modbus",
            "link": "" if external else "tcp:x:502",
            "gateway": "" if external else draw(st.sampled_from(["g1", "g2"])),
            "connection": {},
            "tags": {name: draw(tags) for name in names},
            **draw(st.fixed_dictionaries({}, optional={"labels": st.sampled_from([{"zone": "1"}, {"zone": "2"}])})),
        }
    for name in ("r1", "r2"):
        found[f"role.{name}"] = draw(roles)
    found["group.g"] = {"roles": draw(st.lists(st.sampled_from(["r1", "r2"]), max_size=2, unique=True))}
    for name in USERS:
        if draw(st.integers(0, 4)):
            own = draw(st.lists(st.sampled_from(["r1", "r2"]), max_size=2, unique=True))
            found[f"user.{name}"] = {"roles": own, "groups": draw(st.sampled_from([[], ["g"]]))}
    return Snapshot.of("acme", "chicago", found)


def plan_of(before: Snapshot, after: Snapshot) -> Plan:
    wanted = differing(before.digests, after.digests)
    base = Base(
        deployment=1,
        digest=before.digest,
        digests=before.digests,
        resources={each: before.resources[each] for each in wanted if each in before.resources},
    )
    return make_plan(base, after).unwrap()


def allowed(snapshot: Snapshot) -> set[tuple[str, str, str]]:
    """Who may read and write which tag, by the evaluator's answers about each topic."""
    rules = GrantRules(compile_grants(snapshot))
    found = set()
    for path in PLACES:
        device = snapshot.resources[f"device.{path}"]
        for name, tag in device["tags"].items():
            here = f"{path}/{name}"
            for user in USERS:
                if rules.decide(Request(user=user, wish="receive", topic=TOPICS.tag(here))).allowed:
                    found.add((user, "read", here))
                command = rules.decide(Request(user=user, wish="publish", topic=TOPICS.command(here, user))).allowed
                direct = rules.decide(Request(user=user, wish="publish", topic=TOPICS.tag(here))).allowed
                if direct or (command and tag.get("writable")):
                    found.add((user, "write", here))
    return found


@given(sites(), sites())
@settings(max_examples=examples(150), deadline=None)
def test_gains_are_the_difference_of_the_answers(before: Snapshot, after: Snapshot) -> None:
    had, has = allowed(before), allowed(after)
    told = [gain for gain in plan_of(before, after).rights if gain.kind == "tag" and gain.action in ("read", "write")]
    assert {(gain.principal, gain.action, path) for gain in told for path in gain.gained} == has - had
    assert {(gain.principal, gain.action, path) for gain in told for path in gain.lost} == had - has


@given(sites(), sites(), st.sets(st.sampled_from(PARTS), min_size=1, max_size=2))
@settings(max_examples=examples(250), deadline=None)
def test_gains_of_few_edits(before: Snapshot, other: Snapshot, parts: set[str]) -> None:
    """Most plans change little: what is left out as without effect on rights must be without effect."""
    changed = dict(before.resources)
    for part in parts:
        address, _, key = part.partition(" ")
        if key and address in changed and key in other.resources[address]:
            changed[address] = {**changed[address], key: other.resources[address][key]}
        elif not key:
            changed.pop(address, None)
            changed.update({address: other.resources[address]} if address in other.resources else {})
    after = Snapshot.of("acme", "chicago", changed)
    had, has = allowed(before), allowed(after)
    told = [gain for gain in plan_of(before, after).rights if gain.kind == "tag" and gain.action in ("read", "write")]
    assert {(gain.principal, gain.action, path) for gain in told for path in gain.gained} == has - had
    assert {(gain.principal, gain.action, path) for gain in told for path in gain.lost} == had - has


@given(sites())
@settings(max_examples=examples(50), deadline=None)
def test_a_site_compared_with_itself_gives_nothing(site: Snapshot) -> None:
    changed = {**site.resources, "role.r3": {"read": ["**"]}, "site": {**site.resources["site"], "time_zone": "UTC"}}
    found = plan_of(site, Snapshot.of("acme", "chicago", changed))
    assert found.rights == () and found.hazards == ()


@given(sites(whole=False), sites(whole=False))
@settings(max_examples=examples(150), deadline=None)
def test_control_finds_the_hazards_that_the_plan_names(before: Snapshot, after: Snapshot) -> None:
    plan = plan_of(before, after)
    recorded = Recorded(enterprise="acme", site="chicago", number=1, digests=before.digests)
    old = {address: before.resources[address] for address in plan.desired if address in before.resources}
    kept = {address: value for address, value in before.resources.items() if address not in plan.desired}

    def refused(allow: list[str]) -> str:
        request = DeploymentRequest(
            base_digest=plan.base_digest, desired_digest=plan.desired_digest, changed=plan.desired, allow=allow
        )
        checked = read_request(request, recorded, old)
        state = kept if weighs_rights(checked, recorded) else {}
        try:
            refuse_hazards(request, recorded, old, checked, kept=state)
        except NexusError as error:
            return error.message
        return ""

    consents = [_consent(each) for each in plan.hazards]
    assert refused(consents) == ""
    for each in plan.hazards:
        left = [consent for consent in consents if consent != _consent(each)]
        assert refused(left).startswith(f"Blocked: {each.message}")


def _consent(hazard: Hazard) -> str:
    return f"{hazard.name}={hazard.scope}"


@given(sites(whole=False), sites(whole=False))
@settings(max_examples=examples(100), deadline=None)
def test_who_keeps_the_same_roles_gains_nothing_by_what_is_new(before: Snapshot, after: Snapshot) -> None:
    """Only devices come and go: nobody's rights are others than they were."""
    people = {each: value for each, value in before.resources.items() if not each.startswith("device.")}
    devices = {
        each: before.resources.get(each, value) for each, value in after.resources.items() if each.startswith("device.")
    }
    modbus = {each: value for each, value in devices.items() if value["protocol"] != "external"}
    assert plan_of(before, Snapshot.of("acme", "chicago", {**people, **modbus})).rights == ()
