"""Rules of brokers as rights of a site: what is taken, what is left, and that nobody gets more."""

from __future__ import annotations

import json

import pytest

from nexus_cli.access.grants import Grant
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.discover.adopt.access import AccessPlan, adopt_access, wider
from nexus_cli.discover.adopt.broker_files import read_foreign
from nexus_cli.discover.adopt.entries import counts
from nexus_cli.discover.adopt.rights import Topic, below
from nexus_cli.model.access import Access, Role, User

PREFIX = ("acme", "chicago")
TOPICS = (
    Topic(filter="packaging/line-1/filler/temperature", external=False),
    Topic(filter="packaging/line-1/scale/weight", external=True),
    Topic(filter="packaging/line-1/camera/#", external=True),
)


def adopted(text: str, access: Access | None = None) -> AccessPlan:
    return adopt_access(
        read_foreign(text), access or Access(), prefix=PREFIX, topics=TOPICS, reserved=("admin", "operator")
    )


def reasons(plan: AccessPlan) -> dict[str, str]:
    return {entry.what: entry.reason for entry in plan.entries if entry.state == "left"}


def test_each_rule_and_each_user_is_adopted_or_listed() -> None:
    plan = adopted(
        "user desk\ntopic read acme/chicago/packaging/#\ntopic write acme/chicago/packaging/line-1/scale/+\n"
    )
    assert plan.roles == {"desk": {"read": ["packaging/**"], "publish": ["packaging/line-1/scale/*"]}}
    assert plan.users == {"desk": {"role": "desk"}}
    assert counts(plan.entries) == {"found": 3, "adopted": 3, "present": 0, "left": 0}


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("topic write acme/chicago/packaging/line-1/filler/temperature", "which a gateway publishes"),
        ("topic write acme/chicago/#", "which a gateway publishes"),
        ("topic read acme/boston/#", "not below acme/chicago"),
        ("topic read acme/chicago/mixing/#", "the site declares nothing there"),
        ("topic read $SYS/#", "topics of the broker or of the platform"),
        ("topic read _nexus/acme/chicago/#", "topics of the broker or of the platform"),
        ("topic deny acme/chicago/packaging/#", "a denial"),
        ("pattern read acme/chicago/packaging/%u/#", "a pattern with the name of the client"),
    ],
)
def test_what_has_no_equal_is_left_with_its_reason(rule: str, reason: str) -> None:
    plan = adopted(f"user desk\n{rule}\n")
    assert not plan.roles and not plan.users
    assert any(reason in each for each in reasons(plan).values()), reasons(plan)


def test_a_denial_takes_away_each_rule_that_it_cuts_into() -> None:
    text = "user a\ntopic deny acme/chicago/packaging/line-1/scale/#\ntopic read acme/chicago/packaging/#\n"
    plan = adopted(text + "topic read acme/chicago/packaging/line-1/filler/temperature\n")
    assert plan.roles == {"a": {"read": ["packaging/line-1/filler/temperature"]}}


def test_a_denial_of_another_role_of_the_same_user_counts() -> None:
    role = {"acls": [{"acltype": "subscribePattern", "topic": "acme/chicago/packaging/#", "allow": True}]}
    refuse = {"acls": [{"acltype": "subscribePattern", "topic": "acme/chicago/#", "allow": False}]}
    both = {"username": "ann", "roles": [{"rolename": "see"}, {"rolename": "not"}]}
    file = {"defaultACLAccess": {"publishClientReceive": True}, "groups": [], "clients": [both]}
    file["roles"] = [{"rolename": "see", **role}, {"rolename": "not", **refuse}]
    plan = adopted(json.dumps(file))
    assert not plan.users and "a denial cuts into it" in next(iter(reasons(plan).values()))


def test_a_rule_beyond_the_site_is_cut_to_it_and_says_so() -> None:
    plan = adopted("user a\ntopic read #\n")
    assert plan.roles == {"a": {"read": ["**"]}}
    assert plan.entries[0].reason == "the site's part of it"


def test_adopting_twice_changes_nothing() -> None:
    text = "user desk\ntopic read acme/chicago/packaging/#\n"
    access = Access(roles={"desk": Role(read=["packaging/**"])}, users={"desk": User(role="desk")})
    plan = adopted(text, access)
    assert not plan.roles and not plan.users
    assert counts(plan.entries) == {"found": 2, "adopted": 0, "present": 2, "left": 0}


def test_a_role_that_the_site_has_for_something_else_keeps_its_rights() -> None:
    text = "user operator\ntopic read acme/chicago/packaging/#\n"
    plan = adopted(text)
    assert plan.users == {"operator": {"role": "operator-adopted"}}
    again = adopted(text, Access(roles={"operator-adopted": Role(read=["packaging/**"], admin=True)}))
    assert again.users == {"operator": {"role": "operator-adopted-adopted"}}


def test_a_user_of_the_site_with_other_roles_is_left_as_it_is() -> None:
    plan = adopted("user ann\ntopic read acme/chicago/packaging/#\n", Access(users={"ann": User(role="admin")}))
    assert not plan.roles and not plan.users
    assert reasons(plan)["user ann"] == "the site has this user with other roles"
    assert counts(plan.entries)["left"] == 2


def test_hivemq_permissions_are_read_with_their_bounds() -> None:
    permission = "<permission><topic>acme/chicago/packaging/#</topic><activity>{}</activity>{}</permission>"
    rules = permission.format("SUBSCRIBE", "") + permission.format("SUBSCRIBE", "<qos>ZERO</qos>")
    user = "<user><name>ann</name><password>AA==:100:AA==</password><roles><id>r</id></roles></user>"
    text = f"<file-rbac><users>{user}</users><roles><role><id>r</id><permissions>{rules}</permissions></role></roles></file-rbac>"
    plan = adopted(text)
    assert plan.users == {"ann": {"role": "r"}} and plan.roles == {"r": {"read": ["packaging/**"]}}
    assert counts(plan.entries) == {"found": 3, "adopted": 2, "present": 0, "left": 1}


def test_what_is_no_file_of_rights_is_refused() -> None:
    with pytest.raises(NexusError) as error:
        read_foreign("listener 1883\n")
    assert error.value.code == "NX4310" and "line 1" in error.value.cause


def test_more_than_the_broker_allowed_is_found() -> None:
    before = read_foreign("user ann\ntopic read acme/chicago/packaging/#\n").decide
    fine = Grant("ann", "subscribe", "acme/chicago/packaging/#", "")
    assert not list(wider([fine], ["ann"], before))
    more = Grant("ann", "publish", "acme/chicago/packaging/line-1/scale/weight", "")
    assert "could publish" in next(wider([fine, more], ["ann"], before))
    assert not list(wider([more], ["ben"], before)), "others are not asked"


@pytest.mark.parametrize(
    ("filter_", "rest"),
    [
        ("#", "#"),
        ("acme/#", "#"),
        ("+/chicago/a/+", "a/+"),
        ("acme/chicago", None),
        ("acme/boston/#", None),
        ("acme", None),
    ],
)
def test_the_part_of_a_filter_below_the_site(filter_: str, rest: str | None) -> None:
    assert below(filter_, PREFIX) == rest
