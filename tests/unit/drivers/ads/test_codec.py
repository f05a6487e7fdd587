"""Types of a PLC: names to shapes, bytes to values; what can't be is refused with both names."""

from __future__ import annotations

import asyncio
import struct

import pytest

from nexus_cli.drivers.ads.browse import _table, _Walk
from nexus_cli.drivers.ads.codec import Mismatch, compile_codec, shape_for
from nexus_cli.drivers.ads.plctypes import Resolver, Shape, UnknownType, shape_by_name
from nexus_cli.drivers.ads.strings import plain_text, wide_text
from nexus_cli.drivers.ads.symbol_table import BIT_VALUES, SymbolEntry, TypeEntry, read_symbol, write_symbol
from nexus_cli.drivers.base import Browsed, DriverError
from nexus_cli.drivers.fixed_layout import EncodeError
from nexus_cli.model.datatype import parse_type
from nexus_cli.wire.sample import Reason

INT = TypeEntry(name="INT", type_name="", size=2, ads=2)
STATE = TypeEntry(name="E_State", type_name="INT", size=2, ads=2, labels=(("idle", b"\0\0"), ("fault", b"\xff\xff")))
DELAY = TypeEntry(name="T_Delay", type_name="TIME", size=4, ads=19)
MOTOR = TypeEntry(
    name="ST_Motor",
    type_name="",
    size=20,
    ads=65,
    members=(
        TypeEntry(name="bA", type_name="BIT", size=1, offset=0, ads=33, flags=BIT_VALUES),
        TypeEntry(name="bB", type_name="BIT", size=1, offset=9, ads=33, flags=BIT_VALUES),
        TypeEntry(name="eState", type_name="E_State", size=2, offset=2, ads=2, comment="what it does"),
        TypeEntry(name="tDelay", type_name="T_Delay", size=4, offset=4, ads=19),
        TypeEntry(name="aTemp", type_name="ARRAY [1..2] OF INT", size=4, offset=8, ads=2),
        TypeEntry(name="pNext", type_name="POINTER TO ST_Motor", size=8, offset=12, ads=65),
    ),
)
TYPES = {entry.name.upper(): entry for entry in (INT, STATE, DELAY, MOTOR)}


def shape(name: str, ads: int, size: int, *, thorough: bool = False) -> Shape:
    return Resolver(TYPES, thorough=thorough).shape(name, ads, size)


def test_enumerations_are_their_number_and_know_their_names() -> None:
    found = shape("E_State", 2, 2)
    assert dict(found.labels) == {0: "idle", -1: "fault"}
    assert compile_codec(parse_type("int16"), found).decode(b"\xff\xff") == -1


@pytest.mark.parametrize(
    ("base", "ads", "raw", "code"),
    [
        ("WORD", 18, b"\x00\x80", 32768),
        ("USINT", 17, b"\xff", 255),
        ("BYTE", 17, b"\xff", 255),
        ("ULINT", 21, b"\xff" * 8, 2**64 - 1),
        ("INT", 2, b"\x00\x80", -32768),
        ("LINT", 20, b"\xff" * 8, -1),
        ("E_Below", 18, b"\xff\xff", 65535),
    ],
)
def test_the_codes_of_an_enumeration_have_the_sign_of_the_type_below_it(
    base: str, ads: int, raw: bytes, code: int
) -> None:
    below = TypeEntry(name="E_Below", type_name="WORD", size=2, ads=18)
    entry = TypeEntry(name="E_Any", type_name=base, size=len(raw), ads=ads, labels=(("one", raw),))
    found = Resolver({"E_ANY": entry, "E_BELOW": below}, thorough=True).shape("E_Any", ads, len(raw))
    assert dict(found.labels) == {code: "one"}


