"""Hourly maintenance: drops old partitions, creates new ones, deletes the custody of outboxes that ended long ago."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import Any

from nexus_cli.database.committed import prune_epochs
from nexus_cli.database.loss import moment
from nexus_cli.database.retention import Upkeep, keep_up
from nexus_cli.database.session import server_time
from nexus_cli.database.timescale import idle_timescale
from nexus_cli.runtime.clock import Clock, is_possible
from nexus_cli.runtime.historian.database_link import DatabaseLink, StoppedError
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event

_log = logging.getLogger("nexus.historian.upkeep")
PERIOD_S = 3600.0
AGAIN_S = 60.0
"""Delay before work that a lock prevented is retried, in seconds."""


class HourlyMaintenance:
    """Runs the maintenance of its site at the start and every hour; of several historians one does it."""

    def __init__(
        self, *, link: DatabaseLink, site: str, clock: Clock, period_s: float = PERIOD_S, again_s: float = AGAIN_S
    ) -> None:
        """Use its own link, since creating an index may take minutes."""
        self._link, self._site, self._clock = link, site, clock
        self._period_s, self._again_s = period_s, again_s
        self._postponed: tuple[str, ...] = ()
        self._begun = False
        self.last: Upkeep | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until stopped."""
        while not stop.is_set():
            try:
                await self._link.use(self._round, stop=stop)
            except StoppedError:
                return
            # An idle session would use a connection, and a suspended process could keep its locks.
            await self._link.close()
            await wait_for(stop, timeout_s=self._again_s if self._postponed else self._period_s)

    def _age_from(self, database: datetime) -> datetime | None:
        """The time from which ages are measured: the earlier of the database's and the machine's, since dropped data
        can't be restored. A machine that starts in 2106 would drop everything; None when neither is possible."""
        times = [round(database.timestamp() * 1e6), self._clock.wall_us()]
        possible = [each for each in times if is_possible(each)]
        return moment(min(possible)) if possible else None

    async def _round(self, conn: Any) -> None:
        if not self._begun:
            self._begun = True
            if await idle_timescale(conn):
                event(
                    _log,
                    "TimescaleDB is installed on the server but not preloaded: native partitions are used",
                    level=logging.WARNING,
                    hint="shared_preload_libraries = 'timescaledb', before the first `nexus db upgrade`",
                )
        now = self._age_from(await server_time(conn))
        if now is None:
            event(_log, "upkeep waits: no clock says a possible time", level=logging.WARNING)
            self._postponed = ("everything, for want of a clock",)
            return
        self.last = await keep_up(conn, site=self._site, now=now)
        pruned = await prune_epochs(conn, site=self._site)
        done = self.last
        postponed = () if done is None else done.postponed
        if postponed and postponed != self._postponed:
            event(_log, "upkeep continues later", postponed=list(postponed))
        self._postponed = postponed
        if done is not None and (done.dropped or done.created or done.indexed or done.deleted_rows or pruned):
            event(
                _log,
                "upkeep done",
                dropped=list(done.dropped),
                created=done.created,
                indexed=list(done.indexed),
                deleted_rows=done.deleted_rows,
                pruned_outboxes=pruned,
            )
