"""How EMQX decides, a test for each thing that surprises: matching, versions, placeholders, order, tokens, database.

What `acl.conf` may say has its own file, `test_emqx_grammar.py`.
"""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.access.brokers.emqx.client import Client, Version
from nexus_cli.access.brokers.emqx.engine import AclFile, Broker, Database, TokenRules
from nexus_cli.access.brokers.emqx.rule import What
from nexus_cli.diagnostics.errors import NexusError
from tests.unit.access.emqx_asking import NEW, OLD, RICH, SIX, publish, request, subscribe

DENY_ALL = "{deny, all}."


# Matching.


@pytest.mark.parametrize(
    ("rule", "asked", "expected"),
    [
        ("a/+", "a/#", "allow"),
        ("a/+", "a/b", "allow"),
        ("a/+", "a/+", "allow"),
        ("+", "#", "allow"),
        ("a/+/#", "a/#", "allow"),
        ("a/+/c", "a/#", "nomatch"),
        ("+/x", "+/+", "nomatch"),
        ("a/+", "a/b/#", "nomatch"),
        ("a/b", "a/+", "nomatch"),
        ("a/#", "a", "allow"),
        ("a/#", "a/+/x", "allow"),
    ],
)
def test_01_a_rule_ending_in_plus_grants_the_whole_subtree(rule: str, asked: str, expected: str) -> None:
    assert subscribe(f'{{allow, all, subscribe, ["{rule}"]}}.', asked) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("a/#", "deny"), ("$share/g/a/#", "deny"), ("a/b", "allow"), ("a/+", "allow")],
)
def test_02_a_denial_of_the_text_in_front_takes_it_back(asked: str, expected: str) -> None:
    rules = '{deny, all, subscribe, [{eq, "a/#"}]}. {allow, all, subscribe, ["a/+"]}.'
    assert subscribe(rules, asked) == expected


@pytest.mark.parametrize(
    ("wish", "topic", "expected"),
    [
        ("subscribe", "plant/#", True),
        ("subscribe", "plant/+/x", True),
        ("subscribe", "plant/secret/#", False),
        ("subscribe", "plant/secret/x", False),
        ("publish", "plant/secret/x", False),
        ("publish", "plant/open/x", True),
    ],
)
def test_03_a_narrow_denial_under_a_broad_right_does_not_protect_from_a_subscriber(
    wish: Any, topic: str, expected: bool
) -> None:
    rules = AclFile.read('{deny, all, all, ["plant/secret/#"]}. {allow, all, all, ["plant/#"]}.')
    assert rules.decide(request(wish, topic)).allowed is expected
    assert rules.decide(request("receive", "plant/secret/x")).allowed


@pytest.mark.parametrize(("asked", "expected"), [("a/+", "allow"), ("a/b", "nomatch"), ("a/#", "nomatch")])
def test_04_eq_is_the_text_alone(asked: str, expected: str) -> None:
    assert subscribe('{allow, all, subscribe, [{eq, "a/+"}]}.', asked) == expected
    assert subscribe('{allow, all, subscribe, ["eq a/+"]}.', asked) == expected
    assert subscribe('{allow, all, subscribe, [<<"eq a/+">>]}.', asked) == expected


@pytest.mark.parametrize("topic", ["$SYS/x", "$nexus/x", "$x"])
def test_05_wildcards_in_front_never_cover_dollar_topics_and_the_word_all_does(topic: str) -> None:
    for filter_ in ("#", "+/#", "+/x"):
        assert publish(f'{{allow, all, all, ["{filter_}"]}}.', topic) == "nomatch"
    assert publish("{allow, all, all, all}.", topic) == "allow"
    assert publish('{allow, all, all, ["$nexus/#"]}.', topic) == ("allow" if topic == "$nexus/x" else "nomatch")


def test_06_a_subscription_to_everything_does_not_match_a_rule_about_sys() -> None:
    assert subscribe('{allow, all, subscribe, ["$SYS/#"]}.', "#") == "nomatch"


