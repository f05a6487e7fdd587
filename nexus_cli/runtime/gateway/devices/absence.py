"""Which moments of which device the record of this gateway has not seen. Pure: it is given the time and what happened.

A row shows that a device was read, and silence between two rows shows that nothing changed, as long as the gateway
read on. Where it did not, nobody can see that from the rows: so the gateway declares each such time as a gap of the
device, from its last read to its first one after (or to the first BAD row). Three things make such a time:

* the process before this one ended, killed or stopped (`Absence.resume`);
* the process made a pause: a suspended machine, swap, a clock set forward (`Absence.beat`);
* the link or the process was busy with other things for several of the device's cycles (`Absence.asked`).

A device that does not answer is BAD, which its rows say; that is no gap.

See docs/decisions/0029.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime
from nexus_cli.wire.frame import GapReason

BEAT_S = 0.25
"""How often `Absence.beat` is called, in seconds."""
STALL_US = 1_000_000
"""A beat that is later than this, in µs, is a pause of the process."""
PACE_SHARE = 4
"""While each wait is too long, the usual one follows the last one by one part in so many."""
LONGEST_PACE = 3
"""After `ALWAYS_LATE` waits in a row that were too long, one is a hole when it is longer than so many usual ones. A link
that is always too slow for its interval makes rows that are far apart, which everybody sees, and counts missed cycles; a
gap between each two of them would say no more."""
ALWAYS_LATE = 3


class AddGap(Protocol):
    """Where gaps go: `Outbox.add_gap`."""

    def __call__(self, *, device: str, start_us: int, end_us: int, frames: int, reason: GapReason) -> None:
        """Record samples that are known to be missing."""
        ...


class Hole(msgspec.Struct, frozen=True, array_like=True):
    """A time without reads that has begun and not ended.

    Attributes:
        since_us: First moment that was not seen, µs since 1970 UTC.
        reason: What the gap will say.
        certain: False when nothing is missing if it ends within the wait that is allowed to its device.
    """

    since_us: int
    reason: GapReason
    certain: bool = True


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the next process of this gateway has to know: up to where this one's record is complete.

    Attributes:
        time_us: Every read up to this moment is durable, µs since 1970 UTC; 0 before it knew its devices.
        seq: The last number of the disk log at that moment.
        since_us: From when on this gateway accounts for every moment, by row or gap; 0 for always.
        instances: The last processes that used this disk log, this one at the end.
        term: Its term, see `ActiveInstance`.
        asked_us: When devices were asked whose answer is not durable, by path.
        read_us: When devices were read last, by path; only in the last mark of a process that was stopped.
        holes: Of devices that have not been read since, by path.
        away: Devices that do not answer: their last rows are BAD.
        unread: Devices that have never been read.
    """

    time_us: int
    seq: int
    since_us: int = 0
    instances: list[str] = []
    term: int = 0
    asked_us: dict[str, int] = {}
    read_us: dict[str, int] = {}
    holes: dict[str, Hole] = {}
    away: list[str] = []
    unread: list[str] = []


class Past(NamedTuple):
    """What is known of the process before this one.

    Attributes:
        mark: As it left it.
        rows_us: Times of the last rows (or ends of gaps) by device that it wrote after the mark.
        reason: How it ended.
        paths: The devices that it read.
    """

    mark: Mark
    rows_us: Mapping[str, int]
    reason: GapReason
    paths: frozenset[str]


