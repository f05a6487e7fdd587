"""The pattern of `sample_{class}`: one table per retention class, because retention drops whole partitions.

Without TimescaleDB a class is a table partitioned by time, with a default partition that catches what lies outside
the prepared periods; with it, a hypertable. The view `sample` joins all of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from nexus_cli.database.connect import Connection
from nexus_cli.database.tables import SAMPLE_COLUMNS, SCHEMA

DAY_MS = 86_400_000
KEEP_DEFAULT_MS = 400 * DAY_MS
"""Kept for a class that a series names and nobody declared (`default`)."""
LOCK_KEY = 0x6E6578_75730002
"""Advisory lock of everything that creates or drops classes and partitions."""

_COLUMNS = """
  "time" timestamptz NOT NULL,
  series_id integer NOT NULL,
  value double precision,
  value_exact numeric(20,0),
  value_text text,
  value_json jsonb,
  quality smallint NOT NULL,
  status bigint,
  source_time timestamptz
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleClass:
    """A retention class as the database knows it.

    Attributes:
        name: As in the site file.
        table: `sample_{class}`, without the schema.
        keep_ms: Age at which samples go.
        hypertable: True when TimescaleDB keeps its partitions.
    """

    name: str
    table: str
    keep_ms: int
    hypertable: bool


def table_name(class_name: str) -> str:
    """The table of a class: `sample_` and the name with `-` and `.` as `_`, at most 40 characters."""
    return "sample_" + re.sub(r"[^a-z0-9_]", "_", class_name.lower())[:33]


def period_of(moment: datetime, *, keep_ms: int) -> tuple[datetime, datetime]:
    """The partition that holds a moment: a day, a week (from Monday) or a month, by how long samples live.

    Days up to 31 days of keeping, weeks up to 800, else months: at most some 120 partitions for years of data.

    Args:
        moment: With a time zone.
        keep_ms: The class's `keep`.

    Returns:
        Start (inclusive) and end (exclusive), UTC.
    """
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if keep_ms <= 31 * DAY_MS:
        return day, day + timedelta(days=1)
    if keep_ms <= 800 * DAY_MS:
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


def partition_name(table: str, start: datetime) -> str:
    """The name of the partition that begins at `start`."""
    return f"{table}_p{start:%Y%m%d}"


async def has_timescale(conn: Connection) -> bool:
    """True when the TimescaleDB extension is installed in this database."""
    found: bool = await conn.fetchval("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')")
    return found


async def timescale_licensed(conn: Connection) -> bool:
    """True when the build has compression and policies; the `apache` licence answers 0A000 to them."""
    try:
        return bool(await conn.fetchval("SELECT current_setting('timescaledb.license', true)") == "timescale")
    except asyncpg.PostgresError:
        return False


async def ensure_class(
    conn: Connection,
    name: str,
    *,
    keep_ms: int = KEEP_DEFAULT_MS,
    compress_after_ms: int | None = None,
    rollups: Sequence[str] = (),
) -> SampleClass:
    """Make the table of a retention class, or bring what is known of it up to date. Safe to repeat.

    Runs inside the caller's transaction or in one of its own.

    Args:
        conn: An open connection.
        name: The class, as in the site file.
        keep_ms: Age at which samples are dropped.
        compress_after_ms: Age at which chunks are compressed (TimescaleDB); None never.
        rollups: Aggregates to keep: `1m`, `5m`, `15m`, `1h`, `1d`.
    """
    async with conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
        row = await conn.fetchrow(f"SELECT table_name, hypertable FROM {SCHEMA}.retention_class WHERE name = $1", name)
        if row is None:
            table = await _free_table_name(conn, name)
            hyper = await _create(conn, table, keep_ms=keep_ms)
            await conn.execute(
                f"INSERT INTO {SCHEMA}.retention_class (name, table_name, keep_ms, compress_after_ms, rollups, hypertable)"
                " VALUES ($1, $2, $3, $4, $5, $6)",
                *(name, table, keep_ms, compress_after_ms, list(rollups), hyper),
            )
            await refresh_view(conn)
        else:
            table, hyper = row["table_name"], row["hypertable"]
            await conn.execute(
                f"UPDATE {SCHEMA}.retention_class SET keep_ms = $2, compress_after_ms = $3, rollups = $4 WHERE name = $1",
                *(name, keep_ms, compress_after_ms, list(rollups)),
            )
        made = SampleClass(name=name, table=table, keep_ms=keep_ms, hypertable=hyper)
        if hyper and await timescale_licensed(conn):
            await _policies(conn, made, compress_after_ms=compress_after_ms)
        if not hyper:
            now: datetime = await conn.fetchval("SELECT now()")
            for start, end in periods_around(now, keep_ms=keep_ms):
                await _make_partition(conn, made.table, start, end)
        return made


def periods_around(now: datetime, *, keep_ms: int) -> list[tuple[datetime, datetime]]:
    """The period before now, the one of now and the next: what is always prepared."""
    current = period_of(now, keep_ms=keep_ms)
    before = period_of(current[0] - timedelta(hours=1), keep_ms=keep_ms)
    return [before, current, period_of(current[1], keep_ms=keep_ms)]


async def _free_table_name(conn: Connection, name: str) -> str:
    """Two names may fold to one table name (`a-b`, `a.b`); the later gets a number."""
    base = table_name(name)
    taken = {row["table_name"] for row in await conn.fetch(f"SELECT table_name FROM {SCHEMA}.retention_class")}
    return next(each for each in (base, *(f"{base}_{number}" for number in range(2, 10_000))) if each not in taken)


