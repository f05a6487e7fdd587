"""The packets that a client sends, as bytes. Level 4 is MQTT 3.1.1, level 5 is MQTT 5.

Source: MQTT 3.1.1, 2 and 3; MQTT 5.0, 2 and 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from nexus_cli.wire.mqtt import properties
from nexus_cli.wire.mqtt.data import LARGEST_VARIABLE, LONGEST, binary, integer, read_variable, text, write_variable

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)
PING: Final = bytes((PINGREQ << 4, 0))
FLAGS: Final = 0x02
"""PUBREL, SUBSCRIBE and UNSUBSCRIBE have these flags, all other packets but PUBLISH none (3.1.1, table 2.2)."""
DUP: Final = 0x08
LARGEST_PACKET: Final = 1 + 4 + LARGEST_VARIABLE
"""Bytes of the largest packet that the standard allows (2.2.3)."""
SHORT: Final = 2_047
"""Largest remaining length of a packet whose fixed header is looked up."""
NO_EXPIRY: Final = 0xFFFF_FFFF
"""Session expiry interval of a session that never ends by itself (5.0, 3.1.2.11.2), as in 3.1.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """The message that the broker publishes when the connection ends without a DISCONNECT.

    Attributes:
        topic: Without wildcards.
        payload: At most 65,535 bytes.
        qos: 0 to 2.
        retain: Whether the broker keeps it as the topic's last message.
        properties: MQTT 5 only.
    """

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = True
    properties: properties.Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The contents of a CONNECT, and the largest packet.

    Attributes:
        client_id: Unique at the broker; "" lets the broker choose one (a clean session only).
        level: 4 is MQTT 3.1.1, 5 is MQTT 5.
        clean: False keeps the session at the broker.
        keepalive_s: Longest silence on our side, seconds, 0 to 65,535; 0 switches keep-alive off.
        user: "" connects without a user.
        password: Left out when it is "" (3.1.1 has no password without a user).
        will: See there.
        properties: Of the CONNECT, MQTT 5 only.
        maximum_packet: Largest packet that is accepted, bytes. Version 5 announces it, and a larger packet ends the
            connection; in 3.1.1 a larger message is acknowledged and dropped, any other larger packet ends the connection.
    """

    client_id: str
    level: int = 4
    clean: bool = True
    keepalive_s: int = 60
    user: str = ""
    password: str = ""
    will: Will | None = None
    properties: properties.Values = field(default_factory=dict)
    maximum_packet: int = LARGEST_PACKET


def packet(kind: int, body: bytes, *, flags: int = 0) -> bytes:
    """A fixed header and its body.

    Raises:
        ValueError: The body is longer than a packet can be.
    """
    return bytes((kind << 4 | flags,)) + write_variable(len(body)) + body


def connect(options: Options) -> bytes:
    """The first packet (3.1).

    Raises:
        ValueError: A text is too long or has a null character, a number is out of range, or a session is to be kept
            without a client identifier (3.1.1, 3.1.3.1).
        KeyError: A property that does not exist.
    """
    will = options.will
    if not options.client_id and not options.clean and options.level == 4:
        raise ValueError("a session without a client identifier can't be kept")
    flags = 0x02 if options.clean else 0
    if will is not None:
        _check_qos(will.qos)
        flags |= 0x04 | will.qos << 3 | (0x20 if will.retain else 0)
    flags |= (0x80 if options.user else 0) | (0x40 if options.password and (options.user or options.level == 5) else 0)
    body = text("MQTT") + bytes((options.level, flags)) + integer(options.keepalive_s, 2)
    if options.level == 5:
        body += properties.write(_announced(options))
    body += text(options.client_id)
    if will is not None:
        _check_topic(will.topic)
        if options.level == 5:
            body += properties.write(will.properties)
        body += text(will.topic) + binary(will.payload)
    if flags & 0x80:
        body += text(options.user)
    if flags & 0x40:
        body += text(options.password)
    return packet(CONNECT, body)


def _announced(options: Options) -> properties.Values:
    """The properties given, and those that version 5 needs to mean what the other options mean in 3.1.1."""
    implied = {}
    if not options.clean:
        implied["session_expiry_interval"] = NO_EXPIRY
    if options.maximum_packet < LARGEST_PACKET:
        implied["maximum_packet_size"] = options.maximum_packet
    return {**implied, **options.properties}


def publish(
    topic: str,
    payload: bytes,
    *,
    qos: int,
    retain: bool,
    number: int,
    level: int,
    values: properties.Values | None = None,
) -> bytes:
    """A message (3.3).

    Args:
        topic: At least one character, no wildcard.
        payload: Any bytes.
        qos: 0 to 2.
        retain: Whether the broker keeps it as the topic's last message.
        number: Its packet identifier, without meaning at QoS 0; 0 is replaced by `numbered` later.
        level: 4 or 5.
        values: Properties, MQTT 5.

    Raises:
        ValueError: The topic is empty, too long, or has a wildcard or a null character; there is no such QoS; or topic and
            payload together are too large for a packet.
    """
    name = topic.encode()
    if not name or len(name) > LONGEST or "#" in topic or "+" in topic or "\x00" in topic:
        _check_topic(topic)
    head = len(name).to_bytes(2, "big") + name
    if qos:
        _check_qos(qos)
        head += number.to_bytes(2, "big")
    if level == 5:
        head += properties.write(values) if values else b"\x00"
    size = len(head) + len(payload)
    first = 0x30 | qos << 1 | retain
    if size < 128:
        return bytes((first, size)) + head + payload
    if size < 16_384:
        return bytes((first, size & 127 | 128, size >> 7)) + head + payload
    return bytes((first,)) + write_variable(size) + head + payload


def topic_head(topic: str) -> bytes:
    """A topic as a PUBLISH has it, for `Session.publish_many`: made once for a topic that is published again and again.

    Raises:
        ValueError: See `publish`.
    """
    _check_topic(topic)
    return text(topic)


@lru_cache(maxsize=8)
def publish_heads(first: int) -> tuple[bytes, ...]:
    """The fixed headers of PUBLISH packets whose remaining length is the index, up to `SHORT`."""
    return tuple(bytes((first,)) + write_variable(size) for size in range(SHORT + 1))


def numbered(data: bytes, number: int) -> bytes:
    """A PUBLISH of QoS 1 or 2 with this packet identifier."""
    _, at = read_variable(data, 1)
    at += 2 + (data[at] << 8 | data[at + 1])
    return data[:at] + number.to_bytes(2, "big") + data[at + 2 :]


def repeated(data: bytes) -> bytes:
    """A PUBLISH of QoS 1 or 2 with its DUP flag (3.3.1.1)."""
    return bytes((data[0] | DUP,)) + data[1:]


def answer(kind: int, number: int, *, code: int = 0, level: int = 4) -> bytes:
    """PUBACK, PUBREC, PUBREL or PUBCOMP (3.4 to 3.7). In level 5 a code of 0 may be left out (3.4.2.1)."""
    flags = FLAGS if kind == PUBREL else 0
    body = number.to_bytes(2, "big") + (bytes((code,)) if code and level == 5 else b"")
    return bytes((kind << 4 | flags, len(body))) + body


def subscribe(
    subscriptions: Sequence[tuple[str, int]],
    *,
    number: int,
    level: int,
    values: properties.Values | None = None,
) -> bytes:
    """Filters with their options byte (3.8): the QoS in 3.1.1, more flags in 5.

    Raises:
        ValueError: There is no filter, one breaks 4.7.1, or an options byte has bits that are not defined.
    """
    if not subscriptions:
        raise ValueError("a subscription needs a filter")
    body = bytearray(number.to_bytes(2, "big"))
    if level == 5:
        body += properties.write(values or {})
    for name, options in subscriptions:
        _check_filter(name)
        if options & 3 == 3 or options & ~(0x3F if level == 5 else 3) or options & 0x30 == 0x30:
            raise ValueError(f"there are no options {options} of a subscription (3.8.3)")
        body += text(name)
        body.append(options)
    return packet(SUBSCRIBE, bytes(body), flags=FLAGS)


def unsubscribe(filters: Sequence[str], *, number: int, level: int) -> bytes:
    """Filters that end (3.10).

    Raises:
        ValueError: There is no filter, or one breaks 4.7.1.
    """
    if not filters:
        raise ValueError("an unsubscription needs a filter")
    body = bytearray(number.to_bytes(2, "big")) + (b"\x00" if level == 5 else b"")
    for name in filters:
        _check_filter(name)
        body += text(name)
    return packet(UNSUBSCRIBE, bytes(body), flags=FLAGS)


def disconnect(*, level: int, code: int = 0) -> bytes:
    """The last packet (3.14); 3.1.1 has no code. With code 4 the broker publishes the will."""
    return packet(DISCONNECT, bytes((code,)) if level == 5 and code else b"")


def _check_qos(qos: int) -> None:
    if not 0 <= qos <= 2:
        raise ValueError(f"there is no QoS {qos}")


def _check_topic(topic: str) -> None:
    if not topic or "#" in topic or "+" in topic:
        raise ValueError("a topic is empty or has a wildcard (3.3.2.1)")
    text(topic)


def _check_filter(name: str) -> None:
    """`#` is the last level, and a wildcard is a whole level (4.7.1)."""
    levels = name.split("/")
    whole = all(one in ("#", "+") or not {"#", "+"} & set(one) for one in levels)
    if not name or not whole or "#" in levels[:-1]:
        raise ValueError(f"'{name}' is not a filter (4.7.1)")
