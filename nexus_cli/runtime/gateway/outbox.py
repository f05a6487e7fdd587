"""The outbox: a disk log that has custody of every accepted frame until the historian announces it stored.

A frame is accepted once it is durable here (group commit). Only durable frames are published, only announced ones
are deleted. What is lost all the same (overflow, a broken disk) is counted in a `gap` that travels like a frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ulid import ULID

from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.disklog import DiskLog, Opened, WorkerThread
from nexus_cli.runtime.gateway.intervals import Intervals
from nexus_cli.runtime.gateway.segment import Record, Segment, encode_record
from nexus_cli.runtime.logging import event
from nexus_cli.wire.frame import Frame, Gap, GapReason, decode_gap, encode
from nexus_cli.wire.sample import Value

_log = logging.getLogger("nexus.outbox")
FIRST_RETRY_S, LONGEST_RETRY_S = 0.2, 5.0
LOSSES = (GapReason.OVERFLOW, GapReason.DISK_REFUSED)
"""What the outbox itself counts as lost."""


@dataclass(slots=True, kw_only=True)
class Limits:
    """Bounds of the outbox.

    Attributes:
        total_bytes: On disk; the oldest segment is dropped above it (policy: drop oldest, with a gap).
        segment_bytes: A segment is closed at this size.
        buffer_bytes: Not yet durable, in memory (policy: refuse newest, with a gap).
        cache_bytes: Durable records kept in memory for the publisher; older ones are read back from disk.
        delay_s: Longest time a frame waits for its group commit.
    """

    total_bytes: int = 1 << 30
    segment_bytes: int = 8 << 20
    buffer_bytes: int = 16 << 20
    cache_bytes: int = 8 << 20
    delay_s: float = 0.03


@dataclass(slots=True)
class _Loss:
    """Frames that were refused and not yet told."""

    frames: int = 0
    start_us: int = 0
    end_us: int = 0

    def add(self, time_us: int, frames: int = 1) -> None:
        self.start_us = time_us if not self.frames else min(self.start_us, time_us)
        self.end_us = max(self.end_us, time_us)
        self.frames += frames


class Outbox:
    """Accepts frames, gives durable ones in order, forgets what was announced as committed.

    Attributes:
        accepted: Frames and gaps made durable since the start.
        lost: Frames lost, by the reason of their gaps.
        failing: Why the disk can't be written right now; "" when it can.
        durable_seq: The last seq that is safe on disk.
    """

    def __init__(self, folder: Path, *, clock: Clock, gap_topic: str, limits: Limits | None = None) -> None:
        """Name the folder; `open` reads it."""
        self.limits = limits or Limits()
        self.accepted = 0
        self.lost: dict[str, int] = {reason.value: 0 for reason in LOSSES}
        self.failing = ""
        self.durable_seq = 0
        self._clock = clock
        self._gap_topic = gap_topic
        self._disk = DiskLog(folder)
        self._thread = WorkerThread("outbox")
        self._closed = False
        self._epoch = ""
        self._next_seq = 1
        self._committed = Intervals()
        self._epochs: list[tuple[int, str]] = []
        self._buffer: list[tuple[int, int, str, bytes, bytes]] = []
        self._buffered_bytes = 0
        self._cache: list[Record] = []
        self._untold: list[Gap] = []
        self._cached_bytes = 0
        self._loss = _Loss()
        self._have_data = asyncio.Event()
        self._on_durable: list[Callable[[], None]] = []

    @property
    def epoch(self) -> str:
        """The name of this life of the log."""
        return self._epoch

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return self._disk.size_bytes

    @property
    def uncommitted(self) -> int:
        """Durable records that the historian has not announced."""
        return sum(self._uncommitted_of(one) for one in self._disk.segments)

    @property
    def last_time_us(self) -> int:
        """The latest time in the log, µs since 1970 UTC; 0 when it is new."""
        return self._disk.last_time_us

    @property
    def newest_seq(self) -> int:
        """The last number given; above `durable_seq` while something waits for the disk."""
        return self._next_seq - 1

    def on_disk(self, *, after: int) -> Iterator[Record]:
        """Durable records above a seq, in order. Blocks on disk: for use before `run`."""
        while found := self._disk.read(after, 1000, 8 << 20, self.durable_seq):
            yield from found
            after = found[-1].seq

    def open(self) -> Opened:
        """Lock and read the folder, continue its numbering, and record what damage cost. Blocks on disk.

        Raises NexusError: NX6014, the folder can't be used, or another process has it.
        """
        found = self._disk.open()
        self._epochs = list(found.epochs)
        for first, last in found.holes:
            self._committed.add(first, last)
        self._next_seq, self.durable_seq = found.last_seq + 1, found.last_seq
        if found.broken or not found.epochs:
            self._epoch = str(ULID())
            self._epochs.append((self._next_seq, self._epoch))
        else:
            self._epoch = found.epochs[-1][1]
        now_us = max(self._clock.now_us(), found.last_time_us + 1)
        missing = sum(last - first + 1 for first, last in found.holes) if found.broken else 0
        for start_us, end_us in found.broken:
            self._append_gap(
                start_us or found.last_time_us, end_us if end_us > 0 else now_us, missing, GapReason.OUTBOX_DAMAGED
            )
            missing = 0
        return found

    def add_frame(
        self,
        topic: str,
        *,
        time_us: int,
        samples: dict[str, Value],
        quality: dict[str, tuple[str, str | None, int]] | None = None,
        source_time: dict[str, int] | None = None,
    ) -> bool:
        """Take a frame for the next group commit; False when it was refused and counted (disk away or too slow)."""
        if self.failing or self._buffered_bytes > self.limits.buffer_bytes:
            self.lost[GapReason.DISK_REFUSED] += 1
            self._loss.add(time_us)
            self._have_data.set()
            return False
        self._tell_loss()
        seq = self._next_seq
        frame = Frame(
            epoch=self._epoch,
            seq=seq,
            time=time_us,
            samples=samples,
            quality=quality or {},
            source_time=source_time or {},
        )
        self._append(seq, time_us, topic, encode(frame))
        return True

    def add_report(self, topic: str, *, time_us: int, make: Callable[[str, int], bytes]) -> int:
        """Take a message of another kind into the same custody; `make` is given epoch and seq.

        Returns:
            Its seq; 0 when it was refused (disk away or too slow): it is the caller's still.
        """
        if self.failing or self._buffered_bytes > self.limits.buffer_bytes:
            return 0
        self._tell_loss()
        seq = self._next_seq
        self._append(seq, time_us, topic, make(self._epoch, seq))
        return seq

    def add_gap(self, *, device: str, start_us: int, end_us: int, frames: int, reason: str) -> None:
        """Record samples that are known to be missing; never refused (a gap is small and rare)."""
        self._append_gap(start_us, end_us, frames, reason, device=device)

    def on_durable(self, call: Callable[[], None]) -> None:
        """Call after every group commit."""
        self._on_durable.append(call)

    def is_committed(self, seq: int) -> bool:
        """True when the historian announced it."""
        return seq in self._committed

    def lowest_uncommitted(self) -> int:
        """The first seq that must still be delivered; above `durable_seq` when there is none."""
        first = next((one.first_seq for one in self._disk.segments if one.records), self.durable_seq + 1)
        return self._committed.next_missing(first)

    def next_uncommitted(self, seq: int) -> int:
        """The first seq from this one on that was not announced."""
        return self._committed.next_missing(seq)

    def commit(self, epoch: str, ranges: Iterable[tuple[int, int]]) -> int:
        """Take a receipt of the historian and delete whole segments; gives how many files went.

        Ranges of an epoch we do not know, or outside of it, are ignored.
        """
        for position, (first, name) in enumerate(self._epochs):
            if name != epoch:
                continue
            end = self._epochs[position + 1][0] - 1 if position + 1 < len(self._epochs) else self.durable_seq
            for low, high in ranges:
                self._committed.add(max(low, first), min(high, end))
        return self._drop_committed()

    async def read(self, *, after: int, limit: int, limit_bytes: int) -> list[Record]:
        """Durable records above a seq, in order; from memory when they are recent, else from disk."""
        if after >= self.durable_seq:
            return []
        if self._cache and self._cache[0].seq <= after + 1:
            first = bisect_right(self._cache, after, key=_seq)
            found: list[Record] = []
            size = 0
            for record in self._cache[first : first + limit]:
                found.append(record)
                size += len(record.payload)
                if size >= limit_bytes:
                    break
            return found
        if self._closed:  # the gateway ends; what is only on disk is delivered by its next life
            return []
        return await self._thread.call(self._disk.read, after, limit, limit_bytes, self.durable_seq)

    async def run(self, stop: asyncio.Event) -> None:
        """Make buffered frames durable, in groups, until stopped; then the rest, and the mark of a clean end."""
        retry_s = FIRST_RETRY_S
        try:
            while not stop.is_set():
                await _first_of(self._have_data, stop)
                if not stop.is_set():
                    await self._pause(self.limits.delay_s, stop)
                self._have_data.clear()
                if await self._flush():
                    retry_s = FIRST_RETRY_S
                elif not stop.is_set():
                    await self._pause(retry_s, stop)
                    retry_s = min(LONGEST_RETRY_S, retry_s * 2)
                    self._have_data.set()
            self._tell_loss()
            clean = await self._flush()
            await self._thread.call(self._disk.close, clean)
        finally:
            self._closed = True
            self._thread.close()

    async def _pause(self, delay_s: float, stop: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await stop.wait()

    async def _flush(self) -> bool:
        """One group commit; False when the disk refused it (its frames are counted as refused)."""
        if not self._buffer:
            if not self._loss.end_us and not self._untold:
                return True
            # The disk failed and nothing is waiting: the gap itself tries whether it works again.
            self._tell_loss()
        group, self._buffer = self._buffer, []
        self._buffered_bytes = 0
        start = self._epochs[-1]
        try:
            await self._thread.call(self._disk.append, group, start[1], self.limits.segment_bytes)
        except OSError as error:
            self._refuse(group, error)
            return False
        if self.failing:
            self.failing = ""
            event(_log, "the outbox can be written again", level=logging.WARNING)
        self.accepted += len(group)
        self.durable_seq = group[-1][0]
        for seq, time_us, topic, payload, _ in group:
            self._cache.append(Record(seq, time_us, topic, payload))
            self._cached_bytes += len(payload)
        self._trim_cache()
        self._keep_budget()
        for call in self._on_durable:
            call()
        return True

    def _trim_cache(self) -> None:
        spare = 0
        while self._cached_bytes > self.limits.cache_bytes and spare < len(self._cache):
            self._cached_bytes -= len(self._cache[spare].payload)
            spare += 1
        del self._cache[:spare]

    def _refuse(self, group: list[tuple[int, int, str, bytes, bytes]], error: OSError) -> None:
        if not self.failing:
            event(_log, "the outbox can't be written", level=logging.ERROR, cause=str(error))
        self.failing = str(error) or type(error).__name__
        # Their numbers are never used again: whether some of their bytes reached the disk can't be known.
        self._committed.add(group[0][0], group[-1][0])
        self._committed.add(group[-1][0] + 1, self._next_seq - 1)
        for _, time_us, topic, payload, _ in (*group, *self._buffer):
            if topic == self._gap_topic:
                self._untold.append(decode_gap(payload))
            else:
                self.lost[GapReason.DISK_REFUSED] += 1
                self._loss.add(time_us)
        self._buffer = []
        self._buffered_bytes = 0

    def _tell_loss(self) -> None:
        untold, self._untold = self._untold, []
        for gap in untold:
            self._append_gap(gap.start, gap.end, gap.frames, gap.reason, device=gap.device)
        if self._loss.end_us:
            loss, self._loss = self._loss, _Loss()
            self._append_gap(loss.start_us, loss.end_us, loss.frames, GapReason.DISK_REFUSED)

    def _append_gap(self, start_us: int, end_us: int, frames: int, reason: str, *, device: str = "") -> None:
        seq = self._next_seq
        gap = Gap(epoch=self._epoch, seq=seq, device=device, start=start_us, end=end_us, frames=frames, reason=reason)
        event(_log, "samples are missing", level=logging.WARNING, reason=reason, frames=frames, device=device)
        self._append(seq, end_us, self._gap_topic, encode(gap))

    def _append(self, seq: int, time_us: int, topic: str, payload: bytes) -> None:
        record = encode_record(seq, time_us, topic, payload)
        self._buffer.append((seq, time_us, topic, payload, record))
        self._buffered_bytes += len(record)
        self._next_seq = seq + 1
        self._have_data.set()

    def _keep_budget(self) -> None:
        while self._disk.size_bytes > self.limits.total_bytes and len(self._disk.segments) > 1:
            oldest = self._disk.segments[0]
            missing = self._uncommitted_of(oldest)
            self._disk.drop_oldest()
            self._committed.add(oldest.first_seq, oldest.last_seq)
            if missing > 0:
                self.lost[GapReason.OVERFLOW] += missing
                self._append_gap(oldest.first_time_us, oldest.last_time_us, missing, GapReason.OVERFLOW)

    def _uncommitted_of(self, segment: Segment) -> int:
        if not segment.records:
            return 0
        # Holes count as committed, so what is left over of the span is what has to be delivered yet.
        first, last = segment.first_seq, segment.last_seq
        return last - first + 1 - self._committed.count(first, last)

    def _drop_committed(self) -> int:
        dropped = 0
        while len(self._disk.segments) > 1:
            oldest = self._disk.segments[0]
            if oldest.records and self._committed.next_missing(oldest.first_seq) <= oldest.last_seq:
                break
            self._disk.drop_oldest()
            dropped += 1
        if dropped:
            lowest = self._disk.segments[0].first_seq
            self._committed.add(0, lowest - 1)
            self._epochs = [
                one
                for position, one in enumerate(self._epochs)
                if position + 1 >= len(self._epochs) or self._epochs[position + 1][0] > lowest
            ]
        return dropped


def _seq(record: Record) -> int:
    return record.seq


async def _first_of(one: asyncio.Event, other: asyncio.Event) -> None:
    """Wait until either event is set."""
    if one.is_set() or other.is_set():
        return
    async with asyncio.TaskGroup() as group:

        async def watch(event: asyncio.Event) -> None:
            await event.wait()
            for task in watchers:
                task.cancel()

        watchers = [group.create_task(watch(each), name="wait") for each in (one, other)]
