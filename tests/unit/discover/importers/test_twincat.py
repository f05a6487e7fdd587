"""TwinCAT symbols."""

from __future__ import annotations

from pathlib import Path

from nexus_cli.discover.importers.twincat.types import array_text, codes_of, index_at, string_length, whole
from tests.importing import by_name, imported, reasons

TYPES = """
<DataType><Name>ST_Motor</Name><BitSize>160</BitSize>
  <SubItem><Name>fSpeed</Name><Type>REAL</Type><Comment> Speed of the shaft </Comment><BitSize>32</BitSize><BitOffs>0</BitOffs>
    <Properties><Property><Name>pytmc</Name><Value>pv: SPEED
field: EGU rpm
field: LOPR 0
field: HOPR 3000</Value></Property></Properties></SubItem>
  <SubItem><Name>eState</Name><Type>E_State</Type><BitSize>16</BitSize><BitOffs>32</BitOffs></SubItem>
  <SubItem><Name>pNext</Name><Type PointerTo="1">ST_Motor</Type><BitSize>32</BitSize><BitOffs>64</BitOffs></SubItem>
  <SubItem><Name>sName</Name><Type>STRING(20)</Type><BitSize>168</BitSize><BitOffs>96</BitOffs></SubItem></DataType>
<DataType><Name>E_State</Name><BitSize>16</BitSize><BaseType>INT</BaseType>
  <EnumInfo><Text>Off</Text><Enum>0</Enum></EnumInfo><EnumInfo><Text>On</Text><Enum>1</Enum></EnumInfo></DataType>
<DataType><Name>ST_Loop</Name><BitSize>16</BitSize>
  <SubItem><Name>again</Name><Type>ST_Loop</Type><BitSize>16</BitSize><BitOffs>0</BitOffs></SubItem></DataType>
"""


def _tmc(symbols: str) -> str:
    return f"<TcModuleClass><DataTypes>{TYPES}</DataTypes><Modules><Module><DataAreas><DataArea>{symbols}</DataArea></DataAreas></Module></Modules></TcModuleClass>"


def _symbol(name: str, kind: str, more: str = "", bits: int = 32) -> str:
    return f"<Symbol><Name>{name}</Name><BitSize>{bits}</BitSize><BaseType>{kind}</BaseType>{more}<BitOffs>0</BitOffs></Symbol>"


def test_members_of_structures_with_units_ranges_and_enumerations(tmp_path: Path) -> None:
    (found,) = imported(tmp_path, "p.tmc", _tmc(_symbol("MAIN.motor", "ST_Motor", bits=160)))

    assert by_name(found) == {
        "MAIN/motor/fSpeed": {
            "address": "MAIN.motor.fSpeed",
            "type": "float32",
            "unit": "rpm",
            "range": [0.0, 3000.0],
            "description": "Speed of the shaft",
            "labels": {"pv": "SPEED"},
        },
        "MAIN/motor/eState": {"address": "MAIN.motor.eState", "type": "int16", "values": {0: "Off", 1: "On"}},
        "MAIN/motor/sName": {"address": "MAIN.motor.sName", "type": "string[20]"},
    }
    assert reasons(found) == {"MAIN.motor.pNext": "a pointer or reference to ST_Motor"}


def _pragma(text: str) -> str:
    return f"<Properties><Property><Name>pytmc</Name><Value>{text}</Value></Property></Properties>"


def test_pragmas_in_quotes_and_with_semicolons(tmp_path: Path) -> None:
    symbols = {
        "MAIN.a": 'pv: A;\nfield: EGU "TORR"\nfield: DESC "Chamber; upstream"\nfield: LOPR "0"\nfield: HOPR 10;',
        "MAIN.b": "pv: B; field: EGU mbar; field: LOPR -1e-3; field: HOPR 1000; io: i",
        "MAIN.c": 'pv: C\nfield: EGU "furlong/h',
        "MAIN.d": "pv: D\nfield:\tEGU\tK\nfield: HOPR 10",
        "MAIN.e": "pv: E\nfield: LOPR 0\nfield: HOPR 0",
    }
    text = _tmc("".join(_symbol(name, "REAL", _pragma(one)) for name, one in symbols.items()))
    (found,) = imported(tmp_path, "p.tmc", text)

    tags = {name.removeprefix("MAIN/"): tag for name, tag in by_name(found).items()}
    assert tags["a"] == {
        "address": "MAIN.a",
        "type": "float32",
        "unit": "torr",
        "range": [0.0, 10.0],
        "description": "Chamber; upstream",
        "labels": {"pv": "A"},
    }
    assert (tags["b"]["unit"], tags["b"]["range"], tags["b"]["labels"]) == ("mbar", [-0.001, 1000.0], {"pv": "B"})
    assert (tags["d"]["unit"], "range" in tags["d"], "range" in tags["e"]) == ("K", False, False)
    assert reasons(found) == {
        "MAIN/c: unit": "the unit '\"furlong/h' is unknown",
        "MAIN.d: range": "HOPR 10 is not two numbers",
    }


