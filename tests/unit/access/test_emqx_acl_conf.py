"""`acl.conf` as it is written, and our block in a file that others use."""

from __future__ import annotations

import pytest

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.emqx.acl_conf import FILE, render
from nexus_cli.access.brokers.emqx.client import Client
from nexus_cli.access.brokers.emqx.engine import AclFile
from nexus_cli.access.brokers.emqx.shared_file import is_open, merge, without
from nexus_cli.access.grants import Grant
from nexus_cli.diagnostics.errors import NexusError
from tests.unit.access.emqx_asking import request

ACME = Accounts("acme", "chicago")
GRANTS = (
    Grant("anna", "publish", "_nexus/acme/chicago/cmd/packaging/l1/f/t/anna", "role operator, write l1", (0, 1), False),
    Grant("anna", "subscribe", "acme/chicago/packaging/#", "role operator, read packaging/**"),
    Grant("anna", "subscribe", "acme/chicago/mixing/+", "role operator, read mixing/*"),
    Grant("nexus.control", "publish", "acme/chicago/#", "role control"),
)
SHIPPED = """%% the shipped file
{allow, {username, {re, "^dashboard$"}}, subscribe, ["$SYS/#"]}.

{allow, {username, "tenant"}, all, ["t/#"]}.
{allow, all}.
"""
WHOLE = """%% nexus acme/chicago begin
%% Written by nexus from `access:` of the site; edits between the markers are lost. First match decides.

%% anna@acme.chicago
{deny, {username, "anna@acme.chicago"}, subscribe, [{eq, "acme/chicago/mixing/#"}]}. % a rule that ends in + would grant it
{allow, {username, "anna@acme.chicago"}, {publish, [{qos, [0, 1]}, {retain, false}]}, [
  "_nexus/acme/chicago/cmd/packaging/l1/f/t/anna" % role operator, write l1
]}.
{allow, {username, "anna@acme.chicago"}, subscribe, [
  "acme/chicago/mixing/+", % role operator, read mixing/*
  "acme/chicago/packaging/#" % role operator, read packaging/**
]}.

%% nexus.control@acme.chicago
{allow, {'and', [{username, "nexus.control@acme.chicago"}, {clientid, {re, "^nexus\\\\.control@acme\\\\.chicago-[a-z0-9._-]+-[0-9a-f]{24}$"}}]}, publish, [
  "acme/chicago/#" % role control
]}.

{deny, {username, {re, "^.+@acme\\\\.chicago$"}}, all, ["#", "$SYS/#", "$nexus/#", "$events/#", "$file/#", "$queue/#", "$q/#", "$stream/#", "$s/#", "$sp/#"]}.
%% nexus acme/chicago end

%% Nothing else, also where `all` leaves out topics that begin with `$` (before EMQX 5.8.9, 5.9.2, 5.10.1).
{deny, all, all, ["#", "$SYS/#", "$nexus/#", "$events/#", "$file/#", "$queue/#", "$q/#", "$stream/#", "$s/#", "$sp/#"]}.
{deny, all}.
"""


def test_the_file_for_a_broker_of_our_own() -> None:
    assert render(GRANTS, ACME).files[FILE] == WHOLE


def test_topics_all_are_written_where_the_version_is_known_to_read_them() -> None:
    assert "all, all}." not in render(GRANTS, ACME, version=(5, 8, 8)).files[FILE]
    assert "{deny, all, all, all}." in render(GRANTS, ACME, version=(5, 10, 4)).files[FILE]


@pytest.mark.parametrize("version", [(5, 8, 8), (5, 8, 9), (5, 10, 4), (6, 3, 0)])
def test_sys_is_closed_even_before_deny_all_covers_it(version: tuple[int, ...]) -> None:
    rules = AclFile.read(render(GRANTS, ACME).files[FILE], version, no_match="allow")
    for user in ("anna@acme.chicago", "stranger"):
        assert not rules.decide(request("subscribe", "$SYS/#", user)).allowed
        assert not rules.decide(request("publish", "$nexus/x", user)).allowed
        assert not rules.decide(request("subscribe", "#", user)).allowed


