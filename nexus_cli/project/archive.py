"""`nexus archive`: which days are in it, whether they are whole, and back into the historian."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from nexus_cli.database import archive_days
from nexus_cli.database.archive_days import ArchivedDay
from nexus_cli.database.connect import NO_LIMITS, Connection, Limits, close, connection, open_connection, plain_errors
from nexus_cli.database.deployments import write_audit
from nexus_cli.database.sample_class import find_class
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.history.moment import parse_moment
from nexus_cli.model.resources import ArchiveConfig, decode
from nexus_cli.project.history import site_of
from nexus_cli.settings import Settings, load_settings

if TYPE_CHECKING:
    from nexus_cli.archive.keeping import Checked, Restored

FIRST, LAST = date(1900, 1, 1), date(2200, 1, 1)
EachDone = Callable[[Any], None]
"""Called with each day that is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which days are asked for: of one class or of all ("" ), those that a span touches (UTC); None has no bound."""

    class_: str = ""
    since: str | None = None
    until: str | None = None
    zone: tzinfo | None = None

    def days(self, now: datetime) -> tuple[date, date]:
        """First day, and the one behind the last. Raises NexusError NX6211."""
        start = FIRST if self.since is None else _utc(parse_moment(self.since, now=now, zone=self.zone)).date()
        if self.until is None:
            return start, LAST
        end = _utc(parse_moment(self.until, now=now, zone=self.zone))
        behind = (end + timedelta(days=1) - timedelta(microseconds=1)).date()
        if behind <= start:
            raise NexusError("The span ends before it begins.", code="NX6211", hint="--from is the earlier")
        return start, behind


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


async def archived(chosen: Chosen, *, settings: Settings | None = None) -> list[ArchivedDay]:
    """The days that the archive has or is to have, by class and day.

    Raises:
        NexusError: NX6200 to NX6203 of the database; NX6210 no site; NX6211 the span can't be used.
    """
    settings = settings or load_settings()
    start, end = chosen.days(datetime.now(UTC))
    async with connection(settings, application="nexus-archive") as conn:
        site = await site_of(conn, settings)
        return await archive_days.archived_days(conn, site=site, class_=chosen.class_, start=start, end=end)


async def verify(
    chosen: Chosen, *, settings: Settings | None = None, each_done: EachDone | None = None
) -> list[Checked]:
    """Read every file of these days and hold it against its manifest; damaged days that are still stored are archived again.

    Raises:
        NexusError: As `archived`; NX6480 pyarrow is missing, NX6481 the store can't be used, NX6485 there is nothing.
    """
    keeping, store = _archive()
    settings = settings or load_settings()
    async with _opened(settings) as (conn, site):
        config = await _config(conn, site)
        found = [each for each in await _days(conn, site, chosen) if each.manifest]
        there = await _there(store, config, site, days=len(found))
        checked = []
        for each in found:
            try:
                checked.append(await keeping.verify_day(conn, there, each, site=site))
            except keeping.STORE_ERRORS as error:
                raise store.away(config, str(error)) from error
            if each_done is not None:
                each_done(checked[-1])
        return checked


async def restore(
    chosen: Chosen, *, hold: timedelta, settings: Settings | None = None, each_done: EachDone | None = None
) -> list[Restored]:
    """Put these days back into the historian and hold them there; what it has stays as it is.

    Args:
        chosen: Which days.
        hold: Nothing of them is dropped for so long.
        settings: Instead of those of this folder.
        each_done: Called with each day.

    Raises:
        NexusError: As `verify`; NX6483 a file is damaged. Days that were put back by then stay.
    """
    keeping, store = _archive()
    settings = settings or load_settings()
    async with _opened(settings) as (conn, site):
        config = await _config(conn, site)
        found = [each for each in await _days(conn, site, chosen) if each.manifest]
        if not found:
            raise _nothing("The archive has none of these days.")
        there = await _there(store, config, site, days=len(found))
        now, done = datetime.now(UTC), []
        classes = {each.class_: await find_class(conn, each.class_, site=site) for each in found}
        for each in found:
            made = classes[each.class_]
            if made is None:
                done.append(keeping.Restored(retention=each.class_, day=each.day, rows=0, added=0, unknown=True))
            else:
                done.append(await keeping.restore_day(conn, config, there, made, each, now=now, hold=hold))
            if each_done is not None:
                each_done(done[-1])
        await write_audit(
            conn,
            site,
            who=settings.principal,
            what="restore-archive",
            subject=chosen.class_ or "all classes",
            detail={"days": [f"{each.retention} {each.day}" for each in done], "added": sum(e.added for e in done)},
        )
        return done


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Connection, str]]:
    limits: Limits = NO_LIMITS  # a day takes as long as it takes
    conn = await open_connection(settings, application="nexus-archive", limits=limits)
    try:
        with plain_errors(settings):
            yield conn, await site_of(conn, settings)
    finally:
        await close(conn)


async def _config(conn: Connection, site: str) -> ArchiveConfig:
    found = await archive_days.store_config(conn, site=site)
    if found is None:
        raise NexusError(
            f"{site} has no archive.",
            code="NX6485",
            hint="declare `archive:` in the site file (docs/archive.md), then `nexus apply`",
        )
    return decode(found, ArchiveConfig)


async def _there(store: Any, config: ArchiveConfig, site: str, *, days: int) -> Any:
    """The store. A folder without the site is a disk that is not mounted, and no day of it is damaged. Raises NX6481."""
    there = await asyncio.to_thread(store.open_store, config)
    try:
        if days:
            await asyncio.to_thread(there.require, site)
    except FileNotFoundError as error:
        raise store.away(config, str(error)) from None
    return there


async def _days(conn: Connection, site: str, chosen: Chosen) -> list[ArchivedDay]:
    start, end = chosen.days(datetime.now(UTC))
    return await archive_days.archived_days(conn, site=site, class_=chosen.class_, start=start, end=end)


def _nothing(message: str) -> NexusError:
    return NexusError(message, code="NX6485", hint="`nexus archive list` shows what is there")


def _archive() -> tuple[Any, Any]:
    """The parts that need pyarrow. Raises NexusError NX6480."""
    try:
        from nexus_cli.archive import keeping, store  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise NexusError(
            "pyarrow is not installed, which the archive needs.",
            code="NX6480",
            cause=str(error),
            hint="pip install 'nexus-cli[archive]'",
        ) from None
    return keeping, store
