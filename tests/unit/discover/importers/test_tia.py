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


def test_rows_of_bits_begin_at_a_byte_and_counters_are_structures(tmp_path: Path) -> None:
    found = _addresses(
        tmp_path,
        "a : Bool; m : Array[0..1, 0..2] of Bool; g : Array[0..1, 0..2] of Byte; c : CTU_INT; d : IEC_DCOUNTER;"
        " t : TON_LTIME; s : IEC_USCOUNTER; z : Int;",
    )

    assert [found[f"m[{row},{bit}]"] for row in (0, 1) for bit in range(3)] == [
        *("2.0:BOOL", "2.1:BOOL", "2.2:BOOL"),
        *("3.0:BOOL", "3.1:BOOL", "3.2:BOOL"),
    ]
    assert found["g"] == "4:BYTE[6]"
    assert (found["c/CU"], found["c/QD"], found["c/PV"], found["c/CV"]) == (
        "10.0:BOOL",
        "10.5:BOOL",
        "12:INT",
        "14:INT",
    )
    assert (found["d/QU"], found["d/PV"], found["d/CV"]) == ("16.4:BOOL", "20:DINT", "24:DINT")
    assert (found["s/PV"], found["s/CV"], found["z"]) == ("61:USINT", "62:USINT", "64:INT")
    wide = "m : Array[1..3, 1..9] of Bool; z : Int;"
    assert _addresses(tmp_path, wide, max_elements=4)["z"] == _addresses(tmp_path, wide)["z"] == "6:INT"


CLASSIC = """TYPE UDT 1
TITLE = motor
  STRUCT
    Run : BOOL ; // turning
    Speed : REAL ;
  END_STRUCT ;
END_TYPE
DATA_BLOCK DB 11
TITLE =
 UDT 1
BEGIN
   Run := FALSE;
END_DATA_BLOCK
DATA_BLOCK DB 12
STRUCT
  Motor : UDT 1 ;
  Motors : ARRAY [1 .. 2 ] OF UDT 1 ;
END_STRUCT ;
BEGIN
END_DATA_BLOCK
"""


def test_classic_sources_name_types_by_number(tmp_path: Path) -> None:
    (found,) = imported(tmp_path, "s.awl", CLASSIC)

    assert {name: tag["address"] for name, tag in by_name(found).items()} == {
        "DB11/Run": "%DB11:0.0:BOOL",
        "DB11/Speed": "%DB11:2:REAL",
        "DB12/Motor/Run": "%DB12:0.0:BOOL",
        "DB12/Motor/Speed": "%DB12:2:REAL",
        "DB12/Motors[1]/Run": "%DB12:6.0:BOOL",
        "DB12/Motors[1]/Speed": "%DB12:8:REAL",
        "DB12/Motors[2]/Run": "%DB12:12.0:BOOL",
        "DB12/Motors[2]/Speed": "%DB12:14:REAL",
    }


BLOCK = """FUNCTION_BLOCK %s
{ S7_Optimized_Access := '%s' }
VERSION : 0.1
VAR_INPUT
   start : Bool;
   stop { S7_SetPoint := 'False'} : Bool := TRUE;
END_VAR
VAR_OUTPUT running : Bool; END_VAR
VAR_IN_OUT
   count : Int;
   buffer : Array[0..9] of Byte;
END_VAR
VAR
   state : Bool;
   inner : FB 7;
END_VAR
VAR CONSTANT MAX : Int := 5; END_VAR
VAR_TEMP scratch : Real; END_VAR
BEGIN
   #running := #start AND NOT #stop;
END_FUNCTION_BLOCK
"""
INNER = "FUNCTION_BLOCK FB 7 VAR_INPUT x : Byte; END_VAR VAR y : Bool; END_VAR BEGIN END_FUNCTION_BLOCK\n"


def test_an_instance_has_the_layout_of_its_function_block(tmp_path: Path) -> None:
    text = INNER + BLOCK % ('"FB Motor"', "FALSE") + 'DATA_BLOCK "M1"\nVERSION : 0.1\n"FB Motor" BEGIN END_DATA_BLOCK'
    (found,) = imported(tmp_path, "s.scl", text, db_numbers={"M1": 5})

    assert {name: tag["address"] for name, tag in by_name(found).items()} == {
        "M1/start": "%DB5:0.0:BOOL",
        "M1/stop": "%DB5:0.1:BOOL",
        "M1/running": "%DB5:2.0:BOOL",
        "M1/count": "%DB5:4:INT",
        "M1/state": "%DB5:12.0:BOOL",
        "M1/inner/x": "%DB5:14:BYTE",
        "M1/inner/y": "%DB5:16.0:BOOL",
    }
    assert reasons(found)["M1/buffer"] == "VAR_IN_OUT: its value is that of another variable"
    assert found.facts["block_bytes"] == {"M1": 18}
    (optimised,) = imported(tmp_path, "s.scl", text.replace("'FALSE'", "'TRUE'"), db_numbers={"M1": 5})
    assert not optimised.found and "OPC UA" in reasons(optimised)["M1/start"]


def test_an_odd_interface_costs_its_own_block_and_its_instances(tmp_path: Path) -> None:
    text = """FUNCTION_BLOCK "Odd" VAR_INPUT a : Array[*] of Int; END_VAR BEGIN END_FUNCTION_BLOCK
DATA_BLOCK "I" "Odd" BEGIN END_DATA_BLOCK
DATA_BLOCK "T" IEC_TIMER BEGIN END_DATA_BLOCK
DATA_BLOCK "C" { S7_Optimized_Access := 'FALSE' } IEC_COUNTER BEGIN END_DATA_BLOCK
DATA_BLOCK DB1 STRUCT b : Int; o : "Odd"; END_STRUCT; BEGIN END_DATA_BLOCK"""
    (found,) = imported(tmp_path, "s.scl", text, db_numbers={"C": 3})

    assert by_name(found)["DB1/b"]["address"] == "%DB1:0:INT"
    assert by_name(found)["C/CV"] == {"address": "%DB3:4:INT", "type": "int16"}
    said = reasons(found)
    assert "interface of Odd can't be read (line 1" in said["I"] and said["DB1/o"] == said["I"]
    assert said["T"] == "an instance of IEC_TIMER, which has no value that could be a tag"


def test_a_source_of_program_alone_says_what_was_in_it(tmp_path: Path) -> None:
    text = INNER + 'FUNCTION "F" : Void BEGIN END_FUNCTION\nTYPE "U" STRUCT a : Int; END_STRUCT; END_TYPE'
    (found,) = imported(tmp_path, "s.scl", text)

    assert list(reasons(found)) == ["FB7", "F", "U"]


def test_numbers_of_blocks_whose_names_hold_separators(tmp_path: Path) -> None:
    text = 'DATA_BLOCK "A, B=1" STRUCT a : Int; END_STRUCT; BEGIN END_DATA_BLOCK'
    (found,) = imported(tmp_path, "s.db", text, mapping='"A, B=1"=7, Other=8')

    assert by_name(found)["A, B=1/a"]["address"] == "%DB7:0:INT"