@pytest.mark.parametrize("asked", ["$share/g/x/1", "$queue/x/1", "$share/other/x/#"])
def test_07_shared_subscriptions_are_checked_without_their_prefix(asked: str) -> None:
    assert subscribe('{allow, all, subscribe, ["x/#"]}.', asked) == "allow"
    for written in ("$share/g/x/#", "$share/+/x/#", "$queue/x/#"):
        assert subscribe(f'{{allow, all, subscribe, ["{written}"]}}.', asked) == "nomatch"


def test_08_an_exclusive_subscription_is_checked_without_its_prefix() -> None:
    assert subscribe('{allow, all, subscribe, ["x/#"]}.', "$exclusive/x/1") == "allow"
    assert subscribe('{allow, all, subscribe, ["$exclusive/#"]}.', "$exclusive/x/1") == "nomatch"


@pytest.mark.parametrize(
    ("topic", "allowed"), [("$delayed/5/x/1", True), ("$delayed/5/$delayed/5/x/1", True), ("$delayed/5", False)]
)
def test_09_a_delayed_message_is_checked_as_its_topic_and_a_malformed_one_refused(topic: str, allowed: bool) -> None:
    rules = AclFile.read('{allow, all, publish, ["x/#"]}.')
    assert rules.decide(request("publish", topic)).allowed is allowed
    assert not AclFile.read('{allow, all, all, ["#", "$delayed/#"]}.').decide(request("publish", "$delayed/5")).allowed


@pytest.mark.parametrize(
    ("asked", "expected"), [("#", "allow"), ("a", "allow"), ("a/b", "allow"), ("$SYS/a", "nomatch")]
)
def test_10_plus_and_hash_together_match_everything_but_dollar_topics(asked: str, expected: str) -> None:
    assert subscribe('{allow, all, subscribe, ["+/#"]}.', asked) == expected


@pytest.mark.parametrize(
    ("client_id", "topic"), [("+", "dev/c2/x"), ("#", "dev/a/b"), ("a/b", "dev/a/b/c"), ("c1", "dev/c1/x")]
)
def test_11_a_wildcard_in_a_client_id_breaks_out_of_a_placeholder(client_id: str, topic: str) -> None:
    client = Client(username="u", client_id=client_id)
    rule = '{allow, all, publish, ["dev/${clientid}/#"]}.'
    expected = "nomatch" if client_id == "#" else "allow"  # `dev/#/#`: a `#` that is not last matches only itself
    for version in (NEW, RICH):
        assert publish(rule, topic, client=client, version=version) == expected
    # From 6.3 on such a value makes the rule say nothing.
    assert publish(rule, topic, client=client, version=SIX) == ("allow" if client_id == "c1" else "nomatch")
    assert publish('{allow, all, publish, ["dev/${clientid}"]}.', "dev/a/b", client=Client(client_id="#")) == "allow"


def test_12_an_anonymous_client_is_called_undefined_and_a_missing_value_matches_nothing() -> None:
    anonymous = Client(username=None, client_id="c")
    assert publish('{allow, all, all, ["user/${username}/#"]}.', "user/undefined/x", client=anonymous) == "allow"
    for missing in ("cert_common_name", "client_attrs.site"):
        rule = f'{{allow, all, all, ["${{{missing}}}/#", "b/#"]}}.'
        assert publish(rule, "undefined/x", client=anonymous) == "nomatch"
        assert publish(rule, "b/x", client=anonymous) == "allow"
    known = Client(username="u", cert_common_name="cn", attrs={"site": "chi"})
    assert (
        publish('{allow, all, all, ["${cert_common_name}/${client_attrs.site}"]}.', "cn/chi", client=known) == "allow"
    )


def test_13_a_will_is_checked_as_a_message_when_it_is_sent() -> None:
    assert publish('{allow, all, publish, ["will/u"]}.', "will/u", retain=True) == "allow"
    assert publish('{allow, all, subscribe, ["will/u"]}.', "will/u") == "nomatch"


