"""Records without a receipt while records sent after them have one. Pure."""

from __future__ import annotations

from collections.abc import Collection

from nexus_cli.runtime.clock import Clock

PASSED_OVER_S = 1.0
"""A record that was overtaken by receipts for this long, in seconds, was lost on the way: it alone is sent again."""
REPEATS = 4
"""A record that was sent this often, and overtaken each time, is not passed on by the broker."""


class PassedOver:
    """Counts how often each record, by its last number, was overtaken by receipts of later ones."""

    def __init__(self, *, clock: Clock) -> None:
        """Start with nothing overtaken."""
        self._clock = clock
        self._due_s = 0.0
        self._receipt = 0
        self._sent: dict[int, tuple[int, int]] = {}

    def receipt(self, highest: int, in_flight: Collection[int]) -> None:
        """Take a receipt up to `highest`; `in_flight` are the numbers without one."""
        highest = self._receipt = max(self._receipt, highest)
        if self._sent:
            self._sent = {seq: one for seq, one in self._sent.items() if seq in in_flight}
        if not in_flight or min(in_flight) > highest:
            self._due_s = 0.0
        elif not self._due_s:
            self._due_s = self._clock.monotonic_s() + PASSED_OVER_S

    def due(self) -> bool:
        """True when overtaken records have to be handled."""
        return bool(self._due_s) and self._clock.monotonic_s() >= self._due_s

    def pause(self) -> None:
        """Restart the waiting time, since everything is sent again."""
        self._due_s = 0.0

    def take(self, in_flight: Collection[int], *, highest_sent: int) -> tuple[list[int], list[int]]:
        """The records that are overtaken now.

        Args:
            in_flight: Numbers without receipt.
            highest_sent: The highest number sent so far: a later receipt above it is for a record sent later.

        Returns:
            The numbers to send again, and those that were sent `REPEATS` times.
        """
        self._due_s = 0.0
        again: list[int] = []
        given_up: list[int] = []
        for seq in sorted(one for one in in_flight if one < self._receipt):
            times, mark = self._sent.get(seq, (0, 0))
            if self._receipt > mark:
                times += 1
                self._sent[seq] = (times, highest_sent)
            if times >= REPEATS:
                del self._sent[seq]
                given_up.append(seq)
            else:
                again.append(seq)
        return again, given_up
