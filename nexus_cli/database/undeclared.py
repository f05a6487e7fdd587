"""Series that the recorded state of a site does not declare: rows that are forgotten, and rows that were written by hand.

Reading changes nothing. What is settled is settled in one transaction, and removes no sample: `nexus purge` does that.

See docs/decisions/0111.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.database.corrections import relations_of_site
from nexus_cli.database.deployments import microseconds, write_audit
from nexus_cli.database.names import SCHEMA
from nexus_cli.database.nul import storable
from nexus_cli.database.sample_class import bring_all_policies
from nexus_cli.database.series import DEVICE_LEVELS, FORGET_SQL
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire.control_undeclared import (
    FORGET,
    KEEP,
    PAGE,
    Elsewhere,
    Settled,
    Settlement,
    UndeclaredList,
    UndeclaredSeries,
)

COUNT_MS = 20_000
"""Longest counting of the samples of one page, in milliseconds."""
MOST_NAMED = 100
"""Paths that the audit trail names."""
_UNDECLARED = f"""NOT EXISTS (SELECT FROM declared d WHERE d.path = s.path)
  AND NOT (s.active AND s.external AND EXISTS (SELECT FROM {SCHEMA}.resource r WHERE r.site = s.site
    AND r.address = 'device.' || array_to_string((string_to_array(s.path, '/'))[1:{DEVICE_LEVELS}], '/')
    AND r.attributes->>'protocol' = 'external'))"""
"""SQL: neither a recorded tag, nor made by a glob of an external device that is recorded."""
_DECLARED = f"""declared AS MATERIALIZED (
  SELECT substr(r.address, 8) || '/' || tag.name AS path FROM {SCHEMA}.resource r,
    jsonb_object_keys(CASE jsonb_typeof(r.attributes->'tags') WHEN 'object' THEN r.attributes->'tags'
      ELSE '{{}}' END) AS tag(name)
  WHERE r.site = $1 AND starts_with(r.address, 'device.'))"""


async def taken(conn: Connection, site: str, paths: Sequence[str]) -> list[str]:
    """Those of the paths that have a series."""
    rows = await conn.fetch(
        f"SELECT path FROM {SCHEMA}.series WHERE site = $1 AND path = ANY($2::text[]) ORDER BY path", site, list(paths)
    )
    return [row["path"] for row in rows]


async def undeclared(conn: Connection, site: str, *, after: str = "") -> UndeclaredList:
    """One page, by path.

    Args:
        conn: For reading.
        site: `enterprise/site`.
        after: Path of the last one before; "" begins.
    """
    rows = await conn.fetch(
        f"""WITH {_DECLARED}
            SELECT s.id, s.ulid, s.path, s.type, s.unit, s.retention, s.active, s.labels::text AS labels,
              coalesce(s.lineage->>'protocol', '') AS protocol, coalesce(s.lineage->>'address', '') AS address,
              EXISTS (SELECT FROM {SCHEMA}.kept_series k WHERE k.site = s.site AND k.series_id = s.id) AS protected
            FROM {SCHEMA}.series s WHERE s.site = $1 AND s.path COLLATE "C" > $2 AND {_UNDECLARED}
            ORDER BY s.path COLLATE "C" LIMIT $3""",
        *(site, storable(after), PAGE + 1),
    )
    page = rows[:PAGE]
    counted = await _counted(conn, site, [row["id"] for row in page])
    return UndeclaredList(
        series=[_series(row, counted) for row in page],
        more=len(rows) > PAGE,
        elsewhere=[] if after else await _elsewhere(conn, site),
    )


async def _counted(conn: Connection, site: str, ids: Sequence[int]) -> dict[int, Any] | None:
    """Count and times by id; None when it took too long."""
    relations = await relations_of_site(conn, site) if ids else []
    if not relations:
        return {}
    union = " UNION ALL ".join(
        f'SELECT series_id, "time" FROM {SCHEMA}."{relation}" WHERE series_id = ANY($1::int[])'
        for _, relation in relations
    )
    try:
        async with conn.transaction():
            await conn.execute(f"SET LOCAL statement_timeout = {COUNT_MS}")
            rows = await conn.fetch(
                f'SELECT series_id, count(*) AS n, min("time") AS a, max("time") AS z FROM ({union}) t GROUP BY 1',
                list(ids),
            )
    except asyncpg.QueryCanceledError:
        return None
    return {row["series_id"]: row for row in rows}


def _series(row: Any, counted: dict[int, Any] | None) -> UndeclaredSeries:
    found = None if counted is None else counted.get(row["id"])
    labels = orjson.loads(row["labels"])
    return UndeclaredSeries(
        ulid=row["ulid"],
        path=row["path"],
        type=row["type"],
        unit=row["unit"],
        retention=row["retention"],
        active=row["active"],
        protocol=row["protocol"],
        address=row["address"],
        labels={str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {},
        samples=None if counted is None else 0 if found is None else found["n"],
        first=None if found is None else microseconds(found["a"]),
        last=None if found is None else microseconds(found["z"]),
        protected=row["protected"],
    )


async def _elsewhere(conn: Connection, site: str) -> list[Elsewhere]:
    """Sites of this database that no control has led for an hour. A site that runs is another tenant's: it is not named."""
    rows = await conn.fetch(
        f"""SELECT s.site, count(*) AS series FROM {SCHEMA}.series s WHERE s.site <> $1 AND NOT EXISTS (
              SELECT FROM {SCHEMA}.leader l WHERE l.site = s.site AND NOT l.resigned
                AND l.renewed > now() - interval '1 hour')
            GROUP BY 1 ORDER BY 1""",
        site,
    )
    return [Elsewhere(site=row["site"], series=row["series"]) for row in rows]