async def _create(conn: Connection, table: str, *, keep_ms: int) -> bool:
    """Create the table; True when it became a hypertable."""
    if await has_timescale(conn):
        await conn.execute(f'CREATE TABLE {SCHEMA}."{table}" ({_COLUMNS}, UNIQUE ("time", series_id))')
        days = 1 if keep_ms <= 31 * DAY_MS else 7
        await conn.execute(
            "SELECT create_hypertable($1::text::regclass, 'time', chunk_time_interval => $2::interval,"
            " create_default_indexes => false)",
            f"{SCHEMA}.{table}",
            timedelta(days=days),
        )
        return True
    await conn.execute(
        f'CREATE TABLE {SCHEMA}."{table}" ({_COLUMNS}, UNIQUE ("time", series_id)) PARTITION BY RANGE ("time")'
    )
    await conn.execute(f'CREATE TABLE {SCHEMA}."{table}_default" PARTITION OF {SCHEMA}."{table}" DEFAULT')
    return False


async def _policies(conn: Connection, made: SampleClass, *, compress_after_ms: int | None) -> None:
    """Retention and compression as TimescaleDB policies; an old policy is replaced."""
    table = f"{SCHEMA}.{made.table}"
    await conn.execute("SELECT remove_retention_policy($1::text::regclass, if_exists => true)", table)
    await conn.execute(
        "SELECT add_retention_policy($1::text::regclass, drop_after => $2::interval)",
        table,
        timedelta(milliseconds=made.keep_ms),
    )
    if compress_after_ms is not None:
        enabled: bool | None = await conn.fetchval(
            "SELECT compression_enabled FROM timescaledb_information.hypertables"
            " WHERE hypertable_schema = $1 AND hypertable_name = $2",
            *(SCHEMA, made.table),
        )
        if not enabled:  # it can't be set again once chunks are compressed
            await conn.execute(
                f'ALTER TABLE {SCHEMA}."{made.table}" SET (timescaledb.compress,'
                " timescaledb.compress_segmentby = 'series_id', timescaledb.compress_orderby = '\"time\"')"
            )
        await conn.execute("SELECT remove_compression_policy($1::text::regclass, if_exists => true)", table)
        await conn.execute(
            "SELECT add_compression_policy($1::text::regclass, compress_after => $2::interval)",
            table,
            timedelta(milliseconds=compress_after_ms),
        )


async def _make_partition(conn: Connection, table: str, start: datetime, end: datetime) -> bool:
    """Create one partition unless it is there; what the default partition holds of its period moves into it."""
    name = partition_name(table, start)
    if await conn.fetchval("SELECT to_regclass($1)", f'{SCHEMA}."{name}"') is not None:
        return False
    overlaps: bool = await conn.fetchval(
        "SELECT EXISTS (SELECT FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = $1::text::regclass"
        " AND relname ~ '_p[0-9]{8}$' AND relname > $2 AND relname < $3)",
        f"{SCHEMA}.{table}",
        partition_name(table, start),
        partition_name(table, end),
    )
    if overlaps:  # `keep` was changed and smaller periods exist here: the default partition takes what lies between
        return False
    await conn.execute(f'CREATE TABLE {SCHEMA}."{name}" (LIKE {SCHEMA}."{table}" INCLUDING ALL)')
    await conn.execute(
        f'WITH moved AS (DELETE FROM {SCHEMA}."{table}_default" WHERE "time" >= $1 AND "time" < $2 RETURNING *)'
        f' INSERT INTO {SCHEMA}."{name}" SELECT * FROM moved',
        start,
        end,
    )
    try:
        async with conn.transaction():
            await conn.execute(
                f'ALTER TABLE {SCHEMA}."{table}" ATTACH PARTITION {SCHEMA}."{name}"'
                f" FOR VALUES FROM ('{start.isoformat()}') TO ('{end.isoformat()}')"
            )
    except asyncpg.InvalidObjectDefinitionError:  # a larger period covers it
        await conn.execute(
            f'INSERT INTO {SCHEMA}."{table}" SELECT * FROM {SCHEMA}."{name}" ON CONFLICT DO NOTHING',
        )
        await conn.execute(f'DROP TABLE {SCHEMA}."{name}"')
        return False
    return True


async def ensure_partitions(conn: Connection, made: SampleClass, moments: Sequence[datetime]) -> int:
    """Create the partitions that hold these moments.

    Returns:
        How many were created.
    """
    if made.hypertable:
        return 0
    wanted = sorted({period_of(moment, keep_ms=made.keep_ms) for moment in moments})
    async with conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
        created = [await _make_partition(conn, made.table, start, end) for start, end in wanted]
    return sum(created)


async def load_classes(conn: Connection) -> dict[str, SampleClass]:
    """Every retention class by name."""
    rows = await conn.fetch(f"SELECT name, table_name, keep_ms, hypertable FROM {SCHEMA}.retention_class")
    return {
        row["name"]: SampleClass(
            name=row["name"], table=row["table_name"], keep_ms=row["keep_ms"], hypertable=row["hypertable"]
        )
        for row in rows
    }


async def refresh_view(conn: Connection) -> None:
    """Make the view `sample` show every class table."""
    columns = ", ".join(f'"{column}"' for column in SAMPLE_COLUMNS)
    tables = [made.table for made in (await load_classes(conn)).values()]
    union = " UNION ALL ".join(f'SELECT {columns} FROM {SCHEMA}."{table}"' for table in sorted(tables))
    if union:
        await conn.execute(f"CREATE OR REPLACE VIEW {SCHEMA}.sample AS {union}")
