"""Errors of the database driver as errors of NEXUS, with the remedy: wait, divide the batch, or ask a person.

A role that stores calls `trouble_of`: is the server unreachable, does another session block, was it too slow,
or is it the data? All other code wraps the use of a connection in `plain_errors` and gets a NexusError.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import Enum
from urllib.parse import parse_qsl, urlsplit

import asyncpg

from nexus_cli.database_url import database_hosts
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.system import system_words
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
CLOSED = "connection was closed in the middle of operation"
"""asyncpg, of a connection that ended while it was opened."""
_POOLER_WORDS = ("unsupported startup parameter", "prepared statement")


# Source: OpenSSL, x509_vfy.h (X509_V_ERR_…).
_VERDICTS = {
    9: ("is not valid yet", "look at the clocks of both machines"),
    10: ("has expired", "renew it at the server; nothing here can help"),
    18: ("is signed by itself, and not trusted here", "name that certificate in NEXUS_DATABASE_CA"),
    19: ("comes from a CA that is not trusted here", "name the PEM file of its CA in NEXUS_DATABASE_CA"),
    20: ("comes from a CA that is not trusted here", "name the PEM file of its CA in NEXUS_DATABASE_CA"),
    62: ("is for another host", "write the host in NEXUS_DATABASE_URL as the certificate names it"),
    64: ("is for another address", "write the host in NEXUS_DATABASE_URL as the certificate names it"),
}


_ALERTS = {
    "CERTIFICATE_EXPIRED": (
        "Our certificate for the database at {} has expired.",
        "renew the one in NEXUS_DATABASE_CERT, or look at the clock of the server",
    ),
    "CERTIFICATE_REQUIRED": (
        "The database at {} requires a client certificate.",
        "name its PEM file in NEXUS_DATABASE_CERT, and that of its key in NEXUS_DATABASE_KEY",
    ),
    **dict.fromkeys(
        ("UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN", "CERTIFICATE_REVOKED", "UNSUPPORTED_CERTIFICATE"),
        (
            "The database at {} does not accept our certificate.",
            "it must be signed by a CA that the server trusts (ssl_ca_file), and name the user; it is in NEXUS_DATABASE_CERT",
        ),
    ),
}
"""Verdicts of the server's TLS on the client certificate, by the end of OpenSSL's name of the alert. With TLS 1.3 it comes
after our side's handshake: the driver then reports a connection that was closed, because of it.

Source: RFC 8446, 6.2; OpenSSL, sslerr.h."""


class Trouble(Enum):
    """The remedy for an error of the database."""

    AWAY = "the server or the way to it is gone, full or shutting down: connect again, later"
    BUSY = "somebody else holds a lock, or two transactions met: the same again, soon"
    SLOW = "a statement took too long, or the server failed at it: less at once"
    DATA = "the server refuses something in the rows: waiting does not help"
    OTHER = "the server refuses the statement itself"


def trouble_of(error: BaseException) -> Trouble:
    """The remedy for this error."""
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
        hosts = ",".join(f"{host or 'localhost'}:{port}" for host, port in database_hosts(url))
    except ValueError:
        return "the configured address"
    return f"{hosts}{parts.path}"


@contextmanager
def own_cancellations() -> Iterator[None]:
    """Turn a cancellation that no caller requested into a ConnectionError: the driver gave up.

    asyncpg cancels its own waiters when a connection ends under them. Left as it is, such a cancellation would end a
    task that should continue, in silence.
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

    A statement that the server refuses for its content is a bug of NEXUS; its error passes unchanged.
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
        message, hint = _refusal(settings, cause)
        return NexusError(message.format(place), code=REFUSED, cause=cause, hint=hint)
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
        return read_only(settings, cause=cause)
    if isinstance(error, _POOLED) or any(word in cause for word in _POOLER_WORDS):
        return pooled(settings, cause=cause)
    return _passing(settings, error)


def _refusal(settings: Settings, cause: str) -> tuple[str, str]:
    """Sentence and hint for what the server says of who we are.

    Source: PostgreSQL, auth.c (`ClientAuthentication`), which words these refusals.
    """
    if "valid client certificate" in cause:
        return _ALERTS["UNKNOWN_CA" if settings.database_cert else "CERTIFICATE_REQUIRED"]
    if "certificate authentication failed" in cause:
        return "The certificate that we showed the database at {} is for another user.", (
            "its common name must be the user in NEXUS_DATABASE_URL, or be mapped to it (pg_ident.conf)"
        )
    if "no pg_hba.conf entry" in cause and "no encryption" in cause:
        return "The database at {} refuses us without TLS.", "add ?sslmode=verify-full to NEXUS_DATABASE_URL"
    if "no pg_hba.conf entry" in cause:
        return "The database at {} does not let us in from here.", (
            "pg_hba.conf on the server has no line for this user, database and address"
        )
    hint = "check the user and the database name in NEXUS_DATABASE_URL, and NEXUS_DATABASE_PASSWORD"
    if settings.database_cert:  # a server that wants both says this of a wrong certificate as well
        hint += "; the common name in NEXUS_DATABASE_CERT must be the user too (clientcert=verify-full)"
    return "The database at {} refused us.", hint


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
        retriable=True,
    )


