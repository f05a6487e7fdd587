"""A connection that is opened when needed, and again with back-off when it was lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg

from nexus_cli.database.connect import is_lost, open_connection
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.backoff import Backoff
from nexus_cli.runtime.lifecycle import wait_for
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings

T = TypeVar("T")
_log = logging.getLogger("nexus.historian.database")
STATEMENT_S = 30.0
"""A statement that takes longer is taken for a lost server: connect again."""


DATABASE_ERRORS = (
    NexusError,
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # asyncpg's word for a connection that was cut in the middle of an answer: its protocol no longer knows where it is.
    asyncpg.InternalClientError,
)
"""What ends the use of a connection, and is tried again on a new one."""


class StoppedError(Exception):
    """The role was asked to stop while the database was away."""


class DatabaseLink:
    """One connection, kept. Every use may be repeated: `use` runs its work again after a loss.

    Attributes:
        problem: Why there is no connection; empty while there is one, or none was needed yet.
        losses: How often it was lost or a use of it failed.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        application: str,
        on_change: Callable[[], None],
        on_new: Callable[[], None] | None = None,
        patient: bool = False,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            settings: Where the database is.
            application: Shown in `pg_stat_activity`.
            on_change: Called when the connection is lost or found.
            on_new: Called after each connect: what was known of the database is to be forgotten.
            patient: Let a statement take as long as it needs.
        """
        self._settings, self._application = settings, application
        self._on_change, self._on_new = on_change, on_new
        self._statement_s = 0.0 if patient else STATEMENT_S
        self._connection: Any = None
        self._backoff = Backoff(first_s=0.2, cap_s=5.0)
        self.problem = ""
        self.losses = 0

    async def use(self, work: Callable[[Any], Awaitable[T]], *, stop: asyncio.Event) -> T:
        """Run some work on the connection, as often as it takes.

        Args:
            work: Gets the connection; must be safe to run again when its outcome is unknown.
            stop: Ends the waiting when the database is away.

        Raises:
            StoppedError: Stopped before it worked.
        """
        while True:
            try:
                connection = await self._open()
                done = await work(connection)
            except DATABASE_ERRORS as error:
                self._lost(error)
            else:
                self._found()
                return done
            if await wait_for(stop, timeout_s=self._backoff.next_s()):
                raise StoppedError

    async def _open(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            self._connection = await open_connection(
                self._settings, application=self._application, command_timeout_s=self._statement_s
            )
            if self._on_new is not None:
                self._on_new()
        return self._connection

    def _lost(self, error: Exception) -> None:
        self.losses += 1
        text = error.cause or error.message if isinstance(error, NexusError) else str(error) or type(error).__name__
        if not self.problem:
            lost = isinstance(error, NexusError) or is_lost(error)
            what = "the database is away" if lost else "the database refuses our statements"
            event(_log, what, level=logging.WARNING, use=self._application, cause=text[:200])
        self.problem = text
        self.terminate()
        self._on_change()

    def _found(self) -> None:
        self._backoff.reset()
        if self.problem:
            self.problem = ""
            event(_log, "the database is back", use=self._application)
            self._on_change()

    def terminate(self) -> None:
        """Drop the connection at once."""
        if self._connection is not None and not self._connection.is_closed():
            self._connection.terminate()
        self._connection = None

    async def close(self) -> None:
        """Close politely, for at most two seconds."""
        connection, self._connection = self._connection, None
        if connection is None or connection.is_closed():
            return
        try:
            await connection.close(timeout=2.0)
        except DATABASE_ERRORS:
            connection.terminate()
