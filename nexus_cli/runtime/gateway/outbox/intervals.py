"""Sets of integers as disjoint, ascending, inclusive ranges. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

Range = tuple[int, int]


class Intervals:
    """A growing set of integers, stored as ranges."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        """Start with the union of some ranges, in any order."""
        self._starts: list[int] = []
        self._ends: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def add(self, first: int, last: int) -> None:
        """Add every integer from `first` to `last`, both included; nothing when `last` is below `first`."""
        if last < first:
            return
        low = bisect_right(self._starts, first)
        if low and self._ends[low - 1] >= first - 1:
            low -= 1
        high = bisect_right(self._starts, last + 1)
        if low < high:
            first = min(first, self._starts[low])
            last = max(last, self._ends[high - 1])
        self._starts[low:high] = [first]
        self._ends[low:high] = [last]

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and self._ends[at] >= number

    def count(self, first: int, last: int) -> int:
        """How many integers of `[first, last]` are in the set."""
        total = 0
        at = max(0, bisect_right(self._starts, first) - 1)
        while at < len(self._starts) and self._starts[at] <= last:
            total += max(0, min(last, self._ends[at]) - max(first, self._starts[at]) + 1)
            at += 1
        return total

    def next_missing(self, number: int) -> int:
        """The least integer from `number` upwards that is not in the set."""
        at = bisect_right(self._starts, number) - 1
        return self._ends[at] + 1 if at >= 0 and self._ends[at] >= number else number

    def ranges(self) -> list[Range]:
        """The ranges, ascending."""
        return list(zip(self._starts, self._ends, strict=True))

    def __len__(self) -> int:
        return len(self._starts)
