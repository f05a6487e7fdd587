"""Topics whose records the broker does not pass on at the moment; the lowest record of each is retried. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nexus_cli.runtime.clock import Clock

FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0


@dataclass(slots=True)
class _Topic:
    seq: int
    pause_s: float
    due_s: float


class BlockedTopics:
    """The blocked topics, and the record of each that is retried. Bounded by the topics of a gateway."""

    def __init__(self, *, clock: Clock) -> None:
        """Start with none."""
        self._clock = clock
        self._topics: dict[str, _Topic] = {}
        self._next_s = 0.0

    def __bool__(self) -> bool:
        return bool(self._topics)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._topics))

    def __len__(self) -> int:
        return len(self._topics)

    def add(self, topic: str, seq: int) -> None:
        """Block the topic of a record that the broker did not pass on."""
        known = self._topics.get(topic)
        if known is not None:
            known.seq = min(seq, known.seq)
            return
        due_s = self._clock.monotonic_s() + FIRST_PAUSE_S
        self._topics[topic] = _Topic(seq, FIRST_PAUSE_S, due_s)
        self._next_s = min(self._next_s, due_s) if len(self._topics) > 1 else due_s

    def holds(self, topic: str) -> bool:
        """True when this topic is blocked."""
        return topic in self._topics

    def due(self) -> list[int]:
        """Records to retry now, one of each topic whose pause is over; the next pause is longer."""
        now_s = self._clock.monotonic_s()
        if not self._topics or now_s < self._next_s:
            return []
        found = [one for one in self._topics.values() if now_s >= one.due_s]
        for one in found:
            one.pause_s = min(LONGEST_PAUSE_S, one.pause_s * 2)
            one.due_s = now_s + one.pause_s
        self._next_s = min(one.due_s for one in self._topics.values())
        return sorted(one.seq for one in found)

    def passed(self, is_committed: Callable[[int], bool]) -> bool:
        """Unblock the topics whose lowest record has its receipt; True when there were any."""
        gone = [topic for topic, one in self._topics.items() if is_committed(one.seq)]
        for topic in gone:
            del self._topics[topic]
        return bool(gone)
