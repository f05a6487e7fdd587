"""Looking again and again, as long as what is found is used."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from nexus_cli.runtime.lifecycle import first_of, wait_for

IDLE_S = 60.0


class Looking(ABC):
    """Looks every `pause_s` while there are users, and rests otherwise."""

    def __init__(self, *, pause_s: float) -> None:
        """Rest until the first user; `pause_s` is between two looks, in seconds."""
        self._pause_s, self._users = pause_s, 0
        self._wanted = asyncio.Event()

    def use(self, more: int) -> None:
        """A user begins (1) or ends (-1)."""
        self._users += more
        if self._users:
            self._wanted.set()
        else:
            self._wanted.clear()

    async def run(self, stop: asyncio.Event) -> None:
        """Look while there are users, until stopped."""
        while not stop.is_set():
            if not self._users:
                self.rest()
                await first_of(stop, self._wanted, timeout_s=IDLE_S)
                continue
            await self.look()
            await wait_for(stop, timeout_s=self._pause_s)

    @abstractmethod
    async def look(self) -> None:
        """Look once."""

    def rest(self) -> None:  # noqa: B027 - most have nothing to forget
        """There is no user any more, or none yet."""
