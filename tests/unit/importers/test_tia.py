"""TIA sources: declarations, and where every variable lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.importing import by_name, imported, reasons, refused


def _addresses(folder: Path, body: str, front: str = "", **options: object) -> dict[str, str]:
    text = f"{front}\nDATA_BLOCK DB9 STRUCT {body} END_STRUCT; BEGIN END_DATA_BLOCK"
    (found,) = imported(folder, "s.db", text, **options)
    return {name.removeprefix("DB9/"): tag["address"].removeprefix("%DB9:") for name, tag in by_name(found).items()}


def test_bits_bytes_words_and_structures_are_aligned(tmp_path: Path) -> None:
    assert _addresses(
        tmp_path,
        "a : Bool; b : Bool; c : Byte; d : Bool; e : Int; f : Struct g : Byte; END_STRUCT; h : Byte; i : Byte; j : LReal;",
    ) == {
        "a": "0.0:BOOL",
        "b": "0.1:BOOL",
        "c": "1:BYTE",
        "d": "2.0:BOOL",
        "e": "4:INT",
        "f/g": "6:BYTE",
        "h": "8:BYTE",
        "i": "9:BYTE",
        "j": "10:LREAL",
    }


def test_strings_times_and_arrays(tmp_path: Path) -> None:
    assert _addresses(
        tmp_path,
        "a : String[9]; b : WString[3]; c : Array[1..3] of Byte; d : Array[0..2] of Bool; e : DTL; f : Time_Of_Day;"
        " g : Array[0..1, 0..2] of Real; h : Array[1..2] of String[3]; i : Date_And_Time; j : WString;",
    ) == {
        "a": "0:STRING(9)",
        "b": "12:WSTRING(3)",
        "c": "22:BYTE[3]",
        "d[0]": "26.0:BOOL",
        "d[1]": "26.1:BOOL",
        "d[2]": "26.2:BOOL",
        "e": "28:DTL",
        "f": "40:TOD",
        "g": "44:REAL[6]",
        "h": "68:STRING(3)[2]",
        "i": "80:DT",
        "j": "88:WSTRING(254)",
    }


def test_types_of_the_project_within_arrays(tmp_path: Path) -> None:
    udt = "TYPE \"U\" VERSION : 0.1 STRUCT x : Bool; y { S := 'F' } : Int; END_STRUCT; END_TYPE"

    assert _addresses(tmp_path, 'u : Array[0..1] of "U"; last : Bool;', udt) == {
        "u[0]/x": "0.0:BOOL",
        "u[0]/y": "2:INT",
        "u[1]/x": "4.0:BOOL",
        "u[1]/y": "6:INT",
        "last": "8.0:BOOL",
    }
    assert _addresses(tmp_path, 'u : Array[0..99] of "U"; last : Bool;', udt, max_elements=1)["last"] == "400.0:BOOL"


def test_elements_on_request(tmp_path: Path) -> None:
    found = _addresses(tmp_path, "a : Array[1..3] of Int; b : Int;", elements=True)

    assert found == {"a[1]": "0:INT", "a[2]": "2:INT", "a[3]": "4:INT", "b": "6:INT"}


def test_comments_initial_values_and_quoted_names(tmp_path: Path) -> None:
    text = """// a source
DATA_BLOCK "My block" // numbered below
TITLE = Tank farm
{ S7_Optimized_Access := 'FALSE' }
AUTHOR : me
VERSION : 0.1
NON_RETAIN
VAR RETAIN
   "level [mm]" {ExternalWritable := 'False'} : Real := 1.5E+3;   // Level of the tank
   (* two
      lines *) a, b : Array [1 .. 2] OF INT := [2(7)];
END_VAR
BEGIN
   "level [mm]" := 3.0;
END_DATA_BLOCK
"""
    (found,) = imported(tmp_path, "s.scl", text, mapping='"My block"=7')

    assert by_name(found) == {
        "My block/level [mm]": {"address": "%DB7:0:REAL", "type": "float32", "description": "Level of the tank"},
        "My block/a": {"address": "%DB7:4:INT[2]", "type": "int16[2]"},
        "My block/b": {"address": "%DB7:8:INT[2]", "type": "int16[2]"},
    }


def test_optimised_access_is_named_with_the_way_that_works(tmp_path: Path) -> None:
    text = """DATA_BLOCK "Tank" { S7_Optimized_Access := 'TRUE' } STRUCT level : Real; s : Struct x : Int; END_STRUCT;
END_STRUCT; BEGIN END_DATA_BLOCK"""
    (found,) = imported(tmp_path, "s.db", text)

    assert found.found == []
    assert 'OPC UA: nsu=http://www.siemens.com/simatic-s7-opcua;s="Tank"."level"' in reasons(found)["Tank/level"]
    assert '"Tank"."s"."x"' in reasons(found)["Tank/s/x"]


def test_after_something_of_unknown_size_no_offset_is_guessed(tmp_path: Path) -> None:
    text = 'DATA_BLOCK DB1 STRUCT a : Int; b : "Foreign"; c : Int; END_STRUCT; BEGIN END_DATA_BLOCK'
    (found,) = imported(tmp_path, "s.db", text)

    assert list(by_name(found)) == ["DB1/a"]
    assert reasons(found)["DB1/b"] == "its type Foreign is not in the source"
    assert "depends on the size of b" in reasons(found)["DB1/c"]
    text = "DATA_BLOCK DB1 STRUCT a : Array[0..MAX] of Int; c : Int; END_STRUCT; BEGIN END_DATA_BLOCK"
    (found,) = imported(tmp_path, "s.db", text)
    assert "constants" in reasons(found)["DB1/a"]


def test_instances_of_blocks_that_are_not_there(tmp_path: Path) -> None:
    (found,) = imported(tmp_path, "s.db", 'DATA_BLOCK "I" "FB_Motor" BEGIN END_DATA_BLOCK')

    assert reasons(found) == {"I": 'it has the layout of "FB_Motor", which is not in the source'}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("DATA_BLOCK DB1\nSTRUCT\n a Int;\nEND_STRUCT;\nEND_DATA_BLOCK", 3),
        ("DATA_BLOCK DB1\nSTRUCT\n a : Int\n b : Int;\nEND_STRUCT;\nEND_DATA_BLOCK", 4),
        ("DATA_BLOCK DB1\nSTRUCT\n a : Array[1..2 of Int;\nEND_STRUCT;", 3),
        ("DATA_BLOCK DB1\nSTRUCT\n a : Int;", 3),
    ],
)
def test_broken_declarations_say_where(text: str, line: int, tmp_path: Path) -> None:
    finding = refused(tmp_path, "s.db", text)

    assert finding.code == "NX6702"
    assert finding.place is not None and finding.place.line == line


def test_numbers_of_blocks_must_be_numbers(tmp_path: Path) -> None:
    finding = refused(tmp_path, "s.db", "DATA_BLOCK DB1 STRUCT a : Int; END_STRUCT; END_DATA_BLOCK", mapping="DB1=x")

    assert finding.code == "NX6704"
