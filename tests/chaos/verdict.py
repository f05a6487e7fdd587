"""The rules that a run is held against: pure functions of what the devices handed out and what the record holds.

Times are whole microseconds. Devices tell true time; rows and gaps carry the gateway's, which a run steps on purpose.
So a moment is never compared across the two clocks: a count that has no row is placed between the rows of its
neighbours, by how long after the one and before the other the device handed it out.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

EDGE_US = 500_000
"""How far a count may lie outside of the gap that explains it: an answer is dated when it arrives."""
POLL_NOTICED_US = 4_000_000
"""How long before a polled tag is found BAD the answer may have been handed out that never arrived: its time-out."""
SAME_CYCLE_US = 90_000
"""What is read twice in one cycle, in parts and then as a whole again, has one row, that of the last read. So far apart
are two such reads at most; below every interval, so that no lost row passes for that."""
AGAIN_BEFORE_US, AGAIN_AFTER_US = 1_500_000, 4_000_000
"""A read that is not answered in time is asked again, and the gateway's log says when. The late answer was handed out at most
so long before that moment (its time-out, and what a slow network adds) or after it (a device that was held up)."""
REPORT_NOTICED_US = 10_000_000
"""The same for reports of a server: a link that nothing polls is proved alive every 5 s, and the answer is awaited."""
FOREVER_US = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """A value that a device handed out.

    Attributes:
        time_us: The device's time.
    """

    time_us: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A stored row of one tag; `number` is None for BAD."""

    time_us: int
    number: int | None
    quality: int = 192


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A declared gap.

    Attributes:
        device: Empty for the whole gateway.
        end_us: None while it is open.
    """

    gateway: str
    device: str
    start_us: int
    end_us: int | None
    reason: str

    @property
    def until_us(self) -> int:
        """Its end, far in the future while it is open."""
        return FOREVER_US if self.end_us is None else self.end_us

    def covers(self, gateway: str, device: str) -> bool:
        """Whether a device of a gateway is in its scope."""
        return self.gateway == gateway and self.device in ("", device)


@dataclass(slots=True, kw_only=True)
class Account:
    """What became of the values of one tag.

    Attributes:
        found: Handed out and in a row.
        explained: Without a row, by the reason of the gap, `BAD`, `read_twice` or `asked_again`.
        moments: True time of each explained one, with the explanation.
        lost: Without a row and without an explanation.
        doubled: Numbers in more than one row, where nothing but the row is new. A value that is stated again because
            its quality changed is none.
        disordered: Numbers of rows that are below one of an earlier row.
        unknown: Numbers of rows that no device handed out.
        silent: True times (from, to) without a row, a gap or BAD between them.
    """

    found: int = 0
    explained: Counter[str] = field(default_factory=Counter)
    moments: list[tuple[int, str]] = field(default_factory=list)
    lost: list[Handed] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    disordered: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    silent: list[tuple[int, int]] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """How many breaches of the law."""
        return sum(len(each) for each in (self.lost, self.doubled, self.disordered, self.unknown, self.silent))


def account(
    handed: Sequence[Handed],
    rows: Sequence[Row],
    gaps: Sequence[Gap],
    *,
    longest_us: int,
    until_us: int = FOREVER_US,
    counted: bool = True,
    noticed_us: int = POLL_NOTICED_US,
    again_us: Sequence[int] = (),
    same_cycle_us: int = SAME_CYCLE_US,
) -> Account:
    """Account for every value of one tag by row, gap and BAD together.

    Args:
        handed: What the device handed out, by time; numbers rise strictly.
        rows: Of the tag, by time.
        gaps: In whose scope the tag is.
        longest_us: Longest time between two values that needs no explanation.
        until_us: True time up to which values are asked for, where the tag was removed or the run ended.
        noticed_us: How long it may take until a lost device is BAD.
        again_us: When reads of the device were asked again, true time, ascending: each explains one value.
        same_cycle_us: How far apart two reads of one cycle may be; less than the shortest interval.
        counted: False for values that rise with time: any of them may go unread, so only order and silence count.
    """
    result = Account()
    valued = [row for row in rows if row.number is not None]
    _order(rows, result)
    if not valued or not handed:
        return result
    times = {one.number: one.time_us for one in handed}
    placed: dict[int, int] = {}
    for row in valued:
        number = _known(row)
        if number in times:
            placed.setdefault(number, row.time_us)
        elif number not in result.unknown:
            result.unknown.append(number)
    result.found = len(placed)
    bad_us = [row.time_us for row in rows if row.number is None]
    known = [Handed(time_us=times[number], number=number) for number in sorted(placed)]
    _silences(known, placed, bad_us, gaps, longest_us, noticed_us, result)
    if counted and known:
        _missing(handed, known, placed, bad_us, gaps, until_us, noticed_us, again_us, same_cycle_us, result)
    return result


def _order(rows: Sequence[Row], result: Account) -> None:
    seen: set[int] = set()
    highest = -1
    last: Row | None = None
    for row in rows:
        number, before, last = row.number, last, row
        if number is None:
            continue
        restated = before is not None and before.quality != row.quality and number == highest
        if number in seen and not restated:
            result.doubled.append(number)
        elif number < highest:
            result.disordered.append(number)
        seen.add(number)
        highest = max(highest, number)


def _missing(
    handed: Sequence[Handed],
    known: Sequence[Handed],
    placed: Mapping[int, int],
    bad_us: Sequence[int],
    gaps: Sequence[Gap],
    until_us: int,
    noticed_us: int,
    again_us: Sequence[int],
    same_cycle_us: int,
    result: Account,
) -> None:
    numbers = [one.number for one in known]
    again, twice = list(again_us), _read_twice(handed, placed, same_cycle_us)
    for one, following in itertools.zip_longest(handed, handed[1:]):
        if one.number in placed or one.number < numbers[0] or one.time_us > until_us:
            continue
        at = bisect_left(numbers, one.number)
        before, after = known[at - 1], known[at] if at < len(known) else None
        low_us = placed[before.number] if after is None else _true_us(before, after, placed)
        high_us = FOREVER_US if after is None else placed[after.number]
        moments = [placed[before.number] + one.time_us - before.time_us]
        if after is not None:
            moments.append(high_us - (after.time_us - one.time_us))
        within = [min(max(moment, low_us), high_us) for moment in moments]
        # The gateway dates a value before it asks for the next one.
        late_us = EDGE_US if following is None else max(EDGE_US, following.time_us - one.time_us - 1)
        why = _explanation(within, low_us, high_us, bad_us, gaps, noticed_us, late_us)
        if why:
            result.explained[why] += 1
            result.moments.append((one.time_us, why))
        elif one.number in twice:
            result.explained["read_twice"] += 1
        elif after is not None and _take(again, one.time_us):
            result.explained["asked_again"] += 1
        else:
            result.lost.append(one)


def _read_twice(handed: Sequence[Handed], placed: Mapping[int, int], same_cycle_us: int) -> set[int]:
    """Numbers without a row that others follow at once, the last of which has one."""
    twice: set[int] = set()
    for one, following in itertools.pairwise(reversed(handed)):
        recorded = one.number in placed or one.number in twice
        if recorded and following.number not in placed and one.time_us - following.time_us <= same_cycle_us:
            twice.add(following.number)
    return twice


def _take(again_us: list[int], handed_us: int) -> bool:
    """Take the first moment of asking again that a late answer goes with; False when there is none."""
    at = bisect_left(again_us, handed_us - AGAIN_AFTER_US)
    if at == len(again_us) or again_us[at] > handed_us + AGAIN_BEFORE_US:
        return False
    del again_us[at]
    return True


def _true_us(before: Handed, after: Handed, placed: Mapping[int, int]) -> int:
    """When a value was handed out, by the gateway's time, where its row may have a later one.

    What is reported to a stopped process is dated when it is read, behind the gap of the pause. A row that came later
    after its value than the following one did is put back by the difference.
    """
    return min(placed[before.number], before.time_us + placed[after.number] - after.time_us)


def _explanation(
    moments: Sequence[int],
    low_us: int,
    high_us: int,
    bad_us: Sequence[int],
    gaps: Sequence[Gap],
    noticed_us: int,
    late_us: int,
) -> str:
    """Why a value between two rows has none; "" when nothing says why."""
    for gap in gaps:
        between = gap.start_us < high_us and gap.until_us > low_us
        if between and any(gap.start_us - late_us <= moment <= gap.until_us + EDGE_US for moment in moments):
            return gap.reason
    at = bisect_right(bad_us, low_us)
    if at < len(bad_us) and bad_us[at] < high_us and any(moment >= bad_us[at] - noticed_us for moment in moments):
        return "BAD"
    return ""


def _silences(
    known: Sequence[Handed],
    placed: Mapping[int, int],
    bad_us: Sequence[int],
    gaps: Sequence[Gap],
    longest_us: int,
    noticed_us: int,
    result: Account,
) -> None:
    for one, two in itertools.pairwise(known):
        if two.time_us - one.time_us <= longest_us:
            continue
        low_us, high_us = _true_us(one, two, placed), placed[two.number]
        explained = list(gaps)
        at = bisect_right(bad_us, low_us)
        if at < len(bad_us) and bad_us[at] < high_us:
            # From its BAD row on, and as long before as it takes to find that; what is before must be in a gap.
            explained.append(Gap(gateway="", device="", start_us=bad_us[at] - noticed_us, end_us=high_us, reason="BAD"))
        covered = sum(
            max(0, min(gap.until_us, high_us) - max(gap.start_us, low_us))
            for gap in _joined(explained, low_us, high_us)
        )
        if two.time_us - one.time_us - covered > longest_us:
            result.silent.append((one.time_us, two.time_us))


def _joined(gaps: Iterable[Gap], low_us: int, high_us: int) -> list[Gap]:
    """The gaps between two moments, overlapping ones as one."""
    joined: list[Gap] = []
    for gap in sorted(gaps, key=lambda one: one.start_us):
        if gap.until_us <= low_us or gap.start_us >= high_us:
            continue
        if joined and gap.start_us <= joined[-1].until_us:
            last = joined.pop()
            end_us = max(last.until_us, gap.until_us)
            gap = Gap(gateway="", device="", start_us=last.start_us, end_us=end_us, reason=last.reason)
        joined.append(gap)
    return joined


def _known(row: Row) -> int:
    assert row.number is not None
    return row.number


def rows_inside(gap: Gap, times_us: Sequence[int]) -> int:
    """How many rows lie inside a gap, both ends exclusive.

    `times_us` are those of the rows in its scope, ascending.
    """
    return max(0, bisect_left(times_us, gap.until_us) - bisect_right(times_us, gap.start_us))


def reversed_gaps(gaps: Iterable[Gap]) -> list[Gap]:
    """Gaps that end before they start."""
    return [gap for gap in gaps if gap.end_us is not None and gap.end_us < gap.start_us]


def unprovoked(
    moments: Iterable[tuple[int, str]],
    windows: Sequence[tuple[int, int]],
    *,
    recovery_us: int,
    since_us: int = 0,
) -> list[tuple[int, str]]:
    """Explained losses that no fault was near to: something was stuck, or failed by itself.

    Args:
        moments: True time and explanation.
        windows: Begin and end of each fault, true time.
        recovery_us: How long after a fault its effects may last.
        since_us: True time at which everything worked; what was before is the start.
    """
    return [
        (moment, why)
        for moment, why in moments
        if moment >= since_us and not any(begin - 2_000_000 <= moment <= end + recovery_us for begin, end in windows)
    ]