def test_14_rules_see_the_topic_without_the_mount_point_unless_told() -> None:
    source = AclFile.read('{allow, all, all, ["a"]}.', SIX)
    asked = request("publish", "a")
    assert Broker(sources=(source,), version=SIX, mountpoint="m/").decide(asked).allowed
    assert not Broker(sources=(source,), version=SIX, mountpoint="m/", include_mountpoint=True).decide(asked).allowed
    assert not Broker(sources=(source,), version=SIX, mountpoint="m/", profile="hardened").decide(asked).allowed
    mounted = AclFile.read('{allow, all, all, ["m/a"]}.', SIX)
    assert Broker(sources=(mounted,), version=SIX, mountpoint="m/", profile="hardened").decide(asked).allowed
    # A version that does not have the setting.
    assert Broker(sources=(source,), version=RICH, mountpoint="m/", include_mountpoint=True).decide(asked).allowed


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a/b#"])
def test_15_a_message_without_a_topic_or_with_wildcards_is_refused_before_any_rule(topic: str) -> None:
    broker = Broker(sources=(AclFile.read("{allow, all}."),), no_match="allow")
    assert not broker.decide(request("publish", topic)).allowed
    assert not broker.decide_for(Client(is_superuser=True), request("publish", topic)).allowed


@pytest.mark.parametrize(
    "asked", ["a/#/b", "a+", "$share/g", "$share//x", "$share/g/", "$share/+/x", "$share/g/$share/h/x"]
)
def test_an_invalid_filter_is_refused_before_any_rule(asked: str) -> None:
    assert not AclFile.read("{allow, all}.").decide(request("subscribe", asked)).allowed


# Versions.


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (OLD, "nomatch"),
        (NEW, "deny"),
        ((5, 9, 1), "nomatch"),
        ((5, 9, 2), "deny"),
        ((5, 10, 0), "nomatch"),
        (RICH, "deny"),
    ],
)
def test_deny_all_covers_dollar_topics_from_a_patch_on(version: Version, expected: str) -> None:
    assert subscribe(DENY_ALL, "$SYS/#", version=version) == expected
    assert publish(DENY_ALL, "$nexus/a", version=version) == expected
    assert publish(DENY_ALL, "a", version=version) == "deny"


@pytest.mark.parametrize(("version", "loads"), [(OLD, False), (NEW, True), ((5, 10, 0), False), ((5, 10, 1), True)])
def test_the_word_all_as_topics_makes_an_older_version_refuse_the_file(version: Version, loads: bool) -> None:
    assert _loads("{deny, all, all, all}.", version) is loads


@pytest.mark.parametrize(
    ("rule", "first"),
    [
        ('{allow, {client_attr, "site", "chi"}, all, ["a"]}.', (5, 8, 5)),
        ('{allow, {zone, "default"}, all, ["a"]}.', (5, 9, 0)),
        ('{allow, {listener, "tcp:default"}, all, ["a"]}.', (5, 9, 0)),
    ],
)
def test_conditions_that_came_later(rule: str, first: Version) -> None:
    before = (first[0], first[1] - 1, 9) if first[2] == 0 else (*first[:2], first[2] - 1)
    assert _loads(rule, first)
    assert not _loads(rule, before)


def test_the_zone_as_a_placeholder_came_with_582() -> None:
    rule = '{allow, all, all, ["${zone}/a"]}.'
    assert publish(rule, "default/a", version=(5, 8, 2)) == "allow"
    assert publish(rule, "default/a", version=(5, 8, 1)) == "nomatch"
    assert publish(rule, "${zone}/a", version=(5, 8, 1)) == "allow"


@pytest.mark.parametrize(("version", "allowed"), [(NEW, True), (RICH, True), ((6, 0, 0), False), ((7, 0, 0), False)])
def test_what_happens_when_nothing_matches_is_to_allow_before_60(version: Version, allowed: bool) -> None:
    assert Broker(version=version).decide(request("publish", "a")).allowed is allowed
    assert not Broker(version=version, no_match="deny").decide(request("publish", "a")).allowed


def test_hardened_is_the_default_of_70_and_nothing_before_63() -> None:
    assert Broker(version=(7, 0, 0)).is_hardened
    assert not Broker(version=SIX).is_hardened
    assert Broker(version=SIX, profile="hardened").is_hardened
    assert not Broker(version=(6, 2, 2), profile="hardened").is_hardened


