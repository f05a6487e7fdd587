"""What `acl.conf` may say: terms, conditions, actions, topics, placeholders, and what makes EMQX refuse the file."""

from __future__ import annotations

import pytest

from nexus_cli.access.brokers.emqx.client import Client, Version
from nexus_cli.access.brokers.emqx.engine import AclFile
from nexus_cli.access.brokers.emqx.terms import Atom, Term, TermError, read, string, write
from nexus_cli.diagnostics.errors import NexusError
from tests.unit.access.emqx_asking import NEW, OLD, RICH, SIX, answer, publish, request, subscribe

EVERY = (OLD, NEW, RICH, SIX)


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("all.", Atom("all")),
        ("'and'.", Atom("and")),
        ("{allow, all}.", (Atom("allow"), Atom("all"))),
        ('"a".', [97]),
        ('"a" "b".', [97, 98]),
        ("[97, 98].", [97, 98]),
        ('"\\"\\\\\\x{e9}\\x41\\101\\n".', [34, 92, 233, 65, 65, 10]),
        ('<<"ü"/utf8>>.', "ü".encode()),
        ('<<"ü">>.', b"\xfc"),
        ("<<1, 255>>.", b"\x01\xff"),
        ("16#ff.", 255),
        ("1_000.", 1000),
        ("-1.", -1),
        ("$a.", 97),
        ("(all).", Atom("all")),
        ("% nothing\nall. % more", Atom("all")),
        ("''.", Atom("")),
    ],
)
def test_terms_are_read_as_erlang_reads_them(text: str, term: Term) -> None:
    assert [placed.term for placed in read(text)] == [term]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("{allow, all}", 1, 13),
        ("{allow, all}.{deny, all}.", 1, 13),
        ("a.\n{allow, and}.", 2, 9),
        ("a.\n b\n  }.", 3, 3),
        ('{"a}.', 1, 2),
        ("Variable.", 1, 1),
        ('"\\xZZ".', 1, 3),
        ("{a,}.", 1, 4),
        ("\ufeff{allow, all}.", 1, 1),
        ("37#1.", 1, 1),
        ("{a b}.", 1, 4),
    ],
)
def test_what_is_no_term_is_refused_with_its_place(text: str, line: int, column: int) -> None:
    with pytest.raises(TermError) as error:
        read(text)
    assert (error.value.line, error.value.column) == (line, column)


@pytest.mark.parametrize("text", ["", " \n", "% only a comment", "%% coding"])
def test_a_file_without_terms_is_one(text: str) -> None:
    assert read(text) == []
    assert AclFile.read(text).rules == ()


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (string('a"b\\c'), '"a\\"b\\\\c"'),
        (string("ü\n"), "[252, 10]"),
        (string("zürich"), '"zürich"'),
        ("ü".encode(), '<<"ü"/utf8>>'),
        (b"\xff", "<<255>>"),
        (b"", "<<>>"),
        (Atom("and"), "'and'"),
        (Atom("don't"), "'don\\'t'"),
        ((Atom("qos"), [0, 1]), "{qos, [0, 1]}"),
        ([], "[]"),
    ],
)
def test_terms_are_written_so_that_they_are_read_back(term: Term, text: str) -> None:
    assert write(term) == text
    assert [placed.term for placed in read(f"{text}.")] == [term]


@pytest.mark.parametrize(
    "rule",
    [
        "{deny, all, all}.",
        "{permit, all}.",
        "[allow, all].",
        "allow.",
        '{allow, all, publish, "a/b"}.',
        "{allow, all, publish, a}.",
        '{allow, all, {publish, {retain, true}}, ["a"]}.',
        '{allow, all, {subscribe, {qos, 2}}, ["a"]}.',
        '{allow, all, {publish, [{qos, 3}]}, ["a"]}.',
        '{allow, all, {publish, [{retain, yes}]}, ["a"]}.',
        '{allow, all, pub, ["a"]}.',
        '{allow, all, sub, ["a"]}.',
        '{allow, "all", all, ["a"]}.',
        '{allow, {"and", [all]}, all, ["a"]}.',
        '{allow, {and, [all]}, all, ["a"]}.',
        "{allow, {'not', [all]}, all, [\"a\"]}.",
        '{allow, {username, {re, "["}}, all, ["a"]}.',
        '{allow, {username, 1}, all, ["a"]}.',
        '{allow, {ipaddr, "10.0.0.0/33"}, all, ["a"]}.',
        '{allow, {ipaddr, "nowhere"}, all, ["a"]}.',
        '{allow, {ipaddr, <<"10.0.0.1">>}, all, ["a"]}.',
        '{allow, all, all, [{re, "a"}]}.',
        "{allow, all, all, [a]}.",
        '{allow, all, all, [<<"ü">>]}.',
        '{allow, all, all, ["a"]}',
    ],
)
@pytest.mark.parametrize("version", EVERY)
def test_what_makes_every_version_refuse_the_file(rule: str, version: Version) -> None:
    with pytest.raises(NexusError) as error:
        AclFile.read(f"{{allow, all}}.\n{rule}", version)
    assert error.value.code == "NX7024"


