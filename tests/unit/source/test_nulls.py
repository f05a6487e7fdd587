"""`null` removes what a template, a default or the base site gives, and the schema of editors agrees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from nexus_cli.project.text import read

ROOT = Path(__file__).parents[3]
SCHEMA = jsonschema.Draft7Validator(json.loads((ROOT / "schemas/site.schema.json").read_text(encoding="utf-8")))


def site(device: dict[str, Any], **more: Any) -> dict[str, Any]:
    line = {"devices": {"d": device}, **more.pop("line", {})}
    return {"nexus": 1, "enterprise": "acme", "site": "p", "areas": {"a": {"lines": {"l": line}}}, **more}


def template(**keys: Any) -> dict[str, Any]:
    tag = {"address": "input:0", "type": "uint16", "unit": "V", "labels": {"x": "1", "y": "2"}, "poll": "2s"}
    return {"m": {"protocol": "modbus", "tags": {"v": tag}, **keys}}


HOST = {"host": "10.0.0.1"}
OWN = {"protocol": "modbus", "connection": HOST, "tags": {"v": {"address": "input:0", "type": "uint16"}}}


@pytest.mark.parametrize(
    ("written", "where", "left"),
    [
        (
            site({"template": "m", "labels": {"cell": None}, "connection": HOST}, templates=template(labels={"cell": "4", "o": "e"})),
            "labels", {"o": "e"},
        ),
        (
            site({"template": "m", "connection": HOST}, templates=template(labels={"cell": None, "o": "e"})),
            "labels", {"o": "e"},
        ),
        (
            site({"template": "m", "connection": HOST}, templates=template(connection={"max_gap": None}), defaults={"connection": {"max_gap": 3}}),
            "max_gap", None,
        ),
        (
            site(OWN, defaults={"connection": {"max_gap": 3}}, line={"defaults": {"connection": {"max_gap": None}}}),
            "max_gap", None,
        ),
        (
            site({"template": "m", "connection": {**HOST, "max_gap": None}}, templates=template(connection={"max_gap": 9})),
            "max_gap", None,
        ),
        (
            site({"template": "m", "connection": HOST, "tags": {"v": {"labels": {"x": None}}}}, templates=template()),
            "tag.labels", {},
        ),
        (
            site({"template": "m", "connection": HOST, "tags": {"v": {"unit": None, "poll": None}}}, templates=template()),
            "tag.unit", None,
        ),
        (site({**OWN, "template": None}), "labels", {}),
    ],
)  # fmt: skip
def test_null_removes(tmp_path: Path, written: dict[str, Any], where: str, left: Any) -> None:
    assert [error.message for error in SCHEMA.iter_errors(written)] == []
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump(written), encoding="utf-8")
    reading = read(path)
    assert [item for item in reading.findings if item.severity == "error"] == []
    assert reading.model is not None
    (device,) = reading.model.devices.values()
    (tag,) = device.tags.values()
    if where == "labels":
        assert dict(device.device.labels or {}) == left
    elif where == "max_gap":
        fresh = type(device.connection).model_validate(HOST)
        assert device.connection.max_gap == fresh.max_gap
    elif where == "tag.labels":
        assert dict(tag.tag.labels or {}) == left
    else:
        assert tag.tag.unit is left


OVERLAYS = [
    {"retention": {"p": {"keep": "90d", "compress_after": None}}},
    {"gateways": None},
    {"gateways": {"g": {"select": None}}},
    {"alerts": {"al": None}},
    {"access": {"roles": {"op": None}}},
    {
        "areas": {
            "a": {
                "lines": {
                    "l": {"devices": {"d": {"protocol": "modbus", "connection": {"port": None}, "labels": {"k": None}}}}
                }
            }
        }
    },
    {
        "areas": {
            "a": {"lines": {"l": {"devices": {"d": {"template": "m", "tags": {"v": {"range": None, "labels": None}}}}}}}
        }
    },
]


@pytest.mark.parametrize("overlay", OVERLAYS, ids=str)
def test_the_schema_takes_null_in_an_overlay(overlay: dict[str, Any]) -> None:
    assert [error.message for error in SCHEMA.iter_errors(overlay)] == []


@pytest.mark.parametrize("key", ["nexus", "enterprise", "site"])
def test_what_a_site_must_have_is_never_null(key: str) -> None:
    assert list(SCHEMA.iter_errors({**site(OWN), key: None}))
