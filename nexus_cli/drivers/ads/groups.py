"""Which reads to join: the points of one device, in order, in sum reads of at most the configured size. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nexus_cli.drivers.base import Point, Request
from nexus_cli.model.config import DeviceConfig

MAX_SUM = 500
"""Sub-commands in one sum read. Source: Beckhoff, ADS sum commands."""
GUARDS = 3
"""Sub-commands that watch symbol version, state and online changes; they count too."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ReadPlan:
    """One sum read; sessions keep what they compiled for it as long as it lives."""

    points: tuple[Point, ...]


def points_a_read(device: DeviceConfig) -> int:
    """How many points one sum read of this device may hold beside what watches the PLC."""
    limit = min(int(device.connection.get("max_read") or MAX_SUM), MAX_SUM)
    return max(1, limit - GUARDS)


def group(device: DeviceConfig, points: Sequence[Point], *, fill_gaps: bool = True) -> tuple[Request, ...]:
    """Cut the points into sum reads. `fill_gaps` has no meaning here: symbols have no gaps."""
    size = points_a_read(device)
    pieces = [tuple(points[at : at + size]) for at in range(0, len(points), size)]
    return tuple(
        Request(
            device.path,
            piece,
            ReadPlan(piece),
            f"SumRead {len(piece)} symbol{'s' if len(piece) > 1 else ''}: {_span(piece)}",
        )
        for piece in pieces
    )


def _span(points: Sequence[Point]) -> str:
    first = points[0].address
    return first if len(points) == 1 else f"{first} … {points[-1].address}"
