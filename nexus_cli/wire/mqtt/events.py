"""The events that a session returns, in the order in which they happened."""

from __future__ import annotations

from typing import Any, NamedTuple

from nexus_cli.wire.message import Message
from nexus_cli.wire.mqtt import properties


class Accepted(NamedTuple):
    """The broker accepted the connection.

    Attributes:
        session_present: It has our session.
        properties: Of its CONNACK, MQTT 5.
    """

    session_present: bool
    properties: properties.Values


class Refused(NamedTuple):
    """The broker refused the connection, which is over.

    Attributes:
        code: Its return code (3.1.1, 3.2.2.3) or reason code (5, 3.2.2.2).
        why: In words.
    """

    code: int
    why: str


class Acknowledged(NamedTuple):
    """Publishes that the broker has accepted, in the order of its acknowledgements, and fences that it has answered.

    Attributes:
        tokens: As given to `Session.publish` and `Session.fence`.
    """

    tokens: list[Any]


class Rejected(NamedTuple):
    """A publish that the broker answered with an error, or that its announced limits exclude (MQTT 5; 3.1.1 has neither).

    Attributes:
        token: As given to `Session.publish`.
        code: The reason code.
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


class Oversized(NamedTuple):
    """A message larger than `Options.maximum_packet`: it was acknowledged and dropped (3.1.1, where no limit can be announced).

    Attributes:
        topic: Where it was published; bytes that are not UTF-8 are replaced.
        size: Of its packet, bytes.
    """

    topic: str
    size: int


class Subscribed(NamedTuple):
    """The answer to a SUBSCRIBE or UNSUBSCRIBE.

    Attributes:
        number: Its packet identifier.
        codes: One per filter, in their order; none for an UNSUBACK of 3.1.1.
    """

    number: int
    codes: tuple[int, ...]


class Closed(NamedTuple):
    """The session is over. No event follows; `Session.take` may still have a DISCONNECT to send.

    Attributes:
        why: In words.
    """

    why: str


Event = Accepted | Refused | Message | Acknowledged | Rejected | Forgotten | Oversized | Subscribed | Closed
