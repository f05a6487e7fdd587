"""Discover, apply, rows: what is in the database equals what the devices held, and nobody touched the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.drivers.modbus import sunspec
from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.e2e.field import Field
from tests.e2e.hall import at_work
from tests.e2e.rows import wait_rows, wrong_rows
from tests.e2e.runtime import Runtime
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


SOURCE = """DATA_BLOCK "Filler"
{ S7_Optimized_Access := 'FALSE' }
VERSION : 0.1
   STRUCT
      Running : Bool;
      Temperature : Real;
      Count : DInt;
   END_STRUCT;
BEGIN
END_DATA_BLOCK
"""
NET = "127.0.0.1.1.1"
PLCS = {
    "s7": {
        "running": ("bool", "%DB5:0.0:BOOL"),
        "temperature": ("float32", "%DB5:2:REAL"),
        "count": ("int32", "%DB5:6:DINT"),
    },
    "ads": {
        "speed": ("float32", "MAIN.motor.fSpeed"),
        "run": ("bool", "MAIN.motor.bRun"),
        "total": ("uint32", "GVL.nTotal"),
    },
}


def older(protocol: str, port: int) -> DeviceConfig:
    where = {"port": port} if protocol == "s7" else {"tcp_port": port, "ams_net_id": NET, "port": 851}
    tags = {name: TagConfig(type=kind, address=address) for name, (kind, address) in PLCS[protocol].items()}
    return DeviceConfig(
        path=f"plant/hall/raw-{protocol}",
        protocol=protocol,
        link=f"{protocol}:127.0.0.1:{port}",
        connection={"host": "127.0.0.1", **where},
        tags=tags,
    )


@pytest.fixture
def works(tmp_path: Path) -> Iterator[tuple[Runtime, dict[str, int], Field]]:
    ports = {name: free_port() for name in ("opcua", "modbus", "s7", "ads")}
    devices = [plc(ports["opcua"]), older("s7", ports["s7"]), older("ads", ports["ads"])]
    devices += [inverter(ports["modbus"])] if sunspec.models_folder() is not None else []
    runtime, field = Runtime(tmp_path / "works", site="acme/works"), Field(devices)
    (tmp_path / "works" / "site.yaml").write_text(SITE)
    (tmp_path / "works" / "filler.db").write_text(SOURCE)
    with at_work(runtime, field):
        yield runtime, ports, field


def test_what_was_discovered_is_applied_and_stored(works: tuple[Runtime, dict[str, int], Field]) -> None:
    runtime, ports, field = works
    opcua, modbus = ports["opcua"], ports["modbus"]
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
    older_held: dict[str, dict[str, Any]] = {
        "s7": {"running": True, "temperature": 81.5, "count": -70_000},
        "ads": {"speed": 2.25, "run": True, "total": 4_000_000_000},
    }
    for protocol, values in older_held.items():
        for name, value in values.items():
            field.set(f"plant/hall/raw-{protocol}", name, value)
    s7 = ["filler.db", "--db", "Filler=5", "--set", "host=127.0.0.1", "--set", f"port={ports['s7']}"]
    runtime.nexus("discover", *s7, *into, "--at", "plant/hall/filler")
    ads = f"ads://127.0.0.1?net_id={NET}&tcp_port={ports['ads']}"
    runtime.nexus("discover", ads, *into, "--at", "plant/hall/motor")
    wanted |= {f"plant/hall/filler/{name}": value for name, value in older_held["s7"].items()}
    names = {"speed": "main.motor.f-speed", "run": "main.motor.b-run", "total": "gvl.n-total"}
    wanted |= {f"plant/hall/motor/{names[name]}": value for name, value in older_held["ads"].items()}
    wanted = {path: float(value) if isinstance(value, bool) else value for path, value in wanted.items()}
    text = (runtime.folder / "site.yaml").read_text()
    assert text.startswith(SITE)
    assert "writable" not in text
    runtime.apply()
    rows = wait_rows(runtime, wanted)
    assert wrong_rows(rows, wanted) == {}
    assert rows["plant/hall/plc/speed"]["quality"] == 192
    again = runtime.nexus("discover", *into, "--at", "plant/hall/plc", "--dry-run", "--format", "json")
    assert json.loads(again)["edit"]["diff"] == ""
    through = runtime.nexus("discover", "--via", "gateway", *into, "--at", "plant/hall/plc", "--format", "json")
    assert json.loads(through)["edit"]["diff"] == ""
    assert json.loads(through)["tags"] == len(held)
