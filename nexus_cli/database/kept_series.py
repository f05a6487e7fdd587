"""Series that are never dropped: `keep: always` of a tag, on record in the runtime until an act of its own ends it.

A protected series is found by its id, so that it stays protected under another name, in another class, and when its tag is
not declared any more. What upkeep drops it drops without these rows: those of a partition move to the class's table of
rows that no partition holds, which every query and export reads; those of a chunk of TimescaleDB go into a new one.

See docs/decisions/0105 and 0117.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

from nexus_cli.database.archive_days import drops_itself
from nexus_cli.database.archive_rows import span_of
from nexus_cli.database.class_table import SampleClass
from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import microseconds
from nexus_cli.database.names import SAMPLE_COLUMNS, SCHEMA
from nexus_cli.database.timescale import Chunk, drop_chunk
from nexus_cli.wire.control_kept import KeptSeries

KEPT = f"SELECT k.series_id FROM {SCHEMA}.kept_series k WHERE k.site = "
"""SQL: ids of the protected series of a site; behind it comes the site's parameter."""
_COLUMNS = ", ".join(f'"{name}"' for name in SAMPLE_COLUMNS)


async def protect(conn: Connection, *, site: str, paths: Collection[str], deployment_id: int) -> int:
    """Protect the series at these paths; one that is protected keeps its date. Gives how many are new.

    Args:
        conn: In the transaction that records the deployment.
        site: `enterprise/site`.
        paths: Tags that are declared with `keep: always`.
        deployment_id: Whose declaration it is.
    """
    if not paths:
        return 0
    done: str = await conn.execute(
        f"""INSERT INTO {SCHEMA}.kept_series (site, series_id, deployment)
            SELECT s.site, s.id, (SELECT d.number FROM {SCHEMA}.deployment d WHERE d.id = $3)
            FROM {SCHEMA}.series s WHERE s.site = $1 AND s.path = ANY($2::text[])
            ON CONFLICT (site, series_id) DO NOTHING""",
        *(site, list(paths), deployment_id),
    )
    return int(done.split()[-1])


async def end(conn: Connection, *, site: str, path: str) -> bool:
    """End the protection of the series at a path; False when none is protected there."""
    done: str = await conn.execute(
        f"""DELETE FROM {SCHEMA}.kept_series k USING {SCHEMA}.series s
            WHERE k.site = $1 AND s.id = k.series_id AND s.site = $1 AND s.path = $2""",
        *(site, path),
    )
    return int(done.split()[-1]) > 0


async def kept_series(conn: Connection, *, site: str, among: Sequence[str] | None = None) -> list[KeptSeries]:
    """The protected series by path; `among` limits them to these paths (a purge asks before it deletes anything)."""
    rows = await conn.fetch(
        f"""SELECT s.path, s.active, s.retention, k.since, k.deployment,
              coalesce((r.attributes->'tags'->reverse(split_part(reverse(s.path), '/', 1))->>'keep_always')::bool, false)
                AS declared
            FROM {SCHEMA}.kept_series k JOIN {SCHEMA}.series s ON s.id = k.series_id
            LEFT JOIN {SCHEMA}.resource r ON r.site = k.site
              AND r.address = 'device.' || left(s.path, -1 - length(reverse(split_part(reverse(s.path), '/', 1))))
            WHERE k.site = $1 AND ($2::text[] IS NULL OR s.path = ANY($2::text[])) ORDER BY s.path COLLATE "C" """,
        *(site, None if among is None else list(among)),
    )
    return [
        KeptSeries(
            path=row["path"],
            since=microseconds(row["since"]),
            deployment=row["deployment"],
            retention=row["retention"],
            active=row["active"],
            declared=row["declared"],
        )
        for row in rows
    ]


async def drops_chunks(conn: Connection, made: SampleClass) -> bool:
    """True when upkeep, not a policy of TimescaleDB, drops the chunks of a class: something in it waits, or is protected."""
    return await drops_itself(conn, made) or bool(
        await conn.fetchval(f"SELECT EXISTS (SELECT FROM {SCHEMA}.kept_series WHERE site = $1)", made.site)
    )


async def save_rows(conn: Connection, made: SampleClass, partition: str) -> int:
    """Copy the protected rows of a detached partition to the rest table; in the transaction that drops it."""
    done: str = await conn.execute(
        f'INSERT INTO {SCHEMA}."{made.rest}" ({_COLUMNS}) SELECT {_COLUMNS} FROM {SCHEMA}."{partition}"'
        f' WHERE series_id IN ({KEPT} $1) ON CONFLICT ("time", series_id) DO NOTHING',
        made.site,
    )
    return int(done.split()[-1])


async def holds_only_protected(conn: Connection, made: SampleClass, chunk: Chunk) -> bool:
    """True for a chunk that has protected rows and no others: it was emptied before."""
    found: bool = await conn.fetchval(
        f"SELECT EXISTS (SELECT FROM {chunk.name} WHERE series_id IN ({KEPT} $1))"
        f" AND NOT EXISTS (SELECT FROM {chunk.name} WHERE series_id NOT IN ({KEPT} $1))",
        made.site,
    )
    return found


async def drop_but_protected(conn: Connection, made: SampleClass, chunk: Chunk) -> int:
    """Drop a chunk, and store its protected rows again; in the transaction that locks it. Gives how many those are.

    To delete the others would decompress them, row by row and up to a limit of the server; to drop the chunk takes none of
    it, and gives the disk back.
    """
    protected = f"FROM {chunk.name} WHERE series_id IN ({KEPT} $1)"
    if not await conn.fetchval(f"SELECT EXISTS (SELECT {protected})", made.site):
        await drop_chunk(conn, made.table, chunk)
        return 0
    await conn.execute(
        f"CREATE TEMPORARY TABLE protected_rows ON COMMIT DROP AS SELECT {_COLUMNS} FROM {chunk.name} WITH NO DATA"
    )
    done: str = await conn.execute(
        f"INSERT INTO pg_temp.protected_rows SELECT {_COLUMNS} {protected}",
        made.site,
    )
    await drop_chunk(conn, made.table, chunk)
    await conn.execute(
        f'INSERT INTO {SCHEMA}."{made.table}" ({_COLUMNS}) SELECT {_COLUMNS} FROM pg_temp.protected_rows'
    )
    return int(done.split()[-1])


async def has_others(conn: Connection, made: SampleClass, relation: str, day: date) -> bool:
    """Whether a relation holds rows of a day that nothing protects."""
    start, end = span_of(day)
    return bool(
        await conn.fetchval(
            f'SELECT EXISTS (SELECT FROM {SCHEMA}."{relation}" WHERE "time" >= $1 AND "time" < $2'
            f" AND series_id NOT IN ({KEPT} $3))",
            *(start, end, made.site),
        )
    )