def test_under_hardened_a_placeholder_without_a_value_refuses() -> None:
    rule = '{allow, all, all, ["${cert_common_name}/#", "b/#"]}.'
    for profile, allowed in (("legacy", True), ("hardened", False)):
        rules = AclFile.read(rule, SIX, profile=profile)
        assert rules.decide(request("publish", "b/x")).allowed is allowed


# Order.


def test_a_superuser_is_allowed_before_any_rule() -> None:
    broker = Broker(sources=(AclFile.read(DENY_ALL),), token=TokenRules.read({"acl": {}}))
    assert broker.decide_for(Client(username="u", is_superuser=True), request("publish", "a")).allowed


def test_the_token_comes_before_the_sources_and_the_first_source_that_matches_decides() -> None:
    deny, allow = AclFile.read('{deny, all, all, ["a"]}.'), AclFile.read("{allow, all}.")
    claim = [{"permission": "allow", "action": "all", "topic": "a"}]
    assert not Broker(sources=(deny, allow)).decide(request("publish", "a")).allowed
    assert Broker(sources=(allow, deny)).decide(request("publish", "a")).allowed
    assert Broker(sources=(deny,), token=TokenRules.read({"acl": claim})).decide(request("publish", "a")).allowed


def test_a_source_that_fails_counts_as_one_without_an_answer() -> None:
    failing = AclFile.read('{deny, {zone, 1}, all, ["a"]}. {allow, all}.', RICH)
    assert failing.answer(Client(), _what("a")) is None
    broker = Broker(sources=(failing, AclFile.read('{allow, all, all, ["a"]}.')), no_match="deny")
    assert broker.decide(request("publish", "a")).allowed


# Tokens.


@pytest.mark.parametrize("qos", [1, [0, 1], "0,1", "1", ["1"]])
def test_the_list_form_of_a_token_takes_topics_short_words_and_qos_in_many_ways(qos: Any) -> None:
    claim = [{"permission": "allow", "action": "pub", "topics": ["a", "b/#"], "qos": qos}]
    token = TokenRules.read({"acl": claim})
    assert token.answer(Client(), _what("b/x", qos=1)) is not None
    assert token.answer(Client(), _what("b/x", qos=2)) is None
    assert token.answer(Client(), _what("b/x", qos=1, publish=False)) is None


def test_the_list_form_falls_through_and_the_map_form_refuses() -> None:
    source = AclFile.read("{allow, all}.")
    listed = TokenRules.read({"acl": [{"permission": "allow", "action": "all", "topic": "a"}]})
    mapped = TokenRules.read({"acl": {"pub": ["a"], "sub": ["eq s/#"], "all": ["c/${username}"]}})
    assert Broker(sources=(source,), token=listed).decide(request("publish", "z")).allowed
    broker = Broker(sources=(source,), token=mapped)
    assert not broker.decide(request("publish", "z")).allowed
    assert broker.decide(request("publish", "a")).allowed
    assert not broker.decide(request("subscribe", "a")).allowed
    assert broker.decide(request("subscribe", "s/#")).allowed
    assert broker.decide(request("subscribe", "c/u")).allowed


def test_an_empty_list_decides_nothing_and_an_empty_map_refuses_everything() -> None:
    assert TokenRules.read({"acl": []}).answer(Client(), _what("a")) is None
    empty = TokenRules.read({"acl": {}}).answer(Client(), _what("a"))
    assert empty is not None
    assert not empty.allow


@pytest.mark.parametrize(
    ("version", "expires", "now", "allowed"),
    [(NEW, 11, 10, True), (NEW, 10, 10, False), (RICH, 10, 10, True), (RICH, 9, 10, False), (NEW, 11.5, 10, False)],
)
def test_an_expired_token_refuses_everything(version: Version, expires: Any, now: float, allowed: bool) -> None:
    claim = [{"permission": "allow", "action": "all", "topic": "#"}]
    token = TokenRules.read({"acl": claim, "exp": expires}, version=version, now_s=now)
    broker = Broker(token=token, no_match="allow", version=version)
    assert broker.decide(request("publish", "a")).allowed is allowed


