"""What the runtime measured of a link: the facts that a prediction of its load may start from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFacts:
    """One link as its gateway measured it; None is not known.

    Attributes:
        link: Link id.
        cycle_ms: The longest of the newest poll turns, ms.
        requests: Requests of that turn.
        time_per_request_ms: How long one request takes until it is answered, ms.
        connect_ms: How long the newest connect took, ms.
    """

    link: str
    cycle_ms: float | None = None
    requests: int | None = None
    time_per_request_ms: float | None = None
    connect_ms: float | None = None
