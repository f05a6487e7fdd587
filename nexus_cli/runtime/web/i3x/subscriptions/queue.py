"""The updates of a subscription that wait for their acknowledgement, in numbered batches. Pure.

A batch gets its number when its first update comes. A full queue drops its oldest batches: the numbers that are missing in
an answer are exactly those of what was dropped.

Source: i3X 1.0, Implementation Guide, Sync and Sync Data Loss.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from nexus_cli.runtime.web.i3x.leaf_values import Vqt, moment

MOST_IN_BATCH = 500
ALL = -1
"""Instead of a number: everything up to now is acknowledged."""
LARGEST = 2**64 - 1


class Update(NamedTuple):
    """One change.

    Attributes:
        element: elementId as the client registered it, or that of a component.
        path: The tag, or the device.
        vqt: The value.
    """

    element: str
    path: str
    vqt: Vqt


@dataclass(slots=True)
class Batch:
    """Updates under one number.

    Attributes:
        sequence: From 1, rising.
        stored: Whether the database has it.
    """

    sequence: int
    updates: list[Update]
    stored: bool = False


@dataclass(frozen=True, slots=True)
class Loss:
    """What was dropped: numbers and times (µs since 1970 UTC), both ends included."""

    first: int
    last: int
    since_us: int
    until_us: int

    def words(self, limit: int) -> str:
        """One sentence for the client."""
        span = f"from {moment(self.since_us)} to {moment(self.until_us)}"
        return (
            f"The updates with sequence numbers {self.first} to {self.last} were dropped: the queue holds {limit:,}."
            f" objects/history has their values, {span}."
        )


@dataclass(slots=True)
class UpdateQueue:
    """What waits.

    Attributes:
        limit: Updates that it holds; above it the oldest batches go.
        next_sequence: Number of the next batch.
        acknowledged: Up to here the client has everything.
        sent: Up to here batches were given to the client.
        loss: What was dropped and is not acknowledged yet.
    """

    limit: int
    next_sequence: int = 1
    acknowledged: int = 0
    sent: int = 0
    loss: Loss | None = None
    _batches: deque[Batch] = field(default_factory=deque)
    _open: bool = False
    _count: int = 0

    def __len__(self) -> int:
        """Updates that wait."""
        return self._count

    @property
    def batches(self) -> Sequence[Batch]:
        """By number."""
        return self._batches

    def restore(self, batches: Sequence[Batch]) -> None:
        """Take over what the database had."""
        self._batches = deque(batches)
        self._count = sum(len(batch.updates) for batch in batches)
        self._open = False

    def put(self, update: Update) -> None:
        """Add an update."""
        if not self._open or len(self._batches[-1].updates) >= MOST_IN_BATCH:
            self._batches.append(Batch(self.next_sequence, []))
            self.next_sequence += 1
            self._open = True
        self._batches[-1].updates.append(update)
        self._count += 1
        if self._count > self.limit:
            self.drop_oldest()

    def drop_oldest(self) -> None:
        """Drop the oldest batch."""
        gone = self._batches.popleft()
        self._open = self._open and bool(self._batches)
        self._count -= len(gone.updates)
        times = [update.vqt.time_us for update in gone.updates]
        self.lost(gone.sequence, since_us=min(times), until_us=max(times))

    def skip(self, *, since_us: int, until_us: int) -> None:
        """Note that updates of a span are not here at all; they have a number of their own."""
        self.close()
        self.lost(self.next_sequence, since_us=since_us, until_us=until_us)
        self.next_sequence += 1

    def lost(self, sequence: int, *, since_us: int, until_us: int) -> None:
        """Note that a batch is gone."""
        old = self.loss
        if old is None:
            self.loss = Loss(sequence, sequence, since_us, until_us)
        else:
            self.loss = Loss(old.first, sequence, min(old.since_us, since_us), max(old.until_us, until_us))

    def close(self) -> None:
        """Later updates are another batch."""
        self._open = False

    def acknowledge(self, last: int | None) -> None:
        """The client has everything up to a number, -1 everything. A number that was never given changes nothing."""
        if last == ALL:
            last = self.next_sequence - 1
        elif last is None or not 0 <= last <= self.sent:
            return
        self.acknowledged = max(self.acknowledged, last)
        while self._batches and self._batches[0].sequence <= last:
            self._count -= len(self._batches.popleft().updates)
        self._open = self._open and bool(self._batches)
        if self.loss is not None and self.loss.last <= last:
            self.loss = None

    def give(self) -> list[Batch]:
        """Everything that waits; later updates are another batch."""
        self.close()
        if self._batches:
            self.sent = max(self.sent, self._batches[-1].sequence)
        return list(self._batches)
