"""The packets that a broker answers with, read from their bodies. Level 4 is MQTT 3.1.1, level 5 is MQTT 5.

Every function raises `MalformedError` where the body breaks the standard.

Source: MQTT 3.1.1, 3; MQTT 5.0, 3.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from nexus_cli.wire.mqtt import properties
from nexus_cli.wire.mqtt.data import MalformedError, read_two

UNACCEPTABLE_VERSION: Final = 1
"""Return code of 3.1.1 (3.2.2.3)."""
_GRANTED: Final = frozenset((0, 1, 2, 0x80))
"""Return codes of a SUBACK in 3.1.1 (3.9.3)."""


class Connack(NamedTuple):
    """The answer to a CONNECT.

    Attributes:
        present: The broker has our session.
        code: 0 accepts.
        properties: MQTT 5.
    """

    present: bool
    code: int
    properties: properties.Values


class Answer(NamedTuple):
    """PUBACK, PUBREC, PUBREL, PUBCOMP or DISCONNECT.

    Attributes:
        number: Packet identifier; 0 in a DISCONNECT.
        code: Reason code; 0 in 3.1.1.
        reason: The broker's reason string, or "".
    """

    number: int
    code: int
    reason: str


def connack(body: bytes, *, level: int) -> Connack:
    """A CONNACK (3.2).

    A broker of 3.1.1 answers a CONNECT of version 5 in its own form of two bytes; it can't mean an acceptance.
    """
    if len(body) < 2 or body[0] > 1 or (level == 4 and len(body) > 2):
        raise MalformedError("a CONNACK that breaks 3.2")
    present, code = bool(body[0]), body[1]
    if level == 4:
        return Connack(present, code, {})
    if len(body) == 2:
        return Connack(False, code or UNACCEPTABLE_VERSION, {})
    found, end = properties.read(body, 2, len(body), properties.IN_CONNACK)
    if end != len(body):
        raise MalformedError("a CONNACK is longer than its properties")
    return Connack(present, code, found)


def answer(body: bytes, *, level: int) -> Answer:
    """A PUBACK, PUBREC, PUBREL or PUBCOMP (3.4 to 3.7)."""
    number, at = read_two(body, 0)
    if level == 4:
        if len(body) != 2:
            raise MalformedError("an acknowledgement of 3.1.1 has two bytes")
        return Answer(number, 0, "")
    return Answer(number, *_reason(body, at, properties.IN_ANSWER))


def disconnect(body: bytes) -> Answer:
    """A DISCONNECT of the broker (5.0, 3.14)."""
    return Answer(0, *_reason(body, 0, properties.IN_DISCONNECT))


def _reason(body: bytes, at: int, allowed: frozenset[int]) -> tuple[int, str]:
    """Reason code and reason string: either may be left out (5.0, 3.4.2.1)."""
    if at == len(body):
        return 0, ""
    if at + 1 == len(body):
        return body[at], ""
    found, end = properties.read(body, at + 1, len(body), allowed)
    if end != len(body):
        raise MalformedError("an acknowledgement is longer than its properties")
    return body[at], str(found.get("reason_string", ""))


def codes(body: bytes, *, level: int, count: int) -> tuple[int, ...]:
    """The codes of a SUBACK (3.9) or UNSUBACK (3.11), one per filter; an UNSUBACK of 3.1.1 has none (`count` 0)."""
    _, at = read_two(body, 0)
    if level == 5:
        _, at = properties.read(body, at, len(body), properties.IN_ANSWER)
    found = tuple(body[at:])
    if len(found) != count:
        raise MalformedError(f"{len(found)} answers to {count} filters (3.9.3)")
    if level == 4 and not _GRANTED.issuperset(found):
        raise MalformedError("a return code that is reserved (3.9.3)")
    return found
