"""Commands as bytes, times of expiry, messages from templates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.model.procedure_config import (
    MessageConfig,
    MessageError,
    fields_of,
    filter_of,
    render,
    schema_fault,
    typed,
)
from nexus_cli.project.explain import explain_path
from nexus_cli.project.text import load
from nexus_cli.runtime.gateway.commanding.judge import Clocks
from nexus_cli.wire.command import Command, CommandError, decode_command, encode
from nexus_cli.wire.topic import Topics

NOW_US = 1_800_000_000_000_000
ORDER = MessageConfig(
    topic="erp/{line}/orders",
    schema={
        "type": "object",
        "required": ["order"],
        "properties": {"order": {"type": "string"}, "amount": {"type": "integer", "minimum": 1}},
        "additionalProperties": False,
    },
)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_or_a_plain_refusal(payload: bytes) -> None:
    try:
        decode_command(payload)
    except CommandError as error:
        assert str(error)


@pytest.mark.parametrize("name", ["", "a/b", "+", "#", "a b", "ä", "x" * 129, "-a"])
def test_ids_that_can_stand_in_no_topic_are_refused(name: str) -> None:
    with pytest.raises(CommandError):
        decode_command(json.dumps({"id": name, "value": 1, "expires_at": 1}).encode())


def test_a_command_survives_its_own_encoding() -> None:
    command = Command(id="a.1", value=[1, 2.5, "x", None], expires_at=NOW_US, expect=None, reason="why")
    assert decode_command(encode(command)) == command
    assert command.fingerprint("a/b/c/d") != command.fingerprint("a/b/c/e")


def test_the_topic_of_a_command_is_read_back() -> None:
    topics = Topics("acme", "chicago")
    assert topics.split_command(topics.command("a/l/d/t", "desk")) == ("a/l/d/t", "desk")
    for wrong in ("_nexus/acme/chicago/cmd/a/l/d/desk", "_nexus/acme/berlin/cmd/a/l/d/t/desk", "x"):
        assert topics.split_command(wrong) is None


@pytest.mark.parametrize(
    ("expires_s", "doubt", "code"),
    [
        (10, "", None),
        (60, "", None),
        (0, "", "NX6808"),
        (-5, "", "NX6808"),
        (60.001, "", "NX6808"),
        (10, "the clock of this machine says 1970-01-02, which can't be", "NX6810"),
    ],
)
def test_times(expires_s: float, doubt: str, code: str | None) -> None:
    clocks = Clocks(lambda: NOW_US, lambda: doubt)
    found = clocks.objection(NOW_US + int(expires_s * 1e6))
    assert (found.code if found else None) == code
    assert doubt in (found.detail if found else "")


def test_messages_are_filled_and_checked() -> None:
    topic, payload = render(ORDER, {"line": "one", "order": "17", "amount": 2})
    assert (topic, json.loads(payload)) == ("erp/one/orders", {"order": "17", "amount": 2})
    assert filter_of(ORDER.topic) == "erp/+/orders"
    assert fields_of(ORDER) == ["order", "amount", "line"]
    assert typed(ORDER, "amount", "5") == 5 and typed(ORDER, "order", "5") == "5"


@pytest.mark.parametrize(
    "values",
    [
        {"order": "17"},
        {"line": "a/b", "order": "17"},
        {"line": "+", "order": "17"},
        {"line": "", "order": "17"},
        {"line": True, "order": "17"},
        {"line": "one"},
        {"line": "one", "order": 17},
        {"line": "one", "order": "17", "amount": 0},
        {"line": "one", "order": "17", "more": 1},
    ],
)
def test_messages_that_do_not_fit_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        render(ORDER, values)


def test_schemas_are_schemas_and_fetch_nothing() -> None:
    assert schema_fault({}) == ""
    assert schema_fault({"type": "objekt"})
    assert schema_fault({"type": "array"})
    with pytest.raises(MessageError, match="schema can't be used"):
        render(MessageConfig(topic="x", schema={"$ref": "http://127.0.0.1:1/x"}), {"a": 1})


def test_explained_with_who_may_publish_it(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(
        """
nexus: 1
enterprise: acme
site: chicago
areas: {a: {lines: {l: {devices: {d: {protocol: external, tags: {t: {type: bool}}}}}}}}
messages:
  start-order: {topic: "erp/orders/{line}", retain: true}
  recipe: {topic: erp/recipe}
sequences: {go: {steps: [{publish: start-order, set: {line: one}}]}}
access:
  roles: {operator: {read: ["a/**"], publish: ["start-*"]}, reader: {subscribe: [start-order]}}
  users: {desk: {role: operator}}
"""
    )
    found = explain_path("start-order", site=site).value
    assert found is not None and dict(found.steps) == {
        "topic": "erp/orders/{line}",
        "fields": "line",
        "qos": "1, retained",
        "nexus publish": "checked against its schema",
        "sequences": "go",
        "publish": "operator (desk)",
        "hear": "reader (no users)",
        "broker": "lets them do so on erp/orders/+, whatever the payload",
    }
    other = explain_path("recipe", site=site).value
    assert other is not None and dict(other.steps)["publish"] == "no role: no user may publish it"


@pytest.mark.parametrize("topic", ["erp/my orders/x", "erp/Aufträge", "erp/a$b", "erp/x:y"])
def test_a_level_that_no_broker_rule_can_hold_is_found(tmp_path: Path, topic: str) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(
        "nexus: 1\nenterprise: acme\nsite: chicago\n"
        "areas: {a: {lines: {l: {devices: {d: {protocol: external, tags: {t: {type: bool}}}}}}}}\n"
        f"messages: {{m: {{topic: '{topic}'}}}}\n"
    )
    assert [one.code for one in load(site).findings] == ["NX2908"]
