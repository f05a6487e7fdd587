"""Jobs in PostgreSQL: put in within the caller's transaction, looked at, retried and discarded.

The tables are pgqueuer's; who works jobs off uses the library (`job_queue.py`). Putting one in is a statement of our own with
the same effect, because loading the library would cost every role that only puts jobs in a third of a second.

See docs/decisions/0090.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson

from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import microseconds, write_audit
from nexus_cli.database.ordered import from_jsonb
from nexus_cli.wire.jobs import Job, JobStats, KindStats

URGENT, NORMAL, LATER = 10, 0, -10
"""Priorities: the higher goes first."""
MOST_LISTED = 1000
STATS_SPAN_S = 600
"""Statistics of what ended are of the last 10 minutes."""
KEPT_LOG_S = 3600
"""Rows of the log of states are removed after this time, unless their job is still there."""
_STATES = {"queued": "queued", "picked": "running", "failed": "failed"}
_OF_LIBRARY = {name: theirs for theirs, name in _STATES.items()}


def entrypoint(site: str, kind: str) -> str:
    """What a kind of job of a site is called in the queue, which all sites of a database share."""
    return f"{site} {kind}"


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job to put in.

    Attributes:
        kind: Who does it.
        payload: JSON, a few KB at most: what is large stays in its own table.
        priority: The higher goes first.
        key: While a job of this key waits or runs, putting it in again does nothing; "" for none.
        after_s: Not before so many seconds from now.
    """

    kind: str
    payload: Mapping[str, Any] = {}
    priority: int = NORMAL
    key: str = ""
    after_s: float = 0.0


async def enqueue(
    conn: Connection,
    site: str,
    kind: str,
    payload: Mapping[str, Any],
    *,
    priority: int = NORMAL,
    key: str = "",
    after_s: float = 0.0,
) -> bool:
    """Put a job in; it exists once the caller's transaction is committed. False when one of its key waits or runs."""
    new = NewJob(kind=kind, payload=payload, priority=priority, key=key, after_s=after_s)
    return await enqueue_all(conn, site, [new]) == 1


async def enqueue_all(conn: Connection, site: str, new: Sequence[NewJob]) -> int:
    """Put jobs in with one statement; the number that were, without those whose key waits or runs."""
    done = await conn.fetchval(
        """WITH given AS (
             SELECT * FROM unnest($1::int[], $2::text[], $3::bytea[], $4::text[], $5::float8[])
                           AS g(priority, entrypoint, payload, key, after_s)),
           put AS (
             INSERT INTO nexus.job (priority, entrypoint, payload, dedupe_key, execute_after, status)
             SELECT priority, entrypoint, payload, key, now() + after_s * interval '1 second', 'queued' FROM given
             ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL DO NOTHING
             RETURNING id, entrypoint, priority),
           logged AS (
             INSERT INTO nexus.job_log (job_id, status, entrypoint, priority)
             SELECT id, 'queued', entrypoint, priority FROM put)
           SELECT count(*) FROM put""",
        [each.priority for each in new],
        [entrypoint(site, each.kind) for each in new],
        [orjson.dumps(each.payload) for each in new],
        [f"{site} {each.key}" if each.key else None for each in new],
        [each.after_s for each in new],
    )
    return int(done)


async def listing(
    conn: Connection, site: str, *, state: str = "", kind: str = "", limit: int = 50, before: int | None = None
) -> list[Job]:
    """Jobs that wait, run or failed, the newest first.

    Args:
        conn: Where to.
        site: `enterprise/site`.
        state: `queued`, `running` or `failed` (the dead letters of the queue); "" is all.
        kind: Only of this kind.
        limit: At most so many, up to `MOST_LISTED`.
        before: Only those whose id is lower.
    """
    rows = await conn.fetch(
        """SELECT j.id, j.entrypoint, j.status::text, j.priority, j.attempts, j.created, j.execute_after, j.updated,
                  j.dedupe_key, j.payload, l.traceback::text
           FROM nexus.job j LEFT JOIN LATERAL (
             SELECT traceback FROM nexus.job_log WHERE job_id = j.id AND traceback IS NOT NULL
             ORDER BY created DESC, id DESC LIMIT 1) l ON true
           WHERE starts_with(j.entrypoint, $1 || ' ') AND ($2 = '' OR j.status::text = $2)
             AND ($3 = '' OR j.entrypoint = $1 || ' ' || $3) AND ($4::bigint IS NULL OR j.id < $4)
           ORDER BY j.id DESC LIMIT $5""",
        *(site, _OF_LIBRARY.get(state, state), kind, before, max(1, min(limit, MOST_LISTED))),
    )
    return [_job(site, row) for row in rows]


