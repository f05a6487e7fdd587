"""TimescaleDB for a class: its hypertable, and retention and compression as policies of the server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA

_LOADED = "SELECT EXISTS (SELECT FROM pg_settings WHERE name = 'timescaledb.max_background_workers')"
"""The library's own setting exists exactly where the server preloaded it; any user may look (unlike at
`shared_preload_libraries`, which is for superusers)."""


async def has_timescale(conn: Connection) -> bool:
    """True when the extension is installed in this database and the server has its library loaded."""
    found: bool = await conn.fetchval(
        f"SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') AND ({_LOADED})"
    )
    return found


async def idle_timescale(conn: Connection) -> bool:
    """True when the server has TimescaleDB's files and does not preload its library: native partitions do the work."""
    found: bool = await conn.fetchval(
        f"SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb') AND NOT ({_LOADED})"
    )
    return found


async def _licensed(conn: Connection) -> bool:
    """True when the build has compression, policies and continuous aggregates; the `apache` licence answers 0A000 to them."""
    try:
        return bool(await conn.fetchval("SELECT current_setting('timescaledb.license', true)") == "timescale")
    except asyncpg.PostgresError:
        return False


async def can_aggregate(conn: Connection) -> bool:
    """True when the server keeps continuous aggregates: the extension is there, loaded and licensed."""
    return await has_timescale(conn) and await _licensed(conn)


async def make_hypertable(conn: Connection, table: str, *, chunk: timedelta) -> None:
    """Make an empty table a hypertable by time; its unique key is the only index."""
    await conn.execute(
        "SELECT create_hypertable($1::text::regclass, 'time', chunk_time_interval => $2::interval,"
        " create_default_indexes => false)",
        f'{SCHEMA}."{table}"',
        chunk,
    )


async def keep_policies(conn: Connection, table: str, *, keep_ms: int | None, compress_after_ms: int | None) -> bool:
    """Make the policies say what is declared: a changed age replaces one, a removed `compress_after` removes it.

    Without `keep_ms` no policy drops chunks: upkeep does, after the archive has them. Chunks that are compressed already stay so. A policy that is right is left alone, with its schedule.

    Returns:
        True when anything was changed.
    """
    if not await _licensed(conn):
        return False
    kept = await _policy(
        conn,
        table,
        proc="policy_retention",
        age="drop_after",
        wanted=None if keep_ms is None else timedelta(milliseconds=keep_ms),
        remove="remove_retention_policy",
        add="add_retention_policy",
    )
    if compress_after_ms is not None:
        await _enable_compression(conn, table)
    compressed = await _policy(
        conn,
        table,
        proc="policy_compression",
        age="compress_after",
        wanted=None if compress_after_ms is None else timedelta(milliseconds=compress_after_ms),
        remove="remove_compression_policy",
        add="add_compression_policy",
    )
    return kept or compressed


async def _policy(
    conn: Connection, table: str, *, proc: str, age: str, wanted: timedelta | None, remove: str, add: str
) -> bool:
    held = await conn.fetch(
        "SELECT (config->>$4)::interval AS age FROM timescaledb_information.jobs"
        " WHERE hypertable_schema = $1 AND hypertable_name = $2 AND proc_name = $3",
        *(SCHEMA, table, proc, age),
    )
    if [row["age"] for row in held] == ([] if wanted is None else [wanted]):
        return False
    name = f'{SCHEMA}."{table}"'
    await conn.execute(f"SELECT {remove}($1::text::regclass, if_exists => true)", name)
    if wanted is not None:
        await conn.execute(f"SELECT {add}($1::text::regclass, {age} => $2::interval)", name, wanted)
    return True


async def policies_missing(
    conn: Connection, table: str, *, keep_ms: int | None, compress_after_ms: int | None
) -> dict[str, str]:
    """Policies that are declared and that the server does not have: the statement that adds each, by what it does.

    One with another age than is declared is there: `keep_policies` changes it in the next round of upkeep.
    """
    if not await _licensed(conn):
        return {}
    rows = await conn.fetch(
        "SELECT proc_name FROM timescaledb_information.jobs WHERE hypertable_schema = $1 AND hypertable_name = $2",
        *(SCHEMA, table),
    )
    there = {row["proc_name"] for row in rows}
    wanted = {"retention": ("drop_after", keep_ms), "compression": ("compress_after", compress_after_ms)}
    return {
        name: f"SELECT add_{name}_policy('{SCHEMA}.\"{table}\"'::regclass, {age} => interval '{ms} milliseconds', if_not_exists => true)"
        for name, (age, ms) in wanted.items()
        if ms is not None and f"policy_{name}" not in there
    }


async def _enable_compression(conn: Connection, table: str) -> None:
    enabled: bool | None = await conn.fetchval(
        "SELECT compression_enabled FROM timescaledb_information.hypertables"
        " WHERE hypertable_schema = $1 AND hypertable_name = $2",
        *(SCHEMA, table),
    )
    if not enabled:  # it can't be set again once chunks are compressed
        await conn.execute(
            f'ALTER TABLE {SCHEMA}."{table}" SET (timescaledb.compress,'
            " timescaledb.compress_segmentby = 'series_id', timescaledb.compress_orderby = '\"time\"')"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A chunk of a hypertable: its relation, quoted, and the time that it holds (from, and before)."""

    name: str
    start: datetime
    end: datetime


async def old_chunks(conn: Connection, table: str, *, until: datetime) -> list[Chunk]:
    """The chunks that end by `until`, the oldest first."""
    rows = await conn.fetch(
        """SELECT format('%I.%I', chunk_schema, chunk_name) AS name, range_start, range_end
           FROM timescaledb_information.chunks
           WHERE hypertable_schema = $1 AND hypertable_name = $2 AND range_end <= $3 ORDER BY range_start""",
        *(SCHEMA, table, until),
    )
    return [Chunk(name=row["name"], start=row["range_start"], end=row["range_end"]) for row in rows]


async def drop_chunk(conn: Connection, table: str, chunk: Chunk) -> None:
    """Drop one chunk, with its compressed rows."""
    await conn.execute(
        "SELECT drop_chunks($1::text::regclass, older_than => $2::timestamptz, newer_than => $3::timestamptz)",
        *(f'{SCHEMA}."{table}"', chunk.end, chunk.start),
    )


async def behind_aggregate(conn: Connection, relation: str) -> str | None:
    """The hypertable, quoted, that holds the rows of a continuous aggregate of the schema; None when there is no such one.

    Its rows can be deleted by series; the aggregate itself is a view, and `drop_chunks` takes those of all series.
    """
    found: str | None = await conn.fetchval(
        """SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)
           FROM timescaledb_information.continuous_aggregates WHERE view_schema = $1 AND view_name = $2""",
        *(SCHEMA, relation),
    )
    return found


async def decompress_any(conn: Connection) -> None:
    """Let the open transaction decompress as many rows as it deletes: TimescaleDB's limit (100,000) is for statements that
    reach further than meant. Without TimescaleDB it says nothing."""
    await conn.execute("SET LOCAL timescaledb.max_tuples_decompressed_per_dml_transaction = 0")
