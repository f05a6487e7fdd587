"""What became of a deployment that had to be confirmed, for who confirms it too late, twice, or for nothing (NX5012)."""

from __future__ import annotations

from nexus_cli.database import confirmations
from nexus_cli.database import deployments as db
from nexus_cli.database.connect import Connection
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire.confirmation import Confirmation


async def nothing_waits(conn: Connection, site: str) -> NexusError:
    """No deployment waits: what became of the last one that did."""
    newest = await confirmations.newest(conn, site)
    if newest is None:
        return NexusError(
            "No deployment waits to be confirmed.",
            code="NX5012",
            hint="`nexus apply --confirm-within 5m` makes one wait",
        )
    return await _refusal(conn, site, newest, f"No deployment waits to be confirmed: deployment {newest.number}")


async def does_not_wait(conn: Connection, site: str, number: int) -> NexusError:
    """This deployment does not wait: what became of it."""
    known = (await confirmations.of_deployments(conn, site, [number])).get(number)
    if known is None:
        return NexusError(
            f"Deployment {number} was applied without --confirm-within: it does not wait to be confirmed.",
            code="NX5012",
        )
    return await _refusal(conn, site, known, f"Deployment {number}")


async def _refusal(conn: Connection, site: str, known: Confirmation, subject: str) -> NexusError:
    if known.state != "rolled-back":
        return NexusError(f"{subject} {_STATES.get(known.state, known.state).format(known.who)}.", code="NX5012")
    by = known.undone_by
    back = await db.deployment(conn, site, by)
    if back is not None and back.outcome == "running":
        what, hint = "is being rolled back", f"`nexus deployments show {by}` follows"
    else:
        what, hint = "was rolled back", f"`nexus deployments show {by}` shows how; `nexus apply` applies it again"
    cause = known.reason if known.reason.startswith(f"deployment {known.number} ") else f"{known.who}: {known.reason}"
    return NexusError(f"{subject} {what} by deployment {by}.", code="NX5012", cause=cause.removesuffix(": "), hint=hint)


_STATES = {
    "armed": "still runs",
    "waiting": "waits",
    "confirmed": "was confirmed by {}",
    "dropped": "recorded nothing, so that there was nothing to confirm",
}
