"""Rows since a moment: count and newest time by path (the demo's proof that every part works)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA

_ARRIVALS = f"""SELECT series.path, count(sample.time) AS rows, max(sample.time) AS newest
  FROM {SCHEMA}.series LEFT JOIN {SCHEMA}.sample ON sample.series_id = series.id AND sample.time >= $2
  WHERE series.site = $1 AND series.active GROUP BY series.path"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Rows of one series.

    Attributes:
        rows: How many since the moment.
        newest: Time of the newest; None when there is none.
    """

    rows: int
    newest: datetime | None


async def arrivals_since(conn: Connection, *, site: str, since: datetime) -> dict[str, Arrival]:
    """Every active series of a site by path, those without a row included."""
    rows = await conn.fetch(_ARRIVALS, site, since)
    return {row["path"]: Arrival(rows=row["rows"], newest=row["newest"]) for row in rows}
