"""Parts of batches that wait aside: how a batch is divided, when a part is due, and how much may wait."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.database.committed import OutboxKey
from nexus_cli.database.copy import FullRow
from nexus_cli.runtime.historian.batch import DAY_US, Batch
from nexus_cli.runtime.historian.deferred_batches import (
    MOST_WAITING_POINTS,
    DeferredBatch,
    DeferredBatches,
    by_day,
    halves,
    is_late,
)
from nexus_cli.runtime.historian.mapping import FramePlan
from nexus_cli.runtime.historian.pending import PendingFrame, PendingSample
from nexus_cli.wire.frame import Frame

TODAY = 20_000
KEY = OutboxKey("gw-1", "E1")


def frame(seq: int, *, day: int = TODAY, tags: int = 1) -> PendingFrame:
    names = tuple(f"t{number}" for number in range(tags))
    plan = FramePlan(names, (None,) * tags, (), (), (), None)
    return PendingFrame(
        KEY, "topic", Frame(epoch="E1", seq=seq, time=day * DAY_US + seq, samples=dict.fromkeys(names, 1.0)), plan
    )


def sample(number: int, *, day: int = TODAY) -> PendingSample:
    row = FullRow(day * DAY_US + number, 1, 1.0, None, None, None, 192, None, None)
    return PendingSample("topic", "default", row, b"")


DAYS = st.integers(min_value=TODAY - 5, max_value=TODAY + 2)
BATCHES = st.builds(
    lambda frames, samples: Batch(
        frames=[frame(seq, day=day) for seq, day in enumerate(frames, start=1)],
        samples=[sample(number, day=day) for number, day in enumerate(samples)],
    ),
    st.lists(DAYS, max_size=12),
    st.lists(DAYS, max_size=12),
)


@given(BATCHES)
def test_dividing_loses_and_doubles_nothing(batch: Batch) -> None:
    for parts in (by_day(batch, today=TODAY), halves(batch) or [batch]):
        frames = [pending.frame.seq for part in parts for pending in part.frames]
        samples = [one.row.time_us for part in parts for one in part.samples]
        assert Counter(frames) == Counter(pending.frame.seq for pending in batch.frames)
        assert Counter(samples) == Counter(one.row.time_us for one in batch.samples)
        assert all(part.frames or part.samples for part in parts) or parts == [batch]


@given(BATCHES)
def test_what_is_new_comes_first_and_each_late_day_is_alone(batch: Batch) -> None:
    parts = by_day(batch, today=TODAY)
    assert [is_late(part, today=TODAY) for part in parts[1:]] == [True] * (len(parts) - 1)
    for part in parts:
        days = {pending.frame.time // DAY_US for pending in part.frames}
        days |= {one.row.time_us // DAY_US for one in part.samples}
        assert len(days) == 1 or min(days) >= TODAY - 1


@given(BATCHES)
def test_halving_ends_at_one(batch: Batch) -> None:
    parts = [batch]
    while any(halves(part) for part in parts):
        parts = [each for part in parts for each in (halves(part) or [part])]
    assert all(len(part.frames) + len(part.samples) <= 1 for part in parts)


def test_a_part_comes_again_later_each_time_and_never_after_more_than_the_cap() -> None:
    waiting, now_s = DeferredBatches(), 100.0
    assert waiting.next_s is None
    piece = DeferredBatch(batch=Batch(frames=[frame(1)]), why="lock timeout", rows_before=0)
    waiting.put(piece, now_s=now_s)
    assert waiting.due(now_s=now_s) == []
    for _ in range(20):
        assert waiting.next_s is not None
        assert now_s < waiting.next_s <= now_s + 60.0
        now_s = waiting.next_s
        assert waiting.due(now_s=now_s) == [piece]
        waiting.again(piece, now_s=now_s)
    assert piece.due_s - now_s >= 30.0
    waiting.remove(piece)
    assert (len(waiting), waiting.points, waiting.next_s) == (0, 0, None)


def test_what_waits_is_bounded_and_counted_by_samples() -> None:
    waiting = DeferredBatches()
    waiting.put(
        DeferredBatch(batch=Batch(frames=[frame(1, tags=MOST_WAITING_POINTS - 1)]), why="", rows_before=0), now_s=0.0
    )
    assert waiting.points == MOST_WAITING_POINTS - 1
    assert waiting.has_room(Batch(samples=[sample(1)]))
    assert not waiting.has_room(Batch(samples=[sample(1), sample(2)]))


def test_a_frame_that_waits_and_is_sent_again_leaves_the_new_batch() -> None:
    waiting = DeferredBatches()
    waiting.put(DeferredBatch(batch=Batch(frames=[frame(2)]), why="", rows_before=0), now_s=0.0)
    batch = Batch(frames=[frame(1), frame(2), frame(3)])
    waiting.without_waiting(batch)
    assert [pending.frame.seq for pending in batch.frames] == [1, 3]
