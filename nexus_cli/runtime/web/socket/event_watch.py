"""Events for one client: those of the kinds it asked for that it may know of."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from nexus_cli.json_value import JsonObject
from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.runtime.web.socket.codec import Codec
from nexus_cli.runtime.web.socket.event_sources import EventSources
from nexus_cli.runtime.web.socket.happenings import Event, Seen
from nexus_cli.wire.web_socket import Events, Happened

MOST_WAITING = 500
"""Events that wait for a client to read (policy: the oldest make room, and `dropped` counts them)."""


class EventWatch:
    """A `Feed` of events.

    Attributes:
        dropped: Events that the client did not read in time.
    """

    def __init__(
        self, asked: Events, *, seen: Callable[[], Seen], codec: Codec, sources: EventSources, wake: Callable[[], None]
    ) -> None:
        """Listen. `seen` says who looks, at the moment an event is sent; `wake` has `take` called soon."""
        self._asked, self._seen, self._codec, self._wake = asked, seen, codec, wake
        self._kinds = frozenset(asked.kinds)
        self._waiting: deque[Event] = deque(maxlen=MOST_WAITING)
        self._sources = sources
        self.due_s = math.inf
        self.dropped = 0
        sources.add(self._hear, self._kinds)

    def _hear(self, event: Event) -> None:
        if event.kind not in self._kinds:
            return
        self.dropped += len(self._waiting) == MOST_WAITING
        self._waiting.append(event)
        self.due_s = 0.0
        self._wake()

    def take(self, now_s: float) -> bytes | None:
        """The next event that may be shown."""
        while self._waiting:
            event = self._waiting.popleft()
            shown = event.shown(event.facts, self._seen())
            said = self._said(event, shown) if shown is not None else None
            if said is not None:
                return said
        self.due_s = math.inf
        return None

    def _said(self, event: Event, shown: JsonObject) -> bytes | None:
        try:
            return self._codec.encode(Happened(id=self._asked.id, kind=event.kind, time=event.time, event=shown))
        except (OverflowError, RecursionError, ValueError):  # an integer beyond 64 bits in an alert, say
            self.dropped += 1
            return None

    async def renew(self, view: SiteView, rights: CallerRights) -> bytes | None:
        """Rights are looked at when an event is sent."""
        return None

    def close(self) -> None:
        """Listen no more."""
        self._sources.remove(self._hear, self._kinds)
