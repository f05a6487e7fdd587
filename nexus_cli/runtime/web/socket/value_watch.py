"""Newest values of some tags, conflated: what changed since the last message, read when it is sent."""

from __future__ import annotations

import numpy as np

from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.live_cache import LiveCache, Slots
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.runtime.web.socket.codec import Codec
from nexus_cli.runtime.web.socket.encoded_values import EncodedValues
from nexus_cli.runtime.web.socket.selections import Selections
from nexus_cli.wire.web_socket import Watch, Watching

MOST_ROWS = 1_000
"""Values of one message; a round of more is sent as several, one after the other."""
LARGEST = 256 * 1024
"""Bytes of values of one message; at least one value is in it."""
_EVERYTHING = -1
_NONE: Slots = np.zeros(0, np.int64)


class ValueWatch:
    """A `Feed` of values.

    Attributes:
        tags: How many it watches.
        due_s: As of `Feed`.
    """

    def __init__(
        self, asked: Watch, *, cache: LiveCache, codec: Codec, encoded: EncodedValues, selections: Selections
    ) -> None:
        """`start` chooses the tags."""
        self._asked, self._cache, self._codec, self._encoded = asked, cache, codec, encoded
        self._selections = selections
        self._slots: Slots = _NONE
        self._left: list[int] = []
        self._turn = self._next_turn = _EVERYTHING
        self._every_s = asked.every_ms / 1000
        self.due_s = 0.0
        self.tags = 0

    async def start(self, view: SiteView, rights: CallerRights, *, turn: int | None) -> bytes:
        """Choose the tags. `turn` is that of a message that the client has already; None gives it the newest of everything."""
        self._turn = self._next_turn = _EVERYTHING if turn is None else min(turn, self._cache.turn)
        self._slots = await self._selections.slots(view, rights, self._asked.paths)
        self.tags = len(self._slots)
        return self._said()

    async def renew(self, view: SiteView, rights: CallerRights) -> bytes | None:
        """Choose again: of tags that were not watched before the newest value is sent."""
        before = self._slots
        found = await self._selections.slots(view, rights, self._asked.paths)
        if found is before or np.array_equal(found, before):
            return None
        self._slots, self.tags = found, len(found)
        kept = set(found.tolist())
        self._left = [slot for slot in self._left if slot in kept]
        self._left += np.setdiff1d(found, before).tolist()
        return self._said()

    def take(self, now_s: float) -> bytes | None:
        """One message of the round that is due."""
        if not self._left:
            self._next_turn = self._cache.turn
            self._left = self._cache.changed_since(self._slots, self._turn).tolist()
            if not self._left:
                self._turn = self._next_turn
                self.due_s = now_s + self._every_s
                return None
        rows = self._encoded.of(self._left[:MOST_ROWS])
        rows = _fitting(rows)
        del self._left[: len(rows)]
        if not self._left:  # until then a client that leaves has to be sent the whole round again
            self._turn = self._next_turn
            self.due_s = now_s + self._every_s
        return self._codec.values(self._asked.id, max(0, self._turn), rows)

    def close(self) -> None:
        """Nothing is held anywhere else."""

    def _said(self) -> bytes:
        return self._codec.encode(Watching(id=self._asked.id, tags=self.tags))


def _fitting(rows: list[bytes]) -> list[bytes]:
    """As many of the first rows as one message holds."""
    room = LARGEST
    for at, row in enumerate(rows):
        room -= len(row)
        if room < 0 and at:
            return rows[:at]
    return rows
