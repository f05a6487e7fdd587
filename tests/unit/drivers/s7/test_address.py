"""Three dialects of S7 addresses end in one normal form."""

from __future__ import annotations

import pytest

from nexus_cli.drivers.s7.address import TYPES
from nexus_cli.drivers.s7.kind import FITS, KIND, S7Connection, S7Tag, address_of
from nexus_cli.model.driver_kind import AddressError

CONNECTION = S7Connection(host="10.0.0.7")


def normal(address: str, type_: str) -> str:
    return address_of(CONNECTION, S7Tag(address=address, type=type_)).text


@pytest.mark.parametrize(
    ("address", "type_", "text"),
    [
        ("DB1.DBD10", "float32", "%DB1:10:REAL"),
        ("DB1.DBD10", "int32", "%DB1:10:DINT"),
        ("DB1.DBD10:REAL", "float32", "%DB1:10:REAL"),
        ("%DB1.DBX0.3", "bool", "%DB1:0.3:BOOL"),
        ("%DB1:10:REAL[5]", "float32[5]", "%DB1:10:REAL[5]"),
        ("%DB1:0.3:BOOL", "bool", "%DB1:0.3:BOOL"),
        ("%DB2:0:STRING(30)", "string", "%DB2:0:STRING(30)"),
        ("%DB2:0:WSTRING(30)", "string[30]", "%DB2:0:WSTRING(30)"),
        ("%DB2:0:CHAR[8]", "string[8]", "%DB2:0:CHAR[8]"),
        ("%DB2:0:DTL", "datetime", "%DB2:0:DTL"),
        ("%DB2:0:DATE_AND_TIME", "datetime", "%DB2:0:DT"),
        ("%DB2:0:LDT", "datetime", "%DB2:0:LDT"),
        ("%DB2:0:LTOD", "duration", "%DB2:0:LTOD"),
        ("%DB2:0:LREAL", "float64", "%DB2:0:LREAL"),
        ("%DB2:0:LWORD", "uint64", "%DB2:0:LWORD"),
        ("DB1,R4", "float32", "%DB1:4:REAL"),
        ("DB1,X0.3", "bool", "%DB1:0.3:BOOL"),
        ("DB1,INT4", "int16", "%DB1:4:INT"),
        ("DB1,R4.5", "float32[5]", "%DB1:4:REAL[5]"),
        ("DB1.R4", "float32", "%DB1:4:REAL"),
        ("DB1.X5.2", "bool", "%DB1:5.2:BOOL"),
        ("DB1.S30.10", "string", "%DB1:30:STRING(10)"),
        ("DB1.DI4", "int32", "%DB1:4:DINT"),
        ("DB3.LI12", "int64", "%DB3:12:LINT"),
        ("DB3.LR12", "float64", "%DB3:12:LREAL"),
        ("DB1.DT10", "datetime", "%DB1:10:DT"),
        ("MW20", "int16", "%M20:INT"),
        ("M10.3", "bool", "%M10.3:BOOL"),
        ("I0.1", "bool", "%I0.1:BOOL"),
        ("E0.1", "bool", "%I0.1:BOOL"),
        ("AW4", "uint16", "%Q4:UINT"),
        ("%QB3", "uint8", "%Q3:USINT"),
        ("%MD20:REAL", "float32", "%M20:REAL"),
        ("MR20", "float32", "%M20:REAL"),
        ("T5", "duration", "%T5:TIMER"),
        ("C7", "uint16", "%C7:COUNTER"),
        ("Z7", "uint16", "%C7:COUNTER"),
        ("MK0.X1.2", "bool", "%M1.2:BOOL"),
        ("MK1.W10", "int16", "%M10:INT"),
        ("PE.R4", "float32", "%I4:REAL"),
        ("PA0.DW4", "uint32", "%Q4:UDINT"),
        ("DB1.DBX20.0:DTL", "datetime", "%DB1:20:DTL"),
        ("%DB1:20.0:REAL", "float32", "%DB1:20:REAL"),
        ("DB1.DBB20:DTL", "datetime", "%DB1:20:DTL"),
        ("DB1.DBD20:LREAL", "float64", "%DB1:20:LREAL"),
        ("DB1.DBW10", "duration", "%DB1:10:S5TIME"),
        ("DB1.DBD10", "duration", "%DB1:10:TIME"),
        ("DB1,WSTRING10.20", "string", "%DB1:10:WSTRING(20)"),
        ("DB1.STRING10.20.3", "string[20][3]", "%DB1:10:STRING(20)[3]"),
        ("%DB1.DBX20.0:STRING[30]", "string[30]", "%DB1:20:STRING(30)"),
        ("%DB1:20:STRING[30]", "string", "%DB1:20:STRING(30)"),
        ("%DB1:20:WSTRING[30]", "string[30]", "%DB1:20:WSTRING(30)"),
        ("%DB1:20:STRING[3]", "string[30][3]", "%DB1:20:STRING(30)[3]"),
        ("%DB1:20:STRING[30]", "string[30][3]", "%DB1:20:STRING(30)[3]"),
        ("%DB1:20:STRING[30][3]", "string[30][3]", "%DB1:20:STRING(30)[3]"),
        ("T0.T3", "duration", "%T3:TIMER"),
        ("C0.C3", "uint16", "%C3:COUNTER"),
        ("V10.3", "bool", "%DB1:10.3:BOOL"),
        ("VB10", "uint8", "%DB1:10:USINT"),
        ("VW10", "int16", "%DB1:10:INT"),
        ("VD10", "float32", "%DB1:10:REAL"),
        ("%VW10:UINT", "uint16", "%DB1:10:UINT"),
        ("VR4", "float32", "%DB1:4:REAL"),
    ],
)
def test_dialects(address: str, type_: str, text: str) -> None:
    assert normal(address, type_) == text
    assert normal(text, type_) == text


