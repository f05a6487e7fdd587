"""The outbox: a disk log that has custody of every accepted frame until the historian announces it stored.

A frame is accepted once it is durable here (group commit). Only durable frames are published, only announced ones are
deleted. Losses (overflow, a failed disk, a kill between two group commits) are counted and recorded as a `gap`, which
is delivered like a frame. Every opening begins a new epoch: a folder that was restored to an older state, or a copy of
it, never reuses a number that the historian knows.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ulid import ULID

from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.outbox.aftermath import Aftermath
from nexus_cli.runtime.gateway.outbox.contents import Contents
from nexus_cli.runtime.gateway.outbox.custody import Custody
from nexus_cli.runtime.gateway.outbox.declaring import Declaring
from nexus_cli.runtime.gateway.outbox.disklog import DiskLog
from nexus_cli.runtime.gateway.outbox.group_commit import GroupCommit, Pending
from nexus_cli.runtime.gateway.outbox.limits import Limits
from nexus_cli.runtime.gateway.outbox.losses import Span
from nexus_cli.runtime.gateway.outbox.recent import Recent, Replaced
from nexus_cli.runtime.gateway.outbox.records import Record
from nexus_cli.runtime.gateway.outbox.recovery import Opened
from nexus_cli.runtime.gateway.outbox.splitting import (
    FRAME_BYTES,
    MESSAGE_BYTES,
    make_smaller,
    split,
)
from nexus_cli.runtime.gateway.worker import WorkerThread
from nexus_cli.runtime.lifecycle import first_of, wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.wire.frame import GapReason
from nexus_cli.wire.frame_batch import FrameColumns

_log = logging.getLogger("nexus.outbox")
FIRST_RETRY_S, LONGEST_RETRY_S = 0.2, 5.0
IDLE_S = 60.0


class Outbox:
    """Accepts frames, returns durable ones in order, deletes those announced as committed.

    Attributes:
        accepted: Frames and gaps made durable since the start.
        lost: Frames lost, by the reason of their gaps; `frame_too_large` counts samples, which are BAD instead.
        failing: Why the disk can't be written at the moment; "" when it can.
        durable_seq: The last seq that is durable.
        aftermath: Reports a loss once it is over.
        contents: What the records hold.
        compress: Whether records are compressed on their way: `never`, `auto` or `always`.
        json_frames: Each frame is a message of its own, in JSON, on the topic of its device. Its columns then need
            integers and booleans in `others`, so that JSON shows them as they are.
        frame_bytes: A batch is closed before this, and a frame with a larger payload is split. The publisher lowers it
            for a broker with a low limit.
        message_bytes: A single value whose payload is larger than this becomes BAD; lowered in the same way.
    """

    def __init__(self, folder: Path, *, clock: Clock, gap_topic: str, limits: Limits | None = None) -> None:
        """Name the folder; `open` reads it."""
        self.limits = limits or Limits()
        self.accepted = 0
        self.failing = ""
        self.durable_seq = 0
        self.contents = Contents(gap_topic)
        self.json_frames, self.compress = False, "never"
        self.frame_bytes = FRAME_BYTES
        self.message_bytes = MESSAGE_BYTES
        self._clock = clock
        self._disk = DiskLog(folder)
        self._thread = WorkerThread("outbox")
        self._closed = False
        self._custody = Custody(self._disk)
        self._recent = Recent(self.limits.cache_bytes)
        self._replaced = Replaced()
        self._have_data = asyncio.Event()
        self.aftermath = Aftermath()
        self._waiting = GroupCommit(contents=self.contents, on_data=self._have_data.set, aftermath=self.aftermath)
        self._declaring = Declaring(
            self._disk, self._custody, self._waiting, contents=self.contents, aftermath=self.aftermath
        )
        self.lost = self._declaring.lost
        self._on_durable: list[Callable[[], None]] = []
        self._on_refused: list[Callable[[int], None]] = []

    @property
    def epoch(self) -> str:
        """The epoch: identifies this opening of the log."""
        return self._waiting.epoch

    @property
    def newest_seq(self) -> int:
        """The last number assigned; above `durable_seq` while records wait for the disk."""
        return self._waiting.next_seq - 1

    @property
    def taking(self) -> bool:
        """False while the disk can't be written, and once the log is closed."""
        return not self.failing and not self._closed

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return self._disk.size_bytes

    @property
    def free_bytes(self) -> int | None:
        """Free on its disk; None when that can't be asked."""
        try:
            return shutil.disk_usage(self._disk.folder).free
        except OSError:
            return None

    @property
    def uncommitted(self) -> int:
        """Durable frames and gaps that the historian has not announced."""
        return sum(self._custody.open_of(one) for one in self._disk.segments)

    @property
    def last_time_us(self) -> int:
        """The latest time in the log, µs since 1970 UTC; 0 when it is new."""
        return self._disk.last_time_us

    def open(self) -> Opened:
        """Lock and read the folder, begin a new epoch, and record losses by damage. Blocks on disk.

        Raises:
            NexusError: NX6014, the folder can't be used, or another process has it.
        """
        found = self._disk.open()
        waiting, damage = self._waiting, self._declaring.damage
        damage.load()
        # The numbers of a damaged end, after which nothing was written, are not used again.
        found = found._replace(
            last_seq=max([found.last_seq, *(one.last for one in damage.held)]),
            last_time_us=max([found.last_time_us, *(one.end_us for one in damage.held)]),
        )
        waiting.epoch, waiting.next_seq = str(ULID()), found.last_seq + 1
        waiting.latest_us = found.last_time_us
        self.durable_seq = found.last_seq
        self._custody.begin((*found.epochs, (waiting.next_seq, waiting.epoch)))
        now_us = max(self._clock.now_us(), found.last_time_us + 1)
        self._declaring.opened(found, now_us=now_us)
        self._disk.forget_end()
        return found

    def on_disk(self, *, after: int) -> Iterator[Record]:
        """Durable records with numbers above one, in order. Blocks on disk: for use before `run`."""
        while found := self._disk.read(after, 1000, 8 << 20, self.durable_seq).records:
            yield from found
            after = found[-1].last

    def add_frame(self, columns: FrameColumns) -> bool:
        """Add a frame to the next group commit; a large one in parts.

        Returns:
            False when it was refused and counted (the disk failed or is too slow).
        """
        waiting = self._waiting
        if self.failing or self._closed or waiting.size_bytes > self.limits.buffer_bytes:
            self.lost[GapReason.DISK_REFUSED] += 1
            waiting.lose(columns.shape.device, columns.time_us)
            return False
        if waiting.losses.spans:
            waiting.declare()
        if not waiting.add_frame(columns, as_json=self.json_frames, most_bytes=self.frame_bytes):
            self._add_parts(columns)
        return True

    def _add_parts(self, columns: FrameColumns) -> None:
        parts = split(columns, frame_bytes=self.frame_bytes, message_bytes=self.message_bytes, as_json=self.json_frames)
        self._declaring.too_large(columns.shape.device, [tag for part in parts for tag in part.too_large])
        for part in parts:
            self._waiting.add_part(part.columns, as_json=self.json_frames)

    def add_report(self, topic: str, *, time_us: int, make: Callable[[str, int], bytes]) -> int:
        """Add another kind of message to the same custody; `make` gets epoch and seq and returns the payload.

        Returns:
            Its seq; 0 when it was refused (the disk failed or is too slow) and the caller keeps it. If the disk refuses
            it later, `on_refused` gets its seq.
        """
        if self._full():
            return 0
        waiting = self._waiting
        waiting.declare()
        seq = waiting.next_seq
        waiting.add(time_us, topic, make(waiting.epoch, seq))
        return seq

    def add_gap(self, *, device: str, start_us: int, end_us: int, frames: int, reason: str) -> None:
        """Record that samples are missing; never refused (a gap is small and rare)."""
        self._waiting.add_gap(Span(device, reason, min(start_us, end_us), max(start_us, end_us), frames))

    def on_durable(self, call: Callable[[], None]) -> None:
        """Add a callback for each group commit."""
        self._on_durable.append(call)

    def on_refused(self, call: Callable[[int], None]) -> None:
        """Add a callback for a refused group; it gets the first seq: this and all higher numbers are assigned again."""
        self._on_refused.append(call)

    def is_committed(self, seq: int) -> bool:
        """True when the historian announced it."""
        return seq in self._custody

    def is_delivered(self, record: Record) -> bool:
        """True when the historian announced all its numbers."""
        return self._custody.has(record.seq, record.last)

    def has_numbers(self, first: int, last: int) -> bool:
        """True when the historian announced all of these numbers."""
        return self._custody.has(first, last)

    def lowest_uncommitted(self) -> int:
        """The first seq that must still be delivered; above `durable_seq` when there is none."""
        first = next((one.first_seq for one in self._disk.segments if one.records), self.durable_seq + 1)
        return self._custody.next_open(first)

    def next_uncommitted(self, seq: int) -> int:
        """The first seq from this one on that was not announced."""
        return self._custody.next_open(seq)

    def commit(self, epoch: str, ranges: Iterable[tuple[int, int]]) -> int:
        """Take a receipt of the historian and delete complete segments; returns how many.

        Ranges of an unknown epoch, or outside of it, are ignored. A receipt of the current epoch for numbers that are
        not assigned yet means that this process was set back in time (a virtual machine was restored to a snapshot
        while it ran): everything undelivered gets another epoch.
        """
        ranges = list(ranges)
        if epoch == self.epoch and any(high > self.newest_seq for _, high in ranges):
            self._went_back()
            return 0
        known = self._custody.within(epoch, ranges, durable_seq=self.durable_seq)
        self._declaring.damage.receive(known)
        self._declaring.declare_due()
        dropped_files = self._custody.receive(known)
        if self.aftermath:
            self._have_data.set()  # there may be room now
        self._replaced.forget(self._custody.has)
        return dropped_files

    def declare_damage(self) -> None:
        """Declare the damage that waits for a receipt, since none came in time."""
        self._declaring.declare_due(now=True)

    def _went_back(self) -> None:
        before = self.epoch
        event(_log, "receipts of our epoch name numbers that we have not given", level=logging.ERROR, epoch=before)
        first = self.lowest_uncommitted()
        self._waiting.rename(str(ULID()))
        self._custody.supersede(before, first=first, successor=self.epoch)
        self._replaced.rename(self.newest_seq, before, self.epoch)

    async def read(self, *, after: int, limit: int, limit_bytes: int) -> list[Record]:
        """Durable records with numbers above one, in order, until they have `limit` numbers; from memory when they are
        recent, else from disk.

        Records that can't be read any more are declared, and skipped by the next call.
        """
        if after >= self.durable_seq:
            return []
        recent = self._recent.read(after, limit, limit_bytes)
        if recent is not None:
            return self._replaced.instead(recent, after=after)
        if self._closed:  # the gateway is stopping; the next process delivers what is only on disk
            return []
        try:
            found, lost = await self._thread.call(self._disk.read, after, limit, limit_bytes, self.durable_seq)
        except OSError as error:
            event(_log, "the outbox can't be read", level=logging.ERROR, cause=str(error))
            return []
        for loss in lost:
            self._declaring.damaged(loss, now_us=self._clock.now_us())
        return self._replaced.instead(found, after=after)

    def replace(self, record: Record, *, frame_bytes: int = 0) -> bool:
        """Replace a durable record that the broker does not pass on by smaller ones.

        A batch is cut into smaller ones under the same numbers. The samples of a single frame are sent in parts, the
        first under its number, once the other parts are durable; until then `read` returns the record as before. A
        single value that is too large becomes BAD.

        Args:
            record: A record from `read`.
            frame_bytes: Size of the parts; 0 for `frame_bytes` of the outbox.

        Returns:
            False when it can't be made smaller, or the disk accepts nothing now.
        """
        if self._full():
            return False
        smaller = make_smaller(
            record,
            frame_bytes=frame_bytes or self.frame_bytes,
            message_bytes=self.message_bytes,
            contents=self.contents,
        )
        if smaller is None:
            return False
        gone = sum(not one.topic for one in smaller.instead)
        device = self.contents.frames(record)[0].device
        self._declaring.too_large(device, smaller.too_large, records=gone)
        for part in smaller.more:
            self._waiting.add_part(part, as_json=self.json_frames)
        instead = [one if one.topic else one._replace(topic=self.contents.gap_topic) for one in smaller.instead]
        self._replaced.add(record, instead, self.newest_seq if smaller.more else 0)
        self._replaced.set_durable(self.durable_seq)
        return True

    async def run(self, stop: asyncio.Event) -> None:
        """Make buffered frames durable, in groups, until stopped; then write the rest, and the mark of a clean end."""
        retry_s = FIRST_RETRY_S
        try:
            while not stop.is_set():
                await first_of(self._have_data, stop, timeout_s=IDLE_S)
                if not stop.is_set():
                    await self._pause(self.limits.delay_s, stop)
                self._have_data.clear()
                if await self._flush():
                    retry_s = FIRST_RETRY_S
                    self._report_losses()
                elif not stop.is_set():
                    await self._pause(retry_s, stop)
                    retry_s = min(LONGEST_RETRY_S, retry_s * 2)
                    self._have_data.set()
            self._waiting.declare()
            clean = await self._flush()
            await self._thread.call(self._disk.close, clean)
        finally:
            self._closed = True
            self._thread.close()

    async def _pause(self, delay_s: float, stop: asyncio.Event) -> None:
        await wait_for(stop, timeout_s=delay_s)

    async def _flush(self) -> bool:
        """One group commit; False when the disk refused it (its frames are counted as refused)."""
        if not self._waiting:
            return True
        group: list[Pending] = []
        changes: bytes | None = None
        try:
            if self.failing:
                self._custody.release(durable_seq=self.durable_seq)
                await self._thread.call(self._disk.try_room, self.limits.room_bytes)
            self._waiting.declare()
            changes = self._declaring.damage.take_changes()
            group = self._waiting.take(batch_bytes=self.frame_bytes)
            await self._thread.call(self._disk.append, group, self.epoch, self.limits.segment_bytes)
        except OSError as error:
            self._declaring.damage.changed |= changes is not None
            self._refuse(group, error)
            return False
        if self.failing:
            self.failing = ""
            event(_log, "the outbox can be written again", level=logging.WARNING)
        self.accepted += group[-1].record.last - self.durable_seq
        self.durable_seq = group[-1].record.last
        self._recent.add(one.record for one in group)
        self._replaced.set_durable(self.durable_seq)
        await self._declaring.keep_budget(self.limits.total_bytes, thread=self._thread)
        if changes is not None:  # its gaps are durable now
            await self._thread.call(self._declaring.damage.write, changes)
        for call in self._on_durable:
            call()
        return True

    def _report_losses(self) -> None:
        if self.aftermath and not self._waiting.losses:
            room = self._disk.has_room(self.limits) or self.lowest_uncommitted() > self.durable_seq
            self.aftermath.report(room=room)

    def _full(self) -> bool:
        return not self.taking or self._waiting.size_bytes > self.limits.buffer_bytes

    def _refuse(self, group: list[Pending], error: OSError) -> None:
        if not self.failing:
            event(_log, "the outbox can't be written", level=logging.ERROR, cause=str(error))
        self.failing = str(error) or type(error).__name__
        # A report that the disk refused is kept by its sender, if there is a callback.
        self.lost[GapReason.DISK_REFUSED] += self._waiting.refuse(group, reports=not self._on_refused)
        self._replaced.refuse()
        for call in self._on_refused:
            call(self._waiting.next_seq)


__all__ = ["Limits", "Outbox"]
