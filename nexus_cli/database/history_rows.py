"""The values of a series: its rows and its rollups in order of time, and the value before a moment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from nexus_cli.database.connect import Connection
from nexus_cli.database.cover import Part, Reach, cover
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.queries import StoredSample, sample_of, samples_of
from nexus_cli.database.rollup_tables import WIDTHS_US, Kept, changed_hours, load_rollups
from nexus_cli.database.rollups import Piece
from nexus_cli.database.segments import Kind
from nexus_cli.model.calendar import DAY_US, EARLIEST, HOUR_US, microseconds, moment_of

LOOK_BACK = (timedelta(hours=6), timedelta(days=8))
"""How far the last value before a moment is looked for at first; then in all that is stored."""
_COLUMN = {"bool": "value", "number": "value", "text": "value_text", "json": "value_json"}
_PREFETCH = 5000
_TIME = '"time"'
_WHERE = "series_id = $1 AND {0} >= $2 AND {0} < $3"
_ROLLED = (
    "first_time, last_time, n, good, low, high, first_value, last_value, held, days, covered_us, low_exact, high_exact,"
    " first_exact, last_exact, held_exact"
)
_V, _X = "CASE WHEN quality <> 0 THEN value END", "CASE WHEN quality <> 0 THEN value_exact END"
_ALONE = (
    f"{_TIME} AS first_time, {_TIME} AS last_time, 1 AS n, (quality = 192)::int AS good, {_V} AS low, {_V} AS high,"
    f" {_V} AS first_value, {_V} AS last_value, {_V} AS held, 0 AS days, 0 AS covered_us, {_X} AS low_exact,"
    f" {_X} AS high_exact, {_X} AS first_exact, {_X} AS last_exact, {_X} AS held_exact"
)
"""A sample as a rollup of one."""


class Sample(NamedTuple):
    """Time (µs since 1970 UTC), value (None when BAD, JSON as text) and quality of a row."""

    time_us: int
    value: Any
    quality: int


class MixedError(Exception):
    """Two classes hold rows of the series whose rollups lie across each other: read the samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the rows of a series are, at one moment.

    Attributes:
        series_id: The series.
        samples: Its samples, for a FROM.
        tables: Every relation of samples by class table.
        kept: Rollups by width in µs, then by class table.
        stale: Hours that were written to since they were rolled up, as spans in µs since 1970 UTC, ascending.
    """

    series_id: int
    samples: str
    tables: dict[str, tuple[str, ...]]
    kept: dict[int, dict[str, Kept]]
    stale: tuple[tuple[int, int], ...]

    def parts(self, start_us: int, end_us: int, *, cuts: Sequence[int], widest_us: int) -> list[Part]:
        """How to read a span, with rollups that are no wider than `widest_us`; see `cover`."""
        reaches = []
        for width_us in sorted(self.kept, reverse=True):
            there = self.kept[width_us].values()
            if width_us > widest_us or any(each.done_from_us is None or each.done_until_us is None for each in there):
                continue
            low = max(each.done_from_us or 0 for each in there)
            high = min(each.done_until_us or 0 for each in there)
            reaches.append(Reach(width_us=width_us, start_us=low, end_us=high))
        return cover(start_us, end_us, cuts=cuts, reaches=reaches, stale=self.stale)


async def sources_of(conn: Connection, *, series_id: int) -> Sources:
    """Where the rows of a series are: in the class that it has, and in those that it had."""
    rows = await conn.fetch(
        f"""SELECT c.table_name, c.hypertable FROM {SCHEMA}.retention_class c
            JOIN {SCHEMA}.series s ON s.site = c.site WHERE s.id = $1 ORDER BY c.table_name""",
        series_id,
    )
    tables = {row["table_name"]: (row["table_name"], *_rest(row["table_name"], row["hypertable"])) for row in rows}
    kept: dict[int, dict[str, Kept]] = {}
    for each in await load_rollups(conn, list(tables)):
        kept.setdefault(WIDTHS_US[each.width], {})[each.table] = each
    hours = sorted(await changed_hours(conn, list(tables)))
    return Sources(
        series_id=series_id,
        samples=await samples_of(conn, series_id=series_id),
        tables=tables,
        kept=kept,
        stale=tuple((hour * HOUR_US, (hour + 1) * HOUR_US) for hour in hours),
    )


def _rest(table: str, hypertable: bool) -> tuple[str, ...]:
    return () if hypertable else (f"{table}_rest",)


async def stream(
    conn: Connection, sources: Sources, parts: Sequence[Part], *, kind: Kind, exact: bool
) -> AsyncIterator[Sample | Piece]:
    """Rows and rolled-up pieces of these parts in order of time; memory stays bounded. Inside a transaction.

    Args:
        conn: An open connection, in a transaction.
        sources: Where they are.
        parts: From `Sources.parts`.
        kind: Which column holds the values.
        exact: Whether some are 64-bit integers.

    Raises:
        MixedError: See there.
    """
    last_us: int | None = None
    for part in parts:
        if not part.width_us:
            async for sample in _raw(conn, sources, part, kind=kind, exact=exact):
                yield sample
            continue
        async for piece in _rolled(conn, sources, part, exact=exact):
            if last_us is not None and piece.first_us <= last_us:
                raise MixedError
            last_us = piece.last_us
            yield piece


async def _raw(conn: Connection, sources: Sources, part: Part, *, kind: Kind, exact: bool) -> AsyncIterator[Sample]:
    columns = _COLUMN[kind] + (", value_exact" if exact else "")
    cursor = conn.cursor(
        f"""SELECT "time", quality, {columns} FROM {sources.samples}
            WHERE series_id = $1 AND "time" >= $2 AND "time" < $3 ORDER BY "time" """,
        *(sources.series_id, moment_of(part.start_us), moment_of(part.end_us)),
        prefetch=_PREFETCH,
    )
    async for row in cursor:
        value = row[2]
        if exact and row[3] is not None:
            value = int(row[3])
        yield Sample(microseconds(row[0]), value, row[1])


async def _rolled(conn: Connection, sources: Sources, part: Part, *, exact: bool) -> AsyncIterator[Piece]:
    cursor = await conn.cursor(
        f"SELECT {_us('first_time')}, {_us('last_time')}, n, good, low, high, first_value, last_value, held, days,"
        " covered_us, low_exact, high_exact, first_exact, last_exact, held_exact"
        f" FROM ({_rolled_rows(sources, part.width_us)}) AS rolled ORDER BY first_time",
        *(sources.series_id, moment_of(part.start_us), moment_of(part.end_us)),
    )
    while rows := await cursor.fetch(_PREFETCH):
        for first_us, last_us, count, good, *values, days, covered_us, low, high, first, last, held in rows:
            if exact:
                precise = (low, high, first, last, held)
                values = [_precise(one, other) for one, other in zip(values, precise, strict=True)]
            yield Piece(
                first_us=first_us,
                last_us=last_us,
                count=count,
                good=good,
                minimum=values[0],
                maximum=values[1],
                first=values[2],
                last=values[3],
                held=values[4],
                area=(days or 0.0) * DAY_US,
                covered_us=round(covered_us),
            )


def _precise(value: float | None, exact: Decimal | None) -> float | int | None:
    """The exact integer where it is that of the same row: around a change of type some rows have only a double."""
    return value if exact is None or value != float(exact) else int(exact)


def _us(column: str) -> str:
    return f"(extract(epoch FROM {column}) * 1000000)::bigint"


def _rolled_rows(sources: Sources, width_us: int) -> str:
    there = sources.kept[width_us]
    asked = []
    for table, relations in sources.tables.items():
        if table in there:
            asked.append(f'SELECT {_ROLLED} FROM {SCHEMA}."{there[table].relation}" WHERE {_WHERE.format("bucket")}')
        else:  # a class that the series was in once, and that keeps no rollups of this width: each row for itself
            asked += [
                f'SELECT {_ALONE} FROM {SCHEMA}."{relation}" WHERE {_WHERE.format(_TIME)}' for relation in relations
            ]
    return " UNION ALL ".join(asked)


async def rolled_samples(conn: Connection, sources: Sources, *, start: datetime, end: datetime) -> int:
    """How many samples the kept hours that lie in a span have: there are no fewer in it, and no sample is read."""
    found = [
        await conn.fetchval(
            f"""SELECT sum(n)::bigint FROM {SCHEMA}."{each.relation}"
                WHERE series_id = $1 AND bucket >= $2 AND bucket < $3 AND bucket + interval '1 hour' <= $3""",
            *(sources.series_id, start, end),
        )
        for each in sources.kept.get(HOUR_US, {}).values()
    ]
    return sum(number or 0 for number in found)


async def last_before(conn: Connection, sources: Sources, *, time_us: int) -> StoredSample | None:
    """The newest sample before a moment, however old: what was true when a span began."""
    high_us = time_us
    for back in LOOK_BACK:
        low_us = time_us - back // timedelta(microseconds=1)
        found = await _newest(conn, sources, low_us, high_us)
        if found is not None:
            return found
        high_us = low_us
    low_us = await _last_rolled(conn, sources, high_us)
    return await _newest(conn, sources, low_us, high_us)


async def _last_rolled(conn: Connection, sources: Sources, before_us: int) -> int:
    """A moment from which on the newest sample before `before_us` is, by the rollups; the earliest of all when they have none."""
    found = [
        await conn.fetchval(
            f'SELECT max(bucket) FROM {SCHEMA}."{each.relation}" WHERE series_id = $1 AND bucket < $2',
            *(sources.series_id, moment_of(before_us)),
        )
        for each in sources.kept.get(HOUR_US, {}).values()
    ]
    return max((microseconds(moment) for moment in found if moment is not None), default=microseconds(EARLIEST))


async def _newest(conn: Connection, sources: Sources, low_us: int, high_us: int) -> StoredSample | None:
    row = await conn.fetchrow(
        f"""SELECT "time", value, value_exact, value_text, value_json, quality, status, source_time
            FROM {sources.samples} WHERE series_id = $1 AND "time" >= $2 AND "time" < $3
            ORDER BY "time" DESC LIMIT 1""",
        *(sources.series_id, moment_of(low_us), moment_of(high_us)),
    )
    return None if row is None else sample_of(row)
