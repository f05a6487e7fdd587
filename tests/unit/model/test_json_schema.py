"""The schema for editors: what ships validates, and what a person gets wrong is marked where it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from nexus_cli.drivers.registry import kinds
from nexus_cli.model.json_schema import json_schema, overlay_schema

SITES = Path(__file__).parents[3] / "sites"
FILES = sorted(path for path in SITES.rglob("*.yaml") if path.parent.name not in ("env", "tests"))
SCHEMA = json_schema(kinds())
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
LATER_THAN_DRAFT_7 = {
    "$defs",
    "prefixItems",
    "unevaluatedProperties",
    "dependentRequired",
    "dependentSchemas",
    "minContains",
}


def read(file: Path) -> Any:
    return keys_as_text(yaml.safe_load(file.read_text(encoding="utf-8")))


def keys_as_text(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(key): keys_as_text(value) for key, value in node.items()}
    return [keys_as_text(item) for item in node] if isinstance(node, list) else node


def errors(document: Any) -> list[str]:
    return ["/".join(map(str, error.absolute_path)) for error in VALIDATOR.iter_errors(document)]


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(SITES)))
def test_what_ships_is_valid(file: Path) -> None:
    assert errors(read(file)) == []


def test_the_schema_is_draft_7() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    words = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            words.update(node)
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(SCHEMA)
    assert not words & LATER_THAN_DRAFT_7
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


DEVICES = "areas/bottling/lines/line-1/devices"


@pytest.mark.parametrize(
    ("path", "value", "marked"),
    [
        ("nexus", 2, "nexus"),
        ("extra", 1, ""),
        ("defaults/pol", "1s", "defaults"),
        ("defaults/poll", 5, "defaults/poll"),
        (f"{DEVICES}/conveyor/protocol", "modbs", f"{DEVICES}/conveyor/protocol"),
        (f"{DEVICES}/conveyor/connection/hots", "x", f"{DEVICES}/conveyor/connection"),
        (f"{DEVICES}/conveyor/connection/port", 70000, f"{DEVICES}/conveyor/connection/port"),
        (f"{DEVICES}/conveyor/tags/speed/typ", "int16", f"{DEVICES}/conveyor/tags/speed"),
        (f"{DEVICES}/conveyor/tags/speed/type", "real", f"{DEVICES}/conveyor/tags/speed/type"),
        (f"{DEVICES}/conveyor/tags/speed/mode", "push", f"{DEVICES}/conveyor/tags/speed/mode"),
        (f"{DEVICES}/conveyor/tags/speed/range", [1], f"{DEVICES}/conveyor/tags/speed/range"),
        (f"{DEVICES}/conveyor/tags/speed/deadband", "2", f"{DEVICES}/conveyor/tags/speed/deadband"),
        (f"{DEVICES}/conveyor/tags/Speed 2", {"type": "bool"}, f"{DEVICES}/conveyor/tags"),
        (f"{DEVICES}/filler/tags/state/values", {"on": "x"}, f"{DEVICES}/filler/tags/state/values"),
        (f"{DEVICES}/filler/topics", ["**"], f"{DEVICES}/filler/topics"),
        ("alerts/conveyor-jammed/severity", "high", "alerts/conveyor-jammed/severity"),
        ("retention/process/rollups", ["2m"], "retention/process/rollups/0"),
    ],
)
def test_a_mistake_is_marked(path: str, value: Any, marked: str) -> None:
    document = read(SITES / "demo" / "site.yaml")
    node = document
    *heads, last = path.split("/")
    for head in heads:
        node = node[head]
    node[last] = value
    assert any(error == marked or error.startswith(marked + "/") for error in errors(document)), errors(document)


def test_references_stand_where_scalars_stand() -> None:
    document = read(SITES / "demo" / "site.yaml")
    conveyor = document["areas"]["bottling"]["lines"]["line-1"]["devices"]["conveyor"]
    conveyor["connection"]["port"] = "${var:port}"
    conveyor["tags"]["speed"] = {"address": "holding:${var:base}", "type": "${var:type}", "poll": "${var:poll}"}
    conveyor["tags"]["state"] = None
    assert errors(document) == []


def test_every_key_has_a_text_to_hover() -> None:
    missing = [
        f"{name}.{key}"
        for name, schema in SCHEMA["definitions"].items()
        for key, value in schema.get("properties", {}).items()
        if not value.get("description") and "$ref" not in value
    ]
    allowed = {"labels", "description", "absolute", "percent"}
    assert [item for item in missing if item.rsplit(".", 1)[1] not in allowed] == []


OVERLAYS = jsonschema.Draft7Validator(overlay_schema(kinds()))


@pytest.mark.parametrize("file", sorted(SITES.rglob("env/*.yaml")), ids=lambda path: str(path.relative_to(SITES)))
def test_an_overlay_that_ships_is_valid(file: Path) -> None:
    assert list(OVERLAYS.iter_errors(read(file))) == []


def test_an_overlay_says_only_what_differs() -> None:
    text = """
    retention: {process: {compress_after: 1d}}
    areas: {p: {lines: {l: {devices: {d: {connection: {host: 10.0.0.9}, tags: {v: {poll: 5s}, w: null}}, e: {}}}}}}
    alerts: {hot: {above: 90}}
    """
    overlay = yaml.safe_load(text)
    assert errors(overlay), "a site has to say more"
    assert list(OVERLAYS.iter_errors(overlay)) == []
    OVERLAYS.check_schema(OVERLAYS.schema)


@pytest.mark.parametrize(
    "text",
    [
        "include: [more.yaml]",
        "retentoin: {}",
        "areas: {p: {lines: {l: {devices: {d: {conection: {host: a}}}}}}}",
        "areas: {p: {lines: {l: {devices: {d: {protocol: modbus, connection: {hots: a}}}}}}}",
        "areas: {p: {lines: {l: {devices: {d: {tags: {v: {poll: 5}}}}}}}}",
        "alerts: {hot: {abvoe: 90}}",
    ],
)
def test_what_is_wrong_in_an_overlay_is_marked(text: str) -> None:
    assert list(OVERLAYS.iter_errors(yaml.safe_load(text)))
