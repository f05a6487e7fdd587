"""Messages from templates: filled, checked by their schema, explained, and what their fields take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

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
        "subscribe": "reader (no users)",
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


def message(properties: dict[str, Any], **more: Any) -> MessageConfig:
    return MessageConfig(topic="x", schema={"type": "object", "properties": properties, **more})


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "string"}, "17", "17"),
        ({"type": "string"}, '"17"', '"17"'),
        ({}, "17", "17"),
        ({"type": "integer"}, "17", 17),
        ({"$ref": "#/definitions/n"}, "17", 17),
        ({"enum": [1, 2, 3]}, "2", 2),
        ({"const": True}, "true", True),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "17", 17),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "null", None),
        ({"type": ["integer", "string"]}, "5", 5),
        ({"type": ["integer", "string"]}, '"5"', "5"),
        ({"type": ["integer", "string"]}, "five", "five"),
        ({"type": "integer"}, "18446744073709551615", 2**64 - 1),
        ({"type": "integer"}, "-9223372036854775808", -(2**63)),
        ({"type": "number", "multipleOf": 0.1}, "0.3", 0.3),
        ({"type": "number", "multipleOf": 0.01}, "0.07", 0.07),
        ({"type": "array"}, "[1, 2]", [1, 2]),
    ],
)
def test_a_field_is_typed_as_its_schema_takes_it(schema: dict[str, Any], text: str, value: Any) -> None:
    config = message({"f": schema}, definitions={"n": {"type": "integer"}})
    found = typed(config, "f", text)
    assert found == value and type(found) is type(value)
    assert json.loads(render(config, {"f": found})[1]) == {"f": value}


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer"}, "many"),
        ({"type": "integer"}, "18446744073709551616"),
        ({"type": "number"}, "1e400"),
        ({"type": "number"}, "NaN"),
        ({"enum": [1, 2]}, "one"),
        ({"$ref": "#/definitions/n"}, "[1]"),
    ],
)
def test_what_no_type_of_the_field_takes_is_refused(schema: dict[str, Any], text: str) -> None:
    with pytest.raises(MessageError) as caught:
        typed(message({"f": schema}, definitions={"n": {"type": "integer"}}), "f", text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date", "2026-02-28", "2026-02-30"),
        ("date", "2026-02-28", "notaday"),
        ("time", "06:30:00Z", "25:00:00Z"),
        ("date-time", "2026-02-28T06:30:00.5+01:00", "2026-02-28 06:30"),
        ("duration", "P1DT2H", "P1H"),
        ("email", "a@b.example", "a b"),
        ("hostname", "plc-1.plant.example", "-x"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "fe80::1", "fe80::1%eth0"),
        ("uri", "mqtt://plant:1883/x", "no uri"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567"),
        ("json-pointer", "/a/b~1c", "a/b"),
        ("regex", "^a+$", "("),
    ],
)
def test_formats_are_checked(name: str, good: str, bad: str) -> None:
    config = message({"f": {"type": "string", "format": name}})
    assert schema_fault(config.schema) == ""
    render(config, {"f": good})
    with pytest.raises(MessageError, match=name):
        render(config, {"f": bad})


@pytest.mark.parametrize(
    ("of", "value", "fits"),
    [
        (0.1, 0.3, True),
        (0.1, 0.7, True),
        (0.1, 0.35, False),
        (0.01, 19.99, True),
        (3, 2**64 - 1, True),
        (7, 0.5, False),
    ],
)
def test_multiples_are_those_of_decimals(of: float, value: float, fits: bool) -> None:
    config = message({"f": {"type": "number", "multipleOf": of}})
    if fits:
        render(config, {"f": value})
    else:
        with pytest.raises(MessageError, match="multiple"):
            render(config, {"f": value})


def test_what_is_fixed_can_not_be_set() -> None:
    config = MessageConfig(topic="x", payload={"source": "nexus"}, schema={"properties": {"a": {}, "source": {}}})
    assert fields_of(config) == ["a"]
    assert json.loads(render(config, {"a": 1})[1]) == {"source": "nexus", "a": 1}
    with pytest.raises(MessageError, match="'source' is fixed"):
        render(config, {"source": "evil"})


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"properties": {"a": {"$ref": "#/nowhere"}}}, "points at nothing"),
        ({"properties": {"a": {"$ref": "http://127.0.0.1:1/x"}}}, "nothing is fetched"),
        ({"required": ["b"], "properties": {"a": {}}, "additionalProperties": False}, "'b' is required"),
        ({"properties": {"a": {"type": "integer", "minimum": 5, "maximum": 4}}}, "minimum 5"),
        ({"properties": {"a": {"type": "string", "enum": [1]}}}, "no value"),
        ({"properties": {"a": {"type": "integer", "maximum": 1, "enum": [2]}}}, "enum"),
        ({"properties": {"a": {"allOf": [{"type": "string"}, {"type": "integer"}]}}}, "no value"),
        ({"properties": {"a": False}, "required": ["a"]}, "permits nothing"),
        ({"properties": {"a": {"pattern": "\\p{L}"}}}, "Python's dialect"),
        ({"properties": {"a": {"format": "dte"}}}, "nothing checks the format 'dte'"),
        ({"properties": {"a": {"items": {"properties": {"b": {"$ref": "#/x"}}}}}}, "points at nothing"),
    ],
)
def test_a_schema_that_nothing_fits_is_found(schema: dict[str, Any], words: str) -> None:
    assert words in schema_fault(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$ref": "#/definitions/n"}}, "definitions": {"n": {"type": "integer"}}},
        {
            "properties": {"a": {"$ref": "#/definitions/n"}},
            "definitions": {"n": {"items": {"$ref": "#/definitions/n"}}},
        },
        {"required": ["ab"], "patternProperties": {"^a": {}}, "additionalProperties": False},
        {"properties": {"a": False}},
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": {"n": {"type": "null"}}},
    ],
)
def test_a_schema_that_something_fits_is_not(schema: dict[str, Any]) -> None:
    assert schema_fault(schema) == ""


@pytest.mark.parametrize(
    "value", ["a\u202eb", "a\u200bb", "a\x7f", "a\x85b", "a\u2028b", "\ufeffa", "a\u00a0b", "a\tb"]
)
def test_no_level_of_a_topic_hides_what_it_is(value: str) -> None:
    with pytest.raises(MessageError, match="can't be used in a topic"):
        render(MessageConfig(topic="erp/{line}"), {"line": value})


@pytest.mark.parametrize("value", ["Lager 7", "äöü-€", "製造", 17])
def test_what_can_be_seen_may_stand_in_a_topic(value: Any) -> None:
    assert render(MessageConfig(topic="erp/{line}"), {"line": value})[0] == f"erp/{value}"
