"""The database's door: every way of the driver to fail leaves as one of ours, and says what helps."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import asyncpg
import pytest

from nexus_cli.database.connect import POOLED, READING, UPKEEP, WRITING, Limits, with_files
from nexus_cli.database.errors import Trouble, is_lost, own_cancellations, place_of, plain_errors, trouble_of
from nexus_cli.database.job_queue import LOST
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings

SETTINGS = Settings(home=Path("/nowhere"), database_url="postgresql://me:secret@db:5432/plant")
EXHAUSTED = (asyncpg.DiskFullError, asyncpg.TooManyConnectionsError)
"""A server that says so was reached."""
FOREIGN: list[tuple[BaseException, str, bool]] = [
    (OSError("Connection refused"), "NX6200", True),
    (TimeoutError(), "NX6200", True),
    (ConnectionResetError("reset by peer"), "NX6200", True),
    (asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"), "NX6200", True),
    (asyncpg.InterfaceError("cannot perform operation: another operation is in progress"), "NX6200", True),
    (asyncpg.InterfaceError("connection is closed"), "NX6200", True),
    (asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"), "NX6200", True),
    (asyncpg.CannotConnectNowError("the database system is starting up"), "NX6200", True),
    (asyncpg.AdminShutdownError("terminating connection due to administrator command"), "NX6200", True),
    (asyncpg.TooManyConnectionsError("sorry, too many clients already"), "NX6200", True),
    (asyncpg.DiskFullError("could not extend file"), "NX6200", True),
    (asyncpg.IdleInTransactionSessionTimeoutError("terminating connection"), "NX6200", True),
    (asyncpg.ClientConfigurationError("no such sslmode"), "NX6203", False),
    (asyncpg.InvalidPasswordError("password authentication failed"), "NX6202", False),
    (asyncpg.InvalidCatalogNameError('database "plant" does not exist'), "NX6202", False),
    (asyncpg.InsufficientPrivilegeError("permission denied for schema nexus"), "NX6202", False),
    (asyncpg.UndefinedTableError('relation "nexus.series" does not exist'), "NX6201", False),
    (asyncpg.UndefinedColumnError('column "site" does not exist'), "NX6201", False),
    (asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"), "NX6206", True),
    (asyncpg.DuplicatePreparedStatementError('prepared statement "__asyncpg_1" already exists'), "NX6207", False),
    (asyncpg.InvalidSQLStatementNameError('prepared statement "__asyncpg_1" does not exist'), "NX6207", False),
    (asyncpg.ProtocolViolationError("unsupported startup parameter: search_path"), "NX6207", False),
    (asyncpg.LockNotAvailableError("canceling statement due to lock timeout"), "NX6208", True),
    (asyncpg.DeadlockDetectedError("deadlock detected"), "NX6208", True),
    (asyncpg.SerializationError("could not serialize access"), "NX6208", True),
    (asyncpg.QueryCanceledError("canceling statement due to statement timeout"), "NX6208", True),
]


@pytest.mark.parametrize(("error", "code", "retriable"), FOREIGN, ids=lambda each: getattr(type(each), "__name__", ""))
def test_what_the_driver_raises_becomes_a_sentence(error: BaseException, code: str, retriable: bool) -> None:
    with pytest.raises(NexusError) as caught, plain_errors(SETTINGS):
        raise error
    found = caught.value
    assert (found.code, found.retriable) == (code, retriable)
    assert found.hint
    assert "secret" not in found.message + found.cause
    assert found.message.endswith(".")
    assert ("can't be reached" in found.message) is (code == "NX6200" and not isinstance(error, EXHAUSTED))


def _expired() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = 10, "certificate has expired"
    return error


def _closed_for(alert: str) -> asyncpg.PostgresError:
    """With TLS 1.3 the server judges our certificate after our side's handshake: the driver sees a connection end."""
    error = asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
    error.__cause__ = ssl.SSLError(1, alert)
    error.__cause__.reason = alert
    return error


