"""Writing samples: straight COPY, and the staged way that leaves what is there already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from nexus_cli.database.connect import Connection
from nexus_cli.database.copy import copy_rows
from nexus_cli.database.sample_class import SampleClass, ensure_class, ensure_partitions, load_classes, period_of
from nexus_cli.database.tables import SAMPLE_COLUMNS, SCHEMA

STAGE = "stage"
DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AHEAD_DAYS = 2
"""Partitions are made on demand for samples up to this far ahead; what lies further goes to the default partition."""
MOST_NEW_PARTITIONS = 60


class Conflict(NamedTuple):
    """A sample that was not stored because its series and time hold another value already."""

    series_id: int
    time: datetime
    stored: str
    refused: str


class SampleTables:
    """The class tables and their partitions, as far as this process knows them; forget them on a new connection."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._classes: dict[str, SampleClass] = {}
        self._periods: dict[str, set[datetime]] = {}

    def forget(self) -> None:
        """Look everything up again."""
        self._classes.clear()
        self._periods.clear()

    async def table(self, conn: Connection, retention: str) -> SampleClass:
        """The class's table; one that nobody declared is made with the default length of keeping."""
        found = self._classes.get(retention)
        if found is None:
            self._classes = await load_classes(conn)
            found = self._classes.get(retention)
        if found is None:
            found = self._classes[retention] = await ensure_class(conn, retention)
        return found

    async def prepare(self, conn: Connection, retention: str, days: Iterable[int], *, now: datetime) -> None:
        """Make the partitions that hold these days (counted from 1970), within reason; not inside a transaction.

        Days older than `keep` would be dropped at once and days far ahead come from wrong clocks: both are left to
        the default partition.
        """
        made = await self.table(conn, retention)
        if made.hypertable:
            return
        known = self._periods.setdefault(made.table, set())
        oldest, latest = now - timedelta(milliseconds=made.keep_ms) - DAY, now + timedelta(days=AHEAD_DAYS)
        missing: dict[datetime, datetime] = {}
        for day in days:
            if not 0 <= day < 2_900_000:
                continue
            moment = _EPOCH + day * DAY
            start, _ = period_of(moment, keep_ms=made.keep_ms)
            if start not in known and oldest <= moment <= latest:
                missing[start] = moment
        if missing:
            chosen = sorted(missing)[-MOST_NEW_PARTITIONS:]
            await ensure_partitions(conn, made, [missing[start] for start in chosen])
            known.update(chosen)


async def copy_straight(conn: Connection, table: str, pieces: Sequence[bytes], columns: Sequence[str]) -> None:
    """COPY into a class table; a sample that is there already fails all of them (UniqueViolationError)."""
    await copy_rows(conn, table, pieces, columns=columns, schema=SCHEMA)


async def copy_staged(
    conn: Connection, table: str, pieces: Sequence[bytes], columns: Sequence[str]
) -> tuple[int, list[Conflict]]:
    """COPY into a temporary table and insert what is new; part of the caller's transaction.

    Returns:
        How many rows were inserted, and those whose key holds another value already.
    """
    await conn.execute(
        f'CREATE TEMP TABLE IF NOT EXISTS {STAGE} (LIKE {SCHEMA}."{table}" INCLUDING DEFAULTS) ON COMMIT DELETE ROWS'
    )
    await conn.execute(f"TRUNCATE {STAGE}")
    await copy_rows(conn, STAGE, pieces, columns=columns)
    names = ", ".join(f'"{name}"' for name in SAMPLE_COLUMNS)
    done: str = await conn.execute(
        f'INSERT INTO {SCHEMA}."{table}" ({names}) SELECT {names} FROM {STAGE} ON CONFLICT DO NOTHING'
    )
    return int(done.split()[-1]), await _conflicts(conn, table)


async def _conflicts(conn: Connection, table: str) -> list[Conflict]:
    def compared(alias: str) -> str:
        return f"({alias}.value, {alias}.value_exact, {alias}.value_text, {alias}.value_json, {alias}.quality)"

    rows = await conn.fetch(
        f"""SELECT s.series_id, s."time", {compared("t")}::text AS stored, {compared("s")}::text AS refused
            FROM {STAGE} s JOIN {SCHEMA}."{table}" t ON t."time" = s."time" AND t.series_id = s.series_id
            WHERE {compared("t")} IS DISTINCT FROM {compared("s")}"""
    )
    return [Conflict(row["series_id"], row["time"], row["stored"][:200], row["refused"][:200]) for row in rows]
