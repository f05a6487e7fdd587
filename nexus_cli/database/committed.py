"""Custody: which frames of which outbox are stored, as compact ranges; kept in one transaction with their rows."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.database.tables import SCHEMA

MOST_RANGES = 10_000
"""Beyond this the lowest holes are closed: they are frames that an outbox dropped long ago (and wrote a gap for)."""


class OutboxKey(NamedTuple):
    """One life of one gateway's outbox."""

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


async def load_ranges(conn: Connection, *, site: str, keys: Sequence[OutboxKey]) -> dict[OutboxKey, RangeSet]:
    """The stored ranges of these outboxes; a missing row is made, so that it can be locked and compared."""
    gateways, epochs = [key.gateway for key in keys], [key.epoch for key in keys]
    await conn.execute(
        f"""INSERT INTO {SCHEMA}.committed (site, gateway, epoch, ranges)
            SELECT $1, g, e, '[]'::jsonb FROM unnest($2::text[], $3::text[]) AS k(g, e) ORDER BY g, e
            ON CONFLICT DO NOTHING""",
        *(site, gateways, epochs),
    )
    rows = await conn.fetch(
        f"""SELECT gateway, epoch, ranges FROM {SCHEMA}.committed
            JOIN unnest($2::text[], $3::text[]) AS k(g, e) ON gateway = g AND epoch = e WHERE site = $1""",
        *(site, gateways, epochs),
    )
    return {OutboxKey(row["gateway"], row["epoch"]): RangeSet(orjson.loads(row["ranges"])) for row in rows}


async def replace_ranges(
    conn: Connection, *, site: str, expected: dict[OutboxKey, RangeSet], new: dict[OutboxKey, RangeSet]
) -> bool:
    """Store ranges if nobody else changed them meanwhile; locks their rows until the transaction ends.

    Returns:
        False when another historian was faster for at least one outbox: roll back, load and filter again.
    """
    keys = sorted(new)
    updated: str = await conn.execute(
        f"""UPDATE {SCHEMA}.committed c SET ranges = k.new::jsonb, updated = now()
            FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS k(g, e, old, new)
            WHERE c.site = $1 AND c.gateway = k.g AND c.epoch = k.e AND c.ranges = k.old::jsonb""",
        *(site, [key.gateway for key in keys], [key.epoch for key in keys]),
        *([expected[key].to_json() for key in keys], [new[key].to_json() for key in keys]),
    )
    return updated == f"UPDATE {len(keys)}"


async def all_ranges(conn: Connection, *, site: str) -> list[tuple[OutboxKey, RangeSet]]:
    """Every outbox of the site, the one that was updated last at the end."""
    rows = await conn.fetch(
        f"SELECT gateway, epoch, ranges FROM {SCHEMA}.committed WHERE site = $1 ORDER BY updated", site
    )
    return [(OutboxKey(row["gateway"], row["epoch"]), RangeSet(orjson.loads(row["ranges"]))) for row in rows]


async def prune_epochs(conn: Connection, *, site: str, older_than_days: int = 30) -> int:
    """Forget outboxes that were silent for days and have a successor; gives how many."""
    done: str = await conn.execute(
        f"""DELETE FROM {SCHEMA}.committed c WHERE site = $1 AND updated < now() - make_interval(days => $2)
            AND EXISTS (SELECT FROM {SCHEMA}.committed n
                        WHERE n.site = c.site AND n.gateway = c.gateway AND n.updated > c.updated)""",
        *(site, older_than_days),
    )
    return int(done.split()[-1])
