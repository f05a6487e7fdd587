"""Bytes as Siemens's documents and real blocks have them, and the values they mean."""

from __future__ import annotations

import pytest

from nexus_cli.drivers.base import Fault, Point
from nexus_cli.drivers.fixed_layout import EncodeError
from nexus_cli.drivers.s7.codec import compile_fields
from nexus_cli.drivers.s7.datetimes import MOMENTS
from nexus_cli.drivers.s7.encode import encode_bytes
from nexus_cli.drivers.s7.field import field_of
from nexus_cli.wire.sample import Reason, Value


def decoded(address: str, type_: str, raw: str) -> tuple[Value, Fault | None]:
    field = field_of(Point("p", address, type_))
    block = bytes.fromhex(raw)
    assert len(block) == field.size
    (value,), faults = compile_fields([(field, 0)])(block)
    return value, faults.get(0)


@pytest.mark.parametrize(
    ("address", "type_", "raw", "value"),
    [
        ("%DB1:0.0:BOOL", "bool", "01", True),
        ("%DB1:0.7:BOOL", "bool", "7f", False),
        ("%DB1:0.6:BOOL[4]", "bool[4]", "8002", [False, True, False, True]),
        ("%DB1:0:BYTE", "uint8", "ff", 255),
        ("%DB1:0:BYTE", "int8", "ff", -1),
        ("%DB1:0:WORD", "uint16", "beef", 0xBEEF),
        ("%DB1:0:INT", "int16", "fff9", -7),
        ("%DB1:0:DINT", "int32", "80000000", -(2**31)),
        ("%DB1:0:REAL", "float32", "42f6e979", 123.45600128173828),
        ("%DB1:0:LREAL", "float64", "400921fb54442d18", 3.141592653589793),
        ("%DB1:0:LINT", "int64", "ffffffffffffffff", -1),
        ("%DB1:0:LWORD", "uint64", "ffffffffffffffff", 2**64 - 1),
        ("%DB1:0:CHAR", "string", "41", "A"),
        ("%DB1:0:CHAR", "uint8", "41", 65),
        ("%DB1:0:CHAR[6]", "string[6]", "616263202020", "abc"),
        ("%DB1:0:CHAR[3]", "string[2][3]", "616263642000", ["ab", "cd", ""]),
        ("%DB1:0:WCHAR", "string", "03a9", "Ω"),
        ("%DB1:0:STRING(10)", "string", "0a05 68656c6c6f 0000000000", "hello"),
        ("%DB1:0:STRING(4)", "string", "0402 80fc 0000", "€ü"),
        ("%DB1:0:STRING(3)[2]", "string[3][2]", "0301 610000 00 0303 626364", ["a", "bcd"]),
        ("%DB1:0:WSTRING(3)", "string", "0003 0002 65e5 672c 0000", "日本"),
        ("%DB1:0:DATE", "datetime", "0000", "1990-01-01T00:00:00Z"),
        ("%DB1:0:DATE", "datetime", "ff62", "2168-12-31T00:00:00Z"),
        ("%DB1:0:TIME", "duration", "ffffffff", -1),
        ("%DB1:0:TOD", "duration", "05265bff", 86_399_999),
        ("%DB1:0:LTIME", "duration", "00000000000f4240", 1.0),
        ("%DB1:0:LTOD", "duration", "00000000000003e8", 0.001),
        # STEP 7 help: the 25th of December 1993, 8:12:34.567, a Saturday
        ("%DB1:0:DT", "datetime", "9312250812345677", "1993-12-25T08:12:34.567000Z"),
        ("%DB1:0:DT", "datetime", "8912312359590000", "2089-12-31T23:59:59Z"),
        ("%DB1:0:DTL", "datetime", "07e8 03 04 02 05 06 07 0ee6b280", "2024-03-04T05:06:07.250000Z"),
        ("%DB1:0:DTL", "datetime", "07e8 03 04 02 05 06 07 00000001", "2024-03-04T05:06:07.000000001Z"),
        ("%DB1:0:LDT", "datetime", "0000000000000000", "1970-01-01T00:00:00Z"),
        ("%DB1:0:LDT", "datetime", "ffffffffffffffff", "1969-12-31T23:59:59.999999999Z"),
        ("%DB1:0:S5TIME", "duration", "2127", 127_000),
        ("%DB1:0:S5TIME", "duration", "0999", 9_990),
        ("%DB1:0:S5TIME", "duration", "3999", 9_990_000),
        ("%T3:TIMER", "duration", "1050", 5_000),
        ("%C3:COUNTER", "uint16", "0321", 321),
        ("%DB1:0:BCD8", "uint8", "42", 42),
        ("%DB1:0:BCD16", "uint16", "9876", 9876),
        ("%DB1:0:BCD16", "int16", "0876", 876),
        ("%DB1:0:BCD16", "int16", "f876", -876),
        ("%DB1:0:BCD16", "int16", "8001", -1),
        ("%DB1:0:BCD32", "uint32", "98765432", 98765432),
        ("%DB1:0:BCD32", "int32", "f1234567", -1234567),
        ("%DB1:0:BCD16[2]", "uint16[2]", "0001 1000", [1, 1000]),
        ("%DB1:0:CHAR[6]", "string[6]", "5831ffffffff", "X1"),
        ("%DB1:0:CHAR[6]", "string[6]", "ffffffffffff", ""),
        ("%DB1:0:CHAR[6]", "string[6]", "000053370041", "S7"),
        ("%DB1:0:CHAR[6]", "string[6]", "58ff31000000", "Xÿ1"),
        ("%DB1:0:STRING(4)", "string", "0404 41420000", "AB"),
        ("%DB1:0:WSTRING(3)", "string", "0003 0003 0041 0000 0000", "A"),
        ("%DB1:0:REAL[2]", "float32[2]", "3fc00000 c0000000", [1.5, -2.0]),
        ("%DB1:0:DT[2]", "datetime[2]", "9001010000000002" * 2, ["1990-01-01T00:00:00Z"] * 2),
    ],
)
def test_bytes_and_values(address: str, type_: str, raw: str, value: Value) -> None:
    assert decoded(address, type_, raw) == (value, None)


