"""The pattern of a sample table: one per site and retention class, because retention drops whole partitions.

With TimescaleDB a class is a hypertable. Without it a class is two tables: one partitioned by time, and beside it
`…_rest` for the rows of days that have no partition (a clock far ahead, a message from long ago). It is no default
partition: PostgreSQL detaches a partition without stopping writers and readers only where there is none. The view
`sample` joins the tables of all sites.

See docs/decisions/0030.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg

from nexus_cli.database.class_table import DAY_MS, KEEP_DEFAULT_MS, SampleClass, short_locks, table_name
from nexus_cli.database.connect import Connection
from nexus_cli.database.kept_series import drops_chunks
from nexus_cli.database.names import SAMPLE_COLUMNS, SCHEMA
from nexus_cli.database.partitions import ensure_partitions, periods_around
from nexus_cli.database.timescale import has_timescale, keep_policies, make_hypertable

LOCK_KEY = 0x6E6578_75730002
"""Advisory lock of a session that adds a class: the names of tables and the view are shared by all sites."""
VIEW_LOCK_S = 1.0
PROTECT_LOCK_S = 10.0
"""How long a deployment waits for the locks of the policies that it has to end."""

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


async def ensure_class(
    conn: Connection,
    name: str,
    *,
    site: str,
    keep_ms: int | None = None,
    compress_after_ms: int | None = None,
    rollups: Sequence[str] = (),
    archive_after_ms: int | None = None,
    archive_keep_ms: int | None = None,
) -> SampleClass:
    """Make the table of a retention class, or bring what is known of it up to date. Safe to repeat.

    Runs inside the caller's transaction or in one of its own. Waits for no reader: what a long query excludes (the
    view) is left to the next round of upkeep. The policies of what is declared are in force with it: an older one would
    drop what is to be kept longer, or archived first.

    Args:
        conn: An open connection.
        name: The class, as in the site file.
        site: `enterprise/site` that declares it; classes of other sites are never touched.
        keep_ms: Age at which samples are dropped. None declares nothing: a class that exists stays as it is, a new one
            keeps its samples for the default length.
        compress_after_ms: Age at which chunks are compressed (TimescaleDB); None never.
        rollups: Rollups to keep beside hours: `1m`, `5m`, `15m`, `1h`, `1d`; see `rollup_tables`.
        archive_after_ms: Age at which a day goes to the archive; None never.
        archive_keep_ms: Age at which it is removed from there; None never.

    Raises:
        LockNotAvailableError: Something is declared, and another session's lock keeps the policy of before in force.
    """
    async with conn.transaction():
        made = await find_class(conn, name, site=site)
        if made is None:
            await conn.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
            made = await find_class(conn, name, site=site)
        if made is None:
            made = await _create(conn, name, site=site, keep_ms=keep_ms or KEEP_DEFAULT_MS)
            now: datetime = await conn.fetchval("SELECT now()")
            await ensure_partitions(conn, made, [start for start, _ in periods_around(now, keep_ms=made.keep_ms)])
            await refresh_view(conn)
        elif keep_ms is None:
            return made
        declared = (keep_ms or made.keep_ms, compress_after_ms, list(rollups), archive_after_ms, archive_keep_ms)
        await conn.execute(
            f"UPDATE {SCHEMA}.retention_class SET keep_ms = $3::bigint, compress_after_ms = $4::bigint,"
            " rollups = $5::text[], archive_after_ms = $6::bigint, archive_keep_ms = $7::bigint"
            " WHERE site = $1 AND name = $2"
            " AND (keep_ms, compress_after_ms, rollups, archive_after_ms, archive_keep_ms)"
            " IS DISTINCT FROM ($3::bigint, $4::bigint, $5::text[], $6::bigint, $7::bigint)",
            *(site, name, *declared),
        )
        made = SampleClass(
            site=site,
            name=name,
            table=made.table,
            keep_ms=declared[0],
            hypertable=made.hypertable,
            compress_after_ms=compress_after_ms,
            rollups=tuple(rollups),
            archive_after_ms=archive_after_ms,
            archive_keep_ms=archive_keep_ms,
        )
        if keep_ms is None:
            await bring_policies(conn, made)
        else:
            await _set_policies(conn, made, lock_s=PROTECT_LOCK_S)
    return made


async def forget_archive(conn: Connection, *, site: str) -> None:
    """The site has no archive any more: no class waits for one."""
    await conn.execute(
        f"UPDATE {SCHEMA}.retention_class SET archive_after_ms = NULL, archive_keep_ms = NULL WHERE site = $1", site
    )


async def bring_policies(conn: Connection, made: SampleClass) -> bool:
    """Set a hypertable's policies as its class declares; False when another session's lock prevents it now."""
    try:
        await _set_policies(conn, made, lock_s=VIEW_LOCK_S)
    except asyncpg.LockNotAvailableError:
        return False
    return True


async def bring_all_policies(conn: Connection, *, site: str) -> None:
    """Those of every class of a site, with the protection that the caller's transaction writes: from now on upkeep looks at
    each row before a chunk goes.

    Raises:
        LockNotAvailableError: Another session's lock prevents it. A policy that stays would drop protected rows, so
            that nothing may be recorded as protected then.
    """
    for made in (await load_classes(conn, site=site)).values():
        await _set_policies(conn, made, lock_s=PROTECT_LOCK_S)


async def _set_policies(conn: Connection, made: SampleClass, *, lock_s: float) -> None:
    if not made.hypertable or not await has_timescale(conn):
        return
    async with short_locks(conn, lock_s=lock_s):
        own = await drops_chunks(conn, made)
        keep_ms = None if own else made.keep_ms
        await keep_policies(conn, made.table, keep_ms=keep_ms, compress_after_ms=made.compress_after_ms)


async def _create(conn: Connection, name: str, *, site: str, keep_ms: int) -> SampleClass:
    """The table and its row."""
    table = await _free_table_name(conn, name, site=site)
    hyper = await has_timescale(conn)
    unique = f'({_COLUMNS}, UNIQUE ("time", series_id))'
    if hyper:
        await conn.execute(f'CREATE TABLE {SCHEMA}."{table}" {unique}')
        await make_hypertable(conn, table, chunk=timedelta(days=1 if keep_ms <= 31 * DAY_MS else 7))
    else:
        await conn.execute(f'CREATE TABLE {SCHEMA}."{table}" {unique} PARTITION BY RANGE ("time")')
        await conn.execute(f'CREATE TABLE {SCHEMA}."{table}_rest" {unique}')
    await conn.execute(
        f"INSERT INTO {SCHEMA}.retention_class (site, name, table_name, keep_ms, hypertable) VALUES ($1, $2, $3, $4, $5)",
        *(site, name, table, keep_ms, hyper),
    )
    return SampleClass(site=site, name=name, table=table, keep_ms=keep_ms, hypertable=hyper)


async def _free_table_name(conn: Connection, name: str, *, site: str) -> str:
    """Two classes may fold to one table name (`a-b`, `a.b`); the later gets a number."""
    base = table_name(name, site=site)
    taken = {row["relname"] for row in await conn.fetch("SELECT relname FROM pg_class WHERE relname LIKE 'sample%'")}
    return next(each for each in (base, *(f"{base}_{number}" for number in range(2, 10_000))) if each not in taken)


_CLASSES = (
    "SELECT site, name, table_name, keep_ms, compress_after_ms, rollups, hypertable, archive_after_ms, archive_keep_ms"
    f" FROM {SCHEMA}.retention_class"
)


def _class(row: asyncpg.Record) -> SampleClass:
    fields = {**dict(row), "table": row["table_name"], "rollups": tuple(row["rollups"])}
    del fields["table_name"]
    return SampleClass(**fields)


async def find_class(conn: Connection, name: str, *, site: str) -> SampleClass | None:
    """One class of a site; None when there is no such class."""
    row = await conn.fetchrow(f"{_CLASSES} WHERE site = $1 AND name = $2", site, name)
    return None if row is None else _class(row)


async def load_classes(conn: Connection, *, site: str) -> dict[str, SampleClass]:
    """The retention classes of a site by name."""
    rows = await conn.fetch(f"{_CLASSES} WHERE site = $1 ORDER BY name", site)
    return {row["name"]: _class(row) for row in rows}


async def refresh_view(conn: Connection) -> bool:
    """Make the view `sample` show the tables of all classes of all sites.

    Returns:
        False when it could not be done now: a reader of the view excludes it. Upkeep does it later.
    """
    wanted = sorted(
        table
        for made in map(_class, await conn.fetch(_CLASSES))
        for table in ([made.table] if made.hypertable else [made.table, made.rest])
    )
    shown = await conn.fetch(
        "SELECT DISTINCT c.relname FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass"
        " AND d.objid = r.oid JOIN pg_class c ON c.oid = d.refobjid AND c.relkind IN ('r', 'p')"
        f" WHERE r.ev_class = '{SCHEMA}.sample'::regclass ORDER BY c.relname"
    )
    if not wanted or sorted(row["relname"] for row in shown) == wanted:
        return True
    columns = ", ".join(f'"{column}"' for column in SAMPLE_COLUMNS)
    union = " UNION ALL ".join(f'SELECT {columns} FROM {SCHEMA}."{table}"' for table in wanted)
    try:
        async with short_locks(conn, lock_s=VIEW_LOCK_S):
            await conn.execute(f"CREATE OR REPLACE VIEW {SCHEMA}.sample AS {union}")
    except asyncpg.LockNotAvailableError:
        return False
    return True
