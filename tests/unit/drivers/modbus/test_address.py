"""Every dialect of a Modbus address, and what is said about the wrong ones."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.drivers.modbus.connection import ModbusConnection
from nexus_cli.drivers.modbus.kind import KIND, ModbusTag, address_of
from nexus_cli.model.driver_kind import AddressError


def connection(**keys: Any) -> ModbusConnection:
    return ModbusConnection(host="10.0.0.9", **keys)


def tag(address: str | int, type_: str = "uint16", **keys: Any) -> ModbusTag:
    return ModbusTag(address=address, type=type_, **keys)


@pytest.mark.parametrize(
    ("address", "type_", "text", "options"),
    [
        ("holding:100", "uint16", "holding:100", {}),
        ("holding:0x64", "uint16", "holding:100", {}),
        ("Holding:100", "uint16", "holding:100", {}),
        ("hr:100", "uint16", "holding:100", {}),
        ("input:0", "float32", "input:0", {}),
        ("coil:7", "bool", "coil:7", {}),
        ("discrete:65535", "bool", "discrete:65535", {}),
        (400101, "uint16", "holding:100", {}),
        (40101, "uint16", "holding:100", {}),
        ("300001", "int16", "input:0", {}),
        (30001, "int16", "input:0", {}),
        ("100001", "bool", "discrete:0", {}),
        ("000001", "bool", "coil:0", {}),
        ("00001", "bool", "coil:0", {}),
        ("465536", "uint16", "holding:65535", {}),
        ("4x00101", "uint16", "holding:100", {}),
        ("0x00001:BOOL", "bool", "coil:0", {}),
        ("3x00001:REAL", "float32", "input:0", {}),
        ("4x00101:UINT[10]{unit-id: 10}", "uint16[10]", "holding:100", {"unit_id": 10}),
        ("4x00101:UINT[1]", "uint16", "holding:100", {}),
        ("4x00101:REAL{unit-id: 3, byte-order: 'LITTLE_ENDIAN'}", "float32", "holding:100", {"unit_id": 3, "order": "DCBA"}),
        ("1!400101", "uint16", "holding:100", {}),
        ("7!400101", "uint16", "holding:100", {"unit_id": 7}),
        ("1!400101.4", "bool", "holding:100.4", {}),
        ("1!400101.10H", "string[10]", "holding:100", {"text": "utf-8"}),
        ("1!400101.10", "string", "holding:100", {"length": 10, "text": "utf-8"}),
        ("1!400101.10L", "string[10]", "holding:100", {"layout": "low-first", "text": "utf-8"}),
        ("1!400101.10D", "string[10]", "holding:100", {"layout": "high-byte", "text": "utf-8"}),
        ("1!400101.10E", "string[10]", "holding:100", {"layout": "low-byte", "text": "utf-8"}),
        ("1!400101#BB", "float32", "holding:100", {"order": "DCBA"}),
        ("1!400101#LL", "float32", "holding:100", {}),
        ("1!400101#BL", "float32", "holding:100", {"order": "CDAB"}),
        ("1!400101#LB", "float32", "holding:100", {"order": "BADC"}),
        ("1!400101#B", "int16", "holding:100", {"order": "BA"}),
        ("1!400101#L", "int64", "holding:100", {}),
        ("1!400101#B", "float64", "holding:100", {"order": "HGFEDCBA"}),
        ("holding:100.3", "bool", "holding:100.3", {}),
        ("holding:100.0", "bool[20]", "holding:100.0", {}),
    ],
)  # fmt: skip
def test_dialects_end_in_one_normal_form(address: str | int, type_: str, text: str, options: dict[str, Any]) -> None:
    found = address_of(connection(), tag(address, type_))
    assert (found.text, dict(found.options)) == (text, options)
    again = address_of(connection(), tag(found.text, type_ if "length" not in options else "string[10]"))
    assert again.text == found.text


def test_one_based_devices() -> None:
    assert address_of(connection(base=1), tag("holding:100")).text == "holding:99"
    assert address_of(connection(base=1), tag(400100)).text == "holding:99"


def test_keys_say_the_same_as_addresses() -> None:
    assert address_of(connection(), tag("holding:5", "bool", bit=3)).text == "holding:5.3"
    assert address_of(connection(), tag("holding:5.3", "bool", bit=3)).text == "holding:5.3"
    assert address_of(connection(), tag("holding:5", "uint8", byte="high")).options == {"byte": "high"}
    assert address_of(connection(), tag("holding:5", "uint8", byte="low")).options == {}
    assert address_of(connection(), tag("holding:5", unit_id=1)).options == {}
    assert address_of(connection(unit_id=4), tag("holding:5", unit_id=1)).options == {"unit_id": 1}


@pytest.mark.parametrize(
    ("name", "type_", "letters"),
    [
        ("CDAB", "float32", "CDAB"),
        ("cdab", "int64", "GHEFCDAB"),
        ("DCBA", "uint16", "BA"),
        ("CDAB", "uint16", None),
        ("ABCD", "float64", None),
        ("BADC", "float64", "BADCFEHG"),
        ("EFGHABCD", "float64", "EFGHABCD"),
        ("word_swap", "float32", "CDAB"),
        ("byte-swap", "float32", "BADC"),
        ("flip registers", "float32", "CDAB"),
        ("first_word_low", "int32", "CDAB"),
        ("big_endian_byte_swap", "int32", "BADC"),
        ("#BB", "int32", "DCBA"),
    ],
)
def test_orders_and_their_other_names(name: str, type_: str, letters: str | None) -> None:
    assert address_of(connection(), tag("holding:0", type_, order=name)).options.get("order") == letters


def test_a_device_has_an_order_for_all_its_values() -> None:
    device = connection(order="CDAB")
    assert address_of(device, tag("holding:0", "float32")).options == {"order": "CDAB"}
    assert address_of(device, tag("holding:0", "uint16")).options == {}
    assert address_of(device, tag("holding:0", "string[4]")).options == {"text": "utf-8"}
    assert address_of(device, tag("coil:0", "bool")).options == {}
    assert address_of(device, tag("holding:0", "float32", order="ABCD")).options == {}
    with pytest.raises(ValueError, match="not a byte order"):
        connection(order="ABDC")


@pytest.mark.parametrize(
    ("tag_", "code", "key", "hint"),
    [
        (tag("hold:100"), "NX3101", "address", "did you mean 'holding'"),
        (tag("holding:abc"), "NX3101", "address", "holding:100"),
        (tag("5x00001"), "NX3101", "address", "4x holding"),
        (tag("4x00101:FLOAT"), "NX3101", "address", ""),
        (tag("4x00101{unit: 3}"), "NX3101", "address", "unit-id"),
        (tag(""), "NX3101", "address", "holding:100"),
        (tag(101), "NX3102", "address", "holding:101"),
        (tag("holding-register:100"), "NX3102", "address", "4x00001"),
        (tag(40000), "NX3102", "address", "holding:40000"),
        (tag("4x00000"), "NX3102", "address", "holding:0"),
        (tag(499999), "NX3103", "address", ""),
        (tag("holding:65536"), "NX3103", "address", ""),
        (tag("holding:65535", "float32"), "NX3103", "address", ""),
        (tag("300!400001"), "NX3103", "address", ""),
        (tag("coil:4", "float32"), "NX3104", "type", "bool"),
        (tag("holding:4", "json"), "NX3104", "type", ""),
        (tag("holding:4", "datetime"), "NX3104", "type", ""),
        (tag("holding:4", byte="high"), "NX3104", "byte", ""),
        (tag("holding:4", layout="low-first"), "NX3104", "layout", ""),
        (tag("input:4", writable=True), "NX3105", "writable", "holding:4"),
        (tag("discrete:4", "bool", writable=True), "NX3105", "writable", "coil:4"),
        (tag("holding:4", "float32", order="ABDC"), "NX3106", "order", "did you mean"),
        (tag("holding:4", "float32", order="HGFEDCBA"), "NX3106", "order", "ABCD"),
        (tag("1!400101#B", "float32"), "NX3106", "order", "ABCD"),
        (tag("coil:4", "bool", order="CDAB"), "NX3106", "order", ""),
        (tag("holding:4", "string[4]", order="CDAB"), "NX3106", "order", "layout"),
        (tag("holding:4", "string"), "NX3107", "type", "string[20]"),
        (tag("4x00101:UINT", "int32"), "NX3108", "address", "uint16"),
        (tag("1!400101.10H", "uint16"), "NX3108", "address", ""),
        (tag("holding:4.3", "bool", bit=4), "NX3108", "address", "once"),
        (tag("7!400101", unit_id=8), "NX3108", "address", ""),
        (tag("holding:0", "float32[63]"), "NX3109", "type", "several"),
        (tag("holding:0", "string[251]"), "NX3109", "type", "several"),
        (tag("holding:0", "uint16[124]", writable=True), "NX3109", "type", ""),
        (tag("holding:4", "bool"), "NX3110", "address", "holding:4.0"),
        (tag("holding:4.16", "bool"), "NX3110", "address", ""),
        (tag("holding:4.3", "uint16"), "NX3110", "type", "bool"),
        (tag("coil:4.1", "bool"), "NX3110", "address", ""),
    ],
)
def test_what_is_wrong_has_a_code_a_key_and_a_hint(tag_: ModbusTag, code: str, key: str, hint: str) -> None:
    with pytest.raises(AddressError) as caught:
        address_of(connection(), tag_)
    assert (caught.value.code, caught.value.key) == (code, key)
    assert hint in caught.value.hint
    assert str(caught.value)


def test_device_limits_bound_one_value() -> None:
    with pytest.raises(AddressError) as caught:
        address_of(connection(max_read=4), tag("holding:0", "float32[3]"))
    assert caught.value.code == "NX3109"
    assert address_of(connection(max_read=6), tag("holding:0", "float32[3]")).text == "holding:0"


def test_one_link_per_host_and_port() -> None:
    assert KIND.link_of(connection(unit_id=3)) == KIND.link_of(connection(unit_id=4)) == "tcp:10.0.0.9:502"


def test_every_code_is_in_the_catalogue_with_an_example() -> None:
    from nexus_cli.diagnostics.codes import modbus

    for code in modbus.CODES:
        assert code.summary
        assert code.why
        assert code.bad
        assert code.good
