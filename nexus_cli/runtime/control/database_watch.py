"""Whether the database answers: one line in the log when that changes, and the reason in `/health/ready`."""

from __future__ import annotations

import asyncio
import logging

from nexus_cli.database.ability import READ_ONLY
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.database.errors import read_only
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings

PERIOD_S = 2.0
ANSWER_S = 5.0

_log = logging.getLogger("nexus.control")


class DatabaseWatch:
    """Queries the database every few seconds.

    Attributes:
        problem: Why it can't be used; "" while it can.
    """

    def __init__(self, *, pool: Pool, settings: Settings) -> None:
        """Watch the database of a pool."""
        self._pool, self._settings = pool, settings
        self.problem = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Query until stopped."""
        while not await wait_for(stop, timeout_s=PERIOD_S):
            await self.look()

    async def look(self) -> None:
        """Query once."""
        try:
            with plain_errors(self._settings):
                async with asyncio.timeout(ANSWER_S):
                    if await self._pool.fetchval(READ_ONLY):
                        raise read_only(self._settings, cause="transaction_read_only is on")
        except NexusError as error:
            if not self.problem:
                event(_log, error.message, level=logging.WARNING, cause=error.cause)
            self.problem = error.message
            return
        if self.problem:
            event(_log, "the database is back")
        self.problem = ""
