"""From the device to the row, on sites written from real devices' manuals: the rows equal what the servers held."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import INTEGER_BOUNDS, parse_type
from tests.e2e.field import Field
from tests.e2e.hall import at_work
from tests.e2e.rows import expected, physical, wait_rows, wrong_rows
from tests.e2e.runtime import Runtime
from tests.e2e.sites import copy_site, devices_of
from tests.real_data import DATA
from tests.servers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.needs_broker, pytest.mark.needs_database]


def raw_value(tag: TagConfig, number: int) -> Any:
    """A raw value that differs from tag to tag and lies inside the tag's range."""
    kind = parse_type(tag.type)
    if kind.base == "bool":
        return bool(number % 2)
    if tag.values:
        return int(list(tag.values)[number % len(tag.values)])
    if kind.base == "string":
        return f"text {number}"[: kind.length or None]
    low, high = (tag.range or (None, None))[0], (tag.range or (None, None))[1]
    low = -1000.0 if low is None else low
    high = low + 2000.0 if high is None else high
    wanted = low + (high - low) * (0.2 + 0.6 * ((number * 37) % 100) / 100)
    raw = ((wanted - tag.unit_shift) / tag.unit_factor - tag.offset) / tag.scale
    if kind.base in INTEGER_BOUNDS:
        least, most = INTEGER_BOUNDS[kind.base]
        return int(min(max(round(raw), least), most))
    return raw


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[tuple[Runtime, Field]]:
    site = copy_site("meter-and-drive", tmp_path / "site", ports={15022: free_port()})
    runtime, field = Runtime(tmp_path / "site", site="acme/pump-station"), Field(devices_of(site))
    with at_work(runtime, field):
        yield runtime, field


def test_meter_and_drive_rows_equal_the_registers(panel: tuple[Runtime, Field]) -> None:
    runtime, field = panel
    wanted, units = {}, {}
    for path, device in field.devices.items():
        # A status word and its bits are tags of the same register: the word first, then its bits, which change it.
        tags = sorted(physical(device).items(), key=lambda item: "." in item[1].address)
        words = {tag.address.partition(".")[0] for _, tag in tags if "." in tag.address}
        held = {}
        for number, (name, tag) in enumerate(tags):
            held[name] = raw_value(tag, number)
            field.set(path, name, held[name])
        now = field.call(field.servers[path].values, path)
        for name, tag in tags:
            raw = now[name] if tag.address in words else held[name]
            wanted[f"{path}/{name}"] = expected(tag, raw)
            units[f"{path}/{name}"] = tag.publish_unit or tag.unit
    assert len(wanted) > 100
    runtime.apply()
    rows = wait_rows(runtime, wanted)
    assert wrong_rows(rows, wanted) == {}
    assert {path: rows[path]["unit"] for path in wanted} == units
    assert {rows[path]["quality"] for path in wanted} == {192}


def boiler_files() -> list[Path]:
    """NodeSets of the two boilers and of what they build on."""
    from tests.opcua_nodeset import in_order

    boilers = sorted((DATA / "opcua-opcplc" / "src" / "Boilers").rglob("*.NodeSet2.xml"))
    base = [path for path in (DATA / "opcua-nodesets").rglob("*.xml") if path.name.endswith("Di.NodeSet2.xml")]
    return in_order([*base, *boilers])


@pytest.mark.skipif(
    not (DATA / "opcua-opcplc").is_dir(), reason=f"the boilers' NodeSets are not in {DATA}/opcua-opcplc"
)
def test_boiler_rows_equal_the_nodes_of_the_server(tmp_path: Path) -> None:
    from tests.opcua_nodeset import serve_nodeset

    port = free_port()
    site = copy_site("boilers", tmp_path / "site", ports={50000: port})
    devices = devices_of(site)
    runtime, field = Runtime(tmp_path / "site", site="acme/boiler-house"), Field([])
    field.start()
    try:
        server = field.wait(serve_nodeset(boiler_files(), port=port))
        wanted = {}
        for device in devices:
            for number, (name, tag) in enumerate(physical(device).items()):
                kind = parse_type(tag.type)
                if kind.numeric or kind.base == "bool":
                    raw = raw_value(tag, number + 3)
                    field.wait(server.set(tag.address, raw))
                    wanted[f"{device.path}/{name}"] = expected(tag, raw)
                elif kind.base == "string":
                    text = field.wait(server.value(tag.address))
                    wanted[f"{device.path}/{name}"] = getattr(
                        text, "Text", text
                    )  # a LocalizedText is stored as its text
        assert len(wanted) > 20
        runtime.start()
        runtime.apply()
        rows = wait_rows(runtime, wanted)
        assert wrong_rows(rows, wanted) == {}
        status = json.loads(rows["heating/boilers/boiler-1/status"]["value_json"])
        assert set(status) == {"Temperature", "Pressure", "HeaterState"}
        field.wait(server.close())
    finally:
        runtime.stop()
        field.stop()
