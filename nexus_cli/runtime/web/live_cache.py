"""The newest message of every topic of the site, kept as it came and read when it is asked for.

A message costs a look-up and three assignments, however many people watch: who watches compares turns (`changed_since`)
at its own pace. A value that is not read is never parsed.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from nexus_cli.wire.message import Message
from nexus_cli.wire.reading import PayloadError, parse_payload
from nexus_cli.wire.sample import Quality, Value
from nexus_cli.wire.topic import PLATFORM

Slots = NDArray[np.int64]
"""Numbers of slots."""
MOST_TOPICS = 200_000
"""Topics that are kept; what is published on more is counted, and only a topic of a declared tag still gets a slot."""
LARGEST_KEPT = 64 * 1024
"""Bytes of a payload; of a larger one its beginning is kept, and its value is BAD `too_large`."""
OWN = f"{PLATFORM}/"
"""Beginning of NEXUS's own topics, whose messages are kept whole: a gateway's health names a thousand silent devices."""
NOT_YET = "no_value"
"""Reason of a tag that nothing was published for."""
_FIRST = 1024

MOST_UNITS = 1_000
"""Units that are kept once for every value that has them."""
_FIRST_MS, _LAST_MS = 10**11, 10**14
"""Between these a time is in milliseconds, as `parse_payload` reads it."""

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


class _Own(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The form in which gateways publish (`wire.payload`), read at a fifth of the cost of `parse_payload`, with its outcome."""

    value: Any
    timestamp: int
    quality: str
    source_timestamp: Any = None
    unit: str = ""
    label: str = ""
    reason: str = ""


_decode = msgspec.json.Decoder(_Own).decode
_QUALITIES = {quality.name: quality for quality in Quality}
_REASONS = {Quality.UNCERTAIN: "source_uncertain", Quality.BAD: "source_bad"}
NOTHING = Newest(None, Quality.BAD, NOT_YET, None, 0)


def _own(payload: bytes) -> _Own | None:
    """A message in NEXUS's own form whose parts fit together; None of every other."""
    try:
        own = _decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if type(own.value) is int and not -(2**63) <= own.value < 2**64:
        return None
    quality = _QUALITIES.get(own.quality)
    fits = quality is not None and (own.value is None) is (quality is Quality.BAD)
    return own if fits and _FIRST_MS < own.timestamp < _LAST_MS else None


