"""An address asked by our client and by a published one: the same bytes, the same value."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.cli.views.direct import document, text
from nexus_cli.cli.views.probe import compared
from nexus_cli.cli.views.probe import document as candidates
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drivers.base import points_of
from nexus_cli.drivers.opinion import LIBRARY, NEXUS, ask
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.project import address_read as verb
from nexus_cli.project.address_read import read_direct
from nexus_cli.project.live_value import Live
from nexus_cli.project.probe import Second, probe
from nexus_cli.project.simulate import serving
from nexus_cli.settings import Settings
from tests.integration.test_ads_peers import served as ads_served
from tests.servers import free_port


def _tag(address: str, type_: str, value: Any, **options: Any) -> TagConfig:
    return TagConfig(address=address, type=type_, simulate={"value": value}, options=options)


MODBUS = {
    "u16": _tag("holding:3", "uint16", 517),
    "f32": _tag("holding:10", "float32", 230.5),
    "swapped": _tag("holding:20", "float32", -1.25, order="CDAB"),
    "odd": _tag("holding:24", "uint32", 0x01020304, order="BADC"),
    "text": _tag("holding:30", "string[6]", "pump-7", length=6),
    "flag": _tag("coil:5", "bool", True),
    "input": _tag("input:342", "int32", -70_000),
}
S7 = {
    "bool": _tag("%DB1:0.3:BOOL", "bool", True),
    "int": _tag("%DB1:2:INT", "int16", -12_345),
    "real": _tag("%DB1:4:REAL", "float32", 98.25),
    "text": _tag("%DB1:20:STRING(12)", "string[12]", "Ofen 3"),
    "marker": _tag("%M4:DWORD", "uint32", 0xDEADBEEF),
}


async def _both(device: DeviceConfig, name: str, home: Path) -> None:
    """Both clients, held against what is served."""
    point = next(one for one in points_of(device) if one.name == name)
    ours, theirs = [await ask(client, device, point, home=str(home)) for client in (NEXUS, LIBRARY)]
    assert not ours.problem and not theirs.problem, (ours, theirs)
    assert ours.data == theirs.data and ours.data
    assert ours.value == theirs.value == device.tags[name].simulate["value"], (ours, theirs)
    assert ours.client == "nexus" and theirs.client.split()[0] in ("pymodbus", "python-snap7", "pyads", "asyncua")


@asynccontextmanager
async def _site(protocol: str, tags: dict[str, TagConfig], **connection: Any) -> AsyncIterator[DeviceConfig]:
    connection = {"host": "127.0.0.1", "port": free_port(), **connection}
    device = DeviceConfig(path="a/l/one", protocol=protocol, link="l", gateway="g", connection=connection, tags=tags)
    async with serving([device]) as simulation:
        assert not simulation.skipped
        yield device


async def test_modbus(tmp_path: Path) -> None:
    async with _site("modbus", MODBUS, unit_id=3) as device:
        for name in MODBUS:
            await _both(device, name, tmp_path)
        point = next(one for one in points_of(device) if one.name == "swapped")
        found = await ask(LIBRARY, device, point, home="")
        high, low = struct.unpack(">HH", found.data)
        assert struct.pack(">HH", low, high) == struct.pack(">f", -1.25) and not found.decoded_here
        odd = next(one for one in points_of(device) if one.name == "odd")
        assert (await ask(LIBRARY, device, odd, home="")).decoded_here, "pymodbus has no word for BADC"
        absent = dataclasses.replace(point, address="holding:9000")
        refused = [await ask(client, device, absent, home="") for client in (NEXUS, LIBRARY)]
        assert all(one.problem and not one.data for one in refused) and {
            one.fault.code for one in refused if one.fault
        } == {2}


async def test_s7(tmp_path: Path) -> None:
    pytest.importorskip("snap7")
    async with _site("s7", S7, rack=0, slot=1) as device:
        for name in S7:
            await _both(device, name, tmp_path)


async def test_opcua(tmp_path: Path) -> None:
    tags = {
        "f64": _tag("nsu=urn:plant;s=Oven.Temp", "float64", 812.5),
        "i16": _tag("nsu=urn:plant;s=Oven.State", "int16", -3),
        "text": _tag("nsu=urn:plant;s=Oven.Name", "string", "Ofen 3"),
    }
    async with _site("opcua", tags, endpoint=f"opc.tcp://127.0.0.1:{free_port()}") as device:
        for name in tags:
            await _both(device, name, tmp_path)


async def test_ads(tmp_path: Path) -> None:
    if find_spec("pyads") is None:
        pytest.skip("pyads is not installed: pip install 'nexus-cli[ads]'")
    async with ads_served(81) as (_, device, host):
        device.connection["source_net_id"] = f"{host}.1.1"
        for name in ("i16", "f32", "bool", "text-utf8"):
            await _both(device, name, tmp_path)


async def test_what_fails_is_an_answer_too(tmp_path: Path) -> None:
    device = DeviceConfig(
        path="a/l/one", protocol="modbus", link="l", connection={"host": "127.0.0.1", "port": free_port()}, tags=MODBUS
    )
    point = points_of(device)[0]
    for client in (NEXUS, LIBRARY):
        found = await ask(client, device, point, home="")
        assert found.problem and found.value is None and not found.data


async def test_it_is_shown_beside_what_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tags = {
        "speed": TagConfig(
            address="holding:7", type="int16", unit="rpm", scale=0.5, range=(0.0, 100.0), simulate={"value": 300}
        ),
        "sum": TagConfig(type="float64", expr="speed", inputs={"speed": "a/l/one/speed"}),
    }
    async with AsyncExitStack() as stack:
        device = await stack.enter_async_context(_site("modbus", tags))

        async def declared(path: str, _: Settings) -> tuple[DeviceConfig, str]:
            return device, path.rpartition("/")[2]

        async def read(path: str, **_: Any) -> Live:
            return Live(topic="t", path=path, value=12.5, quality="GOOD", timestamp=1_000)

        monkeypatch.setattr(verb, "_declared", declared)
        monkeypatch.setattr("nexus_cli.project.address_read.read", read)
        found = await read_direct("a/l/one/speed", client=LIBRARY, settings=Settings(home=tmp_path))
        assert found.agree
        result = document(found)
        assert [one["bytes"] for one in result["answers"]] == ["01 2c", "01 2c"]
        assert {(one["raw"], one["value"], one["quality"]) for one in result["answers"]} == {(300, 150.0, "UNCERTAIN")}
        shown = text(result, now_s=61.0)
        assert "published" in shown and "12.5 rpm  GOOD, 60 s old" in shown
        assert "150.0 rpm  UNCERTAIN out_of_range" in shown and "bytes 01 2c" in shown and "both read the same" in shown
        with pytest.raises(NexusError) as caught:
            await read_direct("a/l/one/sum", client=NEXUS, settings=Settings(home=tmp_path))
        assert caught.value.code == "NX6522"


async def test_probe_compares_the_registers_that_it_looked_at(tmp_path: Path) -> None:
    async with _site("modbus", {"f32": MODBUS["f32"]}, unit_id=3) as device:
        where, second = device.connection, Second(client="pymodbus")
        outcome = await probe(
            f"modbus://{where['host']}:{where['port']}?unit=3",
            address="holding:10",
            expected=230.5,
            tolerance="",
            around=1,
            settings=Settings(home=tmp_path),
            second=second,
        )
    assert outcome.value and outcome.value[0].keys["address"] == "holding:10"
    assert second.registers >= 2 and not second.differ
    said = compared(candidates(outcome.value, expected=230.5, second=second))
    assert said == f"pymodbus read the same bytes in {second.registers} registers"
    second.compare({(3, 10): b"\x01\x02"}, {(3, 10): b"\x02\x01"})
    assert second.differ == ["FC3 10: nexus 01 02, pymodbus 02 01"]
