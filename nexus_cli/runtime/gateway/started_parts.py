"""The parts of a gateway that run, and how they are stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

PARTS = ("mark", "outbox", "publisher", "live", "health", "client", "commands")
"""The parts that are stopped one after another."""


class StartedParts(NamedTuple):
    """The running parts of a gateway: the events that stop them, and their tasks by name."""

    ends: Mapping[str, asyncio.Event]
    running: Mapping[str, asyncio.Task[None]]

    async def end(self, part: str) -> None:
        """Stop a part and wait for its task."""
        self.ends[part].set()
        await self.running[part]