async def retry(conn: Connection, site: str, *, ids: Sequence[int], kind: str, all_: bool, who: str) -> list[int]:
    """Let failed jobs begin again with all their tries; those that are not failed, and those whose key already waits, stay.

    Args:
        conn: Where to; a transaction is opened.
        site: `enterprise/site`.
        ids: Of these numbers.
        kind: Only of this kind; "" of any.
        all_: All that failed, instead of `ids`.
        who: Who asked, for the audit trail.

    Returns:
        The ids, ascending.
    """
    async with conn.transaction():
        rows = await conn.fetch(
            """WITH chosen AS (
                 SELECT id, row_number() OVER (PARTITION BY coalesce(dedupe_key, id::text) ORDER BY id) AS nth
                 FROM nexus.job j
                 WHERE status = 'failed' AND starts_with(entrypoint, $1 || ' ') AND ($4 OR id = ANY($2))
                   AND ($3 = '' OR entrypoint = $1 || ' ' || $3)
                   AND NOT EXISTS (SELECT FROM nexus.job o WHERE o.dedupe_key = j.dedupe_key
                                   AND o.status IN ('queued', 'picked'))),
               again AS (
                 UPDATE nexus.job SET status = 'queued', execute_after = now(), updated = now(), attempts = 0,
                                      queue_manager_id = NULL, slot = NULL
                 WHERE status = 'failed' AND id IN (SELECT id FROM chosen WHERE nth = 1)
                 RETURNING id, entrypoint, priority),
               logged AS (
                 INSERT INTO nexus.job_log (job_id, status, entrypoint, priority)
                 SELECT id, 'queued', entrypoint, priority FROM again)
               SELECT id, entrypoint FROM again ORDER BY id""",
            *(site, list(ids), kind, all_),
        )
        await _audit(conn, site, rows, who=who, what="retry-job")
    return [row["id"] for row in rows]


async def discard(conn: Connection, site: str, *, ids: Sequence[int], kind: str, all_: bool, who: str) -> list[int]:
    """Remove failed jobs, and by number also waiting ones; what runs stays. Arguments and result as of `retry`."""
    async with conn.transaction():
        rows = await conn.fetch(
            """WITH gone AS (
                 DELETE FROM nexus.job
                 WHERE starts_with(entrypoint, $1 || ' ') AND ($3 = '' OR entrypoint = $1 || ' ' || $3)
                   AND CASE WHEN $4 THEN status = 'failed' ELSE id = ANY($2) AND status IN ('failed', 'queued') END
                 RETURNING id, entrypoint, priority),
               logged AS (
                 INSERT INTO nexus.job_log (job_id, status, entrypoint, priority)
                 SELECT id, 'deleted', entrypoint, priority FROM gone)
               SELECT id, entrypoint FROM gone ORDER BY id""",
            *(site, list(ids), kind, all_),
        )
        await _audit(conn, site, rows, who=who, what="discard-job")
    return [row["id"] for row in rows]


async def withdraw(conn: Connection, site: str, kind: str, *, key: str) -> None:
    """Remove jobs of a key that wait or failed, because what they are about is gone; one that runs finds out by itself."""
    await conn.execute(
        """WITH gone AS (
             DELETE FROM nexus.job WHERE entrypoint = $1 AND dedupe_key = $2 AND status IN ('queued', 'failed')
             RETURNING id, entrypoint, priority)
           INSERT INTO nexus.job_log (job_id, status, entrypoint, priority)
           SELECT id, 'deleted', entrypoint, priority FROM gone""",
        *(entrypoint(site, kind), f"{site} {key}"),
    )


async def _audit(conn: Connection, site: str, rows: Sequence[Any], *, who: str, what: str) -> None:
    by_kind: dict[str, list[int]] = {}
    for row in rows:
        by_kind.setdefault(row["entrypoint"].removeprefix(f"{site} "), []).append(row["id"])
    for kind, ids in by_kind.items():
        detail = {"ids": ids[:MOST_LISTED], "count": len(ids)}
        await write_audit(conn, site, who=who, what=what, subject=kind, detail=detail)


