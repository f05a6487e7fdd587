"""Rows that say how far a job is (`export`, `device_walk`), held against the jobs themselves.

See docs/decisions/0099.
"""

from __future__ import annotations

from datetime import timedelta

from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA

DISCARDED = "its job was discarded"


async def compare_with_jobs(conn: Connection, site: str, *, table: str, kind: str, keep_days: int) -> int:
    """Rows whose job failed or is gone have failed, and those whose job waits again wait; the number that changed.

    A worker that dies says nothing, and a person may discard or retry a job.

    Args:
        conn: Where to.
        site: `enterprise/site`.
        table: Has `site`, `id`, `state`, `reason`, `ended`, `expires`.
        kind: Of the jobs, whose key is `KIND ID`.
        keep_days: How long a row that failed is kept.
    """
    lost = await conn.fetch(
        f"""UPDATE {SCHEMA}.{table} e SET state = 'failed', ended = now(), expires = now() + $3::interval,
              reason = coalesce((
                SELECT l.traceback->>'exception_message' FROM {SCHEMA}.job j JOIN {SCHEMA}.job_log l ON l.job_id = j.id
                WHERE j.dedupe_key = $1 || ' ' || $2 || ' ' || e.id AND l.traceback IS NOT NULL
                ORDER BY l.created DESC, l.id DESC LIMIT 1), $4)
            WHERE e.site = $1 AND e.state IN ('waiting', 'running') AND NOT EXISTS (
              SELECT FROM {SCHEMA}.job j
              WHERE j.dedupe_key = $1 || ' ' || $2 || ' ' || e.id AND j.status IN ('queued', 'picked'))
            RETURNING e.id""",
        *(site, kind, timedelta(days=keep_days), DISCARDED),
    )
    again = await conn.fetch(
        f"""UPDATE {SCHEMA}.{table} e SET state = 'waiting', expires = NULL
            WHERE e.site = $1 AND e.state = 'failed' AND EXISTS (
              SELECT FROM {SCHEMA}.job j
              WHERE j.dedupe_key = $1 || ' ' || $2 || ' ' || e.id AND j.status = 'queued')
            RETURNING e.id""",
        *(site, kind),
    )
    return len(lost) + len(again)


async def expired(conn: Connection, site: str, *, table: str, limit: int = 100) -> list[str]:
    """Ids of the rows whose time is over."""
    rows = await conn.fetch(
        f"""SELECT id FROM {SCHEMA}.{table} WHERE site = $1 AND state IN ('done', 'failed', 'removed')
              AND expires <= now() ORDER BY expires LIMIT $2""",
        *(site, limit),
    )
    return [row["id"] for row in rows]


async def forget(conn: Connection, site: str, row: str, *, table: str) -> bool:
    """Remove a row whose time is over; False when it is not, or it is gone."""
    gone = await conn.fetchval(
        f"""DELETE FROM {SCHEMA}.{table} WHERE site = $1 AND id = $2 AND expires <= now()
            AND state IN ('done', 'failed', 'removed') RETURNING id""",
        *(site, row),
    )
    return gone is not None
