"""From raw messages to batches: 5,000 rows or 100 ms, decoded and packed while the one before is being written."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from nexus_cli.database.committed import OutboxKey
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.historian.batch import Batch, Packer, PendingFrame, PendingGap, PendingReport
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.database_link import DatabaseLink, StoppedError
from nexus_cli.runtime.historian.intake import Intake
from nexus_cli.runtime.historian.mapping import FramePlan, SeriesMap
from nexus_cli.runtime.historian.others import Others
from nexus_cli.wire.client import Message
from nexus_cli.wire.command import decode_report
from nexus_cli.wire.frame import Frame, FrameError, decode_frame, decode_gap
from nexus_cli.wire.topic import Topics

BATCH_POINTS = 5_000
MOST_POINTS = 20_000
"""While the writer is busy a batch grows up to this: larger transactions are what catches up a backlog."""
BATCH_AGE_S = 0.1
YIELD_EVERY = 8
"""Messages decoded before the loop gets a turn (0.1 ms): a running COPY must not wait for its next piece."""
RELOAD_S = 1.0
"""Unknown tags load the series at most this often, and more seldom while that finds nothing."""
RELOAD_CAP_S = 30.0
MOST_UNKNOWN = 10_000
MOST_DEFERRED = 1_000
"""Frames with tags that were never heard of wait for the next load; beyond this many they do not."""
EARLIEST_US = 946_684_800_000_000
LATEST_US = 4_102_444_800_000_000
"""Years 2000 to 2100: a frame outside has no usable time."""
MOST_SEQ = 1 << 53


class Batcher:
    """Reads the intake, decodes, looks up series and hands over packed batches."""

    def __init__(
        self,
        *,
        intake: Intake,
        topics: Topics,
        series: SeriesMap,
        others: Others,
        link: DatabaseLink,
        clock: Clock,
        counters: Counters,
    ) -> None:
        """Join the parts; `link` is for lookups, not for writing."""
        self._intake, self._topics, self._series, self._others = intake, topics, series, others
        self._link, self._clock, self._counters = link, clock, counters
        self._data = f"{topics.platform}/data/"
        self._gap = f"{topics.platform}/gap/"
        self._audit = f"{topics.platform}/audit/"
        self._unknown: set[str] = set()
        self._deferred: list[Message] = []
        self._loaded_s = float("-inf")
        self._reload_s = RELOAD_S
        self._stop = asyncio.Event()
        self.filters_changed = asyncio.Event()

    async def run(self, out: asyncio.Queue[Batch | None], stop: asyncio.Event) -> None:
        """Work until stopped and the intake is empty; then hand over None.

        Args:
            out: Bounded; when it is full the batch grows, then the intake does, then messages are refused.
            stop: Ends it.
        """
        self._stop = stop
        try:
            while not (stop.is_set() and not len(self._intake) and not self._deferred):
                self._intake.closed = stop.is_set()
                arrived = await self._intake.wait(0.05 if stop.is_set() or self._deferred else 0.5)
                if arrived or self._deferred_due():
                    batch = await self._gather(out)
                    if not batch.empty:
                        batch.packed = Packer().pack(batch.frames, batch.samples)
                        await out.put(batch)
                elif self._intake.config_changed.is_set():
                    await self._load()
        except StoppedError:
            pass  # without the series nothing can be stored; the gateways send again
        await out.put(None)

    async def _gather(self, out: asyncio.Queue[Batch | None]) -> Batch:
        """One batch: complete when it is large or old enough and the writer is free, or at its largest."""
        batch = Batch()
        until_s = self._clock.monotonic_s() + BATCH_AGE_S
        taken = 0
        if self._deferred_due():
            await self._take_deferred(batch)
        while batch.points < MOST_POINTS:
            message = self._intake.pop()
            if message is None:
                left_s = until_s - self._clock.monotonic_s()
                if left_s <= 0 or self._stop.is_set() or (batch.points >= BATCH_POINTS and not out.full()):
                    break
                await self._intake.wait(left_s)
                continue
            await self._take(batch, message)
            taken += 1
            if taken % YIELD_EVERY == 0:
                if not out.full() and (batch.points >= BATCH_POINTS or self._clock.monotonic_s() >= until_s):
                    break
                await asyncio.sleep(0)
        return batch

    async def _take(self, batch: Batch, message: Message) -> None:
        topic = message.topic
        if topic.startswith(self._data):
            await self._take_frame(batch, message)
        elif topic.startswith(self._gap):
            self._take_gap(batch, message)
        elif topic.startswith(self._audit):
            self._take_report(batch, message)
        else:
            await self._take_other(batch, message)

    async def _take_frame(self, batch: Batch, message: Message, *, again: bool = False) -> None:
        split = self._topics.split_data(message.topic)
        if split is None:
            batch.letters.add(message.topic, "not_a_frame", detail="no device in the topic", payload=message.payload)
            return
        gateway, device = split
        try:
            frame = decode_frame(message.payload)
            _check(frame.epoch, frame.seq)
        except FrameError as error:
            batch.letters.add(message.topic, "not_a_frame", detail=str(error), payload=message.payload)
            # With a number that can be read custody is taken: sent again and again it would be no better.
            known = _identity(message.payload)
            if known is None:
                return
            frame = known
        if not EARLIEST_US <= frame.time <= LATEST_US:
            # Custody is taken all the same: sent again it would be no better.
            detail = f"time {frame.time} is outside the years 2000 to 2100"
            count = max(1, len(frame.samples))
            batch.letters.add(message.topic, "time_out_of_range", detail=detail, payload=message.payload, count=count)
            frame = Frame(epoch=frame.epoch, seq=frame.seq, time=EARLIEST_US, samples={})
        if self._series.stale or self._intake.config_changed.is_set():
            await self._load()
        plan = self._series.plan(device, frame.samples)
        if plan.unknown and self._wait_for_series(device, plan, message, again=again):
            return
        batch.frames.append(PendingFrame(OutboxKey(gateway, frame.epoch), message.topic, frame, plan))
        batch.points += max(1, len(plan.tags))

    def _wait_for_series(self, device: str, plan: FramePlan, message: Message, *, again: bool) -> bool:
        """True when a frame is put aside because of a tag that was never heard of: its series may have just been made.

        It must not hold up the others meanwhile; their order among devices does not matter, rows have their time.
        """
        unknown = [path for tag in plan.unknown if (path := f"{device}/{tag}") not in self._unknown]
        if not unknown:
            return False
        if not again and len(self._deferred) < MOST_DEFERRED:
            self._deferred.append(message)
            return True
        if len(self._unknown) > MOST_UNKNOWN:
            self._unknown.clear()
        self._unknown.update(unknown)
        return False

    def _deferred_due(self) -> bool:
        if not self._deferred:
            return False
        due_s = self._loaded_s + self._reload_s
        return self._stop.is_set() or self._intake.config_changed.is_set() or self._clock.monotonic_s() >= due_s

    async def _take_deferred(self, batch: Batch) -> None:
        """Load the series, then take what waited for them; a load that helped nobody makes the next one later."""
        waiting, self._deferred = self._deferred, []
        told = self._intake.config_changed.is_set()
        before = len(self._unknown)
        await self._load()
        for message in waiting:
            await self._take_frame(batch, message, again=True)
        helped = told or len(self._unknown) == before
        self._reload_s = RELOAD_S if helped else min(self._reload_s * 2, RELOAD_CAP_S)

    async def _load(self) -> None:
        if self._intake.config_changed.is_set():
            self._intake.config_changed.clear()
            self._unknown.clear()
            self._reload_s = RELOAD_S

        async def work(conn: Any) -> None:
            await self._series.load(conn)
            await self._others.load(conn)

        before = self._others.filters
        await self._link.use(work, stop=self._stop)
        self._loaded_s = self._clock.monotonic_s()
        self._counters.series_loads += 1
        if self._others.filters != before:
            self.filters_changed.set()

    def _take_gap(self, batch: Batch, message: Message) -> None:
        gateway = message.topic[len(self._gap) :]
        try:
            gap = decode_gap(message.payload)
            _check(gap.epoch, gap.seq)
        except FrameError as error:
            batch.letters.add(message.topic, "not_a_gap", detail=str(error), payload=message.payload)
            return
        batch.gaps.append(PendingGap(OutboxKey(gateway, gap.epoch), gap))
        batch.points += 1

    def _take_report(self, batch: Batch, message: Message) -> None:
        gateway = message.topic[len(self._audit) :]
        try:
            report = decode_report(message.payload)
            _check(report.epoch, report.seq)
        except FrameError as error:
            batch.letters.add(message.topic, "not_a_report", detail=str(error), payload=message.payload)
            return
        batch.reports.append(PendingReport(OutboxKey(gateway, report.epoch), report))
        batch.points += 1

    async def _take_other(self, batch: Batch, message: Message) -> None:
        if self._series.stale or self._intake.config_changed.is_set():
            await self._load()
        facts = self._others.wants_series(message)
        if facts is not None:
            wanted = facts
            await self._link.use(lambda conn: self._others.create(conn, wanted), stop=self._stop)
            await self._load()
        sample = self._others.take(message, now_us=self._clock.now_us(), letters=batch.letters)
        if sample is not None:
            batch.samples.append(sample)
        batch.points += 1


class _Identity(msgspec.Struct):
    """The part of a frame that custody needs."""

    epoch: str
    seq: int


_identity_decoder = msgspec.json.Decoder(_Identity)


def _identity(payload: bytes) -> Frame | None:
    """An empty frame with the number of one that can't be read, or None when not even that can be."""
    try:
        found = _identity_decoder.decode(payload)
        _check(found.epoch, found.seq)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, FrameError):
        return None
    return Frame(epoch=found.epoch, seq=found.seq, time=EARLIEST_US, samples={})


def _check(epoch: str, seq: int) -> None:
    """Numbers and names that custody can keep."""
    if not 0 < len(epoch) <= 64 or "\x00" in epoch:
        raise FrameError("the epoch is not 1 to 64 characters")
    if not 0 < seq < MOST_SEQ:
        raise FrameError(f"seq {seq} is not a number from 1 on")
