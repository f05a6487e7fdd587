"""Sequences of a deployment: asked for by the engine, run by control, at most once each.

The id of a run follows from the deployment, so that a deployment that is continued asks for the same run, and gets the
end that it had. A run that was cut is not repeated: it is not known how far it came.

See docs/decisions/0110.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from nexus_cli.diagnostics.errors import NexusError

DONE = "done"
UNKNOWN = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """A sequence that a deployment runs.

    Attributes:
        sequence: Its name.
        when: `before` or `after`.
        deployment: Number of the deployment.
        who: Who applied it.
    """

    sequence: str
    when: str
    deployment: int
    who: str

    @property
    def run_id(self) -> str:
        """Id of its run: the same for each try of the same deployment, and never longer than a run's id may be."""
        name = self.sequence
        if len(name) > 60:
            name = f"{name[:40]}.{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        return f"deployment-{self.deployment}-{self.when}-{name}"

    @property
    def reason(self) -> str:
        """For the record of the run, and for the audit trail."""
        return f"deployment {self.deployment}, {self.when} its changes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run ended: `done`, `failed`, `refused`, `aborted` or `interrupted`, and why."""

    state: str
    why: str = ""


Act = Callable[[Acting], Awaitable[Ended]]
"""Runs a sequence to its end, or gives the end that its run had.

Raises:
    NexusError: It was not begun; retriable, when it may be tried again.
"""


async def no_sequences(_: Acting) -> Ended:
    """The default of an engine without sequences."""
    return Ended(state="refused", why="no sequences run here")


def problem_of(ended: Ended) -> str:
    """Why a sequence did not do what it should; "" when it did."""
    if ended.state == DONE:
        return ""
    if ended.state == UNKNOWN:
        return "its run was cut, so that it is not known how far it came; it is not run again"
    return f"it {'was ' if ended.state in ('refused', 'aborted') else ''}{ended.state}" + (
        f": {ended.why}" if ended.why else ""
    )


def before_failed(sequence: str, problem: str) -> NexusError:
    """NX4152 with its sentence."""
    return NexusError(
        f"Sequence '{sequence}' has to run before the change: {problem}. Nothing changed.",
        code="NX4152",
    )