def test_a_stolen_client_id_is_worth_nothing_without_the_user_and_the_other_way_round() -> None:
    rules = AclFile.read(render(GRANTS, ACME).files[FILE])
    account = "nexus.control@acme.chicago"
    own = f"{account}-control-{'a' * 24}"
    assert rules.decide_for(Client(username=account, client_id=own), request("publish", "acme/chicago/x")).allowed
    assert not rules.decide_for(Client(username=account, client_id="x"), request("publish", "acme/chicago/x")).allowed
    stolen = Client(username="anna@acme.chicago", client_id=own)
    assert not rules.decide_for(stolen, request("publish", "acme/chicago/x")).allowed


@pytest.mark.parametrize(
    ("filters", "denied"),
    [
        (["a/+"], ["a/#"]),
        (["a/+", "a/#"], []),
        (["a/+", "#"], []),
        (["a/+/#"], ["a/#"]),
        (["+"], ["#"]),
        (["+/#"], []),
        (["+/x"], []),
        (["a/+/c"], []),
        (["a/+/+", "a/#"], []),
    ],
)
def test_what_a_trailing_plus_would_grant_is_denied_first(filters: list[str], denied: list[str]) -> None:
    text = render([Grant("u", "subscribe", each) for each in filters], ACME).files[FILE]
    assert [each for each in ("a/#", "#") if f'{{eq, "{each}"}}' in text] == denied
    assert text.index("{deny") < text.index("{allow") if denied else True


@pytest.mark.parametrize("filter_", ["a/+/+", "+/+", "+/+/#", "a/+/b/+"])
def test_a_widening_that_cant_be_named_is_refused(filter_: str) -> None:
    with pytest.raises(NexusError) as error:
        render([Grant("u", "subscribe", filter_, "role looker")], ACME)
    assert error.value.code == "NX7020"
    assert render([Grant("u", "publish", filter_)], ACME)


@pytest.mark.parametrize(
    ("principal", "filter_"),
    [
        ("u", "a/#/b"),
        ("u", "a+"),
        ("u", ""),
        ("u", "$share/g/a"),
        ("u", "$queue/a"),
        ("u", "a/${username}"),
        ("u", "eq a"),
        ("u", "a\n{allow, all}."),
        ("a+b", "a"),
        ("a/b", "a"),
        ("a b", "a"),
        ("#", "a"),
        ("", "a"),
        ('"}', "a"),
    ],
)
def test_what_emqx_would_misread_is_refused(principal: str, filter_: str) -> None:
    with pytest.raises(NexusError) as error:
        render([Grant(principal, "publish", filter_)], ACME)
    assert error.value.code == "NX7010"


def test_quotes_umlauts_and_reasons_with_line_breaks_are_kept_in_their_place() -> None:
    grants = [Grant("u", "publish", 'a"b\\c/ü', "why\n{allow, all}.")]
    rules = AclFile.read(render(grants, ACME).files[FILE])
    assert len([rule for rule in rules.rules if rule.allow]) == 1
    assert rules.decide(request("publish", 'a"b\\c/ü', "u@acme.chicago")).allowed


def test_the_block_goes_before_the_closing_rule_and_nothing_else_changes() -> None:
    merged = merge(SHIPPED, render(GRANTS, ACME))
    block = merged[merged.index("%% nexus") : merged.index("end\n") + 4]
    assert merged.replace(block, "") == SHIPPED
    assert merged.endswith("%% nexus acme/chicago end\n{allow, all}.\n")
    assert "{deny, all}." not in merged
    assert is_open(merged)
    rules = AclFile.read(merged)
    assert rules.decide(request("publish", "t/x", "tenant")).allowed
    assert not rules.decide(request("publish", "t/x", "anna@acme.chicago")).allowed


def test_a_second_merge_replaces_the_block_where_it_is_and_the_same_again_changes_nothing() -> None:
    once = merge(SHIPPED, render(GRANTS, ACME))
    assert merge(once, render(GRANTS, ACME)) == once
    less = merge(once, render(GRANTS[:1], ACME))
    assert "packaging/#" not in less
    assert without(less, "acme", "chicago") == SHIPPED
    both = merge(once, render([Grant("bob", "publish", "acme/boston/x")], Accounts("acme", "boston")))
    assert both.count("begin") == 2
    assert without(both, "acme", "boston") == once


