"""Policies, effect and approvals at the door of deployments: what is read for them, and what is written of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from nexus_cli.apply.consent import Gate, gate_of, refused
from nexus_cli.apply.request import DeploymentRequest
from nexus_cli.database import approvals
from nexus_cli.database import deployments as db
from nexus_cli.database.connect import Connection, Pool
from nexus_cli.database.deployments import Recorded
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.policy_config import APPROVALS, POLICY
from nexus_cli.wire.approval import Verified

AUDITED = frozenset({"NX4002", "NX4032", "NX4033", "NX4034", "NX4035"})
"""Refusals that the audit trail has."""


async def read_gate(conn: Connection, request: DeploymentRequest, recorded: Recorded) -> Gate:
    """The rules on record. Raises NexusError NX4032: one can't be judged."""
    site = f"{recorded.enterprise}/{recorded.site}"
    policies = await db.attributes_of_kind(conn, site, POLICY.removesuffix("."))
    rest = await db.attributes(conn, site, ["site", APPROVALS])
    rules = {**rest, **{POLICY + name: one for name, one in policies.items()}}
    return gate_of(request, recorded, rules, at=datetime.now(UTC))


async def refuse_used(conn: Connection, site: str, used: Sequence[Verified]) -> None:
    """Raises NexusError NX4035: an approval was used already. Call in the transaction that begins the deployment."""
    for one in used:
        number = await approvals.used_by(conn, site, one.id, created_us=one.predicate.created_us)
        if number is not None:
            by = f"deployment {number}" if number > 0 else f"rollout {-number}"
            raise refused(f"the approval of '{one.key}' was used by {by}")


async def note_used(conn: Connection, site: str, used: Sequence[Verified], *, deployment: int, who: str) -> None:
    """Write that a deployment used these approvals; a rollout is its number below zero."""
    for one in used:
        about = {"key": one.key, "signer": one.predicate.who, "effect": one.effect}
        await approvals.note_use(conn, site, one.id, **about, deployment=deployment, who=who)


async def note_refusal(pool: Pool, site: str, error: NexusError, *, who: str) -> None:
    """Write a refusal of `AUDITED` into the audit trail; others are not its business."""
    if error.code in AUDITED:
        async with pool.acquire() as conn:
            await approvals.note_refusal(conn, site, who=who, code=error.code, message=error.message)
