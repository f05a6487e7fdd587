"""EMQX's accounts and rules as rights of a site: order, denials, bounds, placeholders, and sources that are not read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.access.evaluate import covers
from nexus_cli.access.request import Request
from nexus_cli.discover.adopt.access import AccessPlan, adopt_access
from nexus_cli.discover.adopt.emqx import EmqxTables, of_emqx
from nexus_cli.discover.adopt.entries import counts
from nexus_cli.discover.adopt.rights import Topic
from nexus_cli.model.access import Access

PREFIX = ("acme", "chicago")
TOPICS = (
    Topic(filter="pack/l1/filler/t", external=False),
    Topic(filter="pack/l1/scale/weight", external=True),
)
DATABASE = {"type": "built_in_database", "enable": True}
READ = "acme/chicago/pack/#"


def rule(topic: str, permission: str = "allow", action: str = "subscribe", **more: Any) -> dict[str, Any]:
    return {"topic": topic, "permission": permission, "action": action, **more}


def tables(*rules: dict[str, Any], **more: Any) -> EmqxTables:
    given: dict[str, Any] = {
        "version": (5, 8, 9),
        "authenticators": ["password_based:built_in_database"],
        "users": {"ann": False},
        "sources": [DATABASE],
        "user_rules": {"ann": list(rules)},
        "no_match": "deny",
    }
    return EmqxTables(**{**given, **more})


def adopted(found: EmqxTables) -> AccessPlan:
    foreign = of_emqx(found)
    plan = adopt_access(foreign, Access(), prefix=PREFIX, topics=TOPICS)
    number = counts(plan.entries)
    assert number["found"] == foreign.entries
    assert all(entry.reason for entry in plan.entries if entry.state == "left")
    return plan


def reason(plan: AccessPlan, what: str) -> str:
    """Of what has exactly this name, else of the first that has it in its name."""
    left = [entry for entry in plan.entries if entry.state == "left"]
    exact = [entry for entry in left if entry.what == what]
    return next(entry.reason for entry in (*exact, *left) if what in entry.what)


def test_rules_become_a_role_of_the_user() -> None:
    plan = adopted(tables(rule(READ), rule("acme/chicago/pack/l1/scale/+", action="all")))
    assert plan.users == {"ann": {"role": "ann"}}
    assert plan.roles == {"ann": {"read": ["pack/**", "pack/l1/scale/*"], "publish": ["pack/l1/scale/*"]}}


def test_a_denial_behind_a_rule_takes_nothing_away() -> None:
    plan = adopted(tables(rule(READ), rule("#", "deny", "all")))
    assert plan.roles == {"ann": {"read": ["pack/**"]}}


@pytest.mark.parametrize(
    "topic", ["#", "acme/+/pack/l1/#", "acme/chicago/pack/${username}/x", "eq acme/chicago/pack/+"]
)
def test_a_denial_before_it_leaves_a_rule_out(topic: str) -> None:
    plan = adopted(tables(rule(topic, "deny", "all"), rule(READ)))
    assert not plan.roles
    assert "cuts into it: user ann: deny" in reason(plan, "allow subscribe")


@pytest.mark.parametrize(
    ("topic", "action"), [("eq #", "all"), ("eq +/#", "all"), ("acme/boston/#", "all"), (READ, "publish")]
)
def test_a_denial_of_something_else_takes_nothing_away(topic: str, action: str) -> None:
    assert adopted(tables(rule(topic, "deny", action), rule(READ))).roles == {"ann": {"read": ["pack/**"]}}


def test_a_denial_of_any_client_id_counts() -> None:
    plan = adopted(tables(rule(READ), client_rules={"panel-1": [rule("acme/chicago/pack/l1/#", "deny", "all")]}))
    assert not plan.roles
    assert "client id panel-1" in reason(plan, "user ann: allow")


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (rule(READ, qos=[0]), "bound to a quality of service"),
        (rule(READ, action="publish", retain=True), "bound to a quality of service or to retained"),
        (rule(READ, clientid_re="^panel"), "bound to clientid_re"),
        (rule(READ, ipaddr="10.0.0.0/8"), "bound to ipaddr"),
        (rule("acme/chicago/pack/${username}/#"), "a pattern with the name of the client"),
        (rule("eq acme/chicago/pack/+"), "an exact text with a wildcard"),
        (rule("acme/chicago/pack/*/t"), "a level that no rule of a site can have"),
        (rule("acme/chicago/pack/#/t"), "a level that no rule of a site can have"),
        (rule("acme/boston/#"), "not below acme/chicago"),
        (rule("acme/chicago/pack/l1/filler/t", action="publish"), "which a gateway publishes"),
        (rule(READ, permission="perhaps"), "not a rule that is known here"),
        (rule(READ, action="dance"), "not a rule that is known here"),
        ({"topics": [READ], "permission": "allow", "action": "all"}, "not a rule that is known here"),
    ],
)
def test_what_has_no_equal_is_left_with_its_reason(made: dict[str, Any], why: str) -> None:
    plan = adopted(tables(made))
    assert not plan.roles and not plan.users
    assert why in reason(plan, "user ann: ")


def test_a_list_with_something_unknown_in_it_is_left_as_a_whole() -> None:
    plan = adopted(tables(rule(READ), rule("acme/chicago/pack/l1/#", permission="perhaps")))
    assert not plan.roles


@pytest.mark.parametrize("topic", ["eq acme/chicago/pack/l1/filler/t", "acme/chicago/pack/l1/filler/t"])
def test_an_exact_topic_is_a_topic(topic: str) -> None:
    assert adopted(tables(rule(topic))).roles == {"ann": {"read": ["pack/l1/filler/t"]}}


@pytest.mark.parametrize(
    ("sources", "taken"),
    [
        ([{"type": "http", "enable": True}, DATABASE], False),
        ([{"type": "http", "enable": False}, DATABASE], True),
        ([DATABASE, {"type": "http", "enable": True}], True),
        ([{"type": "http", "enable": True}], False),
        ([{**DATABASE, "enable": False}], False),
        ([{**DATABASE, "precondition": "str_eq(zone, 'plant')"}], False),
    ],
)
def test_a_source_that_is_asked_before_and_not_read_leaves_rules_out(
    sources: list[dict[str, Any]], taken: bool
) -> None:
    plan = adopted(tables(rule(READ), sources=sources))
    assert bool(plan.roles) is taken
    if any(one["type"] == "http" for one in sources):
        assert "kept elsewhere" in reason(plan, "source http")


DENIES = '{deny, all, subscribe, ["acme/chicago/pack/l1/#"]}.\n'
FIRST = '{deny, all, subscribe, ["$SYS/#", {eq, "#"}, {eq, "+/#"}]}.\n'


@pytest.mark.parametrize(
    ("text", "taken"), [(DENIES, False), (FIRST, True), ("{allow, all}.\n", True), ("{deny", False)]
)
def test_a_file_before_the_database_counts(text: str, taken: bool) -> None:
    plan = adopted(tables(rule(READ), sources=[{"type": "file", "enable": True}, DATABASE], file=text))
    assert bool(plan.roles) is taken
    assert reason(plan, "acl.conf" if text != "{deny" else "source file")


def test_a_file_behind_the_database_takes_nothing_away() -> None:
    assert adopted(tables(rule(READ), sources=[DATABASE, {"type": "file"}], file=DENIES)).roles


def test_superusers_client_ids_and_other_places_are_listed() -> None:
    plan = adopted(
        tables(
            rule(READ),
            users={"ann": True},
            authenticators=["jwt", "password_based:built_in_database"],
            no_match="allow",
        )
    )
    assert not plan.users
    assert "superuser" in reason(plan, "user ann")
    assert "kept elsewhere" in reason(plan, "authenticator jwt")
    assert reason(plan, "no_match: allow")
    assert "client id" in reason(adopted(tables(rule(READ), by_id=True)), "user ann")


def test_rules_of_a_user_without_an_account_are_left() -> None:
    plan = adopted(tables(rule(READ), users={}))
    assert reason(plan, "user ann: allow") == "no user has its role"


TOPIC_LEVELS = st.sampled_from(
    ["acme", "chicago", "pack", "l1", "scale", "weight", "filler", "t", "+", "${username}", "*", "ü"]
)
FILTERS = st.builds(
    lambda exact, levels, end: exact + "/".join([*levels, *end]),
    st.sampled_from(["", "", "", "eq "]),
    st.lists(TOPIC_LEVELS, min_size=1, max_size=4).map(lambda levels: ["acme", "chicago", *levels]) | st.just(["#"]),
    st.sampled_from([[], ["#"]]),
)
RULES = st.builds(
    rule, FILTERS, st.sampled_from(["allow", "allow", "deny"]), st.sampled_from(["publish", "subscribe", "all"])
)
FILES = st.lists(
    st.sampled_from([DENIES, FIRST, '{deny, {user, "ann"}, publish, ["acme/+/pack/#"]}.\n', "{allow, all}.\n"]),
    max_size=2,
)
SOURCES = st.permutations([DATABASE, {"type": "file", "enable": True}])


@given(st.lists(RULES, max_size=6), st.lists(RULES, max_size=2), FILES, SOURCES)
def test_nobody_may_do_more_than_emqx_allowed(
    mine: list[dict[str, Any]], of_client: list[dict[str, Any]], file: list[str], sources: list[dict[str, Any]]
) -> None:
    found = tables(*mine, client_rules={"panel": of_client}, sources=sources, file="".join(file))
    foreign, plan = of_emqx(found), adopted(found)
    for keys in plan.roles.values():
        for key, globs in keys.items():
            for glob in globs:
                for topic in ("pack/l1/filler/t", "pack/l1/scale/weight", "pack/t", "pack/l1/scale/ü", "weight"):
                    filter_ = f"acme/chicago/{glob}".replace("**", "#").replace("*", "+")
                    if not covers(filter_, f"acme/chicago/{topic}"):
                        continue
                    for client in ("", "panel"):
                        asked = Request(
                            user="ann",
                            wish="subscribe" if key == "read" else "publish",
                            topic=f"acme/chicago/{topic}",
                            client_id=client,
                        )
                        assert foreign.decide.decide(asked).allowed, (glob, topic, client)