def test_codes_have_the_sign_of_the_type_below_them(tmp_path: Path) -> None:
    assert codes_of({-32768: "a", 3: "b"}, "uint16") == {32768: "a", 3: "b"}
    assert codes_of({65535: "a", 70000: "b"}, "int16") == {-1: "a", 70000: "b"}
    assert codes_of({1: "a"}, "float32") == {1: "a"}
    types = """<DataType><Name>E_A</Name><BitSize>16</BitSize><BaseType>T_W</BaseType>
<EnumInfo><Text>Fault</Text><Enum>-32768</Enum></EnumInfo></DataType>
<DataType><Name>T_W</Name><BitSize>16</BitSize><BaseType>WORD</BaseType></DataType></DataTypes>"""
    text = _tmc(_symbol("MAIN.e", "E_A", bits=16) + _symbol("MAIN.v", "ARRAY [0..9] OF BYTE (VAR_IN_OUT)"))
    (found,) = imported(tmp_path, "p.tmc", text.replace("</DataTypes>", types, 1))

    assert by_name(found)["MAIN/e"] == {"address": "MAIN.e", "type": "uint16", "values": {32768: "Fault"}}
    assert reasons(found) == {"MAIN.v": "VAR_IN_OUT: its value is that of another variable"}


def test_arrays_as_tags_as_elements_and_of_structures(tmp_path: Path) -> None:
    grid = "<ArrayInfo><LBound>1</LBound><Elements>2</Elements></ArrayInfo><ArrayInfo><LBound>0</LBound><Elements>3</Elements></ArrayInfo>"
    motors = "<ArrayInfo><LBound>1</LBound><Elements>70</Elements></ArrayInfo>"
    text = _tmc(_symbol("GVL.grid", "INT", grid, bits=96) + _symbol("GVL.m", "ST_Motor", motors, bits=11200))

    (tags,) = imported(tmp_path, "p.tmc", text)
    (elements,) = imported(tmp_path, "p.tmc", text, elements=True, max_elements=4)

    assert by_name(tags)["GVL/grid"] == {"address": "GVL.grid", "type": "int16[6]"}
    assert by_name(tags)["GVL/m[64]/eState"]["address"] == "GVL.m[64].eState"
    assert reasons(tags)["GVL.m, elements 65 to 70"] == "an array of more than 64 elements"
    grid_elements = [found.tag["address"] for found in elements.found if "grid" in found.tag["address"]]
    assert grid_elements == ["GVL.grid[1,0]", "GVL.grid[1,1]", "GVL.grid[1,2]", "GVL.grid[2,0]"]


def test_what_can_not_be_read_is_named(tmp_path: Path) -> None:
    hidden = "<Properties><Property><Name>hide</Name></Property></Properties>"
    (found,) = imported(
        tmp_path,
        "p.tmc",
        _tmc(
            _symbol("MAIN.loop", "ST_Loop")
            + _symbol("MAIN.gone", "ST_Missing")
            + _symbol("MAIN.hidden", "INT", hidden)
            + _symbol("", "INT")
            + _symbol("alone", "INT")
            + _symbol("MAIN.x", "INT")
            + _symbol("MAIN.X.", "INT")
        ),
    )

    assert [item.tag["address"] for item in found.found] == ["MAIN.x"]
    said = reasons(found)
    assert said["MAIN.loop.again"] == "its type ST_Loop contains itself"
    assert said["MAIN.gone"] == "its type ST_Missing is not in the file"
    assert "hide" in said["MAIN.hidden"]
    assert "names no program" in said["alone"]
    assert found.facts["symbols"] == 7


def test_tpy_gives_the_route_and_on_request_raw_addresses(tmp_path: Path) -> None:
    text = f"""<PlcProjectInfo><RoutingInfo><AdsInfo><NetId>5.1.2.3.1.1</NetId><Port>801</Port></AdsInfo></RoutingInfo>
<DataTypes>{TYPES}</DataTypes><Symbols><Symbol><Name>.motor</Name><Type>ST_Motor</Type><IGroup>16448</IGroup>
<IOffset>100</IOffset><BitSize>160</BitSize></Symbol></Symbols></PlcProjectInfo>"""

    (symbols,) = imported(tmp_path, "p.tpy", text)
    (raw,) = imported(tmp_path, "p.tpy", text, raw=True)

    assert symbols.connection == {"ams_net_id": "5.1.2.3.1.1", "port": 801}
    assert by_name(symbols)["motor/eState"]["address"] == ".motor.eState"
    assert by_name(raw)["motor/eState"]["address"] == "0x4040,0x68"


def test_a_hostile_array_costs_no_more_than_its_limit(tmp_path: Path) -> None:
    huge = "<ArrayInfo><LBound>0</LBound><Elements>4000000000</Elements></ArrayInfo>"
    (found,) = imported(tmp_path, "p.tmc", _tmc(_symbol("GVL.m", "ST_Motor", huge * 3)), max_elements=2)

    assert len(found.found) == 6
    assert len(found.skipped) == 3


def test_texts_of_types() -> None:
    assert array_text("ARRAY [0..5, 1..2] OF LREAL") == (((0, 6), (1, 2)), "LREAL")
    assert array_text("ARRAY [0..MAX] OF INT") is None
    assert string_length("STRING") == 80
    assert string_length("wstring(12)") == 12
    assert string_length("STRINGS") == 0
    assert index_at(((1, 2), (0, 3)), 4) == [2, 1]
    assert (whole("#x1F"), whole("16#ff"), whole("-3"), whole("nothing", 7)) == (31, 255, -3, 7)