class LiveCache:
    """Newest messages by slot; the slot of a topic stays the same as long as the process lives.

    Attributes:
        turn: Rises with every message that is news.
        dropped: Messages on topics beyond `MOST_TOPICS`.
        kept: Messages so far that the broker had kept.
    """

    def __init__(self, *, now_us: Callable[[], int]) -> None:
        """`now_us` is the machine's clock, µs since 1970 UTC."""
        self._now_us = now_us
        self._slots: dict[str, int] = {}
        self._topics: list[str] = []
        self._payloads: list[bytes | None] = []
        self._parsed: list[Newest | None] = []
        # Written one by one and compared all at once: an array of Python's is written three times as fast as one of numpy's,
        # and numpy reads the same memory.
        self._turn_of = array("q", bytes(8 * _FIRST))
        self._turns: NDArray[np.int64] = np.frombuffer(self._turn_of, np.int64)
        self._received = array("q", bytes(8 * _FIRST))
        self._retained = bytearray(_FIRST)
        self._watchers: dict[int, tuple[OnChange, ...]] = {}
        self._taps: tuple[OnChange, ...] = ()
        self._when_new: tuple[OnChange, ...] = ()
        self._units: dict[str, str] = {}
        self.turn = 0
        self.dropped = self.kept = 0

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
            if found >= len(self._turn_of):
                self._grow()
            for call in self._when_new:
                call(found)
        return found

    def _grow(self) -> None:
        more = len(self._turn_of)
        self._turn_of = self._turn_of + array("q", bytes(8 * more))
        self._turns = np.frombuffer(self._turn_of, np.int64)
        self._received.frombytes(bytes(8 * more))
        self._retained.extend(bytes(more))

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
        """Keep a message. An empty one clears its topic.

        Two are no news, and who watches values does not get them: one that the broker had kept and that is here already, and
        one that has its own time and is here already, for a publisher sends again what it had sent to a broker that was away.
        """
        slot = self._slots.get(message.topic)
        if slot is None:
            if len(self._topics) >= MOST_TOPICS:
                self.dropped += 1
                return
            slot = self.slot(message.topic)
        self.kept += message.retain
        payload = message.payload
        if len(payload) > LARGEST_KEPT and not message.topic.startswith(OWN):
            payload = payload[:LARGEST_KEPT]
        same = payload == self._payloads[slot]
        if same and message.retain:
            self._retained[slot] = True
            return
        is_news = not (same and _own(payload) is not None)
        self._payloads[slot] = payload
        self._parsed[slot] = None
        self._received[slot] = self._now_us()
        self._retained[slot] = message.retain
        if is_news:
            self.turn += 1
            self._turn_of[slot] = self.turn
            for watcher in self._watchers.get(slot, ()):
                watcher(slot)
        for tap in self._taps:
            tap(slot)

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

    def quality(self, slot: int) -> Quality:
        """The quality of the newest value, as `read` gives it; nothing is kept for who reads the value."""
        found = self._parsed[slot]
        if found is not None:
            return found.quality
        payload = self._payloads[slot]
        own = _own(payload) if payload and len(payload) < LARGEST_KEPT else None
        return _QUALITIES[own.quality] if own is not None else self.read(slot).quality

    def _parse(self, slot: int) -> Newest:
        payload = self._payloads[slot]
        received_us = self._received[slot]
        if not payload:
            return NOTHING if not received_us else NOTHING._replace(received_us=received_us)
        if len(payload) >= LARGEST_KEPT:
            return Newest(None, Quality.BAD, "too_large", None, received_us)
        own = _own(payload)
        if own is None:
            return self._parse_any(payload, received_us)
        quality = _QUALITIES[own.quality]
        reason = "" if quality is Quality.GOOD else own.reason or _REASONS[quality]
        unit = self._units.setdefault(own.unit, own.unit) if len(self._units) < MOST_UNITS else own.unit
        return Newest(own.value, quality, reason, own.timestamp * 1000, received_us, own.label, unit)

    def _parse_any(self, payload: bytes, received_us: int) -> Newest:
        try:
            reading = parse_payload(payload, now_us=None)
        except PayloadError as error:
            return Newest(None, Quality.BAD, error.reason, None, received_us)
        return Newest(
            reading.value, reading.state, reading.reason, reading.time_us, received_us, reading.label, reading.unit
        )

    def turn_of(self, slot: int) -> int:
        """The turn of the newest message of a slot; 0 before the first."""
        return self._turn_of[slot]

    def turns_of(self, slots: Sequence[int] | Slots) -> list[int]:
        """The turns of the newest messages of some slots, in their order."""
        found: list[int] = self._turns[slots].tolist()
        return found

    def are_newer(self, slots: Slots, turn: int) -> NDArray[np.bool_]:
        """Of each of the slots, whether its newest message came after a turn."""
        found: NDArray[np.bool_] = self._turns[slots] > turn
        return found

    def changed_since(self, slots: Slots, turn: int) -> Slots:
        """Those of the slots whose newest message came after a turn, in the order given."""
        return slots[self.are_newer(slots, turn)]

    def watch(self, slots: Iterable[int], on_change: OnChange) -> None:
        """Call back for every message of these slots that is news; for who may miss none. The others use `changed_since`."""
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

    def when_new(self, call: OnChange) -> None:
        """Call for every topic that gets a slot from now on, before its first message; and now for those that have one."""
        for slot in range(len(self._topics)):
            call(slot)
        self._when_new = (*self._when_new, call)

    def tap(self, on_change: OnChange) -> None:
        """Call back for every message of every slot, those that are new included. One call a message: for few."""
        self._taps = (*self._taps, on_change)

    def untap(self, on_change: OnChange) -> None:
        """Undo `tap`."""
        self._taps = tuple(each for each in self._taps if each is not on_change and each != on_change)

    def received_us(self, slot: int) -> int:
        """When the newest message of a slot came, µs since 1970 UTC; 0 before the first."""
        return self._received[slot]
