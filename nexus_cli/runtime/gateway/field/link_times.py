"""How long a link takes: its newest connect, its longest poll turn of late, and one request. For health and for plans."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from nexus_cli.runtime.clock import Clock

SMOOTHING = 1 / 8
"""Weight of the newest turn in `request_ms`."""
WINDOW = 64
"""Poll turns after which the longest one is forgotten, at the latest after twice as many."""
Opened = TypeVar("Opened")


class LinkTimes:
    """Measures of one link.

    Attributes:
        connect_ms: The newest connect that succeeded; 0 before the first.
        cycle_ms, requests: The longest of the newest poll turns, with its requests; 0 before the first.
        request_ms: One request within a turn, smoothed.
    """

    def __init__(self, clock: Clock) -> None:
        """Nothing is measured yet."""
        self._clock = clock
        self.connect_ms = self.request_ms = 0.0
        self._current = self._former = (0.0, 0)
        self._turns = 0
        self._began: tuple[float, int] | None = None

    @property
    def cycle_ms(self) -> float:
        """See the class."""
        return max(self._current, self._former)[0]

    @property
    def requests(self) -> int:
        """See the class."""
        return max(self._current, self._former)[1]

    async def connecting(self, opening: Awaitable[Opened]) -> Opened:
        """Wait for a connect and measure it."""
        began_s = self._clock.monotonic_s()
        opened = await opening
        self.connect_ms = (self._clock.monotonic_s() - began_s) * 1000
        return opened

    def turn(self, *, begins: bool, calls: int) -> None:
        """A poll turn begins, or ended well; one that broke off is left out. `calls` are those of the session so far."""
        now_s = self._clock.monotonic_s()
        began, self._began = self._began, (now_s, calls) if begins else None
        if begins or began is None or calls <= began[1]:
            return
        took_ms, requests = (now_s - began[0]) * 1000, calls - began[1]
        one_ms = took_ms / requests
        self.request_ms += (one_ms - self.request_ms) * (SMOOTHING if self.request_ms else 1.0)
        self._current = max(self._current, (took_ms, requests))
        self._turns += 1
        if self._turns >= WINDOW:
            self._former, self._current, self._turns = self._current, (0.0, 0), 0
