"""A server that loads NodeSet2 files: one of our own here, and the boilers of OPC PLC when they are at hand."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.drivers.base import points_of
from nexus_cli.drivers.opcua.driver import OpcuaDriver
from nexus_cli.model.config import DeviceConfig, TagConfig
from tests.opcua_nodeset import NodesetServer, in_order, serve_nodeset
from tests.reads import read_all
from tests.real_data import DATA

BOILER = "http://microsoft.com/Opc/OpcPlc/Boiler"
URI = "http://acme.example/oven"
NODESET = """<?xml version="1.0" encoding="utf-8"?>
<UANodeSet xmlns="http://opcfoundation.org/UA/2011/03/UANodeSet.xsd">
  <NamespaceUris><Uri>{uri}</Uri></NamespaceUris>
  <Models><Model ModelUri="{uri}" Version="1.0.0" PublicationDate="2024-05-06T07:08:09.1234567Z">
    <RequiredModel ModelUri="http://opcfoundation.org/UA/" />{required}</Model></Models>
  <Aliases><Alias Alias="HasSubtype">i=45</Alias><Alias Alias="Organizes">i=35</Alias>
    <Alias Alias="HasTypeDefinition">i=40</Alias><Alias Alias="HasEncoding">i=38</Alias></Aliases>
  <UADataType NodeId="ns=1;i=1" BrowseName="1:Zone"><DisplayName>Zone</DisplayName>
    <References><Reference ReferenceType="HasSubtype" IsForward="false">i=22</Reference></References>
    <Definition Name="1:Zone"><Field Name="Top" DataType="i=6" /><Field Name="Bottom" DataType="i=11" /></Definition>
  </UADataType>
  <UAObject NodeId="ns=1;i=2" BrowseName="Default Binary" SymbolicName="DefaultBinary">
    <DisplayName>Default Binary</DisplayName>
    <References><Reference ReferenceType="HasEncoding" IsForward="false">ns=1;i=1</Reference>
      <Reference ReferenceType="HasTypeDefinition">i=76</Reference></References>
  </UAObject>
  <UAVariable NodeId="ns=1;s=Oven #1" BrowseName="1:Oven #1" DataType="ns=1;i=1">
    <DisplayName>Oven #1</DisplayName>
    <References><Reference ReferenceType="Organizes" IsForward="false">i=85</Reference>
      <Reference ReferenceType="HasTypeDefinition">i=63</Reference></References>
    <Value><ExtensionObject xmlns="http://opcfoundation.org/UA/2008/02/Types.xsd">
      <TypeId><Identifier>ns=1;i=3</Identifier></TypeId>
      <Body><Zone xmlns="{uri}"><Top>21</Top><Bottom>22.5</Bottom></Zone></Body></ExtensionObject></Value>
  </UAVariable>
  <UAVariable NodeId="ns=1;i=10" BrowseName="1:Temperature" DataType="i=11">
    <DisplayName>Temperature</DisplayName>
    <References><Reference ReferenceType="Organizes" IsForward="false">i=85</Reference>
      <Reference ReferenceType="HasTypeDefinition">i=63</Reference></References>
  </UAVariable>
  <UAVariable NodeId="ns=1;i=11" BrowseName="1:Door" DataType="i=1">
    <DisplayName>Door</DisplayName>
    <References><Reference ReferenceType="Organizes" IsForward="false">i=85</Reference>
      <Reference ReferenceType="HasTypeDefinition">i=63</Reference></References>
  </UAVariable>
</UANodeSet>
"""


def device(server: NodesetServer, **tags: tuple[str, str]) -> DeviceConfig:
    return DeviceConfig(
        path="area/line/oven",
        protocol="opcua",
        connection={"endpoint": server.endpoint, "timeout": 1000},
        tags={name: TagConfig(type=type_, address=address) for name, (address, type_) in tags.items()},
    )


async def read(config: DeviceConfig, home: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    driver = OpcuaDriver()
    session = await driver.connect([config], home=str(home))
    try:
        return await read_all(session, driver.group(config, points_of(config)))
    finally:
        await session.close()


async def test_structures_given_values_and_moving_numbers(tmp_path: Path) -> None:
    file = tmp_path / "oven.xml"
    file.write_text(NODESET.format(uri=URI, required=""), encoding="utf-8")
    temperature = f"nsu={URI};i=10"
    server = await serve_nodeset([file], moving={temperature: (50.0, 60.0)})
    try:
        assert f"nsu={URI};s=Oven #1" in server.nodes
        config = device(
            server,
            zone=(f"nsu={URI};s=Oven #1", "json"),
            temperature=(temperature, "float64"),
            door=(f"nsu={URI};i=11", "bool"),
        )
        seen = set()
        for _ in range(100):
            values, faults = await read(config, tmp_path)
            assert not faults
            seen.add(values["temperature"])
            if len(seen - {0.0}) >= 3:
                break
            await asyncio.sleep(0.05)
        assert len(seen - {0.0}) >= 3, "the number does not move"
        assert all(50.0 <= value <= 60.0 for value in seen - {0.0})
        assert values["zone"] == {"Top": 21, "Bottom": 22.5}
        assert values["door"] is False
        await server.set(f"nsu={URI};s=Oven #1", {"Top": 1, "Bottom": 2.0})
        await server.set(temperature, 55.5)
        values, _ = await read(config, tmp_path)
        assert values["zone"] == {"Top": 1, "Bottom": 2.0}
        assert values["temperature"] == 55.5
    finally:
        await server.close()


def test_files_are_loaded_after_what_they_require(tmp_path: Path) -> None:
    first, second = tmp_path / "a.xml", tmp_path / "b.xml"
    first.write_text(NODESET.format(uri="urn:a", required='<RequiredModel ModelUri="urn:b" />'), encoding="utf-8")
    second.write_text(NODESET.format(uri="urn:b", required=""), encoding="utf-8")
    assert in_order([first, second]) == [second, first]
    with pytest.raises(ValueError, match="urn:b"):
        in_order([first])
    broken = tmp_path / "c.xml"
    broken.write_text("<not", encoding="utf-8")
    with pytest.raises(ValueError, match="not XML"):
        in_order([broken])


async def test_the_boilers_of_opc_plc(tmp_path: Path) -> None:
    boilers = DATA / "opcua-opcplc" / "src" / "Boilers"
    if not boilers.is_dir():
        pytest.skip(f"NOT RUN: the boilers' NodeSets are not at {boilers}")
    files = [
        boilers / "Boiler1" / "BoilerModel1.NodeSet2.xml",
        boilers / "Boiler2" / "BoilerModel2.NodeSet2.xml",
        DATA / "opcua-nodesets" / "DI" / "Opc.Ua.Di.NodeSet2.xml",
    ]
    current = f"nsu={BOILER};i=6211"
    server = await serve_nodeset(files, moving={current: (20.0, 90.0)})
    try:
        assert len(server.nodes) > 400
        config = device(
            server,
            status=(f"nsu={BOILER};i=15013", "json"),
            target=(f"nsu={BOILER};i=6217", "float32"),
            current=(current, "float32"),
            maker=(f"nsu={BOILER};i=6202", "string"),
            health=(f"nsu={BOILER};i=6198", "int32"),
        )
        values, faults = await read(config, tmp_path)
    finally:
        await server.close()
    assert not faults
    assert values["status"] == {"Temperature": {"Top": 20, "Bottom": 20}, "Pressure": 100_020, "HeaterState": 1}
    assert values["target"] == 80.0
    assert values["maker"] == "Contoso"
    assert values["health"] == 0
    assert 0.0 <= values["current"] <= 90.0
