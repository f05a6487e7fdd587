"""Turns: work that one of several historians does at a time. A turn runs out by the database's clock."""

from __future__ import annotations

from nexus_cli.database.connect import Connection
from nexus_cli.database.names import SCHEMA


async def take_turn(conn: Connection, *, site: str, work: str, owner: str, ttl_s: float) -> bool:
    """Take a turn that is free or ran out, or prolong one's own; False when another process has it.

    Args:
        conn: An open connection.
        site: `enterprise/site`.
        work: What is done, one word.
        owner: Unique per process.
        ttl_s: How long it is ours without another call.
    """
    row = await conn.fetchrow(
        f"""INSERT INTO {SCHEMA}.turn AS t (site, work, owner, expires)
            VALUES ($1, $2, $3, now() + $4::float8 * interval '1 second')
            ON CONFLICT (site, work) DO UPDATE SET owner = excluded.owner, expires = excluded.expires
            WHERE t.owner = excluded.owner OR t.expires < now() RETURNING owner""",
        *(site, work, owner, float(ttl_s)),
    )
    return row is not None


async def end_turn(conn: Connection, *, site: str, work: str, owner: str) -> None:
    """Give a turn back; nothing happens when it is not ours."""
    await conn.execute(f"DELETE FROM {SCHEMA}.turn WHERE site = $1 AND work = $2 AND owner = $3", site, work, owner)
