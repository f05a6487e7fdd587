"""Connections to PostgreSQL from the settings; every way to fail becomes one plain sentence."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings

Connection: TypeAlias = Any
"""An `asyncpg.Connection`, or one borrowed from a pool."""
Pool: TypeAlias = Any
"""An `asyncpg.Pool`."""

UNREACHABLE = "NX6200"
SCHEMA_BEHIND = "NX6201"
REFUSED = "NX6202"
NOT_CONFIGURED = "NX6203"

_LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,
    asyncpg.exceptions.InternalClientError,
)


def is_lost(error: BaseException) -> bool:
    """True when an error says that the server or the way to it is gone, full or shutting down: try again later."""
    return isinstance(error, _LOST)


def place_of(url: str) -> str:
    """`host:port/name` of a database URL, without user and password, for messages."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "localhost", parts.port or 5432
    except ValueError:
        return "the configured address"
    return f"{host}:{port}{parts.path}"


def _arguments(settings: Settings, *, application: str, timeout_s: float, command_timeout_s: float) -> dict[str, Any]:
    if not settings.database_url:
        raise NexusError(
            "No database is configured.",
            code=NOT_CONFIGURED,
            hint="`nexus up SITE` starts one on this machine, or set NEXUS_DATABASE_URL (and NEXUS_DATABASE_PASSWORD)",
        )
    if not settings.database_url.startswith(("postgresql://", "postgres://")):
        raise NexusError(
            "The database address is not a postgresql:// URL.",
            code=NOT_CONFIGURED,
            hint="write NEXUS_DATABASE_URL as postgresql://USER@HOST:5432/NAME?sslmode=require",
            exit_code=64,
        )
    return {
        "dsn": settings.database_url,
        "password": settings.database_password or None,
        "timeout": timeout_s,
        "command_timeout": command_timeout_s or None,
        # A user called nexus would have schema nexus in the search path, and Alembic would take it for the default.
        "server_settings": {"application_name": application, "timezone": "UTC", "search_path": "public"},
    }


@contextmanager
def plain_errors(settings: Settings) -> Iterator[None]:
    """Turn the driver's errors into NexusErrors: NX6200 unreachable, NX6201 schema behind, NX6202 refused."""
    try:
        yield
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        raise NexusError(
            f"The database at {place_of(settings.database_url)} refused us.",
            code=REFUSED,
            cause=_one_line(error),
            hint="check the user and the database name in NEXUS_DATABASE_URL, and NEXUS_DATABASE_PASSWORD",
        ) from None
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.UndefinedColumnError) as error:
        raise schema_behind(settings, cause=_one_line(error)) from None
    except asyncpg.InsufficientPrivilegeError as error:
        raise NexusError(
            f"The database user lacks a right at {place_of(settings.database_url)}.",
            code=REFUSED,
            cause=_one_line(error),
            hint="the user must own schema nexus; migrations also need CREATE on the database",
        ) from None
    except (*_LOST, asyncpg.ClientConfigurationError) as error:
        raise NexusError(
            f"The database at {place_of(settings.database_url)} can't be reached.",
            code=UNREACHABLE,
            cause=_one_line(error) or type(error).__name__,
            hint="is it running? `nexus status` tells; `nexus up SITE` starts one on this machine",
            retriable=True,
        ) from None


def schema_behind(settings: Settings, *, cause: str = "") -> NexusError:
    """The error NX6201 for a database whose schema is not what this version needs."""
    return NexusError(
        f"The database at {place_of(settings.database_url)} does not have the schema this version needs.",
        code=SCHEMA_BEHIND,
        cause=cause,
        hint="run `nexus db upgrade`",
    )


async def open_connection(
    settings: Settings, *, application: str = "nexus", timeout_s: float = 5.0, command_timeout_s: float = 0.0
) -> Connection:
    """Open one connection; the caller closes it.

    Args:
        settings: Where the database is.
        application: Shown in `pg_stat_activity`.
        timeout_s: Longest wait for the connection.
        command_timeout_s: Longest wait for one statement; 0 is none.

    Raises:
        NexusError: NX6200, NX6202 or NX6203.
    """
    arguments = _arguments(settings, application=application, timeout_s=timeout_s, command_timeout_s=command_timeout_s)
    with plain_errors(settings):
        return await asyncpg.connect(**arguments)


@asynccontextmanager
async def connection(
    settings: Settings, *, application: str = "nexus", timeout_s: float = 5.0, command_timeout_s: float = 60.0
) -> AsyncIterator[Connection]:
    """A connection for the length of a block, with the driver's errors told plainly.

    Raises:
        NexusError: NX6200, NX6201, NX6202 or NX6203.
    """
    opened = await open_connection(
        settings, application=application, timeout_s=timeout_s, command_timeout_s=command_timeout_s
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
        await _close(opened)


async def _close(opened: Connection) -> None:
    try:
        await opened.close(timeout=2.0)
    except _LOST:
        opened.terminate()


async def open_pool(settings: Settings, *, application: str = "nexus", size: int = 4, timeout_s: float = 5.0) -> Pool:
    """Open a pool of up to `size` connections; the caller closes it. Statements may take at most a minute.

    Raises:
        NexusError: NX6200, NX6202 or NX6203.
    """
    arguments = _arguments(settings, application=application, timeout_s=timeout_s, command_timeout_s=60.0)
    with plain_errors(settings):
        return await asyncpg.create_pool(min_size=1, max_size=size, **arguments)


def _one_line(error: BaseException) -> str:
    text = re.sub(r"\s+", " ", str(error)).strip()
    return re.sub(r"(password=|:)[^\s:@/]+@", r"\1***@", text)[:300]
