"""What the tree, the search and the cards are answered from: made once for each view, in a thread."""

from __future__ import annotations

import asyncio

from nexus_cli.runtime.web.rest.branches import Places
from nexus_cli.runtime.web.rest.index import SearchIndex
from nexus_cli.runtime.web.site_view import SiteView


class Declared:
    """Places and search index of the newest view that was asked about."""

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

    async def index(self, view: SiteView) -> SearchIndex:
        """The search index of a view."""
        async with self._making:
            places = self.places(view)
            if self._index is None:
                made = await asyncio.to_thread(SearchIndex, view, places)
                if self._places is not places:
                    return made
                self._index = made
            return self._index
