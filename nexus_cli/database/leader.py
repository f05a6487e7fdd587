"""The leading control of a site, by a row and a term that only rises; and a pool whose every use is fenced by that term.

A term is a fencing token: the leader writes only inside transactions that lock the row and find their own term in
it. A successor raises the term and waits for such transactions first, so what an earlier leader still sends changes
nothing. No clock decides here: a standby takes over a term whose renewals have stopped (`runtime/control`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from nexus_cli.database.connect import Connection, Pool
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.json_value import read_fields

IDLE_MS = 5_000
"""The server ends a fenced transaction whose client is silent for so long (stopped, or cut off), so that its locks
can't keep a successor waiting. It does not count in the middle of a statement: see `stopped.end_silent`."""
TAKE_LOCK_MS = 8_000
"""Longest wait for the transactions of the term before: longer than `IDLE_MS`."""


class LeadLost(NexusError):
    """Another control leads, or may lead, the site: nothing was done."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, code="NX6408", hint=hint, retriable=True)


class LeaderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Where a control runs, so that another one on the same machine can find out that it has ended.

    Attributes:
        host: Name of the machine.
        boot: Its boot (`boot_id`), "" where it is not known.
        space: Namespace of process ids, "" where it is not known.
        pid: Process id; 0 is not known.
        started: When the process began, seconds since 1970 UTC.
        url: Of its API.
    """

    host: str = ""
    boot: str = ""
    space: str = ""
    pid: int = 0
    started: float = 0.0
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """The row of a site.

    Attributes:
        term: Rises by one with every new leader.
        renewals: Rises while the leader lives.
        holder: Instance of the leader, a ULID made at the start of its process.
        facts: Where it runs.
        resigned: True when it gave the lead back.
    """

    term: int
    renewals: int
    holder: str
    facts: LeaderFacts
    resigned: bool

    @property
    def place(self) -> str:
        """Where it runs, for people."""
        return f"{self.facts.host or 'unknown host'} (process {self.facts.pid or 'unknown'})"


async def observe(conn: Connection, site: str) -> Leader | None:
    """The leader; None when there was never one."""
    row = await conn.fetchrow(
        "SELECT term, renewals, holder, facts::text AS facts, resigned FROM nexus.leader WHERE site = $1", site
    )
    if row is None:
        return None
    return Leader(**{**dict(row), "facts": read_fields(msgspec.json.decode(row["facts"]), LeaderFacts)})


async def take(conn: Connection, site: str, *, holder: str, facts: LeaderFacts, seen: Leader | None) -> int | None:
    """Begin the next term, if nothing has moved since `seen`; gives its number, None when another was faster.

    It waits until no transaction of the term before is open (`TAKE_LOCK_MS`).

    Raises:
        asyncpg.LockNotAvailableError: Such a transaction is still open; try again.
    """
    text = msgspec.json.encode(facts).decode()
    if seen is None:
        made: int | None = await conn.fetchval(
            "INSERT INTO nexus.leader (site, term, holder, facts) VALUES ($1, 1, $2, $3::text::jsonb) "
            "ON CONFLICT DO NOTHING RETURNING term",
            *(site, holder, text),
        )
        return made
    async with conn.transaction():
        await conn.execute(f"SET LOCAL lock_timeout = {TAKE_LOCK_MS}")
        row = await conn.fetchrow("SELECT term, renewals FROM nexus.leader WHERE site = $1 FOR UPDATE", site)
        if row is None or (row["term"], row["renewals"]) != (seen.term, seen.renewals):
            return None
        term: int = await conn.fetchval(
            "UPDATE nexus.leader SET term = term + 1, renewals = 0, holder = $2, facts = $3::text::jsonb, "
            "resigned = false, acquired = now(), renewed = now() WHERE site = $1 RETURNING term",
            *(site, holder, text),
        )
        return term


async def renew(conn: Connection, site: str, *, term: int, lock_ttl_s: float) -> bool:
    """Show that the leader lives, and prolong the deployment lock of its term; False when the term is over."""
    row = await conn.fetchrow(
        "UPDATE nexus.leader SET renewals = renewals + 1, renewed = now() WHERE site = $1 AND term = $2 RETURNING site",
        *(site, term),
    )
    if row is not None:  # the engine may hold the lock's row in its own transaction: it prolongs it itself
        await conn.execute(
            "UPDATE nexus.lease SET heartbeat = now(), expires = now() + $3::float8 * interval '1 second' WHERE site = "
            "(SELECT site FROM nexus.lease WHERE site = $1 AND term = $2 FOR NO KEY UPDATE SKIP LOCKED)",
            *(site, term, float(lock_ttl_s)),
        )
    return row is not None


async def resign(conn: Connection, site: str, *, term: int) -> None:
    """Give the lead back, so that a standby need not wait; nothing happens when the term is over."""
    await conn.execute("UPDATE nexus.leader SET resigned = true WHERE site = $1 AND term = $2", site, term)


async def fence(conn: Connection, site: str, *, term: int) -> None:
    """Lock the leader's row until the end of the transaction, so that no other term can begin before.

    Renewals continue meanwhile: they leave the key alone (PostgreSQL, Explicit Locking, row-level locks).

    Raises:
        LeadLost: The term is over.
    """
    row = await conn.fetchrow(
        f"SELECT set_config('idle_in_transaction_session_timeout', '{IDLE_MS}', true) FROM nexus.leader "
        "WHERE site = $1 AND term = $2 FOR KEY SHARE",
        *(site, term),
    )
    if row is None:
        raise LeadLost("Another control leads this site now; this one changes nothing any more.")


class FencedPool:
    """A pool of one term: whatever is done with a connection of it is one transaction under the term's fence.

    It has `acquire` alone, so that no statement of a leader can go around the fence.
    """

    def __init__(self, pool: Pool, *, site: str, term: int) -> None:
        """Fence a pool for one site and term."""
        self._pool, self._site, self._term = pool, site, term

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """A connection inside a fenced transaction, committed at the end of the block.

        Raises:
            LeadLost: The term is over; nothing was changed.
        """
        async with self._pool.acquire() as conn, conn.transaction():
            await fence(conn, self._site, term=self._term)
            yield conn


__all__ = ["FencedPool", "LeadLost", "Leader", "LeaderFacts", "fence", "observe", "renew", "resign", "take"]
