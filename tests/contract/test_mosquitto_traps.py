"""Mosquitto's traps, each shown on the running broker, and what keeps NEXUS out of it.

Without a `password_file` Mosquitto takes any user name, so that each case can be asked as whoever it is about.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest

from nexus_cli.access.brokers.mosquitto.acl_reader import read_acl, validate
from nexus_cli.access.brokers.mosquitto.dynsec_reader import read_dynsec
from nexus_cli.access.brokers.mosquitto.passwords import check_passwords
from nexus_cli.access.grants import Grant
from nexus_cli.access.grants_file import Wanted
from nexus_cli.access.request import Request, Rules
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local import broker_mosquitto
from nexus_cli.local.ports import free_port
from tests.asking import Asker, Refused
from tests.mosquittos import plugin, running_mosquitto, start_mosquitto
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(broker_mosquitto.program() is None, reason="mosquitto is not installed")

BAD = {
    "tab": b"user a\ntopic\tread x/#\n",
    "tab behind user": b"user\ta\n",
    "unknown keyword": b"topics read x\n",
    "unknown access": b"user a\ntopic reed x/#\n",
    "space in a topic without access": b"user a\ntopic x y\n",
    "no topic": b"user a\ntopic \n",
    "user without a name": b"user\n",
    "invalid filter": b"user a\ntopic read x/#/y\n",
    "plus inside a level": b"user a\npattern read x/a+/y\n",
    "indented comment": b"user a\n # a comment\n",
    "byte order mark": b"\xef\xbb\xbfuser a\ntopic read x\n",
    "byte order mark before a comment": b"\xef\xbb\xbf# a comment\n",
    "too many levels": b"user a\ntopic read " + b"x/" * 201 + b"x\n",
}
GOOD = {
    "carriage returns": b"user a\r\ntopic read x/#\r\n",
    "leading spaces": b"user a\n   topic   read   x/#\n",
    "a space in a topic": b"user a\ntopic read x y/z\n",
    "a tab in a topic": b"user a\ntopic read\tx\n",
    "an access word as topic": b"user a\ntopic readwrite\n",
    "no end of line": b"user a\ntopic read x/#",
    "not UTF-8": b"user a\ntopic read x/\xff\n",
    "the most levels": b"user a\ntopic read " + b"x/" * 200 + b"x\n",
    "nothing": b"\n",
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_mosquitto_ends_with_is_refused_by_our_reader(case: str, tmp_path: Path) -> None:
    child, log = start_mosquitto(tmp_path, free_port(), acl=BAD[case])
    assert child.wait(60) == 3, log.read_text()
    with pytest.raises(NexusError) as caught:
        validate(BAD[case])
    assert caught.value.code == "NX7035"
    assert caught.value.cause.startswith("line ")


@pytest.mark.parametrize("case", GOOD)
def test_a_file_that_mosquitto_loads_is_taken_by_our_reader(case: str, tmp_path: Path) -> None:
    validate(GOOD[case])
    with running_mosquitto(tmp_path, free_port(), acl=GOOD[case]):
        pass


def test_a_bad_line_at_reload_opens_the_broker_and_our_reader_refuses_it_before(tmp_path: Path) -> None:
    good, bad = "user a\ntopic read x/#\n", "user a\ntopic\tread x/#\n"
    port = free_port()
    with running_mosquitto(tmp_path, port, acl=good) as broker, Asker(port, "a", "p", "a-1") as client:
        assert not client.publish("y/secret")
        broker.write("acl", bad)
        broker.reload()
        wait_until(lambda: client.publish("y/secret"), "every rule to be dropped, as Mosquitto 2.0 does")
        with pytest.raises(NexusError):
            validate(bad)
        broker.write("acl", good)
        broker.reload()
        wait_until(lambda: not client.publish("y/secret"), "the rules to be in force again")


def test_write_access_keeps_the_rules_in_force_and_the_ones_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = broker_mosquitto.LocalMosquitto(tmp_path)
    broker.prepare(port=free_port(), wanted=Wanted((Grant("a", "subscribe", "x/#"),)), passwords={"a": "secret"})
    first = (broker.folder / "acl").read_text()
    monkeypatch.setattr(broker_mosquitto, "render_acl", lambda grants: "user a\ntopic\tread x/#\n")
    with pytest.raises(NexusError) as caught:
        broker.write_access(Wanted((Grant("a", "subscribe", "y/#"),)), {"a": "secret"})
    assert caught.value.code == "NX7035"
    assert (broker.folder / "acl").read_text() == first
    monkeypatch.undo()
    assert broker.write_access(Wanted((Grant("a", "subscribe", "z/#"),)), {"a": "secret"})
    assert (broker.folder / "acl.before").read_text() == first
    assert "topic read z/#" in (broker.folder / "acl").read_text()


RULES = """\
topic read open/#
topic write drop/%u
user ann
topic readwrite plant/#
topic deny plant/secret/#
topic read $nexus/#
topic readwrite $SYS/#
topic write $share/g/plant
user b+b
topic write plant/#
pattern write own/%u/%c
pattern deny plant/locked
pattern deny own/%u/none
pattern read all/#
"""
PEOPLE = (("", "anon"), ("ann", "ann-1"), ("ann", "an+1"), ("b+b", "bob"), ("eve", "ann"), ("eve", "x/y"))
PUBLISHED = [
    "open/a",
    "drop/ann",
    "drop/%u",
    "plant/a",
    "plant/secret/a",
    "plant/locked",
    "own/ann/ann-1",
    "own/eve/ann",
    "own/eve/x/y",
    "own/ann/none",
    "all/a",
    "$nexus/a",
    "$SYS/a",
    "$SYS/broker/connection/c/state",
    "$share/g/plant",
    "plant",
]


def _agrees(rules: Rules, client: Asker, user: str, client_id: str, topics: list[str]) -> tuple[int, int]:
    answers = [client.publish(topic) for topic in topics]
    said = [
        rules.decide(Request(user=user, wish="publish", topic=each, client_id=client_id)).allowed for each in topics
    ]
    assert dict(zip(topics, answers, strict=True)) == dict(zip(topics, said, strict=True)), (user, client_id)
    return sum(answers), len(answers) - sum(answers)


def test_denies_patterns_anonymous_lines_and_dangerous_names_are_read_as_mosquitto_reads_them(tmp_path: Path) -> None:
    port, rules = free_port(), read_acl(RULES)
    allowed = refused = 0
    with running_mosquitto(tmp_path, port, acl=RULES):
        for user, client_id in PEOPLE:
            with Asker(port, user, "p", client_id) as client:
                yes, no = _agrees(rules, client, user, client_id, PUBLISHED)
                allowed, refused = allowed + yes, refused + no
    assert allowed >= 6 and refused > 20
    ask = {
        "own allow beats a pattern's deny": Request(user="ann", wish="publish", topic="plant/locked", client_id="a"),
        "a '#' is not for $": Request(user="ann", wish="publish", topic="$nexus/a", client_id="a"),
        "a deny comes first": Request(user="ann", wish="publish", topic="plant/secret/a", client_id="a"),
        "a name with '+'": Request(user="b+b", wish="publish", topic="own/b+b/x", client_id="x"),
    }
    assert [rules.decide(each).allowed for each in ask.values()] == [True, False, False, False]


def test_a_dangerous_name_works_where_there_are_no_patterns(tmp_path: Path) -> None:
    text, port = "user b+b\ntopic write plant/#\n", free_port()
    with running_mosquitto(tmp_path, port, acl=text), Asker(port, "b+b", "p", "b#1") as client:
        assert _agrees(read_acl(text), client, "b+b", "b#1", ["plant/a", "other"]) == (1, 1)


def test_subscriptions_are_granted_and_deliveries_checked_by_topic_also_in_a_share_group(tmp_path: Path) -> None:
    text = "user a\ntopic read x/#\ntopic deny x/secret\ntopic read $share/g/y/#\nuser s\ntopic write #\n"
    port = free_port()
    with (
        running_mosquitto(tmp_path, port, acl=text),
        Asker(port, "a", "p", "a-1") as plain,
        Asker(port, "a", "p", "a-2") as shared,
        Asker(port, "s", "p", "s-1") as speaker,
    ):
        assert plain.subscribe("#")
        assert shared.subscribe("$share/g/x/#")
        assert shared.subscribe("$share/g/y/#")
        for topic in ("x/secret", "y/a", "x/a"):
            assert speaker.publish(topic)
        while not (plain.heard and shared.heard):
            plain.fence()
            shared.fence()
        assert plain.heard == shared.heard == [("x/a", b"x")]


def _entry(name: str, salt: bytes, form: str = "$7$10$") -> str:
    key = hashlib.pbkdf2_hmac("sha512", b"p", salt, 10, 64)
    return f"{name}:{form}{base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}\n"


@pytest.mark.parametrize(
    ("entry", "user"),
    [
        (_entry("a", b"s" * 16), "a"),
        (_entry("a", b"s" * 8), "a"),
        (_entry("a", b"s" * 12, "$8$10$"), "a"),
        (_entry("a", b"s" * 12, "$7$0$"), "a"),
        (_entry("a:b", b"s" * 12), "a:b"),
    ],
    ids=["salt of 16", "salt of 8", "unknown form", "no iterations", "a colon in the name"],
)
def test_an_entry_that_mosquitto_drops_is_refused_by_our_reader(entry: str, user: str, tmp_path: Path) -> None:
    port, other = free_port(), _entry("ok", b"t" * 12)
    with running_mosquitto(tmp_path, port, passwords=other + entry):
        Asker(port, "ok", "p", "ok-1").__exit__(None, None, None)
        with pytest.raises(Refused):
            Asker(port, user, "p", "a-1")
    with pytest.raises(NexusError) as caught:
        check_passwords(other + entry)
    assert caught.value.code == "NX7037"
    assert check_passwords(other) == ("ok",)


def _dynsec() -> str:
    salt, key = b"s" * 12, base64.b64encode(hashlib.pbkdf2_hmac("sha512", b"p", b"s" * 12, 10, 64)).decode()
    login = {"password": key, "salt": base64.b64encode(salt).decode(), "iterations": 10}

    def acl(kind: str, topic: str, allow: bool = True, priority: int = 0) -> dict[str, object]:
        return {"acltype": kind, "topic": topic, "priority": priority, "allow": allow}

    return json.dumps(
        {
            "defaultACLAccess": {"publishClientSend": False, "publishClientReceive": True, "subscribe": False},
            "clients": [
                {"username": "ann", "roles": [{"rolename": "low"}, {"rolename": "high", "priority": 5}], **login},
                {"username": "bob", "clientid": "bob-1", **login},
                {"username": "gone", "disabled": True, **login},
            ],
            "groups": [{"groupname": "team", "roles": [{"rolename": "low"}], "clients": [{"username": "bob"}]}],
            "roles": [
                {
                    "rolename": "low",
                    "acls": [
                        acl("publishClientSend", "plant/#"),
                        acl("publishClientSend", "plant/secret", allow=False, priority=3),
                        acl("subscribePattern", "a/+"),
                        acl("subscribePattern", "shared/#"),
                        acl("subscribePattern", "$share/+/both/#"),
                        acl("subscribePattern", "+/open"),
                        acl("subscribeLiteral", "b/#"),
                        acl("subscribePattern", "c/#"),
                        acl("subscribeLiteral", "c/d", allow=False, priority=-9),
                    ],
                },
                {"rolename": "high", "acls": [acl("publishClientSend", "plant/high", allow=False)]},
            ],
        }
    )


@pytest.mark.skipif(not plugin(), reason="mosquitto's dynamic security plug-in is not installed")
def test_dynamic_security_is_read_as_the_plug_in_reads_it(tmp_path: Path) -> None:
    text, port = _dynsec(), free_port()
    rules = read_dynsec(text)
    wanted = [
        "a/+",
        "a/#",
        "a/b",
        "a/b/c",
        "#",
        "+",
        "shared/#",
        "$share/g/shared/#",
        "both/#",
        "$share/g/both/#",
        "$share/g/both/x",
        "b/#",
        "b/x",
        "c/d",
        "c/e",
        "c/#",
        "$SYS/#",
        "x/open",
        "$SYS/open",
        "+/open",
    ]
    with running_mosquitto(tmp_path, port, dynsec=text):
        with pytest.raises(Refused):
            Asker(port, "gone", "p", "gone-1")
        with pytest.raises(Refused):
            Asker(port, "bob", "p", "ann-1")
        for user in ("ann", "bob"):
            with Asker(port, user, "p", f"{user}-1") as client:
                answers = {each: client.subscribe(each) for each in wanted}
                assert answers == {
                    each: rules.decide(Request(user=user, wish="subscribe", topic=each)).allowed for each in wanted
                }
                assert _agrees(rules, client, user, f"{user}-1", ["plant/a", "plant/secret", "plant/high", "x"])[1] > 1
    assert answers["a/+"] and not answers["a/#"], "unlike EMQX and HiveMQ"
    assert answers["shared/#"] and not answers["$share/g/shared/#"], "a share prefix is part of the filter"
    assert answers["$SYS/open"], "a wildcard at the beginning includes '$'; its messages are another matter"
    assert not answers["c/d"], "literals come before patterns, whatever their priority"
