"""The state of a link, as health shows it."""

from __future__ import annotations

from nexus_cli.runtime.clock import Clock


class LinkState:
    """The state of a link in the health document: `idle`, `connecting`, `connected` or `backoff`."""

    def __init__(self, clock: Clock) -> None:
        """Start idle."""
        self._clock = clock
        self.state = "idle"
        self.detail = ""
        self.since_us = clock.now_us()

    def to(self, state: str, detail: str = "") -> bool:
        """Set state and detail; True when the state changed."""
        changed = state != self.state
        if changed:
            self.since_us = self._clock.now_us()
        self.state, self.detail = state, detail
        return changed