@pytest.mark.parametrize(
    ("address", "type_", "raw"),
    [
        ("%DB1:0:STRING(4)", "string", "fefe 41414141"),
        ("%DB1:0:WSTRING(2)", "string", "0002 0003 00410042"),
        ("%DB1:0:WSTRING(2)", "string", "0002 0001 d8000000"),
        ("%DB1:0:DT", "datetime", "0000000000000000"),
        ("%DB1:0:DT", "datetime", "ff12250812345677"),
        ("%DB1:0:DTL", "datetime", "000000000000000000000000"),
        ("%DB1:0:DTL", "datetime", "07e8 02 1f 02 05 06 07 00000000"),
        ("%DB1:0:S5TIME", "duration", "0a99"),
        ("%C3:COUNTER", "uint16", "0a00"),
        ("%DB1:0:BCD8", "uint8", "4a"),
        ("%DB1:0:BCD16", "int16", "1234"),
        ("%DB1:0:BCD32", "uint32", "f1234567"),
    ],
)
def test_bytes_that_mean_nothing_cost_their_tag_alone(address: str, type_: str, raw: str) -> None:
    assert decoded(address, type_, raw) == (None, Fault(Reason.DECODE_ERROR))
    bad, good = field_of(Point("bad", address, type_)), field_of(Point("good", "%DB1:40:INT", "int16"))
    block = bytes.fromhex(raw).ljust(40, b"\0") + b"\0\7"
    assert compile_fields([(bad, 0), (good, 40)])(block) == ([None, 7], {0: Fault(Reason.DECODE_ERROR)})


def test_a_word_and_its_bits_and_overlapping_numbers_are_read_from_one_block() -> None:
    points = [
        ("w", ":0:WORD", "uint16"),
        ("hi", ":0:BYTE", "uint8"),
        ("b", ":1.0:BOOL", "bool"),
        ("d", ":0:DINT", "int32"),
    ]
    fields = [field_of(Point(name, f"%DB1{place}", kind)) for name, place, kind in points]
    values, faults = compile_fields([(field, field.start) for field in fields])(bytes.fromhex("01030507"))
    assert values == [0x0103, 1, True, 0x01030507]
    assert not faults


@pytest.mark.parametrize(
    ("address", "type_", "value"),
    [
        ("%DB1:0:BCD8", "uint8", 100),
        ("%DB1:0:BCD16", "int16", -1000),
        ("%DB1:0:BCD16", "uint16", -1),
        ("%DB1:0:STRING(4)", "string", "AB\0"),
        ("%DB1:0:CHAR[2]", "string[2]", "Xÿ"),
    ],
)
def test_what_would_be_read_as_something_else_is_not_written(address: str, type_: str, value: Value) -> None:
    with pytest.raises(EncodeError):
        encode_bytes(field_of(Point("p", address, type_)), value)


def test_a_text_keeps_its_declared_length_and_writes_no_more_than_that() -> None:
    field = field_of(Point("p", "%DB1:0:STRING(5)", "string"))
    assert encode_bytes(field, "abc") == b"\x05\x03abc\0\0"
    with pytest.raises(EncodeError) as caught:
        encode_bytes(field, "abcdef")
    assert caught.value.reason is Reason.OVERFLOW
    with pytest.raises(EncodeError) as caught:
        encode_bytes(field, "日本")
    assert caught.value.reason is Reason.TYPE_MISMATCH


@pytest.mark.parametrize("address", ["DB1.DBD0", "%DB1:0", "%X1:INT", "%DB1:0:NUMBER", ""])
def test_what_is_no_normal_form_is_a_value_error(address: str) -> None:
    with pytest.raises(ValueError, match="S7"):
        field_of(Point("p", address, "int16"))


@pytest.mark.parametrize(
    ("type_", "text"),
    [("DATE", "2026-11-30T14:30:00Z"), ("DATE", "2026-11-30T00:00:00+02:00"), ("DT", "2026-11-30T14:30:00.0001Z")],
)
def test_a_moment_is_never_cut_to_what_the_type_holds(type_: str, text: str) -> None:
    with pytest.raises(ValueError, match="holds"):
        MOMENTS[type_][1](text)


def test_a_moment_in_another_zone_is_the_same_moment() -> None:
    assert MOMENTS["DATE"][1]("2026-11-30") == MOMENTS["DATE"][1]("2026-11-30T02:00:00+02:00")
    assert MOMENTS["DT"][1]("2026-11-30T14:30:00.250+02:00") == MOMENTS["DT"][1]("2026-11-30T12:30:00.25Z")
