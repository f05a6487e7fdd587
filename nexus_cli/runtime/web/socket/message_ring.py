"""The newest messages on topics under one filter, and how often each topic has one."""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.socket.hearing import Hearing

LARGEST_SHOWN = 4 * 1024
"""Bytes of a payload that are shown."""
MOST_RATES = 100
"""Topics of which a rate is given, the busiest first."""
MOST_COUNTED = 10_000
"""Topics that are counted between two answers; the messages of more are shown, and not in the rates."""
_UNKNOWN, _YES, _NO = 0, 1, 2

Row = tuple[int, str, int, bool, int, str, str]
"""number, topic, received, retained, size, `utf8` or `base64`, payload."""


class _Kept(NamedTuple):
    number: int
    slot: int
    beginning: bytes
    received_us: int
    retained: bool
    size: int


def pattern_of(filter_: str) -> re.Pattern[str]:
    """What an MQTT filter covers, by MQTT 3.1.1 §4.7.

    Raises:
        NexusError: NX6913, it is no filter.
    """
    levels = filter_.split("/")
    for at, level in enumerate(levels):
        if ("#" in level and (level != "#" or at < len(levels) - 1)) or ("+" in level and level != "+"):
            raise NexusError(
                f"'{filter_[:200]}' is not a filter of topics.",
                code="NX6913",
                hint="`+` stands for one whole level, and `#` for the rest, at the end",
            )
    parts = ["[^/]*" if level == "+" else re.escape(level) for level in levels if level != "#"]
    found = "/".join(parts)
    if levels[-1] == "#":
        found = f"{found}(?:/.*)?" if parts else ".*"
    # A wildcard at the beginning never covers topics of the broker itself.
    return re.compile(f"(?!\\$){found}" if levels[0] in ("+", "#") else found, re.DOTALL)


class MessageRing:
    """Fed by a tap of the cache.

    Attributes:
        dropped: Messages that came and are not shown, since the last `rows`.
    """

    def __init__(self, cache: LiveCache, pattern: re.Pattern[str], *, keep: int, search: str, hearing: Hearing) -> None:
        """Keep the newest `keep` messages that hold `search`, in capitals or not, in topic or payload."""
        self._cache, self._fits, self._hearing = cache, pattern.fullmatch, hearing
        self._search = search.lower().encode()
        self._kept: deque[_Kept] = deque(maxlen=keep)
        self._wanted = bytearray()
        self._counts: Counter[int] = Counter()
        self._number = 0
        self.dropped = 0

    def renew(self, hearing: Hearing) -> None:
        """The rights have changed: what is kept is looked at again."""
        self._hearing, self._wanted = hearing, bytearray()
        self._kept = deque((one for one in self._kept if hearing.may(one.slot)), maxlen=self._kept.maxlen)

    def heard(self, slot: int) -> None:
        """A message."""
        wanted = self._wanted
        if slot >= len(wanted):
            wanted.extend(bytes(slot + 1024 - len(wanted)))
        if wanted[slot] == _UNKNOWN:
            fits = self._fits(self._cache.topic(slot)) is not None and self._hearing.may(slot)
            wanted[slot] = _YES if fits else _NO
        if wanted[slot] == _NO:
            return
        if len(self._counts) < MOST_COUNTED or slot in self._counts:
            self._counts[slot] += 1
        payload = self._cache.payload(slot) or b""
        if self._holds(slot, payload):
            self._keep(slot, payload)

    def _keep(self, slot: int, payload: bytes) -> None:
        self._number += 1
        self.dropped += len(self._kept) == self._kept.maxlen
        cache = self._cache
        received_us, retained = cache.received_us(slot), cache.retained(slot)
        self._kept.append(_Kept(self._number, slot, payload[:LARGEST_SHOWN], received_us, retained, len(payload)))

    def known(self) -> list[int]:
        """The slots that have a message under the filter, in the order in which they came. Takes up to 50 ms."""
        cache = self._cache
        found = [
            slot
            for slot in range(len(cache))
            if cache.payload(slot) is not None and self._fits(cache.topic(slot)) is not None and self._hearing.may(slot)
        ]
        return sorted(found, key=cache.turn_of)

    def begin(self, known: Sequence[int]) -> None:
        """Begin with the newest messages of `known`, the oldest first."""
        for slot in known[-(self._kept.maxlen or 0) :]:
            payload = self._cache.payload(slot) or b""
            if self._holds(slot, payload):
                self._keep(slot, payload)

    def _holds(self, slot: int, payload: bytes) -> bool:
        search = self._search
        return not search or search in payload.lower() or search in self._cache.topic(slot).lower().encode()

    @property
    def waits(self) -> bool:
        """Whether there is something to show."""
        return bool(self._kept) or bool(self._counts)

    def rows(self, room: int) -> list[Row]:
        """Messages since the last call, as many of the newest as hold `room` bytes; the oldest first."""
        found: list[Row] = []
        while self._kept and room > 0:
            number, slot, payload, received_us, retained, size = self._kept.pop()
            kind, text = _shown(payload, cut=size > len(payload))
            topic = self._cache.topic(slot)
            room -= len(text) + len(topic) + 64
            found.append((number, topic, received_us, retained, size, kind, text))
        self.dropped += len(self._kept)
        self._kept.clear()
        return found[::-1]

    def rates(self, passed_s: float) -> dict[str, float]:
        """Messages per second since the last call, of the busiest topics."""
        found = {
            self._cache.topic(slot): round(count / passed_s, 3) for slot, count in self._counts.most_common(MOST_RATES)
        }
        self._counts.clear()
        return found


def _shown(payload: bytes, *, cut: bool) -> tuple[str, str]:
    try:
        return "utf8", payload.decode()
    except UnicodeDecodeError as error:
        if cut and error.start >= len(payload) - 3 and error.reason == "unexpected end of data":
            return "utf8", payload[: error.start].decode()
    return "base64", b64encode(payload).decode()
