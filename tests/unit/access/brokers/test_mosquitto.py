"""What is written for Mosquitto, and what is said about what can't be."""

from __future__ import annotations

import json

import pytest

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.mosquitto import acl_file, acl_reader, dynsec
from nexus_cli.access.brokers.mosquitto.dynsec_reader import includes, read_dynsec
from nexus_cli.access.brokers.mosquitto.passwords import (
    check_passwords,
    join_passwords,
    read_salts,
    render_hashes,
    render_passwords,
)
from nexus_cli.access.grants import HISTORIAN, Grant
from nexus_cli.access.passwords import hash_password
from nexus_cli.access.request import Request
from nexus_cli.diagnostics.errors import NexusError

SITE = Accounts("acme", "chicago")
GRANTS = (
    Grant("desk", "publish", "_nexus/acme/chicago/cmd/+/sp/desk", retain=False, qos=(0, 1)),
    Grant("desk", "subscribe", "acme/chicago/#"),
    Grant(HISTORIAN, "publish", "_nexus/acme/chicago/committed/+"),
    Grant(HISTORIAN, "subscribe", "_nexus/acme/chicago/committed/+"),
)
HASHES = {"desk": hash_password("secret", argon2id=False, iterations=7)}


def test_an_acl_file_has_a_section_an_account() -> None:
    rendered = acl_file.render(GRANTS, SITE, HASHES)
    assert rendered.files["acl"].split("\n")[1:] == [
        "",
        "user desk@acme.chicago",
        "topic write _nexus/acme/chicago/cmd/+/sp/desk",
        "topic read acme/chicago/#",
        "",
        "user nexus.historian@acme.chicago",
        "topic readwrite _nexus/acme/chicago/committed/+",
        "",
    ]
    assert check_passwords(rendered.files["passwords"]) == ("desk@acme.chicago",)
    assert "secret" not in rendered.files["passwords"]


def test_what_an_acl_file_can_not_say_is_told() -> None:
    notes = acl_file.render(GRANTS, SITE).notes
    assert [note.code for note in notes] == ["NX7013", "NX7013"]
    assert notes[0].rule == "desk publish _nexus/acme/chicago/cmd/+/sp/desk, never retained, QoS 0 or 1"
    assert "a gateway refuses a retained command" in notes[0].text
    assert notes[1].rule == "client ids of nexus.historian"


@pytest.mark.parametrize("name", ["a:b", "a b", "a#", "a+", "a/b", "", "\ufeffa", "a\nb", "${{a"])
def test_a_name_that_a_broker_would_misread_is_refused(name: str) -> None:
    with pytest.raises(NexusError) as caught:
        acl_file.render_acl([Grant(name, "publish", "x")])
    assert caught.value.code == "NX7010"


@pytest.mark.parametrize(
    "filter_", ["", "/", "a//b", "a/#/b", "a+", "$SYS/#", "$share/g/a", "a b", "%u/a", "a\tb", "${{x}}"]
)
def test_a_filter_that_a_broker_would_misread_is_refused(filter_: str) -> None:
    for render in (
        lambda grants: acl_file.render(grants, SITE),
        lambda grants: dynsec.render(grants, SITE, {}),
    ):
        with pytest.raises(NexusError) as caught:
            render([Grant("a", "subscribe", filter_)])
        assert caught.value.code == "NX7010"


def test_a_bad_line_is_named() -> None:
    with pytest.raises(NexusError) as caught:
        acl_reader.validate("user a\ntopic read x\ntopic\tread y\n")
    assert caught.value.cause.startswith("line 3: ")


def test_a_nul_is_refused() -> None:
    with pytest.raises(NexusError):
        acl_reader.validate(b"user a\ntopic read x\0y\n")


def test_a_name_is_filled_into_a_pattern_once() -> None:
    rules = acl_reader.read_acl("pattern write %u/%c\n")
    asked = Request(user="%c", wish="publish", topic="%c/id", client_id="id")
    assert rules.decide(asked).allowed


def test_salts_stay_and_damaged_ones_are_left_out() -> None:
    first = render_passwords({"a": "1", "b": "2"})
    assert render_passwords({"a": "1", "b": "2"}, salts=read_salts(first)) == first
    assert read_salts("a:$7$1$!!$x\nb:$7$1$AAAA$x\n# c:$7$1$AAAA$x\n") == {}


