"""Importers on damaged files: never an exception, every count right, and every tag valid in the site language."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.discover.importers import ImportOptions, import_file
from nexus_cli.discover.importers.registry import FORMATS
from nexus_cli.discover.importers.tia.layout import Layout
from nexus_cli.discover.importers.tia.text import parse
from nexus_cli.drivers.registry import kinds
from tests.examples import examples
from tests.importing import assert_counted

SAMPLES: dict[str, str] = {
    "tmc": """<TcModuleClass><DataTypes><DataType><Name>ST</Name><BitSize>48</BitSize>
<SubItem><Name>a</Name><Type>INT</Type><BitSize>16</BitSize><BitOffs>0</BitOffs></SubItem>
<SubItem><Name>b</Name><Type>E</Type><BitSize>16</BitSize><BitOffs>16</BitOffs></SubItem></DataType>
<DataType><Name>E</Name><BitSize>16</BitSize><BaseType>INT</BaseType>
<EnumInfo><Text>Off</Text><Enum>0</Enum></EnumInfo></DataType></DataTypes>
<Modules><Module><DataAreas><DataArea><Symbol><Name>MAIN.s</Name><BitSize>96</BitSize><BaseType>ST</BaseType>
<ArrayInfo><LBound>1</LBound><Elements>2</Elements></ArrayInfo><BitOffs>8</BitOffs></Symbol>
<Symbol><Name>MAIN.t</Name><BitSize>648</BitSize><BaseType>STRING(80)</BaseType><Properties><Property>
<Name>pytmc</Name><Value>pv: T
field: EGU degC</Value></Property></Properties></Symbol></DataArea></DataAreas></Module></Modules></TcModuleClass>""",
    "tpy": """<PlcProjectInfo><RoutingInfo><AdsInfo><NetId>5.1.2.3.1.1</NetId><Port>801</Port></AdsInfo></RoutingInfo>
<Symbols><Symbol><Name>.x</Name><Type>ARRAY [0..3] OF REAL</Type><IGroup>16448</IGroup><IOffset>8</IOffset>
<BitSize>128</BitSize></Symbol></Symbols></PlcProjectInfo>""",
    "nodeset": """<UANodeSet xmlns="http://opcfoundation.org/UA/2011/03/UANodeSet.xsd"><NamespaceUris><Uri>urn:x</Uri>
</NamespaceUris><Aliases><Alias Alias="Float">i=10</Alias></Aliases>
<UAObject NodeId="ns=1;i=1" BrowseName="1:Boiler #1" ParentNodeId="i=85"/>
<UAVariable NodeId="ns=1;s=a b" BrowseName="1:T" ParentNodeId="ns=1;i=1" DataType="Float"/>
<UAVariable NodeId="ns=1;i=3" BrowseName="EURange" ParentNodeId="ns=1;s=a b" DataType="i=884"><Value><ExtensionObject>
<Body><Range><Low>0</Low><High>9</High></Range></Body></ExtensionObject></Value></UAVariable></UANodeSet>""",
    "hivemq": """<hivemq><protocol-adapters><protocol-adapter><adapterId>m</adapterId><protocolId>modbus</protocolId>
<config><host>h</host><port>502</port></config><tags><tag><name>t</name><definition><startIdx>1</startIdx>
<readType>COILS</readType><unitId>2</unitId></definition></tag></tags></protocol-adapter><s7><id>s</id><host>h</host>
<subscriptions><subscription><tagName>n</tagName><tagAddress>%DB1:4</tagAddress><dataType>REAL</dataType>
</subscription></subscriptions></s7></protocol-adapters></hivemq>""",
    "telegraf": """[[inputs.modbus]]
  controller = "tcp://h:502"
  timeout = "1h2m3s"
  configuration_type = "request"
  [[inputs.modbus.request]]
    slave_id = 3
    byte_order = "CDAB"
    register = "input"
    fields = [ {address=0, name="a", type="FLOAT32", scale=0.1}, {address=9, name="b", type="STRING", length=4} ]
[[inputs.s7comm]]
  server = "h:102"
  [[inputs.s7comm.metric]]
    fields = [ { name="rpm", address="DB1.R4" }, { name="x", address="DB1.X2.1" } ]
[[inputs.opcua]]
  endpoint = "opc.tcp://h:4840"
  nodes = [ {name="n", id="ns=2;i=9"} ]
""",
    "tia": """TYPE "U" VERSION : 0.1 STRUCT a : Bool; b : Array[0..2] of Byte; c : String[9]; END_STRUCT; END_TYPE
DATA_BLOCK DB7
{ S7_Optimized_Access := 'FALSE' }
STRUCT
  x : Bool; y { A := 'B' } : Real := 1.5; // speed
  z : Array[1..2] of "U"; w : DTL;
END_STRUCT;
BEGIN
END_DATA_BLOCK
""",
    "local-gateway": """device: {manufacturer: M, model: N, max_register_read: 8}
