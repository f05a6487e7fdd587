"""What waits in the live view: devices in turn, reported and polled values in turn, and the optional rate."""

from __future__ import annotations

import math

from nexus_cli.runtime.gateway.live_table import LiveTable


class _Queue:
    """Devices with tags that wait, the one that has waited longest first.

    Attributes:
        allowance: Messages that may be published now; grows with time.
    """

    def __init__(self, allowance: float) -> None:
        self.tables: dict[LiveTable, None] = {}
        self.allowance = allowance

    def refill(self, messages: float, *, most: float) -> float:
        """Add to the allowance; returns what exceeds `most`, for the other queue."""
        total = self.allowance + messages
        self.allowance = min(most, total)
        return total - self.allowance


class LiveQueues:
    """The queue of reported values and that of polled ones.

    Attributes:
        waiting: Tags in them.
    """

    def __init__(self, rate_per_s: float | None) -> None:
        """Start empty. With a rate, each gets half of it, and what one does not need the other may use."""
        self.waiting = 0
        self._rate_per_s = rate_per_s
        allowance = math.inf if rate_per_s is None else 0.0
        self._reported, self._polled = _Queue(allowance), _Queue(allowance)
        self._next_is_reported = True

    def refill(self, passed_s: float, *, slice_s: float) -> None:
        """Time has passed; at most a slice's messages are saved up."""
        if self._rate_per_s is None:
            return
        most = max(1.0, self._rate_per_s * slice_s)
        half = passed_s * self._rate_per_s / 2
        spare = self._reported.refill(half, most=most)
        spare = self._polled.refill(half + spare, most=most)
        self._reported.refill(spare, most=most)

    def is_free(self, *, reported: bool) -> bool:
        """Whether no value of its class waits, and no rate has to be kept."""
        return self._rate_per_s is None and not self._of(reported).tables

    def add(self, one: LiveTable, places: list[int], *, reported: bool) -> int:
        """Queue tags of one class of a device; gives how many of them waited already, with an older value."""
        mask = one.table.waiting
        already = int(mask[places].sum())
        mask[places] = True
        self.waiting += len(places) - already
        self._of(reported).tables[one] = None
        return already

    def take(self, most: int) -> tuple[LiveTable, list[int], bool] | None:
        """Take the tags that are next, of one device and class, and whether they are reported; None when nothing may
        leave. Then it is the turn of the next device, and of the other class."""
        for reported in (self._next_is_reported, not self._next_is_reported):
            queue = self._of(reported)
            count = int(min(most, queue.allowance))
            while queue.tables and count > 0:
                one = next(iter(queue.tables))
                found = one.waiting(reported=reported)
                if found:
                    self._taken(one, found[:count], queue, left=len(found) > count)
                    self._next_is_reported = not reported
                    return one, found[:count], reported
                del queue.tables[one]
        return None

    def _taken(self, one: LiveTable, places: list[int], queue: _Queue, *, left: bool) -> None:
        one.table.waiting[places] = False
        one.cursor = places[-1] + 1
        self.waiting -= len(places)
        queue.allowance -= len(places)
        del queue.tables[one]
        if left:
            queue.tables[one] = None

    def remove(self, one: LiveTable) -> None:
        """A device is gone, or is about to be queued again."""
        queued = [queue.tables.pop(one, one) is None for queue in (self._reported, self._polled)]
        if any(queued):
            self.waiting -= int(one.table.waiting.sum())

    def _of(self, reported: bool) -> _Queue:
        return self._reported if reported else self._polled
