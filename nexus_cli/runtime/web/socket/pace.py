"""How fast a client may ask."""

from __future__ import annotations

from nexus_cli.wire.web_socket import AskedAny, Counts, Topics, Watch

PER_S = 50.0
"""Turns per second that a client has for long; most messages take one."""
AT_ONCE = 200.0
"""Turns that it has at once before that."""
PATHS_A_TURN = 100
TOPICS_TURNS = 10.0
"""Turns of a `topics`: every topic of the site is looked at."""


class Pace:
    """A bucket of turns that fills with time. A message that is too early waits, and so does its sender."""

    def __init__(self, *, now_s: float) -> None:
        """Begin with a full bucket."""
        self._left, self._seen_s = AT_ONCE, now_s

    def wait_s(self, turns: float, now_s: float) -> float:
        """Take turns; gives the seconds to wait before the message is carried out, 0 for none."""
        self._left = min(AT_ONCE, self._left + (now_s - self._seen_s) * PER_S)
        self._seen_s = now_s
        self._left -= turns
        return max(0.0, -self._left / PER_S)


def turns_of(asked: AskedAny) -> float:
    """How many turns a message takes, after the one for having been read."""
    if isinstance(asked, Watch | Counts):
        globs = sum("*" in path for path in asked.paths)
        return globs + len(asked.paths) / PATHS_A_TURN
    return TOPICS_TURNS if isinstance(asked, Topics) else 0.0
