"""The parts of a span that are read from rollups, and those from the samples themselves. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Part(NamedTuple):
    """`[start, end)`, µs since 1970 UTC, read from rollups of a width; 0 is from the samples."""

    start_us: int
    end_us: int
    width_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What rollups of a width hold: `[start, end)` but for what was written to since; µs since 1970 UTC."""

    width_us: int
    start_us: int
    end_us: int


def cover(
    start_us: int,
    end_us: int,
    *,
    cuts: Sequence[int],
    reaches: Iterable[Reach],
    stale: Sequence[tuple[int, int]] = (),
) -> list[Part]:
    """Cover a span with parts, ascending and without holes; the widest rollups that will do.

    Args:
        start_us: Start of the span.
        end_us: End of the span, exclusive.
        cuts: Moments that no rollup may lie across: borders of buckets, seams, starts of gaps. Ascending.
        reaches: What there is, the widest first.
        stale: Spans that were written to after they were rolled up, ascending.
    """
    rest, done = [(start_us, end_us)], list[Part]()
    for reach in reaches:
        left: list[tuple[int, int]] = []
        for low, high in rest:
            taken = _usable(low, high, reach, cuts, stale)
            done += [Part(first, last, reach.width_us) for first, last in taken]
            left += _without(low, high, taken)
        rest = left
    done += [Part(low, high, 0) for low, high in rest]
    return sorted(done)


def _usable(
    low: int, high: int, reach: Reach, cuts: Sequence[int], stale: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Spans of whole rollups inside `[low, high)`."""
    width = reach.width_us
    first = -(-max(low, reach.start_us) // width) * width
    last = min(high, reach.end_us) // width * width
    if first >= last:
        return []
    refused = [
        (cut // width * width, cut // width * width + width)
        for cut in cuts[bisect_right(cuts, first) : bisect_left(cuts, last)]
        if cut % width
    ]
    refused += [(start // width * width, -(-end // width) * width) for start, end in stale]
    return _without(first, last, sorted(refused))


def _without(low: int, high: int, taken: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The rest of `[low, high)` without these spans (ascending by start; they may overlap)."""
    left, at = list[tuple[int, int]](), low
    for start, end in taken:
        if start > at and start < high:
            left.append((at, start))
        at = max(at, end)
    if at < high:
        left.append((max(at, low), high))
    return left
