"""Newest values as rows of the message `values`: each is encoded once, however many clients watch it."""

from __future__ import annotations

from collections.abc import Sequence

from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.socket.codec import Codec
from nexus_cli.wire.sample import Quality, Reason

NAMES = {quality: quality.name for quality in Quality}
"""A look-up is faster than the enumeration's `name`."""


class EncodedValues:
    """Rows by slot, of one codec."""

    def __init__(self, cache: LiveCache, codec: Codec, *, prefix: str) -> None:
        """`prefix` is the part of a topic in front of the path, with `/` behind it."""
        self._cache, self._encode, self._cut = cache, codec.encode, len(prefix)
        self._turns: list[int] = []
        self._rows: list[bytes] = []

    def of(self, slots: Sequence[int]) -> list[bytes]:
        """The rows of some slots, in their order."""
        turns, rows, cache = self._turns, self._rows, self._cache
        if len(turns) < len(cache):
            missing = len(cache) - len(turns)
            turns.extend([-1] * missing)
            rows.extend([b""] * missing)
        found = []
        for slot, turn in zip(slots, cache.turns_of(slots), strict=True):
            if turns[slot] != turn:
                rows[slot] = self._row(slot)
                turns[slot] = turn
            found.append(rows[slot])
        return found

    def _row(self, slot: int) -> bytes:
        newest, path = self._cache.read(slot), self._cache.topic(slot)[self._cut :]
        quality = NAMES[newest.quality]
        try:
            return self._encode((path, newest.value, quality, newest.time_us, newest.reason, newest.label))
        except (
            OverflowError,
            RecursionError,
            ValueError,
        ):  # an integer beyond 64 bits, nested too deep, half a character
            return self._encode((path, None, NAMES[Quality.BAD], newest.time_us, Reason.DECODE_ERROR.value, ""))
