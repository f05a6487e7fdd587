"""One subscription on the server: what is in it, whether it is alive, and whether a message of it is missing. Pure but for
the loop's clock.

Source: OPC 10000-4 §5.14.5 (sequence numbers, keep-alives), §5.14.6 (Republish), §7.25 (NotificationMessage).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

R = TypeVar("R")
LARGEST_SEQUENCE = 0xFFFF_FFFF
"""After it comes 1."""
MOST_REPUBLISHED = 64
"""Messages of one hole that are asked for again; servers keep fewer."""


def now_s() -> float:
    """Seconds on the clock that the loop's deadlines go by."""
    return asyncio.get_running_loop().time()


class Stream(Generic[R]):
    """Everything of a link with one publishing interval, or with several where the server allows no more subscriptions.

    Attributes:
        id: The server's id.
        interval_ms: How often it publishes.
        silence_s: Longest time without a message.
        heard_s: When its last message came, on the loop's time.
        items: Monitored items by our handle: the server's id.
        shared: The server's word for why other intervals use it too; "" while none does.
        since_s: Since when messages wait for one that is missing; 0 while none does.
    """

    __slots__ = (
        "_asked",
        "_found",
        "_held",
        "_next",
        "heard_s",
        "id",
        "interval_ms",
        "items",
        "shared",
        "silence_s",
        "since_s",
    )

    def __init__(self, number: int, *, interval_ms: int, silence_s: float) -> None:
        self.id = number
        self.interval_ms = interval_ms
        self.silence_s = silence_s
        self.heard_s = now_s()
        self.items: dict[int, int] = {}
        self.shared = ""
        self.since_s = 0.0
        self._next = 1
        self._asked: list[int] = []
        self._found: dict[int, R | None] = {}
        self._held: list[R] = []

    def missing(self, sequence: int, *, full: bool) -> Sequence[int]:
        """Take note of a message; gives the numbers that should have come before it.

        Args:
            sequence: Its number; of a keep-alive the number of the next message.
            full: It brings something; False for a keep-alive.
        """
        expected = self._next
        if full:
            self._next = 1 if sequence == LARGEST_SEQUENCE else sequence + 1
        else:
            self._next = max(expected, sequence)  # some servers send the last number, or none
        hole = range(expected, sequence)
        return hole[-MOST_REPUBLISHED:]

    def wait_for(self, numbers: Sequence[int]) -> None:
        """Hold later messages until these are answered."""
        self._asked += numbers
        self.since_s = self.since_s or now_s()

    def found(self, number: int, message: R | None) -> Sequence[R]:
        """Take a missing message, None when the server no longer has it; gives the messages that can be delivered now, in order."""
        self._found[number] = message
        return self.release() if all(one in self._found for one in self._asked) else ()

    def take(self, message: R) -> Sequence[R]:
        """Take a message in order; gives the messages that can be delivered now."""
        if not self._asked:
            return (message,)
        self._held.append(message)
        return ()

    def release(self) -> Sequence[R]:
        """What was missing and came, and what was held behind it, in order."""
        found: Mapping[int, R | None] = self._found
        messages = [one for number in self._asked if (one := found.get(number)) is not None] + self._held
        self._asked, self._found, self._held, self.since_s = [], {}, [], 0.0
        return messages
