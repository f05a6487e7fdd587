"""Writing samples: straight COPY, and the staged way that leaves what is there already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import asyncpg

from nexus_cli.database.class_table import SampleClass
from nexus_cli.database.connect import Connection
from nexus_cli.database.copy import copy_rows
from nexus_cli.database.names import SAMPLE_COLUMNS, SCHEMA
from nexus_cli.database.partitions import Partition, ensure_partitions, partitions, period_of
from nexus_cli.database.sample_class import ensure_class, load_classes

STAGE = "stage"
DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AHEAD_DAYS = 2
"""Partitions are made on demand for samples up to this far ahead; what lies further goes to the rest table."""
MOST_NEW_PARTITIONS = 60
MOST_SPANS = 60
"""A stage is written in at most so many pieces: one a day, or neighbouring days together where there are more."""
LAST_DAY = 2_900_000
"""Days since 1970 that a datetime can hold, nearly."""
_DAY = 'floor(extract(epoch FROM "time") / 86400)::bigint'
_NAMES = ", ".join(f'"{name}"' for name in SAMPLE_COLUMNS)


class Conflict(NamedTuple):
    """A sample that was not stored because its series and time hold another value already."""

    series_id: int
    time: datetime
    stored: str
    refused: str


class Span(NamedTuple):
    """One day of the stage: its number from 1970, first and last moment as SQL text, and how many rows it has."""

    day: int
    first: str
    last: str
    rows: int


class Part(NamedTuple):
    """Rows of the stage that go the same way: into which table, which condition finds them, and how many they are."""

    table: str
    where: str
    rows: int


class SampleTables:
    """A site's class tables and their partitions as far as this process knows them; forget them on a new connection."""

    def __init__(self, *, site: str) -> None:
        """Know nothing yet."""
        self._site = site
        self._classes: dict[str, SampleClass] = {}
        self._periods: dict[str, set[datetime]] = {}

    def forget(self) -> None:
        """Look everything up again."""
        self._classes.clear()
        self._periods.clear()

    async def table(self, conn: Connection, retention: str) -> SampleClass:
        """The class's table; a missing one is made with the default retention."""
        found = self._classes.get(retention)
        if found is None:
            self._classes = await load_classes(conn, site=self._site)
            found = self._classes.get(retention)
        if found is None:
            found = self._classes[retention] = await ensure_class(conn, retention, site=self._site)
        return found

    async def prepare(self, conn: Connection, retention: str, days: Iterable[int], *, now: datetime) -> bool:
        """Make the partitions that hold these days (counted from 1970), within reason; not inside a transaction.

        Days older than `keep` would be dropped at once and days far ahead come from wrong clocks: both are left to
        the rest table, as is a day whose partition can't be made now.

        Returns:
            True when every day has its partition, so that the rows can go straight.
        """
        made = await self.table(conn, retention)
        if made.hypertable:
            return True
        known = self._periods.setdefault(made.table, set())
        oldest, latest = now - timedelta(milliseconds=made.keep_ms) - DAY, now + timedelta(days=AHEAD_DAYS)
        wanted: dict[datetime, datetime] = {}
        straight = True
        for day in days:
            moment = _EPOCH + day * DAY if 0 <= day < LAST_DAY else None
            if moment is None or not oldest <= moment <= latest:
                straight = False
                continue
            start, _ = period_of(moment, keep_ms=made.keep_ms)
            if start not in known:
                wanted[start] = moment
        if wanted:
            chosen = sorted(wanted)[-MOST_NEW_PARTITIONS:]
            try:
                await ensure_partitions(conn, made, [wanted[start] for start in chosen])
            except asyncpg.LockNotAvailableError:  # upkeep or another historian is at it, for longer than we wait
                return False
            there = await partitions(conn, made)
            for start, moment in wanted.items():
                if _held(there, (moment - _EPOCH) // DAY):
                    known.add(start)
                else:
                    straight = False
        return straight


async def copy_straight(conn: Connection, table: str, pieces: Sequence[bytes], columns: Sequence[str]) -> None:
    """COPY into a class table; a sample that is there already fails all of them (UniqueViolationError).

    So does one whose day has no partition (CheckViolationError): the staged way takes both.
    """
    await copy_rows(conn, table, pieces, columns=columns, schema=SCHEMA)


async def copy_staged(
    conn: Connection, made: SampleClass, pieces: Sequence[bytes], columns: Sequence[str]
) -> tuple[int, list[Conflict]]:
    """COPY into a temporary table and insert what is new, a day at a time; part of the caller's transaction.

    Each statement names its first and last moment: only so does TimescaleDB leave the other chunks of the history
    alone, compressed ones above all. What was inserted needs no comparison; a day is compared only where rows were not.

    Returns:
        How many rows were inserted, and those whose key holds another value already.
    """
    await conn.execute(
        f'CREATE TEMP TABLE IF NOT EXISTS {STAGE} (LIKE {SCHEMA}."{made.table}" INCLUDING DEFAULTS)'
        " ON COMMIT DELETE ROWS"
    )
    await conn.execute(f"TRUNCATE {STAGE}")
    await copy_rows(conn, STAGE, pieces, columns=columns)
    inserted, conflicts = 0, []
    spans = await _spans(conn)
    for part in _by_time(made, spans) if made.hypertable else await _by_partition(conn, made, spans):
        done: str = await conn.execute(
            f'INSERT INTO {SCHEMA}."{part.table}" ({_NAMES}) SELECT {_NAMES} FROM {STAGE} WHERE {part.where}'
            " ON CONFLICT DO NOTHING"
        )
        new = int(done.split()[-1])
        inserted += new
        if new < part.rows:
            conflicts += await _conflicts(conn, part)
    return inserted, conflicts


async def _spans(conn: Connection) -> list[Span]:
    """The days of the stage, ascending. Moments as text: the driver's end at the year 9999, PostgreSQL's do not."""
    rows = await conn.fetch(
        f"""SELECT {_DAY} AS day, min("time")::text AS first, max("time")::text AS last, count(*) AS rows FROM {STAGE}
            GROUP BY 1 ORDER BY 1"""
    )
    return [Span(row["day"], row["first"], row["last"], row["rows"]) for row in rows]


def _by_time(made: SampleClass, spans: Sequence[Span]) -> list[Part]:
    """For a hypertable: day by day, or a few neighbouring days together when there are very many."""
    width = -(-len(spans) // MOST_SPANS) or 1
    some = [spans[at : at + width] for at in range(0, len(spans), width)]
    return [
        Part(
            made.table,
            f"\"time\" >= '{days[0].first}' AND \"time\" <= '{days[-1].last}'",
            sum(span.rows for span in days),
        )
        for days in some
    ]


async def _by_partition(conn: Connection, made: SampleClass, spans: Sequence[Span]) -> list[Part]:
    """Without TimescaleDB: what has a partition, and what goes to the rest table."""
    there = await partitions(conn, made)
    if any(not _held(there, span.day) for span in spans):
        # A session that makes a partition excludes this lock while rows move into it: the list stays valid from here on.
        await conn.execute(f'LOCK TABLE {SCHEMA}."{made.rest}" IN ROW EXCLUSIVE MODE')
        there = await partitions(conn, made)
    parts = []
    for table, inside in ((made.table, True), (made.rest, False)):
        days = [span for span in spans if _held(there, span.day) is inside]
        if days:
            numbers = ", ".join(str(span.day) for span in days)
            parts.append(Part(table, f"{_DAY} IN ({numbers})", sum(span.rows for span in days)))
    return parts


def _held(there: Sequence[Partition], day: int) -> bool:
    """True when a partition takes the rows of this day."""
    if not 0 <= day < LAST_DAY:
        return False
    moment = _EPOCH + day * DAY
    return any(each.start <= moment < each.end and not each.leaving for each in there)


async def _conflicts(conn: Connection, part: Part) -> list[Conflict]:
    def compared(alias: str) -> str:
        return f"({alias}.value, {alias}.value_exact, {alias}.value_text, {alias}.value_json, {alias}.quality)"

    # LATERAL with OFFSET looks each row up by its key. A plain join lets the planner, which knows nothing of the
    # stage, decompress whole series instead.
    rows = await conn.fetch(
        f"""SELECT s.series_id, s."time", {compared("t")}::text AS stored, {compared("s")}::text AS refused
            FROM (SELECT * FROM {STAGE} WHERE {part.where}) s, LATERAL (
              SELECT * FROM {SCHEMA}."{part.table}" i
              WHERE i."time" = s."time" AND i.series_id = s.series_id AND {part.where.replace('"time"', 'i."time"')}
              OFFSET 0) t
            WHERE {compared("t")} IS DISTINCT FROM {compared("s")}"""
    )
    return [Conflict(row["series_id"], row["time"], row["stored"][:200], row["refused"][:200]) for row in rows]