def test_a_file_without_a_closing_rule_or_line_end_takes_the_block_at_its_end() -> None:
    merged = merge('{allow, {username, "t"}, all, ["t"]}.', render(GRANTS, ACME))
    assert merged.startswith('{allow, {username, "t"}, all, ["t"]}.\n%% nexus acme/chicago begin\n')
    assert merge("", render(GRANTS, ACME)).startswith("%% nexus")


@pytest.mark.parametrize(
    ("rule", "harmful"),
    [
        ("{allow, all}.", True),
        ('{allow, {ipaddr, "127.0.0.1"}, all, ["$SYS/#", "#"]}.', True),
        ('{allow, all, subscribe, ["public/#"]}.', True),
        ('{allow, {username, {re, "anna"}}, publish, ["x"]}.', True),
        ('{deny, all, subscribe, ["acme/#"]}.', True),
        ('{deny, all, {publish, [{qos, 1}]}, ["_nexus/#"]}.', True),
        ('{allow, all, {publish, [{qos, 2}, {retain, true}]}, ["_nexus/acme/chicago/cmd/#"]}.', True),
        ('{allow, all, {publish, [{qos, 0}, {retain, true}]}, ["_nexus/acme/chicago/cmd/#"]}.', True),
        ('{deny, {\'or\', [{username, "x"}, {clientid, {re, "."}}]}, all, ["+/chicago/packaging/x"]}.', True),
        ('{allow, all, all, ["user/${username}/#"]}.', True),
        ('{deny, all, subscribe, ["$SYS/#", {eq, "#"}, {eq, "+/#"}]}.', False),
        ('{allow, {username, "tenant"}, all, ["#"]}.', False),
        ('{deny, {username, {re, "^old-"}}, all, ["#"]}.', False),
        ('{allow, {\'and\', [{username, "tenant"}, {ipaddr, "10.0.0.0/8"}]}, all, ["#"]}.', False),
        ('{allow, all, subscribe, ["acme/chicago/packaging/l1"]}.', True),
        ('{allow, {username, "anna@acme.chicago"}, subscribe, ["acme/chicago/packaging/l1"]}.', False),
        ('{deny, all, all, ["t/secret"]}.', False),
    ],
)
def test_a_rule_in_front_that_decides_for_our_accounts_is_refused(rule: str, harmful: bool) -> None:
    existing = f"% first\n{rule}\n{{deny, all}}.\n"
    if rule == "{allow, all}.":
        existing = f'% first\n{rule}\n{{allow, {{username, "t"}}, all, ["t"]}}.\n'
    if not harmful:
        assert merge(existing, render(GRANTS, ACME))
        return
    with pytest.raises(NexusError) as error:
        merge(existing, render(GRANTS, ACME))
    assert error.value.code == "NX7021"
    assert "Line 2 " in error.value.message


BEGIN, END = "%% nexus acme/chicago begin\n", "%% nexus acme/chicago end\n"
THEIRS = '{allow, {username, "tenant"}, all, ["t/#"]}.\n'


@pytest.mark.parametrize(
    "existing",
    [
        "{allow, all",
        "{deny, all, all}.",
        f"{BEGIN}{{deny, all}}.",
        f"{END}{{deny, all}}.",
        f"{BEGIN}{THEIRS}{BEGIN}{END}{{deny, all}}.",  # the first end is gone: rules of others would be lost with the block
        f"{BEGIN}{END}{THEIRS}{END}{{deny, all}}.",
        f"{THEIRS}%% see {BEGIN}{{deny, all}}.",
    ],
)
def test_a_file_that_emqx_refuses_or_with_half_a_block_is_left_alone(existing: str) -> None:
    with pytest.raises(NexusError) as error:
        merge(existing, render(GRANTS, ACME))
    assert error.value.code == "NX7024"


def test_line_ends_of_others_stay() -> None:
    theirs = f"%% theirs\r\n{THEIRS[:-1]}\r\n{{deny, all}}.\r\n"
    once = merge(theirs, render(GRANTS, ACME))
    assert without(once, "acme", "chicago") == theirs
    dos = once.replace("\r\n", "\n").replace("\n", "\r\n")
    assert merge(dos, render(GRANTS, ACME)) == once
