"""The door's way out: what the driver raises becomes ours, and says whether waiting, dividing or a person helps.

Two readers ask. A role that stores asks `trouble_of`: is the server away, is somebody else in the way, was it too slow,
or is it the data? Everybody else wraps the use of a connection in `plain_errors` and gets a NexusError.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from urllib.parse import urlsplit

import asyncpg

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings

UNREACHABLE = "NX6200"
SCHEMA_BEHIND = "NX6201"
REFUSED = "NX6202"
NOT_CONFIGURED = "NX6203"
READ_ONLY = "NX6206"
POOLED = "NX6207"
BUSY = "NX6208"

_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,
    # asyncpg's word for a connection that was cut in the middle of an answer: its protocol no longer knows where it is.
    asyncpg.InternalClientError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
_BUSY = (
    asyncpg.LockNotAvailableError,
    asyncpg.ObjectInUseError,
    asyncpg.exceptions.TransactionRollbackError,
)
DATA_ERRORS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.UntranslatableCharacterError,
)
"""The server refuses something in the rows."""
_DIVISIBLE = (
    asyncpg.QueryCanceledError,
    asyncpg.ConfigurationLimitExceededError,  # TimescaleDB's limit of decompressed rows, which is no shortage
    asyncpg.InternalServerError,
    asyncpg.FeatureNotSupportedError,
)
_POOLED = (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError)
_POOLER_WORDS = ("unsupported startup parameter", "prepared statement")


class Trouble(Enum):
    """What an error of the database asks for."""

    AWAY = "the server or the way to it is gone, full or shutting down: connect again, later"
    BUSY = "somebody else holds a lock, or two transactions met: the same again, soon"
    SLOW = "a statement took too long, or the server failed at it: less at once"
    DATA = "the server refuses something in the rows: waiting does not help"
    OTHER = "the server refuses the statement itself"


def trouble_of(error: BaseException) -> Trouble:
    """What this error asks for."""
    if isinstance(error, _DIVISIBLE):
        return Trouble.SLOW
    if isinstance(error, _BUSY):
        return Trouble.BUSY
    if isinstance(error, (*_AWAY, asyncpg.ReadOnlySQLTransactionError)):
        return Trouble.AWAY
    return Trouble.DATA if isinstance(error, DATA_ERRORS) else Trouble.OTHER


def is_lost(error: BaseException) -> bool:
    """True when an error says that the server is away, busy or slow: the same may work later."""
    return trouble_of(error) in (Trouble.AWAY, Trouble.BUSY, Trouble.SLOW)


def place_of(url: str) -> str:
    """`host:port/name` of a database URL, without user and password, for messages."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "localhost", parts.port or 5432
    except ValueError:
        return "the configured address"
    return f"{host}:{port}{parts.path}"


@contextmanager
def own_cancellations() -> Iterator[None]:
    """A cancellation that nobody asked this task for is the driver giving up: it becomes a ConnectionError.

    asyncpg cancels its own waiters when a connection ends under them. Left as it is, such a cancellation would end a
    task that nobody wanted to end, in silence.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        yield
    except asyncio.CancelledError:
        if task is None or task.cancelling() > before:
            raise
        raise ConnectionError("the driver gave a statement up") from None


@contextmanager
def plain_errors(settings: Settings) -> Iterator[None]:
    """Turn the driver's errors into NexusErrors, NX6200 to NX6208; a cancellation of its own is one of them.

    A statement that the server refuses for what it says is a bug of ours and leaves as it is.
    """
    try:
        with _own_cancellations_in_a_loop():
            yield
    except asyncpg.PostgresError as error:
        known = _plain(settings, error)
        if known is None:
            raise
        raise known from None
    except (*_AWAY, asyncpg.ClientConfigurationError) as error:
        raise _away(settings, error) from None


@contextmanager
def _own_cancellations_in_a_loop() -> Iterator[None]:
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # a synchronous caller has no task that could be cancelled
        yield
        return
    with own_cancellations():
        yield


def _plain(settings: Settings, error: asyncpg.PostgresError) -> NexusError | None:
    place, cause = place_of(settings.database_url), one_line(error)
    if isinstance(error, (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)):
        return NexusError(
            f"The database at {place} refused us.",
            code=REFUSED,
            cause=cause,
            hint="check the user and the database name in NEXUS_DATABASE_URL, and NEXUS_DATABASE_PASSWORD",
        )
    if isinstance(error, (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.UndefinedColumnError)):
        return schema_behind(settings, cause=cause)
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return NexusError(
            f"The database user lacks a right at {place}.",
            code=REFUSED,
            cause=cause,
            hint="the user must own schema nexus; migrations also need CREATE on the database",
        )
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return NexusError(
            f"The database at {place} is read-only.",
            code=READ_ONLY,
            cause=cause,
            hint="it is a standby, or default_transaction_read_only is set: name the primary in NEXUS_DATABASE_URL",
            retriable=True,
        )
    if isinstance(error, _POOLED) or any(word in cause for word in _POOLER_WORDS):
        return NexusError(
            f"A connection pooler answers at {place}, and nexus can't work through it.",
            code=POOLED,
            cause=cause,
            hint="name the server itself in NEXUS_DATABASE_URL: locks and prepared statements need a session of their own",
        )
    return _passing(settings, error)


def _passing(settings: Settings, error: asyncpg.PostgresError) -> NexusError | None:
    trouble = trouble_of(error)
    if trouble is Trouble.AWAY:
        return _away(settings, error)
    if trouble not in (Trouble.BUSY, Trouble.SLOW):
        return None
    what = "is busy with something that excludes this" if trouble is Trouble.BUSY else "took too long"
    return NexusError(
        f"The database at {place_of(settings.database_url)} {what}; nothing was changed.",
        code=BUSY,
        cause=one_line(error),
        hint="try again; pg_stat_activity tells which session holds the lock or the server",
        retriable=True,
    )


def _away(settings: Settings, error: BaseException) -> NexusError:
    cause = one_line(error) or type(error).__name__
    hint = "is it running? `nexus status` tells; `nexus up SITE` starts one on this machine"
    if "must be preloaded" in cause:
        hint = "add timescaledb to shared_preload_libraries in postgresql.conf and start the server again"
    return NexusError(
        f"The database at {place_of(settings.database_url)} can't be reached.",
        code=UNREACHABLE,
        cause=cause,
        hint=hint,
        retriable=True,
    )


def schema_behind(settings: Settings, *, cause: str = "") -> NexusError:
    """The error NX6201 for a database whose schema is not what this version needs."""
    return NexusError(
        f"The database at {place_of(settings.database_url)} does not have the schema this version needs.",
        code=SCHEMA_BEHIND,
        cause=cause,
        hint="run `nexus db upgrade`",
    )


def one_line(error: BaseException) -> str:
    """What an error says, on one line, without passwords."""
    text = re.sub(r"\s+", " ", str(error)).strip()
    return re.sub(r"(password=|:)[^\s:@/]+@", r"\1***@", text)[:300]
