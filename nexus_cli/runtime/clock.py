"""Time: an injected clock, and times that rise strictly per key across clock steps and restarts.

A row is keyed by series and gateway time, so two samples of one tag must never carry the same microsecond and a
later one never an earlier time, whatever the wall clock does (decision 0027). The one exception is a time
that was wrong by more than `MOST_AHEAD_US`: it is set back, once the wall clock is believed.

See docs/decisions/0034.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from nexus_cli.runtime import kernel_clock
from nexus_cli.runtime.kernel_clock import KernelClock
from nexus_cli.settings import ClockTrust

STEP_US = 1_000_000
"""A wall clock that jumps by more than this against the elapsed time, in µs, has been stepped; health counts it."""
APART_US = 2_000_000
"""Gateway time and a wall clock count as equal within this, in µs (a leap second, drift under correction). Beyond it
the time of a sample is doubtful."""
STABLE_AFTER_US = 60_000_000
"""How long a stepped wall clock must run without another step before it is trusted, in µs, if the operating system does
not call it synchronised. A mistyped time or a glitch is corrected by then."""
MOST_AHEAD_US = 300_000_000
"""If gateway time is ahead of a trusted wall clock by at most this, in µs, it runs at half speed until they agree (at
most ten minutes); beyond that it is set back. It is the historian's limit: rows further ahead were not stored under
their time."""
FLOOR_AHEAD_US = 86_400_000_000
"""A persisted time this far ahead of a possible wall clock, in µs, is itself wrong: neither a time zone nor an empty
battery explains it."""
AWAIT_US = 900_000_000
"""How long after a start a machine that was synchronised before may take to find its time server again, in µs."""
SLEW_US_PER_S = 50_000
"""How fast the anchored time drifts to a wall clock that is off by less than `APART_US`, in µs per second."""
SANE_FROM_US = 1_767_225_600_000_000
"""2026: an earlier date on a machine with this version means an empty clock battery or a fault."""
SANE_UNTIL_US = 4_102_444_800_000_000
"""2100: the historian stores nothing later (a 32-bit clock chip that is all ones says 2106)."""


class Clock(Protocol):
    """The runtime's source of time.

    Attributes:
        turns: How often `now_us` was set back; times can be compared only within one turn.
    """

    turns: int

    def now_us(self) -> int:
        """Time since 1970 UTC in µs, never falling within this process and turn."""
        ...

    def wall_us(self) -> int:
        """The machine's wall clock, µs since 1970 UTC; it may fall."""
        ...

    def monotonic_s(self) -> float:
        """Monotonic seconds."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Wait."""
        ...


