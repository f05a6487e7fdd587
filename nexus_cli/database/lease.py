"""The lock of a deployment: one row per site says who may record state now.

It belongs to a deployment and to the term of the control that carries it out (`leader.py`). It ends by release, by
break, or with the term; no clock ends it, so that a deployment that waits for another's verification keeps it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from nexus_cli.database.deployments import microseconds
from nexus_cli.wire.control import Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The holder of a site's lock. The token is the holder's proof and never leaves control."""

    site: str
    owner: str
    reason: str
    token: str
    acquired: dt.datetime
    heartbeat: dt.datetime
    expires: dt.datetime
    expired: bool
    deployment_id: int | None
    deployment: int

    def public(self) -> Lock:
        """The form for the API: everything but the token."""
        return Lock(
            owner=self.owner,
            reason=self.reason,
            acquired=microseconds(self.acquired),
            heartbeat=microseconds(self.heartbeat),
            expires=microseconds(self.expires),
            expired=self.expired,
            deployment=self.deployment,
        )


_EXPIRED = (
    "NOT EXISTS (SELECT 1 FROM nexus.leader AS l WHERE l.site = lease.site AND l.term = lease.term AND NOT l.resigned)"
)
"""True for a lock whose term is over: the next leader takes it."""
_NUMBER = "coalesce((SELECT d.number FROM nexus.deployment d WHERE d.id = lease.deployment_id), 0)"
_COLUMNS = (
    f"site, owner, reason, token, acquired, heartbeat, expires, {_EXPIRED} AS expired, deployment_id, "
    f"{_NUMBER} AS deployment"
)


async def acquire(
    conn: Any, site: str, *, owner: str, reason: str, token: str, ttl_s: float, deployment_id: int | None = None
) -> bool:
    """Take the lock when it is free, of an earlier term, or the deployment's own. False when another holds it.

    Call inside a fenced transaction: the lock is of the term that is in the leader's row.
    """
    row = await conn.fetchrow(
        "INSERT INTO nexus.lease AS lease (site, owner, reason, token, acquired, heartbeat, expires, term, deployment_id) "
        "SELECT $1, $2, $3, $4, now(), now(), now() + $5::float8 * interval '1 second', "
        "coalesce((SELECT term FROM nexus.leader WHERE site = $1), 0), $6 "
        "ON CONFLICT (site) DO UPDATE SET owner = excluded.owner, reason = excluded.reason, token = excluded.token, "
        "acquired = excluded.acquired, heartbeat = excluded.heartbeat, expires = excluded.expires, "
        "term = excluded.term, deployment_id = excluded.deployment_id "
        "WHERE lease.term <> excluded.term OR lease.deployment_id = excluded.deployment_id RETURNING token",
        *(site, owner, reason, token, float(ttl_s), deployment_id),
    )
    return row is not None


async def assign(conn: Any, site: str, *, token: str, deployment_id: int) -> None:
    """Say which deployment the lock is for; call in the transaction that took it."""
    await conn.execute(
        "UPDATE nexus.lease SET deployment_id = $3 WHERE site = $1 AND token = $2", site, token, deployment_id
    )


async def beat(conn: Any, site: str, *, token: str, ttl_s: float) -> bool:
    """Prolong the lock. False when it is no longer ours (broken, or taken over by another term).

    A step of the deployment may have locked the row for as long as it takes: the heartbeat does not wait for it.
    """
    row = await conn.fetchrow(
        "UPDATE nexus.lease SET heartbeat = now(), expires = now() + $3::float8 * interval '1 second' WHERE site = "
        "(SELECT site FROM nexus.lease WHERE site = $1 AND token = $2 FOR NO KEY UPDATE SKIP LOCKED) RETURNING site",
        *(site, token, float(ttl_s)),
    )
    if row is not None:
        return True
    held: bool = await conn.fetchval(
        "SELECT EXISTS (SELECT 1 FROM nexus.lease WHERE site = $1 AND token = $2)", site, token
    )
    return held


async def holds(conn: Any, site: str, *, token: str) -> bool:
    """Whether the lock is still ours; locks its row until the end of the transaction."""
    row = await conn.fetchrow("SELECT site FROM nexus.lease WHERE site = $1 AND token = $2 FOR UPDATE", site, token)
    return row is not None


async def release(conn: Any, site: str, *, token: str) -> None:
    """Give the lock back; nothing happens when it is not ours any more."""
    await conn.execute("DELETE FROM nexus.lease WHERE site = $1 AND token = $2", site, token)


async def current(conn: Any, site: str) -> Lease | None:
    """The holder of the lock, also of an expired one; None when it is free."""
    row = await conn.fetchrow(f"SELECT {_COLUMNS} FROM nexus.lease AS lease WHERE site = $1", site)
    return None if row is None else Lease(**dict(row))


async def break_(conn: Any, site: str) -> Lease | None:
    """Take the lock away from its holder; gives the lock that was broken."""
    row = await conn.fetchrow(f"DELETE FROM nexus.lease AS lease WHERE site = $1 RETURNING {_COLUMNS}", site)
    return None if row is None else Lease(**dict(row))
