"""The records and losses that wait for the next group commit. No disk access.

Frames get their numbers when they are added, and are encoded when the group is taken: consecutive ones make one batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from nexus_cli.runtime.gateway.outbox.aftermath import Aftermath
from nexus_cli.runtime.gateway.outbox.contents import Contents
from nexus_cli.runtime.gateway.outbox.losses import Losses, Span
from nexus_cli.runtime.gateway.outbox.records import RECORD_OVERHEAD, Record, encode_record, with_epoch
from nexus_cli.runtime.gateway.outbox.splitting import (
    BATCH_OVERHEAD_BYTES,
    JSON_TAGS,
    alone_bytes,
    batch_record,
    narrowed,
    shape_bytes,
    size_of,
)
from nexus_cli.runtime.logging import event
from nexus_cli.wire.frame import Gap, GapReason, decode_gap, encode
from nexus_cli.wire.frame_batch import MOST_FRAMES, MOST_NAMED, FrameColumns, to_frame

_log = logging.getLogger("nexus.outbox")


class Pending(NamedTuple):
    """A record to write, and its bytes in the file."""

    record: Record
    encoded: bytes


class _Message(NamedTuple):
    """A message with one number that is encoded already."""

    time_us: int
    topic: str
    payload: bytes


class _Batch:
    """The frames of the next batch."""

    __slots__ = ("_named", "_samples", "_shapes", "_size", "_sourced", "_tags", "frames")

    def __init__(self) -> None:
        self.frames: list[FrameColumns] = []
        self._shapes: set[int] = set()
        self._tags: set[bytes] = set()
        self._size = BATCH_OVERHEAD_BYTES
        self._samples = self._named = 0
        self._sourced = False

    def takes(self, columns: FrameColumns, size: int, *, most_bytes: int) -> bool:
        """Add a frame; False when the batch is full without it. The first always fits."""
        shape, tags = id(columns.shape), columns.shape.encoded
        total, named = self._size + size, self._named
        if shape not in self._shapes:
            named += len(columns.shape.tags)
            total += shape_bytes(columns.shape) - (len(tags) if tags in self._tags else 0)
        samples = self._samples + len(columns.values)
        sourced = self._sourced or bool(columns.source_time)
        if self.frames and (
            total + samples * sourced > most_bytes or len(self.frames) >= MOST_FRAMES or named > MOST_NAMED
        ):
            return False
        self.frames.append(columns)
        self._shapes.add(shape)
        self._tags.add(tags)
        self._size, self._samples, self._sourced, self._named = total, samples, sourced, named
        return True


class GroupCommit:
    """Assigns numbers to records and keeps the records until they are durable.

    Attributes:
        epoch: The epoch of the numbers.
        next_seq: The next number.
        size_bytes: Size of the waiting records; the caller bounds it.
        losses: Losses to declare.
        latest_us: The latest time of a record, µs since 1970 UTC.
    """

    def __init__(self, *, contents: Contents, on_data: Callable[[], None], aftermath: Aftermath) -> None:
        """Call `on_data` whenever there is something to write; refused frames are added to `aftermath`."""
        self.epoch = ""
        self.next_seq = 1
        self.size_bytes = 0
        self.losses = Losses()
        self.latest_us = 0
        self._contents = contents
        self._on_data, self._aftermath = on_data, aftermath
        # One number each.
        self._waiting: list[FrameColumns | _Message] = []
        self._sizes: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._waiting or self.losses)

    def rename(self, epoch: str) -> None:
        """Continue in another epoch, and move the waiting records to it."""
        self._waiting = [
            one._replace(payload=with_epoch(one.payload, self.epoch, epoch)) if isinstance(one, _Message) else one
            for one in self._waiting
        ]
        self.epoch = epoch

    def add_frame(self, columns: FrameColumns, *, as_json: bool, most_bytes: int) -> bool:
        """Append a frame, which gets `next_seq`; False, and nothing is appended, when it must be split."""
        if as_json:
            payload = self._json(columns)
            if len(payload) > most_bytes or len(columns.values) > 8 * JSON_TAGS:
                return False
            self.add(columns.time_us, self._contents.topic(columns.shape.device), payload)
            return True
        columns = narrowed(columns)
        size = size_of(columns)
        if alone_bytes(columns, size) > most_bytes:
            return False
        self._add(columns, size, columns.time_us)
        return True

    def add_part(self, columns: FrameColumns, *, as_json: bool) -> None:
        """Append a part of a frame, whatever its size."""
        if as_json:
            self.add(columns.time_us, self._contents.topic(columns.shape.device), self._json(columns))
        else:
            self._add(columns, size_of(columns), columns.time_us)

    def _json(self, columns: FrameColumns) -> bytes:
        return encode(to_frame(columns, epoch=self.epoch, seq=self.next_seq))

    def add(self, time_us: int, topic: str, payload: bytes) -> None:
        """Append a message that carries `next_seq`."""
        self._add(_Message(time_us, topic, payload), RECORD_OVERHEAD + len(topic) + len(payload), time_us)

    def _add(self, one: FrameColumns | _Message, size: int, time_us: int) -> None:
        self._waiting.append(one)
        self._sizes.append(size)
        self.size_bytes += size
        self.next_seq += 1
        if time_us > self.latest_us:
            self.latest_us = time_us
        self._on_data()

    def add_gap(self, span: Span) -> None:
        """Append a gap."""
        device, reason, start_us, end_us, frames = span
        gap = Gap(
            epoch=self.epoch,
            seq=self.next_seq,
            device=device,
            start=start_us,
            end=end_us,
            frames=frames,
            reason=reason,
        )
        event(_log, "samples are missing", level=logging.WARNING, reason=reason, frames=frames, device=device)
        # The time of its place in the log: falling times would hide when records lost beside it were.
        self.add(max(end_us, self.latest_us + 1), self._contents.gap_topic, encode(gap))

    def declare(self) -> None:
        """Append the gaps of all losses until now."""
        if self.losses:
            for span in self.losses.take():
                self.add_gap(span)

    def take(self, *, batch_bytes: int) -> list[Pending]:
        """Take the group to write now; its batches have at most `batch_bytes`, unless one frame alone has more."""
        found: list[Record] = []
        seq = self.next_seq - len(self._waiting)
        batch = _Batch()
        for at, (one, size) in enumerate(zip(self._waiting, self._sizes, strict=True), seq):
            if isinstance(one, FrameColumns):
                if batch.takes(one, size, most_bytes=batch_bytes):
                    continue
                self._close(batch, at, found)
                batch = _Batch()
                batch.takes(one, size, most_bytes=batch_bytes)
                continue
            self._close(batch, at, found)
            batch = _Batch()
            found.append(Record.single(at, *one))
        self._close(batch, self.next_seq, found)
        self._clear()
        return [Pending(record, encode_record(record)) for record in found]

    def _close(self, batch: _Batch, seq: int, found: list[Record]) -> None:
        """Add the record of a batch that ends before `seq`."""
        if batch.frames:
            first = seq - len(batch.frames)
            found.append(batch_record(batch.frames, epoch=self.epoch, seq=first, topic=self._contents.batches))

    def _clear(self) -> None:
        self._waiting, self._sizes = [], []
        self.size_bytes = 0

    def lose(self, device: str, time_us: int) -> None:
        """Add the loss of a frame ("": of another message) that was not accepted, or that the disk refused."""
        span = Span(device, GapReason.DISK_REFUSED, time_us, time_us, 1)
        self.losses.add(span, joined=True)
        if span.device:
            self._aftermath.note(span)
        self._on_data()

    def refuse(self, group: list[Pending], *, reports: bool) -> int:
        """The disk refused a group: its frames, and those queued after it, become losses to declare.

        The numbers are used again: they were never published, and the header of the next segment marks the end of this
            one.

        Args:
            group: From `take`.
            reports: The reports in it are kept by no other part: they are lost as well.

        Returns:
            How many frames were lost.
        """
        waiting, first = self._waiting, self.next_seq - len(self._waiting)
        self._clear()
        self.next_seq = group[0].record.seq if group else first
        lost = 0
        for record, _ in group:
            if record.topic == self._contents.batches:
                for frame in self._contents.frames(record):
                    lost += 1
                    self.lose(frame.device, frame.time_us)
            else:
                lost += self._refuse(record.time_us, record.topic, record.payload, reports=reports)
        for one in waiting:
            if isinstance(one, FrameColumns):
                lost += 1
                self.lose(one.shape.device, one.time_us)
            else:
                lost += self._refuse(*one, reports=reports)
        return lost

    def _refuse(self, time_us: int, topic: str, payload: bytes, *, reports: bool) -> int:
        if topic == self._contents.gap_topic:
            gap = decode_gap(payload)
            if gap.letter is not None:  # rejected values are no loss: nothing is declared for them
                return 0
            span = Span(gap.device, gap.reason, gap.start, gap.end, gap.frames)
            self.losses.add(span, joined=gap.reason == GapReason.DISK_REFUSED)
            return 0
        device = self._contents.device(topic)
        if device or reports:
            self.lose(device, time_us)
            return 1
        return 0
