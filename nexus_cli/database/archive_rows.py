"""What the archive needs of a day's rows: which days have any, what they are together, and the rows themselves as CSV.

The digest of rows is the sum of their hashes by PostgreSQL: it does not depend on their order, a row that is added, changed or
removed changes it, and the server works it out beside the rows.

See docs/decisions/0095.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from nexus_cli.database.class_table import SampleClass
from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SAMPLE_COLUMNS, SCHEMA
from nexus_cli.model.calendar import EARLIEST

DAY = timedelta(days=1)
_EPOCH = date(1970, 1, 1)
_COLUMNS = ", ".join(f't."{name}"' for name in SAMPLE_COLUMNS)
_HASH = f"hash_record_extended(ROW({_COLUMNS}), 0)"
CSV_COLUMNS = ("time", "series_id", *SAMPLE_COLUMNS[2:])
"""Of `copy_day`: times in µs since 1970 UTC, JSON as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows of a day, together.

    Attributes:
        count: How many.
        digest: Of all of them, whatever their order.
    """

    count: int = 0
    digest: str = "0"


def day_of(number: int) -> date:
    """The day so many days after 1970-01-01."""
    return _EPOCH + timedelta(days=number)


def span_of(day: date) -> tuple[datetime, datetime]:
    """Begin (inclusive) and end (exclusive) of a day, UTC."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return start, start + DAY


def relations_of(made: SampleClass) -> tuple[str, ...]:
    """The relations that hold the rows of a class."""
    return (made.table,) if made.hypertable else (made.table, made.rest)


async def days_with_rows(
    conn: Connection, relations: Sequence[str], *, until: datetime, since: datetime = EARLIEST
) -> list[date]:
    """The days that have rows and end by `until`, ascending. One look-up a day: nothing is counted."""
    found: set[date] = set()
    for relation in relations:
        moment = since
        while moment < until:
            row = await conn.fetchval(
                f'SELECT min("time") FROM {SCHEMA}."{relation}" WHERE "time" >= $1 AND "time" < $2', moment, until
            )
            if row is None:
                break
            _, moment = span_of(row.astimezone(UTC).date())
            if moment <= until:
                found.add(row.astimezone(UTC).date())
    return sorted(found)


async def rows_by_day(
    conn: Connection, relations: Sequence[str], *, start: datetime, end: datetime
) -> dict[date, Rows]:
    """What each day between two moments holds; reads all rows of it. Days without rows are missing."""
    parts = " UNION ALL ".join(
        f'SELECT t."time", {_HASH} AS hash FROM {SCHEMA}."{relation}" t WHERE t."time" >= $1 AND t."time" < $2'
        for relation in relations
    )
    rows = await conn.fetch(
        f"""SELECT floor(extract(epoch FROM "time") / 86400)::int AS day, count(*) AS count, sum(hash)::text AS digest
            FROM ({parts}) AS each GROUP BY 1""",
        *(start, end),
    )
    return {day_of(row["day"]): Rows(count=row["count"], digest=row["digest"]) for row in rows}


async def rows_of_day(conn: Connection, made: SampleClass, day: date) -> Rows:
    """What one day of a class holds."""
    start, end = span_of(day)
    return (await rows_by_day(conn, relations_of(made), start=start, end=end)).get(day, Rows())


async def copy_day(
    conn: Connection, made: SampleClass, day: date, *, taken: Callable[[bytes], Awaitable[None]]
) -> None:
    """The rows of a day as CSV without a head (`CSV_COLUMNS`), by series and time; each piece has whole rows.

    NULL is an empty field, an empty text is a quoted one. `taken` is waited for: memory stays bounded.
    """
    start, end = span_of(day)

    def shown(name: str) -> str:
        if name in ("time", "source_time"):
            return f'(extract(epoch FROM t."{name}") * 1000000)::bigint'
        return f't."{name}"'

    inside = f"t.\"time\" >= '{start.isoformat()}' AND t.\"time\" < '{end.isoformat()}'"
    both = " UNION ALL ".join(
        f'SELECT {_COLUMNS} FROM {SCHEMA}."{relation}" t WHERE {inside}' for relation in relations_of(made)
    )
    columns = ", ".join(shown(name) for name in SAMPLE_COLUMNS)
    await conn.copy_from_query(
        f'SELECT {columns} FROM ({both}) t ORDER BY t.series_id, t."time"', output=taken, format="csv", timeout=None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFacts:
    """A series as the manifest names it."""

    id: int
    ulid: str
    path: str
    former_paths: tuple[str, ...]
    type: str
    unit: str
    segments: str


async def series_facts(conn: Connection, *, site: str) -> dict[int, SeriesFacts]:
    """The series of a site by id; one that was purged is missing."""
    rows = await conn.fetch(
        f"SELECT id, ulid, path, former_paths, type, unit, segments::text AS segments FROM {SCHEMA}.series"
        " WHERE site = $1",
        site,
    )
    return {row["id"]: SeriesFacts(**{**dict(row), "former_paths": tuple(row["former_paths"])}) for row in rows}
