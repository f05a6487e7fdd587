"""Bytes to values: orders, halves, bits, strings, arrays, and what does not fit."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from nexus_cli.drivers.base import Point
from nexus_cli.drivers.fixed_layout import EncodeError
from nexus_cli.drivers.modbus.codec import compile_bits, compile_registers
from nexus_cli.drivers.modbus.encode import encode_bits, encode_registers, half_masks
from nexus_cli.drivers.modbus.field import field_of
from nexus_cli.wire.sample import Reason, Value


def decode(block: str, type_: str, address: str = "holding:0", **options: Any) -> Value:
    field = field_of(Point("p", address, type_, options))
    values, faults = compile_registers((field,), 0)(bytes.fromhex(block))
    assert not faults
    return values[0]


@pytest.mark.parametrize(
    ("block", "type_", "options", "value"),
    [
        ("43668000", "float32", {}, 230.5),
        ("80004366", "float32", {"order": "CDAB"}, 230.5),
        ("66430080", "float32", {"order": "BADC"}, 230.5),
        ("00806643", "float32", {"order": "DCBA"}, 230.5),
        ("ff85", "int8", {}, -123),
        ("85ff", "int8", {"byte": "high"}, -123),
        ("85ff", "int8", {"order": "BA"}, -123),
        ("3e00", "float16", {}, 1.5),
        ("0102030405060708", "uint64", {}, 0x0102030405060708),
        ("0708050603040102", "uint64", {"order": "GHEFCDAB"}, 0x0102030405060708),
        ("0201040306050807", "uint64", {"order": "BADCFEHG"}, 0x0102030405060708),
        ("0807060504030201", "uint64", {"order": "HGFEDCBA"}, 0x0102030405060708),
        ("0506070801020304", "uint64", {"order": "EFGHABCD"}, 0x0102030405060708),
        ("0605080702010403", "uint64", {"order": "FEHGBADC"}, 0x0102030405060708),
        ("0304010207080506", "uint64", {"order": "CDABGHEF"}, 0x0102030405060708),
        ("0403020108070605", "uint64", {"order": "DCBAHGFE"}, 0x0102030405060708),
        ("70756d7000ff", "string[6]", {}, "pump"),
        ("00700075006d0070", "string[4]", {"layout": "low-byte"}, "pump"),
        ("700075006d007000", "string[4]", {"layout": "high-byte"}, "pump"),
        ("70756d70202020", "string[7]", {}, "pump"),
        ("fc62", "string[2]", {}, "üb"),
        ("5831ffffffff", "string[6]", {}, "X1"),
        ("5831ffff0000", "string[6]", {}, "X1"),
        ("ffffffff", "string[4]", {}, ""),
        ("000050554d50", "string[6]", {}, "PUMP"),
        ("0055504d0000", "string[6]", {}, ""),
        ("3f8000004000000040400000", "float32[3]", {}, [1.0, 2.0, 3.0]),
        ("00003f8000004000", "float32[2]", {"order": "CDAB"}, [1.0, 2.0]),
        ("01020300", "uint8[3]", {}, [1, 2, 3]),
        ("02010003", "uint8[3]", {"order": "BA"}, [1, 2, 3]),
    ],
)
def test_decode(block: str, type_: str, options: dict[str, Any], value: Value) -> None:
    assert decode(block, type_, **options) == value


def test_low_byte_first_strings() -> None:
    assert decode("7570706d0037", "string[6]", layout="low-first") == "pump7"


def test_bits_of_registers() -> None:
    assert decode("0008", "bool", "holding:0.3") is True
    assert decode("fff7", "bool", "holding:0.3") is False
    assert decode("0800", "bool", "holding:0.3", order="BA") is True
    assert decode("80000001", "bool[17]", "holding:0.15") == [True, True] + [False] * 15


def test_a_block_of_every_kind_keeps_the_order_of_its_points() -> None:
    points = [
        Point("swapped", "holding:2", "float32", {"order": "CDAB"}),
        Point("bit", "holding:0.1", "bool"),
        Point("plain", "holding:0", "uint16"),
        Point("text", "holding:4", "string[2]"),
        Point("again", "holding:2", "uint16"),
    ]
    block = bytes.fromhex("0003") + b"\0\0" + bytes.fromhex("00003f80") + b"ok"
    decoder = compile_registers(tuple(field_of(point) for point in points), 0)
    assert decoder(block) == ([1.0, True, 3, "ok", 0], {})


def test_a_hundred_registers_of_floats_are_one_unpack() -> None:
    fields = tuple(field_of(Point(f"p{at}", f"holding:{at * 2}", "float32")) for at in range(50))
    block = struct.pack(">50f", *range(50))
    assert compile_registers(fields, 0)(block) == ([float(at) for at in range(50)], {})
    swapped = tuple(field_of(Point(f"p{at}", f"holding:{at * 2}", "float32", {"order": "DCBA"})) for at in range(50))
    assert compile_registers(swapped, 0)(struct.pack("<50f", *range(50)))[0] == [float(at) for at in range(50)]


def test_coils() -> None:
    fields = (field_of(Point("a", "coil:10", "bool")), field_of(Point("b", "coil:8", "bool[2]")))
    assert compile_bits(fields, 8)([True, False, True]) == [True, [True, False]]
    assert compile_bits(fields[:1], 10)([False]) == [False]


@pytest.mark.parametrize(
    ("type_", "value", "reason"),
    [
        ("uint16", 65536, Reason.OVERFLOW),
        ("uint16", -1, Reason.OVERFLOW),
        ("int8", 128, Reason.OVERFLOW),
        ("uint16", 1.5, Reason.TYPE_MISMATCH),
        ("uint16", "1", Reason.TYPE_MISMATCH),
        ("uint16", True, Reason.TYPE_MISMATCH),
        ("uint16", None, Reason.TYPE_MISMATCH),
        ("float32", 1e39, Reason.OVERFLOW),
        ("float16", 70000.0, Reason.OVERFLOW),
        ("string[4]", "hello", Reason.OVERFLOW),
        ("string[4]", "ööö", Reason.OVERFLOW),
        ("string[4]", "a\0b", Reason.TYPE_MISMATCH),
        ("string[4]", 5, Reason.TYPE_MISMATCH),
        ("float32[2]", [1.0], Reason.TYPE_MISMATCH),
        ("float32[2]", 1.0, Reason.TYPE_MISMATCH),
    ],
)
def test_what_does_not_fit_is_refused(type_: str, value: Value, reason: Reason) -> None:
    with pytest.raises(EncodeError) as caught:
        encode_registers(field_of(Point("p", "holding:0", type_)), value)
    assert caught.value.reason is reason


def test_whole_floats_may_be_written_to_integers() -> None:
    assert encode_registers(field_of(Point("p", "holding:0", "uint16")), 7.0) == b"\0\7"


def test_coil_values() -> None:
    coil = field_of(Point("p", "coil:0", "bool"))
    assert encode_bits(coil, True) == [True]
    assert encode_bits(coil, 0) == [False]
    for value in (2, "true", None, 1.0):
        with pytest.raises(EncodeError):
            encode_bits(coil, value)


@pytest.mark.parametrize(
    ("point", "value", "current", "expected"),
    [
        (Point("p", "holding:0.3", "bool"), True, 0x0000, 0x0008),
        (Point("p", "holding:0.3", "bool"), False, 0xFFFF, 0xFFF7),
        (Point("p", "holding:0.3", "bool", {"order": "BA"}), True, 0x0000, 0x0800),
        (Point("p", "holding:0", "uint8"), 0x12, 0xABCD, 0xAB12),
        (Point("p", "holding:0", "uint8", {"byte": "high"}), 0x12, 0xABCD, 0x12CD),
        (Point("p", "holding:0", "int8"), -1, 0x0000, 0x00FF),
    ],
)
def test_masks_change_only_their_part(point: Point, value: Value, current: int, expected: int) -> None:
    and_mask, or_mask = half_masks(field_of(point), value)
    assert current & and_mask | or_mask & ~and_mask & 0xFFFF == expected
