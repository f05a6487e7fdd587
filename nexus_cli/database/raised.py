"""Errors of the database under the names that the roles catch: only this package imports asyncpg."""

from __future__ import annotations

import asyncpg

from nexus_cli.diagnostics.errors import NexusError

PostgresError = asyncpg.PostgresError
"""The server answered with an error."""
AlreadyStored = asyncpg.UniqueViolationError
NoPartition = asyncpg.CheckViolationError
"""Rows for which no partition is left: it was dropped since it was prepared."""
LockBusy = asyncpg.LockNotAvailableError
TooSlow = asyncpg.QueryCanceledError
VALUE_ERRORS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)
"""The row itself is refused: no wait and no new connection helps."""
CONNECTION_ERRORS = (
    NexusError,
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # asyncpg's word for a connection that was cut in the middle of an answer: its protocol no longer knows where it is.
    asyncpg.InternalClientError,
)
"""Errors that end the use of a connection; the work is tried again on a new one."""
