"""Counts and declares what the outbox loses: damaged records, values that are too large, segments above the budget."""

from __future__ import annotations

import logging

import msgspec

from nexus_cli.runtime.gateway.outbox.aftermath import Aftermath
from nexus_cli.runtime.gateway.outbox.contents import Contents
from nexus_cli.runtime.gateway.outbox.custody import Custody
from nexus_cli.runtime.gateway.outbox.damage import Damage
from nexus_cli.runtime.gateway.outbox.disklog import DiskLog
from nexus_cli.runtime.gateway.outbox.group_commit import GroupCommit
from nexus_cli.runtime.gateway.outbox.losses import Span, dropped
from nexus_cli.runtime.gateway.outbox.records import Record
from nexus_cli.runtime.gateway.outbox.recovery import Loss, Opened
from nexus_cli.runtime.gateway.outbox.segment import Segment
from nexus_cli.runtime.gateway.worker import WorkerThread
from nexus_cli.runtime.logging import event
from nexus_cli.wire.command import decode_report
from nexus_cli.wire.command import encode as encode_report
from nexus_cli.wire.frame import FrameError, Gap, GapReason, decode_gap
from nexus_cli.wire.frame import encode as encode_gap

_log = logging.getLogger("nexus.outbox")
LOSSES = (GapReason.OVERFLOW, GapReason.DISK_REFUSED, GapReason.OUTBOX_DAMAGED, GapReason.FRAME_TOO_LARGE)
"""Reasons that the outbox counts as losses."""
MOST_DEVICES = 64
"""A dropped segment of which nothing was delivered makes at most this many gaps, else one for the whole gateway."""
CARRIED_BYTES = 1 << 20
"""Limit for reports of a dropped segment that are written again, in bytes."""


class Declaring:
    """Counts losses and records their gaps.

    Attributes:
        lost: Frames by the reason of their gaps; `frame_too_large` counts samples, which are BAD instead.
        damage: Damage that is not declared yet.
    """

    def __init__(
        self, disk: DiskLog, custody: Custody, waiting: GroupCommit, *, contents: Contents, aftermath: Aftermath
    ) -> None:
        """Declare losses of a log."""
        self.damage = Damage(disk.folder)
        self._aftermath = aftermath
        self.lost: dict[str, int] = {reason.value: 0 for reason in LOSSES}
        self._disk, self._custody, self._waiting = disk, custody, waiting
        self._contents = contents

    def opened(self, found: Opened, *, now_us: int) -> None:
        """Keep the damage that the opening found until its receipts are known, except what is already declared."""
        damage = self.damage
        declared = self._declared() if found.broken or damage else []
        for loss in found.broken:
            damage.hold(_ended(loss, now_us))
        for loss in list(damage.held):
            self._custody.close(loss.first, loss.last)
            if any(one.start <= loss.start_us and loss.end_us <= one.end for one in declared):
                damage.finish(loss)
        for loss in found.broken:
            self._custody.close(loss.first, loss.last)
        if self._disk.segments:
            damage.forget_below(self._disk.segments[0].first_seq)
        changes = damage.take_changes()
        if changes is not None:
            damage.write(changes)

    def damaged(self, loss: Loss, *, now_us: int) -> None:
        """Declare records that can't be read any more, once their receipts are known and unless all were delivered."""
        announced = self._custody.announced(loss.first, loss.last)
        if self._custody.close(loss.first, loss.last) or not loss.frames:
            self.damage.announced(announced)
            self.damage.hold(_ended(loss, now_us))
            self.declare_due()

    def declare_due(self, *, now: bool = False) -> None:
        """Declare the damage whose receipts are known, or (`now`) all of it, since there may never be a receipt."""
        for loss, missing in self.damage.take(now=now):
            self.damage.finish(loss)
            if loss.frames and not missing.frames:
                continue
            self.lost[GapReason.OUTBOX_DAMAGED] += missing.frames
            span = Span("", GapReason.OUTBOX_DAMAGED, missing.start_us, missing.end_us, missing.frames)
            self._waiting.add_gap(span)
            self._aftermath.note(span)

    def too_large(self, device: str, tags: list[str], *, records: int = 0) -> None:
        """Count values that became BAD `too_large`, and records of which nothing is left."""
        self.lost[GapReason.FRAME_TOO_LARGE] += len(tags) + records
        if tags or records:
            event(_log, "too large to be recorded", device=device, tags=tags[:10], values=len(tags), records=records)

    async def keep_budget(self, total_bytes: int, *, thread: WorkerThread) -> None:
        """Drop the oldest segments above a size, with gaps for their undelivered frames."""
        while self._disk.size_bytes > total_bytes and len(self._disk.segments) > 1:
            oldest = self._disk.segments[0]
            records: list[Record] = []
            if self._custody.open_of(oldest):
                records = await thread.call(self._disk.read_segment, oldest)
            if self._disk.segments[0] is oldest:  # no receipt has deleted it meanwhile
                self._disk.drop_oldest()
                self._drop(oldest, records)

    def _drop(self, segment: Segment, records: list[Record]) -> None:
        custody, waiting, contents = self._custody, self._waiting, self._contents
        carried_bytes = 0
        frames: list[tuple[str, int, bool]] = []
        for record in records:
            open_ = not custody.has(record.seq, record.last)
            if record.topic == self._contents.gap_topic:
                gap = decode_gap(record.payload)
                if open_ and gap.letter is not None:
                    again = msgspec.structs.replace(gap, epoch=waiting.epoch, seq=waiting.next_seq)
                    waiting.add(record.time_us, record.topic, encode_gap(again))
                elif open_:
                    waiting.add_gap(Span(gap.device, gap.reason, gap.start, gap.end, gap.frames))
            elif open_ and carried_bytes < CARRIED_BYTES and self._carry(record):
                carried_bytes += len(record.payload)
            else:
                frames += [(one.device, one.time_us, one.seq not in custody) for one in contents.frames(record)]
        for span in dropped(frames, most=MOST_DEVICES):
            self.lost[GapReason.OVERFLOW] += span.frames
            waiting.add_gap(span)
            self._aftermath.note(span)
        for record in records:
            custody.close(record.seq, record.last)
        unread = Loss(segment.first_seq, segment.last_seq, segment.first_time_us, segment.last_time_us)
        self.damaged(unread, now_us=0)

    def _carry(self, record: Record) -> bool:
        """Write a report of a dropped segment again; False when the record is not a report."""
        if self._contents.is_frames(record.topic):
            return False
        try:
            report = decode_report(record.payload)
        except FrameError:
            return False
        numbered = msgspec.structs.replace(report, epoch=self._waiting.epoch, seq=self._waiting.next_seq)
        self._waiting.add(record.time_us, record.topic, encode_report(numbered))
        return True

    def _declared(self) -> list[Gap]:
        """Damage that was declared before: its gaps are in the log as long as the damaged segment is."""
        gaps = [
            decode_gap(record.payload)
            for segment in self._disk.segments
            for record in self._disk.read_segment(segment)
            if record.topic == self._contents.gap_topic
        ]
        return [gap for gap in gaps if gap.reason == GapReason.OUTBOX_DAMAGED]


def _ended(loss: Loss, now_us: int) -> Loss:
    return loss if loss.end_us else loss._replace(end_us=max(now_us, loss.start_us))