@pytest.mark.parametrize("s7_type", [kind for kind in TYPES if kind != "BOOL"])
def test_every_type_is_known_in_every_dialect(s7_type: str) -> None:
    length = "(20)" if s7_type in ("STRING", "WSTRING") else ""
    short = f"{s7_type}10" + (".20" if length else "")
    for type_ in FITS[s7_type]:
        text = f"%DB1:10:{s7_type}{length}"
        written = (f"DB1.DBX10.0:{s7_type}{length}", f"DB1:10:{s7_type}{length}", text)
        if s7_type not in ("BYTE", "WORD", "DWORD"):  # of which these only say the width
            written += (f"DB1,{short}", f"DB1.{short}")
        if s7_type in ("TIMER", "COUNTER"):
            written = written[1:]
        assert {normal(one, type_) for one in written} == {text}
        if not length:
            many = f"%DB1:10:{s7_type}[4]"
            assert normal(f"DB1:10:{s7_type}[4]", type_ if type_ == "string" else f"{type_}[4]") == many


@pytest.mark.parametrize(
    ("written", "area"),
    [("I", "I"), ("E", "I"), ("Q", "Q"), ("A", "Q"), ("M", "M"), ("PE0.", "I"), ("PA0.", "Q"), ("MK0.", "M")],
)
def test_every_area_has_bits_bytes_words_and_types(written: str, area: str) -> None:
    assert normal(f"{written}X4.7", "bool") == f"%{area}4.7:BOOL"
    assert normal(f"{written}B4", "uint8") == f"%{area}4:USINT"
    assert normal(f"{written}W4", "int16") == f"%{area}4:INT"
    assert normal(f"{written}DW4" if "." in written else f"{written}D4", "float32") == f"%{area}4:REAL"
    assert normal(f"{written}DTL4", "datetime") == f"%{area}4:DTL"


@pytest.mark.parametrize(
    ("address", "type_", "code"),
    [
        ("DB1-10", "float32", "NX3301"),
        ("DB1,QQ4", "float32", "NX3301"),
        ("PIW256", "int16", "NX3301"),
        ("%DB1:10:REEL", "float32", "NX3301"),
        ("", "float32", "NX3301"),
        ("DB1.DBD10:REAL", "int32", "NX3302"),
        ("DB1.DBW3", "float32", "NX3302"),
        ("DB1.DBW3:REAL", "float32", "NX3302"),
        ("DB1,R4.5", "float32", "NX3302"),
        ("%DB1:4:REAL[5]", "float32[4]", "NX3302"),
        ("%DB1:4:REAL", "json", "NX3302"),
        ("Tank.Level", "float32", "NX3303"),
        ('"Tank".Level', "float32", "NX3303"),
        ("DB1.DBX0.8", "bool", "NX3304"),
        ("DB1.DBX0", "bool", "NX3304"),
        ("M10", "bool", "NX3304"),
        ("%DB1:4.1:REAL", "float32", "NX3304"),
        ("T5.0", "duration", "NX3304"),
        ("DB1.DBB10", "string[20]", "NX3302"),
        ("DB1.WS10", "string", "NX3301"),
        ("%DB1:0:STRING(300)", "string", "NX3305"),
        ("%DB1:0:STRING(30)", "string[20]", "NX3305"),
        ("%DB1:0:REAL[3][4]", "float32[3]", "NX3301"),
        ("AI1", "int16", "NX3301"),
        ("AIW0", "int16", "NX3301"),
        ("SM0.5", "bool", "NX3301"),
        ("V10.8", "bool", "NX3304"),
        ("VD70000", "int32", "NX3306"),
        ("DB0.DBD10", "float32", "NX3306"),
        ("DB1.DBD70000", "float32", "NX3306"),
        ("DB1.DBD65534", "float32", "NX3306"),
        ("%DB1:65000:LREAL[68]", "float64[68]", "NX3306"),
    ],
)
def test_what_is_wrong(address: str, type_: str, code: str) -> None:
    with pytest.raises(AddressError) as caught:
        normal(address, type_)
    assert caught.value.code == code


