"""Lanes of writing: each has its own database connection, custody and deferred samples.

All messages of a gateway go through one lane, so that its custody belongs to one connection. What one lane waits for (a
lock, a slow statement, the commit) holds up no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from nexus_cli.database.connect import WRITING
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.historian.batch import Batch
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.database_link import DatabaseLink, StoppedError
from nexus_cli.runtime.historian.placement import Placement
from nexus_cli.runtime.historian.writer import Receipt, Writer
from nexus_cli.runtime.latency import Latencies
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings

_log = logging.getLogger("nexus.historian")
READY_BATCHES = 2
GIVING_UP_S = 0.2
"""Extra time for the running transaction when draining takes too long, in seconds."""


class Lane:
    """One connection that stores batches, one after the other.

    Attributes:
        number: From 0.
        batches: Batches that are ready; None is the end.
        link: Its connection.
        writer: Stores one batch.
        placement: Decides what becomes of a batch that can't be stored.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        number: int,
        application: str,
        clock: Clock,
        counters: Counters,
        latencies: Latencies,
        on_committed: Receipt,
        on_change: Callable[[], None],
        on_room: Callable[[], None],
    ) -> None:
        """Prepare; nothing is opened yet. `on_room` is called when a batch was taken."""
        self.number = number
        self.batches: asyncio.Queue[Batch | None] = asyncio.Queue(READY_BATCHES)
        self.writer = Writer(
            site=settings.site, clock=clock, counters=counters, latencies=latencies, on_committed=on_committed
        )
        self.placement = Placement(site=settings.site, writer=self.writer, clock=clock, counters=counters)
        self.link = DatabaseLink(
            settings,
            application=application,
            on_change=on_change,
            on_new=self.writer.forget,
            limits=WRITING,
            writer=True,
            grace_s=GIVING_UP_S,
        )
        self._on_room = on_room
        self._writing = self._written = 0

    @property
    def progress(self) -> tuple[int, int]:
        """How many batches are to be stored, and how many were."""
        return self.batches.qsize() + self._writing, self._written

    async def run(self, giving_up: asyncio.Event) -> None:
        """Store batches until None comes, or until `giving_up` while the database is away."""
        while (batch := await self._next()) is not None:
            work, self._writing = batch, 1
            try:
                await self.link.use(lambda conn: self.placement.write(conn, work), stop=giving_up)  # noqa: B023
            except StoppedError:
                event(_log, "stopped with frames unstored", level=logging.WARNING, frames=len(batch.frames))
                while await self.batches.get() is not None:
                    self._on_room()
                return
            finally:
                self._writing, self._written = 0, self._written + 1
        if self.placement.waiting:
            with contextlib.suppress(StoppedError):
                await self.link.use(self.placement.finish, stop=giving_up)
        if self.placement.waiting:
            event(_log, "stopped with samples aside", level=logging.WARNING, samples=self.placement.waiting)

    async def _next(self) -> Batch | None:
        """The next batch, or an empty one when a deferred part is due first."""
        try:
            async with asyncio.timeout(self.placement.pause_s()):
                batch = await self.batches.get()
        except TimeoutError:
            return Batch()
        self._on_room()
        return batch
