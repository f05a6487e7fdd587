"""Numbers that mean "no value", and binary-coded decimals."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.drivers.base import Fault, Point
from nexus_cli.drivers.fixed_layout import EncodeError
from nexus_cli.drivers.modbus.codec import compile_registers
from nexus_cli.drivers.modbus.connection import ModbusConnection
from nexus_cli.drivers.modbus.encode import encode_registers
from nexus_cli.drivers.modbus.field import field_of
from nexus_cli.drivers.modbus.kind import ModbusTag, address_of
from nexus_cli.drivers.modbus.special import from_bcd, to_bcd
from nexus_cli.model.driver_kind import AddressError
from nexus_cli.wire.sample import Reason

HERE = ModbusConnection(host="10.0.0.9")


def point(type_: str, **keys: Any) -> Point:
    """A tag as the driver gets it."""
    tag = ModbusTag(type=type_, address="holding:0", **keys)
    address = address_of(HERE, tag)
    return Point("t", address.text, type_, address.options)


def read(raw: str, type_: str, **keys: Any) -> Any:
    """The value, or the reason why there is none."""
    found = field_of(point(type_, **keys))
    data = bytes.fromhex(raw)
    (value,), faults = compile_registers((found,), 0)(data)
    return faults[0].reason if faults else value


@pytest.mark.parametrize(
    ("raw", "type_", "none", "value"),
    [
        ("8000", "int16", 0x8000, Reason.NOT_A_NUMBER),
        ("8000", "int16", -32768, Reason.NOT_A_NUMBER),
        ("8000", "int16", "sunspec", Reason.NOT_A_NUMBER),
        ("8001", "int16", "sunspec", -32767),
        ("ffff", "uint16", "sunspec", Reason.NOT_A_NUMBER),
        ("8000", "uint16", "sunspec", 0x8000),
        ("ffffffff", "uint32", [0xFFFFFFFF, 0], Reason.NOT_A_NUMBER),
        ("00000000", "uint32", [0xFFFFFFFF, 0], Reason.NOT_A_NUMBER),
        ("80000000", "int32", ["sunspec", 5], Reason.NOT_A_NUMBER),
        ("ffffffffffffffff", "uint64", 2**64 - 1, Reason.NOT_A_NUMBER),
        ("fffffffffffffffe", "uint64", 2**64 - 1, 2**64 - 2),
        ("c61c3f9a", "float32", -9999.9, Reason.NOT_A_NUMBER),
        ("00ff", "uint8", 255, Reason.NOT_A_NUMBER),
    ],
)
def test_numbers_that_mean_no_value(raw: str, type_: str, none: Any, value: Any) -> None:
    assert read(raw, type_, none=none) == value


def test_no_value_is_found_before_it_is_scaled() -> None:
    tag = ModbusTag(type="float64", address="holding:0", raw_type="int16", scale_from="holding:1", none=7)
    address = address_of(HERE, tag)
    field = field_of(Point("t", address.text, "float64", address.options))
    decode = compile_registers((field,), 0)
    assert decode(bytes.fromhex("0007ffff")) == ([None], {0: Fault(Reason.NOT_A_NUMBER)})
    assert decode(bytes.fromhex("0008ffff")) == ([0.8], {})


@pytest.mark.parametrize(
    ("type_", "keys", "told"),
    [
        ("int16", {"none": 0x10000}, "int16 never is 65536"),
        ("uint16", {"none": -1}, "uint16 never is -1"),
        ("uint16", {"none": 1.5}, "uint16 never is 1.5"),
        ("float32", {"none": "sunspec"}, "NaN"),
        ("float32", {"none": 1e300}, "float32 never is"),
        ("string[4]", {"none": 0}, "single numbers"),
        ("uint16[2]", {"none": 0}, "single numbers"),
        ("int16", {"encoding": "bcd"}, "unsigned integers"),
        ("float32", {"encoding": "bcd"}, "unsigned integers"),
    ],
)
def test_what_can_not_be_is_refused_with_its_key(type_: str, keys: dict[str, Any], told: str) -> None:
    with pytest.raises(AddressError, match=told) as caught:
        point(type_, **keys)
    assert caught.value.key in keys


@pytest.mark.parametrize(
    ("raw", "type_", "keys", "value"),
    [
        ("1234", "uint16", {}, 1234),
        ("00001234", "uint32", {}, 1234),
        ("12345678", "uint32", {"order": "CDAB"}, 56781234),
        ("9999999999999999", "uint64", {}, 10**16 - 1),
        ("0042", "uint8", {}, 42),
        ("12340099", "uint16[2]", {}, [1234, 99]),
        ("12a4", "uint16", {}, Reason.DECODE_ERROR),
        ("ffff", "uint16", {"none": 0xFFFF}, Reason.NOT_A_NUMBER),
    ],
)
def test_binary_coded_decimals(raw: str, type_: str, keys: dict[str, Any], value: Any) -> None:
    assert read(raw, type_, encoding="bcd", **keys) == value


@given(st.integers(0, 10**16 - 1))
def test_decimals_there_and_back(number: int) -> None:
    assert from_bcd(to_bcd(number)) == number
    assert to_bcd(number) < 2**64


def test_decimals_are_written_as_they_are_read() -> None:
    field = field_of(point("uint16", encoding="bcd"))
    assert encode_registers(field, 1234) == b"\x12\x34"
    with pytest.raises(EncodeError, match="more than 4 digits"):
        encode_registers(field, 10_000)
