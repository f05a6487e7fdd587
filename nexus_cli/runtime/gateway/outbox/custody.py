"""Records that the historian has announced, by epoch, and the segments that can therefore be deleted."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_cli.runtime.gateway.outbox.disklog import DiskLog
from nexus_cli.runtime.gateway.outbox.intervals import Intervals
from nexus_cli.runtime.gateway.outbox.segment import Segment


class Custody:
    """Announced numbers and their epochs. Numbers rise through all epochs of one log."""

    def __init__(self, disk: DiskLog) -> None:
        """Track the records of a log."""
        self._disk = disk
        self._committed = Intervals()
        self._epochs: list[tuple[int, str]] = []

    def begin(self, epochs: Iterable[tuple[int, str]]) -> None:
        """Set the epochs: `(first seq, epoch)`, ascending."""
        self._epochs += epochs

    def supersede(self, epoch: str, *, first: int, successor: str) -> None:
        """From `first` on the numbers belong to another epoch; receipts of this one are ignored from now on."""
        first = max(first, *(begin for begin, name in self._epochs if name == epoch))
        self._epochs = [*(one for one in self._epochs if one[1] != epoch), (first, successor)]

    def __contains__(self, seq: int) -> bool:
        return seq in self._committed

    def close(self, first: int, last: int) -> int:
        """These numbers need no delivery any more; returns how many did."""
        open_ = last - first + 1 - self._committed.count(first, last)
        self._committed.add(first, last)
        return max(0, open_)

    def next_open(self, seq: int) -> int:
        """The first number from this one on that was not announced."""
        return self._committed.next_missing(seq)

    def has(self, first: int, last: int) -> bool:
        """Whether none of these numbers needs delivery."""
        return self._committed.next_missing(first) > last

    def open_of(self, segment: Segment) -> int:
        """How many numbers of a segment are not delivered yet."""
        if not segment.records:
            return 0
        first, last = segment.first_seq, segment.last_seq
        return last - first + 1 - self._committed.count(first, last)

    def announced(self, first: int, last: int) -> list[tuple[int, int]]:
        """Those of these numbers that need no delivery, as ranges."""
        found: list[tuple[int, int]] = []
        while first <= last:
            open_ = min(self._committed.next_missing(first), last + 1)
            if open_ > first:
                found.append((first, open_ - 1))
            first = open_ + 1
        return found

    def within(self, epoch: str, ranges: Iterable[tuple[int, int]], *, durable_seq: int) -> list[tuple[int, int]]:
        """The part of a receipt's ranges that is in this log; empty for an unknown epoch."""
        found: list[tuple[int, int]] = []
        for position, (first, name) in enumerate(self._epochs):
            if name != epoch:
                continue
            end = self._epochs[position + 1][0] - 1 if position + 1 < len(self._epochs) else durable_seq
            found += [(max(low, first), min(high, end)) for low, high in ranges]
        return [one for one in found if one[0] <= one[1]]

    def receive(self, ranges: Iterable[tuple[int, int]]) -> int:
        """These numbers of this log are announced: delete complete segments; returns how many."""
        for first, last in ranges:
            self._committed.add(first, last)
        return self._drop()

    def release(self, *, durable_seq: int) -> None:
        """The disk is full: if everything was announced, delete the newest segment as well."""
        first = self._disk.segments[0].first_seq if self._disk.segments else durable_seq + 1
        if self._committed.next_missing(first) > durable_seq:
            while self._disk.segments:
                self._disk.drop_oldest()

    def _drop(self) -> int:
        dropped = 0
        # The newest segment stays: it has the next number and the last time for a restart, even when it is empty.
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
