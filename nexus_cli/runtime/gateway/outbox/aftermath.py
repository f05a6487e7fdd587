"""Tracks which devices lost rows, and when, until the last values of their tags are recorded again. Pure.

Only changes are recorded, so a tag that changed during a loss and not since would keep an older last row for ever. So
each loss is collected here, and reported once when it has stopped growing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nexus_cli.runtime.gateway.devices.device import DeviceRuntime
from nexus_cli.runtime.gateway.devices.tag_table import TagState
from nexus_cli.runtime.gateway.outbox.losses import Span
from nexus_cli.wire.frame import GapReason

DISORDER_US = 60_000_000
"""How much later than its time a row may reach the log, in µs: a read of a slow device."""


class Aftermath:
    """Losses since the last report, one span per device (bounded by the number of devices)."""

    def __init__(self) -> None:
        """Start with nothing lost."""
        self._over: dict[str, Span] = {}
        self._growing: dict[str, Span] = {}
        self._on_over: list[Callable[[list[Span]], None]] = []

    def __bool__(self) -> bool:
        return bool(self._over or self._growing)

    def note(self, span: Span) -> None:
        """Frames of a device ("" for any device) are lost. An overflow continues until the log has room again."""
        noted = self._growing if span.reason == GapReason.OVERFLOW else self._over
        known = noted.get(span.device)
        if known is not None:
            start_us, end_us = min(known.start_us, span.start_us), max(known.end_us, span.end_us)
            span = span._replace(start_us=start_us, end_us=end_us)
        noted[span.device] = span

    def on_over(self, call: Callable[[list[Span]], None]) -> None:
        """Set the callback for losses that no longer grow: the last values of the tags in these spans have to be
        recorded again."""
        self._on_over.append(call)

    def report(self, *, room: bool) -> None:
        """Frames are accepted: report, once, the losses that no longer grow.

        Args:
            room: The log has room, so that nothing is dropped soon.
        """
        found = list(self._over.values())
        self._over = {}
        if room:
            found += self._growing.values()
            self._growing = {}
        if found:
            for call in self._on_over:
                call(found)


def lost_states(device: DeviceRuntime, spans: Sequence[Span]) -> list[TagState]:
    """The tags of a device whose last row lies in a loss.

    If the device of the lost frames is unknown, the span comes from the records around them, whose times need not be in
        order: rows within `DISORDER_US` count as lost too, which at most records a value once more.
    """
    table = device.normaliser.table
    lost = np.zeros(len(table), np.bool_)
    for one in spans:
        near_us = 0 if one.device else DISORDER_US
        lost |= (table.time_us >= one.start_us - near_us) & (table.time_us <= one.end_us + near_us)
    return list(device.normaliser.where(lost & table.known))


def unstated(device: DeviceRuntime, spans: Sequence[Span]) -> Span | None:
    """The loss that contains the last row of a device, which has no row since; None when there is none."""
    last_us = max(device.normaliser.table.times, default=0)
    found = [one for one in spans if one.start_us <= last_us <= one.end_us]
    return max(found, key=lambda one: one.end_us, default=None)


__all__ = ["Aftermath", "lost_states", "unstated"]
