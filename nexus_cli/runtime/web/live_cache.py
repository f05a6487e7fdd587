"""The newest message of every topic of the site, kept as it came and read on request.

A message costs a look-up and three assignments, however many people watch: who watches compares turns (`changed_since`)
at its own pace. A value that is not read is never parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nexus_cli.wire.message import Message
from nexus_cli.wire.reading import PayloadError, parse_payload
from nexus_cli.wire.sample import Quality, Value

Slots = NDArray[np.int64]
"""Numbers of slots."""
MOST_TOPICS = 200_000
"""Topics that are kept; what is published on more is counted, and only a topic of a declared tag still gets a slot."""
LARGEST_KEPT = 64 * 1024
"""Bytes of a payload; of a larger one its beginning is kept, and its value is BAD `too_large`."""
NOT_YET = "no_value"
"""Reason of a tag that nothing was published for."""
_FIRST = 1024

OnChange = Callable[[int], None]
"""Called on the loop with a slot, for each message; must not block."""


class Newest(NamedTuple):
    """The newest value of a topic.

    Attributes:
        value: None when it is BAD.
        quality: GOOD, UNCERTAIN or BAD.
        reason: Why it is not GOOD, one word or the publisher's; "" when it is.
        time_us: When it was read at its source, µs since 1970 UTC; None when it has no time of its own.
        received_us: When it came here, µs since 1970 UTC; 0 before the first.
        label: Name of an enumeration's code; "".
        unit: "" when the message gives none.
    """

    value: Value
    quality: Quality
    reason: str
    time_us: int | None
    received_us: int
    label: str = ""
    unit: str = ""


NOTHING = Newest(None, Quality.BAD, NOT_YET, None, 0)


class LiveCache:
    """Newest messages by slot; the slot of a topic stays the same as long as the process lives.

    Attributes:
        turn: Rises with every message.
        dropped: Messages on topics beyond `MOST_TOPICS`.
    """

    def __init__(self, *, now_us: Callable[[], int]) -> None:
        """`now_us` is the machine's clock, µs since 1970 UTC."""
        self._now_us = now_us
        self._slots: dict[str, int] = {}
        self._topics: list[str] = []
        self._payloads: list[bytes | None] = []
        self._parsed: list[Newest | None] = []
        self._turns: NDArray[np.int64] = np.zeros(_FIRST, np.int64)
        self._received: NDArray[np.int64] = np.zeros(_FIRST, np.int64)
        self._retained: NDArray[np.bool_] = np.zeros(_FIRST, np.bool_)
        self._watchers: dict[int, tuple[OnChange, ...]] = {}
        self.turn = 0
        self.dropped = 0

    def __len__(self) -> int:
        """Topics that have a slot."""
        return len(self._topics)

    def slot(self, topic: str) -> int:
        """The slot of a topic, a new one where it has none."""
        found = self._slots.get(topic)
        if found is None:
            found = self._slots[topic] = len(self._topics)
            self._topics.append(topic)
            self._payloads.append(None)
            self._parsed.append(None)
            if found >= len(self._turns):
                self._grow()
        return found

    def _grow(self) -> None:
        more = len(self._turns)
        self._turns = np.concatenate([self._turns, np.zeros(more, np.int64)])
        self._received = np.concatenate([self._received, np.zeros(more, np.int64)])
        self._retained = np.concatenate([self._retained, np.zeros(more, np.bool_)])

    def known(self, topic: str) -> int | None:
        """The slot of a topic that has one."""
        return self._slots.get(topic)

    def topic(self, slot: int) -> str:
        """The topic of a slot."""
        return self._topics[slot]

    def topics(self) -> Sequence[str]:
        """Every topic by slot; not to be changed."""
        return self._topics

    def take(self, message: Message) -> None:
        """Keep a message. An empty one clears its topic."""
        slot = self._slots.get(message.topic)
        if slot is None:
            if len(self._topics) >= MOST_TOPICS:
                self.dropped += 1
                return
            slot = self.slot(message.topic)
        self._payloads[slot] = (
            message.payload if len(message.payload) <= LARGEST_KEPT else message.payload[:LARGEST_KEPT]
        )
        self._parsed[slot] = None
        self.turn += 1
        self._turns[slot] = self.turn
        self._received[slot] = self._now_us()
        self._retained[slot] = message.retain
        watchers = self._watchers.get(slot)
        if watchers is not None:
            for watcher in watchers:
                watcher(slot)

    def payload(self, slot: int) -> bytes | None:
        """The newest message as it came; None when there was none, or an empty one."""
        return self._payloads[slot] or None

    def retained(self, slot: int) -> bool:
        """True when the broker had kept the newest message from before."""
        return bool(self._retained[slot])

    def read(self, slot: int) -> Newest:
        """The newest value: parsed once for everybody who reads it."""
        found = self._parsed[slot]
        if found is None:
            found = self._parsed[slot] = self._parse(slot)
        return found

    def _parse(self, slot: int) -> Newest:
        payload = self._payloads[slot]
        received_us = int(self._received[slot])
        if not payload:
            return NOTHING if not received_us else NOTHING._replace(received_us=received_us)
        if len(payload) >= LARGEST_KEPT:
            return Newest(None, Quality.BAD, "too_large", None, received_us)
        try:
            reading = parse_payload(payload, now_us=None)
        except PayloadError as error:
            return Newest(None, Quality.BAD, error.reason, None, received_us)
        return Newest(
            reading.value, reading.state, reading.reason, reading.time_us, received_us, reading.label, reading.unit
        )

    def turn_of(self, slot: int) -> int:
        """The turn of the newest message of a slot; 0 before the first."""
        return int(self._turns[slot])

    def changed_since(self, slots: Slots, turn: int) -> Slots:
        """Those of the slots whose newest message came after a turn, in the order given."""
        return slots[self._turns[slots] > turn]

    def watch(self, slots: Iterable[int], on_change: OnChange) -> None:
        """Call back for every message of these slots; for who may miss none. The others use `changed_since`."""
        for slot in slots:
            self._watchers[slot] = (*self._watchers.get(slot, ()), on_change)

    def unwatch(self, slots: Iterable[int], on_change: OnChange) -> None:
        """Undo `watch`."""
        for slot in slots:
            left = tuple(each for each in self._watchers.get(slot, ()) if each is not on_change and each != on_change)
            if left:
                self._watchers[slot] = left
            else:
                self._watchers.pop(slot, None)
