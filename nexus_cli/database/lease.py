"""The lease: one row per site says who may record state now. It ends by release, by break, or by running out."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from nexus_cli.database.deployments import microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who holds the lock of a site. The token is the holder's proof and never leaves control."""

    site: str
    owner: str
    reason: str
    token: str
    acquired: dt.datetime
    heartbeat: dt.datetime
    expires: dt.datetime
    expired: bool

    def public(self) -> dict[str, Any]:
        """What the API tells: everything but the token; times in µs since 1970 UTC."""
        return {
            "owner": self.owner,
            "reason": self.reason,
            "acquired": microseconds(self.acquired),
            "heartbeat": microseconds(self.heartbeat),
            "expires": microseconds(self.expires),
            "expired": self.expired,
        }


async def acquire(conn: Any, site: str, *, owner: str, reason: str, token: str, ttl_s: float) -> bool:
    """Take the lease when it is free or ran out; the database's clock decides. False when somebody holds it."""
    row = await conn.fetchrow(
        "INSERT INTO nexus.lease (site, owner, reason, token, acquired, heartbeat, expires) "
        "VALUES ($1, $2, $3, $4, now(), now(), now() + $5::float8 * interval '1 second') "
        "ON CONFLICT (site) DO UPDATE SET owner = excluded.owner, reason = excluded.reason, token = excluded.token, "
        "acquired = excluded.acquired, heartbeat = excluded.heartbeat, expires = excluded.expires "
        "WHERE nexus.lease.expires < now() RETURNING token",
        site,
        owner,
        reason,
        token,
        float(ttl_s),
    )
    return row is not None


async def beat(conn: Any, site: str, *, token: str, ttl_s: float) -> bool:
    """Prolong the lease. False when it is no longer ours (broken, or taken over after it ran out)."""
    row = await conn.fetchrow(
        "UPDATE nexus.lease SET heartbeat = now(), expires = now() + $3::float8 * interval '1 second' "
        "WHERE site = $1 AND token = $2 RETURNING site",
        site,
        token,
        float(ttl_s),
    )
    return row is not None


async def holds(conn: Any, site: str, *, token: str) -> bool:
    """Whether the lease is still ours; locks its row until the end of the transaction."""
    row = await conn.fetchrow("SELECT site FROM nexus.lease WHERE site = $1 AND token = $2 FOR UPDATE", site, token)
    return row is not None


async def release(conn: Any, site: str, *, token: str) -> None:
    """Give the lease back; nothing happens when it is not ours any more."""
    await conn.execute("DELETE FROM nexus.lease WHERE site = $1 AND token = $2", site, token)


async def current(conn: Any, site: str) -> Lease | None:
    """Who holds the lease, also when it ran out; None when it is free."""
    row = await conn.fetchrow("SELECT *, expires < now() AS expired FROM nexus.lease WHERE site = $1", site)
    return None if row is None else Lease(**dict(row))


async def break_(conn: Any, site: str) -> Lease | None:
    """Take the lease away from whoever holds it; gives what was broken."""
    row = await conn.fetchrow("DELETE FROM nexus.lease WHERE site = $1 RETURNING *, expires < now() AS expired", site)
    return None if row is None else Lease(**dict(row))
