"""The packets that a client sends, as bytes. Level 4 is MQTT 3.1.1, level 5 is MQTT 5.

Source: MQTT 3.1.1, 2 and 3; MQTT 5.0, 2 and 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from nexus_cli.wire.mqtt import properties
from nexus_cli.wire.mqtt.data import text, write_variable

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)
PING: Final = bytes((PINGREQ << 4, 0))
RELEASE_FLAGS: Final = 0x02
"""PUBREL, SUBSCRIBE and UNSUBSCRIBE carry these flags, all other packets but PUBLISH none (3.1.1, table 2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """What the broker publishes when we vanish.

    Attributes:
        topic: Without wildcards.
        payload: At most 65,535 bytes.
        qos: 0 to 2.
        retain: Whether it is kept.
        properties: MQTT 5 only.
    """

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = True
    properties: properties.Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How we connect.

    Attributes:
        client_id: Unique at the broker; "" lets it choose one (a clean session only).
        level: 4 is MQTT 3.1.1, 5 is MQTT 5.
        clean: False keeps the session at the broker.
        keepalive_s: Longest silence on our side, seconds; 0 switches it off.
        user: "" connects without one.
        password: Left out when it is "" (3.1.1 has no password without a user).
        will: See there.
        properties: Of the CONNECT, MQTT 5 only.
        maximum_packet: Largest packet that we take, bytes; a larger one ends the connection.
    """

    client_id: str
    level: int = 4
    clean: bool = True
    keepalive_s: int = 60
    user: str = ""
    password: str = ""
    will: Will | None = None
    properties: properties.Values = field(default_factory=dict)
    maximum_packet: int = 268_435_460


def packet(kind: int, body: bytes, *, flags: int = 0) -> bytes:
    """A fixed header and its body."""
    return bytes((kind << 4 | flags,)) + write_variable(len(body)) + body


def connect(options: Options) -> bytes:
    """The first packet (3.1).

    Raises:
        ValueError: A name is too long or holds a null.
    """
    will = options.will
    flags = 0x02 if options.clean else 0
    if will is not None:
        flags |= 0x04 | will.qos << 3 | (0x20 if will.retain else 0)
    flags |= (0x80 if options.user else 0) | (0x40 if options.password and (options.user or options.level == 5) else 0)
    body = bytearray(text("MQTT"))
    body += bytes((options.level, flags)) + options.keepalive_s.to_bytes(2, "big")
    if options.level == 5:
        body += properties.write(options.properties)
    body += text(options.client_id)
    if will is not None:
        if options.level == 5:
            body += properties.write(will.properties)
        if len(will.payload) > 65_535:
            raise ValueError("the payload of a will is longer than 65,535 bytes")
        body += text(will.topic) + len(will.payload).to_bytes(2, "big") + will.payload
    if flags & 0x80:
        body += text(options.user)
    if flags & 0x40:
        body += text(options.password)
    return packet(CONNECT, bytes(body))


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
    """A message (3.3); `number` is its packet identifier, without meaning at QoS 0.

    Raises:
        ValueError: The topic is too long, or topic and payload together are too large for a packet.
    """
    name = topic.encode()
    if len(name) > 65_535 or b"\x00" in name:
        raise ValueError("a topic is longer than 65,535 bytes or holds a null character")
    head = len(name).to_bytes(2, "big") + name
    if qos:
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


def answer(kind: int, number: int, *, code: int = 0, level: int = 4) -> bytes:
    """PUBACK, PUBREC, PUBREL or PUBCOMP (3.4 to 3.7). In level 5 a code of 0 may be left out (3.4.2.1)."""
    flags = RELEASE_FLAGS if kind == PUBREL else 0
    body = number.to_bytes(2, "big") + (bytes((code,)) if code and level == 5 else b"")
    return bytes((kind << 4 | flags, len(body))) + body


def subscribe(
    subscriptions: Sequence[tuple[str, int]],
    *,
    number: int,
    level: int,
    values: properties.Values | None = None,
) -> bytes:
    """Filters with their options byte: the QoS alone in 3.1.1 (3.8)."""
    body = bytearray(number.to_bytes(2, "big"))
    if level == 5:
        body += properties.write(values or {})
    for name, options in subscriptions:
        body += text(name)
        body.append(options)
    return packet(SUBSCRIBE, bytes(body), flags=RELEASE_FLAGS)


def unsubscribe(filters: Sequence[str], *, number: int, level: int) -> bytes:
    """Filters that are wanted no more (3.10)."""
    body = bytearray(number.to_bytes(2, "big")) + (b"\x00" if level == 5 else b"")
    for name in filters:
        body += text(name)
    return packet(UNSUBSCRIBE, bytes(body), flags=RELEASE_FLAGS)


def disconnect(*, level: int, code: int = 0) -> bytes:
    """The last packet (3.14). Code 4 of level 5 has the will published all the same."""
    return packet(DISCONNECT, bytes((code,)) if level == 5 and code else b"")
