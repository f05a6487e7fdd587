"""The kind of job that purges: forgotten series go with their samples, batch by batch, each counted as it goes.

See docs/decisions/0108.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from asyncio import Event
from collections.abc import AsyncIterator

from nexus_cli.database import purges
from nexus_cli.database.connect import Connection, Pool, plain_errors
from nexus_cli.database.corrections import relations_of_site
from nexus_cli.database.job_queue import GiveUpError, Taken
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.runtime.worker.kinds import Kind
from nexus_cli.settings import Settings

LOOK_S = 60.0
TRIES = 8
SLOWEST_S = 24 * 3600.0

_log = logging.getLogger("nexus.worker")


class Purging:
    """The handler, and the upkeep of purges."""

    def __init__(self, settings: Settings, *, pool: Pool) -> None:
        """Work in this database."""
        self._settings, self._pool, self._site = settings, pool, settings.site

    def kinds(self) -> dict[str, Kind]:
        """The table of kinds, by name."""
        return {purges.KIND: Kind(handle=self.purge, tries=TRIES, concurrency=1, limit_s=SLOWEST_S)}

    async def run(self, stop: Event) -> None:
        """Keep rows until stopped."""
        while not stop.is_set():
            with contextlib.suppress(NexusError, TimeoutError):  # the worker's loop says that the database is away
                async with self._connection() as conn:
                    await purges.keep_up(conn, self._site)
            await wait_for(stop, timeout_s=LOOK_S)

    async def purge(self, job: Taken) -> None:
        """Do one purge, or the rest of it. Raises why it could not, which is in its row, too."""
        name = job.payload.get("purge")
        if not isinstance(name, str):
            raise GiveUpError("its payload names no purge")
        token = secrets.token_hex(4)
        async with self._connection() as conn:
            begun = await purges.begin(conn, self._site, name, token=token)
            relations = await relations_of_site(conn, self._site)
        if begun is None:
            return  # a worker that was taken for dead did it
        try:
            for series_id in begun.waiting.values():
                await self._series(name, series_id, token, relations)
            async with self._connection() as conn:
                if not await purges.settle(conn, self._site, name, token=token):
                    raise _TakenOverError
        except _TakenOverError:
            event(_log, "a purge was taken over", level=logging.WARNING, purge=name)
            raise NexusError("Another try of the purge was begun meanwhile.", code="NX4144", retriable=True) from None
        except Exception as error:
            with contextlib.suppress(NexusError, TimeoutError):  # the row is held against its job later
                async with self._connection() as conn:
                    reason, last = str(error) or type(error).__name__, job.attempt >= TRIES
                    await purges.fail(conn, self._site, name, token=token, reason=reason, last=last)
            raise
        event(_log, "a purge is done", purge=name, who=begun.who, series=len(begun.waiting))

    async def _series(self, name: str, series_id: int, token: str, relations: list[tuple[str, str]]) -> None:
        while True:
            async with self._connection() as conn:
                done = await purges.remove_some(conn, self._site, name, series_id, token=token, relations=relations)
            if done is None:
                raise _TakenOverError
            if done:
                return

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with plain_errors(self._settings):
            async with self._pool.acquire() as conn:
                yield conn


class _TakenOverError(Exception):
    """Another try has the purge."""
