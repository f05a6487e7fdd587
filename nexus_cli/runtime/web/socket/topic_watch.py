"""Messages on topics for one client, in a ring: what it does not read in time is counted and forgotten."""

from __future__ import annotations

import asyncio
import time

from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.runtime.web.socket.codec import Codec
from nexus_cli.runtime.web.socket.extra_topics import ExtraTopics
from nexus_cli.runtime.web.socket.hearing import Hearings
from nexus_cli.runtime.web.socket.message_ring import MessageRing, pattern_of
from nexus_cli.wire.web_socket import Listening, Messages, Topics

LARGEST = 256 * 1024
"""Bytes of messages in one answer."""


class TopicWatch:
    """A `Feed` of messages."""

    def __init__(
        self, asked: Topics, *, cache: LiveCache, codec: Codec, hearings: Hearings, extra: ExtraTopics
    ) -> None:
        """`start` begins. Raises NexusError NX6913: it is no filter."""
        self._asked, self._cache, self._codec, self._hearings, self._extra = asked, cache, codec, hearings, extra
        self._pattern = pattern_of(asked.filter)
        self._every_s = asked.every_ms / 1000
        self._ring: MessageRing | None = None
        self._needed: tuple[str, ...] = ()
        self._said_s = time.monotonic()
        self._listens = False
        self.due_s = 0.0

    async def start(self, view: SiteView, rights: CallerRights) -> bytes:
        """Listen; raises NexusError when the broker refuses a subscription that it needs."""
        self._hearings.listeners += 1
        self._listens = True
        needed = self._extra.needed(view, rights, self._asked.filter)
        await self._extra.need(needed)
        self._needed = needed
        ring = self._ring = MessageRing(
            self._cache,
            self._pattern,
            keep=self._asked.keep,
            search=self._asked.search,
            hearing=self._hearings.of(view, rights),
        )
        known = await asyncio.to_thread(ring.known)
        ring.begin(known)
        if self._ring is ring:  # it was not closed meanwhile
            self._cache.tap(ring.heard)
        return self._codec.encode(Listening(id=self._asked.id, topics=len(known)))

    async def renew(self, view: SiteView, rights: CallerRights) -> bytes | None:
        """Listen to what the caller may subscribe to now."""
        if self._ring is not None:
            self._ring.renew(self._hearings.of(view, rights))
        needed = self._extra.needed(view, rights, self._asked.filter)
        before, self._needed = self._needed, needed
        self._extra.release(before)
        await self._extra.need(needed)
        return None

    def take(self, now_s: float) -> bytes | None:
        """Messages since the last answer."""
        self.due_s = now_s + self._every_s
        ring = self._ring
        if ring is None or not ring.waits:
            return None
        passed_s, self._said_s = max(0.001, now_s - self._said_s), now_s
        rows = ring.rows(LARGEST)
        dropped, ring.dropped = ring.dropped, 0
        said = Messages(id=self._asked.id, messages=rows, dropped=dropped, rates=ring.rates(passed_s))
        return self._codec.encode(said)

    def close(self) -> None:
        """Listen no more."""
        self._hearings.listeners -= self._listens
        self._listens = False
        ring, self._ring = self._ring, None
        if ring is not None:
            self._cache.untap(ring.heard)
        needed, self._needed = self._needed, ()
        self._extra.release(needed)