def test_optimised_blocks_are_shown_the_way_to_opc_ua() -> None:
    with pytest.raises(AddressError) as caught:
        normal("Tank.Level", "float32")
    assert "OPC UA" in caught.value.hint


@pytest.mark.parametrize(
    ("address", "type_", "key", "hint"),
    [
        ("PEW256", "int16", "address", "process image"),
        ("DB1.DBB10", "string[20]", "address", "write %DB1:10:STRING(20)"),
        ("DB1.DBW10", "bool", "type", "type: uint16"),
        ("AI2", "int16", "address", "VW1034 (LOGO! 8) or VW928 (0BA7); the output word 2 of another CPU is QW2"),
        ("AQ1", "int16", "address", "VW1072 (LOGO! 8) or VW944"),
        ("AM3", "int16", "address", "VW1122 (LOGO! 8) or VW956"),
        ("NI1", "bool", "address", "V1246.0"),
        ("SMW22", "int16", "address", "V memory"),
        ("DB1,WS0.128", "string", "address", "WSTRING"),
        ("DB1,S20.30.3", "string[3]", "type", "type: string[30][3]"),
    ],
)
def test_the_hint_is_what_to_write_and_where(address: str, type_: str, key: str, hint: str) -> None:
    with pytest.raises(AddressError) as caught:
        normal(address, type_)
    assert caught.value.key == key
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("address", "type_"),
    [
        ("DB1,S20.30.3", "string"),
        ("DB1,S20.30.3", "string[3]"),
        ("%DB1:0:STRING(9)[3]", "string"),
        ("DB1,R4.5", "float32"),
        ("DB1.DBD10:REAL", "int32"),
        ("DB1.DBW10", "bool"),
        ("%DB1:4:LREAL", "string"),
    ],
)
def test_what_a_hint_says_is_accepted(address: str, type_: str) -> None:
    with pytest.raises(AddressError) as caught:
        normal(address, type_)
    assert caught.value.hint.startswith("type: ")
    assert normal(address, caught.value.hint.removeprefix("type: "))


@pytest.mark.parametrize(
    ("address", "type_", "options"),
    [
        ("%DB2:0:STRING(30)", "string", {"length": 30, "text": "cp1252"}),
        ("%DB2:0:STRING(30)", "string[30]", {"text": "cp1252"}),
        ("%DB2:0:WSTRING(30)", "string[30]", {"text": "utf-16-be"}),
        ("%DB2:0:CHAR[8]", "string", {"length": 8, "text": "cp1252"}),
        ("DB1.DBD10", "float32", {}),
    ],
)
def test_a_text_that_is_written_says_what_it_can_hold(address: str, type_: str, options: dict[str, object]) -> None:
    assert address_of(CONNECTION, S7Tag(address=address, type=type_, writable=True)).options == options
    assert not address_of(CONNECTION, S7Tag(address=address, type=type_)).options


def test_an_input_is_not_writable() -> None:
    with pytest.raises(AddressError) as caught:
        address_of(CONNECTION, S7Tag(address="I0.1", type="bool", writable=True))
    assert (caught.value.code, caught.value.key) == ("NX3307", "writable")
    assert address_of(CONNECTION, S7Tag(address="Q0.1", type="bool", writable=True)).text == "%Q0.1:BOOL"


def test_one_link_is_one_cpu() -> None:
    assert KIND.link_of(CONNECTION) == "s7:10.0.0.7:102/0.1"
    assert KIND.link_of(S7Connection(host="h", local_tsap=0x100, remote_tsap=0x200)) == "s7:h:102/tsap-0200"
