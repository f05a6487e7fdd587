"""Sessions that hold locks and are not alive: a process that was stopped in the middle of a statement, a machine that is
gone.

The server ends a session that is idle in a transaction by itself. One that waits for the rest of a COPY, or for the
values of a statement that it has just described (asyncpg asks for the description with Flush), it does not end: no time
limit of PostgreSQL applies while it reads from its client. Who is held up by such a session ends it.
"""

from __future__ import annotations

from dataclasses import dataclass

from nexus_cli.database.connect import WRITING, Connection

WRITER_KEY = 0x6E6578_75730005
"""Shared advisory lock, with the site, that every writer's session holds: it makes them known to each other."""
STOPPED_S = WRITING.client_s + 5.0
"""A writer gives a statement up before this. One that is older belongs to a process that does not run."""
SILENT_S = 10.0
"""Longest wait of a living client between the two halves of a statement; it sends the second on receipt of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A session that was ended: its process id on the server, its name, and the age of its statement."""

    pid: int
    application: str
    age_s: float


async def be_known(conn: Connection, *, site: str) -> None:
    """Mark a session as one that writes for a site, as long as it lives. Excludes no other session."""
    await conn.execute("SELECT pg_advisory_lock_shared(hashtextextended($1, $2))", site, WRITER_KEY)


async def end_stopped(conn: Connection, *, site: str, older_than_s: float | None = None) -> list[Ended]:
    """End the sessions of this site's writers whose statement is older than any living writer lets one become.

    What they did is rolled back, and their process, when it runs again, finds its connection closed and sends the same
    batch again.

    Args:
        conn: A connection that is not in a failed transaction.
        site: `enterprise/site`; writers of other sites are never touched.
        older_than_s: Age of a statement; None is `STOPPED_S`.
    """
    rows = await conn.fetch(
        """WITH key AS (SELECT hashtextextended($1, $2) AS number), stopped AS (
             SELECT a.pid, a.application_name AS application,
                    extract(epoch FROM clock_timestamp() - a.query_start)::float8 AS age_s
             FROM pg_locks l JOIN key ON l.classid::bigint = (key.number >> 32) & 4294967295
               AND l.objid::bigint = key.number & 4294967295
             JOIN pg_stat_activity a ON a.pid = l.pid
             WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted AND a.datname = current_database()
               AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
               AND a.pid <> pg_backend_pid() AND a.state = 'active'
               AND a.query_start < clock_timestamp() - make_interval(secs => $3))
           SELECT pid, application, age_s FROM stopped WHERE pg_terminate_backend(pid)""",
        *(site, WRITER_KEY, STOPPED_S if older_than_s is None else older_than_s),
    )
    return [Ended(**dict(row)) for row in rows]


async def end_silent(conn: Connection) -> int:
    """End our own sessions whose client says nothing in the middle of a statement; gives how many.

    Writers in a COPY are left to `end_stopped`. What was begun is rolled back; a client that runs again finds its
    connection closed.

    Source: PostgreSQL documentation, 27.2.3 `pg_stat_activity`.
    """
    ended: int = await conn.fetchval(
        """WITH silent AS (
             SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND usename = current_user AND application_name LIKE 'nexus%'
               AND pid <> pg_backend_pid() AND state = 'active' AND wait_event = 'ClientRead'
               AND query !~* '^\\s*copy\\M' AND state_change < clock_timestamp() - make_interval(secs => $1))
           SELECT count(*) FROM silent WHERE pg_terminate_backend(pid)""",
        SILENT_S,
    )
    return ended
