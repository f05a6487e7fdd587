"""Records that are published and not announced as committed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from nexus_cli.runtime.gateway.outbox.records import Record


class Sent(NamedTuple):
    """A record that was published.

    Attributes:
        last, frames: Its last number, and how many it has.
        size_bytes: Of its packet.
        topic: Where.
    """

    last: int
    frames: int
    size_bytes: int
    topic: str


class Window:
    """Records in flight until the historian's receipt, by their last number.

    Attributes:
        frames, size_bytes: Of all of them.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.frames = self.size_bytes = 0
        self._sent: dict[int, Sent] = {}

    def __len__(self) -> int:
        return len(self._sent)

    def __contains__(self, last: object) -> bool:
        return last in self._sent

    def __iter__(self) -> Iterator[int]:
        return iter(self._sent)

    def add(self, record: Record, size_bytes: int) -> None:
        """A record is published, perhaps again."""
        self.forget(record.last)
        self._sent[record.last] = Sent(record.last, record.numbers, size_bytes, record.topic)
        self.frames += record.numbers
        self.size_bytes += size_bytes

    def forget(self, last: int) -> None:
        """It is not in flight any more."""
        sent = self._sent.pop(last, None)
        if sent is not None:
            self.frames -= sent.frames
            self.size_bytes -= sent.size_bytes

    def take(self, has: Callable[[int, int], bool]) -> list[Sent]:
        """Remove and return the records of which all numbers, from the first to the last, are announced."""
        done = [one for one in self._sent.values() if has(one.last - one.frames + 1, one.last)]
        for one in done:
            self.forget(one.last)
        return done

    def clear(self) -> None:
        """Everything is sent again."""
        self._sent.clear()
        self.frames = self.size_bytes = 0


__all__ = ["Sent", "Window"]