def test_files_of_processes_and_of_people_are_joined() -> None:
    joined = join_passwords(render_passwords({"nexus.cli": "x"}), render_hashes({"desk": HASHES["desk"].sha512}))
    assert check_passwords(joined) == ("desk", "nexus.cli")
    assert f"desk:$7${HASHES['desk'].sha512}\n" in joined


def test_dynamic_security_is_closed_and_has_both_forms_of_a_filter() -> None:
    rendered = dynsec.render(GRANTS, SITE, HASHES)
    content = json.loads(rendered.files[dynsec.FILE])
    assert content["defaultACLAccess"] == {
        "publishClientSend": False,
        "publishClientReceive": False,
        "subscribe": False,
        "unsubscribe": True,
    }
    assert [client["username"] for client in content["clients"]] == ["desk@acme.chicago"]
    assert {(acl["acltype"], acl["topic"]) for acl in content["roles"][0]["acls"]} == {
        ("publishClientSend", "_nexus/acme/chicago/cmd/+/sp/desk"),
        ("subscribePattern", "acme/chicago/#"),
        ("subscribePattern", "$share/+/acme/chicago/#"),
        ("publishClientReceive", "acme/chicago/#"),
    }
    assert [note.code for note in rendered.notes] == ["NX7013", "NX7013", "NX7014"]
    assert rendered.notes[-1].rule == "user nexus.historian"


@pytest.mark.parametrize("text", ["", "[]", '{"clients": [{}]}', '{"roles": [{"rolename": "a", "acls": [{}]}]}'])
def test_what_the_plug_in_can_not_read_is_refused(text: str) -> None:
    with pytest.raises(NexusError) as caught:
        read_dynsec(text)
    assert caught.value.code == "NX7036"


def test_a_wildcard_at_the_beginning_hears_nothing_of_the_broker() -> None:
    """The plug-in grants `$SYS/#` for `#`, but each message is checked, and there `#` is not for `$`."""
    rules = read_dynsec(dynsec.render([Grant("desk", "subscribe", "#")], SITE, HASHES).files[dynsec.FILE])
    user = SITE.account("desk")
    assert rules.decide(Request(user=user, wish="subscribe", topic="$SYS/#")).allowed
    assert not rules.decide(Request(user=user, wish="receive", topic="$SYS/broker/uptime")).allowed
    assert rules.decide(Request(user=user, wish="receive", topic="x")).allowed


@pytest.mark.parametrize(
    ("pattern", "wanted", "expected"),
    [
        ("foo/+/bar", "foo/#", False),
        ("foo/+/x/#", "foo/baz/x", True),
        ("foo/+/x/#", "foo/baz/x/+", True),
        ("foo/+/x/#", "foo/baz/+/#", False),
        ("/+//#", "/foo///#", True),
        ("#", "+", True),
        ("/#", "+", False),
        ("/#", "/+", True),
        ("/+", "#", False),
        ("+/+", "topic/topic/", False),
        ("+", "#", False),
    ],
)
def test_inclusion_is_the_plug_ins(pattern: str, wanted: str, expected: bool) -> None:
    """Cases of the plug-in's own test (`sub_matches_sub.c`)."""
    assert includes(pattern, wanted) is expected


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ('{"clients": 3}', "'clients' is not a list"),
        ("[]", "the whole is not an object { … }"),
        ('{"clients": [{}]}', "entry 1 of 'clients' has no 'username'"),
        ('{"roles": [{"rolename": "a", "acls": 3}]}', "'acls' of 'a' in 'roles' is not a list of objects"),
        ('{"roles": [{"rolename": "a", "acls": [{}]}]}', "an entry has no 'acltype'"),
        ('{"defaultACLAccess": []}', "'defaultACLAccess' is not an object"),
    ],
)
def test_a_dynamic_security_file_of_another_shape_names_the_key(text: str, cause: str) -> None:
    with pytest.raises(NexusError) as caught:
        read_dynsec(text)
    assert (caught.value.code, caught.value.cause) == ("NX7036", cause)
    assert "dynsec init" in caught.value.hint
