"""The garbage collector of a role's process: what a configuration built is not looked at again.

A gateway's tags, chains and topics, and the tags that web knows, are some hundred thousand objects that live until the next configuration. The
collector visits all of them in each full collection, for up to a third of a second in which nothing else runs. They
are set aside once they are built; what is made afterwards is short-lived and collected as always, in longer steps.
See docs/decisions/0065.
"""

from __future__ import annotations

import asyncio
import gc

SETTLE_S = 10.0
"""When a configuration counts as built: its links are open and its first values recorded, in seconds."""
THRESHOLDS = (10_000, 20, 20)
"""New objects until a collection, and collections until one of the next older generation."""


class Garbage:
    """Sets aside what is built, some seconds after it was said to have changed; does nothing before `manage`."""

    def __init__(self) -> None:
        """Leave the collector as it is."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def manage(self) -> None:
        """Take the collector over, for the rest of the process. Call it on the loop."""
        self._loop = asyncio.get_running_loop()
        gc.set_threshold(*THRESHOLDS)

    def changed(self) -> None:
        """Much was built or dropped: set it aside in a while, once for several changes."""
        if self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(SETTLE_S, self._settle)

    def _settle(self) -> None:
        self._timer = None
        gc.unfreeze()
        gc.collect()
        gc.freeze()


GARBAGE = Garbage()
"""Of this process, which has one collector."""
