"""Properties by table 2-4 of MQTT 5.0: identifier, type, and the packets that may have them."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.wire.mqtt import properties
from nexus_cli.wire.mqtt.data import MalformedError

# (name, bytes by hand, value); the order and the types are those of table 2-4.
ROWS: list[tuple[str, str, Any]] = [
    ("payload_format_indicator", "01 01", 1),
    ("message_expiry_interval", "02 00000102", 0x102),
    ("content_type", "03 0001 61", "a"),
    ("response_topic", "08 0003 612f62", "a/b"),
    ("correlation_data", "09 0002 00ff", b"\x00\xff"),
    ("subscription_identifier", "0b 8001", [128]),
    ("session_expiry_interval", "11 ffffffff", 0xFFFFFFFF),
    ("assigned_client_identifier", "12 0001 61", "a"),
    ("server_keep_alive", "13 000f", 15),
    ("authentication_method", "15 0001 61", "a"),
    ("authentication_data", "16 0001 61", b"a"),
    ("request_problem_information", "17 00", 0),
    ("will_delay_interval", "18 0000000a", 10),
    ("request_response_information", "19 01", 1),
    ("response_information", "1a 0001 61", "a"),
    ("server_reference", "1c 0001 61", "a"),
    ("reason_string", "1f 0001 61", "a"),
    ("receive_maximum", "21 0014", 20),
    ("topic_alias_maximum", "22 0000", 0),
    ("topic_alias", "23 0001", 1),
    ("maximum_qos", "24 00", 0),
    ("retain_available", "25 00", 0),
    ("user_property", "26 0001 61 0002 6263", [("a", "bc")]),
    ("maximum_packet_size", "27 00100000", 1 << 20),
    ("wildcard_subscription_available", "28 00", 0),
    ("subscription_identifier_available", "29 00", 0),
    ("shared_subscription_available", "2a 00", 0),
]
OF_CONNACK = {
    *("session_expiry_interval", "assigned_client_identifier", "server_keep_alive", "authentication_method"),
    *("authentication_data", "response_information", "server_reference", "reason_string", "receive_maximum"),
    *("topic_alias_maximum", "maximum_qos", "retain_available", "user_property", "maximum_packet_size"),
    *("wildcard_subscription_available", "subscription_identifier_available", "shared_subscription_available"),
}
OF_PUBLISH = {
    *("payload_format_indicator", "message_expiry_interval", "content_type", "response_topic", "correlation_data"),
    *("subscription_identifier", "topic_alias", "user_property"),
}


@pytest.mark.parametrize(("name", "encoded", "value"), ROWS, ids=[row[0] for row in ROWS])
def test_a_property(name: str, encoded: str, value: Any) -> None:
    raw = bytes.fromhex(encoded)
    raw = bytes((len(raw),)) + raw
    assert properties.write({name: value}) == raw
    assert properties.read(b"\xee" + raw + b"\xee", 1, 1 + len(raw)) == ({name: value}, 1 + len(raw))
    packets = {
        properties.IN_CONNACK: OF_CONNACK,
        properties.IN_PUBLISH: OF_PUBLISH,
        properties.IN_ANSWER: {"reason_string", "user_property"},
        properties.IN_DISCONNECT: {"reason_string", "user_property", "server_reference"},
    }
    for allowed, names in packets.items():
        if name in names:
            assert properties.read(raw, 0, len(raw), allowed)[0] == {name: value}
        else:
            with pytest.raises(MalformedError, match="not allowed") as found:
                properties.read(raw, 0, len(raw), allowed)
            assert found.value.code == 0x82
    for cut in range(1, len(raw)):
        with pytest.raises(MalformedError, match="cut short"):
            properties.read(raw[:cut], 0, cut)
    for cut in range(1, len(raw) - 1):
        with pytest.raises(MalformedError, match="cut short"):
            properties.read(bytes((cut,)) + raw[1:], 0, len(raw))


def test_the_table_is_whole() -> None:
    assert {name for name, _, _ in ROWS} == {name for name, _ in properties.TABLE.values()} | {"user_property"}


def test_several() -> None:
    assert properties.write({}) == b"\x00"
    assert properties.read(b"\x00", 0, 1) == ({}, 1)
    raw = bytes.fromhex("12 26 0001 61 0001 62 0b 01 0b 02 26 0001 61 0001 63")
    values = {"user_property": [("a", "b"), ("a", "c")], "subscription_identifier": [1, 2]}
    assert properties.read(raw, 0, len(raw)) == (values, len(raw))


@pytest.mark.parametrize(
    ("encoded", "said", "code"),
    [
        ("04 13000f 13", "cut short", 0x81),
        ("06 13000f 13000f", "given twice", 0x82),
        ("01 7f", "unknown", 0x81),
        ("02 0101", "cut short", 0x81),  # longer than the packet
        ("02 2402", "can't be 2", 0x82),  # maximum QoS is 0 or 1 (3.2.2.3.4)
        ("02 2502", "can't be 2", 0x82),
        ("03 210000", "can't be 0", 0x82),  # receive maximum (3.2.2.3.3)
        ("05 2700000000", "can't be 0", 0x82),
        ("02 0b00", "can't be 0", 0x82),
        ("ffffffffff", "more than four bytes", 0x81),
        ("ff", "cut short", 0x81),
    ],
)
def test_what_breaks_the_table(encoded: str, said: str, code: int) -> None:
    raw = bytes.fromhex(encoded)
    end = 2 if encoded == "02 0101" else len(raw)
    with pytest.raises(MalformedError, match=said) as found:
        properties.read(raw, 0, end)
    assert found.value.code == code


def test_what_is_written_wrong() -> None:
    with pytest.raises(KeyError):
        properties.write({"colour": 1})
    for values in ({"receive_maximum": 65_536}, {"content_type": "a\x00"}, {"correlation_data": b"x" * 65_536}):
        with pytest.raises(ValueError):
            properties.write(values)
