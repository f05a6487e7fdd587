"""Joins reads: the points of one device, in order, in sum reads of at most the configured size. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nexus_cli.drivers.base import Point, Request
from nexus_cli.drivers.chunked import group_in_order
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
    return group_in_order(device.path, points, size=points_a_read(device), plan=ReadPlan, text="SumRead", noun="symbol")
