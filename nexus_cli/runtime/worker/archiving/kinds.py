"""The kinds of jobs that archive.

`archive` looks which days are due, puts in one job for each and removes from the archive what its `keep` has reached;
`archive-day` puts one day there. Each may run twice: the later try of a day counts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from nexus_cli.database import archive_days, jobs
from nexus_cli.database.archive_days import ArchivedDay
from nexus_cli.database.class_table import SampleClass
from nexus_cli.database.connect import Connection, Limits, Pool, close, open_connection, plain_errors
from nexus_cli.database.job_queue import GiveUpError, Taken
from nexus_cli.database.sample_class import find_class, load_classes
from nexus_cli.database.session import server_time
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.resources import ArchiveConfig, decode
from nexus_cli.runtime.clock import Clock, is_possible
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.worker.kinds import Kind
from nexus_cli.setting_values import LIVE
from nexus_cli.settings import Settings
from nexus_cli.wire.health import ArchiveHealth

LOOK_S = 300.0
"""How often someone looks which days are due."""
MOST_PLANNED = 32
"""Days of a class that wait as jobs at a time."""
BEHIND_S = 86_400.0
"""A day that is due for longer than this and is not in the archive is reported."""
SLOWEST_DAY_S = 6 * 3600.0
FOREVER = 1_000_000
"""Tries: nothing is dropped that is not in the archive, so nothing is given up either."""
_ARCHIVING = Limits(lock_s=5.0)

_log = logging.getLogger("nexus.worker")


class Archiving:
    """The handlers, and what they know of the archive.

    Attributes:
        health: Of the archive, as of the last look.
        rows: Rows that this worker put into the archive.
    """

    def __init__(self, settings: Settings, *, pool: Pool, clock: Clock) -> None:
        """Ask this database."""
        self._settings, self._pool, self._clock = settings, pool, clock
        self.health = ArchiveHealth()
        self.rows = 0

    def kinds(self) -> dict[str, Kind]:
        """The table of kinds, by name."""
        return {
            "archive": Kind(handle=self.look, tries=4, concurrency=1, limit_s=1800.0),
            "archive-day": Kind(handle=self.archive, tries=FOREVER, concurrency=2, limit_s=SLOWEST_DAY_S),
        }

    async def run(self, stop: asyncio.Event) -> None:
        """Ask for a look from time to time; any number of workers ask for the same one."""
        while not stop.is_set():
            try:
                async with self._connection() as conn:
                    if await self._declared(conn) is not None:
                        await jobs.enqueue(conn, self._settings.site, "archive", {}, priority=jobs.LATER, key="archive")
                        await self._measure(conn)
                    else:
                        self.health = ArchiveHealth()
            except (NexusError, TimeoutError):
                pass  # the worker's loop says that the database is away
            await wait_for(stop, timeout_s=LOOK_S)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                yield conn

    async def _declared(self, conn: Connection) -> ArchiveConfig | None:
        if self._settings.environment != LIVE:
            return None  # what a mock or a replay stores is not history
        found = await archive_days.store_config(conn, site=self._settings.site)
        return None if found is None else decode(found, ArchiveConfig)

    async def _now(self, conn: Connection) -> datetime | None:
        """The earlier of the database's and the machine's time; None when neither is possible."""
        database = await server_time(conn)
        times = [round(database.timestamp() * 1e6), self._clock.wall_us()]
        possible = [each for each in times if is_possible(each)]
        return datetime.fromtimestamp(min(possible) / 1e6, UTC) if possible else None

    async def look(self, job: Taken) -> None:
        """Put in a job for each day that is due."""
        site = self._settings.site
        async with self._connection() as conn:
            config, now = await self._declared(conn), await self._now(conn)
            if config is None or now is None:
                return
            for made in (await load_classes(conn, site=site)).values():
                if made.archive_after_ms is None:
                    continue
                due = await archive_days.to_archive(conn, made, until=_due(made, now))
                new = [
                    jobs.NewJob(
                        kind="archive-day",
                        payload={"class": made.name, "day": day.isoformat()},
                        priority=jobs.LATER,
                        key=f"archive-day {made.name} {day}",
                    )
                    for day in due[:MOST_PLANNED]
                ]
                if new:
                    await jobs.enqueue_all(conn, site, new)
            expired = await _expired(conn, site, now)
        if expired:
            await self._remove(config, expired)

    async def archive(self, job: Taken) -> None:
        """Put one day into the archive."""
        site = self._settings.site
        try:
            name, day = str(job.payload["class"]), date.fromisoformat(str(job.payload["day"]))
        except (KeyError, ValueError):
            raise GiveUpError("its payload names no day") from None
        async with self._connection() as conn:
            config, made = await self._declared(conn), await find_class(conn, name, site=site)
            known = await archive_days.find_day(conn, site=site, class_=name, day=day)
        if config is None or made is None or made.archive_after_ms is None:
            return  # no longer declared
        if known is not None and known.state == archive_days.VERIFIED:
            return  # a worker that was taken for dead did it
        days = _archive()
        conn = await open_connection(self._settings, application="nexus-archive", limits=_ARCHIVING)
        try:
            with plain_errors(self._settings):
                done = await days.archive_day(conn, config, made=made, day=day)
        finally:
            await close(conn)
        self.rows += done.added
        event(_log, "a day is in the archive", retention=name, day=str(day), rows=done.rows, added=done.added)

    async def _remove(self, config: ArchiveConfig, expired: list[ArchivedDay]) -> None:
        _archive()
        from nexus_cli.archive import keeping, store  # noqa: PLC0415 - an extra

        there = await asyncio.to_thread(store.open_store, config)
        for each in expired:
            await asyncio.to_thread(keeping.remove_day, there, each, site=self._settings.site)
            async with self._connection() as conn:
                await archive_days.forget(conn, site=self._settings.site, class_=each.class_, day=each.day)
            event(_log, "a day was removed from the archive", retention=each.class_, day=str(each.day))

    async def _measure(self, conn: Connection) -> None:
        """How far the archive is behind."""
        now = await self._now(conn)
        if now is None:
            return
        site, waiting, oldest, late_s, why = self._settings.site, 0, "", 0.0, ""
        for made in (await load_classes(conn, site=site)).values():
            if made.archive_after_ms is None:
                continue
            due = await archive_days.to_archive(conn, made, until=_due(made, now))
            waiting += len(due)
            if due:
                behind = (_due(made, now) - _end(due[0])).total_seconds()
                if behind >= late_s:
                    oldest, late_s = due[0].isoformat(), behind
                    found = await archive_days.find_day(conn, site=site, class_=made.name, day=due[0])
                    why = found.error if found is not None else ""
        problem = ""
        if late_s > BEHIND_S:
            problem = f"NX6482: {waiting} days wait for the archive, the oldest is {oldest}" + (
                f": {why}" if why else ""
            )
        if problem and not self.health.problem:
            event(_log, "the archive is behind; nothing is dropped", level=logging.WARNING, why=problem)
        if self.health.problem and not problem:
            event(_log, "the archive has caught up")
        self.health = ArchiveHealth(waiting=waiting, oldest=oldest, behind_s=round(late_s), problem=problem)


def _archive() -> Any:
    """The part that needs pyarrow. Raises NexusError NX6480 where it is missing."""
    try:
        from nexus_cli.archive import days  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise NexusError(
            "pyarrow is not installed, which the archive needs.",
            code="NX6480",
            cause=str(error),
            hint="pip install 'nexus-cli[archive]' where the worker runs, then start it again",
        ) from None
    return days


def _due(made: SampleClass, now: datetime) -> datetime:
    return now - timedelta(milliseconds=made.archive_after_ms or 0)


def _end(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


async def _expired(conn: Connection, site: str, now: datetime) -> list[ArchivedDay]:
    """Days that the archive has had for long enough, and the historian no longer has."""
    found = []
    for made in (await load_classes(conn, site=site)).values():
        if made.archive_after_ms is None or made.archive_keep_ms is None:
            continue
        before = (now - timedelta(milliseconds=made.archive_keep_ms)).date()
        days = await archive_days.archived_days(conn, site=site, class_=made.name, end=before)
        found += [each for each in days if each.state == archive_days.DROPPED and not each.held]
    return found[:MOST_PLANNED]
