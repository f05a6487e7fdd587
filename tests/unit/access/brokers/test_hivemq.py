"""What is written for HiveMQ, and what is said about what can't be."""

from __future__ import annotations

import pytest

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.hivemq.permissions import overlap, sayable
from nexus_cli.access.brokers.hivemq.rbac import CONFIGURATION, CREDENTIALS, REALM, render, render_enterprise
from nexus_cli.access.brokers.hivemq.rbac_reader import read_credentials, read_realm
from nexus_cli.access.grants import HISTORIAN, Grant
from nexus_cli.access.passwords import Hashes
from nexus_cli.diagnostics.errors import NexusError

SITE = Accounts("acme", "chicago")
HASHES = {"desk": Hashes(argon2id="", sha512="7$c2FsdA==$a2V5", sha256="")}
GRANTS = (
    Grant("desk", "publish", "cmd/x/desk", retain=False, qos=(0, 1)),
    Grant("desk", "subscribe", "live/#"),
    Grant(HISTORIAN, "subscribe", "committed/+"),
)
GOOD = render(GRANTS, SITE, HASHES).files[CREDENTIALS]


def test_the_community_form() -> None:
    rendered = render(GRANTS, SITE, HASHES)
    assert rendered.files[CREDENTIALS].split("\n")[2:] == [
        "<file-rbac>",
        "    <users>",
        "        <user>",
        "            <name>desk@acme.chicago</name>",
        "            <password>c2FsdA==:7:a2V5</password>",
        "            <roles><id>desk@acme.chicago</id></roles>",
        "        </user>",
        "    </users>",
        "    <roles>",
        "        <role>",
        "            <id>desk@acme.chicago</id>",
        "            <permissions>",
        "                <permission><topic>cmd/x/desk</topic><activity>PUBLISH</activity><qos>ZERO_ONE</qos>"
        "<retain>NOT_RETAINED</retain></permission>",
        "                <permission><topic>live/#</topic><activity>SUBSCRIBE</activity><qos>ALL</qos>"
        "<retain>ALL</retain></permission>",
        "            </permissions>",
        "        </role>",
        "    </roles>",
        "</file-rbac>",
        "",
    ]
    assert "<password-type>HASHED</password-type>" in rendered.files[CONFIGURATION]
    assert [(note.code, note.rule) for note in rendered.notes] == [
        ("NX7013", "nexus.historian subscribe committed/+"),
        ("NX7013", "client ids of nexus.historian"),
        ("NX7013", "topics that end in '/'"),
        ("NX7014", "user nexus.historian"),
    ]


def test_the_enterprise_form_has_roles_and_no_passwords() -> None:
    rendered = render_enterprise(GRANTS, SITE)
    rules = read_realm(rendered.files[REALM])
    assert set(rules.roles) == {"desk@acme.chicago", "nexus.historian@acme.chicago"}
    assert "password" not in rendered.files[REALM]
    assert "<file-path>conf/ese-file-realm.xml</file-path>" in rendered.files[CONFIGURATION]
    assert rendered.notes[-1].code == "NX7014"


def test_users_that_were_added_to_a_realm_have_their_roles() -> None:
    user = "<users><user><name>u</name><password>p</password><roles><role>r</role></roles></user></users>"
    role = "<roles><role><id>r</id><permissions><permission><topic>a</topic></permission></permissions></role></roles>"
    rules = read_realm(f"<ese-file-realm version='1'><mqtt>{user}{role}</mqtt></ese-file-realm>")
    assert rules.users["u"] == ("user u", "r")


@pytest.mark.parametrize(
    ("grants", "topics", "written", "code"),
    [
        # Nobody publishes below or at `a`, so that `a/#` would give nothing more.
        ([("subscribe", "a/+")], [], ["a/+"], "NX7013"),
        ([("subscribe", "a/+"), ("publish", "a/b/#")], [], [], "NX7014"),
        ([("subscribe", "a/+"), ("publish", "a")], ["a/x", "a/y", "b/x"], ["a/x", "a/y"], "NX7014"),
        ([("subscribe", "a/+"), ("subscribe", "a/#"), ("publish", "a/b/#")], [], ["a/+", "a/#"], ""),
        ([("subscribe", "a/+/#"), ("publish", "a")], ["a/x/y"], ["a/x/y"], "NX7014"),
        ([("subscribe", "#")], ["a/x"], ["a/x"], "NX7014"),
        ([("subscribe", "+/a")], [], [], "NX7014"),
        ([("subscribe", "a/+/b"), ("publish", "a/#")], [], ["a/+/b"], ""),
    ],
)
def test_no_topic_is_given_that_nobody_granted(
    grants: list[tuple[str, str]], topics: list[str], written: list[str], code: str
) -> None:
    rules = [Grant("desk", action, filter_) for action, filter_ in grants]  # type: ignore[arg-type]
    said = sayable(rules, topics)
    assert [each.filter for each in said.grants if each.action == "subscribe"] == written
    assert [note.code for note in said.notes] == ([code] if code else [])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a/#", "a", True),
        ("a", "a/#", True),
        ("a/+/+/#", "a/b/#", True),
        ("a/+/+/#", "a/b", False),
        ("a/+", "+/b", True),
        ("a/b", "a/c/#", False),
        ("a/+/x", "a/b/y", False),
    ],
)
def test_filters_overlap_when_a_topic_fits_both(one: str, other: str, expected: bool) -> None:
    assert overlap(one, other) is overlap(other, one) is expected


def test_a_file_without_users_is_not_written() -> None:
    """HiveMQ would not take it, and who lost its rights would keep them."""
    with pytest.raises(NexusError) as caught:
        render(GRANTS, SITE, {})
    assert caught.value.code == "NX7036"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<file-rbac>", "<file>"),
        ("</file-rbac>", ""),
        ("<name>desk@acme.chicago</name>", "<name></name>"),
        ("c2FsdA==:7:a2V5", "secret"),
        ("<roles><id>desk@acme.chicago</id></roles>", "<roles><id>other</id></roles>"),
        ("<topic>live/#</topic>", "<topic>live/#/x</topic>"),
        ("<topic>live/#</topic>", "<topic>$share/g/live</topic>"),
        ("<topic>live/#</topic>", "<topic></topic>"),
        ("<activity>SUBSCRIBE</activity>", "<activity>subscribe</activity>"),
        ("<qos>ALL</qos>", "<qos>3</qos>"),
        ("<retain>ALL</retain>", "<deny>ALL</deny>"),
        ("<file-rbac>", "<!DOCTYPE x [<!ENTITY e 'x'>]><file-rbac>"),
    ],
)
def test_what_hivemq_does_not_take_is_refused(old: str, new: str) -> None:
    assert old in GOOD
    read_credentials(GOOD)
    with pytest.raises(NexusError) as caught:
        read_credentials(GOOD.replace(old, new))
    assert caught.value.code == "NX7036"
