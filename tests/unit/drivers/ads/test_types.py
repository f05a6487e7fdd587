"""Every kind of type that a TwinCAT program may have: read as what it is, and never written so that it does harm."""

from __future__ import annotations

import struct

import pytest

from nexus_cli.drivers.ads.codec import Mismatch, compile_codec
from nexus_cli.drivers.ads.plctypes import MAX_PARTS, Resolver, Shape, UnknownType
from nexus_cli.drivers.ads.symbol_table import BIT_VALUES, SymbolEntry, TypeEntry, read_symbol, write_symbol
from nexus_cli.drivers.fixed_layout import EncodeError
from nexus_cli.model.datatype import parse_type

PERSISTENT = 0x1
"""Symbol flag of VAR_PERSISTENT. Source: Beckhoff, TcAdsDef.h, ADSSYMBOLFLAG_PERSISTENT."""


def member(name: str, type_name: str, *, at: int, size: int, ads: int, flags: int = 2) -> TypeEntry:
    return TypeEntry(name=name, type_name=type_name, size=size, offset=at, ads=ads, flags=flags)


TYPES = {
    entry.name.upper(): entry
    for entry in (
        TypeEntry(name="T_Percent", type_name="INT (0..100)", size=2, ads=2),
        TypeEntry(name="INT (0..100)", type_name="INT", size=2, ads=2),
        TypeEntry(name="T_MaxString", type_name="STRING(255)", size=256, ads=30),
        TypeEntry(name="T_Row", type_name="INT", size=6, ads=2, bounds=((1, 3),)),
        TypeEntry(name="T_Table", type_name="T_Row", size=12, ads=2, bounds=((0, 2),)),
        TypeEntry(name="T_Span", type_name="LTIME", size=8, ads=21),
        TypeEntry(name="E_Color", type_name="UINT", size=2, ads=18, labels=(("red", b"\0\0"), ("green", b"\1\0"))),
        TypeEntry(
            name="GUID",
            type_name="",
            size=16,
            ads=65,
            members=(
                member("Data1", "DWORD", at=0, size=4, ads=19),
                member("Data2", "WORD", at=4, size=2, ads=18),
                member("Data3", "WORD", at=6, size=2, ads=18),
                member("Data4", "ARRAY [0..7] OF BYTE", at=8, size=8, ads=17),
            ),
        ),
        TypeEntry(
            name="U_Word",
            type_name="",
            size=4,
            ads=65,
            members=(
                member("dw", "DWORD", at=0, size=4, ads=19),
                member("w", "ARRAY [0..1] OF WORD", at=0, size=4, ads=18),
                member("r", "REAL", at=0, size=4, ads=4),
            ),
        ),
        TypeEntry(  # as TwinCAT describes it on a 64-bit controller: eight bytes that are no member come first
            name="TON",
            type_name="",
            size=32,
            ads=65,
            flags=0x1 | 0x800,
            members=(
                member("IN", "BOOL", at=8, size=1, ads=33),
                member("PT", "TIME", at=12, size=4, ads=19),
                member("Q", "BOOL", at=16, size=1, ads=33),
                member("ET", "TIME", at=20, size=4, ads=19),
                member("M", "BOOL", at=24, size=1, ads=33),
            ),
        ),
        TypeEntry(
            name="ST_Bits",
            type_name="",
            size=4,
            ads=65,
            members=(
                member("a", "BIT", at=0, size=1, ads=33, flags=BIT_VALUES),
                member("b", "BIT", at=1, size=1, ads=33, flags=BIT_VALUES),
                member("n", "INT", at=2, size=2, ads=2),
            ),
        ),
        TypeEntry(
            name="ST_Cell",
            type_name="",
            size=40,
            ads=65,
            members=(
                member("tStart", "TON", at=0, size=32, ads=65),
                member("nCount", "DINT", at=32, size=4, ads=3),
            ),
        ),
    )
}


def shape(name: str, ads: int, size: int, *, thorough: bool = True) -> Shape:
    return Resolver(TYPES, thorough=thorough).shape(name, ads, size)


@pytest.mark.parametrize(
    ("name", "ads", "size", "declared", "raw", "value"),
    [
        ("INT (0..100)", 2, 2, "int16", b"\x64\0", 100),
        ("T_Percent", 2, 2, "int32", b"\x64\0", 100),
        ("UINT (5..9)", 18, 2, "uint16", b"\7\0", 7),
        ("T_MaxString", 30, 256, "string", b"abc".ljust(256, b"\0"), "abc"),
        ("T_Row", 2, 6, "int16[3]", struct.pack("<3h", 1, -2, 3), [1, -2, 3]),
        ("T_Table", 2, 12, "int16[6]", struct.pack("<6h", *range(6)), list(range(6))),
        ("T_Table", 2, 12, "json", struct.pack("<6h", *range(6)), [[0, 1, 2], [3, 4, 5]]),
        ("T_Span", 21, 8, "duration", struct.pack("<Q", 1_500_000), 1.5),
        ("LTIME", 21, 8, "uint64", struct.pack("<Q", 2**64 - 1), 2**64 - 1),
        ("LTIME", 21, 8, "duration", struct.pack("<Q", 250_000_000), 250.0),
        ("E_Color", 18, 2, "uint16", b"\1\0", 1),
        ("BIT", 33, 1, "bool", b"\1", True),
        ("GUID", 65, 16, "json", bytes(range(16)), None),
        ("U_Word", 65, 4, "json", struct.pack("<f", 1.0), {"dw": 0x3F800000, "w": [0, 0x3F80], "r": 1.0}),
        ("ST_Bits", 65, 4, "json", b"\2\0\7\0", {"a": False, "b": True, "n": 7}),
        (
            "TON",
            65,
            32,
            "json",
            struct.pack("<8xB3xIB3xIB7x", 1, 1500, 0, 20, 1),
            {"IN": True, "PT": 1500, "Q": False, "ET": 20, "M": True},
        ),
    ],
)
def test_what_it_is_read_as(name: str, ads: int, size: int, declared: str, raw: bytes, value: object) -> None:
    thorough = parse_type(declared).base in ("datetime", "duration", "json")
    found = compile_codec(parse_type(declared), shape(name, ads, size, thorough=thorough)).decode(raw)
    if name == "GUID":
        value = {"Data1": 0x03020100, "Data2": 0x0504, "Data3": 0x0706, "Data4": list(range(8, 16))}
    assert found == value


