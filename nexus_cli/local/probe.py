"""Probes of each part, one request each, with a time limit. A part that does not answer in time is reported as slow,
not as ended."""

from __future__ import annotations

import asyncio
import http.client
from dataclasses import dataclass

import orjson

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.ports import LOOPBACK
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.http_tls import client_context
from nexus_cli.wire.identity import client_id

TIMEOUT_S = 2.0
"""Time limit of the repeated probes of a start, in seconds."""
PATIENT_S = 5.0
"""Time limit of a single probe for `nexus status`, in seconds: on a busy machine an answer takes seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """How the roles' HTTP is reached from this machine.

    Attributes:
        host: Name or address.
        ca: PEM file to trust; "" for HTTP without TLS.
    """

    host: str = LOOPBACK
    ca: str = ""


PLAIN = Door()


async def http_get(
    port: int, path: str, *, timeout_s: float = TIMEOUT_S, door: Door = PLAIN
) -> tuple[int, bytes] | None:
    """Status and body of a role's HTTP; None when nothing listens.

    Raises:
        TimeoutError: The server did not answer in time.
    """
    return await asyncio.to_thread(_get, port, path, timeout_s, door)


def _get(port: int, path: str, timeout_s: float, door: Door) -> tuple[int, bytes] | None:
    connection = _connection(port, timeout_s, door)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _connection(port: int, timeout_s: float, door: Door) -> http.client.HTTPConnection:
    context = client_context("https://" if door.ca else "", door.ca)
    if context is None:
        return http.client.HTTPConnection(door.host, port, timeout=timeout_s)
    return http.client.HTTPSConnection(door.host, port, timeout=timeout_s, context=context)


async def role_lives(port: int, door: Door = PLAIN) -> str:
    """ "" when the role answers `/health/live`, else why not."""
    try:
        answer = await http_get(port, "/health/live", door=door)
    except TimeoutError:
        return f"no answer on port {port} within {TIMEOUT_S:g} s"
    if answer is None:
        return f"nothing listens on port {port} yet"
    return "" if answer[0] == 200 else f"/health/live says {answer[0]}"


async def role_status(port: int, door: Door = PLAIN) -> bytes | None:
    """The answer of a role's `/status`, a JSON object; None when nothing listens there.

    Raises:
        TimeoutError: It did not answer in time.
    """
    answer = await http_get(port, "/status", timeout_s=PATIENT_S, door=door)
    if answer is None or answer[0] != 200:
        return None
    try:
        return answer[1] if isinstance(orjson.loads(answer[1]), dict) else None
    except ValueError:
        return None


async def role_ready(port: int, door: Door = PLAIN) -> tuple[bool, str]:
    """The role's `/health/ready`, with the reason when it is not ready."""
    try:
        answer = await http_get(port, "/health/ready", timeout_s=PATIENT_S, door=door)
    except TimeoutError:
        return False, slow(PATIENT_S)
    if answer is None:
        return False, "does not answer"
    try:
        detail = str(orjson.loads(answer[1]).get("detail") or "")
    except (ValueError, AttributeError):
        detail = ""
    return answer[0] == 200, detail


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a server can't be used.

    Attributes:
        text: A few words; "" when there is no problem.
        refused: True when it answers and refuses *these* credentials; other credentials may work.
        slow: True when it did not answer in time, which does not prove that it has ended.
    """

    text: str = ""
    refused: bool = False
    slow: bool = False


def slow(timeout_s: float) -> str:
    """The text for a server that takes longer than this."""
    return f"slow: no answer within {timeout_s:g} s"


async def broker_answers(settings: Settings) -> str:
    """ "" when the broker accepts the connection, else why not."""
    return (await broker_problem(settings, timeout_s=TIMEOUT_S)).text


async def broker_problem(settings: Settings, *, timeout_s: float = PATIENT_S) -> Problem:
    """Why the broker can't be used."""
    client = BrokerClient(settings=settings, client_id=client_id(settings, "check"))
    try:
        async with asyncio.timeout(timeout_s), client.session():
            return Problem()
    except NexusError as error:
        return Problem(error.cause or error.message, refused=error.code == "NX6011")
    except TimeoutError:
        return Problem(slow(timeout_s), slow=True)


async def database_answers(settings: Settings) -> str:
    """ "" when the database accepts the connection, else why not."""
    return (await database_problem(settings, timeout_s=TIMEOUT_S)).text


async def database_problem(settings: Settings, *, timeout_s: float = PATIENT_S) -> Problem:
    """Why the database can't be used."""
    from nexus_cli.database.connect import connection  # noqa: PLC0415 - asyncpg: `down` does without

    try:
        # The connection's own limit is longer, so that the time-out here is the one that ends it.
        async with (
            asyncio.timeout(timeout_s),
            connection(settings, application="nexus-check", timeout_s=2 * timeout_s) as opened,
        ):
            await opened.fetchval("select 1")
    except NexusError as error:
        return Problem(error.cause or error.message, refused=error.code == "NX6202")
    except TimeoutError:
        return Problem(slow(timeout_s), slow=True)
    return Problem()
