"""The quality of the newest value of every tag, for counts: kept up by who asks, and read without the value."""

from __future__ import annotations

import asyncio

import msgspec
import numpy as np
from numpy.typing import NDArray

from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.wire.sample import Quality

SLICE = 400
"""Messages that are read between two looks at other work."""
_NULL = b"null"
_KNOWN = {each.name: each for each in Quality}


class _Head(msgspec.Struct):
    value: msgspec.Raw
    quality: str = Quality.GOOD.name


_head = msgspec.json.Decoder(_Head)


class Qualities:
    """Qualities by tag index of the newest view that was asked about."""

    def __init__(self, cache: LiveCache) -> None:
        """Nothing was read yet."""
        self._cache = cache
        self._view: SiteView | None = None
        self._known: NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._index: NDArray[np.int64] = np.zeros(0, np.int64)
        self._turn = -1

    async def of(self, view: SiteView) -> NDArray[np.uint8]:
        """The qualities of a view's tags, in their order. A tag without a value is BAD."""
        if self._view is not view:
            self._view, self._turn = view, 0
            self._known = np.full(len(view.tags), int(Quality.BAD), np.uint8)
            self._index = np.zeros(int(view.slots.max(initial=-1)) + 1, np.int64)
            self._index[view.slots] = np.arange(len(view.tags))
        known, index, turn = self._known, self._index, self._cache.turn
        changed = self._cache.changed_since(view.slots, self._turn).tolist()
        for begin in range(0, len(changed), SLICE):
            if begin:
                await asyncio.sleep(0)
            for slot in changed[begin : begin + SLICE]:
                known[index[slot]] = self._read(slot)
        if self._view is view:
            self._turn = max(self._turn, turn)
        return known

    def _read(self, slot: int) -> int:
        """The quality of a message of NEXUS's own form by its head alone; of any other as the cache reads it."""
        payload = self._cache.payload(slot)
        if payload is None:
            return int(Quality.BAD)
        try:
            head = _head.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return int(self._cache.read(slot).quality)
        known = _KNOWN.get(head.quality)
        if known is None:
            return int(self._cache.read(slot).quality)
        return int(Quality.BAD if bytes(head.value) == _NULL else known)
