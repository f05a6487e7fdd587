"""From a server's value to the declared type, and what a status means."""

from __future__ import annotations

import math
from typing import Any

import pytest
from asyncua import ua

from nexus_cli.drivers.base import Fault, Scope
from nexus_cli.drivers.opcua import refusals, status
from nexus_cli.drivers.opcua.codec import DataValue, DateTime, DecodeError, Structure, Text, read_data_value
from nexus_cli.drivers.opcua.values import KIND_OF_BASE, converter, iso
from nexus_cli.wire.sample import Reason

EPOCH = 116_444_736_000_000_000


def convert(type_: str, kind: int, value: Any, *, array: bool = False, index: str = "", varying: bool = False) -> Any:
    return converter(type_, index, varying=varying)(DataValue(kind, value, 0, None, array))


@pytest.mark.parametrize(
    ("type_", "kind", "value", "expected"),
    [
        ("float64", 10, 1.5, 1.5),
        ("float64", 4, 3, 3.0),
        ("float32", 11, 1e10, 1e10),
        ("float32", 11, math.inf, math.inf),
        ("int64", 3, 200, 200),
        ("int8", 6, -128, -128),
        ("uint64", 9, 2**64 - 1, 2**64 - 1),
        ("bool", 1, True, True),
        ("string", 12, None, ""),
        ("string", 21, Text("Wärme"), "Wärme"),
        ("string", 15, b"\x00\xff", "AP8="),
        ("datetime", 13, DateTime(EPOCH + 12_345_678), "1970-01-01T00:00:01.234567Z"),
        ("duration", 11, 1500.0, 1500.0),
        ("json", 13, DateTime(EPOCH), "1970-01-01T00:00:00Z"),
        ("json", 6, 5, 5),
    ],
)
def test_what_fits_is_taken(type_: str, kind: int, value: Any, expected: Any) -> None:
    found = convert(type_, kind, value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("type_", "kind", "value", "reason"),
    [
        ("int16", 10, 1.0, Reason.TYPE_MISMATCH),
        ("int16", 6, 32_768, Reason.OVERFLOW),
        ("uint8", 4, -1, Reason.OVERFLOW),
        ("bool", 4, 1, Reason.TYPE_MISMATCH),
        ("int16", 1, True, Reason.TYPE_MISMATCH),
        ("float64", 12, "1.5", Reason.TYPE_MISMATCH),
        ("float32", 11, 1e300, Reason.OVERFLOW),
        ("string", 6, 5, Reason.TYPE_MISMATCH),
        ("datetime", 12, "2024-01-01", Reason.TYPE_MISMATCH),
        ("float64", 22, Structure("ns=2;i=1", b""), Reason.TYPE_MISMATCH),
        ("float64", 0, None, Reason.SOURCE_BAD),
        ("json", 0, None, Reason.SOURCE_BAD),
    ],
)
def test_what_does_not_fit_is_a_fault(type_: str, kind: int, value: Any, reason: Reason) -> None:
    found = convert(type_, kind, value)
    assert isinstance(found, Fault)
    assert found.reason is reason


def test_arrays_and_their_elements() -> None:
    assert convert("int16[3]", 4, [1, 2, 3], array=True) == [1, 2, 3]
    assert convert("float64[2]", 6, [1, 2], array=True) == [1.0, 2.0]
    assert convert("int32[4]", 6, [[1, 2], [3, 4]], array=True) == [1, 2, 3, 4]
    assert convert("json", 6, [[1, 2], [3, 4]], array=True) == [[1, 2], [3, 4]]
    assert convert("int16[3]", 4, [1, 2], array=True).reason is Reason.TYPE_MISMATCH
    assert convert("int16", 4, [1], array=True).reason is Reason.TYPE_MISMATCH
    assert convert("int16[2]", 6, [1, 70_000], array=True).reason is Reason.OVERFLOW
    assert convert("int16", 4, [9], array=True, index="2") == 9
    assert convert("int16", 4, [7, 8, 9], array=True, index="2") == 9
    assert convert("int16", 4, [7, 8], array=True, index="2").reason is Reason.ILLEGAL_ADDRESS
    assert convert("int16", 4, [[1, 2], [3, 4]], array=True, index="1,0") == 3
    assert convert("int16[2]", 4, [5, 6, 7, 8], array=True, index="1:2") == [6, 7]
    assert convert("int16[2]", 4, [6, 7], array=True, index="1:2") == [6, 7]


