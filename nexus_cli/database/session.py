"""Small statements about the session and the server itself."""

from __future__ import annotations

from datetime import datetime

from nexus_cli.database.connect import Connection, Pool
from nexus_cli.database.names import SCHEMA


async def server_time(conn: Connection) -> datetime:
    """The server's clock, in UTC; not the begin of the transaction."""
    now: datetime = await conn.fetchval("SELECT clock_timestamp()")
    return now


async def server_time_us(conn: Connection) -> int:
    """The server's clock, µs since 1970 UTC, also for a year that Python has not."""
    return int(await conn.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"))


async def bound_transaction(conn: Connection, *, lock_s: float = 0.0, statement_s: float = 0.0) -> None:
    """Bound the waits of the open transaction, in seconds; 0 leaves what the session has."""
    if lock_s:
        await conn.execute(f"SET LOCAL lock_timeout = '{round(lock_s * 1000)}ms'")
    if statement_s:
        await conn.execute(f"SET LOCAL statement_timeout = '{round(statement_s * 1000)}ms'")


async def commit_something(conn: Connection, *, statement_s: float) -> None:
    """Write and commit next to nothing: a server that can't do even that within `statement_s` is slow for everything.

    Raises:
        PostgresError: It can't.
    """
    async with conn.transaction():
        await bound_transaction(conn, statement_s=statement_s)
        await conn.execute("SELECT pg_logical_emit_message(true, 'nexus', 'probe')")


async def require_leader_table(pool: Pool, *, site: str) -> None:
    """Fail as every statement would: no schema, no rights, or a server that is away."""
    await pool.fetchval(f"SELECT count(*) FROM {SCHEMA}.leader WHERE site = $1", site)
