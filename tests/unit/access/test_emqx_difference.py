"""The difference of a push: cut anywhere, nobody lacks a right that they keep, and a run after it completes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.emqx.database_rule import CLOSING, MARK, Rule, both, read_rule, shrinks, write_rule
from nexus_cli.access.brokers.emqx.difference import Difference, Does, Step, difference
from nexus_cli.access.brokers.emqx.hashing import (
    OURS,
    Algorithm,
    UserHash,
    algorithm_of,
    fits,
    hash_for,
    of_hashes,
    read_kept,
    written,
)
from nexus_cli.access.brokers.emqx.present import Present, Setting, Source, doubts, remedied
from nexus_cli.access.passwords import hash_password
from tests.emqx_mqtt import decide

SITE = Accounts("acme", "chicago")
A, B, C = (SITE.account(name) for name in ("anna", "ben", "nexus.gateway.gw-1"))
FOREIGN = ("anna@acme.chicago2", "anna@acme.chicag", "@acme.chicago", "acme.chicago", "x@other.acme.chicago", "anna")
TOPICS = ("a/x", "a/y", "b/x", "b/#", "a/#", "$SYS/x")


def rule(topic: str, *, permission: str = "allow", action: str = "subscribe") -> Rule:
    return Rule(topic=topic, permission=permission, action=action)


_allows = st.builds(
    Rule,
    topic=st.sampled_from(("a/x", "a/#", "b/#", "b/x", "a/+")),
    permission=st.just("allow"),
    action=st.sampled_from(("publish", "subscribe", "all")),
)
_refusals = st.builds(
    Rule, topic=st.sampled_from(("eq a/#", "eq b/#")), permission=st.just("deny"), action=st.just("subscribe")
)
_rules = st.builds(
    lambda no, yes: (*dict.fromkeys(no), *dict.fromkeys(yes)),
    st.lists(_refusals, max_size=2),
    st.lists(_allows, max_size=4),
)
_entries = st.dictionaries(st.sampled_from((A, B, C)), _rules)


@dataclass
class Cluster:
    """What a push changes, as plain data."""

    users: dict[str, str]
    rules: dict[str, tuple[Rule, ...]]
    kicked: list[str] = field(default_factory=list)

    def do(self, step: Step) -> None:
        if step.does is Does.RULES:
            self.rules[step.account] = step.rules
        elif step.does is Does.USERS:
            self.users |= {name: each.kept for name, each in step.users.items()}
        elif step.does is Does.DROP_USER:
            self.users.pop(step.account, None)
        elif step.does is Does.DROP_RULES:
            self.rules.pop(step.account, None)
        elif step.does is Does.KICK:
            self.kicked.append(step.account)

    def gives(self, account: str, action: str, topic: str) -> bool:
        plain = [write_rule(each) for each in self.rules.get(account, ())]
        return bool(decide(plain, action, topic))


def password(name: str, number: int = 1) -> UserHash:
    return UserHash(algorithm=str(OURS), salt=f"{name}-{number}", key=f"{number:064x}")


def compare(
    cluster: Cluster, rules: Mapping[str, tuple[Rule, ...]], *, pushed: Mapping[str, str], base: Present, number: int
) -> Difference:
    present = replace(base, users=frozenset(cluster.users), rules=dict(cluster.rules), pushed=pushed)
    return difference(SITE, present, rules=rules, passwords={name: password(name, number) for name in rules})


@given(
    old=_entries,
    new=_entries,
    behind=st.booleans(),
    moved=st.booleans(),
    most=st.sampled_from((100, 12)),
    elsewhere=st.booleans(),
)
def test_a_push_that_is_cut_anywhere_is_completed_and_nobody_lacks_what_they_keep(
    old: dict[str, tuple[Rule, ...]],
    new: dict[str, tuple[Rule, ...]],
    behind: bool,
    moved: bool,
    most: int,
    elsewhere: bool,
) -> None:
    base = Present(no_match="allow" if behind else "deny", max_rules=most)
    foreign = {name: (rule("a/#"), MARK) for name in FOREIGN}

    def begun() -> Cluster:
        return Cluster({name: password(name).kept for name in (*old, *FOREIGN)}, {**old, **foreign})

    pushed = {name: password(name, 1).kept for name in old}
    number = 2 if moved else 1
    whole = compare(begun(), new, pushed=pushed, base=base, number=number)
    uncut = begun()
    for step in whole.steps:
        uncut.do(step)
    for cut in range(len(whole.steps) + 1):
        cluster, first = begun(), begun()
        for step in whole.steps[:cut]:
            cluster.do(step)
            _nobody_lacks(cluster, first, uncut, new)
        # Another machine knows of no password; the same one noted each that it sent.
        kept = {} if elsewhere else pushed | {name: cluster.users[name] for name in set(new) & set(cluster.users)}
        rest = compare(cluster, new, pushed=kept, base=base, number=number)
        for step in rest.steps:
            cluster.do(step)
            _nobody_lacks(cluster, first, uncut, new)
        assert (cluster.users, cluster.rules) == (uncut.users, uncut.rules)
        if not (elsewhere and moved):
            assert set(uncut.kicked) <= set(cluster.kicked), "whoever had to be kicked was, before the cut or after it"
        done = {name: password(name, number).kept for name in new}
        assert compare(cluster, new, pushed=done, base=base, number=number).steps == (), "nothing is left"
    assert {name: uncut.rules[name] for name in FOREIGN} == foreign
    assert {name for name in uncut.rules if name not in FOREIGN} <= set(new)


def _nobody_lacks(cluster: Cluster, first: Cluster, last: Cluster, new: Mapping[str, tuple[Rule, ...]]) -> None:
    for account in new:
        for action in ("publish", "subscribe"):
            for topic in TOPICS:
                if first.gives(account, action, topic) and last.gives(account, action, topic):
                    assert cluster.gives(account, action, topic), (account, action, topic)
                if cluster.gives(account, action, topic):
                    assert first.gives(account, action, topic) or last.gives(account, action, topic)


@given(old=_rules, new=_rules)
def test_both_lists_together_give_what_each_alone_would_and_no_more(
    old: tuple[Rule, ...], new: tuple[Rule, ...]
) -> None:
    joined = [write_rule(each) for each in both(old, new)]
    for action in ("publish", "subscribe"):
        for topic in TOPICS:
            then, now = (decide([write_rule(each) for each in one], action, topic) for one in (old, new))
            got = decide(joined, action, topic)
            if now:
                assert got
            if got:
                assert then or now


def test_the_order_of_a_push() -> None:
    """Rights first, users, then what is removed, the cache, the sessions; who is gone last."""
    present = Present(
        users=frozenset({A, B}),
        rules={A: (rule("a/#"),), B: (rule("b/#"),)},
        pushed={A: password(A).kept},
    )
    found = difference(
        SITE, present, rules={A: (rule("b/x"),), C: (rule("a/x"),)}, passwords={A: password(A), C: password(C)}
    )
    assert [(step.does.value, step.account, step.rules) for step in found.steps] == [
        ("rules", A, (rule("b/x"), rule("a/#"))),
        ("rules", C, (rule("a/x"),)),
        ("clear", "", ()),
        ("users", "", ()),
        ("rules", A, (MARK, rule("b/x"))),
        ("rules", B, (MARK, *CLOSING)),
        ("drop-user", B, ()),
        ("clear", "", ()),
        ("kick", A, ()),
        ("kick", B, ()),
        ("rules", A, (rule("b/x"),)),
        ("drop-rules", B, ()),
    ]
    assert [(each.account, each.user, each.kick, each.gone) for each in found.changes] == [
        (A, "", True, False),
        (B, "remove", True, True),
        (C, "create", False, False),
    ]
    assert found.changes[0].gains == (rule("b/x"),) and found.changes[0].losses == (rule("a/#"),)


def test_a_right_within_a_wider_one_is_neither_won_nor_lost() -> None:
    assert not shrinks((rule("a/x"),), (rule("a/#"),)), "a session keeps what it had"
    assert shrinks((rule("a/#"),), (rule("a/x"),))
    assert shrinks((rule("a/#"),), (rule("a/#", action="publish"),))
    assert shrinks((rule("a/+"),), (rule("eq a/#", permission="deny"), rule("a/+")))
    assert shrinks((replace(rule("a/x"), qos=(0, 1, 2)),), (replace(rule("a/x"), qos=(0,)),))
    assert shrinks((replace(rule("a/x"), retain="all"),), (replace(rule("a/x"), retain=False),))
    assert shrinks((rule("d/${clientid}"),), (rule("d/+/x"),)), "what a placeholder becomes is not known"


def test_a_user_with_another_password_is_kicked_and_one_that_is_not_known_is_not() -> None:
    present = Present(users=frozenset({A}), rules={A: (rule("a/x"),)})

    def found(pushed: dict[str, str]) -> tuple[str, bool]:
        now = replace(present, pushed=pushed)
        (change,) = difference(SITE, now, rules={A: (rule("a/x"),)}, passwords={A: password(A)}).changes
        return change.user, change.kick

    assert found({A: password(A, 7).kept}) == ("password", True)
    assert found({}) == ("again", False)
    same = difference(
        SITE, replace(present, pushed={A: password(A).kept}), rules={A: (rule("a/x"),)}, passwords={A: password(A)}
    )
    assert (same.changes, same.steps, same.same) == ((), (), 1)


def test_rights_that_do_not_fit_beside_the_old_ones_are_replaced_at_once() -> None:
    old, new = tuple(rule(f"a/{n}") for n in range(6)), tuple(rule(f"b/{n}") for n in range(6))
    present = Present(users=frozenset({A}), rules={A: old}, max_rules=10)
    found = difference(SITE, present, rules={A: new}, passwords={})
    assert found.changes[0].at_once
    assert max(len(step.rules) for step in found.steps) == 7 <= present.max_rules
    assert found.steps[0] == Step(does=Does.RULES, account=A, rules=(MARK, *new), withdraws=True)


def test_accounts_of_another_site_are_never_looked_at() -> None:
    there = Present(users=frozenset(FOREIGN), rules={name: (rule("#"), MARK) for name in FOREIGN})
    found = difference(SITE, there, rules={}, passwords={})
    assert (found.steps, found.changes, found.same) == ((), (), 0)
    with pytest.raises(ValueError, match="not an account of this site"):
        difference(SITE, there, rules={"anna@acme.chicago2": ()}, passwords={})
    with pytest.raises(ValueError, match="carry their site"):
        difference(Accounts("acme", "chicago", shared=False), there, rules={}, passwords={})


def test_settings_that_leave_more_open_close_each_account() -> None:
    shared = {"rules": {A: (rule("a/x"),)}, "passwords": {}}
    for present in (
        Present(no_match="allow"),
        Present(for_all=True),
        Present(sources=(Source(type="built_in_database"), Source(type="file"))),
    ):
        found = difference(SITE, present, **shared)  # type: ignore[arg-type]
        assert found.steps[0].rules == (rule("a/x"), *CLOSING)
    off = Present(sources=(Source(type="built_in_database"), Source(type="file", enable=False)))
    assert difference(SITE, off, **shared).steps[0].rules == (rule("a/x"),)  # type: ignore[arg-type]


def test_what_a_cluster_lacks_is_said_and_can_be_remedied() -> None:
    bare = Present(
        sources=(Source(type="file"),), no_match="allow", authenticators=(), password_checks=False, algorithm=None
    )
    found = doubts(bare, most=140)
    assert [(each.code, each.remedy, each.blocks) for each in found] == [
        ("NX7032", Setting.AUTHENTICATOR, True),
        ("NX7032", Setting.SOURCE, True),
        ("NX7034", Setting.NO_MATCH, False),
    ]
    assert "clients without an account are refused then" in found[0].hint
    then = remedied(bare, [each.remedy for each in found if each.remedy], most=140)
    assert [each.type for each in then.sources] == ["built_in_database", "file"]
    assert [each.code for each in doubts(then, most=140)] == ["NX7030"]
    assert doubts(remedied(then, [Setting.LARGER], most=140), most=140) == ()
    behind = Present(sources=(Source(type="file"), Source(type="built_in_database")))
    assert [each.remedy for each in doubts(behind, most=1)] == [Setting.FRONT]
    assert [
        each.code for each in doubts(Present(sources=(Source(type="built_in_database", enable=False),)), most=1)
    ] == ["NX7032"]
    assert [each.code for each in doubts(Present(algorithm=None), most=1)] == ["NX7030"]


def test_rules_are_read_whatever_a_version_writes_out() -> None:
    short = {"topic": "a/#", "permission": "allow", "action": "all"}
    long = {**short, "qos": [2, 1, 0], "retain": "all", "ipaddr": None, "zone": None}
    assert read_rule(short) == read_rule(long)
    bound = {**short, "qos": [1], "retain": True, "clientid_re": "^x$"}
    assert write_rule(read_rule(bound)) == bound
    assert read_rule(bound).words() == "publish and subscribe a/# (QoS 1; retained; clientid_re ^x$)"
    with pytest.raises(ValueError, match="not a rule"):
        read_rule({"topic": "a"})


@pytest.mark.parametrize(
    "plain",
    [
        {"name": "pbkdf2", "mac_fun": "sha256", "iterations": 20_000},
        {"name": "pbkdf2", "mac_fun": "sha512", "iterations": 7},
        {"name": "sha256", "salt_position": "prefix"},
        {"name": "sha512", "salt_position": "suffix"},
    ],
)
def test_a_password_is_hashed_as_the_authenticator_checks_it(plain: dict[str, object]) -> None:
    algorithm = algorithm_of(plain)
    assert algorithm is not None and written(algorithm) == plain
    made = hash_for(algorithm, "planted")
    assert fits(algorithm, "planted", made) and not fits(algorithm, "other", made)
    assert read_kept(made.kept) == made and "planted" not in made.kept
    assert made.key not in repr(made)
    assert not fits(Algorithm(digest="sha256", iterations=3), "planted", made)


def test_hashes_that_emqx_verified() -> None:
    """`sha256(salt + password)` as EMQX's default has it, from hashlib alone; bcrypt, md5 and no salt are not ours."""
    assert hash_for(Algorithm(digest="sha256", salt_position="prefix"), "b", salt="a").key == (
        "fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603"
    )
    for other in (
        {"name": "bcrypt"},
        {"name": "md5"},
        {"name": "sha256", "salt_position": "disable"},
        {"name": "plain"},
        {},
    ):
        assert algorithm_of(other) is None
    stored = hash_password("planted", argon2id=False)
    form = of_hashes(OURS, stored)
    assert form is not None and fits(OURS, "planted", form)
    assert of_hashes(Algorithm(digest="sha256", salt_position="prefix"), stored) is None