@pytest.mark.parametrize(
    ("error", "cert", "said", "word"),
    [
        (asyncpg.InvalidAuthorizationSpecificationError("connection requires a valid client certificate"), "", "requires", "_CERT"),
        (asyncpg.InvalidAuthorizationSpecificationError("connection requires a valid client certificate"), "c", "not accept", "ssl_ca_file"),
        (asyncpg.InvalidAuthorizationSpecificationError('certificate authentication failed for user "me"'), "c", "another user", "common name"),
        (asyncpg.InvalidAuthorizationSpecificationError('no pg_hba.conf entry for host "::1", user "me", no encryption'), "", "without TLS", "sslmode"),
        (asyncpg.InvalidAuthorizationSpecificationError('no pg_hba.conf entry for host "::1", user "me", SSL encryption'), "", "from here", "pg_hba.conf"),
        (_expired(), "", "has expired", "renew"),
        (ConnectionError('PostgreSQL server at "db:5432" rejected SSL upgrade'), "", "does not support TLS", "sslmode=disable"),
        (FileNotFoundError(2, "No such file or directory", "/ca.pem"), "", "/ca.pem", "NEXUS_DATABASE_CA"),
        (_closed_for("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "", "requires", "_CERT"),
        (_closed_for("SSLV3_ALERT_CERTIFICATE_EXPIRED"), "c", "Our certificate", "renew"),
        (_closed_for("TLSV1_ALERT_UNKNOWN_CA"), "c", "not accept", "ssl_ca_file"),
        (asyncpg.TargetServerAttributeNotMatched("none of the hosts match"), "", "takes writes", "primary"),
    ],
)  # fmt: skip
def test_what_tls_and_the_server_say_of_us_has_a_sentence_of_its_own(
    error: BaseException, cert: str, said: str, word: str
) -> None:
    settings = dataclasses.replace(SETTINGS, database_cert=cert)
    with pytest.raises(NexusError) as caught, plain_errors(settings):
        raise error
    assert said in caught.value.message and word in caught.value.hint, caught.value
    assert "nexus up SITE" not in caught.value.hint


def test_a_file_that_the_tls_library_does_not_name_is_found(tmp_path: Path) -> None:
    there = tmp_path / "c.pem"
    there.touch()
    missing = FileNotFoundError(2, "No such file or directory")
    settings = dataclasses.replace(SETTINGS, database_cert=str(there), database_key=str(tmp_path / "k.pem"))
    for chosen, said in ((settings, "k.pem"), (SETTINGS, "can't be reached")):
        with pytest.raises(NexusError) as caught, plain_errors(chosen):
            raise missing
        assert said in caught.value.message


def test_files_of_the_settings_go_into_the_address_unless_it_names_its_own() -> None:
    named = dataclasses.replace(SETTINGS, database_ca="/ca.pem", database_cert="/c.pem", database_key="/k.pem")
    assert with_files(SETTINGS) == SETTINGS.database_url
    assert (
        with_files(named).partition("?")[2]
        == "sslrootcert=%2Fca.pem&sslcert=%2Fc.pem&sslkey=%2Fk.pem&sslmode=verify-full"
    )
    own = dataclasses.replace(named, database_url="postgresql://a:1,b:2/x?sslmode=verify-ca&sslrootcert=/other")
    assert dict(parse_qsl(urlsplit(with_files(own)).query)) == {
        "sslrootcert": "/other",
        "sslcert": "/c.pem",
        "sslkey": "/k.pem",
        "sslmode": "verify-ca",
    }


def test_a_place_names_every_host() -> None:
    assert place_of("postgresql://me:secret@a:5433,b,[::1]:7/plant?x=1") == "a:5433,b:5432,::1:7/plant"


def test_a_library_that_is_not_preloaded_gets_its_own_hint() -> None:
    told = asyncpg.ConnectionDoesNotExistError('extension "timescaledb" must be preloaded')
    with pytest.raises(NexusError) as caught, plain_errors(SETTINGS):
        raise told
    assert "shared_preload_libraries" in caught.value.hint


def test_a_statement_that_is_wrong_stays_a_bug_of_ours() -> None:
    with pytest.raises(asyncpg.PostgresSyntaxError), plain_errors(SETTINGS):
        raise asyncpg.PostgresSyntaxError("syntax error")


async def test_a_cancellation_that_nobody_asked_for_is_an_error() -> None:
    waiter = asyncio.get_running_loop().create_future()
    waiter.cancel()  # what the driver does to its own waiters
    with pytest.raises(NexusError) as caught, plain_errors(SETTINGS):
        await waiter
    assert caught.value.code == "NX6200"


async def test_a_cancellation_that_somebody_asked_for_stays_one() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        with plain_errors(SETTINGS), own_cancellations():
            begun.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(work())
        await begun.wait()
        task.cancel()
    assert task.cancelled()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await work()


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (asyncpg.QueryCanceledError("statement timeout"), Trouble.SLOW),
        (asyncpg.exceptions.ConfigurationLimitExceededError("tuple decompression limit exceeded"), Trouble.SLOW),
        (asyncpg.InternalServerError("invalid memory alloc request size"), Trouble.SLOW),
        (asyncpg.LockNotAvailableError("lock timeout"), Trouble.BUSY),
        (asyncpg.DeadlockDetectedError("deadlock detected"), Trouble.BUSY),
        (asyncpg.DiskFullError("no space left"), Trouble.AWAY),
        (asyncpg.ReadOnlySQLTransactionError("read-only"), Trouble.AWAY),
        (asyncpg.AdminShutdownError("shutdown"), Trouble.AWAY),
        (TimeoutError(), Trouble.AWAY),
        (asyncpg.NumericValueOutOfRangeError("out of range"), Trouble.DATA),
        (asyncpg.UntranslatableCharacterError("NUL"), Trouble.DATA),
        (asyncpg.UniqueViolationError("there already"), Trouble.DATA),
        (asyncpg.UndefinedColumnError("no such column"), Trouble.OTHER),
    ],
    ids=lambda each: getattr(type(each), "__name__", ""),
)
def test_an_error_says_what_helps(error: BaseException, trouble: Trouble) -> None:
    assert trouble_of(error) is trouble
    assert is_lost(error) is (trouble in (Trouble.AWAY, Trouble.BUSY, Trouble.SLOW))


@pytest.mark.parametrize("limits", [READING, WRITING, UPKEEP, POOLED])
def test_a_lock_is_told_from_a_slow_statement_and_the_server_ends_first(limits: Limits) -> None:
    assert 0 < limits.lock_s < (limits.statement_s or float("inf"))
    assert limits.statement_s == 0 or limits.client_s > limits.statement_s
    assert limits.idle_in_transaction_s > 0
    assert limits.settings()["lock_timeout"] == f"{round(limits.lock_s * 1000)}ms"
    assert Limits().settings() == {}


def test_a_worker_takes_every_lost_connection_for_one() -> None:
    """asyncpg has a third word for it, which is neither an error of the server nor of the interface."""
    assert issubclass(asyncpg.InternalClientError, LOST)
    assert not issubclass(asyncpg.InternalClientError, asyncpg.PostgresError | asyncpg.InterfaceError)