read_write_word:
  a: {name: A, address: 3, size: 2, float: true, unit_of_measurement: Volts}
  b: {name: B, address: 9, map: {0: off, 1: on}}
read_only_boolean:
  c: {name: C, address: 1}
""",
    "thingsboard": """{"master": {"slaves": [{"host": "h", "port": 502, "unitId": 1, "byteOrder": "BIG", "wordOrder": "LITTLE",
"timeseries": [{"tag": "a", "type": "32float", "functionCode": 3, "objectsCount": 2, "address": 4, "divider": 10}]}]},
"server": {"url": "opc.tcp://h:4840"}, "mapping": [{"deviceNodePattern": "x",
"timeseries": [{"key": "k", "type": "identifier", "value": "${ns=3;i=8}"}]}]}""",
    "csv": """com.victronenergy.gps,/Position/Latitude,d,Decimal degrees,2800,int32,10000000,R
com.victronenergy.vebus,/State,u,0=Off;1=On;5-7=Fault,31,uint16,1,R
com.victronenergy.vebus,/CustomName,s,,140,string[8],1,W
""",
}
BITS = st.sampled_from(
    [
        "",
        "<",
        ">",
        "&",
        '"',
        "'",
        "]",
        "[",
        "{",
        "}",
        ";",
        ":",
        "..",
        "0",
        "-1",
        "99999999999999999999",
        "nan",
        "\x00",
        "ns=9;",
        "%DB0",
        "STRING(0)",
        "ARRAY [1..999999999] OF BYTE",
        "\n",
        "\ufeff",
        "ü",
        "1e999",
        "true",
        "null",
        "é" * 40,
    ]
)
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 30), BITS), min_size=1, max_size=6)


def _mutated(text: str, edits: list[tuple[float, int, str]]) -> str:
    for at, length, bit in edits:
        position = int(at * len(text))
        text = text[:position] + bit + text[position + length :]
    return text


def _import(data: bytes, format_name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        mapping = "victron" if format_name == "csv" else ""
        outcome = import_file(path, options=ImportOptions(format=format_name, mapping=mapping, max_tags=500))
    if outcome.value is None:
        assert outcome.findings
        return
    for discovery in outcome.value:
        assert_counted(discovery)
        kind = kinds()[discovery.protocol]
        connection = kind.connection.model_validate({**kind.stand_in, **discovery.connection})
        for found in discovery.found:
            kind.address_of(connection, kind.tag.model_validate(found.tag))


def test_every_format_has_a_sample() -> None:
    assert set(SAMPLES) == {item.name for item in FORMATS}
    for name, text in SAMPLES.items():
        _import(text.encode(), name)


@settings(max_examples=examples(400), deadline=None)
@given(name=st.sampled_from(sorted(SAMPLES)), edits=EDITS)
def test_a_mutated_file_never_raises(name: str, edits: list[tuple[float, int, str]]) -> None:
    _import(_mutated(SAMPLES[name], edits).encode("utf-8", "surrogatepass"), name)


@settings(max_examples=examples(100), deadline=None)
@given(name=st.sampled_from(sorted(SAMPLES)), data=st.binary(max_size=300))
def test_garbage_never_raises(name: str, data: bytes) -> None:
    _import(data, name)


@settings(max_examples=examples(60), deadline=None)
@given(name=st.sampled_from(sorted(SAMPLES)), at=st.floats(0, 1))
def test_a_file_that_ends_in_the_middle_never_raises(name: str, at: float) -> None:
    text = SAMPLES[name].encode()
    _import(text[: int(at * len(text))], name)


ELEMENTS = {"Bool": 0, "Byte": 1, "Int": 2, "Real": 4, "LReal": 8, "DTL": 12, "String[3]": 5, "Char": 1}


@settings(max_examples=examples(150), deadline=None)
@given(types=st.lists(st.sampled_from(sorted(ELEMENTS)), min_size=1, max_size=25))
def test_variables_of_a_block_never_overlap_and_keep_their_alignment(types: list[str]) -> None:
    lines = "".join(f"v{number} : {kind};" for number, kind in enumerate(types))
    sources = parse(f"DATA_BLOCK DB1 STRUCT {lines} END_STRUCT; BEGIN END_DATA_BLOCK")
    slots, length = Layout({}, elements=False, limit=10).slots(sources.blocks[0].body or [])
    end = 0  # in bits
    for slot, kind in zip(slots, types, strict=True):
        start = slot.byte * 8 + (slot.bit or 0)
        assert start >= end
        assert start - end < 16
        if ELEMENTS[kind] > 1:
            assert slot.byte % 2 == 0
        assert (slot.bit is None) == (kind != "Bool")
        end = start + (ELEMENTS[kind] * 8 or 1)
    assert length * 8 >= end


@settings(max_examples=examples(100), deadline=None)
@given(rows=st.lists(st.lists(st.text(max_size=12), max_size=9), max_size=12))
def test_any_table_is_counted_row_by_row(rows: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    _import(text.getvalue().encode("utf-8", "surrogatepass"), "csv")
