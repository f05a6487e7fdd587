"""Parts of batches that can't be stored now while the rest can: they are deferred, bounded, and retried.

A late sample may be blocked by a chunk that is being compressed, or be slow to store. Neither may delay what follows,
and neither is a reason to give a sample up: it becomes a dead letter only if it was too slow repeatedly while the same
database stored other rows at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nexus_cli.backoff import Backoff
from nexus_cli.runtime.historian.batch import Batch
from nexus_cli.runtime.historian.pending import AnyFrame, ArrayFrame, PendingFrame, PendingSample

MOST_WAITING_POINTS = 50_000
MOST_WAITING_BYTES = 16 * 1024 * 1024
"""Overflow policy: above this many samples, or bytes of the messages that hold them, nothing more is deferred; the batch
itself waits, and all that follow."""
FIRST_S, CAP_S = 2.0, 60.0
MOST_SLOW = 3
"""How often a single frame or sample may exceed the statement time-out."""
_DAY_US = 86_400_000_000


@dataclass(slots=True)
class DeferredBatch:
    """A deferred part of a batch.

    Attributes:
        batch: What is to be stored.
        why: The database's error.
        rows_before: Rows that the historian had stored when this part was deferred; without rows stored since, the
            database and not this part may be at fault.
        slow: How often it exceeded the statement time-out alone.
        due_s: When to try again, monotonic seconds.
    """

    batch: Batch
    why: str
    rows_before: int
    slow: int = 0
    due_s: float = 0.0
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=FIRST_S, cap_s=CAP_S))


class DeferredBatches:
    """The deferred parts, oldest first."""

    def __init__(self) -> None:
        """Start empty."""
        self._pieces: list[DeferredBatch] = []

    def __len__(self) -> int:
        return len(self._pieces)

    @property
    def points(self) -> int:
        """The number of deferred samples."""
        return sum(_points(piece.batch) for piece in self._pieces)

    @property
    def next_s(self) -> float | None:
        """When the next part is due, monotonic seconds; None when there is none."""
        return min((piece.due_s for piece in self._pieces), default=None)

    def has_room(self, batch: Batch) -> bool:
        """True when this batch can be deferred as well."""
        if self.points + _points(batch) > MOST_WAITING_POINTS:
            return False
        waiting = [piece.batch for piece in self._pieces]
        return not waiting or size_bytes(*waiting, batch) <= MOST_WAITING_BYTES

    def put(self, piece: DeferredBatch, *, now_s: float) -> None:
        """Defer a part; check `has_room` first."""
        self._pieces.append(piece)
        self.again(piece, now_s=now_s)

    def again(self, piece: DeferredBatch, *, now_s: float) -> None:
        """Defer a part again, with the next back-off step."""
        piece.due_s = now_s + piece.backoff.next_s()

    def due(self, *, now_s: float) -> list[DeferredBatch]:
        """The parts that are due."""
        return [piece for piece in self._pieces if piece.due_s <= now_s]

    def remove(self, piece: DeferredBatch) -> None:
        """Remove a part that was stored or given up."""
        self._pieces.remove(piece)

    def without_waiting(self, batch: Batch) -> None:
        """Remove from a batch the frames that are deferred here, which their gateway sent again meanwhile."""
        waiting = {
            (pending.key, pending.seq, pending.time_us) for piece in self._pieces for pending in piece.batch.frames
        }
        if not waiting:
            return
        kept = [pending for pending in batch.frames if (pending.key, pending.seq, pending.time_us) not in waiting]
        if len(kept) != len(batch.frames):
            batch.frames, batch.packed = kept, None


def _points(batch: Batch) -> int:
    return sum(max(1, pending.points) for pending in batch.frames) + len(batch.samples)


def size_bytes(*batches: Batch) -> int:
    """Bytes of the messages that these batches keep in memory; a frame of a frame batch keeps the whole message."""
    arrays = {
        id(pending.arrays): pending.arrays.size_bytes
        for batch in batches
        for pending in batch.frames
        if isinstance(pending, ArrayFrame)
    }
    alone = sum(
        pending.size_bytes for batch in batches for pending in batch.frames if isinstance(pending, PendingFrame)
    )
    return alone + sum(arrays.values()) + sum(len(each.payload) for batch in batches for each in batch.samples)


def halves(batch: Batch) -> list[Batch]:
    """Two parts with half of the frames and samples each; none when there is only one."""
    if len(batch.frames) + len(batch.samples) <= 1:
        return []
    middle, centre = (len(batch.frames) + 1) // 2, len(batch.samples) // 2
    return [
        Batch(frames=batch.frames[:middle], samples=batch.samples[:centre]),
        Batch(frames=batch.frames[middle:], samples=batch.samples[centre:]),
    ]


def by_day(batch: Batch, *, today: int) -> list[Batch]:
    """Parts by age: today, yesterday and later first, then one part per older day, newest first.

    Args:
        batch: What to divide.
        today: Days since 1970.
    """
    frames: dict[int, list[AnyFrame]] = {}
    samples: dict[int, list[PendingSample]] = {}
    for pending in batch.frames:
        frames.setdefault(min(pending.time_us // _DAY_US, today - 1), []).append(pending)
    for sample in batch.samples:
        samples.setdefault(min(sample.row.time_us // _DAY_US, today - 1), []).append(sample)
    days = sorted(frames.keys() | samples.keys(), reverse=True)
    return [Batch(frames=frames.get(day, []), samples=samples.get(day, [])) for day in days]


def is_late(batch: Batch, *, today: int) -> bool:
    """True when nothing in it is from today or yesterday: other batches need not wait for it."""
    times = [pending.time_us for pending in batch.frames] + [sample.row.time_us for sample in batch.samples]
    return bool(times) and max(times) // _DAY_US < today - 1