def test_an_array_of_varying_length_has_a_maximum() -> None:
    for values in ([], [1.5], [1.5, 2.5, 3.5]):
        assert convert("float64[3]", 11, values, array=True, varying=True) == values
    assert convert("float64[3]", 11, [1.0] * 4, array=True, varying=True).reason is Reason.TYPE_MISMATCH
    assert convert("json[2]", 11, [1.0], array=True, varying=True) == [1.0]
    assert convert("json[2]", 11, [1.0] * 3, array=True, varying=True).reason is Reason.TYPE_MISMATCH


def test_a_byte_string_is_an_array_of_bytes() -> None:
    assert convert("uint8[4]", 15, b"\x00\xff\x7f\x80") == [0, 255, 127, 128]
    assert convert("int16[2]", 15, b"\x01\xfe") == [1, 254]
    assert convert("uint8[4]", 15, b"\x01").reason is Reason.TYPE_MISMATCH
    assert convert("uint8[4]", 15, b"\x01", varying=True) == [1]
    assert convert("uint8[4]", 15, None, varying=True) == []
    assert convert("uint8", 15, b"\x09", index="2") == 9
    assert convert("uint8", 15, b"\x07\x08\x09", index="2") == 9
    assert convert("int8[2]", 15, b"\x01\xfe").reason is Reason.OVERFLOW
    assert convert("float64[2]", 15, b"\x01\xfe").reason is Reason.TYPE_MISMATCH
    assert convert("string", 15, b"\x01\xfe") == "Af4="


def test_the_ends_of_time() -> None:
    assert iso(0) == "1601-01-01T00:00:00Z"
    assert iso(2**63 - 1) == "9999-12-31T23:59:59Z"
    assert iso(-(2**63)) == "0001-01-01T00:00:00Z"


def test_base_types_are_the_standards() -> None:
    names = {"bool": "Boolean", "uint8": "Byte", "float32": "Float", "float64": "Double", "string": "String"}
    for base, name in names.items():
        assert ua.VariantType(KIND_OF_BASE[base]).name == name


def test_status_codes_are_the_standards() -> None:
    known = {value: name for name, value in vars(ua.StatusCodes).items() if isinstance(value, int)}
    assert len(status.NAMES) == len(known)
    assert status.name_of(0x80770000) == "Bad_TooManySubscriptions"
    assert status.name_of(0x40920000) == "Uncertain_InitialValue"
    assert status.name_of(0x8FFF0000) == "0x8FFF0000"
    sets = [
        refusals.CERTIFICATE,
        refusals.NOT_OFFERED,
        refusals.IDENTITY,
        status._REASONS,
        status.TOO_MUCH,
        status._SESSION_ENDS,
        status.FULL,
    ]
    for code in [code for one in sets for code in one]:
        assert code in known


def test_what_a_status_means() -> None:
    assert status.fault_of(0) is None
    assert status.fault_of(0x00300000) is None
    assert status.fault_of(0x40000000) == Fault(Reason.SOURCE_UNCERTAIN, 0x40000000, uncertain=True)
    assert status.fault_of(0x80340000) == Fault(Reason.ILLEGAL_ADDRESS, 0x80340000)
    assert status.fault_of(0x80320000) == Fault(Reason.SOURCE_BAD, 0x80320000)
    assert status.overflowed(0x00000480)
    assert not status.overflowed(0x00000400)


def test_how_far_an_error_reaches() -> None:
    assert status.service_error(0x80100000, "read").scope is Scope.REQUEST
    assert status.service_error(0x80250000, "read").scope is Scope.SESSION
    for code in (0x80770000, 0x80DB0000, 0x800B0000, 0x80020000, 0x8FFF0000):
        assert status.service_error(code, "subscribe").scope is Scope.REQUEST
    assert status.service_error(0x80340000, "write").scope is Scope.ITEM
    assert status.service_error(0x800A0000, "read").reason is Reason.DEVICE_TIMEOUT


@pytest.mark.parametrize(
    "data",
    [
        b"\x01\x17" * 2_000 + b"\x00",  # a Variant that holds a DataValue that holds a Variant …
        b"\x01" + b"\x18" * 2_000,  # a Variant in a Variant
        b"\x01\xc6" + (1).to_bytes(4, "little") * 2 + (500).to_bytes(4, "little") + (1).to_bytes(4, "little") * 500,
    ],
    ids=["data values", "variants", "dimensions"],
)
def test_nesting_without_end_is_no_value(data: bytes) -> None:
    with pytest.raises(DecodeError):
        read_data_value(data, 0)
