"""HiveMQ's traps, each shown on HiveMQ CE and by our reader of its role file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nexus_cli.access.brokers.hivemq.rbac_reader import RoleFile, read_credentials
from nexus_cli.access.passwords import hash_password
from nexus_cli.access.request import Request
from nexus_cli.local.ports import free_port
from tests import hivemq
from tests.asking import Asker, Refused

PERMISSIONS = (
    ("a/+", "SUBSCRIBE", "ALL", "ALL", ""),
    ("b/+/#", "SUBSCRIBE", "ALL", "ALL", ""),
    ("c/+/x", "SUBSCRIBE", "ALL", "ALL", ""),
    ("+/dollar", "SUBSCRIBE", "ALL", "ALL", ""),
    ("shared/#", "SUBSCRIBE", "ALL", "ALL", "<shared-subscription>SHARED</shared-subscription>"),
    ("plain/#", "SUBSCRIBE", "ALL", "ALL", "<shared-subscription>NOT_SHARED</shared-subscription>"),
    ("group/#", "SUBSCRIBE", "ALL", "ALL", "<shared-group>g</shared-group>"),
    ("low/#", "SUBSCRIBE", "ZERO_ONE", "ALL", ""),
    ("p/q", "PUBLISH", "ALL", "ALL", ""),
    ("own/${{username}}/${{clientid}}", "PUBLISH", "ALL", "ALL", ""),
    ("kept", "PUBLISH", "ALL", "RETAINED", ""),
    ("fresh", "PUBLISH", "TWO", "NOT_RETAINED", ""),
)
SUBSCRIBED = [
    "a/+",
    "a/#",
    "a/b",
    "a/b/c",
    "a",
    "b/#",
    "b/+/#",
    "b",
    "b/x/y",
    "c/+/x",
    "c/#",
    "c/+/+",
    "x/dollar",
    "$SYS/dollar",
    "shared/x",
    "$share/g/shared/x",
    "plain/x",
    "$share/g/plain/x",
    "group/x",
    "$share/g/group/x",
    "$share/h/group/x",
    "low/x",
    "#",
    "+/#",
]
PUBLISHED = ["p/q", "p/q/", "p/q/r", "p", "own/u/id-1", "own/u/id-2", "own/v/id-1"]
USER, PASSWORD = "u", "secret of the test"


def _text() -> str:
    iterations, salt, key = hash_password(PASSWORD, argon2id=False, iterations=10).sha512.split("$")
    permissions = "".join(
        f"<permission><topic>{topic}</topic><activity>{activity}</activity><qos>{qos}</qos><retain>{retain}</retain>"
        f"{more}</permission>"
        for topic, activity, qos, retain, more in PERMISSIONS
    )
    return (
        f"<file-rbac><users><user><name>{USER}</name><password>{salt}:{iterations}:{key}</password>"
        f"<roles><id>r</id></roles></user></users><roles><role><id>r</id><permissions>{permissions}</permissions></role>"
        "</roles></file-rbac>"
    )


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Asker, int]]:
    """A client of a running HiveMQ CE, and its port."""
    if missing := hivemq.problem():
        pytest.skip(missing)
    port = free_port()
    with (
        hivemq.running_hivemq(tmp_path_factory.mktemp("hivemq"), _text(), port),
        Asker(port, USER, PASSWORD, "id-1", closes=True) as client,
    ):
        yield client, port


RULES: RoleFile = read_credentials(_text())


def _subscribes(topic: str, qos: int = 1) -> bool:
    return RULES.decide(Request(user=USER, wish="subscribe", topic=topic, qos=qos, client_id="id-1")).allowed


def _publishes(topic: str, qos: int = 1, *, retain: bool = False) -> bool:
    asked = Request(user=USER, wish="publish", topic=topic, qos=qos, retain=retain, client_id="id-1")
    return RULES.decide(asked).allowed


def test_subscriptions_are_answered_as_our_reader_answers(asked: tuple[Asker, int]) -> None:
    client, _ = asked
    answers = {topic: client.subscribe(topic) for topic in SUBSCRIBED}
    assert answers == {topic: _subscribes(topic) for topic in SUBSCRIBED}
    assert answers["a/#"], "a '+' at the end gives '#' in its place"
    assert answers["b/#"] and not answers["c/#"], "and so does one before '#', but none further in front"
    assert answers["$SYS/dollar"], "a wildcard at the beginning includes '$'"
    assert not answers["shared/x"] and answers["$share/g/shared/x"]
    assert answers["$share/g/group/x"] and not answers["$share/h/group/x"]
    assert not answers["#"]
    levels = [client.subscribe("low/x", qos=qos) for qos in (0, 1, 2)]
    assert levels == [_subscribes("low/x", qos) for qos in (0, 1, 2)] == [True, True, False]


def test_messages_are_answered_as_our_reader_answers(asked: tuple[Asker, int]) -> None:
    client, _ = asked
    answers = {topic: client.publish(topic) for topic in PUBLISHED}
    assert answers == {topic: _publishes(topic) for topic in PUBLISHED}
    assert answers["p/q/"], "a '/' at the end is cut off"
    for topic in ("kept", "fresh"):
        for qos in (1, 2):
            for retain in (True, False):
                expected = _publishes(topic, qos, retain=retain)
                assert client.publish(topic, qos=qos, retain=retain) is expected, (topic, qos, retain)
    assert not client.publish("$nexus/x"), "HiveMQ ends the connection"


def test_a_wrong_password_stays_out(asked: tuple[Asker, int]) -> None:
    _, port = asked
    for user, password in ((USER, "wrong"), ("stranger", PASSWORD), ("", "")):
        with pytest.raises(Refused):
            Asker(port, user, password, "x")
