"""A protocol's name is in its own folder, in importers and in the registry, and nowhere else."""

from __future__ import annotations

import ast
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import nexus_cli
from nexus_cli.drivers import registry
from nexus_cli.drivers.registry import BUILT_IN, plugin
from nexus_cli.model.config import DeviceConfig, TagConfig, to_json
from nexus_cli.plan.requests import request_count

PACKAGE = Path(nexus_cli.__file__).parent
NAMES = {one.name for one in BUILT_IN}
MAY = {f"drivers/{name}" for name in NAMES} | {"discover/importers", "certificates/names.py"}
"""A kind of certificate has the name of a protocol."""
ADDRESSES = {"modbus": "holding:0", "opcua": "nsu=urn:x;s=a", "s7": "%DB1:0:REAL", "ads": "MAIN.a"}


def literals(path: Path) -> set[str]:
    """Texts of a module that are the name of a protocol, and not documentation."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)} & NAMES


def test_no_other_module_knows_a_protocol() -> None:
    elsewhere = {
        relative: sorted(found)
        for path in PACKAGE.rglob("*.py")
        if not (relative := path.relative_to(PACKAGE).as_posix()).startswith(tuple(MAY)) and (found := literals(path))
    }
    assert elsewhere == {}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_plan_knows_the_load_of_every_protocol(name: str) -> None:
    tags = {"a": TagConfig(address=ADDRESSES[name], type="float32")}
    device = DeviceConfig(path="a/l/d", protocol=name, gateway="gw", link="x", connection={"host": "h"}, tags=tags)
    assert request_count(to_json(device)) == 1
    assert plugin(name).kind.answer_ms > 0


def test_a_package_that_brings_a_driver_for_a_protocol_of_ours_leaves_that_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again = EntryPoint("modbus", "nexus_cli.drivers.modbus.plugin:PLUGIN", registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda **_: [again])
    plugins, broken = registry._found.__wrapped__()
    assert set(plugins) == NAMES and broken == {}


def test_every_driver_folder_is_in_the_contracts() -> None:
    """Floors, circles and the door of its library: a folder that one of them forgets is checked by nobody."""
    folders = {path.parent.name for path in (PACKAGE / "drivers").glob("*/__init__.py")}
    assert folders == NAMES | {"simulation"}
    settings = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (floors,) = [one for one in contracts if one["name"] == "Every driver folder has the same floors"]
    drivers = {f"nexus_cli.drivers.{name}" for name in NAMES}
    assert set(floors["containers"]) == drivers
    circles = {name for one in contracts if one["type"] == "acyclic_siblings" for name in one["ancestors"]}
    assert drivers - circles == set()
    doors = {name for one in contracts if one["type"] == "protected" for name in one["allowed_importers"]}
    assert drivers - doors == set()