def _elapsed_ns() -> int:
    """Elapsed time including suspension, so that a resume is not a clock step."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def is_possible(wall_us: int) -> bool:
    """Whether a wall clock can have this value (µs since 1970 UTC)."""
    return SANE_FROM_US <= wall_us < SANE_UNTIL_US


class SystemClock:
    """The machine's clock, anchored on the elapsed time.

    `now_us` runs with the elapsed time and is compared with the wall clock. A difference below `APART_US` is slewed
    away. A wall clock that was stepped further is not followed before it is trusted: at once if the operating system
    calls it synchronised, else when it has run for `STABLE_AFTER_US`. So a glitch never enters the record. Then `now_us`
    jumps forward; or, if it is ahead, runs at half speed; or is set back (`MOST_AHEAD_US`), which begins a new turn. A
    wall clock with an impossible value is never followed. While the two differ, `doubt` says so.

    Attributes:
        steps: Detected steps of the wall clock.
        last_step_us: Size of the last step; positive is forward.
        turns: How often `now_us` was set back.
        refused_floor_us: A persisted time that was refused, µs since 1970 UTC; 0 when there was none.
    """

    def __init__(
        self,
        *,
        trust: ClockTrust = ClockTrust.AUTO,
        floor_us: int = 0,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        kernel: Callable[[], KernelClock] = kernel_clock.ask,
    ) -> None:
        """Anchor at the wall clock of this moment, or at `floor_us` (the last persisted time) where that is later.

        Args:
            trust: How the wall clock is trusted.
            floor_us: As for `raise_to`.
            wall_ns: The machine's clock.
            monotonic_ns: A monotonic clock.
            kernel: The operating system's state of its clock.
        """
        own = monotonic_ns is time.monotonic_ns and hasattr(time, "CLOCK_BOOTTIME")
        self._wall_ns, self._monotonic_ns = wall_ns, monotonic_ns
        self._elapsed_ns = _elapsed_ns if own else monotonic_ns
        self._trust, self._kernel = trust, kernel
        elapsed_us, wall_us = self._elapsed_ns() // 1000, self.wall_us()
        self._wall_offset_us = wall_us - elapsed_us
        self._anchor_us = self._wall_offset_us if is_possible(wall_us) else SANE_FROM_US - elapsed_us
        self._last_check_us = elapsed_us
        self._stable_us: int | None = None
        self._awaits_us = 0
        self.steps = 0
        self.last_step_us = 0
        self.turns = 0
        self.refused_floor_us = 0
        self.raise_to(floor_us)

    def raise_to(self, floor_us: int) -> None:
        """Continue above the last persisted time, µs since 1970 UTC.

        It is used, as doubtful, even if it is ahead of the wall clock: a machine without a battery starts in the past.
            It is refused if it is further ahead than `FLOOR_AHEAD_US`, or outside of the times that rows can have.
        """
        elapsed_us, wall_us = self._elapsed_ns() // 1000, self.wall_us()
        far = is_possible(wall_us) and floor_us - wall_us > FLOOR_AHEAD_US
        if far or floor_us >= SANE_UNTIL_US:
            self.refused_floor_us = floor_us
            return
        self._anchor_us = max(self._anchor_us, floor_us + 1 - elapsed_us)
        if self._anchor_us - self._wall_offset_us > APART_US:
            self._stable_us = elapsed_us + STABLE_AFTER_US

    def await_synchronisation(self) -> None:
        """This machine was synchronised before: its clock is doubtful until it is again, for at most `AWAIT_US`."""
        self._awaits_us = self._elapsed_ns() // 1000 + AWAIT_US

    @property
    def kernel(self) -> KernelClock:
        """The operating system's state of its clock now."""
        return self._kernel()

    @property
    def ahead_us(self) -> int:
        """How far `now_us` is ahead of the wall clock, µs; negative when behind."""
        return self._anchor_us - self._wall_offset_us

    @property
    def wall_doubt(self) -> str:
        """Why the wall clock can't be trusted at the moment; "" when it can."""
        self.now_us()
        if self._trust is ClockTrust.NO:
            return "NEXUS_CLOCK_SYNCHRONISED says that the clock of this machine is not synchronised"
        if not is_possible(self.wall_us()):
            return f"the clock of this machine says {_date(self.wall_us())}, which can't be"
        if self._stable_us is not None:
            return (
                f"the clock of this machine and the time that passed are {abs(self.ahead_us) / 1e6:,.1f} s apart, and "
                "nothing vouches for the clock yet"
            )
        if self._trust is ClockTrust.REQUIRED and not self._kernel().synchronised:
            return "the operating system does not call its clock synchronised, and NEXUS_CLOCK_SYNCHRONISED requires it"
        return self._awaited()

    @property
    def doubt(self) -> str:
        """Why the times of `now_us` are doubtful at the moment; "" when they are not."""
        found = self.wall_doubt
        if not found and abs(self.ahead_us) > APART_US:
            found = f"our time is {self.ahead_us / 1e6:,.1f} s ahead of the clock of this machine and runs slowly until they agree"
        return found

    def now_us(self) -> int:
        """Time since 1970 UTC in µs."""
        elapsed_us = self._elapsed_ns() // 1000
        if elapsed_us - self._last_check_us >= 100_000:
            self._compare(elapsed_us)
        return self._anchor_us + elapsed_us

    def wall_us(self) -> int:
        """The machine's wall clock, µs since 1970 UTC."""
        return self._wall_ns() // 1000

    def monotonic_s(self) -> float:
        """Seconds on the monotonic clock."""
        return self._monotonic_ns() / 1e9

    async def sleep(self, delay_s: float) -> None:
        """Wait."""
        await asyncio.sleep(delay_s)

    def facts(self) -> dict[str, Any]:
        """For health: the state of the clock, and the distance of `now_us` from it."""
        kernel, doubt = self._kernel(), self.doubt
        set_by = {ClockTrust.YES: True, ClockTrust.NO: False}
        return {
            "synchronised": set_by.get(self._trust, kernel.synchronised),
            "by": "setting" if self._trust in set_by else "system" if kernel.synchronised is not None else "",
            "error_us": kernel.error_us,
            "steps": self.steps,
            "last_step_us": self.last_step_us,
            "ahead_us": self.ahead_us,
            "turns": self.turns,
            "refused_floor_us": self.refused_floor_us,
            "doubt": doubt,
        }

    def _compare(self, elapsed_us: int) -> None:
        passed_us = elapsed_us - self._last_check_us
        self._last_check_us = elapsed_us
        wall_us = self.wall_us()
        offset_us = wall_us - elapsed_us
        moved_us = offset_us - self._wall_offset_us
        self._wall_offset_us = offset_us
        if abs(moved_us) > STEP_US:
            self.steps += 1
            self.last_step_us = moved_us
        if abs(moved_us) > APART_US:
            self._stable_us = elapsed_us + STABLE_AFTER_US
        if abs(self.ahead_us) <= APART_US or (
            self._stable_us is not None and (elapsed_us >= self._stable_us or self._vouched())
        ):
            self._stable_us = None
        if self._stable_us is None and is_possible(wall_us):
            self._approach(passed_us)

    def _approach(self, passed_us: int) -> None:
        """Move `now_us` towards a trusted wall clock."""
        ahead_us = self.ahead_us
        if -ahead_us > APART_US:
            self._anchor_us -= ahead_us
        elif ahead_us > MOST_AHEAD_US:
            self._anchor_us -= ahead_us
            self.turns += 1
        else:
            # At most half of the elapsed time is subtracted, so `now_us` keeps rising while it approaches the wall
            # clock.
            most_us = passed_us // 2
            if ahead_us <= APART_US:
                most_us = min(most_us, max(1, passed_us * SLEW_US_PER_S // 1_000_000))
            self._anchor_us -= max(-most_us, min(most_us, ahead_us))

    def _vouched(self) -> bool:
        """Whether the operating system calls the clock synchronised; it does not after a clock was set by hand."""
        if self._trust in (ClockTrust.YES, ClockTrust.NO):
            return self._trust is ClockTrust.YES
        return self._kernel().synchronised is True

    def _awaited(self) -> str:
        if not self._awaits_us or self._trust is not ClockTrust.AUTO:
            return ""
        over = self._elapsed_ns() // 1000 >= self._awaits_us
        if over or self._kernel().synchronised is not False:
            self._awaits_us = 0
            return ""
        return "the clock of this machine was synchronised before, and since its start it is not yet"


def _date(wall_us: int) -> str:
    try:
        return datetime.fromtimestamp(wall_us / 1e6, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return f"{wall_us / 1e6:.0f} s since 1970"


class RisingTime:
    """Times that strictly rise per key, across clock steps; across restarts when the clock has its floor.

    When the clock is set back (`Clock.turns`) they start again from its new time.

    Attributes:
        now_us: The clock's `now_us`, independent of the times returned here.
    """

    __slots__ = ("_clock", "_last_us", "_turns", "now_us")

    def __init__(self, clock: Clock) -> None:
        """Use a clock."""
        self._clock = clock
        self._last_us: dict[str, int] = {}
        self._turns = clock.turns
        self.now_us = clock.now_us

    def next_us(self, key: str) -> int:
        """The current time, or the next µs after the key's last one."""
        return self.at_us(key, self.now_us())

    def at_us(self, key: str, time_us: int) -> int:
        """This time (at most now), or the next µs after the key's last one."""
        if self._turns != self._clock.turns:
            self._turns = self._clock.turns
            self._last_us.clear()
        last_us = self._last_us.get(key, 0)
        if time_us <= last_us:
            time_us = last_us + 1
        self._last_us[key] = time_us
        return time_us
