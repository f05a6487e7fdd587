"""How long to wait before the next try: exponential with full jitter and a cap. Pure; it does not sleep."""

from __future__ import annotations

import random


class Backoff:
    """The waits between tries of one thing.

    Full jitter keeps a thousand links that fell together from coming back together.
    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Attributes:
        step: How many tries failed since the last `reset`.
    """

    __slots__ = ("_cap_s", "_first_s", "_floor", "_random", "step")

    def __init__(
        self, *, first_s: float = 1.0, cap_s: float = 60.0, floor: float = 0.5, rng: random.Random | None = None
    ) -> None:
        """Make a back-off at its first step.

        Args:
            first_s: Ceiling of the first wait, in seconds.
            cap_s: Ceiling of every wait, in seconds.
            floor: Share of the ceiling that is never undercut (0 is full jitter, 1 none).
            rng: Source of the jitter; a seeded one makes tests repeatable.
        """
        self._first_s = first_s
        self._cap_s = cap_s
        self._floor = floor
        self._random = rng or random.Random()  # noqa: S311 - jitter, no secret
        self.step = 0

    @property
    def ceiling_s(self) -> float:
        """The longest that the next wait can be, in seconds."""
        return min(self._cap_s, self._first_s * 2.0 ** min(self.step, 32))

    def next_s(self) -> float:
        """The next wait, in seconds; raises the step."""
        ceiling = self.ceiling_s
        self.step += 1
        return ceiling * (self._floor + (1.0 - self._floor) * self._random.random())

    def reset(self) -> None:
        """It worked: the next failure starts at the first step."""
        self.step = 0
