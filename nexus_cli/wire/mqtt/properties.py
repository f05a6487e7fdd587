"""Properties of MQTT 5 packets: an identifier, then a value of the type that the standard gives it.

Source: MQTT 5.0, 2.2.2 "Properties" (table 2-4), 1.5 "Data representation".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from nexus_cli.wire.mqtt.data import MalformedError, binary, byte, four, read_text, text, two, variable, write_variable

USER_PROPERTY: Final = 0x26
SUBSCRIPTION_IDENTIFIER: Final = 0x0B

Values = Mapping[str, Any]
"""By name as below: integers, text, bytes; `user_property` a list of pairs, `subscription_identifier` a list of integers."""


def _write_byte(value: Any) -> bytes:
    return int(value).to_bytes(1, "big")


def _write_two(value: Any) -> bytes:
    return int(value).to_bytes(2, "big")


def _write_four(value: Any) -> bytes:
    return int(value).to_bytes(4, "big")


def _write_text(value: Any) -> bytes:
    return text(str(value))


def _write_binary(value: Any) -> bytes:
    return len(value).to_bytes(2, "big") + bytes(value)


_Reader = Callable[[bytes, int], tuple[Any, int]]
_Writer = Callable[[Any], bytes]
_BYTE: Final = (byte, _write_byte)
_TWO: Final = (two, _write_two)
_FOUR: Final = (four, _write_four)
_VARIABLE: Final = (variable, write_variable)
_TEXT: Final = (read_text, _write_text)
_BINARY: Final = (binary, _write_binary)

TABLE: Final[dict[int, tuple[str, tuple[_Reader, _Writer]]]] = {
    0x01: ("payload_format_indicator", _BYTE),
    0x02: ("message_expiry_interval", _FOUR),
    0x03: ("content_type", _TEXT),
    0x08: ("response_topic", _TEXT),
    0x09: ("correlation_data", _BINARY),
    SUBSCRIPTION_IDENTIFIER: ("subscription_identifier", _VARIABLE),
    0x11: ("session_expiry_interval", _FOUR),
    0x12: ("assigned_client_identifier", _TEXT),
    0x13: ("server_keep_alive", _TWO),
    0x15: ("authentication_method", _TEXT),
    0x16: ("authentication_data", _BINARY),
    0x17: ("request_problem_information", _BYTE),
    0x18: ("will_delay_interval", _FOUR),
    0x19: ("request_response_information", _BYTE),
    0x1A: ("response_information", _TEXT),
    0x1C: ("server_reference", _TEXT),
    0x1F: ("reason_string", _TEXT),
    0x21: ("receive_maximum", _TWO),
    0x22: ("topic_alias_maximum", _TWO),
    0x23: ("topic_alias", _TWO),
    0x24: ("maximum_qos", _BYTE),
    0x25: ("retain_available", _BYTE),
    0x27: ("maximum_packet_size", _FOUR),
    0x28: ("wildcard_subscription_available", _BYTE),
    0x29: ("subscription_identifier_available", _BYTE),
    0x2A: ("shared_subscription_available", _BYTE),
}
_NUMBERS: Final = {name: number for number, (name, _) in TABLE.items()}


def read(data: bytes, at: int) -> tuple[dict[str, Any], int]:
    """The properties that begin at `at`, and where they end.

    Raises:
        MalformedError: They are cut short, unknown, or one that may stand once stands twice (2.2.2.2).
    """
    size, at = variable(data, at)
    end = at + size
    if end > len(data):
        raise MalformedError("properties are cut short")
    found: dict[str, Any] = {}
    while at < end:
        number = data[at]
        at += 1
        if number == USER_PROPERTY:
            key, at = read_text(data, at)
            value, at = read_text(data, at)
            found.setdefault("user_property", []).append((key, value))
            continue
        if number not in TABLE:
            raise MalformedError(f"property 0x{number:02x} is unknown")
        name, (reader, _) = TABLE[number]
        one, at = reader(data, at)
        if number == SUBSCRIPTION_IDENTIFIER:
            found.setdefault(name, []).append(one)
        elif name in found:
            raise MalformedError(f"property {name} is given twice")
        else:
            found[name] = one
    if at != end:
        raise MalformedError("properties are longer than they say")
    return found, at


def write(values: Values) -> bytes:
    """Properties with their length, in the order given.

    Raises:
        KeyError: A name that no property has.
    """
    if not values:
        return b"\x00"
    body = bytearray()
    for name, value in values.items():
        if name == "user_property":
            for key, one in value:
                body += bytes((USER_PROPERTY,)) + text(key) + text(one)
            continue
        number = _NUMBERS[name]
        writer = TABLE[number][1][1]
        for one in value if number == SUBSCRIPTION_IDENTIFIER else (value,):
            body.append(number)
            body += writer(one)
    return write_variable(len(body)) + bytes(body)
