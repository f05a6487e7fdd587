"""Deployments that have to be confirmed: how long each one still waits, and what became of it.

What is left is stored, not a moment: control counts it down on a clock that is never set, and stores it every second. Only
the time between two controls is measured on the database's clock, and never as less than nothing, so that a clock that is
set back prolongs the wait by no more than that time. See docs/decisions/0103.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import RECORD_STEP, microseconds
from nexus_cli.wire.confirmation import Confirmation

OPEN = ("armed", "waiting")
"""States in which a deployment can still be confirmed."""
_COLUMNS = (
    "d.number, c.state, c.within_s, c.left_us, c.who, c.reason, c.at, "
    "coalesce((SELECT r.number FROM nexus.deployment r WHERE r.id = c.undone_by), 0) AS undone_by"
)
_FROM = "FROM nexus.confirmation c JOIN nexus.deployment d ON d.id = c.deployment_id"


async def arm(conn: Connection, deployment_id: int, *, within_s: int) -> None:
    """Have a deployment wait for its confirmation; call in the transaction that begins it."""
    await conn.execute(
        "INSERT INTO nexus.confirmation (deployment_id, state, within_s, left_us) VALUES ($1, 'armed', $2, $3)",
        *(deployment_id, within_s, within_s * 1_000_000),
    )


async def begin(conn: Connection, deployment_id: int) -> None:
    """The deployment ended: its time counts from now. One that recorded nothing has nothing to be confirmed."""
    await conn.execute(
        "UPDATE nexus.confirmation SET at = now(), state = CASE WHEN EXISTS (SELECT 1 FROM nexus.journal j WHERE "
        "j.deployment_id = $1 AND j.step = $2 AND j.state = 'done') THEN 'waiting' ELSE 'dropped' END "
        "WHERE deployment_id = $1 AND state = 'armed'",
        *(deployment_id, RECORD_STEP),
    )
    # A rollback that recorded nothing took nothing back: what it was for waits again.
    await conn.execute(
        "UPDATE nexus.confirmation SET state = 'waiting', who = '', reason = '', undone_by = NULL, at = now() "
        "WHERE undone_by = $1 AND state = 'rolled-back' AND NOT EXISTS (SELECT 1 FROM nexus.journal j WHERE "
        "j.deployment_id = $1 AND j.step = $2 AND j.state = 'done')",
        *(deployment_id, RECORD_STEP),
    )


async def arm_again(conn: Connection, deployment_id: int) -> None:
    """A deployment that recorded nothing is resumed: it has to be confirmed as before."""
    await conn.execute(
        "UPDATE nexus.confirmation SET state = 'armed', at = now() WHERE deployment_id = $1 AND state = 'dropped'",
        deployment_id,
    )


async def open_one(conn: Connection, site: str) -> Confirmation | None:
    """The deployment of a site that waits, or that will when it has ended; there is one at most."""
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} {_FROM} WHERE d.site = $1 AND c.state = ANY($2::text[]) ORDER BY d.number DESC LIMIT 1",
        *(site, list(OPEN)),
    )
    return None if row is None else _confirmation(row)


async def newest(conn: Connection, site: str) -> Confirmation | None:
    """The newest deployment of a site that had to be confirmed, whatever became of it."""
    row = await conn.fetchrow(f"SELECT {_COLUMNS} {_FROM} WHERE d.site = $1 ORDER BY d.number DESC LIMIT 1", site)
    return None if row is None else _confirmation(row)


async def of_deployments(conn: Connection, site: str, numbers: list[int]) -> dict[int, Confirmation]:
    """What became of those of these deployments that had to be confirmed, by number."""
    rows = await conn.fetch(f"SELECT {_COLUMNS} {_FROM} WHERE d.site = $1 AND d.number = ANY($2::int[])", site, numbers)
    return {row["number"]: _confirmation(row) for row in rows}


async def catch_up(conn: Connection, site: str) -> None:
    """A control begins to count: take off what passed since the one before it stored what was left."""
    await conn.execute(
        "UPDATE nexus.confirmation c SET at = now(), left_us = greatest(0, left_us - "
        "greatest(0, (extract(epoch FROM now() - c.at) * 1000000)::bigint)) "
        "FROM nexus.deployment d WHERE d.id = c.deployment_id AND d.site = $1 AND c.state = 'waiting'",
        site,
    )


async def count_down(conn: Connection, site: str, *, elapsed_us: int) -> Confirmation | None:
    """Take off what passed on the clock of control, but no more than the wait is old; gives what waits, with what is left."""
    row = await conn.fetchrow(
        "UPDATE nexus.confirmation c SET at = now(), left_us = greatest(0, left_us - least($2, "
        "greatest(0, (extract(epoch FROM now() - c.at) * 1000000)::bigint))) FROM nexus.deployment d "
        "WHERE d.id = c.deployment_id AND d.site = $1 AND c.state = 'waiting' "
        "RETURNING d.number, c.state, c.within_s, c.left_us, c.who, c.reason, c.at, 0 AS undone_by",
        *(site, elapsed_us),
    )
    return None if row is None else _confirmation(row)


async def confirm(conn: Connection, site: str, number: int, *, who: str) -> bool:
    """Confirm a deployment that waits, or that still runs; False when it does not (any more)."""
    row = await conn.fetchrow(
        "UPDATE nexus.confirmation c SET state = 'confirmed', who = $3, at = now() FROM nexus.deployment d "
        "WHERE d.id = c.deployment_id AND d.site = $1 AND d.number = $2 AND c.state = ANY($4::text[]) RETURNING c.state",
        *(site, number, who, list(OPEN)),
    )
    return row is not None


async def undo(conn: Connection, site: str, number: int, *, who: str, reason: str, by: int) -> bool:
    """A deployment that waits is rolled back by the deployment with the id `by`; False when it does not wait any more.

    Call in the transaction that begins the rollback: it is begun once, however often it is asked for.
    """
    row = await conn.fetchrow(
        "UPDATE nexus.confirmation c SET state = 'rolled-back', who = $3, reason = $4, undone_by = $5, at = now() "
        "FROM nexus.deployment d WHERE d.id = c.deployment_id AND d.site = $1 AND d.number = $2 "
        "AND c.state = ANY($6::text[]) RETURNING c.state",
        *(site, number, who, reason, by, list(OPEN)),
    )
    return row is not None


def _confirmation(row: Mapping[str, Any]) -> Confirmation:
    return Confirmation(
        number=row["number"],
        state=row["state"],
        within_s=row["within_s"],
        left_s=row["left_us"] / 1_000_000,
        who=row["who"],
        reason=row["reason"],
        at=microseconds(row["at"]),
        undone_by=row["undone_by"],
    )
