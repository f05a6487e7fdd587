"""One device whose reads are watched: when it was read, what is outstanding, how long it may wait. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from nexus_cli.runtime.gateway.devices.device import DeviceRuntime
from nexus_cli.runtime.gateway.devices.handover import Hole, Past
from nexus_cli.wire.frame import GapReason

STALL_US = 1_000_000
"""A beat that is more than this late, in µs, is a pause of the process."""


@dataclass(slots=True)
class Watched:
    """One device.

    Attributes:
        interval_us: Its shortest interval.
        polled: False when it only reports.
        last_us: Gateway time of its last read; 0 before the first.
        busy_us: Time of the last request or answer; a wait is counted from it.
        asked_us: Start of the outstanding request; 0 when there is none.
        waited_us: The wait before that request.
        longest_us: The longest wait that is not a hole: the interval plus two cycles, or plus a second if that is more.
        pace_us: Its usual wait between an answer and the next request.
        late: Consecutive waits that were too long.
        away: It does not answer, and its rows are BAD.
        hole: Its open hole.
        row_us: Time of its last row of any kind: calculated tags make rows between reads.
        gap_us: End of its last gap.
        past: First and last moment on record before each time that the time was set back.
    """

    interval_us: int
    polled: bool
    last_us: int = 0
    busy_us: int = 0
    asked_us: int = 0
    waited_us: int = 0
    longest_us: int = 0
    pace_us: int = 0
    late: int = 0
    away: bool = False
    hole: Hole | None = None
    row_us: int = 0
    gap_us: int = 0
    past: list[tuple[int, int]] = field(default_factory=list)

    @property
    def shown_us(self) -> int:
        """A gap begins after this moment."""
        return max(self.last_us, self.row_us)

    @property
    def past_until_us(self) -> int:
        """The last moment of its `past`."""
        return max(last_us for _, last_us in self.past)

    def shows(self, time_us: int) -> None:
        """Take the time of a row; it may be a little ahead of the clock, and far behind if the clock was set back."""
        if time_us > self.row_us or self.row_us - time_us > STALL_US:
            self.row_us = time_us

    def remember(self, path: str, past: Past) -> None:
        """Open the hole that the previous process left, if it read this device."""
        mark, row_us = past.mark, past.rows_us.get(path, 0)
        self.past = list(mark.past.get(path, ()))
        if not row_us:
            if path not in past.paths or path in mark.unread:
                return
            if path in mark.away and past.reason is GapReason.GATEWAY_STOPPED:
                self.away = True
                return
            if path in mark.holes:
                self.hole = mark.holes[path]
                return
        if path in mark.read_us and not row_us and path not in mark.asked_us:
            # A stop finishes and records each running read: nothing is missing yet. (A process that was killed soon
            # after it may have read something.)
            self.hole = Hole(mark.read_us[path] + 1, past.reason, past.reason is not GapReason.GATEWAY_STOPPED)
            return
        # A device that did not answer may have answered since, which a restored older log does not contain.
        # An outstanding answer is missing from its request on, unless its row came after the mark.
        since_us = max(mark.time_us, row_us) if row_us else mark.asked_us.get(path, mark.time_us)
        self.hole = Hole(since_us + 1, past.reason)


def watched(device: DeviceRuntime) -> Watched:
    """A device before its first read."""
    intervals = list(device.jobs) or [device.config.tags[point.name].poll_ms for point in device.reported]
    interval_us = 1000 * min(intervals, default=1000)
    longest_us = interval_us + max(STALL_US, 2 * interval_us)
    return Watched(interval_us, polled=bool(device.jobs), longest_us=longest_us, pace_us=interval_us)
