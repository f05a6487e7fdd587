"""The tags of watches, shared by clients that ask for the same with the same rights."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from weakref import WeakValueDictionary

from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.live_cache import Slots
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.runtime.web.socket.selection import is_quick, selected


class Selections:
    """Slots by what was asked for; an entry lives as long as a watch uses it."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._view: SiteView | None = None
        self._rights: dict[int, CallerRights] = {}
        self._found: WeakValueDictionary[tuple[int, tuple[str, ...]], Slots] = WeakValueDictionary()

    async def slots(self, view: SiteView, rights: CallerRights, paths: Sequence[str]) -> Slots:
        """The slots of the readable tags that the paths mean, in path order; not to be changed."""
        if self._view is not view:
            self._view, self._rights = view, {}
            self._found = WeakValueDictionary()
        key = (id(rights), tuple(paths))
        found = self._found.get(key)
        if found is not None:
            return found
        if is_quick(paths):
            indices = selected(view, paths, rights.readable)
        else:
            indices = await asyncio.to_thread(selected, view, paths, rights.readable)
        made: Slots = view.slots[indices]
        if self._view is view:
            self._rights[id(rights)] = rights  # kept, so that its id is not given again
            self._found[key] = made
        return made
