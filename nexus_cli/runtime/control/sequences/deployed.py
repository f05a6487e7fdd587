"""Runs the sequences of deployments: begins one, or finds the run that an earlier try began, and waits for its end."""

from __future__ import annotations

from nexus_cli.apply.acting import Acting, Ended
from nexus_cli.runtime.control.sequences.record import LONGEST_WAIT_S, Runs
from nexus_cli.runtime.control.sequences.sequencing import Sequencing

RUNNING = "running"


class DeployedSequences:
    """The sequences that deployments of this control run."""

    def __init__(self, *, sequencing: Sequencing, runs: Runs) -> None:
        """Begin runs with the one, read their ends from the other."""
        self._sequencing, self._runs = sequencing, runs

    async def run(self, acting: Acting) -> Ended:
        """See `apply.acting.Act`. A run that an earlier control left is ended by this one as interrupted."""
        found = await self._sequencing.start(
            acting.sequence,
            run_id=acting.run_id,
            who=acting.who,
            reason=acting.reason,
            deployment=acting.deployment,
        )
        seen, state, why = 0, found.state, found.detail.detail
        while state == RUNNING:
            progress = await self._runs.status(acting.run_id, after=seen, wait_s=LONGEST_WAIT_S)
            seen = progress.journal[-1].id if progress.journal else seen
            state, why = progress.state, progress.detail.detail
        return Ended(state=state, why=why if isinstance(why, str) else "")
