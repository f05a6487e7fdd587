"""What a runtime measured of a link: with it a plan predicts from what was, not from what is typical."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFacts:
    """Measurements of one link; None where there is none.

    Attributes:
        link: Its id, as devices have it; `gateway` says whose.
        cycle_ms: How long one read of everything polled took, in ms.
        requests: How many requests that were.
        time_per_request_ms: From sending a request to its answer, in ms, the pause of the connection left out; without
            it, it follows from `cycle_ms` and `requests`, and then the pause is in it.
        connect_ms: How long the last connect took, in ms.
    """

    link: str
    gateway: str = ""
    cycle_ms: float | None = None
    requests: int | None = None
    time_per_request_ms: float | None = None
    connect_ms: float | None = None

    @property
    def is_measured(self) -> bool:
        """True when there is anything to predict from."""
        return self.connect_ms is not None or self.request_ms() is not None

    def request_ms(self, *, pause_ms: float = 0.0) -> float | None:
        """Measured time of one request without the pause, in ms; None where nothing was measured."""
        if self.time_per_request_ms is not None:
            return self.time_per_request_ms
        if self.cycle_ms is None or not self.requests:
            return None
        return max(self.cycle_ms / self.requests - pause_ms, 0.0)
