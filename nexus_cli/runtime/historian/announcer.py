"""Receipts: what is committed, retained on the broker, merged per outbox and said again after a reconnect."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from nexus_cli.database.committed import OutboxKey, RangeSet
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.frame import Committed, encode
from nexus_cli.wire.topic import Topics

_log = logging.getLogger("nexus.historian.receipts")
FLUSH_S = 2.0


class Announcer:
    """Publishes the newest ranges of each outbox; older ones that were not published yet are superseded.

    Attributes:
        said: Receipts that the broker acknowledged.
    """

    def __init__(self, *, client: BrokerClient, topics: Topics) -> None:
        """Publish through the role's one client."""
        self._client, self._topics = client, topics
        self._latest: dict[OutboxKey, RangeSet] = {}
        self._due: dict[OutboxKey, None] = {}
        self._wake = asyncio.Event()
        self.said = 0

    @property
    def waiting(self) -> int:
        """Receipts that are due."""
        return len(self._due)

    def note(self, key: OutboxKey, ranges: RangeSet) -> None:
        """These frames are committed: announce it soon."""
        # The outbox that was written last stands last, so that it is the one that stays retained.
        self._latest.pop(key, None)
        self._latest[key] = ranges
        self._due[key] = None
        self._wake.set()

    def note_all(self, known: Iterable[tuple[OutboxKey, RangeSet]]) -> None:
        """What the database knows at start, the newest last."""
        for key, ranges in known:
            if key not in self._latest:
                self.note(key, ranges)

    def known(self) -> list[tuple[OutboxKey, RangeSet]]:
        """Every outbox and what is committed of it, the one written last at the end."""
        return list(self._latest.items())

    def say_again(self) -> None:
        """A new connection: a broker that lost its state has no receipts any more."""
        self._due = dict.fromkeys(self._latest)
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until stopped, then what is still due."""
        while not stop.is_set():
            await wait_for(self._wake, timeout_s=0.5)
            self._wake.clear()
            if not await self._publish_due():
                await wait_for(stop, timeout_s=0.2)
                self._wake.set()
        try:
            async with asyncio.timeout(FLUSH_S):
                await self._publish_due()
        except TimeoutError:
            _log.warning("%d receipts could not be published; they are said again at the next start", len(self._due))

    async def _publish_due(self) -> bool:
        """Publish each due receipt; False when the broker is away."""
        while self._due and self._client.connected:
            key = next(iter(self._due))
            del self._due[key]
            ranges = self._latest[key].ranges
            if not ranges:
                continue
            receipt = Committed(epoch=key.epoch, ranges=ranges)
            try:
                await self._client.publish(self._topics.committed(key.gateway), encode(receipt), qos=1, retain=True)
            except NexusError:
                self._due.setdefault(key)
                return False
            self.said += 1
        return not self._due
