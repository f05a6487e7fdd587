"""From raw messages to batches of 5,000 rows or 100 ms, decoded and packed while the previous one is written."""

from __future__ import annotations

import asyncio
from typing import Any

from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.historian.assignments import Assignments
from nexus_cli.runtime.historian.batch import Batch, Packer
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.database_link import DatabaseLink, StoppedError
from nexus_cli.runtime.historian.external_topics import ExternalTopics
from nexus_cli.runtime.historian.following import StateWatch
from nexus_cli.runtime.historian.inbound_queue import InboundQueue
from nexus_cli.runtime.historian.mapping import SeriesMap
from nexus_cli.runtime.historian.new_series import NewSeries
from nexus_cli.runtime.historian.reading import Reader
from nexus_cli.wire.client import Message

BATCH_POINTS = 5_000
MOST_POINTS = 20_000
"""Limit to which a batch grows while the writer is busy, in samples: larger transactions catch up a backlog."""
BATCH_AGE_S = 0.1
YIELD_EVERY = 8
"""Messages decoded before other tasks run (0.1 ms), so that a running COPY does not wait for data."""
RELOAD_S = 1.0
"""Unknown names cause a load of the series at most this often, in seconds, and less often while a load finds
nothing."""
RELOAD_CAP_S = 30.0
MOST_UNKNOWN = 10_000
MOST_DEFERRED = 1_000
"""Limit for messages with unknown names, which wait for the next load; further ones are dropped and sent again."""


class Batcher:
    """Takes messages from the inbound queue, decodes them, looks up series and puts packed batches into a queue.

    Attributes:
        shared: True when the broker delivers each message to one historian; else one historian stores all external
            messages.
        filters_changed: Set when external devices were added or removed.
    """

    def __init__(
        self,
        *,
        inbound_queue: InboundQueue,
        reader: Reader,
        series: SeriesMap,
        assignments: Assignments,
        external_topics: ExternalTopics,
        new_series: NewSeries,
        following: StateWatch,
        link: DatabaseLink,
        clock: Clock,
        counters: Counters,
    ) -> None:
        """Join the parts; `link` is for lookups, not for writing."""
        self._inbound, self._reader, self._series, self._external = inbound_queue, reader, series, external_topics
        self._assignments, self._new_series, self._following = assignments, new_series, following
        self._link, self._clock, self._counters = link, clock, counters
        self.shared = False
        self._unknown: set[str] = set()
        self._deferred: list[Message] = []
        self._loaded_s = float("-inf")
        self._reload_s = RELOAD_S
        self._stop = asyncio.Event()
        self.filters_changed = asyncio.Event()

    async def run(self, out: asyncio.Queue[Batch | None], stop: asyncio.Event) -> None:
        """Work until stopped and the inbound queue is empty; then put None.

        Args:
            out: Bounded; when it is full, first the batch grows, then the inbound queue, then messages are refused.
            stop: Ends it.
        """
        self._stop = stop
        try:
            while not (stop.is_set() and not len(self._inbound) and not self._deferred):
                self._inbound.closed = stop.is_set()
                arrived = await self._inbound.wait(0.05 if stop.is_set() or self._deferred else 0.5)
                if self._inbound.config_changed.is_set() and not self._deferred:
                    await self._load()
                if arrived or self._deferred_due():
                    batch = await self._gather(out)
                    if not batch.empty:
                        batch.packed = Packer().pack(batch.frames, batch.samples)
                        await out.put(batch)
        except StoppedError:
            pass  # nothing can be stored without the series; the gateways send it again
        await out.put(None)

    async def _gather(self, out: asyncio.Queue[Batch | None]) -> Batch:
        """Collect one batch: done when it is large or old enough and the writer is free, or at its limit."""
        batch = Batch()
        until_s = self._clock.monotonic_s() + BATCH_AGE_S
        taken = 0
        if self._deferred_due():
            await self._take_deferred(batch)
        while (back := self._inbound.pop_back()) is not None:
            await self._take_other(batch, back[0], arrived_us=back[1])
        while batch.points < MOST_POINTS:
            message = self._inbound.pop()
            if message is None:
                left_s = until_s - self._clock.monotonic_s()
                if left_s <= 0 or self._stop.is_set() or (batch.points >= BATCH_POINTS and not out.full()):
                    break
                await self._inbound.wait(left_s)
                continue
            await self._take(batch, message)
            taken += 1
            if taken % YIELD_EVERY == 0:
                if not out.full() and (batch.points >= BATCH_POINTS or self._clock.monotonic_s() >= until_s):
                    break
                await asyncio.sleep(0)
        return batch

    async def _take(self, batch: Batch, message: Message, *, again: bool = False) -> None:
        if self._series.stale or self._inbound.config_changed.is_set():
            await self._load()
        unknown = self._reader.take(batch, message, final=again)
        if unknown is None:
            await self._take_other(batch, message)
        elif unknown and again:
            if len(self._unknown) > MOST_UNKNOWN:
                self._unknown.clear()
            self._unknown.update(unknown)
        elif unknown and self._unknown.issuperset(unknown):
            self._reader.take(batch, message, final=True)
        elif unknown:
            # A deployment may have just added the name. Other messages must not wait for it; the order between
            # devices does not matter, rows have their time.
            if len(self._deferred) < MOST_DEFERRED:
                self._deferred.append(message)
            else:
                self._counters.dropped_frames += 1

    def _deferred_due(self) -> bool:
        if not self._deferred:
            return False
        crowded = len(self._deferred) >= MOST_DEFERRED
        due_s = self._loaded_s + (RELOAD_S if crowded else self._reload_s)
        return self._stop.is_set() or self._inbound.config_changed.is_set() or self._clock.monotonic_s() >= due_s

    async def _take_deferred(self, batch: Batch) -> None:
        """Load the series, then take the deferred messages; a load without any result delays the next one."""
        waiting, self._deferred = self._deferred, []
        changed = self._inbound.config_changed.is_set()
        before = len(self._unknown)
        await self._load()
        for message in waiting:
            await self._take(batch, message, again=True)
        helped = changed or len(self._unknown) == before
        self._reload_s = RELOAD_S if helped else min(self._reload_s * 2, RELOAD_CAP_S)

    async def _load(self) -> None:
        if self._inbound.config_changed.is_set():
            self._inbound.config_changed.clear()
            self._unknown.clear()
            self._reload_s = RELOAD_S

        async def work(conn: Any) -> None:
            await self._series.load(conn)
            await self._assignments.load(conn)
            await self._external.load(conn)

        before = self._external.filters
        await self._link.use(work, stop=self._stop)
        self._loaded_s = self._clock.monotonic_s()
        self._counters.series_loads += 1
        if self._external.filters != before or self._external.fresh_filters:
            self.filters_changed.set()

    async def _take_other(self, batch: Batch, message: Message, *, arrived_us: int | None = None) -> None:
        now_us = self._clock.now_us() if arrived_us is None else arrived_us
        if arrived_us is None:
            if not (self.shared or self._following.is_our_turn):
                self._counters.passed_on += 1
                return
            path, wanted = self._external.path(message), self._external.wants_series(message)
            if self._new_series.put(message, wanted, path=path, arrived_us=now_us):
                return
        sample = self._external.take(message, now_us=now_us, letters=batch.letters)
        if sample is not None:
            batch.samples.append(sample)
        batch.points += 1
