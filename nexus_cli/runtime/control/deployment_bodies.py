"""A deployment's row as control's API gives it."""

from __future__ import annotations

import msgspec

from nexus_cli.database import deployments as db
from nexus_cli.wire.confirmation import Confirmation
from nexus_cli.wire.control import Deployment, DeploymentProgress, JournalLine
from nexus_cli.wire.rollout import RolloutOf


def header(found: db.Deployment, confirmation: Confirmation | None, rollout: RolloutOf | None) -> Deployment:
    """A deployment without its journal and table."""
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
    """A deployment with these lines of its journal, and its table."""
    facts = msgspec.structs.asdict(header(found, confirmation, rollout))
    return DeploymentProgress(**facts, journal=lines, table=found.summary.table)
