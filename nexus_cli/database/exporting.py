"""Stored samples of several series as CSV, worked out by the server: memory is the same for an hour and for a year."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SAMPLE_COLUMNS, SCHEMA

_VALUE = (
    "coalesce(t.value_exact::text, CASE WHEN s.type = 'bool' THEN CASE t.value WHEN 0 THEN 'false' ELSE 'true' END"
    " ELSE t.value::text END, t.value_text, t.value_json::text)"
)
"""As `nexus history` writes it in a CSV; NULL while BAD without a value."""
_TIME = 'to_char(t."time" AT TIME ZONE \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')'
_QUALITY = "CASE t.quality WHEN 192 THEN 'GOOD' WHEN 64 THEN 'UNCERTAIN' ELSE 'BAD' END"
HEAD = "path,time,value,unit,quality\n"
"""Of `copy_readable`; its unit is the series' present one."""


async def copy_readable(
    conn: Connection, ids: Sequence[int], start: datetime, end: datetime, *, taken: Callable[[bytes], Awaitable[None]]
) -> None:
    """Samples for people and spreadsheets (`HEAD`), by path and time."""
    await _copy(conn, f"s.path, {_TIME}, {_VALUE}, s.unit, {_QUALITY}", "s.path", ids, start, end, taken)


async def copy_exact(
    conn: Connection, ids: Sequence[int], start: datetime, end: datetime, *, taken: Callable[[bytes], Awaitable[None]]
) -> None:
    """Samples as the archive has them (`archive_rows.CSV_COLUMNS`), by series and time."""

    def shown(name: str) -> str:
        at = f't."{name}"'
        return f"(extract(epoch FROM {at}) * 1000000)::bigint" if name in ("time", "source_time") else at

    await _copy(conn, ", ".join(map(shown, SAMPLE_COLUMNS)), "t.series_id", ids, start, end, taken)


async def _copy(
    conn: Connection,
    columns: str,
    order: str,
    ids: Sequence[int],
    start: datetime,
    end: datetime,
    taken: Callable[[bytes], Awaitable[None]],
) -> None:
    chosen = ", ".join(str(int(each)) for each in ids)
    await conn.copy_from_query(
        f"""SELECT {columns} FROM {SCHEMA}.sample t JOIN {SCHEMA}.series s ON s.id = t.series_id
            WHERE t.series_id IN ({chosen}) AND t."time" >= '{start.isoformat()}' AND t."time" < '{end.isoformat()}'
            ORDER BY {order}, t."time\"""",
        output=taken,
        format="csv",
        timeout=None,
    )
