"""One timer of an event loop for many waits: time in slots, and all waits of a slot end in one turn of the loop.

A thousand links that are polled once a second, and a time-out for each request, are a thousand timers in a heap and as
many wake-ups of the process. Here a wait ends up to its slack later than asked for, never earlier, and the loop has one
timer, for the next slot with a wait. What is repeated in whole multiples of a slack is late by the same time each time. See docs/decisions/0065.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from math import ceil

SLOT_S = 0.005
"""Length of a slot, in seconds."""
SLACK = 0.02
"""The share of a time that it may be late by."""
POLL_SLACK = 0.1
"""The same for polls: the more answers come together, the less each costs."""
SLACKS = (20, 10, 5, 2, 1)
"""In slots, the longest first; each is a part of the longest, so that their slots begin together."""
EARLY_S = 0.001
"""A loop may round its timers to milliseconds and call this much too early, in seconds."""


def slack_of(time_s: float, share: float = SLACK) -> int:
    """How many slots (one of `SLACKS`) a wait of so many seconds may share: that share of it, or of one second where it is
    longer; 0 where that is less than a slot."""
    slots = int(min(time_s, 1.0) * share / SLOT_S + EARLY_S)
    return next((one for one in SLACKS if one <= slots), 0)


class Wait:
    """One wait; `cancel` ends it without its call."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Forget it. Does nothing when it is over."""
        self._call = None

    def cancelled(self) -> bool:
        """Whether it is over or was cancelled."""
        return self._call is None

    def end(self) -> None:
        """Call what waits, unless it was cancelled."""
        call, self._call = self._call, None
        if call is not None:
            call()


class Wheel:
    """The waits of one loop. A call may add waits and must not block; one that fails is reported to the loop."""

    def __init__(self, *, slot_s: float = SLOT_S) -> None:
        """Start without waits; belongs to the loop that first uses it."""
        self._slot_s = slot_s
        self._slots: dict[int, list[Wait]] = {}
        self._order: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._armed = 0

    def at(self, when_s: float, call: Callable[[], None], *, slots: int = 1) -> Wait:
        """Call at this time of the loop, or up to so many slots later; one that has passed is called in the next slot.

        Args:
            when_s: Seconds, as `loop.time()` counts them.
            call: Called once, in the order of the slots, and within one in the order of the calls of `at`.
            slots: The slack; at least 1.
        """
        slot = ceil(when_s / (self._slot_s * slots)) * slots
        wait = Wait(call)
        waits = self._slots.get(slot)
        if waits is not None:
            waits.append(wait)
            return wait
        self._slots[slot] = [wait]
        heapq.heappush(self._order, slot)
        if self._timer is None or slot < self._armed:
            self._arm(asyncio.get_running_loop())
        return wait

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._order:
            self._armed = self._order[0]
            self._timer = loop.call_at(self._armed * self._slot_s, self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        order = self._order
        now_s = loop.time() + EARLY_S
        due: list[Wait] = []
        while order and order[0] * self._slot_s <= now_s:
            due += self._slots.pop(heapq.heappop(order))
        # Before the calls: a wait that one of them adds must find the timer set.
        self._arm(loop)
        for wait in due:
            try:
                wait.end()
            except Exception as error:  # noqa: BLE001 - as a loop treats its own callbacks: the others continue
                loop.call_exception_handler({"message": "a wait on the wheel failed", "exception": error})


_wheels: dict[asyncio.AbstractEventLoop, Wheel] = {}


def wheel_of(loop: asyncio.AbstractEventLoop) -> Wheel:
    """The wheel that everything on a loop shares."""
    wheel = _wheels.get(loop)
    if wheel is None:
        for one in [one for one in _wheels if one.is_closed()]:
            del _wheels[one]
        wheel = _wheels[loop] = Wheel()
    return wheel
