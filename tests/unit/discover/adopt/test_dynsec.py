"""Dynamic security as things that came in: each client, group, role, rule and default has its place or its reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nexus_cli.discover.adopt.access import AccessPlan, adopt_access
from nexus_cli.discover.adopt.dynsec import of_dynsec
from nexus_cli.discover.adopt.entries import counts
from nexus_cli.discover.adopt.rights import Topic
from nexus_cli.model.access import Access, Role, User

TOPICS = (
    Topic(filter="pack/l1/filler/t", external=False),
    Topic(filter="pack/l1/scale/weight", external=True),
)
READ = "acme/chicago/pack/#"


def role(name: str, *rules: tuple[str, str, bool]) -> dict[str, Any]:
    return {
        "rolename": name,
        "acls": [{"acltype": kind, "topic": topic, "allow": allow} for kind, topic, allow in rules],
    }


def client(name: str, *roles: str, **more: Any) -> dict[str, Any]:
    return {"username": name, "roles": [{"rolename": each} for each in roles], **more}


def group(name: str, roles: list[str], users: list[str]) -> dict[str, Any]:
    return {
        "groupname": name,
        "roles": [{"rolename": each} for each in roles],
        "clients": [{"username": each} for each in users],
    }


def adopted(access: Access | None = None, **file: Any) -> AccessPlan:
    given = {"defaultACLAccess": {"publishClientReceive": True}, "clients": [], "groups": [], "roles": [], **file}
    foreign = of_dynsec(json.dumps(given))
    plan = adopt_access(foreign, access or Access(), prefix=("acme", "chicago"), topics=TOPICS, reserved=("admin",))
    assert counts(plan.entries)["found"] == foreign.entries
    return plan


def state(plan: AccessPlan, what: str) -> tuple[str, str, str]:
    return next((one.state, one.becomes, one.reason) for one in plan.entries if one.what == what)


SEE = role("see", ("subscribePattern", READ, True))


def test_a_group_gives_its_roles_to_its_users_by_name() -> None:
    users = [f"user-{number}" for number in range(7)]
    plan = adopted(
        clients=[client(one) for one in [*users, "ü"]], roles=[SEE], groups=[group("g", ["see", "none"], [*users, "ü"])]
    )
    assert plan.users == {one: {"role": "see"} for one in users}
    assert state(plan, "group g") == (
        "adopted",
        "see of user-0, user-1, user-2, user-3, user-4 and 2 more",
        "without 1 of its 8 users and 1 of its 2 roles",
    )


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (group("g", [], ["ann"]), "it has no roles"),
        (group("g", ["see"], []), "it has no users"),
        (group("g", ["see"], ["ghost"]), "none of its users could be adopted"),
        (group("g", ["none"], ["ann"]), "none of its roles could be adopted"),
    ],
)
def test_a_group_without_effect_is_left_with_its_reason(made: dict[str, Any], reason: str) -> None:
    plan = adopted(clients=[client("ann", "see")], roles=[SEE], groups=[made])
    assert state(plan, "group g") == ("left", "", reason)


def test_the_anonymous_group_is_everybody() -> None:
    plan = adopted(groups=[group("g", ["see"], [])], roles=[SEE], anonymousGroup="g")
    assert "for everybody" in state(plan, "group g")[2]
    assert state(plan, "role see")[2] == "no user that could be adopted has it"


def test_disabled_and_bound_clients_are_no_users_and_their_roles_not_used() -> None:
    plan = adopted(clients=[client("off", "see", disabled=True), client("tied", "see", clientid="x")], roles=[SEE])
    assert not plan.users and not plan.roles
    assert "disabled" in state(plan, "client off")[2]
    assert "bound to the client id 'x'" in state(plan, "user tied")[2]


@pytest.mark.parametrize("name", ["nexus.web", "Nexus.web", "NEXUS", "a b", "", "ü", "a\nb"])
def test_a_name_that_no_user_of_a_site_can_have_is_left(name: str) -> None:
    plan = adopted(clients=[client(name, "see"), client("ann", "see")], roles=[SEE])
    assert list(plan.users) == ["ann"]


def test_defaults_are_listed_with_what_a_site_does() -> None:
    defaults = {"publishClientSend": True, "publishClientReceive": True, "subscribe": False, "unsubscribe": True}
    plan = adopted(defaultACLAccess=defaults)
    assert [one.state for one in plan.entries] == ["left", "present", "present", "present"]


@pytest.mark.parametrize(
    ("rules", "taken"),
    [
        ([("subscribePattern", READ, True)], False),
        ([("subscribePattern", READ, True), ("publishClientReceive", "acme/#", True)], True),
        ([("subscribePattern", READ, True), ("publishClientReceive", "acme/chicago/pack/l1/#", True)], False),
    ],
)
def test_where_delivery_needs_a_rule_a_subscription_alone_is_no_right(
    rules: list[tuple[str, str, bool]], taken: bool
) -> None:
    plan = adopted(defaultACLAccess={}, clients=[client("ann", "r")], roles=[role("r", *rules)])
    assert bool(plan.users) is taken


def test_a_denial_of_delivery_cuts_into_a_subscription() -> None:
    rules = [("subscribePattern", READ, True), ("publishClientReceive", "acme/chicago/pack/l1/scale/#", False)]
    assert not adopted(clients=[client("ann", "r")], roles=[role("r", *rules)]).users


@pytest.mark.parametrize("level", ["*", "**", "a*", "+x", "#x", "x#"])
def test_a_level_that_only_looks_like_a_wildcard_is_none(level: str) -> None:
    plan = adopted(
        clients=[client("ann", "r")], roles=[role("r", ("subscribePattern", f"acme/chicago/pack/{level}/t", True))]
    )
    assert not plan.roles
    assert "a level that no rule of a site can have" in plan.entries[0].reason


def test_roles_of_groups_are_present_the_second_time() -> None:
    access = Access(roles={"see": Role(read=["pack/**"])}, users={"ann": User(role="see")})
    plan = adopted(access, clients=[client("ann")], roles=[SEE], groups=[group("g", ["see"], ["ann"])])
    assert not plan.roles and not plan.users
    assert state(plan, "group g")[0] == state(plan, "role see")[0] == "present"
