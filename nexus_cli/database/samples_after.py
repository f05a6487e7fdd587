"""Stored samples of many tags, each from a moment of its own on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.queries import StoredSample, sample_of
from nexus_cli.model.calendar import moment_of


class TagSample(NamedTuple):
    """A stored sample, and of what.

    Attributes:
        path: As asked.
        type: Of its series.
        sample: The row.
    """

    path: str
    type: str
    sample: StoredSample


async def samples_after(
    conn: Connection, *, site: str, since_us: Mapping[str, int], until_us: int, limit: int
) -> list[TagSample]:
    """Samples of the tags with `since < time <= until`, ascending by time; of more than `limit` the newest.

    Args:
        conn: An open connection.
        site: `enterprise/site`.
        since_us: By path, µs since 1970 UTC.
        until_us: µs since 1970 UTC.
        limit: At most so many.
    """
    tables = await conn.fetch(
        f"SELECT table_name, hypertable FROM {SCHEMA}.retention_class WHERE site = $1 ORDER BY table_name", site
    )
    names = [
        name
        for row in tables
        for name in ([row["table_name"]] if row["hypertable"] else [row["table_name"], f"{row['table_name']}_rest"])
    ]
    if not names or not since_us:
        return []
    union = " UNION ALL ".join(
        f"""SELECT w.path, s.type, t.* FROM wanted w JOIN {SCHEMA}.series s ON s.site = $1 AND s.path = w.path,
            LATERAL (SELECT * FROM {SCHEMA}."{name}" WHERE series_id = s.id AND "time" > w.since AND "time" <= $4
                     ORDER BY "time" DESC LIMIT $5) t"""
        for name in names
    )
    rows = await conn.fetch(
        f"""WITH wanted AS (SELECT * FROM unnest($2::text[], $3::timestamptz[]) AS w(path, since))
            SELECT path, type, "time", value, value_exact, value_text, value_json, quality, status, source_time
            FROM ({union}) AS found ORDER BY "time" DESC LIMIT $5""",
        *(site, list(since_us), [moment_of(max(0, each)) for each in since_us.values()]),
        *(moment_of(until_us), limit),
    )
    return [TagSample(row["path"], row["type"], sample_of(row)) for row in reversed(rows)]