@dataclass(slots=True)
class _Watched:
    """One device.

    Attributes:
        interval_us: Its shortest interval.
        polled: False when it only reports by itself.
        last_us: Gateway time of its last read; 0 before the first.
        busy_us: When it was last asked or answered; what a wait is counted from.
        asked_us: When the answer that is outstanding was asked for; 0 when none is.
        waited_us: How long it had waited for that.
        longest_us: The longest wait that is no hole: two cycles, but at least a second, above the interval.
        pace_us: Its usual wait between an answer and the next question.
        late: How many waits in a row were too long.
        away: It does not answer, and its rows say so.
        hole: The time without reads that has begun.
        row_us: The time of its last row, of whatever kind: calculated ones come between reads.
        gap_us: The end of its last gap.
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

    @property
    def shown_us(self) -> int:
        """The last moment that a gap may not hold."""
        return max(self.last_us, self.row_us)

    def shows(self, time_us: int) -> None:
        """There is a row with this time; it may be a little ahead of the clock, and far behind when that was set back."""
        if time_us > self.row_us or self.row_us - time_us > STALL_US:
            self.row_us = time_us


class Absence:
    """Watches every device of a gateway, and declares what was not seen of it.

    Attributes:
        declared: Gaps by reason.
        since_us: From when on this gateway accounts for every moment of its devices, µs since 1970 UTC; 0 for always.
        ready: It has been given the devices.
    """

    def __init__(self, *, clock: Clock, add_gap: AddGap) -> None:
        """Watch nothing yet."""
        self.declared: Counter[GapReason] = Counter()
        self.since_us = clock.now_us()
        self.ready = False
        self._clock, self._add_gap = clock, add_gap
        self._past: Past | None = None
        self._watched: dict[str, _Watched] = {}
        self._beat_us = clock.now_us()
        self._resumed_us = 0

    def resume(self, past: Past) -> None:
        """Go on where the process before this one ended; before `configured`."""
        self._past = past
        self.since_us = past.mark.since_us

    def begin_anew(self) -> None:
        """Another process had the name meanwhile: what was missing until now is not ours to say."""
        self._past = None
        self._watched.clear()
        self.since_us = self._beat_us = self._clock.now_us()

    def configured(self, devices: Iterable[DeviceRuntime]) -> None:
        """Watch these devices; those that are gone are forgotten."""
        past, self._past = self._past, None
        before, self._watched = self._watched, {}
        for device in devices:
            if not device.config.enabled:
                continue
            known = before.get(device.path)
            one = _watched(device)
            if known is not None:
                one.last_us, one.busy_us, one.away, one.hole = known.last_us, known.busy_us, known.away, known.hole
                one.row_us, one.gap_us = known.row_us, known.gap_us
            elif past is not None:
                _remember(one, device.path, past)
            self._watched[device.path] = one
        self.ready = True

    def told_us(self, path: str) -> int:
        """The end of the last gap that was declared of a device: what comes later may not be dated in it."""
        one = self._watched.get(path)
        return 0 if one is None else one.gap_us

    def asked(self, path: str) -> None:
        """A device is about to be read. When that comes several cycles late, the time since its last read is a hole."""
        one = self._watched.get(path)
        if one is None:
            return
        now_us = self._clock.now_us()
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
        """A device was read, reported, or was found not to answer; call it before its row is recorded.

        Args:
            path: The device.
            time_us: Gateway time of the row.
            answered: False when its rows are BAD for that.
        """
        if time_us - self._beat_us > STALL_US:
            self._look(time_us)
        one = self._watched.get(path)
        if one is None:
            return
        if one.hole is not None:
            hole, one.hole = one.hole, None
            if hole.certain or time_us - hole.since_us > one.longest_us:
                self._declare(path, hole.since_us, time_us - 1, hole.reason)
        if answered and one.polled and time_us < self._resumed_us and self._resumed_us - time_us > one.longest_us:
            # Answered before a pause, and on its way after it: the pause is still unseen.
            one.hole = Hole(time_us + 1, GapReason.GATEWAY_STALLED)
        one.last_us = one.busy_us = time_us
        one.shows(time_us)
        if one.asked_us:  # what was answered is known, what is asked for with it comes yet
            one.asked_us = time_us
        one.away = not answered

    def finished(self, path: str, *, answered: bool) -> None:
        """The read that a device was asked for is over, and its rows, should it have made any, are on their way."""
        one = self._watched.get(path)
        if one is not None and one.asked_us:
            self.read(path, self._clock.now_us(), answered=answered)
            one.asked_us = 0

    def row(self, path: str, time_us: int) -> None:
        """A row of a device that was not read for it (a calculated tag): no gap may lie over it."""
        one = self._watched.get(path)
        if one is None:
            return
        one.shows(time_us)
        if one.hole is None:
            return
        hole = one.hole
        self._declare(path, hole.since_us, time_us - 1, hole.reason)
        one.hole = Hole(max(hole.since_us, time_us + 1), hole.reason, hole.certain)

    def beat(self) -> None:
        """Call every `BEAT_S`: a beat that comes late is a pause of the whole process."""
        now_us = self._clock.now_us()
        self._look(now_us)
        if now_us < self._beat_us:  # the time was set back
            self._resumed_us = 0
        self._beat_us = now_us

    def mark(self, *, seq: int, instances: list[str], term: int, last: bool = False) -> Mark:
        """How far the record is complete now, once everything up to `seq` is durable; `last` is for the end."""
        watched = self._watched.items()
        now_us = self._clock.now_us()
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
        )

    def _look(self, now_us: int) -> None:
        """Whichever comes first after a pause, a beat or a value, finds it."""
        begun_us = self._beat_us
        if now_us - begun_us <= STALL_US:
            return
        self._beat_us = self._resumed_us = now_us
        for path, one in self._watched.items():
            if one.away or one.hole is not None or not one.last_us:
                continue
            if one.polled:
                # While an answer is outstanding only the pause is ours, with the wait before the question.
                own_us = one.waited_us + now_us - begun_us if one.asked_us else now_us - one.busy_us
                if own_us > one.longest_us:
                    # Not certain: an answer of before the pause may still be on its way.
                    one.hole = Hole(one.shown_us + 1, GapReason.GATEWAY_STALLED, certain=False)
            elif now_us - begun_us > one.longest_us:
                # What its device kept for us comes later than it was true: its rows are dated when they come.
                self._declare(path, max(begun_us, one.shown_us) + 1, now_us - 1, GapReason.GATEWAY_STALLED)

    def _declare(self, path: str, start_us: int, end_us: int, reason: GapReason) -> None:
        if end_us < start_us:
            return
        self.declared[reason] += 1
        if (one := self._watched.get(path)) is not None:
            one.gap_us = end_us
        self._add_gap(device=path, start_us=start_us, end_us=end_us, frames=0, reason=reason)


def _watched(device: DeviceRuntime) -> _Watched:
    intervals = list(device.jobs) or [device.config.tags[point.name].poll_ms for point in device.reported]
    interval_us = 1000 * min(intervals, default=1000)
    longest_us = interval_us + max(STALL_US, 2 * interval_us)
    return _Watched(interval_us, polled=bool(device.jobs), longest_us=longest_us, pace_us=interval_us)


def _remember(one: _Watched, path: str, past: Past) -> None:
    """Give a device the hole that the process before this one left, if it read it."""
    mark, row_us = past.mark, past.rows_us.get(path, 0)
    if not row_us:
        if path not in past.paths or path in mark.unread:
            return
        if path in mark.away and past.reason is GapReason.GATEWAY_STOPPED:
            one.away = True
            return
        if path in mark.holes:
            one.hole = mark.holes[path]
            return
    if path in mark.read_us and not row_us and path not in mark.asked_us:
        # A stop ends every read that has begun, and writes it: nothing is missing yet. (A process that was killed soon
        # after it may have read something.)
        one.hole = Hole(mark.read_us[path] + 1, past.reason, past.reason is not GapReason.GATEWAY_STOPPED)
        return
    # One that did not answer may have come back since, where a log that was set back does not know it.
    # An answer that was outstanding is missing since it was asked for, unless its row came after the mark.
    since_us = max(mark.time_us, row_us) if row_us else mark.asked_us.get(path, mark.time_us)
    one.hole = Hole(since_us + 1, past.reason)


__all__ = ["ALWAYS_LATE", "BEAT_S", "Absence", "Hole", "Mark", "Past"]
