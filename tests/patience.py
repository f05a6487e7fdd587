"""How long a test waits for what has to come true: it costs nothing when it comes, and a loaded machine is no failure."""

from __future__ import annotations

PATIENCE_S = 90.0
"""Shortest time after which a wait gives up, in seconds."""


def patient(deadline_s: float) -> float:
    """A deadline, and never less than `PATIENCE_S`."""
    return max(deadline_s, PATIENCE_S)
