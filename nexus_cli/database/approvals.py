"""Approvals that were used: lines of the audit trail, so that each approves one deployment and no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nexus_cli.database.connect import Connection
from nexus_cli.database.deployments import microseconds, write_audit
from nexus_cli.database.ordered import from_jsonb
from nexus_cli.wire.control_plans import ApprovalUse

USED, REFUSED = "use-approval", "refuse-plan"
_CLOCKS = timedelta(days=1)


async def used_by(conn: Connection, site: str, approval: str, *, created_us: int) -> int | None:
    """Number of the deployment that used an approval; None where none did. One that failed, and so changed nothing, gives
    its approvals back.

    Args:
        conn: Where the trail is.
        site: `enterprise/site`.
        approval: Digest of its statement.
        created_us: When it was signed, µs since 1970 UTC: nothing older is looked at.
    """
    found = await conn.fetchval(
        """SELECT (a.detail->>'deployment')::int FROM nexus.audit a
           JOIN nexus.deployment d ON d.site = a.site AND d.number = (a.detail->>'deployment')::int
           WHERE a.site = $1 AND a.at >= $2 AND a.what = 'use-approval' AND a.detail->>'approval' = $3
             AND d.outcome <> 'failed' LIMIT 1""",
        *(site, datetime.fromtimestamp(created_us / 1e6, UTC) - _CLOCKS, approval),
    )
    return None if found is None else int(found)


async def note_use(
    conn: Connection, site: str, approval: str, *, key: str, signer: str, effect: str, deployment: int, who: str
) -> None:
    """Write that a deployment used an approval; in the transaction that begins the deployment."""
    detail = {"approval": approval, "key": key, "signer": signer, "effect": effect, "deployment": deployment}
    await write_audit(conn, site, who=who, what=USED, subject=key, detail=detail)


async def uses(conn: Connection, site: str, deployment: int, *, begun: datetime) -> list[ApprovalUse]:
    """The approvals that a deployment used, in order; a rollout is its number below zero.

    Args:
        conn: Where the trail is.
        site: `enterprise/site`.
        deployment: Its number.
        begun: When it began: they were noted at that time.
    """
    rows = await conn.fetch(
        """SELECT at, detail::text AS detail FROM nexus.audit WHERE site = $1 AND at BETWEEN $2 AND $3
             AND what = 'use-approval' AND detail->>'deployment' = $4 ORDER BY at, id""",
        *(site, begun - _CLOCKS, begun + _CLOCKS, str(deployment)),
    )
    found = [(microseconds(row["at"]), from_jsonb(row["detail"])) for row in rows]
    return [
        ApprovalUse(key=str(one["key"]), signer=str(one["signer"]), effect=str(one["effect"]), at=at)
        for at, one in found
    ]


async def note_refusal(conn: Connection, site: str, *, who: str, code: str, message: str) -> None:
    """Write that a plan was refused by a policy, its effect or an approval."""
    await write_audit(conn, site, who=who, what=REFUSED, subject=code, detail={"code": code, "detail": message})