@pytest.mark.parametrize(
    ("name", "size", "what"),
    [
        ("TON", 32, "what lies before IN"),
        ("ST_Cell", 40, "what lies before IN"),
        ("U_Word", 4, "what shares its bytes with w"),
    ],
)
def test_what_a_write_of_its_members_would_destroy_is_not_written(name: str, size: int, what: str) -> None:
    """A function block begins with a pointer to its code: a zero there stops the PLC."""
    codec = compile_codec(parse_type("json"), shape(name, 65, size))
    value = codec.decode(bytes(range(1, size + 1)))
    with pytest.raises(EncodeError, match=what):
        codec.encode(value)


@pytest.mark.parametrize(("name", "size"), [("GUID", 16), ("ST_Bits", 4)])
def test_a_structure_without_hidden_parts_is_written_whole(name: str, size: int) -> None:
    codec = compile_codec(parse_type("json"), shape(name, 65, size))
    raw = bytes((3, 0, *range(2, size)))
    assert codec.encode(codec.decode(raw)) == raw


def test_hidden_parts_between_and_behind_members_count_too() -> None:
    def refused(*members: TypeEntry, size: int) -> str:
        entry = TypeEntry(name="X", type_name="", size=size, ads=65, members=members)
        codec = compile_codec(parse_type("json"), Resolver({"X": entry}).shape("X", 65, size))
        try:
            codec.encode(codec.decode(bytes(size)))
        except EncodeError as error:
            return str(error)
        return ""

    first = member("a", "DINT", at=0, size=4, ads=3)
    assert not refused(first, member("b", "LREAL", at=8, size=8, ads=5), size=16)
    assert "before b" in refused(first, member("b", "DINT", at=12, size=4, ads=3), size=16)
    assert "behind a" in refused(first, size=16)
    assert not refused(first, size=8)


@pytest.mark.parametrize("flags", [2, 2 | 0x20], ids=["number", "bit"])
def test_a_member_beyond_the_end_of_its_structure_is_no_value_and_is_not_written(flags: int) -> None:
    outside = member(
        "b",
        "BIT" if flags & 0x20 else "DINT",
        at=64 if flags & 0x20 else 12,
        size=1 if flags & 0x20 else 4,
        ads=33 if flags & 0x20 else 3,
        flags=flags,
    )
    entry = TypeEntry(
        name="X", type_name="", size=4, ads=65, members=(member("a", "INT", at=0, size=2, ads=2), outside)
    )
    codec = compile_codec(parse_type("json"), Resolver({"X": entry}).shape("X", 65, 4))
    with pytest.raises((ValueError, struct.error)):
        codec.decode(bytes(4))
    with pytest.raises(EncodeError):
        codec.encode({"a": 1, "b": 1})


def test_a_reference_is_what_it_refers_to() -> None:
    known = Resolver(TYPES)
    assert known.target("DINT").size == 4
    assert known.target("STRING(20)").size == 21
    assert known.target("T_Percent").size == 2
    assert compile_codec(parse_type("int16[6]"), known.target("ARRAY [1..2] OF T_Row")).size == 12
    assert [one.name for one in known.target("ST_Bits").members] == ["a", "b", "n"]
    with pytest.raises(UnknownType):
        known.target("FB_Other")
    with pytest.raises(ValueError, match="does not know"):
        Resolver({"FB_OTHER": None}).target("FB_Other")


@pytest.mark.parametrize("name", ["POINTER TO INT", "REFERENCE TO INT", "PVOID"])
def test_an_address_is_no_value(name: str) -> None:
    with pytest.raises(Mismatch):
        compile_codec(parse_type("uint64"), shape(name, 65, 8))


def test_a_persistent_symbol_is_a_symbol() -> None:
    entry = SymbolEntry(name="MAIN.nHours", type_name="UDINT", group=0x4040, offset=8, size=4, ads=19, flags=PERSISTENT)
    assert read_symbol(write_symbol(entry))[0] == entry


def test_types_that_multiply_without_end_are_given_up_soon() -> None:
    """Twenty levels of ten members each are 10^20: a description of a kilobyte must not fill the memory."""
    entries: dict[str, TypeEntry | None] = {}
    below = "INT"
    for level in range(20):
        members = tuple(member(f"m{at}", below, at=0, size=2, ads=2 if below == "INT" else 65) for at in range(10))
        below = f"S{level}"
        entries[below] = TypeEntry(name=below, type_name="", size=2, ads=65, members=members)
    with pytest.raises(ValueError, match=f"more than {MAX_PARTS} members"):
        Resolver(entries).shape(below, 65, 2)
    assert Resolver(entries).shape("S3", 65, 2).parts == 11_111
