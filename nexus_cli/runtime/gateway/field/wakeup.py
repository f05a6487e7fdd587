"""The wait of a supervisor between two polls: until a time-out, or an earlier wake-up.

`asyncio.timeout` around `Event.wait` does the same with a context manager, two exceptions and a cancellation for each
time-out, which is nearly every wait: 7 µs per poll instead of 4 (`docs/decisions/0025-modbus-on-the-wire.md`).
"""

from __future__ import annotations

import asyncio


class Wakeup:
    """A flag that one task may wait for."""

    def __init__(self) -> None:
        """Not set."""
        self._set = False
        self._held = False
        self._waiting: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Wake the waiting task, and any that waits before `clear`; while it is held, when it is released."""
        self._set = True
        if not self._held:
            self.end()

    @property
    def is_over(self) -> bool:
        """True when no task waits, or the one that did continues in the next turn of the loop."""
        return self._waiting is None or self._waiting.done()

    def end(self) -> None:
        """End the present wait, as its time-out does; the flag stays as it is."""
        if self._waiting is not None:
            _end(self._waiting)

    def hold(self) -> None:
        """Keep the task waiting while something else uses what is its own."""
        self._held = True

    def release(self) -> bool:
        """Let the task continue if it was woken meanwhile; True then."""
        self._held = False
        if self._set:
            self.end()
        return self._set

    def clear(self) -> None:
        """Reset the flag."""
        self._set = False

    async def wait(self, delay_s: float | None) -> None:
        """Wait until it is set, at most `delay_s` seconds (None: without limit). Always yields to the event loop."""
        if self._set or (delay_s is not None and delay_s <= 0):
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        self._waiting = waiting = loop.create_future()
        timer = None if delay_s is None else loop.call_later(delay_s, _end, waiting)
        try:
            await waiting
        finally:
            self._waiting, self._held = None, False
            if timer is not None:
                timer.cancel()


def _end(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
