"""Which topics of the cache a caller may subscribe to; looked up once for each topic, for everybody with the same rights."""

from __future__ import annotations

from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.site_view import SiteView

_UNKNOWN, _YES, _NO = 0, 1, 2


class Hearing:
    """Of one site and one combination of rights."""

    def __init__(self, cache: LiveCache, view: SiteView, rights: CallerRights) -> None:
        """Nothing is looked up yet."""
        self._cache, self._view, self._rights = cache, view, rights
        self._known = bytearray()

    def may(self, slot: int) -> bool:
        """Whether messages on the topic of a slot may be shown."""
        known = self._known
        if slot >= len(known):
            known.extend(bytes(slot + 1024 - len(known)))
        if known[slot] == _UNKNOWN:
            known[slot] = _YES if self._look_up(slot) else _NO
        return known[slot] == _YES

    def _look_up(self, slot: int) -> bool:
        topic = self._cache.topic(slot)
        path = self._view.topics.path(topic)
        tag = self._view.by_path.get(path) if path is not None else None
        return self._rights.may_hear(topic) if tag is None else self._rights.may_read(tag)


class Hearings:
    """One `Hearing` for each combination of rights.

    Attributes:
        listeners: Who listens to topics now, of all clients.
    """

    def __init__(self, cache: LiveCache) -> None:
        """Nothing is looked up yet."""
        self._cache = cache
        self._view: SiteView | None = None
        self._of: dict[int, tuple[CallerRights, Hearing]] = {}
        self.listeners = 0

    def of(self, view: SiteView, rights: CallerRights) -> Hearing:
        """That of these rights on this site."""
        if self._view is not view:
            self._view, self._of = view, {}
        found = self._of.get(id(rights))
        if found is None:
            found = self._of[id(rights)] = (rights, Hearing(self._cache, view, rights))
        return found[1]
