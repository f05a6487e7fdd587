"""The part of a session that outlives a connection."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple


class Queued(NamedTuple):
    """A publish that waits for the CONNACK or for the broker's window.

    Attributes:
        data: Its packet, with packet identifier 0.
        qos: 0 to 2.
        retain: As in the packet.
        token: As given to `Session.publish`.
    """

    data: bytes
    qos: int
    retain: bool
    token: Any


class State:
    """State of a session that is not clean (3.1.1, 3.1.2.4), for the `Session` of the next connection.

    Attributes:
        open: Packet identifier → token, of publishes that are not acknowledged, in the order of their first sending.
        kept: Packet identifier → its PUBLISH, to send again.
        exact: Packet identifiers of QoS 2 in `open`.
        released: Those of them whose PUBREC has come, in the order of the PUBRECs.
        received: Identifiers of QoS 2 messages that were delivered and not released yet.
        queue: Publishes that were not sent yet.
        last: Packet identifier given last.
    """

    __slots__ = ("exact", "kept", "last", "open", "queue", "received", "released")

    def __init__(self) -> None:
        """Begin empty."""
        self.open: dict[int, Any] = {}
        self.kept: dict[int, bytes] = {}
        self.exact: set[int] = set()
        self.released: dict[int, None] = {}
        self.received: set[int] = set()
        self.queue: deque[Queued] = deque()
        self.last = 0

    def close(self, number: int) -> Any:
        """Forget a publish that is finished; gives its token."""
        self.kept.pop(number, None)
        self.exact.discard(number)
        self.released.pop(number, None)
        return self.open.pop(number)

    def forget(self) -> list[Any]:
        """The broker has lost the session; gives the tokens of what was open. Publishes that were not sent remain."""
        tokens = list(self.open.values())
        for part in (self.open, self.kept, self.exact, self.released, self.received):
            part.clear()
        return tokens