def test_an_atom_as_a_name_is_refused_by_58_and_read_by_59() -> None:
    rule = '{allow, {username, u}, all, ["a"]}.'
    assert publish(rule, "a", version=RICH) == "allow"
    with pytest.raises(NexusError):
        AclFile.read(rule, NEW)


def test_an_error_names_the_line_of_its_rule() -> None:
    with pytest.raises(NexusError) as error:
        AclFile.read("{allow, all}.\n\n% a comment\n{deny, all, all}.")
    assert error.value.cause.startswith("line 4: ")


@pytest.mark.parametrize(
    ("who", "client", "expected"),
    [
        ("all", Client(), True),
        ('{username, "u"}', Client(username="u"), True),
        ('{user, "u"}', Client(username="u"), True),
        ('{username, "u"}', Client(username="U"), False),
        ('{username, ""}', Client(username=""), True),
        ('{username, ""}', Client(username=None), False),
        ('{username, {re, ""}}', Client(username=None), False),
        ('{username, {re, ".*"}}', Client(username=""), True),
        ('{username, "undefined"}', Client(username=None), False),
        ('{clientid, "c"}', Client(client_id="c"), True),
        ('{client, "c"}', Client(client_id="d"), False),
        ('{clientid, {re, "gw"}}', Client(client_id="xgw-12"), True),
        ('{clientid, {re, "^gw-[0-9]+$"}}', Client(client_id="xgw-12"), False),
        ('{username, {re, "^.$"}}', Client(username="ü"), False),  # bytes: two of them
        ('{username, {re, "^[[:alpha:]]$"}}', Client(username="u"), True),
        ('{username, {re, "(?i)^GW"}}', Client(username="gw"), True),
        ('{username, {re, "^a\\\\.b$"}}', Client(username="axb"), False),
        ('{client_attr, "site", "chi"}', Client(attrs={"site": "chi"}), True),
        ('{client_attr, "site", {re, "^c"}}', Client(attrs={"site": "chi"}), True),
        ('{client_attr, "site", {re, ""}}', Client(), False),
        ('{ipaddr, "10.0.0.0/8"}', Client(ip="10.1.2.3"), True),
        ('{ipaddr, "10.9.9.9/8"}', Client(ip="10.1.2.3"), True),
        ('{ipaddr, "10.0.0.0/8"}', Client(ip="11.0.0.1"), False),
        ('{ipaddr, "10.0.0.0/8"}', Client(ip=None), False),
        ('{ipaddr, "10.0.0.0/8"}', Client(ip="::ffff:10.0.0.1"), False),
        ('{ipaddr, "2001:db8::/32"}', Client(ip="2001:db8::1"), True),
        ('{ipaddr, "::1"}', Client(ip="::1"), True),
        ('{ipaddrs, ["192.168.0.0/16", "10.0.0.0/8"]}', Client(ip="10.1.2.3"), True),
        ("{ipaddrs, []}", Client(ip="10.1.2.3"), False),
        ('{\'and\', [{username, "u"}, {clientid, "c"}]}', Client(username="u", client_id="c"), True),
        ('{\'and\', [{username, "u"}, {clientid, "c"}]}', Client(username="u", client_id="d"), False),
        ('{\'or\', [{username, "u"}, {clientid, "c"}]}', Client(username="v", client_id="c"), True),
        ("{'and', []}", Client(), True),
        ("{'or', []}", Client(), False),
        ('{username, <<"ü"/utf8>>}', Client(username="ü"), True),
        ('{username, "ü"}', Client(username="ü"), True),
        ('{username, <<"ü">>}', Client(username="ü"), False),
    ],
)
def test_conditions_on_the_client(who: str, client: Client, expected: bool) -> None:
    for version in (NEW, RICH, SIX):
        found = publish(f'{{allow, {who}, all, ["a"]}}.', "a", client=client, version=version)
        assert found == ("allow" if expected else "nomatch")


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ('{zone, "default"}', True),
        ("{zone, default}", True),
        ('{zone, {re, "^other"}}', False),
        ('{listener, "tcp:default"}', True),
        ("{listener, 'tcp:default'}", True),
        ('{listener, {re, "^ssl:"}}', False),
    ],
)
def test_zones_and_listeners_from_59_on(who: str, expected: bool) -> None:
    found = publish(f'{{allow, {who}, all, ["a"]}}.', "a", client=Client(), version=RICH)
    assert found == ("allow" if expected else "nomatch")


