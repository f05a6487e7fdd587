"""Files in general: recognising, refusing, register tables, NodeSets, units and settling."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.diagnostics.codes import catalogue
from nexus_cli.discover.importers import ImportOptions, import_file
from nexus_cli.discover.importers.capitals import in_known_letters
from nexus_cli.discover.importers.mapping import built_in, load_mapping
from nexus_cli.discover.importers.units import unit_of
from tests.importing import by_name, imported, reasons, refused

MAPPING = """
mapping: 1
columns: {name: Name, address: Register, type: Format, unit: Unit, scale: Gain, area: Access, low: Min, high: Max}
areas: {RO: input, RW: holding}
base: 1
scale: exponent
types: {S32: int32}
"""


def test_what_can_not_be_read_is_one_finding(tmp_path: Path) -> None:
    assert import_file(tmp_path / "nothing.tmc").findings[0].code == "NX6700"
    assert import_file(tmp_path).findings[0].code == "NX6700"
    assert refused(tmp_path, "x.txt", "hello").code == "NX6701"
    assert "tmc" in refused(tmp_path, "x.tmc", "<a/>", format="tcm").hint
    broken = refused(tmp_path, "x.tmc", "<TcModuleClass>\n<a></b>")
    assert (broken.code, broken.place and broken.place.line) == ("NX6702", 2)
    assert refused(tmp_path, "x.tmc", b"").code == "NX6702"
    assert refused(tmp_path, "x.csv", "a,b").code == "NX6704"
    assert "victron" in refused(tmp_path, "x.csv", "a,b", mapping="victor").hint
    assert {"NX6700", "NX6701", "NX6702", "NX6703", "NX6704", "NX6705"} <= set(catalogue())


@pytest.mark.parametrize(
    "document",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><TcModuleClass>&b;</TcModuleClass>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><hivemq>&a;</hivemq>',
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd"><UANodeSet/>',
    ],
)
def test_document_types_are_refused(document: str, tmp_path: Path) -> None:
    assert refused(tmp_path, "x.xml", document).code == "NX6703"


def test_deep_and_long_files_are_refused(tmp_path: Path) -> None:
    """Long enough that a parser whose work grows with the square of a file's length does not end."""
    refused(tmp_path, "a.tmc", "<TcModuleClass>" + "<a>" * 100_000)
    refused(tmp_path, "a.json", '{"slaves": ' + "[" * 100_000)
    refused(tmp_path, "a.toml", "[[inputs.modbus]]\na = " + "[" * 100_000)
    refused(tmp_path, "a.db", "DATA_BLOCK DB1\nSTRUCT " + "s : Struct " * 100_000)
    refused(tmp_path, "b.db", "DATA_BLOCK DB1\nSTRUCT " + "(*" * 1_000_000)
    refused(tmp_path, "a.txt", "\n" * 60_000)


def test_formats_are_known_by_content_whatever_the_name(tmp_path: Path) -> None:
    (found,) = imported(tmp_path, "export.bin", "DATA_BLOCK DB1 STRUCT a : Int; END_STRUCT; END_DATA_BLOCK")
    assert found.protocol == "s7"
    (found,) = imported(tmp_path, "utf16.xml", "<UANodeSet/>".encode("utf-16"), format="nodeset")
    assert found.protocol == "opcua"