def test_one_odd_member_costs_itself_by_name() -> None:
    members = (
        TypeEntry(name="rLevel", type_name="REAL", size=4, ads=4),
        TypeEntry(name="aBuf", type_name="ARRAY [0..9] OF BYTE (VAR_IN_OUT)", size=4, offset=4, ads=17),
        TypeEntry(name="dRef", type_name="DINT (VAR_IN_OUT)", size=4, offset=8, ads=3),
        TypeEntry(name="aOdd", type_name="ARRAY [0..2] OF INT", size=5, offset=12, ads=2),
        TypeEntry(name="aBound", type_name="ARRAY [0..n] OF INT", size=4, offset=18, ads=2),
        TypeEntry(name="xOther", type_name="T_NotThere", size=3, offset=22, ads=65),
        TypeEntry(name="n", type_name="INT", size=2, offset=26, ads=2),
    )
    block = TypeEntry(name="FB_Odd", type_name="", size=28, ads=65, members=members)
    known: dict[str, TypeEntry | None] = {"FB_ODD": block}
    found = list(_Walk(Resolver(known, thorough=True), known, True).walk(("M", "f"), "M.f", "FB_Odd", 65, 28, ""))

    assert {one.address: one.type for one in found if one.type} == {"M.f.rLevel": "float32", "M.f.n": "int16"}
    skipped = {one.address: one.detail["skipped"] for one in found if not one.type}
    assert list(skipped) == ["M.f.aBuf", "M.f.dRef", "M.f.aOdd", "M.f.aBound", "M.f.xOther"]
    assert "VAR_IN_OUT" in skipped["M.f.aBuf"] and "VAR_IN_OUT" in skipped["M.f.dRef"]
    assert "5 bytes" in skipped["M.f.aOdd"]
    whole = compile_codec(parse_type("json"), Resolver(known).shape("FB_Odd", 65, 28))
    raw = struct.pack("<fIi", 12.5, 7, 8) + bytes(14) + struct.pack("<h", -3)
    assert whole.decode(raw) == {"rLevel": 12.5, "n": -3}


def test_a_description_that_can_not_be_read_costs_itself() -> None:
    good = write_symbol(SymbolEntry(name="MAIN.a", type_name="INT", group=1, offset=2, size=2, ads=2))
    odd = bytearray(write_symbol(SymbolEntry(name="MAIN.b", type_name="INT", group=1, offset=4, size=2, ads=2)))
    odd[24:26] = b"\xff\xff"  # a name longer than its entry
    said: list[Browsed] = []
    found = asyncio.run(_table(good + bytes(odd) + good, 3, read_symbol, "symbol", said, "upload"))
    assert [one.name for one in found] == ["MAIN.a", "MAIN.a"]
    assert [one.path for one in said] == [("symbol 2",)] and said[0].detail["skipped"]
    with pytest.raises(DriverError):
        asyncio.run(_table(good + bytes(4), 2, read_symbol, "symbol", said, "upload"))


def test_an_alias_of_a_time_is_a_time() -> None:
    assert compile_codec(parse_type("duration"), shape("T_Delay", 19, 4)).decode(struct.pack("<I", 1500)) == 1500
    with pytest.raises(UnknownType):
        Resolver({}, thorough=True).shape("T_Delay", 19, 4)
    assert compile_codec(parse_type("uint32"), Resolver({}).shape("T_Delay", 19, 4)).decode(bytes(4)) == 0


def test_a_structure_is_read_member_by_member() -> None:
    without = TypeEntry(name="ST_M", type_name="", size=12, ads=65, members=MOTOR.members[:-1])
    found = Resolver({**TYPES, "ST_M": without}).shape("ST_M", 65, 12)
    raw = bytes((1, 2)) + struct.pack("<hIhh", -1, 1500, 7, -8)
    codec = compile_codec(parse_type("json"), found)
    value = {"bA": True, "bB": True, "eState": -1, "tDelay": 1500, "aTemp": [7, -8]}
    assert codec.decode(raw) == value
    assert codec.encode(value) == raw
    with pytest.raises(EncodeError, match="exactly the members"):
        codec.encode({"bA": True})


