"""Rejected values on their way to the historian's dead letters: through the disk log, under the custody of frames."""

from __future__ import annotations

from nexus_cli.runtime.gateway.outbox.outbox import Outbox
from nexus_cli.wire.frame import Letter, letter_maker


class Letters:
    """Puts letters into the outbox."""

    def __init__(self, outbox: Outbox) -> None:
        """Write to an outbox."""
        self._outbox = outbox

    def add_letter(self, letter: Letter, *, device: str, start_us: int, end_us: int) -> bool:
        """Hand rejected values of a tag on; False when the disk refuses it now."""
        outbox = self._outbox
        make = letter_maker(letter, device, start_us, end_us)
        at_us = max(
            end_us, outbox.last_time_us + 1
        )  # as of a gap: falling times would hide when records beside it were lost
        return bool(outbox.add_report(outbox.contents.gap_topic, time_us=at_us, make=make))
