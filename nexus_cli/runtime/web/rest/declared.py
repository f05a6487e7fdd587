"""What the tree, the search and the cards are answered from: made once for each view, in a thread."""

from __future__ import annotations

import asyncio

import orjson

from nexus_cli.runtime.lifecycle import first_of
from nexus_cli.runtime.web.rest.branches import Places
from nexus_cli.runtime.web.site_keeper import SiteKeeper
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.search.declared import Declared as Searched
from nexus_cli.search.declared import labels_of, places_of
from nexus_cli.search.index import SearchIndex
from nexus_cli.search.uses import uses_of

LOOK_S = 3600.0
"""Longest wait for a deployment, in seconds; then the wait begins again."""


class Declared:
    """Places and search index of the newest view."""

    def __init__(self) -> None:
        """Nothing was asked yet."""
        self._view: SiteView | None = None
        self._places: Places | None = None
        self._index: SearchIndex | None = None
        self._making = asyncio.Lock()

    def places(self, view: SiteView) -> Places:
        """The places of a view; a few ms for 1,000 devices."""
        if self._view is not view or self._places is None:
            self._view, self._places, self._index = view, Places(view), None
        return self._places

    async def keep_ready(self, keeper: SiteKeeper, stop: asyncio.Event) -> None:
        """Make the search index after each deployment, before a person waits for it."""
        changed = asyncio.Event()
        keeper.changed.append(changed.set)
        while not stop.is_set():
            changed.clear()
            if keeper.view.tags:
                await self.index(keeper.view)
            await first_of(stop, changed, timeout_s=LOOK_S)

    async def index(self, view: SiteView) -> SearchIndex:
        """The search index of a view."""
        async with self._making:
            places = self.places(view)
            if self._index is None:
                made = await asyncio.to_thread(search_index, view, places)
                if self._places is not places:
                    return made
                self._index = made
            return self._index


def search_index(view: SiteView, places: Places) -> SearchIndex:
    """The search index of a view, made now."""
    searched = Searched(
        tags=view.tags,
        devices=tuple(view.devices.values()),
        labels=labels_of(view.resources.get("site", {})),
        places=places_of(view.resources.get("site", {})),
        uses=uses_of(view.resources),
        attributes=lambda path: orjson.loads(view.devices[path].raw),
    )
    return SearchIndex(searched, places.spans)
