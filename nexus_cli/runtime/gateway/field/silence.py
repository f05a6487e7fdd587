"""Reported tags that have been silent for a while: which to read now, and what the read says about the last report.
Pure.

A device reports changes, so silence means that a value is unchanged. But a server that deletes a node and creates it
again, or a PLC that restarts behind a router, loses the subscription without notice. So silent tags are read from time
to time (an integrity poll), a bounded number at a time (decision 0048).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from nexus_cli.drivers.base import Fault, Notification, Point, Promise
from nexus_cli.wire.sample import Reason, Value

SILENT_S = 60.0
"""A tag without a report for this long is read, in seconds; one with a shorter heartbeat is read before that is due."""
LEAST_SILENT_S = 1.0
HEARTBEAT_SHARE = 0.9
"""The share of its heartbeat after which a silent tag is read."""
LEAST_DOUBT_S = 2.0
"""Shortest time to wait for the report of a changed value, in seconds."""
LONGEST_S = 3600.0
"""Longest time between two reads of a tag whose reads and reports keep differing, in seconds."""
MOST_A_READ = 50
"""Points read at a time."""


class Verdict(Enum):
    """The verdict of a read on the last report.

    HOLDS: The value is the one that was reported.
    WAIT: It differs, and its report may still arrive.
    OTHER: It differs, and was not reported in time.
    GONE: The reported node no longer exists.
    UNKNOWN: The read proves nothing.
    """

    HOLDS = "holds"
    WAIT = "wait"
    OTHER = "other"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(slots=True, eq=False)
class WatchedPoint:
    """One reported point.

    Attributes:
        device: Its device's path.
        promise: What the device reports of it, and how soon.
        silent_s: It is read after this long without a report, in seconds.
        last: Its last report; None before the first.
        confirmed_s: When it was last reported, or a read confirmed it, monotonic seconds.
        doubt_s: Since when a read differs from what was reported, monotonic seconds; infinity while none does.
        strikes: How often in a row a change was not reported.
        ended: It is no longer watched.
    """

    device: str
    point: Point
    promise: Promise
    silent_s: float
    confirmed_s: float
    last: Notification | None = None
    doubt_s: float = math.inf
    strikes: int = 0
    ended: bool = False

    @property
    def doubted(self) -> bool:
        """Whether a read has differed since the last report."""
        return self.doubt_s != math.inf and self.confirmed_s < self.doubt_s

    @property
    def wait_s(self) -> float:
        """How long a report may take, in seconds."""
        return max(LEAST_DOUBT_S, 2 * self.promise.within_s)

    @property
    def due_s(self) -> float:
        """When it is to be read, monotonic seconds."""
        if self.doubted:
            return self.doubt_s + self.wait_s
        return self.confirmed_s + min(max(LONGEST_S, self.silent_s), self.silent_s * 2.0 ** min(self.strikes, 16))


class SilenceWatch:
    """The reported points of a link, by when they are to be read."""

    def __init__(self) -> None:
        """Start without points."""
        self._of: dict[str, dict[str, WatchedPoint]] = {}
        self._heap: list[tuple[float, int, WatchedPoint]] = []
        self._count = 0
        self._most = MOST_A_READ

    @property
    def next_s(self) -> float:
        """When a point may be due, monotonic seconds; infinity when none is watched."""
        while self._heap and self._heap[0][2].ended:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else math.inf

    def watch(self, device: str, points: Iterable[tuple[Point, Promise, float]], now_s: float) -> None:
        """Watch a device's points: each with the device's promise and its heartbeat in seconds (0: none)."""
        self.forget(device)
        found = self._of[device] = {}
        for point, promise, heartbeat_s in points:
            wanted_s = min(SILENT_S, HEARTBEAT_SHARE * heartbeat_s or SILENT_S)
            silent_s = max(LEAST_SILENT_S, 2 * promise.within_s, wanted_s)
            one = found[point.name] = WatchedPoint(device, point, promise, silent_s, now_s)
            self._push(one, one.due_s)

    def forget(self, device: str) -> None:
        """Stop watching a device."""
        for one in self._of.pop(device, {}).values():
            one.ended = True

    def reported(self, device: str, notifications: Sequence[Notification], now_s: float) -> None:
        """Take note of reports."""
        known = self._of.get(device)
        if known is None:
            return
        for notification in notifications:
            one = known.get(notification.point.name)
            if one is not None:
                one.last, one.confirmed_s = notification, now_s

    def doubted(self, device: str, name: str) -> bool:
        """Whether a read of a tag has differed from its last report."""
        one = self._of.get(device, {}).get(name)
        return one is not None and one.doubted

    def due(self, now_s: float) -> list[WatchedPoint]:
        """The points to read now, the longest silent first; at most `MOST_A_READ`. Each must be classified or
        postponed."""
        found: list[WatchedPoint] = []
        while self._heap and self._heap[0][0] <= now_s and len(found) < self._most:
            _, _, one = heapq.heappop(self._heap)
            if one.ended:
                continue
            if one.due_s > now_s:  # it was reported since
                self._push(one, one.due_s)
            else:
                found.append(one)
        return found

    def classify(self, one: WatchedPoint, value: Value, fault: Fault | None, now_s: float) -> Verdict:
        """Compare a read with the last report, and schedule the next read."""
        verdict = self._classify(one, value, fault, now_s)
        self._push(one, one.due_s if verdict is not Verdict.UNKNOWN else now_s + SILENT_S)
        return verdict

    def refused(self, many: Sequence[WatchedPoint], now_s: float) -> None:
        """A read of these was not answered: read them later and fewer at a time, since one of them may be the cause."""
        self._most = max(1, len(many) // 2)
        for one in many:
            one.strikes += len(many) == 1
            self._push(one, max(one.due_s, now_s + SILENT_S))

    def postpone(self, one: WatchedPoint, now_s: float) -> None:
        """Skip this read."""
        self._push(one, now_s + one.silent_s)

    def answered(self) -> None:
        """A read was answered."""
        self._most = min(MOST_A_READ, 2 * self._most)

    def _classify(self, one: WatchedPoint, value: Value, fault: Fault | None, now_s: float) -> Verdict:
        reported = one.last
        if fault is not None and fault.reason is Reason.ACCESS_DENIED:
            return Verdict.UNKNOWN  # some servers report a node and refuse to read it
        if reported is not None and _same(reported, value, fault, one.promise.step):
            one.confirmed_s, one.strikes, one.doubt_s = now_s, 0, math.inf
            return Verdict.HOLDS
        gone = fault is not None and fault.reason is Reason.ILLEGAL_ADDRESS
        if not gone and not one.doubted:
            one.doubt_s = now_s
            return Verdict.WAIT
        if not gone and now_s < one.due_s:
            return Verdict.WAIT
        one.strikes += 1
        one.confirmed_s, one.doubt_s = now_s, math.inf
        one.last = Notification(one.point, value, fault)
        return Verdict.GONE if gone else Verdict.OTHER

    def _push(self, one: WatchedPoint, at_s: float) -> None:
        self._count += 1
        heapq.heappush(self._heap, (at_s, self._count, one))


def _same(reported: Notification, value: Value, fault: Fault | None, step: float) -> bool:
    """Whether a read equals the last report, apart from differences that the device need not report."""
    before = reported.fault
    if (before is None) is not (fault is None):
        return False
    if fault is not None and before is not None:
        if (before.reason, before.uncertain) != (fault.reason, fault.uncertain):
            return False
        if not fault.uncertain:
            return True
    return step == math.inf or all(_near(one, other, step) for one, other in _pairs(reported.value, value))


def _pairs(before: Value, now: Value) -> Iterator[tuple[object, object]]:
    if isinstance(before, (list, tuple)) and isinstance(now, (list, tuple)) and len(before) == len(now):
        yield from zip(before, now, strict=True)
    else:
        yield before, now


def _near(before: object, now: object, step: float) -> bool:
    if before == now or (before != before and now != now):  # NaN is not equal to itself
        return True
    numbers = isinstance(before, (int, float)) and isinstance(now, (int, float))
    return bool(step and numbers and abs(before - now) <= step)  # type: ignore[operator]
