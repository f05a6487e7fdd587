"""Connections to PostgreSQL from the settings, each with limits that the server itself enforces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg

from nexus_cli.database.errors import (
    NOT_CONFIGURED,
    REFUSED,
    SCHEMA_BEHIND,
    UNREACHABLE,
    is_lost,
    own_cancellations,
    place_of,
    plain_errors,
    pooled,
    schema_behind,
)
from nexus_cli.database.waiters import (
    KEEPALIVE_COUNT,
    KEEPALIVE_INTERVAL_S,
    KEEPALIVE_S,
    USER_TIMEOUT_S,
    driver_loop,
)
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings

Connection: TypeAlias = Any
"""An `asyncpg.Connection`, or one borrowed from a pool."""
Pool: TypeAlias = Any
"""An `asyncpg.Pool`."""

CLIENT_SLACK_S = 10.0
"""A client waits this much longer than the server's own limit: the server's answer is the better one, and it leaves no
backend behind that still waits for a client that went away."""
CHECK_CLIENT_S = 2.0
POOL_STATEMENT_S = 50.0
_SEARCH_PATH = "public"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of a session at the server, in seconds; 0 is no limit.

    Attributes:
        lock_s: Longest wait for one lock. Shorter than `statement_s`, so that a lock and a slow statement are different errors.
        statement_s: Longest run of one statement.
        idle_in_transaction_s: A client that says nothing for so long inside a transaction loses the session, and with
            it its locks: it was stopped, or its machine is gone.
        idle_s: The same outside a transaction.
    """

    lock_s: float = 0.0
    statement_s: float = 0.0
    idle_in_transaction_s: float = 0.0
    idle_s: float = 0.0

    @property
    def client_s(self) -> float:
        """Longest wait of the client for one statement; 0 is none."""
        return self.statement_s + CLIENT_SLACK_S if self.statement_s else 0.0

    def settings(self) -> dict[str, str]:
        """As parameters of a PostgreSQL session.

        Source: PostgreSQL documentation, 19.11.1 "Statement Behavior" and 19.3.2 "TCP Settings".
        """
        limits = {
            "lock_timeout": self.lock_s,
            "statement_timeout": self.statement_s,
            "idle_in_transaction_session_timeout": self.idle_in_transaction_s,
            "idle_session_timeout": self.idle_s,
        }
        chosen = {name: f"{round(limit_s * 1000)}ms" for name, limit_s in limits.items() if limit_s}
        if chosen:  # a machine that vanished holds nothing for longer than this
            chosen |= {"tcp_keepalives_idle": f"{KEEPALIVE_S}", "tcp_keepalives_interval": f"{KEEPALIVE_INTERVAL_S}"}
            chosen |= {"tcp_keepalives_count": f"{KEEPALIVE_COUNT}", "tcp_user_timeout": f"{USER_TIMEOUT_S}s"}
        return chosen


NO_LIMITS = Limits()
READING = Limits(lock_s=5.0, statement_s=20.0, idle_in_transaction_s=10.0)
WRITING = Limits(lock_s=3.0, statement_s=20.0, idle_in_transaction_s=10.0)
UPKEEP = Limits(lock_s=2.0, idle_in_transaction_s=10.0, idle_s=60.0)
ASKING = Limits(lock_s=20.0)
MIGRATING = Limits(lock_s=2.0, idle_in_transaction_s=60.0, idle_s=60.0)
POOLED = Limits(lock_s=10.0, statement_s=POOL_STATEMENT_S, idle_in_transaction_s=20.0)


def _arguments(
    settings: Settings, *, application: str, timeout_s: float, command_timeout_s: float, limits: Limits = NO_LIMITS
) -> dict[str, object]:
    if not settings.database_url:
        raise NexusError(
            "No database is configured.",
            code=NOT_CONFIGURED,
            exit_code=6,
            hint="run this beside the folder .nexus of `nexus up`, or set NEXUS_DATABASE_URL (and NEXUS_DATABASE_PASSWORD)",
        )
    if not settings.database_url.startswith(("postgresql://", "postgres://")):
        raise NexusError(
            "The database address is not a postgresql:// URL.",
            code=NOT_CONFIGURED,
            hint="write NEXUS_DATABASE_URL as postgresql://USER@HOST:5432/NAME?sslmode=require",
        )
    # A user called nexus would have schema nexus in the search path, and Alembic would take it for the default.
    session = {"application_name": application, "timezone": "UTC", "search_path": _SEARCH_PATH}
    return {
        "dsn": with_files(settings),
        "password": settings.database_password or None,
        "timeout": timeout_s,
        "command_timeout": command_timeout_s or None,
        "server_settings": session | limits.settings(),
        "loop": driver_loop(),
    }


