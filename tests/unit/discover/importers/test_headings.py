"""Register tables that need no mapping, because their headings say what the columns are."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.discover.importers.headings import area_of
from nexus_cli.discover.importers.spellings import type_of
from tests.importing import by_name, imported, reasons, refused


def test_the_headings_that_people_use(tmp_path: Path) -> None:
    text = """Meter 4711 registers
Tag Name,Data Type,Modbus Address,Function Code,Units,Scale Factor,Min,Max,Comment,Access
Voltage,uint16,0,03,V,0.1,0,300,Phase 1,R
Power,INT32,0x10,4,kW,0.001,,,,R
Pump,BOOL,3,FC1,,,,,,RW
Serial,string[8],20,3,,,,,,R
"""
    (found,) = imported(tmp_path, "m.csv", text)

    assert by_name(found) == {
        "Voltage": {
            "address": "holding:0",
            "type": "uint16",
            "unit": "V",
            "scale": 0.1,
            "range": [0, 300],
            "description": "Phase 1",
        },
        "Power": {"address": "input:0x10", "type": "int32", "unit": "kW", "scale": 0.001},
        "Pump": {"address": "coil:3", "type": "bool"},
        "Serial": {"address": "holding:20", "type": "string[8]"},
    }
    said = reasons(found)
    assert "zero-based" in said["base"] and "register * scale" in said["scale"]
    assert said["column Access"] == "its heading matches no property of a tag"


def test_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    text = "Bezeichnung;Adresse;Datentyp;Einheit;Faktor\nVorlauf;100;INT;°C;0,1\nMenge;102;REAL;m3/h;\n"
    (found,) = imported(tmp_path, "m.csv", text)

    assert by_name(found) == {
        "Vorlauf": {"address": "holding:100", "type": "int16", "unit": "°C", "scale": 0.1},
        "Menge": {"address": "holding:102", "type": "float32", "unit": "m3/h"},
    }
    assert "holding registers" in reasons(found)["area"]


def test_numbers_that_name_their_area(tmp_path: Path) -> None:
    text = "name,register,type\nA,40001,uint16\nB,30011,int16\nC,10003,\n"
    (found,) = imported(tmp_path, "m.csv", text)
    assert {name: tag["address"] for name, tag in by_name(found).items()} == {"A": "40001", "B": "30011", "C": "10003"}
    assert by_name(found)["C"]["type"] == "bool"
    assert "holding:0" in reasons(found)["base"]
    (zero,) = imported(tmp_path, "m.csv", "name,register,type\nA,40000,uint16\nB,40001,uint16\n")
    assert [tag["address"] for tag in by_name(zero).values()] == ["holding:40000", "holding:40001"]


def test_numbers_that_name_their_area_with_a_bit_or_a_span_behind_them(tmp_path: Path) -> None:
    (bits,) = imported(tmp_path, "m.csv", "name,register,type\nA,40103,uint16\nB,40103.5,bool\n")
    assert {name: tag["address"] for name, tag in by_name(bits).items()} == {"A": "40103", "B": "40103.5"}
    (spans,) = imported(tmp_path, "m.csv", "name,register,type\nA,30001-30002,int32\nB,30003-30004,float32\n")
    assert [tag["address"] for tag in by_name(spans).values()] == ["30001", "30003"]


def test_the_width_comes_from_the_registers_where_the_type_has_none(tmp_path: Path) -> None:
    text = """name,address,format,size,type
a,0,signed,2,holding
b,2-3,unsigned,,holding
c,4,,4,holding
d,8,ASCII,5,input
e,13,uint16,2,holding
f,15.3,,,holding
"""
    (found,) = imported(tmp_path, "m.csv", text)

    assert {name: (tag["address"], tag["type"]) for name, tag in by_name(found).items()} == {
        "a": ("holding:0", "int32"),
        "b": ("holding:2", "uint32"),
        "c": ("holding:4", "uint64"),
        "d": ("input:8", "string[10]"),
        "e": ("holding:13", "uint16"),
        "f": ("holding:15.3", "bool"),
    }


def test_orders_units_bits_codes_and_hexadecimal_addresses(tmp_path: Path) -> None:
    text = """name;address (hex);type;byte order;slave id;bit;values
a;1F;float32;CDAB;7;;
b;20;uint16;;7;3;
c;2A;uint16;;8;;0=off;1=on
d;30;uint32;sideways;7;;
"""
    (found,) = imported(tmp_path, "m.csv", text.replace("0=off;1=on", '"0=off;1=on"'))

    assert by_name(found) == {
        "a": {"address": "holding:0x1F", "type": "float32", "order": "CDAB", "unit_id": 7},
        "b": {"address": "holding:0x20", "type": "bool", "unit_id": 7, "bit": 3},
        "c": {"address": "holding:0x2A", "type": "uint16", "unit_id": 8, "values": {0: "off", 1: "on"}},
    }
    assert "sideways" in reasons(found)["d"]


def test_what_can_be_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    text = "name,address,type,gain,area\na,0,int16,10,holding\nb,1,int16,0.1,3x\nc,2,int16,1,7\nd,3,int16,,3\n"
    (found,) = imported(tmp_path, "m.csv", text)

    assert by_name(found) == {"b": {"address": "input:1", "type": "int16", "scale": 0.1}}
    said = reasons(found)
    assert "multiply or divide" in said["row 2: a"]
    assert "its area '7'" in said["row 4: c"] and "its area '3'" in said["row 5: d"]


@pytest.mark.parametrize(
    ("cell", "scale"),
    [("x0.1", 0.1), ("/10", 0.1), ("1/100", 0.01), ("10^-2", 0.01), ("* 5", 5), ("1e-3", 0.001), ("1", None)],
)
def test_scales_as_people_write_them(cell: str, scale: float | None, tmp_path: Path) -> None:
    (found,) = imported(tmp_path, "m.csv", f"name,address,type,factor\na,0,int16,{cell}\n")
    assert by_name(found)["a"].get("scale") == scale


def test_a_divisor_divides(tmp_path: Path) -> None:
    (found,) = imported(tmp_path, "m.csv", "name,address,type,divisor\na,0,int16,10\n")
    assert by_name(found)["a"]["scale"] == 0.1


def test_a_table_without_headings_says_what_it_needs(tmp_path: Path) -> None:
    finding = refused(tmp_path, "m.csv", "Voltage,0,uint16\nPower,1,uint16\n")
    assert finding.code == "NX6704"
    assert "name,address,type,unit,scale" in finding.hint


@pytest.mark.parametrize(
    ("written", "function", "area"),
    [
        ("3", True, "holding"),
        ("FC04", False, "input"),
        ("0x03", True, "holding"),
        ("Read Input Registers", False, "input"),
        ("Discrete inputs", False, "discrete"),
        ("Coils", False, "coil"),
        ("4x", False, "holding"),
        ("03/06/16", True, "holding"),
        ("HR", False, "holding"),
    ],
)
def test_areas(written: str, function: bool, area: str) -> None:
    assert area_of(written, function=function) == area


@pytest.mark.parametrize(
    ("written", "ours"),
    [
        ("16-bit unsigned", "uint16"),
        ("Signed 32", "int32"),
        ("Float 32", "float32"),
        ("unsigned integer", "uint16"),
        ("ENUM16", "uint16"),
        ("Bitfield 32", "uint32"),
        ("acc64", "uint64"),
        ("U_WORD16", None),
        ("32", None),
    ],
)
def test_types_in_words(written: str, ours: str | None) -> None:
    if ours is None:
        with pytest.raises(ValueError):
            type_of(written)
    else:
        assert type_of(written) == ours
