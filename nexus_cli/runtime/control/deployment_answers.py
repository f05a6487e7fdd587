"""What control's API gives of deployments and of devices on record, and the refusal while another deployment runs."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from nexus_cli.access.lines import TagFacts
from nexus_cli.database import deployments as db
from nexus_cli.database import lease as leases
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire.confirmation import Confirmation
from nexus_cli.wire.control import Deployment, DeploymentProgress, JournalLine
from nexus_cli.wire.rollout import RolloutOf


class DeviceFacts(NamedTuple):
    """The gateway of a device, and what rights ask of its tags."""

    gateway: str
    tags: tuple[TagFacts, ...]


def header(found: db.Deployment, confirmation: Confirmation | None, rollout: RolloutOf | None) -> Deployment:
    """A deployment as the API gives it in a list."""
    return Deployment(
        number=found.number,
        who=found.who,
        reason=found.reason,
        state="running" if found.outcome == "running" else "ended",
        outcome=found.outcome,
        started=db.microseconds(found.started),
        ended=None if found.ended is None else db.microseconds(found.ended),
        counts=found.summary.counts,
        left_out=found.summary.left_out,
        allow=list(found.allow),
        run_url=found.run_url,
        undoes=found.undoes,
        confirmation=confirmation,
        rollout=rollout or msgspec.UNSET,
    )


def progress(
    found: db.Deployment, lines: list[JournalLine], confirmation: Confirmation | None, rollout: RolloutOf | None
) -> DeploymentProgress:
    """A deployment with lines of its journal."""
    facts = msgspec.structs.asdict(header(found, confirmation, rollout))
    return DeploymentProgress(**facts, journal=lines, table=found.summary.table)


def locked(held: leases.Lease | None) -> NexusError:
    """What is refused while another deployment holds the lock."""
    if held is None:
        return NexusError("Another deployment is running.", code="NX5001")
    # Two people may have one token: with the owner alone each would read their own name.
    whose = f"Deployment {held.deployment} of {held.owner}" if held.deployment else held.owner
    return NexusError(f"{whose} holds the lock" + (f" ({held.reason})." if held.reason else "."), code="NX5001")
