"""How fast a client may ask."""

from __future__ import annotations

PER_S = 50.0
"""Messages per second that a client may send for long."""
AT_ONCE = 200.0
"""Messages that it may send at once before that."""


class Pace:
    """A bucket of turns that fills with time. What comes too fast waits, and so does its sender."""

    def __init__(self, *, now_s: float) -> None:
        """Begin with a full bucket."""
        self._left, self._seen_s = AT_ONCE, now_s

    def wait_s(self, now_s: float) -> float:
        """Take a turn; gives the seconds to wait before the message is carried out, 0 for none."""
        self._left = min(AT_ONCE, self._left + (now_s - self._seen_s) * PER_S)
        self._seen_s = now_s
        self._left -= 1.0
        return max(0.0, -self._left / PER_S)
