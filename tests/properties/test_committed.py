"""Ranges behave as the set of integers that they stand for."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.database.committed import RangeSet

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