def test_pointers_are_named_and_skipped() -> None:
    known: dict[str, TypeEntry | None] = dict(TYPES)
    found = list(
        _Walk(Resolver(known, thorough=True), known, True).walk(("MAIN", "m"), "MAIN.m", "ST_Motor", 65, 20, "")
    )
    told = {one.address: one for one in found}
    assert told["MAIN.m.aTemp"].type == "int16[2]"
    assert told["MAIN.m.eState"].description == "what it does"
    assert told["MAIN.m.pNext"].type == ""
    assert told["MAIN.m.pNext"].detail["skipped"] == "a pointer: its value is an address"


def test_a_structure_with_a_pointer_is_read_without_it_and_never_written() -> None:
    codec = compile_codec(parse_type("json"), shape("ST_Motor", 65, 20, thorough=True))
    assert codec.decode(bytes(20)) == {"bA": False, "bB": False, "eState": 0, "tDelay": 0, "aTemp": [0, 0]}
    with pytest.raises(EncodeError, match="pNext"):
        codec.encode({"bA": False, "bB": False, "eState": 0, "tDelay": 0, "aTemp": [0, 0]})
    with pytest.raises(Mismatch):
        compile_codec(parse_type("json"), shape("POINTER TO ST_Motor", 65, 8))


@pytest.mark.parametrize(
    ("name", "ads", "size"),
    [
        ("ARRAY [0..4] OF INT", 2, 9),
        ("ARRAY [4..0] OF INT", 2, 8),
        ("ARRAY [x..4] OF INT", 2, 8),
        ("ARRAY [0..99999999] OF INT", 2, 200_000_000),
    ],
)
def test_arrays_that_can_not_be_are_refused(name: str, ads: int, size: int) -> None:
    with pytest.raises(ValueError):
        shape(name, ads, size)


@pytest.mark.parametrize(
    ("declared", "plc"),
    [
        ("int16", "DINT"),
        ("uint16", "INT"),
        ("float32", "LREAL"),
        ("bool", "BYTE"),
        ("uint8", "BOOL"),
        ("string", "INT"),
        ("int16", "STRING"),
        ("datetime", "TIME"),
        ("int16[2]", "INT"),
        ("float64", "DINT"),
    ],
)
def test_types_that_can_not_hold_the_plcs_are_a_mismatch(declared: str, plc: str) -> None:
    with pytest.raises(Mismatch, match="is not"):
        compile_codec(parse_type(declared), shape_by_name(plc))


@pytest.mark.parametrize(
    ("declared", "value", "reason"),
    [
        ("uint8", 256, Reason.OVERFLOW),
        ("int32", True, Reason.TYPE_MISMATCH),
        ("float64", float("nan"), Reason.TYPE_MISMATCH),
        pytest.param("float64", 10**400, Reason.OVERFLOW, id="huge"),
        ("datetime", "2200-01-01T00:00:00Z", Reason.OVERFLOW),
        ("datetime", 5, Reason.TYPE_MISMATCH),
        ("string[4]", "a\0b", Reason.TYPE_MISMATCH),
        ("string[4]", "abcde", Reason.OVERFLOW),
    ],
)
def test_values_that_do_not_fit_are_refused_with_the_reason(declared: str, value: object, reason: Reason) -> None:
    kind = parse_type(declared)
    with pytest.raises(EncodeError) as caught:
        compile_codec(kind, shape_for(kind)).encode(value)  # type: ignore[arg-type]
    assert caught.value.reason is reason


def test_whole_floats_are_written_to_integers() -> None:
    assert compile_codec(parse_type("int16"), shape_by_name("INT")).encode(5.0) == b"\5\0"


def test_texts_end_at_their_nul() -> None:
    assert plain_text(b"gr\xf6\xdfer \x80\0rest") == "größer €"
    assert plain_text(b"\x81\x8d!") == "\x81\x8d!"
    assert wide_text("Ω\0rest".encode("utf-16-le")) == "Ω"
    assert wide_text(b"\x00\x01\x00") == "Ā"
