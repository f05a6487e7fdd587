"""Rights in a plan: who gains and loses what, whatever the cause, and who is asked about."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.access import gains as module
from nexus_cli.access.gains import Gain
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan import rights as rights_module
from nexus_cli.plan.hazards import blocked
from nexus_cli.plan.plan import Plan
from tests.unit.plan.test_plan import device, plan, snapshot, tag

TAGS = {"level": tag(), "setpoint": tag(writable=True)}
ONE, TWO = device("a/l/one", tags=TAGS), device("b/l/two", tags=TAGS)
PEOPLE: dict[str, Any] = {
    "role__op": {"read": ["a/**"], "write": ["a/**"]},
    "role__spare": {"read": ["**"]},
    "group__shift": {"roles": ["op"]},
    "user__ann": {"roles": ["op"]},
    "user__bob": {"groups": ["shift"]},
    "user__guest": {"roles": []},
}


def site(*devices: dict[str, Any], **others: Any) -> Snapshot:
    people = {name: value for name, value in {**PEOPLE, **others}.items() if value is not None}
    return snapshot(*(devices or (ONE, TWO)), site={"enterprise": "acme", "site": "chicago"}, **people)


def changed(before: Snapshot, after: Snapshot, **keys: Any) -> list[str]:
    """Gains and losses, one line each."""
    return lines(plan(before, after, **keys).rights)


def lines(found: tuple[Gain, ...]) -> list[str]:
    return [
        f"{mark}{gain.principal} {gain.action} {', '.join(names)}"
        for gain in found
        for mark, names in (("+", gain.gained), ("-", gain.lost))
        if names
    ]


def asked(found: Plan) -> list[tuple[str, str]]:
    return [(hazard.scope, hazard.message) for hazard in found.hazards if hazard.name == "acl-widen"]


def both(*texts: str) -> list[str]:
    """The same of ann, who has the role, and of bob, who has it through a group."""
    return [text.replace("WHO", who) for who in ("ann", "bob") for text in texts]


def test_a_role_that_means_more_and_less() -> None:
    after = site(role__op={"read": ["**"], "write": []})
    assert changed(site(), after) == both("-WHO write a/l/one/setpoint", "+WHO read b/l/two/level, b/l/two/setpoint")
    found = plan(site(), after)
    message = "may now read 2 tags: b/l/two/level, b/l/two/setpoint"
    assert asked(found) == [("ann", f"ann {message}"), ("bob", f"bob {message}")]
    assert {hazard.address for hazard in found.hazards} == {"user.ann", "user.bob"}
    assert [hazard.scope for hazard in blocked(found.hazards, ["acl-widen=ann"])] == ["bob"]
    assert not [each for each in found.impacts if each.plane == "rights"], "the gains say the same"


def test_a_group_that_gives_more_reaches_its_members_alone() -> None:
    after = site(group__shift={"roles": ["op", "spare"]})
    assert changed(site(), after) == ["+bob read b/l/two/level, b/l/two/setpoint"]


def test_a_role_that_nobody_has_is_told_by_its_entries_and_asks_for_nothing() -> None:
    found = plan(site(), site(role__spare={"read": ["a/**"], "admin": True}))
    assert found.rights == () and found.hazards == ()
    assert [each.text for each in found.impacts] == [
        "role spare gains read a/**",
        "role spare gains admin the site",
        "role spare loses read **",
    ]


def test_clearance_and_class() -> None:
    secret = device("a/l/one", tags={**TAGS, "level": tag(classification="restricted")})
    assert changed(site(), site(secret, TWO)) == both("-WHO read a/l/one/level")
    cleared = site(secret, TWO, role__op={"read": ["a/**"], "write": ["a/**"], "clearance": "restricted"})
    assert changed(site(secret, TWO), cleared) == both("+WHO read a/l/one/level")
    assert [scope for scope, _ in asked(plan(site(secret, TWO), cleared))] == ["ann", "bob"]
    assert [scope for scope, _ in asked(plan(site(secret, TWO), site()))] == ["ann", "bob"], "the class was lowered"


def test_a_gateway_that_changes_below_a_role_about_gateways() -> None:
    role = {"read": [{"path": "**", "gateway": "gw"}]}
    moved = device("a/l/one", tags=TAGS, gateway="gw-2")
    before, after = site(role__op=role), site(moved, TWO, role__op=role)
    assert changed(before, after) == both("-WHO read a/l/one/level, a/l/one/setpoint")
    assert [scope for scope, _ in asked(plan(after, before))] == ["ann", "bob"]


def test_labels_of_a_device_and_of_a_line() -> None:
    role = {"read": [{"path": "**", "labels": {"zone": "1"}}]}
    before = site(role__op=role)
    of_device = site(device("a/l/one", tags=TAGS, labels={"zone": "1"}), TWO, role__op=role)
    assert changed(before, of_device) == both("+WHO read a/l/one/level, a/l/one/setpoint")
    of_line = Snapshot.of(
        "acme", "chicago", {**before.resources, "site": {"enterprise": "acme", "site": "chicago", "labels": {"b/l": {"zone": "1"}}}}
    )  # fmt: skip
    assert changed(before, of_line) == both("+WHO read b/l/two/level, b/l/two/setpoint")


def test_a_denial_that_comes_and_goes() -> None:
    denied = site(role__op={**PEOPLE["role__op"], "deny": {"write": ["a/l/one/setpoint"]}})
    assert changed(site(), denied) == both("-WHO write a/l/one/setpoint")
    assert asked(plan(site(), denied)) == []
    assert asked(plan(denied, site()))[0] == ("ann", "ann may now write 1 tag: a/l/one/setpoint")


def test_users_who_come_and_go() -> None:
    found = plan(site(user__ann=None), site())
    assert lines(found.rights) == ["+ann write a/l/one/setpoint", "+ann read a/l/one/level, a/l/one/setpoint"]
    assert [scope for scope, _ in asked(found)] == ["ann"]
    found = plan(site(), site(user__ann=None))
    assert lines(found.rights) == ["-ann write a/l/one/setpoint", "-ann read a/l/one/level, a/l/one/setpoint"]
    assert found.hazards == () and [each.principals for each in found.sessions] == [("ann",)] * 3


def test_a_new_tag_below_an_old_right_is_no_gain() -> None:
    scopes: list[Any] = ["**", {"path": "**", "gateway": "gw"}]
    for scope in scopes:
        role = {"read": [scope], "write": [scope], "deny": {"read": ["b/l/two/level"]}}
        more = device("a/l/one", tags={**TAGS, "extra": tag()})
        found = plan(site(role__op=role), site(more, TWO, device("a/l/new", tags=TAGS), role__op=role))
        assert found.rights == () and found.hazards == ()
        other = {**role, "description": "the same"}
        found = plan(site(role__op=role), site(more, TWO, device("a/l/new", tags=TAGS), role__op=other))
        assert found.rights == () and found.hazards == (), "and not beside a change of the role"
        back = plan(site(more, TWO, role__op=role), site(role__op=other))
        assert back.rights == (), "a tag that is gone is no loss"


def test_new_tags_count_for_a_right_that_is_new() -> None:
    found = plan(
        site(), site(ONE, TWO, device("a/l/new", tags=TAGS), role__op={"read": ["a/**"], "write": ["a/l/new/*"]})
    )
    assert lines(found.rights) == both("-WHO write a/l/one/setpoint"), "a/** covered it before"
    wider = site(ONE, TWO, device("c/l/new", tags=TAGS), role__op={"read": ["a/**", "c/**"], "write": ["a/**"]})
    assert changed(site(), wider) == both("+WHO read c/l/new/level, c/l/new/setpoint")


def test_a_tag_that_becomes_writable_is_asked_for_once() -> None:
    opened = {"level": tag(writable=True), "setpoint": tag(writable=True)}
    found = plan(site(), site(device("a/l/one", tags=opened), device("b/l/two", tags=opened)))
    assert lines(found.rights) == both("+WHO write a/l/one/level")
    assert sorted((hazard.name, hazard.scope) for hazard in found.hazards) == [
        ("write-enable", "a/l/one/level"),
        ("write-enable", "b/l/two/level"),
    ]
    wider = {"read": ["a/**"], "write": ["**"]}
    found = plan(site(), site(device("a/l/one", tags=opened), device("b/l/two", tags=opened), role__op=wider))
    assert asked(found)[0] == ("ann", "ann may now write 2 tags: b/l/two/level, b/l/two/setpoint")


def test_what_moves_below_a_role_is_shown_to_who_has_it() -> None:
    moved = device("a/l/two", tags=TAGS)
    found = plan(site(), site(ONE, moved), moved=[("b/l/two", "a/l/two")])
    assert lines(found.rights) == both("+WHO write a/l/two/setpoint", "+WHO read a/l/two/level, a/l/two/setpoint")
    assert [scope for scope, _ in asked(found)] == ["ann", "bob"]
    away = plan(site(ONE, moved), site(), moved=[("a/l/two", "b/l/two")])
    assert lines(away.rights) == both("-WHO write a/l/two/setpoint", "-WHO read a/l/two/level, a/l/two/setpoint")
    within = plan(site(), site(device("a/l/uno", tags=TAGS), TWO), moved=[("a/l/one", "a/l/uno")])
    assert within.rights == () and within.hazards == ()


def test_names_of_sequences_messages_and_alerts() -> None:
    things: dict[str, Any] = {
        "sequence__fill": {"steps": []},
        "message__order": {"topic": "erp/order"},
        "alert__hot": {"tag": "a/l/one/level", "above": 1.0},
    }
    more = {
        "read": ["a/**"],
        "write": ["a/**"],
        "run": ["*"],
        "publish": ["order"],
        "acknowledge": ["*"],
        "apply": ["a/**"],
    }
    found = plan(site(**things), site(**things, role__op=more))
    assert [line for line in lines(found.rights) if line.startswith("+ann")] == [
        "+ann apply a/l/one/level, a/l/one/setpoint",
        "+ann run fill",
        "+ann acknowledge hot",
        "+ann publish order",
        "+ann alerts hot",
    ]
    later = plan(site(role__op=more), site(**things, role__op=more))
    assert later.rights == (), "what is new below an old right"


PERIODS: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({"valid_until": "2026-12-31"}, {"valid_until": "2027-06-30"},
     ["+ann time role op until 2027-06-30 (before: until 2026-12-31)"]),
    ({"valid_until": "2026-12-31"}, {"valid_until": "9999-12-31"},
     ["+ann time role op until 9999-12-31 (before: until 2026-12-31)"]),
    ({}, {"valid_until": "2027-06-30"}, ["-ann time role op at any time (now: until 2027-06-30)"]),
    ({"valid_from": "2026-12-01"}, {"valid_from": "2026-11-01"},
     ["+ann time role op from 2026-11-01 (before: from 2026-12-01)"]),
    ({"hours": ["mon-fri 06:00-14:00"]}, {"hours": ["mon-fri 06:00-22:00"]},
     ["+ann time role op mon-fri 06:00-22:00 (before: mon-fri 06:00-14:00)"]),
    ({"hours": ["mon-fri 22:00-06:00"]}, {"hours": ["mon-fri 22:00-24:00", "tue-sat 00:00-06:00"]}, []),
    ({"hours": ["mon-fri"]}, {"hours": ["sat-sun"]},
     ["+ann time role op sat-sun (before: mon-fri)", "-ann time role op mon-fri (now: sat-sun)"]),
    ({"password": "${env:A}"}, {"password": "${env:B}"}, []),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "expected"), PERIODS)
def test_periods_and_hours(before: dict[str, Any], after: dict[str, Any], expected: list[str]) -> None:
    found = plan(site(user__ann={"roles": ["op"], **before}), site(user__ann={"roles": ["op"], **after}))
    assert lines(found.rights) == expected
    assert bool(asked(found)) is any(line.startswith("+") for line in expected)


def test_hours_of_a_group_and_a_role_beside_it() -> None:
    shift = {"roles": ["op"], "hours": ["mon-fri 06:00-14:00"]}
    assert changed(site(group__shift=shift), site()) == ["+bob time role op at any time (before: mon-fri 06:00-14:00)"]
    twin = {"role__twin": PEOPLE["role__op"]}
    wider = site(group__shift=shift, **twin, user__bob={"groups": ["shift"], "roles": ["twin"]})
    assert changed(site(group__shift=shift, **twin), wider) == ["+bob time role twin at any time"]
    zone = {"enterprise": "acme", "site": "chicago", "time_zone": "America/Chicago"}
    elsewhere = Snapshot.of("acme", "chicago", {**site(group__shift=shift).resources, "site": zone})
    assert [line[:4] for line in changed(site(group__shift=shift), elsewhere)] == ["+bob", "-bob"]


def login(groups: dict[str, str], issuer: str = "https://id.plant/one") -> dict[str, Any]:
    return {"oidc": {"issuer": issuer, "audience": "nexus", "groups": groups}}


def test_groups_of_the_login_provider_gain_and_lose() -> None:
    before, after = site(login__api=login({"operators": "spare"})), site(login__api=login({"operators": "op"}))
    assert changed(before, after) == [
        "+oidc:operators write a/l/one/setpoint",
        "-oidc:operators read b/l/two/level, b/l/two/setpoint",
    ]
    found = plan(before, after)
    assert [(hazard.scope, hazard.address) for hazard in found.hazards] == [("oidc:operators", "login.api")]
    assert found.sessions == (), "they have no sessions at the broker"
    other = plan(before, site(login__api=login({"operators": "spare"}, issuer="https://id.plant/two")))
    assert [scope for scope, _ in asked(other)] == ["oidc:operators"], "another provider's people"


def test_nothing_on_a_first_plan() -> None:
    found = plan(snapshot(), site())
    assert found.rights == found.sessions == found.hazards == ()
    assert "role op gains read a/**" in [each.text for each in found.impacts]


def test_own_principals_are_left_out() -> None:
    found = plan(
        site(), site(ONE, TWO, device("c/l/x", gateway="gw-9", tags=TAGS), role__op={"read": ["**"]}, user__ann={})
    )
    assert found.rights and not [gain for gain in found.rights if gain.principal.startswith("nexus.")]


QUIET: list[dict[str, Any]] = [
    {"device": device("a/l/one", tags={**TAGS, "level": tag(deadband=1.0)})},
    {"device": device("a/l/one", tags={**TAGS, "more": tag()})},
    {"device": device("a/l/one", tags=TAGS, connection={"host": "other"})},
    {"retention__long": {"keep_ms": 1}},
    {"sequence__fill": {"steps": []}},
]


@pytest.mark.parametrize("change", QUIET)
def test_what_can_change_no_right_costs_nothing(change: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> tuple[Gain, ...]:
        raise AssertionError("the rights of the whole site were compiled")

    monkeypatch.setattr(rights_module, "gains", never)
    others = {name: value for name, value in change.items() if name != "device"}
    assert plan(site(), site(change.get("device", ONE), TWO, **others)).rights == ()
    with pytest.raises(AssertionError):
        plan(site(), site(role__op={"read": []}))


def test_many_users_of_one_kind_are_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counted(before: Snapshot, after: Snapshot) -> tuple[Gain, ...]:
        seen.append(sum(1 for _ in after.of_kind("user")))
        return module.gains(before, after)

    monkeypatch.setattr(rights_module, "gains", counted)
    crowd = {f"user__u{number}": {"roles": ["op"]} for number in range(500)}
    found = plan(site(**crowd), site(**crowd, role__op={"read": ["**"], "write": ["a/**"]}))
    assert seen == [2], "those with the role, and bob, who has it through a group"
    assert len(found.rights) == 502 and len(found.hazards) == 502
