"""Records that stay without receipt while what was sent behind them gets one. Pure."""

from __future__ import annotations

from collections.abc import Collection

from nexus_cli.runtime.clock import Clock

PASSED_OVER_S = 1.0
"""A record whose followers have been announced for this long was lost on the way: it alone is sent again."""
REPEATS = 4
"""Sent so often, and each time something that was sent later got its receipt: it does not pass."""


class PassedOver:
    """Counts how often a record was overtaken by what was sent after it."""

    def __init__(self, *, clock: Clock) -> None:
        """Start with nothing overtaken."""
        self._clock = clock
        self._due_s = 0.0
        self._receipt = 0
        self._sent: dict[int, tuple[int, int]] = {}

    def receipt(self, highest: int, in_flight: Collection[int]) -> None:
        """A receipt reaches up to `highest`; these numbers have none yet."""
        highest = self._receipt = max(self._receipt, highest)
        if self._sent:
            self._sent = {seq: one for seq, one in self._sent.items() if seq in in_flight}
        if not in_flight or min(in_flight) > highest:
            self._due_s = 0.0
        elif not self._due_s:
            self._due_s = self._clock.monotonic_s() + PASSED_OVER_S

    def due(self) -> bool:
        """True when overtaken records are to be looked at."""
        return bool(self._due_s) and self._clock.monotonic_s() >= self._due_s

    def pause(self) -> None:
        """Everything is sent again anyway."""
        self._due_s = 0.0

    def take(self, in_flight: Collection[int], *, highest_sent: int) -> tuple[list[int], list[int]]:
        """What is overtaken now.

        Args:
            in_flight: Numbers without receipt.
            highest_sent: The highest number that was ever sent: a receipt above it is for something sent later.

        Returns:
            What to send again, and what was sent again often enough.
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
