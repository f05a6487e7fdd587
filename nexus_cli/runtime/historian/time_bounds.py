"""Accepted times of gateways: at most 5 minutes ahead, unless the historian's own clock may be behind.

A frame that seems ahead is held (it gets no receipt, so its gateway sends it again) while the historian's clock is in
doubt: it differs from the database's, one of the two is behind the last recorded commit, or at least half of the
gateways seem ahead. It is refused when only its gateway is wrong. Pure except for the injected clock.
"""

from __future__ import annotations

from enum import Enum

from nexus_cli.runtime.clock import Clock
from nexus_cli.wire.reading import MOST_AHEAD_US

EARLIEST_US = 946_684_800_000_000
LATEST_US = 4_102_444_800_000_000
"""Years 2000 to 2100, in µs since 1970 UTC: a frame outside has no usable time."""
APART_US = 60_000_000
"""Clocks that differ by more than this, in µs, are not both right."""
PROBATION_S = 5.0
"""How long a gateway must seem ahead before its frames are refused, in seconds: others may seem ahead too."""
AHEAD_S = 60.0
"""A gateway seems ahead for this long after the last such frame, in seconds,"""
SANE_S = 4.0
"""unless a frame with a usable time came within this time, in seconds."""
MOST_GATEWAYS = 10_000


class Verdict(Enum):
    """The decision for a time: accepted, held until clocks agree, refused as ahead, refused as outside of 2000 to
    2100."""

    GOOD = "good"
    HELD = "held"
    AHEAD = "ahead_of_time"
    OUTSIDE = "time_out_of_range"


class TimeBounds:
    """Checks the times that gateways send."""

    def __init__(self, *, clock: Clock) -> None:
        """Rely on the machine's clock until the database's is known."""
        self._clock = clock
        self._offset_us = 0
        self._known_us = 0
        self._sane_s: dict[str, float] = {}
        self._ahead_s: dict[str, float] = {}
        self._since_s: dict[str, float] = {}
        self._held_s = float("-inf")

    def compare(self, database_us: int, *, newest_commit_us: int = 0) -> None:
        """Take the database's clock and the time of the last recorded commit (µs since 1970 UTC)."""
        self._offset_us = database_us - self._clock.now_us()
        self._known_us = max(self._known_us, database_us, newest_commit_us)

    def now_us(self) -> int:
        """The later of the machine's clock and the database's, µs since 1970 UTC."""
        return self._clock.now_us() + max(0, self._offset_us)

    @property
    def doubt(self) -> str:
        """Why the machine's clock may be wrong; "" when there is no sign of it."""
        if abs(self._offset_us) > APART_US:
            return f"the database's clock differs from ours by {self._offset_us / 1e6:.0f} s"
        if self.now_us() < self._known_us - APART_US:
            return f"our clock is {(self._known_us - self.now_us()) / 1e6:.0f} s behind the last commit"
        ahead, sane = self._gateways()
        if len(ahead) > 1 and len(ahead) >= len(sane):
            return f"{len(ahead)} gateways are ahead of our clock, {len(sane)} are not"
        return ""

    @property
    def holding(self) -> str:
        """Why frames of the last minute are held; "" when none are, or only for `PROBATION_S`."""
        return self.doubt if self._clock.monotonic_s() - self._held_s <= AHEAD_S else ""

    def classify(self, gateway: str, time_us: int) -> Verdict:
        """Decide about a frame, gap or report with this time (µs since 1970 UTC)."""
        if not EARLIEST_US <= time_us <= LATEST_US:
            return Verdict.OUTSIDE
        now_s = self._clock.monotonic_s()
        if time_us <= self.now_us() + MOST_AHEAD_US:
            self._sane_s[gateway] = now_s
            if len(self._sane_s) > MOST_GATEWAYS:
                self._sane_s.clear()
            return Verdict.GOOD
        if now_s - self._ahead_s.get(gateway, float("-inf")) > AHEAD_S:
            self._since_s[gateway] = now_s
        if len(self._ahead_s) > MOST_GATEWAYS:
            self._ahead_s.clear()
        self._ahead_s[gateway] = now_s
        if now_s - self._since_s.get(gateway, now_s) < PROBATION_S or self.doubt:
            self._held_s = now_s
            return Verdict.HELD
        return Verdict.AHEAD

    def bounded(self, time_us: int) -> int:
        """A time limited to the usable range: from the year 2000 to now."""
        return min(max(time_us, EARLIEST_US), self.now_us())

    def usable(self, time_us: int) -> bool:
        """True for a time from the year 2000 to 5 minutes ahead."""
        return EARLIEST_US <= time_us <= self.now_us() + MOST_AHEAD_US

    def _gateways(self) -> tuple[set[str], set[str]]:
        """The gateways that seem ahead, and those that do not."""
        now_s = self._clock.monotonic_s()
        ahead = {
            name
            for name, seen_s in self._ahead_s.items()
            if now_s - seen_s <= AHEAD_S and now_s - self._sane_s.get(name, float("-inf")) > SANE_S
        }
        return ahead, {name for name, seen_s in self._sane_s.items() if now_s - seen_s <= AHEAD_S} - ahead
