"""What the caller of a deployment, of a rollout, and of what confirms, resumes or takes one back, may change."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nexus_cli.model.snapshot import Attributes
from nexus_cli.plan.actions import sequence_names
from nexus_cli.runtime.identity.apply_scope import refuse_outside
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.identity.principals import require

Within = Callable[[Mapping[str, Attributes | None], Mapping[str, Attributes]], None]
"""Gets what is changed and what it was, by address; raises NexusError for who may not change that. It runs on a thread."""


def covered_by(caller: Caller) -> Within:
    """Refuses what the caller could not apply. Raises NexusError NX6411; NX6403 for a sequence that it may not run."""

    def within(changed: Mapping[str, Attributes | None], before: Mapping[str, Attributes]) -> None:
        refuse_outside(caller.held, changed, before, who=caller.principal, access=caller.may("access:admin"))
        for name in sequence_names(changed, before):
            require(caller, "run", name)

    return within
