"""What a replay reads: series with their terms over time, the rows of many series in the order of time, dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.queries import StoredSample, load_series, sample_of
from nexus_cli.database.segments import Segment, segments_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayedSeries:
    """A series, and in which terms its samples were stored.

    Attributes:
        id: Key of its samples.
        path: `area/line/device/tag` of today.
        segments: Ascending; at least one.
    """

    id: int
    path: str
    segments: tuple[Segment, ...]

    def at(self, time_us: int) -> Segment:
        """The terms of a moment."""
        for segment in reversed(self.segments):
            if segment.since_us <= time_us:
                return segment
        return self.segments[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A dead letter.

    Attributes:
        id: Ascending.
        at: When it was recorded.
        topic: Where it came from.
        reason: One word.
        payload: As text; bytes that are not UTF-8 as `\\xNN`, at most 4 KiB.
        count: How many alike were folded into it.
    """

    id: int
    at: datetime
    topic: str
    reason: str
    payload: str
    count: int


async def played_series(conn: Connection, *, site: str) -> list[PlayedSeries]:
    """Every series of a site, forgotten ones included."""
    rows = await conn.fetch(f"SELECT id, segments::text AS segments FROM {SCHEMA}.series WHERE site = $1", site)
    stored = {row["id"]: row["segments"] for row in rows}
    return [
        PlayedSeries(
            id=each.id,
            path=each.path,
            segments=tuple(segments_of(stored[each.id], type=each.type, unit=each.unit, labels=each.labels)),
        )
        for each in await load_series(conn, site=site)
        if each.id in stored
    ]


async def sample_tables(conn: Connection, *, site: str) -> str:
    """Every table of samples of a site, for a FROM."""
    rows = await conn.fetch(
        f"SELECT table_name, hypertable FROM {SCHEMA}.retention_class WHERE site = $1 ORDER BY table_name", site
    )
    names = [
        name
        for row in rows
        for name in ([row["table_name"]] if row["hypertable"] else [row["table_name"], f"{row['table_name']}_rest"])
    ]
    union = " UNION ALL ".join(f'SELECT * FROM {SCHEMA}."{name}"' for name in names)
    return f"({union}) AS sample" if union else f"{SCHEMA}.sample"


async def rows_between(
    conn: Connection, tables: str, *, series: Sequence[int], since: datetime, until: datetime, limit: int
) -> list[tuple[int, StoredSample]]:
    """Series and sample of every row with `since <= time < until`, by time, then by series; the first `limit`."""
    rows = await conn.fetch(
        f"""SELECT series_id, "time", value, value_exact, value_text, value_json, quality, status, source_time
            FROM {tables}
            WHERE series_id = ANY($1::bigint[]) AND "time" >= $2 AND "time" < $3
            ORDER BY "time", series_id LIMIT $4""",
        *(list(series), since, until, limit),
    )
    return [(row["series_id"], sample_of(row)) for row in rows]


async def first_row(
    conn: Connection, tables: str, *, series: Sequence[int], since: datetime, until: datetime
) -> datetime | None:
    """The time of the first row of these series in a span; None without one."""
    found: datetime | None = await conn.fetchval(
        f"""SELECT min("time") FROM {tables} WHERE series_id = ANY($1::bigint[]) AND "time" >= $2 AND "time" < $3""",
        *(list(series), since, until),
    )
    return found


async def letters_after(
    conn: Connection, *, site: str, after: int, since: datetime, until: datetime, limit: int
) -> list[Letter]:
    """Dead letters of a span beyond an id, by id; the first `limit`."""
    rows = await conn.fetch(
        f"""SELECT id, at, topic, reason, payload, count FROM {SCHEMA}.dead_letter
            WHERE site = $1 AND id > $2 AND at >= $3 AND at < $4 ORDER BY id LIMIT $5""",
        *(site, after, since, until, limit),
    )
    return [Letter(**dict(row)) for row in rows]


async def credentials_of(conn: Connection, *, site: str) -> list[tuple[str, str, str, bool]]:
    """Principal, slot, hashes (JSON) and whether it is active, of every valid password of a site."""
    rows = await conn.fetch(
        f"""SELECT principal, slot, hashes::text AS hashes, active FROM {SCHEMA}.credential
            WHERE site = $1 AND (expires IS NULL OR expires > now())""",
        site,
    )
    return [(row["principal"], row["slot"], row["hashes"], row["active"]) for row in rows]


async def copy_credentials(conn: Connection, *, site: str, rows: Sequence[tuple[str, str, str, bool]]) -> None:
    """Write such passwords for another site; one that is there stays."""
    await conn.executemany(
        f"""INSERT INTO {SCHEMA}.credential (site, principal, slot, hashes, active, made_by)
            VALUES ($1, $2, $3, $4::text::jsonb, $5, 'nexus replay') ON CONFLICT DO NOTHING""",
        [(site, *row) for row in rows],
    )
