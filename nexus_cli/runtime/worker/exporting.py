"""The kind of job that exports: samples of chosen tags into a file that web hands out.

A try writes a file of its own, and then says so in the row of the export: a try that is too late finds another token there, and
removes its file.

See docs/decisions/0099.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from nexus_cli.archive.export_place import open_place, remove_export
from nexus_cli.archive.exported import NotWrittenError, Wanted, Written, write_samples
from nexus_cli.archive.folder import Store, in_thread
from nexus_cli.database import exports
from nexus_cli.database.archive_rows import series_facts
from nexus_cli.database.connect import NO_LIMITS, Connection, Pool, close, open_connection, plain_errors
from nexus_cli.database.job_queue import GiveUpError, Taken
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.worker.kinds import Kind
from nexus_cli.settings import Settings

LOOK_S = 60.0
"""How often exports are held against their jobs, and those that have expired are removed."""
TRIES = 4
SLOWEST_S = 6 * 3600.0

_log = logging.getLogger("nexus.worker")


class Exporting:
    """The handler, and the upkeep of exports.

    Attributes:
        rows: Samples that this worker exported.
    """

    def __init__(self, settings: Settings, *, pool: Pool) -> None:
        """Ask this database; write to the place that the settings name."""
        self._settings, self._pool = settings, pool
        self.rows = 0
        self._problem = ""

    def kinds(self) -> dict[str, Kind]:
        """The table of kinds, by name."""
        return {exports.KIND: Kind(handle=self.export, tries=TRIES, concurrency=2, limit_s=SLOWEST_S)}

    async def run(self, stop: asyncio.Event) -> None:
        """Keep rows and files until stopped."""
        while not stop.is_set():
            try:
                await self.keep_up()
                self._problem = ""
            except (NexusError, TimeoutError):
                pass  # the worker's loop says that the database is away
            except Exception as error:  # noqa: BLE001 - a place that can't be used now: said once, tried again
                if str(error) != self._problem:
                    self._problem = str(error)
                    event(_log, "expired exports can't be removed", level=logging.WARNING, why=self._problem)
            await wait_for(stop, timeout_s=LOOK_S)

    async def keep_up(self) -> None:
        """Hold exports against their jobs, and remove what has expired: the file first."""
        site = self._settings.site
        async with self._connection() as conn:
            await exports.compare_with_jobs(conn, site, keep_days=self._settings.exports.keep_days)
            gone = await exports.expired(conn, site)
        if not gone:
            return
        place = await in_thread(lambda: open_place(self._settings))
        for export in gone:
            await in_thread(lambda: remove_export(place, export))  # noqa: B023 - waited for
            async with self._connection() as conn:
                await exports.forget(conn, site, export)
            event(_log, "an export was removed", export=export)

    async def export(self, job: Taken) -> None:
        """Write the file of one export. Raises why it could not, which is in its row, too."""
        export = job.payload.get("export")
        if not isinstance(export, str):
            raise GiveUpError("its payload names no export")
        token = secrets.token_hex(4)
        async with self._connection() as conn:
            begun = await exports.begin(conn, self._settings.site, export, token=token)
        if begun is None:
            return  # a worker that was taken for dead did it, or it was removed
        try:
            place = await in_thread(lambda: open_place(self._settings))
            name = f"{export}/{token}.{begun.format}"
            try:
                done = await self._write(place, name, begun)
            except NotWrittenError as error:
                raise _not_written(error) from None
            await self._settle(place, export, token, name, done)
        except Exception as error:
            await self._fail(export, token, error, last=job.attempt >= TRIES)
            raise

    async def _write(self, place: Store, name: str, begun: exports.Begun) -> Written:
        conn = await open_connection(self._settings, application="nexus-export", limits=NO_LIMITS)
        try:
            with plain_errors(self._settings):
                async with conn.transaction(isolation="repeatable_read", readonly=True):
                    known = await series_facts(conn, site=self._settings.site)
                    series = {each: known[each] for each in begun.series if each in known}
                    wanted = Wanted(site=self._settings.site, series=series, start=begun.start, end=begun.end)
                    return await write_samples(conn, place, name, wanted=wanted, format_=begun.format)
        finally:
            await close(conn)

    async def _settle(self, place: Store, export: str, token: str, name: str, done: Written) -> None:
        settled = False
        try:
            async with self._connection() as conn:
                settled = await exports.settle(
                    conn,
                    self._settings.site,
                    export,
                    token=token,
                    file=name,
                    rows=done.rows,
                    size=done.size,
                    sha256=done.sha256,
                    keep_days=self._settings.exports.keep_days,
                )
                found = await exports.find_export(conn, self._settings.site, export)
        finally:
            if not settled:
                with suppress(Exception):  # what stays is removed with the export
                    await in_thread(lambda: place.remove(name))
        if not settled:
            event(_log, "an export came too late", level=logging.WARNING, export=export)
            if found is not None and found.state != exports.DONE:
                raise NexusError("Another try of the export was begun meanwhile.", code="NX6489", retriable=True)
            if found is None:
                with suppress(Exception):  # an empty folder
                    await in_thread(lambda: remove_export(place, export))
            return
        self.rows += done.rows
        event(_log, "an export is there", export=export, rows=done.rows, size=done.size)
        with suppress(Exception):  # what a lost try left is removed with the export
            await in_thread(lambda: remove_export(place, export, but=name))

    async def _fail(self, export: str, token: str, error: Exception, *, last: bool) -> None:
        why = f"{error.message} {error.cause}".strip() if isinstance(error, NexusError) else str(error)
        with suppress(NexusError, TimeoutError):  # the database is away: the row is held against its job later
            async with self._connection() as conn:
                await exports.fail(
                    conn,
                    self._settings.site,
                    export,
                    token=token,
                    reason=why or type(error).__name__,
                    last=last,
                    keep_days=self._settings.exports.keep_days,
                )

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                yield conn


def _not_written(error: NotWrittenError) -> NexusError:
    return NexusError(
        "The file of the export can't be written.",
        code="NX6486",
        cause=str(error),
        hint="look at the place of exports and its free space; no half file is left",
        retriable=True,
    )
