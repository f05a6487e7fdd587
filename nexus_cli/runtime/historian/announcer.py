"""Receipts: the committed numbers, retained on the broker, merged per outbox and published again after a reconnect.

Each start of a gateway begins a new outbox (epoch), so a receipt names the one that was written last and, in short
form, the earlier ones that may still be in the gateway's disk log. A receipt is bounded: the newest ranges, and those
with numbers that were just stored or recognised as replays. Omitted ranges are announced when their frames are sent
again.

See docs/decisions/0004.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections.abc import Iterable

from nexus_cli.database.committed import LIVING_EPOCHS, OutboxKey, RangeSet
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.frame import Committed, Receipt, encode
from nexus_cli.wire.topic import Topics

_log = logging.getLogger("nexus.historian.receipts")
FLUSH_S = 2.0
MOST_TOLD = 64
"""Newest ranges in each receipt; holes below them are rare, and nearly always numbers that are never sent."""
MOST_TOLD_EARLIER = 8
MOST_TOUCHED = 1_000
"""Limit for older ranges in a receipt in which something was stored or recognised."""


class Announcer:
    """Publishes the newest ranges of each outbox; a newer receipt replaces one that was not published yet.

    Attributes:
        said: Receipts that the broker acknowledged.
    """

    def __init__(self, *, client: BrokerClient, topics: Topics) -> None:
        """Publish through the role's one client."""
        self._client, self._topics = client, topics
        self._latest: dict[str, dict[OutboxKey, RangeSet]] = {}
        self._touched: dict[OutboxKey, set[int]] = {}
        self._due: dict[OutboxKey, None] = {}
        self._wake = asyncio.Event()
        self.said = 0

    @property
    def waiting(self) -> int:
        """Receipts that are due."""
        return len(self._due)

    def note(self, key: OutboxKey, ranges: RangeSet, touched: Iterable[int] = ()) -> None:
        """Queue the receipt for committed frames.

        Args:
            key: Their outbox.
            ranges: All stored numbers of it.
            touched: Numbers that were just stored or recognised.
        """
        # The outbox that was written last is last, so that its receipt stays retained.
        living = self._latest.setdefault(key.gateway, {})
        living.pop(key, None)
        living[key] = ranges
        for oldest in list(living)[: max(0, len(living) - LIVING_EPOCHS)]:
            if oldest not in self._due:
                del living[oldest]
        seqs = self._touched.setdefault(key, set())
        seqs.update(touched)
        self._due.pop(key, None)
        self._due[key] = None
        self._wake.set()

    def note_all(self, known: Iterable[tuple[OutboxKey, RangeSet]]) -> None:
        """Set the receipts from the database at the start, the newest last."""
        for key, ranges in known:
            if key not in self._latest.get(key.gateway, {}):
                self.note(key, ranges)

    def known(self) -> list[tuple[OutboxKey, RangeSet]]:
        """The current outboxes and their committed ranges; of each gateway the one written last comes last."""
        return [each for living in self._latest.values() for each in living.items()]

    def say_again(self) -> None:
        """After a connect: publish all receipts again, each with its earlier outboxes, since the broker may have lost
        its state."""
        for living in self._latest.values():
            self._due.setdefault(next(reversed(living)))
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until stopped, then publish what is due."""
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
        """Publish each due receipt; False when the broker is not connected."""
        while self._due and self._client.connected:
            key = next(iter(self._due))
            del self._due[key]
            touched = self._touched.pop(key, set())
            receipt = self._receipt(key, touched)
            if receipt is None:
                continue
            try:
                await self._client.publish(self._topics.committed(key.gateway), encode(receipt), qos=1, retain=True)
            except NexusError:
                self._due.setdefault(key)
                self._touched.setdefault(key, set()).update(touched)
                return False
            self.said += 1
        return not self._due

    def _receipt(self, key: OutboxKey, touched: Iterable[int]) -> Committed | None:
        living = self._latest[key.gateway]
        if key not in living or not len(living[key]):
            return None  # dropped while the broker was unreachable: announced when its frames are sent again
        ranges = living[key].ranges
        earlier = [
            Receipt(epoch=other.epoch, ranges=known.ranges[-MOST_TOLD_EARLIER:])
            for other, known in living.items()
            if other != key and len(known)
        ]
        return Committed(epoch=key.epoch, ranges=_announced(ranges, touched), earlier=earlier[-(LIVING_EPOCHS - 1) :])


def _announced(ranges: list[tuple[int, int]], touched: Iterable[int]) -> list[tuple[int, int]]:
    """The newest ranges, and the older ones that contain one of these numbers."""
    older = len(ranges) - MOST_TOLD
    if older <= 0:
        return ranges
    firsts = [first for first, _ in ranges[:older]]
    places = {place for seq in touched if (place := bisect_right(firsts, seq) - 1) >= 0 and seq <= ranges[place][1]}
    return [ranges[place] for place in sorted(places)[-MOST_TOUCHED:]] + ranges[older:]