async def statistics(conn: Connection, site: str) -> JobStats:
    """What waits, runs and failed now, and what ended in the last `STATS_SPAN_S`, by kind."""
    now = await conn.fetch(
        """SELECT entrypoint, count(*) FILTER (WHERE status = 'queued' AND execute_after <= now()) AS queued,
                  count(*) FILTER (WHERE status = 'queued' AND execute_after > now()) AS planned,
                  count(*) FILTER (WHERE status = 'picked') AS running,
                  count(*) FILTER (WHERE status = 'failed') AS failed,
                  coalesce(extract(epoch FROM now() - min(execute_after)
                                   FILTER (WHERE status = 'queued' AND execute_after <= now())), 0)::float8 AS oldest_s
           FROM nexus.job WHERE starts_with(entrypoint, $1 || ' ') GROUP BY entrypoint""",
        site,
    )
    ended = await conn.fetch(
        """SELECT e.entrypoint, count(*) FILTER (WHERE e.status = 'successful') AS done,
                  count(*) FILTER (WHERE e.status = 'failed') AS given_up,
                  count(*) FILTER (WHERE e.status = 'queued') AS tried_again,
                  percentile_cont(0.5) WITHIN GROUP (ORDER BY e.took) FILTER (WHERE e.status = 'successful') AS p50,
                  percentile_cont(0.95) WITHIN GROUP (ORDER BY e.took) FILTER (WHERE e.status = 'successful') AS p95
           FROM (SELECT entrypoint, status, traceback, extract(epoch FROM created - lag(created) OVER (
                          PARTITION BY job_id ORDER BY id))::float8 AS took
                 FROM nexus.job_log WHERE created > now() - $2::float8 * interval '1 second'
                   AND starts_with(entrypoint, $1 || ' ')) e
           WHERE e.status IN ('successful', 'failed') OR (e.status = 'queued' AND e.traceback IS NOT NULL)
           GROUP BY e.entrypoint""",
        *(site, float(STATS_SPAN_S)),
    )
    waiting, over = ({row["entrypoint"]: row for row in rows} for rows in (now, ended))
    found = []
    for name in sorted({*waiting, *over}):
        one, other = waiting.get(name), over.get(name)
        kind = KindStats(kind=name.removeprefix(f"{site} "))
        if one is not None:
            counts = {key: int(one[key]) for key in ("queued", "planned", "running", "failed")}
            kind = msgspec.structs.replace(kind, **counts, oldest_s=round(one["oldest_s"], 3))
        if other is not None:
            counts = {key: int(other[key]) for key in ("done", "given_up", "tried_again")}
            took = {key: round(float(other[of] or 0) * 1000, 1) for key, of in (("p50_ms", "p50"), ("p95_ms", "p95"))}
            kind = msgspec.structs.replace(kind, **counts, **took)
        found.append(kind)
    return JobStats(span_s=STATS_SPAN_S, kinds=found)


async def prune_log(conn: Connection, *, limit: int = 20_000) -> int:
    """Remove old rows of the log of states; those of a job that is still there stay. The number that went."""
    gone = await conn.fetchval(
        """WITH old AS (
             SELECT l.id FROM nexus.job_log l WHERE l.created < now() - $1::float8 * interval '1 second'
               AND NOT EXISTS (SELECT FROM nexus.job j WHERE j.id = l.job_id) LIMIT $2),
           gone AS (DELETE FROM nexus.job_log WHERE id IN (SELECT id FROM old) RETURNING 1)
           SELECT count(*) FROM gone""",
        *(float(KEPT_LOG_S), limit),
    )
    return int(gone)


def _job(site: str, row: Mapping[str, Any]) -> Job:
    told = from_jsonb(row["traceback"]) if row["traceback"] else {}
    return Job(
        id=row["id"],
        kind=row["entrypoint"].removeprefix(f"{site} "),
        state=_STATES.get(row["status"], row["status"]),
        priority=row["priority"],
        attempts=row["attempts"] + (1 if row["status"] in ("failed", "picked") else 0),
        created=microseconds(row["created"]),
        due=microseconds(row["execute_after"]),
        changed=microseconds(row["updated"]),
        key=(row["dedupe_key"] or "").removeprefix(f"{site} "),
        reason=str(told.get("exception_message", "")),
        payload=_payload(row["payload"]),
    )


def _payload(data: bytes | None) -> Any:
    try:
        return orjson.loads(data or b"{}")
    except orjson.JSONDecodeError:
        return {}


__all__ = [
    "LATER",
    "MOST_LISTED",
    "NORMAL",
    "URGENT",
    "NewJob",
    "discard",
    "enqueue",
    "enqueue_all",
    "entrypoint",
    "listing",
    "prune_log",
    "retry",
    "statistics",
    "withdraw",
]
