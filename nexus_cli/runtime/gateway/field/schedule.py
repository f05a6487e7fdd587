"""The poll schedule: a fixed phase per group, spread starts, no backlog. Pure: it takes the time as input and never
waits.

A group is one device and one interval. Its phase is spread by the device's name, so that a thousand devices do not
start together and the same plant starts the same way every time. The groups of one device share their phase within
the second, so that their requests often run in one cycle and make one frame.
"""

from __future__ import annotations

import heapq
import math
import zlib
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)


SPREAD_S = 1.0
"""The first polls of a plant are spread over this time, in seconds; the groups of a device share a phase modulo it."""


def share(name: str) -> float:
    """The phase of a group as a share of its interval, `[0, 1)`; the same name gives the same phase."""
    return zlib.crc32(name.encode()) / 2**32


class Due(NamedTuple):
    """A group that is due.

    Attributes:
        at_s: When it should have started, monotonic seconds.
        missed: Whole cycles skipped before it (a late cycle is skipped, never caught up).
    """

    key: Hashable
    at_s: float
    missed: int


class Schedule(Generic[K]):
    """When each of many groups is due."""

    def __init__(self) -> None:
        """Start empty."""
        self._intervals: dict[K, float] = {}
        self._second: dict[K, float] = {}
        self._next: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0

    def __contains__(self, key: K) -> bool:
        return key in self._intervals

    def add(self, key: K, *, interval_s: float, now_s: float, name: str) -> None:
        """Add a group; it is first due within a second. A known group with the same interval keeps its phase.

        Args:
            key: Names the group.
            interval_s: Time between polls, seconds.
            now_s: Monotonic seconds.
            name: Determines the phase, e.g. the device's path.
        """
        if self._intervals.get(key) == interval_s:
            return
        self._intervals[key] = interval_s
        part = share(name)
        # A group with a long interval also gets its first value soon; its second poll is spread over whole seconds.
        whole = int(interval_s / SPREAD_S)
        self._second[key] = min(interval_s, (1 + int(part * 7919 % 1 * whole)) * SPREAD_S) if whole > 1 else interval_s
        self._push(key, now_s + part * min(interval_s, SPREAD_S))

    def remove(self, key: K) -> None:
        """Forget a group."""
        self._intervals.pop(key, None)
        self._next.pop(key, None)
        self._second.pop(key, None)

    @property
    def shortest_s(self) -> float:
        """The shortest interval, in seconds; infinity without groups."""
        return min(self._intervals.values(), default=math.inf)

    def next_s(self) -> float | None:
        """When the next group is due, monotonic seconds; None without groups."""
        while self._heap and self._next.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now_s: float) -> list[tuple[K, Due]]:
        """All groups that are due, earliest first; each is scheduled again on its phase."""
        due: list[tuple[K, Due]] = []
        heap = self._heap
        while heap and heap[0][0] <= now_s:
            at_s, _, key = heapq.heappop(heap)
            if self._next.get(key) != at_s:
                continue  # removed since
            interval_s = self._intervals[key]
            following_s = at_s + self._second.pop(key, interval_s)
            missed = 0 if now_s < following_s else 1 + int((now_s - following_s) / interval_s)
            next_s = following_s + missed * interval_s
            if next_s <= now_s:  # a rounding error short of the cycle that is still to come
                missed, next_s = missed + 1, next_s + interval_s
            self._push(key, next_s)
            due.append((key, Due(key, at_s, missed)))
        return due

    def _push(self, key: K, at_s: float) -> None:
        self._next[key] = at_s
        self._count += 1
        heapq.heappush(self._heap, (at_s, self._count, key))


CHECK_S = 5.0
"""How often a link without polls is checked, in seconds."""
CHECK_GAP_S = 0.1
"""Shortest time between two checks that a session requests, in seconds; it doubles while they follow each other."""


class CheckTimer:
    """When to check a link: some seconds after the last answered poll, and soon when its session requests it.

    Attributes:
        next_s: When the next check is due, monotonic seconds.
    """

    def __init__(self, now_s: float, *, check_s: float | None = None) -> None:
        """Start with a link that has just answered; `check_s`, in seconds, is for one that needs more frequent
        checks."""
        self._check_s = CHECK_S if check_s is None else min(CHECK_S, check_s)
        self.next_s = now_s + self._check_s
        self._wanted = False
        self._free_s = now_s
        self._gap_s = 0.0

    def request(self) -> None:
        """Request a check, as soon as the last one is long enough ago."""
        self._wanted = True
        self.next_s = min(self.next_s, self._free_s)

    def answered(self, now_s: float) -> None:
        """A poll was answered: postpone the next check, unless one was requested."""
        if not self._wanted:
            self.next_s = now_s + self._check_s

    def begin(self, now_s: float) -> bool:
        """Start a check if it is due; requests from here on are for the next one."""
        if now_s < self.next_s:
            return False
        again = self._wanted and self._gap_s and now_s < self._free_s + CHECK_S
        self._gap_s = min(2 * self._gap_s, CHECK_S) if again else CHECK_GAP_S
        self._wanted, self._free_s, self.next_s = False, now_s + self._gap_s, now_s + self._check_s
        return True
