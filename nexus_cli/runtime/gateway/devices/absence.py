"""Finds the times in which a device was not read, and declares them as gaps. Pure: time and events are its input.

A row shows that a device was read, and no row between two rows shows that nothing changed, provided that the gateway
kept reading. Times without reads are not visible in the rows, so the gateway declares each as a gap of the device, from
the last read to the first one after (or to the first BAD row). Such times have three causes:

* the previous process was killed or stopped (`Absence.resume`);
* the process paused: a suspended machine, swapping, a clock set forward (`Absence.beat`);
* the link or the process was busy with other work for several cycles of the device (`Absence.asked`).

A device that does not answer has BAD rows, which is not a gap.

When the time is set back (`Clock.turns`), the same hours pass twice. What the gateway accounted for the first time (the
`past` of a device) is on record and is never part of a gap: neither while it passes again nor when the time is set forward
over it.

See docs/decisions/0029.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime
from nexus_cli.runtime.gateway.devices.handover import Hole, Mark, Past
from nexus_cli.runtime.gateway.devices.watched import STALL_US, Watched, watched
from nexus_cli.wire.frame import GapReason

BEAT_S = 0.25
"""How often `Absence.beat` is called, in seconds."""
PACE_SHARE = 4
"""While each wait is too long, the usual wait moves towards the last one by 1/`PACE_SHARE` of the difference."""
LONGEST_PACE = 3
"""After `ALWAYS_LATE` waits in a row that were too long, a wait is a hole when it is longer than this many usual ones.
A link that is always too slow for its interval makes rows that are far apart, and counts missed cycles; a gap between
each two rows would add nothing."""
ALWAYS_LATE = 3
MOST_PAST = 16
"""So many times that the time was set back are remembered."""


class AddGap(Protocol):
    """Records a gap: `Outbox.add_gap`."""

    def __call__(self, *, device: str, start_us: int, end_us: int, frames: int, reason: GapReason) -> None:
        """Record samples that are known to be missing."""
        ...


class Absence:
    """Watches each device of a gateway, and declares the times in which it was not read.

    Attributes:
        declared: Gaps by reason.
        since_us: The gateway accounts for every moment of its devices from then on, µs since 1970 UTC; 0 for always.
        ready: True once `configured` was called.
        paused: Whether a device is out of service for a while: that time is a gap of its own reason.
    """

    def __init__(self, *, clock: Clock, add_gap: AddGap) -> None:
        """Start without devices."""
        self.declared: Counter[GapReason] = Counter()
        self.since_us = clock.now_us()
        self.ready = False
        self.paused: Callable[[str], bool] = lambda _: False
        self._clock, self._add_gap = clock, add_gap
        self._past: Past | None = None
        self._watched: dict[str, Watched] = {}
        self._beat_us = clock.now_us()
        self._resumed_us = 0
        self._turns, self._turned_us = clock.turns, 0

    def resume(self, past: Past) -> None:
        """Continue from the end of the previous process; call it before `configured`."""
        self._past = past
        self.since_us, self._turned_us = past.mark.since_us, past.mark.turned_us

    def begin_anew(self) -> None:
        """Another instance was active meanwhile: this one can't account for the time until now."""
        self._past, self._turned_us = None, 0
        self._watched.clear()
        self.since_us = self._beat_us = self._clock.now_us()

    def configured(self, devices: Iterable[DeviceRuntime]) -> None:
        """Watch exactly these devices."""
        past, self._past = self._past, None
        before, self._watched = self._watched, {}
        for device in devices:
            paused = self.paused(device.path)
            if not (device.config.enabled or paused):
                continue
            known = before.get(device.path)
            one = watched(device)
            if known is not None:
                one.last_us, one.busy_us, one.away, one.hole = known.last_us, known.busy_us, known.away, known.hole
                one.row_us, one.gap_us, one.past = known.row_us, known.gap_us, known.past
            elif past is not None:
                one.remember(device.path, past)
            self._watched[device.path] = one
            if paused:
                self._pause(device.path, one)
        self.ready = True

    def _pause(self, path: str, one: Watched) -> None:
        """A person took the device out of service: nothing is missing before its BAD row, and everything after it."""
        one.away, one.asked_us = False, 0
        hole, now_us = one.hole, self._now_us()
        if hole is not None and hole.reason is GapReason.OUT_OF_SERVICE:
            return
        if hole is not None and (hole.certain or now_us - hole.since_us > one.longest_us):
            self._declare(path, hole.since_us, now_us - 1, hole.reason)
        one.hole = Hole(now_us, GapReason.OUT_OF_SERVICE, certain=False)

    def last_gap_us(self, path: str) -> int:
        """The end of the last declared gap of a device: later values must not be dated into it."""
        one = self._watched.get(path)
        return 0 if one is None else one.gap_us

    def asked(self, path: str) -> None:
        """Call before a device is read. If that is several cycles late, the time since its last read is a hole."""
        one = self._watched.get(path)
        if one is None:
            return
        now_us = self._now_us()
        if now_us - self._beat_us > STALL_US:
            self._look(now_us)
        wait_us = now_us - one.busy_us if one.busy_us else 0
        if wait_us <= one.longest_us:
            one.pace_us, one.late = one.interval_us, 0
        else:
            unusual = one.late < ALWAYS_LATE or wait_us > LONGEST_PACE * one.pace_us
            if unusual and one.last_us and not one.away and one.hole is None:
                one.hole = Hole(one.shown_us + 1, GapReason.GATEWAY_STALLED)
            one.pace_us += (wait_us - one.pace_us) // PACE_SHARE
            one.late += 1
        one.asked_us = one.busy_us = now_us
        one.waited_us = wait_us

    def read(self, path: str, time_us: int, *, answered: bool) -> None:
        """A device was read, reported, or did not answer; call it before its row is recorded.

        Args:
            path: The device.
            time_us: Gateway time of the row.
            answered: False when its rows are BAD because it did not answer.
        """
        if self._clock.turns != self._turns:
            self._turn(self._clock.now_us())
        one = self._watched.get(path)
        if time_us - self._beat_us > STALL_US:
            now_us = self._clock.now_us()
            if one is not None and time_us - now_us > STALL_US:  # its row is dated from before the time was set back
                one.past.append((time_us, time_us))
                time_us = now_us
            self._look(time_us)
        if one is None:
            return
        if one.hole is not None:
            hole, one.hole = one.hole, None
            if hole.certain or time_us - hole.since_us > one.longest_us:
                self._declare(path, hole.since_us, time_us - 1, hole.reason)
        if answered and one.polled and time_us < self._resumed_us and self._resumed_us - time_us > one.longest_us:
            # The answer is from before a pause and was handled after it: the pause has not been declared yet.
            one.hole = Hole(time_us + 1, GapReason.GATEWAY_STALLED)
        one.last_us = one.busy_us = time_us
        one.shows(time_us)
        if one.asked_us:  # this part of the request is answered, the rest is still outstanding
            one.asked_us = time_us
        one.away = not answered

    def finished(self, path: str, *, answered: bool) -> None:
        """The requested read of a device is over, and its rows, if any, are in the outbox."""
        one = self._watched.get(path)
        if one is not None and one.asked_us:
            self.read(path, self._clock.now_us(), answered=answered)
            one.asked_us = 0

    def row(self, path: str, time_us: int) -> None:
        """A row without a read (a calculated tag): no gap may contain it."""
        if self._clock.turns != self._turns:
            self._turn(self._clock.now_us())
        one = self._watched.get(path)
        if one is None:
            return
        one.shows(time_us)
        if one.hole is None:
            return
        hole = one.hole
        begins = hole.reason is GapReason.OUT_OF_SERVICE and not hole.certain  # its BAD row
        if not begins:
            self._declare(path, hole.since_us, time_us - 1, hole.reason)
        one.hole = Hole(max(hole.since_us, time_us + 1), hole.reason, hole.certain or begins)

    def beat(self) -> None:
        """Call every `BEAT_S`: a late beat is a pause of the whole process."""
        now_us = self._now_us()
        self._look(now_us)
        self._beat_us = now_us

    def mark(self, *, seq: int, instances: list[str], term: int, last: bool = False) -> Mark:
        """The mark that holds once everything up to `seq` is durable; `last` is for a stop."""
        watched = self._watched.items()
        now_us = self._now_us()
        return Mark(
            time_us=now_us,
            seq=seq,
            since_us=self.since_us,
            instances=instances,
            term=term,
            asked_us={path: one.asked_us for path, one in watched if one.asked_us and one.hole is None},
            read_us={path: one.last_us if one.polled else now_us for path, one in watched if one.last_us and last},
            holes={path: one.hole for path, one in watched if one.hole is not None},
            away=[path for path, one in watched if one.away],
            unread=[path for path, one in watched if not one.last_us and one.hole is None and not one.away],
            turned_us=self._turned_us,
            past={
                path: one.past for path, one in watched if one.past and (one.hole or one.last_us <= one.past_until_us)
            },
        )

    def _now_us(self) -> int:
        """The time, after it was noticed that it was set back."""
        now_us = self._clock.now_us()
        if self._clock.turns != self._turns:
            self._turn(now_us)
        return now_us

    def _turn(self, now_us: int) -> None:
        """The time was set back to this moment."""
        self._turns = self._clock.turns
        for path, one in self._watched.items():
            hole, one.hole = one.hole, None
            if hole is not None:
                if hole.certain or self._beat_us - hole.since_us > one.longest_us:
                    self._declare(path, hole.since_us, self._beat_us, hole.reason)
                one.hole = Hole(now_us, hole.reason, hole.certain)
            if (until_us := max(one.shown_us, one.gap_us)) > 0:
                since_us = self._turned_us or self.since_us
                if not one.past:  # a former process left none: it read the device beyond what was on record before
                    since_us = min(since_us, self.since_us)
                one.past = [*one.past, (since_us, until_us)][-MOST_PAST:]
            one.row_us = one.gap_us = 0
            one.last_us, one.busy_us, one.asked_us = (
                min(us, now_us) for us in (one.last_us, one.busy_us, one.asked_us)
            )
        self._beat_us, self._resumed_us = now_us, 0
        self._turned_us = now_us - STALL_US  # what was read since may have its time already

    def _look(self, now_us: int) -> None:
        """Detect a pause; called with each beat and each value, whichever comes first after it."""
        begun_us = self._beat_us
        if now_us - begun_us <= STALL_US:
            return
        self._beat_us = self._resumed_us = now_us
        for path, one in self._watched.items():
            if one.away or one.hole is not None or not one.last_us:
                continue
            if one.polled:
                # With a request outstanding, the device may be at fault for the rest: only the pause and the wait
                # before it count.
                own_us = one.waited_us + now_us - begun_us if one.asked_us else now_us - one.busy_us
                if own_us > one.longest_us:
                    # Not certain: an answer from before the pause may still arrive.
                    one.hole = Hole(one.shown_us + 1, GapReason.GATEWAY_STALLED, certain=False)
            elif now_us - begun_us > one.longest_us:
                # Reports that the device queued arrive late, and their rows are dated to the arrival.
                self._declare(path, max(begun_us, one.shown_us) + 1, now_us - 1, GapReason.GATEWAY_STALLED)

    def _declare(self, path: str, start_us: int, end_us: int, reason: GapReason) -> None:
        one = self._watched.get(path)
        for first_us, last_us in sorted(one.past) if one is not None else ():
            if first_us <= end_us and last_us >= start_us:
                self._record(path, start_us, first_us - 1, reason)
                start_us = last_us + 1
        self._record(path, start_us, end_us, reason)
        if one is not None and start_us <= end_us:
            one.gap_us = end_us

    def _record(self, path: str, start_us: int, end_us: int, reason: GapReason) -> None:
        if start_us <= end_us:
            self.declared[reason] += 1
            self._add_gap(device=path, start_us=start_us, end_us=end_us, frames=0, reason=reason)
