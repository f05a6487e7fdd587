"""Custody: which frames of which outbox are stored, as compact ranges; kept in one transaction with their rows."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA

MOST_RANGES = 10_000
"""Beyond this the lowest holes are closed: they are frames that an outbox dropped long ago (and wrote a gap for)."""
MOST_SPANS = 24
SPAN_FRAMES = 256
"""Frames of one commit that share a span of times."""
MOST_RECENT = 4_096
"""Items of an outbox whose exact times are remembered; an older one is judged by the span of its commit."""
LEGACY_AHEAD_US = 300_000_000
LIVING_EPOCHS = 8
"""Outboxes of one gateway that are announced unasked; frames of older ones get their receipt when they come again."""


class OutboxKey(NamedTuple):
    """One epoch of one gateway's outbox."""

    gateway: str
    epoch: str


class RangeSet:
    """A set of sequence numbers as disjoint, ascending, inclusive ranges; adjacent ones are merged."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, ranges: Iterable[Sequence[int]] = ()) -> None:
        """Take over ranges in any order, overlapping or not."""
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ranges:
            self.add_range(first, last)

    def __contains__(self, seq: int) -> bool:
        position = bisect_right(self._firsts, seq) - 1
        return position >= 0 and seq <= self._lasts[position]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RangeSet) and self._firsts == other._firsts and self._lasts == other._lasts

    def __hash__(self) -> int:
        return hash((tuple(self._firsts), tuple(self._lasts)))

    def __len__(self) -> int:
        return len(self._firsts)

    @property
    def last(self) -> int:
        """The highest number; 0 when it is empty."""
        return self._lasts[-1] if self._lasts else 0

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """`[(first, last), …]`, inclusive, ascending."""
        return list(zip(self._firsts, self._lasts, strict=True))

    def copy(self) -> RangeSet:
        """An independent copy."""
        other = RangeSet()
        other._firsts, other._lasts = self._firsts.copy(), self._lasts.copy()
        return other

    def add(self, seq: int) -> bool:
        """Add one number; False when it was there."""
        lasts = self._lasts
        if lasts and seq == lasts[-1] + 1:  # nearly always
            lasts[-1] = seq
            return True
        if seq in self:
            return False
        self.add_range(seq, seq)
        return True

    def add_range(self, first: int, last: int) -> None:
        """Add `first` to `last`, both included; nothing when `last` is below `first`."""
        if last < first:
            return
        firsts, lasts = self._firsts, self._lasts
        low = bisect_right(lasts, first - 2)  # the first range that touches from the left
        high = bisect_right(firsts, last + 1)  # one behind the last that touches from the right
        if low < high:
            first, last = min(first, firsts[low]), max(last, lasts[high - 1])
        firsts[low:high] = [first]
        lasts[low:high] = [last]

    def compact(self, most: int = MOST_RANGES) -> int:
        """Close the lowest holes until at most `most` ranges are left; gives how many were closed."""
        surplus = len(self._firsts) - most
        if surplus <= 0:
            return 0
        self._firsts[: surplus + 1] = [self._firsts[0]]
        self._lasts[: surplus + 1] = [self._lasts[surplus]]
        return surplus

    def to_json(self) -> str:
        """As stored."""
        return orjson.dumps(self.ranges).decode()


class FrameTimes:
    """The times of an outbox's stored frames, by number.

    A number that is used again (a disk log that went back in time) is distinguished from a replay by its time. Spans of numbers
    hold the lowest and the highest time stored under them: narrow for what was stored last, wider with age, as the
    log goes back by as much as the numbers lie behind. At most `MOST_SPANS` of them.
    """

    __slots__ = ("_lasts", "_spans")

    def __init__(self, spans: Iterable[Sequence[int]] = ()) -> None:
        """Take over `[first, last, min_us, max_us]`, ascending and disjoint by number."""
        self._spans = [(first, last, low, high) for first, last, low, high in spans]
        self._lasts = [last for _, last, _, _ in self._spans]

    def __len__(self) -> int:
        return len(self._spans)

    @property
    def spans(self) -> list[tuple[int, int, int, int]]:
        """`[(first, last, min_us, max_us), …]`, ascending."""
        return list(self._spans)

    def copy(self) -> FrameTimes:
        """An independent copy."""
        return FrameTimes(self._spans)

    def covers(self, seq: int, time_us: int) -> bool:
        """True when a frame with this number and about this time was stored."""
        position = bisect_left(self._lasts, seq)
        if position == len(self._spans):
            return False
        first, _, low, high = self._spans[position]
        return first <= seq and low <= time_us <= high

    def add(self, frames: Sequence[tuple[int, int]]) -> None:
        """Add the `(seq, time_us)` of one commit, in any order."""
        newest = self._lasts[-1] if self._lasts else 0
        fresh = sorted(each for each in frames if each[0] > newest)
        for seq, time_us in frames:
            if seq <= newest:
                self._widen(seq, time_us)
        for start in range(0, len(fresh), SPAN_FRAMES):
            piece = fresh[start : start + SPAN_FRAMES]
            times = [time_us for _, time_us in piece]
            self._spans.append((piece[0][0], piece[-1][0], min(times), max(times)))
            self._lasts.append(piece[-1][0])
        while len(self._spans) > MOST_SPANS:
            self._thin()

    def _widen(self, seq: int, time_us: int) -> None:
        position = bisect_left(self._lasts, seq)
        first, last, low, high = self._spans[position]
        self._spans[position] = (min(first, seq), last, min(low, time_us), max(high, time_us))

    def _thin(self) -> None:
        """Join the two neighbours that are narrowest for their age."""
        spans, newest = self._spans, self._lasts[-1]

        def width(at: int) -> float:
            return (spans[at + 1][1] - spans[at][0]) / (newest - spans[at + 1][1] + 1)

        at = min(range(len(spans) - 1), key=width)
        (first, _, low, high), (_, last, low_2, high_2) = spans[at], spans[at + 1]
        spans[at : at + 2] = [(first, last, min(low, low_2), max(high, high_2))]
        del self._lasts[at]

    def to_json(self) -> str:
        """As stored."""
        return orjson.dumps(self._spans).decode()


@dataclass(slots=True)
class Custody:
    """The stored numbers of one outbox.

    Attributes:
        ranges: Numbers that are stored.
        times: Times of the frames among them.
        refused: Its epoch belongs to another gateway: its messages become dead letters.
        recent: Exact time by number of what this process stored last; shared by copies.
    """

    ranges: RangeSet
    times: FrameTimes
    refused: bool = False
    recent: dict[int, int] = field(default_factory=dict, compare=False)

    def copy(self) -> Custody:
        """A copy whose ranges and times are its own."""
        return Custody(self.ranges.copy(), self.times.copy(), self.refused, self.recent)

    def is_replay(self, seq: int, time_us: int) -> bool:
        """True when this very frame is stored; False for a number that was never used, or was used at another time."""
        if seq not in self.ranges:
            return False
        known_us = self.recent.get(seq)
        return self.times.covers(seq, time_us) if known_us is None else known_us == time_us

    def remember(self, times_us: Mapping[int, int]) -> None:
        """Frames, gaps or reports were committed: the time of each number."""
        recent = self.recent
        recent.update(times_us)
        surplus = len(recent) - MOST_RECENT
        if surplus > 0:
            for seq in list(islice(recent, surplus)):
                del recent[seq]


_IS_ULID = "e ~ '^[0-9A-HJKMNP-TV-Z]{26}$'"


async def load_custody(conn: Connection, *, site: str, keys: Sequence[OutboxKey]) -> dict[OutboxKey, Custody]:
    """The custody of these outboxes; a missing row is made, so that it can be locked and compared.

    A new row whose epoch another gateway used first is marked as refused: a ULID names one epoch of one outbox.
    """
    gateways, epochs = [key.gateway for key in keys], [key.epoch for key in keys]
    await conn.execute(
        f"""INSERT INTO {SCHEMA}.committed (site, gateway, epoch, ranges, refused)
            SELECT $1, g, e, '[]'::jsonb, {_IS_ULID} AND EXISTS (
              SELECT FROM {SCHEMA}.committed o
              WHERE o.site = $1 AND o.epoch = e AND o.gateway <> g AND NOT o.refused)
            FROM unnest($2::text[], $3::text[]) AS k(g, e) ORDER BY g, e
            ON CONFLICT DO NOTHING""",
        *(site, gateways, epochs),
    )
    rows = await conn.fetch(
        f"""SELECT gateway, epoch, ranges, times, refused, updated FROM {SCHEMA}.committed
            JOIN unnest($2::text[], $3::text[]) AS k(g, e) ON gateway = g AND epoch = e WHERE site = $1""",
        *(site, gateways, epochs),
    )
    return {OutboxKey(row["gateway"], row["epoch"]): _custody(row) for row in rows}


def _custody(row: Any) -> Custody:
    ranges, spans = RangeSet(orjson.loads(row["ranges"])), orjson.loads(row["times"])
    if not spans and len(ranges):
        # Stored before times were kept: none of these frames is younger than the row's last change.
        newest_us = round(row["updated"].timestamp() * 1_000_000) + LEGACY_AHEAD_US
        spans = [(ranges.ranges[0][0], ranges.ranges[-1][1], 0, newest_us)]
    return Custody(ranges, FrameTimes(spans), row["refused"])


async def replace_custody(
    conn: Connection, *, site: str, expected: dict[OutboxKey, Custody], new: dict[OutboxKey, Custody]
) -> bool:
    """Store custody if no other session changed it meanwhile; locks the rows until the transaction ends.

    Returns:
        False when another historian was faster for at least one outbox: roll back, load and filter again.
    """
    keys = sorted(new)
    updated: str = await conn.execute(
        f"""UPDATE {SCHEMA}.committed c SET ranges = k.new::jsonb, times = k.times::jsonb, updated = now()
            FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) AS k(g, e, old, new, times)
            WHERE c.site = $1 AND c.gateway = k.g AND c.epoch = k.e AND c.ranges = k.old::jsonb""",
        *(site, [key.gateway for key in keys], [key.epoch for key in keys]),
        *([expected[key].ranges.to_json() for key in keys], [new[key].ranges.to_json() for key in keys]),
        [new[key].times.to_json() for key in keys],
    )
    return updated == f"UPDATE {len(keys)}"


async def living_outboxes(conn: Connection, *, site: str) -> list[tuple[OutboxKey, RangeSet]]:
    """The outboxes of each gateway that were written last, at most `LIVING_EPOCHS` each; the newest at the end."""
    rows = await conn.fetch(
        f"""SELECT gateway, epoch, ranges FROM (
              SELECT gateway, epoch, ranges, updated,
                row_number() OVER (PARTITION BY gateway ORDER BY updated DESC) AS place
              FROM {SCHEMA}.committed WHERE site = $1) AS c
            WHERE place <= $2 ORDER BY updated""",
        *(site, LIVING_EPOCHS),
    )
    return [(OutboxKey(row["gateway"], row["epoch"]), RangeSet(orjson.loads(row["ranges"]))) for row in rows]


async def newest_commit_us(conn: Connection, *, site: str) -> int:
    """When the site's last commit was, by the database's clock of that time, µs since 1970 UTC; 0 when never."""
    found = await conn.fetchval(f"SELECT max(updated) FROM {SCHEMA}.committed WHERE site = $1", site)
    return 0 if found is None else round(found.timestamp() * 1_000_000)


async def prune_epochs(
    conn: Connection,
    *,
    site: str,
    older_than_days: int = 30,
    crowded_days: int = 1,
    crowd: int = 100,
    most: int = 5_000,
) -> int:
    """Forget outboxes that were silent for days and have a successor; gives how many.

    Args:
        conn: An open connection.
        site: `enterprise/site`.
        older_than_days: Silent for so long.
        crowded_days: Enough silence for what is not among the newest `crowd` of its gateway: each start makes an epoch.
        crowd: How many of the newest are kept for the longer time.
        most: No gateway has more than so many, however young they are.
    """
    done: str = await conn.execute(
        f"""DELETE FROM {SCHEMA}.committed c USING (
              SELECT gateway, epoch, row_number() OVER (PARTITION BY gateway ORDER BY updated DESC) AS place
              FROM {SCHEMA}.committed WHERE site = $1) AS n
            WHERE c.site = $1 AND c.gateway = n.gateway AND c.epoch = n.epoch AND (
              (n.place > 1 AND c.updated < now() - make_interval(days => $2))
              OR (n.place > $4 AND c.updated < now() - make_interval(days => $3))
              OR n.place > $5)""",
        *(site, older_than_days, crowded_days, crowd, most),
    )
    return int(done.split()[-1])
