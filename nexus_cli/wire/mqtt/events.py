"""What a session says has happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Accepted(NamedTuple):
    """The broker accepted us.

    Attributes:
        session_present: It knows our session.
        properties: Of its CONNACK, MQTT 5.
    """

    session_present: bool
    properties: Mapping[str, Any]


class Refused(NamedTuple):
    """The broker refused us; the connection is over.

    Attributes:
        code: Its return code (3.1.1, 3.2.2.3) or reason code (5, 3.2.2.2).
        why: In words.
    """

    code: int
    why: str


class Acknowledged(NamedTuple):
    """Publishes that the broker has taken over, in the order of its acknowledgements.

    Attributes:
        tokens: As given to `Session.publish`.
    """

    tokens: list[Any]


class Rejected(NamedTuple):
    """A publish that the broker answered with an error (MQTT 5; 3.1.1 has none).

    Attributes:
        token: As given to `Session.publish`.
        code: Its reason code.
        why: In words.
    """

    token: Any
    code: int
    why: str


class Forgotten(NamedTuple):
    """Publishes of an earlier connection whose session the broker no longer has: they may have arrived or not.

    Attributes:
        tokens: As given to `Session.publish`.
    """

    tokens: list[Any]


class Subscribed(NamedTuple):
    """The answer to a SUBSCRIBE or UNSUBSCRIBE.

    Attributes:
        number: Its packet identifier.
        codes: One per filter, in their order; none for an UNSUBACK of 3.1.1.
    """

    number: int
    codes: tuple[int, ...]


class Closed(NamedTuple):
    """The session is over; nothing more comes, and what `Session.take` still gives is the last.

    Attributes:
        why: In words.
    """

    why: str
