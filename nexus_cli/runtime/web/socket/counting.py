"""Counts of the qualities below places, kept up to date while they are watched: one look at each change for everybody."""

from __future__ import annotations

import numpy as np

from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.qualities import Count, Qualities, QualityOfTags, counted
from nexus_cli.runtime.web.site_keeper import SiteKeeper
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.runtime.web.socket.looking import Looking
from nexus_cli.runtime.web.socket.selection import range_of

LOOK_S = 0.25
"""Pause between two looks, in seconds."""


class Counting(Looking):
    """Counts by subtree, for every watcher.

    Attributes:
        version: Rises with each look that found another quality, or another view.
    """

    def __init__(self, qualities: Qualities, keeper: SiteKeeper) -> None:
        """Look at nothing until counts are watched."""
        super().__init__(pause_s=LOOK_S)
        self._qualities, self._keeper = qualities, keeper
        self._view: SiteView | None = None
        self._known: QualityOfTags = np.zeros(0, np.uint8)
        self._seen = 0
        self._counts: dict[tuple[int, str], Count] = {}
        self._kept: dict[int, CallerRights] = {}
        self.version = 0

    async def look(self) -> None:
        """Take over what changed since the last look."""
        view = self._keeper.view
        known = await self._qualities.of(view)
        if self._view is not view or self._seen != self._qualities.version:
            self._view, self._known, self._seen = view, known, self._qualities.version
            self._counts, self._kept = {}, {}
            self.version += 1

    def ready(self, view: SiteView) -> bool:
        """Whether every tag of this view was looked at."""
        return self._view is view

    def count(self, view: SiteView, rights: CallerRights, path: str) -> Count:
        """Of the readable tags of a subtree, or of the one tag with this path; of a view that is `ready`."""
        key = (id(rights), path)
        found = self._counts.get(key)
        if found is None:
            self._kept[id(rights)] = rights  # its id is not given again meanwhile
            low, high = range_of(view.paths, f"{path}/" if path else "")
            tag = view.by_path.get(path)
            if tag is not None:
                low, high = tag.index, tag.index + 1
            found = self._counts[key] = counted(self._known[low:high][rights.readable[low:high]])
        return found