def test_a_mapping_of_ones_own(tmp_path: Path) -> None:
    mapping = tmp_path / "vendor.yaml"
    mapping.write_text(MAPPING)
    table = """Name;Register;Format;Unit;Gain;Access;Min;Max
Power;31;S32;kW;-1;RO;0;100
Setpoint;41;UINT16;bananas;;RW;;
Broken;x;UINT16;;;RW;;
Odd;51;FLOAT99;;;RW;;
;;;;;;;
"""
    (found,) = imported(tmp_path, "vendor.csv", table, mapping=str(mapping))

    assert found.connection == {"base": 1}
    assert by_name(found) == {
        "Power": {"address": "input:31", "type": "int32", "unit": "kW", "scale": 0.1, "range": [0, 100]},
        "Setpoint": {"address": "holding:41", "type": "uint16"},
    }
    said = reasons(found)
    assert said["Setpoint: unit"] == "the unit 'bananas' is unknown"
    assert "not a register number" in said["Broken"]
    assert said["row 5: Odd"] == "its type 'FLOAT99' is not known"
    assert said["row 6: ;;;;;;;".replace(";", ",")] == "it has no name or no address"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mapping: 2\ncolumns: {name: 1, address: 2}", "version|mapping"),
        ("mapping: 1\ncolumns: {name: 1}", "address"),
        (
            "mapping: 1\ncolumns: {name: 1, address: 2}\nskip: {column: 1, pattern: '(', reason: x}",
            "regular expression",
        ),
        ("mapping: 1\n  bad", "."),
        ("mapping: 1\ncolumns: {name: Name, address: 2}", "no column 'Name'"),
    ],
)
def test_mappings_that_are_wrong_say_so(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    finding = refused(tmp_path, "t.csv", "a,1\n", mapping=str(path))

    assert finding.code == "NX6704"
    import re

    assert re.search(said, finding.message)


def test_every_shipped_mapping_loads() -> None:
    assert "victron" in built_in()
    for name in built_in():
        assert load_mapping(name).title


def test_codes_of_a_cell(tmp_path: Path) -> None:
    row = "com.victronenergy.x,/State,i,0=Off;1=On;5-7=Fault;9x=?,10,uint16,1,R\n"
    (found,) = imported(tmp_path, "a.csv", row, mapping="victron")

    assert by_name(found)["State"]["values"] == {0: "Off", 1: "On", 5: "Fault", 6: "Fault", 7: "Fault"}
    assert "'9x=?' is not understood" in reasons(found).values()


NODESET = """<UANodeSet xmlns="http://opcfoundation.org/UA/2011/03/UANodeSet.xsd">
<NamespaceUris><Uri>http://acme/plc</Uri></NamespaceUris>
<Aliases><Alias Alias="Float">i=10</Alias></Aliases>
<UADataType NodeId="ns=1;i=50" BrowseName="1:Mode"><References><Reference ReferenceType="i=45" IsForward="false">i=29</Reference>
</References><Definition Name="Mode"><Field Name="Auto" Value="0"/><Field Name="Hand" Value="1"/></Definition></UADataType>
<UAObject NodeId="ns=1;i=1" BrowseName="1:Boiler #1"><References><Reference ReferenceType="Organizes" IsForward="false">i=85</Reference></References></UAObject>
<UAVariable NodeId="ns=1;s=Boiler 1 # T" BrowseName="1:Temp erature" ParentNodeId="ns=1;i=1" DataType="Float"><Description>hot</Description></UAVariable>
<UAVariable NodeId="ns=1;i=3" BrowseName="EURange" ParentNodeId="ns=1;s=Boiler 1 # T" DataType="i=884"><Value><ExtensionObject><Body><Range><Low>0</Low><High>120</High></Range></Body></ExtensionObject></Value></UAVariable>
<UAVariable NodeId="ns=1;i=4" BrowseName="EngineeringUnits" ParentNodeId="ns=1;s=Boiler 1 # T" DataType="i=887"><Value><ExtensionObject><Body><EUInformation><UnitId>4408652</UnitId><DisplayName><Text>°C</Text></DisplayName></EUInformation></Body></ExtensionObject></Value></UAVariable>
<UAVariable NodeId="ns=1;i=5" BrowseName="1:Mode" ParentNodeId="ns=1;i=1" DataType="ns=1;i=50"/>
<UAVariable NodeId="ns=1;i=6" BrowseName="1:Curve" ParentNodeId="ns=1;i=1" DataType="Float" ValueRank="1" ArrayDimensions="3"/>
<UAVariable NodeId="ns=1;i=7" BrowseName="1:Blind" ParentNodeId="ns=1;i=1" DataType="Float" AccessLevel="2"/>
<UAVariable NodeId="ns=7;i=8" BrowseName="1:Lost" ParentNodeId="ns=1;i=1" DataType="Float"/>
<UAObjectType NodeId="ns=1;i=90" BrowseName="1:BoilerType"/>
<UAVariable NodeId="ns=1;i=91" BrowseName="1:Temp" ParentNodeId="ns=1;i=90" DataType="Float"/></UANodeSet>"""


def test_nodeset_variables_with_units_ranges_and_names(tmp_path: Path) -> None:
    (found,) = imported(tmp_path, "n.xml", NODESET)

    assert by_name(found) == {
        "Boiler #1/Temp erature": {
            "node": "nsu=http://acme/plc;s=Boiler 1 # T",
            "type": "float32",
            "description": "hot",
            "range": [0.0, 120.0],
            "unit": "°C",
        },
        "Boiler #1/Mode": {"node": "nsu=http://acme/plc;i=5", "type": "int32", "values": {0: "Auto", 1: "Hand"}},
        "Boiler #1/Curve": {"node": "nsu=http://acme/plc;i=6", "type": "json"},
    }
    said = reasons(found)
    assert "lists 1" in said["Lost"]
    assert "does not allow reading" in said["Boiler #1/Blind"]
    assert "BoilerType" in said["BoilerType/Temp"]
    (typed,) = imported(tmp_path, "n.xml", NODESET, with_types=True)
    assert "BoilerType/Temp" in by_name(typed)


@pytest.mark.parametrize(
    ("written", "ours"),
    [
        ("V AC", "V"),
        ("Degrees  celsius", "degC"),
        ("%", "%"),
        ("W/m^2", "W/m2"),
        ("config_idx", ""),
        ("", ""),
        ("kWh", "kWh"),
    ],
)
def test_units(written: str, ours: str) -> None:
    assert unit_of(written) == ours


@pytest.mark.parametrize(
    ("written", "ours"),
    [
        ("TORR", "torr"),
        ("MBAR", "mbar"),
        ("KPA", "kPa"),
        ("MPA", "MPa"),
        ("MW", "MW"),
        ("KG/H", "kg/h"),
        ("mbar", "mbar"),
        ("BANANAS", "BANANAS"),
        ("", ""),
    ],
)
def test_units_in_capitals(written: str, ours: str) -> None:
    assert in_known_letters(written) == ours


def test_references_of_other_tools_never_become_ours(tmp_path: Path) -> None:
    text = NODESET.replace("hot", "${env:HOME}").replace("Boiler 1 # T", "${file:/etc/passwd}")
    (found,) = imported(tmp_path, "n.xml", text)

    assert not any("${" in str(item) for item in found.found)
    assert "reads as a reference" in reasons(found)["Boiler #1/Temp erature"]


def test_no_more_values_than_asked_for(tmp_path: Path) -> None:
    outcome = import_file(_written(tmp_path), options=ImportOptions(max_tags=2))

    assert outcome.value is not None
    assert len(outcome.value[0].found) == 2
    assert outcome.value[0].facts["in"] == 5


def _written(folder: Path) -> Path:
    path = folder / "x.db"
    path.write_text("DATA_BLOCK DB1 STRUCT a,b,c,d,e : Int; END_STRUCT; END_DATA_BLOCK")
    return path
