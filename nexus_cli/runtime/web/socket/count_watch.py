"""Rolled-up quality of subtrees, sent when it changes."""

from __future__ import annotations

from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.qualities import Count
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.runtime.web.socket.codec import Codec
from nexus_cli.runtime.web.socket.counting import Counting
from nexus_cli.wire.web_socket import Counted, Counts

SOON_S = 0.1
"""How soon it is asked again while nothing is counted yet, in seconds."""


class CountWatch:
    """A `Feed` of counts.

    Attributes:
        paths: The subtrees, each once.
        due_s: As of `Feed`.
    """

    def __init__(self, asked: Counts, *, view: SiteView, rights: CallerRights, codec: Codec, of: Counting) -> None:
        """Begin; the first message holds every subtree."""
        self._asked, self._view, self._rights, self._codec, self._counting = asked, view, rights, codec, of
        self.paths = tuple(dict.fromkeys(asked.paths))
        self._said: dict[str, Count] = {}
        self._version = -1
        self._every_s = asked.every_ms / 1000
        self.due_s = 0.0
        of.use(1)

    async def renew(self, view: SiteView, rights: CallerRights) -> bytes | None:
        """Count what may be read now."""
        self._view, self._rights, self._version = view, rights, -1
        return None

    def take(self, now_s: float) -> bytes | None:
        """The counts that have changed."""
        if not self._counting.ready(self._view):
            self.due_s = now_s + SOON_S
            return None
        self.due_s = now_s + self._every_s
        if self._version == self._counting.version:
            return None
        self._version = self._counting.version
        counts = {path: self._counting.count(self._view, self._rights, path) for path in self.paths}
        changed = {path: count for path, count in counts.items() if self._said.get(path) != count}
        self._said.update(changed)
        return self._codec.encode(Counted(id=self._asked.id, counts=changed)) if changed else None

    def close(self) -> None:
        """Count no more."""
        self._counting.use(-1)
