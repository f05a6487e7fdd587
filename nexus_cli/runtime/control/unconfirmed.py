"""A deployment that waits to be confirmed, when the next one is asked for: nothing is built upon it, but it may be taken back."""

from __future__ import annotations

from nexus_cli.apply import former_state
from nexus_cli.apply.request import DeploymentRequest
from nexus_cli.database import confirmations
from nexus_cli.database.connect import Connection
from nexus_cli.diagnostics.errors import NexusError


async def refuse(conn: Connection, site: str, request: DeploymentRequest) -> None:
    """Refuse what is no rollback while a deployment waits, and a rollback that does not make the former state.

    Raises:
        NexusError: NX5011 one waits to be confirmed; NX5013 what was sent is not the state before.
    """
    if request.undoes and not request.agreed:
        former = await former_state.before(conn, site, request.undoes)
        if former.digest != request.desired_digest:
            raise NexusError(f"What was sent is not the state before deployment {request.undoes}.", code="NX5013")
    waiting = await confirmations.open_one(conn, site)
    if waiting is not None and not 0 < request.undoes <= waiting.number:
        raise waits(waiting.number)


async def follow(conn: Connection, site: str, request: DeploymentRequest, *, deployment_id: int, who: str) -> None:
    """Arm the deployment that was begun, or end the wait of the one that it takes back. Call in the transaction that began it.

    Raises:
        NexusError: NX5011, NX5012: the wait began, or ended, meanwhile.
    """
    waiting = await confirmations.open_one(conn, site)
    if waiting is not None:
        if not 0 < request.undoes <= waiting.number:
            raise waits(waiting.number)
        await confirmations.undo(conn, site, waiting.number, who=who, reason=request.reason, by=deployment_id)
    elif request.agreed:
        raise NexusError(f"Deployment {request.undoes} does not wait to be confirmed any more.", code="NX5012")
    if request.confirm_within_s:
        await confirmations.arm(conn, deployment_id, within_s=request.confirm_within_s)


def waits(number: int) -> NexusError:
    """What is refused while a deployment waits to be confirmed."""
    return NexusError(
        f"Deployment {number} waits to be confirmed.",
        code="NX5011",
        hint=f"`nexus confirm {number}` keeps it, `nexus rollback {number}` takes it back",
    )
