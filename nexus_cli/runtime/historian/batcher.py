"""From raw messages to batches of 5,000 rows or 100 ms, decoded and packed while the previous ones are written.

There is one batch for each lane (see `lanes`): a lane whose writer waits holds up no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.historian.assignments import Assignments
from nexus_cli.runtime.historian.batch import Batch
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.database_link import DatabaseLink, StoppedError
from nexus_cli.runtime.historian.external_topics import ExternalTopics
from nexus_cli.runtime.historian.following import StateWatch
from nexus_cli.runtime.historian.inbound_queue import InboundQueue
from nexus_cli.runtime.historian.mapping import SeriesMap
from nexus_cli.runtime.historian.new_series import NewSeries
from nexus_cli.runtime.historian.packing import Packer
from nexus_cli.runtime.historian.reading import Reader
from nexus_cli.wire.message import Message

BATCH_POINTS = 5_000
MOST_POINTS = 20_000
"""Limit to which a batch grows while the writer is busy, in samples: larger transactions catch up a backlog."""
MOST_BYTES = 8 * 1024 * 1024
"""Likewise, in bytes of payload; one message more may exceed it."""
BATCH_AGE_S = 0.1
YIELD_EVERY = 64
YIELD_BYTES = 16 * 1024
"""Messages, or bytes of them, that are decoded before other tasks run (0.2 ms; a frame batch takes up to 1 ms), so that
a running COPY does not wait for data."""
RELOAD_S = 1.0
"""Unknown names cause a load of the series at most this often, in seconds, and less often while a load finds
nothing."""
RELOAD_CAP_S = 30.0
MOST_UNKNOWN = 10_000
LONGEST_NAME = 1_000
"""Longer names are not remembered as unknown: their messages wait for a load each time."""
MOST_DEFERRED = 1_000
MOST_DEFERRED_BYTES = 16 * 1024 * 1024
"""Limits for messages with unknown names, which wait for the next load; further ones are dropped and sent again."""


class Waiting(NamedTuple):
    """A message with unknown names; `only` has the frames of a frame batch that wait, None is all."""

    message: Message
    only: Collection[int] | None


@dataclass(slots=True)
class _Gathering:
    """The batch that is being gathered for a lane."""

    lane: int
    out: asyncio.Queue[Batch | None]
    batch: Batch = field(default_factory=Batch)
    until_s: float = float("inf")

    @property
    def has_room(self) -> bool:
        """True while it takes more messages."""
        return self.batch.points < MOST_POINTS and self.batch.size_bytes < MOST_BYTES

    def is_due(self, now_s: float, *, hurry: bool) -> bool:
        """True when it is large or old enough, and its writer has room."""
        if self.out.full() or self.until_s == float("inf"):
            return False
        return hurry or self.batch.points >= BATCH_POINTS or not self.has_room or now_s >= self.until_s


class Batcher:
    """Takes messages from the inbound queue, decodes them, looks up series and puts packed batches into queues.

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
        self._deferred: list[Waiting] = []
        self._deferred_bytes = 0
        self._loaded_s = float("-inf")
        self._reload_s = RELOAD_S
        self._stop = asyncio.Event()
        self.filters_changed = asyncio.Event()

    async def run(self, outs: Sequence[asyncio.Queue[Batch | None]], stop: asyncio.Event) -> None:
        """Work until stopped and everything that has arrived is in a batch; then put None into each queue.

        Args:
            outs: One bounded queue per lane; when it is full, first the batch grows, then the inbound queue, then
                messages are refused.
            stop: Ends it.
        """
        self._stop = stop
        gatherings = [_Gathering(lane, out) for lane, out in enumerate(outs)]
        try:
            while not self._is_done(gatherings):
                self._inbound.closed = stop.is_set()
                if self._inbound.config_changed.is_set() and not self._deferred:
                    await self._load()
                if self._deferred_due():
                    await self._take_deferred([each.batch for each in gatherings])
                if self._external.signed.waiting:
                    ours = self.shared or self._following.is_our_turn
                    self._external.signed.hand_over(gatherings[0].batch.letters if ours else None)
                took = [await self._fill(each) for each in gatherings]
                self._hand_on(gatherings, hurry=stop.is_set() and not any(took))
                if any(took):
                    await asyncio.sleep(0)
                else:
                    await self._inbound.wait(self._pause_s(gatherings), lanes=_with_room(gatherings))
        except StoppedError:
            pass  # nothing can be stored without the series; the gateways send it again
        for each in gatherings:
            await each.out.put(None)

    def _is_done(self, gatherings: Sequence[_Gathering]) -> bool:
        waiting = len(self._inbound) or self._deferred or any(not each.batch.empty for each in gatherings)
        return self._stop.is_set() and not waiting

    async def _fill(self, gathering: _Gathering) -> bool:
        """Take some messages of a lane; False when there is none, or no room for one."""
        batch, lane, before = gathering.batch, gathering.lane, gathering.batch.size_bytes
        for taken in range(YIELD_EVERY):
            if not gathering.has_room or batch.size_bytes - before >= YIELD_BYTES:
                return taken > 0
            if (back := self._inbound.pop_back(lane)) is not None:
                await self._take_other(batch, back[0], arrived_us=back[1])
            elif (message := self._inbound.pop(lane)) is None:
                return taken > 0
            elif not self._take_known(batch, message):
                await self._take(batch, message)
        return True

    def _take_known(self, batch: Batch, message: Message) -> bool:
        """Take an external message whose series is known; False for any other."""
        known = self._external.known(message.topic)
        if known is None or self._series.stale or self._inbound.config_changed.is_set():
            return False
        if self._new_series.waits(known.path) or not (self.shared or self._following.is_our_turn):
            return False
        now_us, batch.size_bytes = self._clock.now_us(), batch.size_bytes + len(message.payload)
        sample = self._external.take_known(message, known.target, now_us=now_us, letters=batch.letters)
        if sample is not None:
            batch.samples.append(sample)
        batch.points += 1
        return True

    def _hand_on(self, gatherings: Sequence[_Gathering], *, hurry: bool) -> None:
        """Put the batches that are due into their queues, packed."""
        now_s = self._clock.monotonic_s()
        for each in gatherings:
            batch = each.batch
            if batch.empty:
                each.until_s, batch.points, batch.size_bytes = float("inf"), 0, 0
                continue
            if each.until_s == float("inf"):
                each.until_s = now_s + BATCH_AGE_S
            if each.is_due(now_s, hurry=hurry):
                batch.packed = Packer().pack(batch.frames, batch.samples)
                each.out.put_nowait(batch)
                each.batch, each.until_s = Batch(), float("inf")

    def _pause_s(self, gatherings: Sequence[_Gathering]) -> float:
        """How long nothing is to be done unless something arrives or a writer takes a batch, in seconds."""
        longest_s = 0.05 if self._stop.is_set() or self._deferred else 0.5
        now_s = self._clock.monotonic_s()
        return min([longest_s, *(max(0.001, each.until_s - now_s) for each in gatherings if not each.out.full())])

    async def _take(
        self, batch: Batch, message: Message, *, again: bool = False, only: Collection[int] | None = None
    ) -> None:
        if self._series.stale or self._inbound.config_changed.is_set():
            await self._load()
        batch.size_bytes += len(message.payload)
        taken = self._reader.take(batch, message, final=again, only=only)
        if taken is None:
            await self._take_other(batch, message)
        elif taken.unknown and again:
            self._note_unknown(taken.unknown)
        elif taken.unknown and self._unknown.issuperset(taken.unknown):
            self._reader.take(batch, message, final=True, only=taken.left or None)
        elif taken.unknown:
            # A deployment may have just added the name. Other messages must not wait for it; the order between
            # devices does not matter, rows have their time.
            self._defer(Waiting(message, taken.left or None))

    def _note_unknown(self, names: Sequence[str]) -> None:
        if len(self._unknown) > MOST_UNKNOWN:
            self._unknown.clear()
        self._unknown.update(name for name in names[:MOST_UNKNOWN] if len(name) <= LONGEST_NAME)

    def _defer(self, waiting: Waiting) -> None:
        size = len(waiting.message.payload)
        if len(self._deferred) >= MOST_DEFERRED or self._deferred_bytes + size > MOST_DEFERRED_BYTES:
            self._counters.dropped_frames += 1 if waiting.only is None else len(waiting.only)
            return
        self._deferred.append(waiting)
        self._deferred_bytes += size

    def _deferred_due(self) -> bool:
        if not self._deferred:
            return False
        crowded = len(self._deferred) >= MOST_DEFERRED or self._deferred_bytes > MOST_DEFERRED_BYTES // 2
        due_s = self._loaded_s + (RELOAD_S if crowded else self._reload_s)
        return self._stop.is_set() or self._inbound.config_changed.is_set() or self._clock.monotonic_s() >= due_s

    async def _take_deferred(self, batches: Sequence[Batch]) -> None:
        """Load the series, then take the deferred messages into their lanes' batches; a load without any result delays
        the next one."""
        waiting, self._deferred, self._deferred_bytes = self._deferred, [], 0
        changed = self._inbound.config_changed.is_set()
        before = len(self._unknown)
        await self._load()
        for message, only in waiting:
            await self._take(batches[self._inbound.lane(message.topic)], message, again=True, only=only)
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


def _with_room(gatherings: Sequence[_Gathering]) -> list[int]:
    return [each.lane for each in gatherings if each.has_room]
