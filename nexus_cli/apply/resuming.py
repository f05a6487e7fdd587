"""Whether a deployment that recorded nothing may be resumed: what has to be done once before its change is not done twice. Pure.

See docs/decisions/0113.
"""

from __future__ import annotations

from collections.abc import Sequence

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.actions import BEFORE
from nexus_cli.wire.control import JournalLine


def refuse_repeating(number: int, journal: Sequence[JournalLine]) -> None:
    """Refuse to resume a deployment whose sequence before the change did not end well, or was cut.

    A sequence that was done is not repeated, and one of which only the beginning is on record is awaited or found: both have the
    run that the deployment began. Only what failed would fail again for ever.

    Raises:
        NexusError: NX4014, with what became of the sequence.
    """
    last = {line.subject: line for line in journal if line.step == BEFORE}
    for sequence, line in sorted(last.items()):
        if line.state == "failed":
            why = str(line.detail.get("message") or "it failed")
            raise NexusError(
                f"Deployment {number} can't be resumed: sequence '{sequence}' before its change did not end well: {why}.",
                code="NX4014",
            )
