"""Properties of MQTT 5 packets: an identifier, then a value of the type that the standard gives it.

Source: MQTT 5.0, 2.2.2 "Properties" (table 2-4), 1.5 "Data representation".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from nexus_cli.wire.mqtt.data import (
    PROTOCOL_ERROR,
    MalformedError,
    binary,
    integer,
    partial_variable,
    read_binary,
    read_four,
    read_one,
    read_text,
    read_two,
    read_variable,
    text,
    write_variable,
)

USER_PROPERTY: Final = 0x26
SUBSCRIPTION_IDENTIFIER: Final = 0x0B

Values = Mapping[str, Any]
"""By name as below: integers, text, bytes; `user_property` a list of pairs, `subscription_identifier` a list of integers."""

_Type = tuple[Callable[[bytes, int], tuple[Any, int]], Callable[[Any], bytes]]
_BYTE: Final[_Type] = (read_one, lambda value: integer(value, 1))
_TWO: Final[_Type] = (read_two, lambda value: integer(value, 2))
_FOUR: Final[_Type] = (read_four, lambda value: integer(value, 4))
_VARIABLE: Final[_Type] = (read_variable, write_variable)
_TEXT: Final[_Type] = (read_text, text)
_BINARY: Final[_Type] = (read_binary, binary)

TABLE: Final[dict[int, tuple[str, _Type]]] = {
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

IN_CONNACK: Final = frozenset(
    (0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x27, 0x28, 0x29, 0x2A)
)
IN_PUBLISH: Final = frozenset((0x01, 0x02, 0x03, 0x08, 0x09, SUBSCRIPTION_IDENTIFIER, 0x23))
IN_ANSWER: Final = frozenset((0x1F,))
"""Of PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK."""
IN_DISCONNECT: Final = frozenset((0x1C, 0x1F))
"""Of a broker; the session expiry interval is for clients (3.14.2.2.2)."""
ANYWHERE: Final = frozenset(TABLE)
_ZERO_OR_ONE: Final = frozenset((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A))
_NOT_ZERO: Final = frozenset((SUBSCRIPTION_IDENTIFIER, 0x21, 0x23, 0x27))


def read(data: bytes, at: int, end: int, allowed: frozenset[int] = ANYWHERE) -> tuple[dict[str, Any], int]:
    """The properties that begin at `at` of a packet that ends at `end`; gives them and the offset behind them.

    User properties are allowed in every packet.

    Raises:
        MalformedError: They are cut short, unknown, not allowed here, given twice (2.2.2.2) or out of range.
    """
    if at < end and not data[at]:
        return {}, at + 1  # none, by far the most frequent
    found = partial_variable(data, at, end)
    if found is None or found[0] + found[1] > end:
        raise MalformedError("the properties are cut short")
    size, at = found
    return _values(data[at : at + size], allowed), at + size


def _values(data: bytes, allowed: frozenset[int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    at = 0
    while at < len(data):
        number, at = data[at], at + 1
        if number == USER_PROPERTY:
            key, at = read_text(data, at)
            value, at = read_text(data, at)
            found.setdefault("user_property", []).append((key, value))
            continue
        if number not in TABLE:
            raise MalformedError(f"property 0x{number:02x} is unknown")
        name, (reader, _) = TABLE[number]
        if number not in allowed:
            raise MalformedError(f"property {name} is not allowed in this packet (2.2.2.2)", code=PROTOCOL_ERROR)
        one, at = reader(data, at)
        if (number in _ZERO_OR_ONE and one > 1) or (number in _NOT_ZERO and not one):
            raise MalformedError(f"property {name} can't be {one}", code=PROTOCOL_ERROR)
        if number == SUBSCRIPTION_IDENTIFIER:
            found.setdefault(name, []).append(one)
        elif name in found:
            raise MalformedError(f"property {name} is given twice", code=PROTOCOL_ERROR)
        else:
            found[name] = one
    return found


def write(values: Values) -> bytes:
    """Properties with their length, in the order given.

    Raises:
        KeyError: A name that no property has.
        ValueError: A value that its type can't have.
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