async def settle(conn: Connection, site: str, *, wanted: Sequence[Settlement], who: str, why: str) -> Settled:
    """Forget and protect series, all of it or nothing.

    Args:
        conn: Of a control that leads.
        site: `enterprise/site`.
        wanted: What was shown, with what becomes of it.
        who, why: For the audit trail.

    Raises:
        NexusError: NX5020, one of them is not what was shown, or declared now. Nothing was changed.
    """
    async with conn.transaction():
        rows = await conn.fetch(
            f"""WITH {_DECLARED} SELECT s.id, s.ulid, s.path FROM {SCHEMA}.series s
                WHERE s.site = $1 AND s.ulid = ANY($2::text[]) AND {_UNDECLARED} ORDER BY s.id FOR UPDATE OF s""",
            *(site, [one.ulid for one in wanted]),
        )
        have = {row["ulid"]: row for row in rows}
        changed = [one.path for one in wanted if one.ulid not in have or have[one.ulid]["path"] != one.path]
        if changed:
            raise NexusError(
                f"{len(changed):,} of {len(wanted):,} series are not what was shown.",
                code="NX5020",
                cause=", ".join(changed[:3]),
            )
        ids = {does: [have[one.ulid]["id"] for one in wanted if one.does == does] for does in (FORGET, KEEP)}
        forgotten = await _changed(
            conn,
            f"UPDATE {SCHEMA}.series SET {FORGET_SQL} WHERE site = $1 AND active AND id = ANY($2::int[])",
            *(site, ids[FORGET]),
        )
        kept = await _changed(
            conn,
            f"""INSERT INTO {SCHEMA}.kept_series (site, series_id, deployment)
                SELECT $1, s.id, coalesce((SELECT max(d.number) FROM {SCHEMA}.deployment d WHERE d.site = $1), 0)
                FROM {SCHEMA}.series s WHERE s.site = $1 AND s.id = ANY($2::int[])
                ON CONFLICT (site, series_id) DO NOTHING""",
            *(site, ids[KEEP]),
        )
        if kept:
            await bring_all_policies(conn, site=site)
        for does in (FORGET, KEEP) if forgotten or kept else ():
            paths = [one.path for one in wanted if one.does == does]
            if paths:
                named = ", ".join(paths[:MOST_NAMED])
                detail = {"count": len(paths), "reason": why, "detail": f"{does}: {named}"}
                await write_audit(conn, site, who=who, what="adopt-series", subject=paths[0], detail=detail)
    return Settled(forgotten=forgotten, kept=kept)


async def _changed(conn: Connection, statement: str, *values: object) -> int:
    done: str = await conn.execute(statement, *values)
    return int(done.split()[-1])