def with_files(settings: Settings) -> str:
    """The URL with the files of NEXUS_DATABASE_CA, _CERT and _KEY, where it does not name its own. A CA is there to be
    held against the server's certificate: then `sslmode` is verify-full unless the URL says otherwise."""
    given = {
        "sslrootcert": settings.database_ca,
        "sslcert": settings.database_cert,
        "sslkey": settings.database_key,
        "sslmode": "verify-full" if settings.database_ca else "require" if settings.database_cert else "",
    }
    parts = urlsplit(settings.database_url)
    named = dict(parse_qsl(parts.query))
    query = {**{name: value for name, value in given.items() if value}, **named}
    if query == named:
        return settings.database_url
    return parts._replace(query=urlencode(query)).geturl()


async def open_connection(
    settings: Settings,
    *,
    application: str = "nexus",
    timeout_s: float = 5.0,
    command_timeout_s: float = 0.0,
    limits: Limits = NO_LIMITS,
) -> Connection:
    """Open one connection; the caller closes it.

    Args:
        settings: Where the database is.
        application: Shown in `pg_stat_activity`.
        timeout_s: Longest wait for the connection.
        command_timeout_s: Longest wait for one statement; 0 is what the limits say.
        limits: What the server allows the session.

    Raises:
        NexusError: NX6200, NX6202, NX6203 or NX6207.
    """
    arguments = _arguments(
        settings,
        application=application,
        timeout_s=timeout_s,
        command_timeout_s=command_timeout_s or limits.client_s,
        limits=limits,
    )
    with plain_errors(settings):
        opened = await asyncpg.connect(**arguments)
        await _refuse_pooler(opened, settings, timeout_s=timeout_s)
        if limits is not NO_LIMITS:
            # Not on every platform of a server, hence not among the parameters that a refusal of would end it.
            with suppress(asyncpg.PostgresError):
                await opened.execute(f"SET client_connection_check_interval = '{CHECK_CLIENT_S:.0f}s'")
        return opened


async def _refuse_pooler(opened: Connection, settings: Settings, *, timeout_s: float) -> None:
    """Raise NexusError NX6207 when a session does not have its start-up parameters: a pooler is configured to ignore them.

    Limits and names would be missing without notice, and in transaction mode every statement may run in another session.
    """
    try:
        path = await opened.fetchval("SELECT current_setting('search_path')", timeout=timeout_s)
        if path != _SEARCH_PATH:
            raise pooled(settings, cause=f"search_path is {path!r}, and '{_SEARCH_PATH}' was asked for")
    except BaseException:
        opened.terminate()
        raise


@asynccontextmanager
async def connection(
    settings: Settings, *, application: str = "nexus", timeout_s: float = 5.0, command_timeout_s: float = 60.0
) -> AsyncIterator[Connection]:
    """A connection for the length of a block, with the driver's errors as plain sentences.

    Raises:
        NexusError: NX6200 to NX6203, NX6206 to NX6208.
    """
    opened = await open_connection(
        settings,
        application=application,
        timeout_s=timeout_s,
        command_timeout_s=command_timeout_s,
        limits=ASKING,
    )
    try:
        with plain_errors(settings):
            try:
                yield opened
            except TimeoutError:
                raise NexusError(
                    f"The database at {place_of(settings.database_url)} did not answer within {command_timeout_s:g} s.",
                    code=UNREACHABLE,
                    cause="a statement took too long",
                    hint="narrow the question (a shorter span), or look at what the server is busy with",
                    retriable=True,
                ) from None
    finally:
        await close(opened)


async def close(opened: Connection, *, timeout_s: float = 2.0) -> None:
    """Close politely, for at most so long; then drop it."""
    try:
        with own_cancellations():
            await opened.close(timeout=timeout_s)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        opened.terminate()


async def open_pool(
    settings: Settings, *, application: str = "nexus", size: int = 4, timeout_s: float = 5.0, later: bool = False
) -> Pool:
    """Open a pool of up to `size` connections; the caller closes it. Statements may take at most a minute.

    With `later` it connects when it is first asked, and a database that is away is no error here.

    Raises:
        NexusError: NX6200, NX6202, NX6203 or NX6207.
    """
    arguments = _arguments(
        settings, application=application, timeout_s=timeout_s, command_timeout_s=POOLED.client_s, limits=POOLED
    )

    async def begin(opened: Connection) -> None:
        await _refuse_pooler(opened, settings, timeout_s=timeout_s)

    with plain_errors(settings):
        return await asyncpg.create_pool(min_size=0 if later else 1, max_size=size, init=begin, **arguments)


__all__ = [
    "ASKING",
    "MIGRATING",
    "NO_LIMITS",
    "POOLED",
    "READING",
    "REFUSED",
    "SCHEMA_BEHIND",
    "UNREACHABLE",
    "UPKEEP",
    "WRITING",
    "Connection",
    "Limits",
    "Pool",
    "close",
    "connection",
    "is_lost",
    "open_connection",
    "open_pool",
    "plain_errors",
    "schema_behind",
]
