"""Taking the lock of a deployment away: the one that a person saw, and no later one. See docs/decisions/0118."""

from __future__ import annotations

from nexus_cli.database import deployments as db
from nexus_cli.database import lease as leases
from nexus_cli.database.connect import Connection
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.plan.stages import LOCK
from nexus_cli.wire.control import LockBroken


async def break_lock(conn: Connection, site: str, *, who: str, reason: str, acquired: int = 0) -> LockBroken:
    """Take the lock away and say so in journal and audit trail; call it in a transaction.

    Args:
        conn: In a transaction of the term that leads.
        site: `enterprise/site`.
        who, reason: For the record.
        acquired: When the lock was taken that is meant, µs since 1970 UTC; 0 is whichever is held.

    Raises:
        NexusError: NX4313, another lock is held by now.
    """
    held = await leases.break_(conn, site)
    if held is None:
        return LockBroken(broken=False)
    lock = held.public()
    if acquired and lock.acquired != acquired:
        whose = f"deployment {lock.deployment} of {lock.owner}" if lock.deployment else lock.owner
        raise NexusError(f"That lock is gone; another one is held by {whose}, and was not broken.", code="NX4313")
    detail = {"owner": held.owner, "reason": reason, "held_for": held.reason, "deployment": held.deployment}
    subject = f"deployment {held.deployment}" if held.deployment else ""
    await db.write_audit(conn, site, who=who, what="break-lock", subject=subject, detail=detail)
    if held.deployment_id is not None:
        why = {"message": f"{who} broke the lock: {reason}", "code": "NX5005", "who": who, "reason": reason}
        await db.write_journal(conn, held.deployment_id, LOCK, "failed", detail=why)
    return LockBroken(broken=True, lock=lock)
