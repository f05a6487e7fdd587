"""A database connection that is opened when needed, and reopened with back-off after a loss."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from nexus_cli.backoff import Backoff
from nexus_cli.database.connect import READING, Limits, close, open_connection
from nexus_cli.database.errors import Trouble, one_line, own_cancellations, trouble_of
from nexus_cli.database.raised import CONNECTION_ERRORS
from nexus_cli.database.stopped import be_known
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.lifecycle import tasks, wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings

T = TypeVar("T")
_log = logging.getLogger("nexus.historian.database")
GRACE_S = 2.0
"""How long running work may continue after a stop, in seconds; then it is cancelled."""
CANCEL_S = 0.5
CLOSE_S = 0.5

_WHAT = {
    Trouble.AWAY: "the database is away",
    Trouble.BUSY: "another session holds a lock that writing needs",
    Trouble.SLOW: "the database is too slow",
    Trouble.DATA: "the database refuses our statements",
    Trouble.OTHER: "the database refuses our statements",
}


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class StoppedError(Exception):
    """The role was stopped while the database was unreachable or did not answer."""


class DatabaseLink:
    """Keeps one connection. `use` repeats its work after a loss.

    Attributes:
        problem: Why there is no connection; "" while there is one, or none was needed yet.
        losses: How often it was lost or its use failed.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        application: str,
        on_change: Callable[[], None],
        on_new: Callable[[], None] | None = None,
        limits: Limits = READING,
        writer: bool = False,
        grace_s: float = GRACE_S,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            settings: Have the database's address.
            application: Shown in `pg_stat_activity`.
            on_change: Called when the connection is lost or restored.
            on_new: Called after each connect, to drop cached state of the database.
            limits: The session's time-outs on the server; without one for statements they may take any time.
            writer: The session stores samples: other writers of the site may end it if its process is suspended.
            grace_s: How long running work may continue after a stop, in seconds.
        """
        self._settings, self._application = settings, application
        self._on_change, self._on_new = on_change, on_new
        self._limits, self._writer, self._grace_s = limits, writer, grace_s
        self._connection: Any = None
        self._backoff = Backoff(first_s=0.2, cap_s=5.0)
        self.problem = ""
        self.losses = 0

    async def use(self, work: Callable[[Any], Awaitable[T]], *, stop: asyncio.Event) -> T:
        """Run work on the connection, and repeat it until it succeeds.

        Args:
            work: Gets the connection; must be safe to repeat when its outcome is unknown.
            stop: Ends the wait for an unreachable database, and after the grace time also work that gets no answer.

        Raises:
            StoppedError: Stopped before it succeeded.
        """
        while True:
            try:
                done = await self._unless_stopped(work, stop)
            except CONNECTION_ERRORS as error:
                self._lost(error)
                if _is_cancelled():  # a failed rollback hides the cancellation that caused it
                    raise asyncio.CancelledError from None
            else:
                self._found()
                return done
            if await wait_for(stop, timeout_s=self._backoff.next_s()):
                raise StoppedError

    async def _unless_stopped(self, work: Callable[[Any], Awaitable[T]], stop: asyncio.Event) -> T:
        """Run the work once. A server that does not answer must not keep a role from stopping."""
        async with tasks(self._application) as group:
            running = group.create_task(self._run(work), name=f"{self._application} statement")
            stopping = group.create_task(stop.wait(), name=f"{self._application} stop")
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not running.done():
                await asyncio.wait({running}, timeout=self._grace_s)
            if not running.done():
                running.cancel()
                await asyncio.wait({running}, timeout=CANCEL_S)
                self.terminate()  # a rollback that gets no answer ends with its connection
        if running.cancelled():
            raise StoppedError
        return running.result()

    async def _run(self, work: Callable[[Any], Awaitable[T]]) -> T:
        with own_cancellations():
            return await work(await self._open())

    async def _open(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            self._connection = await open_connection(self._settings, application=self._application, limits=self._limits)
            if self._writer:
                await be_known(self._connection, site=self._settings.site)
            if self._on_new is not None:
                self._on_new()
        return self._connection

    def _lost(self, error: Exception) -> None:
        self.losses += 1
        if isinstance(error, NexusError):
            trouble, text = Trouble.AWAY, error.cause or error.message
        else:
            trouble, text = trouble_of(error), one_line(error) or type(error).__name__
        if not self.problem:
            event(_log, _WHAT[trouble], level=logging.WARNING, use=self._application, cause=text[:200])
        self.problem = text
        if trouble not in (Trouble.BUSY, Trouble.SLOW):  # these leave the session usable
            self.terminate()
        self._on_change()

    def _found(self) -> None:
        self._backoff.reset()
        if self.problem:
            self.problem = ""
            event(_log, "the database is back", use=self._application)
            self._on_change()

    def terminate(self) -> None:
        """Drop the connection at once. Its statement on the server ends by the session's time-outs."""
        if self._connection is not None and not self._connection.is_closed():
            self._connection.terminate()
        self._connection = None

    async def close(self) -> None:
        """Close the connection, waiting at most half a second."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            await close(connection, timeout_s=CLOSE_S)