def _alert(error: BaseException) -> tuple[str, str, str] | None:
    """Sentence, hint and cause when TLS ended because of the client's certificate."""
    at: BaseException | None = error
    while at is not None and not isinstance(at, ssl.SSLError):
        at = at.__cause__
    reason = str(getattr(at, "reason", None) or "")
    known = next((texts for name, texts in _ALERTS.items() if reason.endswith("ALERT_" + name)), None)
    return None if known is None else (*known, reason.lower().replace("_", " "))


def _unreadable(settings: Settings) -> str:
    """A file for TLS that can't be read; "" when all can. The TLS library does not say which one it was."""
    with suppress(ValueError):
        named = dict(parse_qsl(urlsplit(settings.database_url).query))
        given = [settings.database_ca, settings.database_cert, settings.database_key]
        files = [*given, *(named.get(key, "") for key in ("sslrootcert", "sslcert", "sslkey"))]
        return next((name for name in files if name and not os.access(name, os.R_OK)), "")
    return ""


_EXHAUSTED: Mapping[type[BaseException], tuple[str, str]] = {
    asyncpg.DiskFullError: (
        "The disk of the database at {} is full.",
        "make room on it, or move the database to a larger one; gateways keep what can't be stored meanwhile",
    ),
    asyncpg.TooManyConnectionsError: (
        "The database at {} has no connection left for us.",
        "max_connections of the server, and the limit of the user or the database, are what it allows",
    ),
}
"""Sentence and hint for a server that answers, and lacks something."""


def _away(settings: Settings, error: BaseException) -> NexusError:
    if (texts := _alert(error)) is not None:
        message, hint, cause = texts
        return NexusError(message.format(place_of(settings.database_url)), code=REFUSED, cause=cause, hint=hint)
    cause = one_line(system_words(error)) if isinstance(error, OSError) else one_line(error) or system_words(error)
    place = place_of(settings.database_url)
    message = "The database at {} can't be reached."
    hint = "is it running? see `nexus status`; `nexus up SITE` starts one on this machine"
    if "must be preloaded" in cause:
        message = "The database at {} has TimescaleDB installed and not loaded."
        hint = "add timescaledb to shared_preload_libraries in postgresql.conf and start the server again"
    elif isinstance(error, ssl.SSLCertVerificationError):
        what, hint = _VERDICTS.get(error.verify_code, ("is not trusted", "name its CA in NEXUS_DATABASE_CA"))
        message, cause = f"The certificate of the database at {{}} {what}.", error.verify_message
    elif "rejected SSL upgrade" in cause:
        message = "The database at {} does not support TLS."
        hint = "turn ssl on at the server, or write ?sslmode=disable in NEXUS_DATABASE_URL"
    elif isinstance(error, ssl.SSLError):
        message = "The database at {} and we don't agree on TLS."
        hint = "look at NEXUS_DATABASE_CA, NEXUS_DATABASE_CERT and NEXUS_DATABASE_KEY, and at the server's log"
    elif isinstance(error, (FileNotFoundError, PermissionError)) and (name := error.filename or _unreadable(settings)):
        message, cause = f"A file for TLS to the database at {{}} can't be read: {name}.", str(error)
        hint = "look at NEXUS_DATABASE_CA, NEXUS_DATABASE_CERT and NEXUS_DATABASE_KEY, and at ssl… in the address"
    elif isinstance(error, asyncpg.ClientConfigurationError):
        return NexusError(
            f"The address of the database at {place} is not right.",
            code=NOT_CONFIGURED,
            cause=cause,
            hint="check what is after the ? in NEXUS_DATABASE_URL, and the PG… variables",
        )
    elif settings.database_cert and (isinstance(error, ConnectionResetError) or CLOSED in cause):
        # With TLS 1.3 the server's word on our certificate can be lost with the connection that it closes.
        hint = "a server that does not accept the certificate in NEXUS_DATABASE_CERT closes like this, too; its log says why"
    elif isinstance(error, tuple(_EXHAUSTED)):
        message, hint = _EXHAUSTED[type(error)]
    elif isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        message = "None of the databases at {} takes writes."
        hint = "each is a standby, or read-only: is the primary among them?"
    return NexusError(
        message.format(place),
        code=UNREACHABLE,
        cause=cause,
        hint=hint,
        retriable=True,
    )


def read_only(settings: Settings, *, cause: str) -> NexusError:
    """The error NX6206 for a server that takes no writes."""
    return NexusError(
        f"The database at {place_of(settings.database_url)} is read-only.",
        code=READ_ONLY,
        cause=cause,
        retriable=True,
    )


def pooled(settings: Settings, *, cause: str) -> NexusError:
    """The error NX6207 for a pooler that gives no session of one's own."""
    return NexusError(
        f"A connection pooler answers at {place_of(settings.database_url)}, and nexus can't work through it.",
        code=POOLED,
        cause=cause,
    )


def schema_behind(settings: Settings, *, cause: str = "") -> NexusError:
    """The error NX6201 for a database whose schema is not what this version needs."""
    return NexusError(
        f"The database at {place_of(settings.database_url)} does not have the schema this version needs.",
        code=SCHEMA_BEHIND,
        cause=cause,
    )


def one_line(error: BaseException | str) -> str:
    """The text of an error on one line, without passwords."""
    text = re.sub(r"\s+", " ", str(error)).strip()
    return re.sub(r"(password=|:)[^\s:@/]+@", r"\1***@", text)[:300]