@pytest.mark.parametrize(
    "rule",
    [
        {"action": "all", "topic": "a"},
        {"permission": "Allow", "action": "all", "topic": "a"},
        {"permission": "allow", "action": "read", "topic": "a"},
        {"permission": "allow", "action": "all"},
        {"permission": "allow", "action": "all", "topics": "a"},
        {"permission": "allow", "action": "all", "topic": "a", "qos": 3},
        {"permission": "allow", "action": "all", "topic": "a", "qos": "0, 1"},
        {"permission": "allow", "action": "publish", "topic": "a", "retain": "yes"},
    ],
)
def test_a_malformed_rule_in_a_token_refuses_the_login(rule: dict[str, Any]) -> None:
    with pytest.raises(NexusError) as error:
        TokenRules.read({"acl": [rule]})
    assert error.value.code == "NX7024"


@pytest.mark.parametrize("field", [{"ipaddr": "10.0.0.0/8"}, {"username_re": "^other$"}, {"clientid_re": "^z"}])
def test_58_ignores_the_conditions_of_59_so_that_a_narrow_rule_becomes_a_broad_one(field: dict[str, str]) -> None:
    claim = {"acl": [{"permission": "allow", "action": "all", "topic": "a", **field}]}
    client = Client(username="u", client_id="c", ip="192.168.0.1")
    old = TokenRules.read(claim, version=NEW).answer(client, _what("a"))
    assert old is not None
    assert old.allow
    assert TokenRules.read(claim, version=RICH).answer(client, _what("a")) is None


# The built-in database.


def test_the_database_asks_the_client_id_then_the_name_then_everybody() -> None:
    def rules(permission: str) -> list[dict[str, str]]:
        return [{"permission": permission, "action": "all", "topic": "t"}]

    database = Database.read(
        clients=[{"clientid": "c1", "rules": rules("deny")}],
        users=[{"username": "u", "rules": rules("allow")}],
        everybody=rules("deny"),
    )
    answers = {
        (name, client_id): database.answer(Client(username=name, client_id=client_id), _what("t"))
        for name in ("u", "v")
        for client_id in ("c1", "c2")
    }
    assert {key: found.allow for key, found in answers.items() if found} == {
        ("u", "c1"): False,
        ("u", "c2"): True,
        ("v", "c1"): False,
        ("v", "c2"): False,
    }
    assert database.answer(Client(username="u", client_id="c1"), _what("other")) is None


def test_hash_for_everybody_does_not_cover_dollar_topics() -> None:
    database = Database.read(everybody=[{"permission": "deny", "action": "all", "topic": "#"}])
    assert database.answer(Client(), _what("$SYS/x")) is None
    assert database.answer(Client(), _what("a")) is not None


def test_an_entry_has_at_most_a_hundred_rules() -> None:
    rules = [{"permission": "allow", "action": "all", "topic": f"t/{number}"} for number in range(101)]
    assert Database.read(users=[{"username": "u", "rules": rules[:100]}])
    assert Database.read(users=[{"username": "u", "rules": rules}], max_rules=500)
    with pytest.raises(NexusError) as error:
        Database.read(users=[{"username": "u", "rules": rules}])
    assert error.value.code == "NX7022"


def test_a_rule_of_the_database_with_an_address_that_is_none_makes_it_answer_nothing() -> None:
    rules = [{"permission": "deny", "action": "all", "topic": "a", "ipaddr": "10.0.0.0/99"}]
    database = Database.read(everybody=rules, version=RICH)
    assert database.answer(Client(), _what("a")) is None


def _loads(rules: str, version: Version) -> bool:
    try:
        AclFile.read(rules, version)
    except NexusError as error:
        assert error.code == "NX7024"
        return False
    return True


def _what(topic: str, *, publish: bool = True, qos: int = 0) -> What:
    return What(publish=publish, topic=topic.encode(), qos=qos)
