"""How routes read the database: a few at a time, so that sign-in and what is live never wait for a long question."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nexus_cli.database.connect import Connection, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.web.parts import WebParts

AT_ONCE = 4
"""Of the eight connections of the pool."""
WAIT_S = 10.0
"""How long a question waits for its turn."""
ANSWER_S = 30.0
BUSY = "NX6920"


class Stored:
    """The database for reading."""

    def __init__(self, parts: WebParts) -> None:
        """One for all routes of a process."""
        self._parts = parts
        self._turns = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """A connection in a transaction that sees one moment and changes nothing.

        Raises:
            NexusError: NX62xx the database is away; NX6920 it is busy with other questions, or with this one for too long.
        """
        try:
            async with asyncio.timeout(WAIT_S):
                await self._turns.acquire()
        except TimeoutError:
            raise NexusError("Too many questions to the database wait.", code=BUSY) from None
        try:
            async with asyncio.timeout(ANSWER_S):
                with plain_errors(self._parts.settings):
                    async with (
                        self._parts.pool.acquire() as conn,
                        conn.transaction(isolation="repeatable_read", readonly=True),
                    ):
                        yield conn
        except TimeoutError:
            raise NexusError(f"The database did not answer within {ANSWER_S:g} s.", code=BUSY) from None
        finally:
            self._turns.release()
