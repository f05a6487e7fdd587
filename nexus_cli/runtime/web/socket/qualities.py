"""The quality of every tag, kept up to date while counts are watched: each change is looked at once for everybody."""

from __future__ import annotations

import asyncio

import numpy as np
from numpy.typing import NDArray

from nexus_cli.runtime.lifecycle import first_of, wait_for
from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.site_keeper import SiteKeeper
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.runtime.web.socket.selection import range_of
from nexus_cli.wire.sample import Quality

LOOK_S = 0.25
"""Pause between two looks, in seconds."""
AT_ONCE = 1_000
"""Values that are read before others have their turn on the loop."""
IDLE_S = 60.0

Count = tuple[int, int, int]
"""Tags that are GOOD, UNCERTAIN and BAD."""
_ORDER = {Quality.GOOD: 0, Quality.UNCERTAIN: 1, Quality.BAD: 2}


class Qualities:
    """Numbers by tag: 0 GOOD, 1 UNCERTAIN, 2 BAD.

    Attributes:
        version: Rises whenever one has changed.
    """

    def __init__(self, cache: LiveCache, keeper: SiteKeeper) -> None:
        """Look at nothing until counts are watched."""
        self._cache, self._keeper = cache, keeper
        self._view: SiteView | None = None
        self._whole: SiteView | None = None
        self._of: NDArray[np.int8] = np.zeros(0, np.int8)
        self._turn = 0
        self._users = 0
        self._wanted = asyncio.Event()
        self._counts: dict[tuple[int, str], Count] = {}
        self._kept: dict[int, CallerRights] = {}
        self.version = 0

    def use(self, more: int) -> None:
        """A watcher of counts begins (1) or ends (-1)."""
        self._users += more
        if self._users:
            self._wanted.set()
        else:
            self._wanted.clear()

    async def run(self, stop: asyncio.Event) -> None:
        """Follow what changes while counts are watched, until stopped."""
        while not stop.is_set():
            if not self._users:
                await first_of(stop, self._wanted, timeout_s=IDLE_S)
                continue
            await self.look()
            await wait_for(stop, timeout_s=LOOK_S)

    async def look(self) -> None:
        """Take over what changed since the last look."""
        view, turn = self._keeper.view, self._cache.turn
        if view is not self._view:
            self._view, self._turn = view, 0
            self._of = np.full(len(view.tags), 2, np.int8)
            self._changed()
        changed = np.flatnonzero(self._cache.are_newer(view.slots, self._turn))
        slots = view.slots[changed].tolist()
        read = self._cache.read
        for start in range(0, len(slots), AT_ONCE):
            part = changed[start : start + AT_ONCE]
            found = np.fromiter((_ORDER[read(slot).quality] for slot in slots[start : start + AT_ONCE]), np.int8)
            if not np.array_equal(self._of[part], found):
                self._of[part] = found
                self._changed()
            await asyncio.sleep(0)
            if self._keeper.view is not view:
                return
        self._turn, self._whole = turn, view

    def _changed(self) -> None:
        self.version += 1
        self._counts, self._kept = {}, {}

    def ready(self, view: SiteView) -> bool:
        """Whether every tag of this view was looked at."""
        return self._whole is view and self._view is view

    def count(self, view: SiteView, rights: CallerRights, path: str) -> Count:
        """Of the readable tags of a subtree, or of the one tag with this path."""
        key = (id(rights), path)
        found = self._counts.get(key)
        if found is None:
            self._kept[id(rights)] = rights  # its id is not given again meanwhile
            low, high = range_of(view.paths, f"{path}/" if path else "")
            tag = view.by_path.get(path)
            if tag is not None:
                low, high = tag.index, tag.index + 1
            numbers = np.bincount(self._of[low:high][rights.readable[low:high]], minlength=3)
            found = self._counts[key] = (int(numbers[0]), int(numbers[1]), int(numbers[2]))
        return found
