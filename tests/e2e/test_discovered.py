"""Discover, apply, rows: what stands in the database equals what the devices held, and nobody touched the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.drivers.modbus import sunspec
from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.e2e.field import Field
from tests.e2e.runtime import Runtime
from tests.e2e.test_real_sites import same, stored, wait_rows
from tests.servers import free_port
from tests.sunspec import EXPECTED, inverter

pytestmark = [pytest.mark.slow, pytest.mark.needs_broker, pytest.mark.needs_database]
SITE = "nexus: 1\nenterprise: acme\nsite: works   # by hand\ndefaults: {poll: 500ms}\n"
URI = "http://acme/plc"


def plc(port: int) -> DeviceConfig:
    kinds = {"Speed": "float64", "Count": "uint32", "On": "bool", "Name": "string", "Level": "int16"}
    tags = {name.lower(): TagConfig(type=kind, address=f"nsu={URI};s={name}") for name, kind in kinds.items()}
    endpoint = f"opc.tcp://127.0.0.1:{port}"
    return DeviceConfig(
        path="plant/hall/raw-plc", protocol="opcua", link=endpoint, connection={"endpoint": endpoint}, tags=tags
    )


@pytest.fixture
def works(tmp_path: Path) -> Iterator[tuple[Runtime, int, int, Field]]:
    opcua, modbus = free_port(), free_port()
    devices = [plc(opcua)] + ([inverter(modbus)] if sunspec.models_folder() is not None else [])
    runtime, field = Runtime(tmp_path / "works", site="acme/works"), Field(devices)
    (tmp_path / "works" / "site.yaml").write_text(SITE)
    try:
        field.start()
        runtime.start()
        yield runtime, opcua, modbus, field
    finally:
        runtime.stop()
        field.stop()


def test_what_was_discovered_is_applied_and_stored(works: tuple[Runtime, int, int, Field]) -> None:
    runtime, opcua, modbus, field = works
    held: dict[str, Any] = {"speed": 12.5, "count": 4_000_000_000, "on": True, "name": "filler", "level": -7}
    for name, value in held.items():
        field.set("plant/hall/raw-plc", name, value)
    into = ["--into", "site.yaml"]
    found = runtime.nexus("discover", f"opcua://127.0.0.1:{opcua}", *into, "--at", "plant/hall/plc", "--format", "json")
    assert json.loads(found)["edit"]["written"]
    wanted = {f"plant/hall/plc/{name}": float(value) if name == "on" else value for name, value in held.items()}
    if sunspec.models_folder() is not None:
        runtime.nexus("discover", f"modbus://127.0.0.1:{modbus}?unit=1", *into, "--at", "plant/roof/inverter")
        wanted |= {f"plant/roof/inverter/{name}": value for name, value in EXPECTED.items()}
    text = (runtime.folder / "site.yaml").read_text()
    assert text.startswith(SITE)
    assert "writable" not in text
    runtime.apply()
    rows = wait_rows(runtime, wanted)
    wrong = {
        path: (stored(rows[path]) if path in rows else None, value)
        for path, value in wanted.items()
        if path not in rows or not same(stored(rows[path]), value)
    }
    assert not wrong
    assert rows["plant/hall/plc/speed"]["quality"] == 192
    again = runtime.nexus("discover", *into, "--at", "plant/hall/plc", "--dry-run", "--format", "json")
    assert json.loads(again)["edit"]["diff"] == ""
    through = runtime.nexus("discover", "--via", "gateway", *into, "--at", "plant/hall/plc", "--format", "json")
    assert json.loads(through)["edit"]["diff"] == ""
    assert json.loads(through)["tags"] == len(held)
