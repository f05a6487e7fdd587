"""Where events come from, running while there are listeners."""

from __future__ import annotations

from collections.abc import Callable, Collection

from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.socket.happenings import Event
from nexus_cli.runtime.web.socket.told_by_broker import ToldByBroker
from nexus_cli.runtime.web.socket.told_by_record import RECORDED, ToldByRecord

Hear = Callable[[Event], None]


class EventSources:
    """Gives each event to every listener.

    Attributes:
        record: What has to run for events from the database.
        broker: What listens to the cache.
    """

    def __init__(self, parts: WebParts) -> None:
        """Messages of the broker are compared from the start: what was before the first listener is no event."""
        self._listeners: list[Hear] = []
        self.record = ToldByRecord(parts, tell=self._tell)
        self.broker = ToldByBroker(parts.topics, parts.cache, now_us=parts.clock.wall_us, tell=self._tell)

    def add(self, hear: Hear, kinds: Collection[str]) -> None:
        """Begin to give events."""
        self._listeners.append(hear)
        if not RECORDED.isdisjoint(kinds):
            self.record.use(1)

    def remove(self, hear: Hear, kinds: Collection[str]) -> None:
        """Undo `add`, with the same kinds."""
        self._listeners.remove(hear)
        if not RECORDED.isdisjoint(kinds):
            self.record.use(-1)

    def _tell(self, event: Event) -> None:
        for hear in tuple(self._listeners):
            hear(event)