def test_an_ipv6_prefix_of_48_is_read_as_one_of_32() -> None:
    rule = '{allow, {ipaddr, "2001:db8:1::/48"}, all, ["a"]}.'
    assert publish(rule, "a", client=Client(ip="2001:db8:ffff::1")) == "allow"
    assert publish(rule.replace("/48", "/49"), "a", client=Client(ip="2001:db8:ffff::1")) == "nomatch"


@pytest.mark.parametrize(
    ("action", "wish", "qos", "retain", "expected"),
    [
        ("publish", "publish", 2, True, True),
        ("publish", "subscribe", 0, False, False),
        ("subscribe", "subscribe", 2, False, True),
        ("all", "publish", 1, True, True),
        ("all", "subscribe", 1, False, True),
        ("{publish, [{qos, 1}]}", "publish", 1, False, True),
        ("{publish, [{qos, 1}]}", "publish", 0, False, False),
        ("{publish, [{qos, [0, 1]}, {retain, false}]}", "publish", 1, False, True),
        ("{publish, [{qos, [0, 1]}, {retain, false}]}", "publish", 1, True, False),
        ("{publish, [{qos, 0}, {qos, 2}]}", "publish", 2, True, True),
        ("{publish, [{qos, []}]}", "publish", 0, False, False),
        ("{publish, [{retain, true}]}", "publish", 0, True, True),
        ("{publish, [{retain, all}]}", "publish", 0, True, True),
        ("{publish, []}", "publish", 2, True, True),
        ("{subscribe, [{retain, true}]}", "subscribe", 0, False, True),
        ("{subscribe, [{qos, [0, 1]}]}", "subscribe", 2, False, False),
        ("{all, [{qos, 1}, {retain, true}]}", "subscribe", 1, False, True),
        ("{all, [{qos, 1}, {retain, true}]}", "publish", 1, False, False),
    ],
)
def test_actions(action: str, wish: str, qos: int, retain: bool, expected: bool) -> None:
    rule = f'{{allow, all, {action}, ["a"]}}.'
    found = answer(rule, "publish" if wish == "publish" else "subscribe", "a", qos=qos, retain=retain)
    assert found == ("allow" if expected else "nomatch")


@pytest.mark.parametrize(
    ("topics", "asked", "expected"),
    [
        ("[]", "a", False),
        ('""', "a", False),
        ('["x", "a"]', "a", True),
        ('[<<"a">>]', "a", True),
        ('["a/#/b"]', "a/x/b", False),
        ('["a+"]', "ab", False),
        ('["a+"]', "a/b", False),
        ('["ü/#"]', "ü/x", True),
        ('["a", {eq, "b"}]', "b", True),
    ],
)
def test_topics(topics: str, asked: str, expected: bool) -> None:
    assert subscribe(f"{{allow, all, all, {topics}}}.", asked) == ("allow" if expected else "nomatch")


@pytest.mark.parametrize(
    ("filter_", "asked", "expected"),
    [
        ("${clientid}/a", "c1/a", True),
        ("x${clientid}y/#", "xc1y/a", True),
        ("${username}/${clientid}", "u/c1", True),
        ("${.username}", "u", True),
        ("${foo}/a", "${foo}/a", True),
        ("${foo}/a", "x/a", False),
        ("${foo}/${clientid}", "${foo}/c1", True),
        ("${$}{clientid}", "${$}{clientid}", True),
        ("${$}{clientid}", "${clientid}", False),
        ("${$}{clientid}/${username}", "${clientid}/u", True),
        # Beside an unknown name an attribute loses its meaning, and an escaped `$` gets one.
        ("${foo}/${client_attrs.site}", "${foo}/${client_attrs.site}", True),
        ("${$}{clientid}/${foo}", "c1/${foo}", True),
        ("${client_attrs.site}", "chi", True),
        ("${client_attrs.other}", "undefined", False),
    ],
)
def test_placeholders(filter_: str, asked: str, expected: bool) -> None:
    client = Client(username="u", client_id="c1", attrs={"site": "chi"})
    found = subscribe(f'{{allow, all, all, ["{filter_}"]}}.', asked, client=client)
    assert found == ("allow" if expected else "nomatch")


def test_nothing_is_filled_in_behind_eq() -> None:
    assert subscribe('{allow, all, all, [{eq, "${username}"}]}.', "u") == "nomatch"
    assert subscribe('{allow, all, all, [{eq, "${username}"}]}.', "${username}") == "allow"


def test_the_first_rule_that_matches_decides_and_is_named() -> None:
    rules = AclFile.read('{allow, {username, "v"}, all, ["a"]}.\n{deny, all, all, ["a"]}.\n{allow, all}.')
    from_second = rules.decide_for(Client(username="u"), request("publish", "a"))
    assert not from_second.allowed
    assert "line 2, rule 2" in from_second.why
    assert rules.decide_for(Client(username="v"), request("publish", "a")).allowed
    assert "no_match = deny" in AclFile.read("").decide(request("publish", "a")).why
