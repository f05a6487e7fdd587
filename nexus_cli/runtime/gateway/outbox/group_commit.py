"""The records and losses that wait for the next group commit. No disk access."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias

from nexus_cli.runtime.gateway.outbox.aftermath import Aftermath
from nexus_cli.runtime.gateway.outbox.losses import Losses, Span
from nexus_cli.runtime.gateway.outbox.segment import encode_record
from nexus_cli.runtime.gateway.outbox.splitting import Part, frame_payload
from nexus_cli.runtime.logging import event
from nexus_cli.wire.frame import Gap, GapReason, decode_gap, encode

_log = logging.getLogger("nexus.outbox")
Pending: TypeAlias = tuple[int, int, str, bytes, bytes]
"""Seq, time in µs, topic, payload, encoded record."""


class GroupCommit:
    """Assigns numbers to records and keeps the records until they are durable.

    Attributes:
        epoch: The epoch of the numbers.
        next_seq: The next number.
        size_bytes: Size of the waiting records; the caller bounds it.
        losses: Losses to declare.
        latest_us: The latest time of a record, µs since 1970 UTC.
    """

    def __init__(self, *, gap_topic: str, on_data: Callable[[], None], aftermath: Aftermath) -> None:
        """Call `on_data` whenever there is something to write; refused frames are added to `aftermath`."""
        self.epoch = ""
        self.next_seq = 1
        self.size_bytes = 0
        self.losses = Losses()
        self.latest_us = 0
        self._gap_topic = gap_topic
        platform, _, gateway = gap_topic.rpartition("/gap/")
        self._data_prefix = f"{platform}/data/{gateway}/"
        self._on_data, self._aftermath = on_data, aftermath
        self._records: list[Pending] = []

    def __bool__(self) -> bool:
        return bool(self._records or self.losses)

    def rename(self, epoch: str) -> None:
        """Continue in another epoch, and move the waiting records to it."""
        old, new = f'"epoch":"{self.epoch}"'.encode(), f'"epoch":"{epoch}"'.encode()
        self.epoch = epoch
        for at, (seq, time_us, topic, payload, _) in enumerate(self._records):
            renamed = payload.replace(old, new, 1)
            self._records[at] = (seq, time_us, topic, renamed, encode_record(seq, time_us, topic, renamed))

    def device(self, topic: str) -> str:
        """The device of a frame's topic; "" for any other topic."""
        return topic[len(self._data_prefix) :] if topic.startswith(self._data_prefix) else ""

    def add(self, time_us: int, topic: str, payload: bytes) -> None:
        """Append a message that carries `next_seq`."""
        record = encode_record(self.next_seq, time_us, topic, payload)
        self._records.append((self.next_seq, time_us, topic, payload, record))
        self.size_bytes += len(record)
        self.next_seq += 1
        if time_us > self.latest_us:
            self.latest_us = time_us
        self._on_data()

    def add_part(self, topic: str, time_us: int, part: Part) -> None:
        """Append a part of a frame."""
        self.add(time_us, topic, frame_payload(part, epoch=self.epoch, seq=self.next_seq, time_us=time_us))

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
        self.add(max(end_us, self.latest_us + 1), self._gap_topic, encode(gap))

    def declare(self) -> None:
        """Append the gaps of all losses until now."""
        if self.losses:
            for span in self.losses.take():
                self.add_gap(span)

    def take(self) -> list[Pending]:
        """Take the group to write now."""
        group, self._records = self._records, []
        self.size_bytes = 0
        return group

    def lose(self, topic: str, time_us: int) -> None:
        """Add the loss of a frame that was not accepted, or that the disk refused."""
        span = Span(self.device(topic), GapReason.DISK_REFUSED, time_us, time_us, 1)
        self.losses.add(span, joined=True)
        if span.device:
            self._aftermath.note(span)
        self._on_data()

    def refuse(self, group: list[Pending], *, is_frame: Callable[[str], bool]) -> int:
        """The disk refused a group: its frames, and those queued after it, become losses to declare.

        The numbers are used again: they were never published, and the header of the next segment marks the end of this
            one.

        Returns:
            How many frames were lost.
        """
        refused = [*group, *self.take()]
        if not refused:
            return 0
        self.next_seq = refused[0][0]
        lost = 0
        for _, time_us, topic, payload, _ in refused:
            if topic == self._gap_topic:
                gap = decode_gap(payload)
                span = Span(gap.device, gap.reason, gap.start, gap.end, gap.frames)
                self.losses.add(span, joined=gap.reason == GapReason.DISK_REFUSED)
            elif is_frame(topic):
                lost += 1
                self.lose(topic, time_us)
        return lost
