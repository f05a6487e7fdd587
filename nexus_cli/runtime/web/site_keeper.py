"""The newest `SiteView`: read again after each deployment. While the database is away the last one stays."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from nexus_cli.database import deployments as db
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.garbage import GARBAGE
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.web.live_cache import LiveCache
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.settings import Settings
from nexus_cli.wire.topic import Topics

PERIOD_S = 1.0
"""How often the number of the newest deployment is asked for."""
ANSWER_S = 20.0
NOT_READ = "not read yet"
"""`SiteKeeper.problem` before the first answer."""

_log = logging.getLogger("nexus.web")


class SiteKeeper:
    """Asks the database what is recorded.

    Attributes:
        view: What was recorded at the last look.
        problem: Why the database can't be asked; "" while it can, `NOT_READ` before the first answer.
        changed: Called on the loop after each new view.
    """

    def __init__(self, *, settings: Settings, pool: Pool, topics: Topics, cache: LiveCache) -> None:
        """Begin with an empty site."""
        self._settings, self._pool, self._topics, self._cache = settings, pool, topics, cache
        self.view = SiteView.of(topics, 0, {}, cache)
        self.problem = NOT_READ
        self.changed: list[Callable[[], None]] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Look until stopped."""
        while not stop.is_set():
            await self.look()
            await wait_for(stop, timeout_s=PERIOD_S)

    async def look(self) -> None:
        """Look once; a deployment that was recorded since makes a new view."""
        try:
            with plain_errors(self._settings):
                async with asyncio.timeout(ANSWER_S), self._pool.acquire() as conn:
                    number = await db.recorded_number(conn, self._settings.site)
                    if number == self.view.number and self.problem != NOT_READ:
                        self._answered()
                        return
                    async with conn.transaction(isolation="repeatable_read", readonly=True):
                        recorded = await db.recorded(conn, self._settings.site)
                        resources = await db.full_state(conn, self._settings.site)
        except (NexusError, TimeoutError) as error:
            why = error.message if isinstance(error, NexusError) else "the database does not answer in time"
            if self.problem in ("", NOT_READ):
                event(_log, why, level=logging.WARNING)
            self.problem = why
            return
        # On the loop: slots are given here, and messages take theirs on the loop as well.
        self.view = SiteView.of(self._topics, recorded.number, resources, self._cache, recorded.digests)
        self._answered()
        GARBAGE.changed()
        event(_log, "read what is deployed", deployment=recorded.number, tags=len(self.view.tags))
        for each in self.changed:
            each()

    def _answered(self) -> None:
        if self.problem not in ("", NOT_READ):
            event(_log, "the database is back")
        self.problem = ""
