"""Ranges behave as the set of integers that they stand for."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.database.committed import MOST_RECENT, MOST_SPANS, Custody, FrameTimes, RangeSet

Number = st.integers(1, 60)


def members(ranges: RangeSet) -> set[int]:
    return {seq for first, last in ranges.ranges for seq in range(first, last + 1)}


@given(st.lists(Number, max_size=80))
def test_adding_numbers_equals_a_set(numbers: list[int]) -> None:
    ranges, model = RangeSet(), set[int]()
    for number in numbers:
        assert ranges.add(number) == (number not in model)
        model.add(number)
    assert members(ranges) == model
    assert all(number in ranges for number in model)
    assert 0 not in ranges
    assert 61 not in ranges


@given(st.lists(st.tuples(Number, Number), max_size=30))
def test_ranges_stay_disjoint_ascending_and_apart(pairs: list[tuple[int, int]]) -> None:
    ranges = RangeSet(pairs)
    assert members(ranges) == {seq for first, last in pairs for seq in range(first, last + 1)}
    flat = ranges.ranges
    assert all(first <= last for first, last in flat)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(flat))


@given(st.lists(st.tuples(Number, Number), max_size=30), st.integers(1, 5))
def test_compacting_only_adds_and_keeps_the_newest(pairs: list[tuple[int, int]], most: int) -> None:
    ranges = RangeSet(pairs)
    before, newest = members(ranges), ranges.ranges[-1:]
    ranges.compact(most)
    assert len(ranges) <= most
    assert members(ranges) >= before
    assert members(ranges) and newest[0][1] == ranges.ranges[-1][1] if before else not members(ranges)


@given(st.lists(Number, max_size=40), st.lists(Number, max_size=40))
def test_the_order_of_adding_does_not_matter(some: list[int], others: list[int]) -> None:
    forward, backward = RangeSet(), RangeSet()
    for number in [*some, *others]:
        forward.add(number)
    for number in reversed([*some, *others]):
        backward.add(number)
    assert forward == backward
    assert RangeSet(forward.ranges) == forward


Commit = st.lists(st.tuples(st.integers(1, 400), st.integers(0, 1000)), min_size=1, max_size=12)


@given(st.lists(Commit, max_size=60))
def test_every_stored_frame_is_recognised_whatever_was_stored_after_it(commits: list[list[tuple[int, int]]]) -> None:
    times, stored = FrameTimes(), dict[int, int]()
    for commit in commits:
        new = {seq: time for seq, time in commit if seq not in stored}
        times.add(list(new.items()))
        stored |= new
        assert all(times.covers(seq, time) for seq, time in stored.items())
        assert len(times) <= MOST_SPANS
        spans = times.spans
        assert all(first <= last and low <= high for first, last, low, high in spans)
        assert all(before[1] < after[0] for before, after in pairwise(spans))
    assert FrameTimes(times.spans).spans == spans if commits else not times.spans


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=300),
    st.data(),
)
def test_a_log_that_went_back_is_told_from_a_replay(sizes: list[int], data: st.DataObject) -> None:
    """Frames a second apart, stored in commits; then the log loses its last frames and goes on under their numbers."""
    times, seq = FrameTimes(), 0
    for size in sizes:
        times.add([(number, number * 1_000_000) for number in range(seq + 1, seq + size + 1)])
        seq += size
    lost = data.draw(st.integers(1, seq))
    for number in range(seq - lost + 1, seq + 1):
        assert times.covers(number, number * 1_000_000)
        assert not times.covers(number, (number + lost) * 1_000_000 + 1)


def test_the_exact_time_decides_for_what_was_stored_last() -> None:
    custody = Custody(RangeSet([(1, 100)]), FrameTimes([(1, 100, 1_000, 2_000)]))
    custody.remember({7: 1_500})
    assert custody.is_replay(7, 1_500)
    assert not custody.is_replay(7, 1_501)
    assert custody.is_replay(8, 1_501)
    assert not custody.is_replay(8, 2_001)
    assert not custody.is_replay(101, 1_500)
    for seq in range(200, 200 + MOST_RECENT):
        custody.remember({seq: 1})
    assert len(custody.recent) == MOST_RECENT
