"""Whether a part answers: one question each, with a limit of its own. Silence is not an end: who is slow is said to be slow."""

from __future__ import annotations

import asyncio
import http.client
from dataclasses import dataclass

import orjson

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.ports import LOOPBACK
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.identity import client_id

TIMEOUT_S = 2.0
"""For a start, which asks again and again."""
PATIENT_S = 5.0
"""For a person, who asks once: on a machine with too much to do an answer takes seconds."""


async def http_get(port: int, path: str, *, timeout_s: float = TIMEOUT_S) -> tuple[int, bytes] | None:
    """Status and body of a role's own HTTP; None when nobody is there.

    Raises:
        TimeoutError: Somebody listens there, and did not answer in time.
    """
    return await asyncio.to_thread(_get, port, path, timeout_s)


def _get(port: int, path: str, timeout_s: float) -> tuple[int, bytes] | None:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout_s)
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


async def role_lives(port: int) -> str:
    """ "" when the role answers `/health/live`, else why not."""
    try:
        answer = await http_get(port, "/health/live")
    except TimeoutError:
        return f"no answer on port {port} within {TIMEOUT_S:g} s"
    if answer is None:
        return f"nothing listens on port {port} yet"
    return "" if answer[0] == 200 else f"/health/live says {answer[0]}"


async def role_status(port: int) -> bytes | None:
    """What the role says of itself on `/status`, a JSON object; None when nobody is there.

    Raises:
        TimeoutError: It did not answer in time.
    """
    answer = await http_get(port, "/status", timeout_s=PATIENT_S)
    if answer is None or answer[0] != 200:
        return None
    try:
        return answer[1] if isinstance(orjson.loads(answer[1]), dict) else None
    except ValueError:
        return None


async def role_ready(port: int) -> tuple[bool, str]:
    """What the role says on `/health/ready`, with its reason."""
    try:
        answer = await http_get(port, "/health/ready", timeout_s=PATIENT_S)
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
    """Why a server is of no use to us.

    Attributes:
        text: In a few words; "" when there is no problem.
        refused: True when it answers and refuses *us*: that says nothing of those who have other credentials.
        slow: True when it did not answer in time: that is no proof of its end.
    """

    text: str = ""
    refused: bool = False
    slow: bool = False


def slow(timeout_s: float) -> str:
    """What to say of who is there and takes longer than this."""
    return f"slow: no answer within {timeout_s:g} s"


async def broker_answers(settings: Settings) -> str:
    """ "" when the broker accepts us, else why not."""
    return (await broker_problem(settings, timeout_s=TIMEOUT_S)).text


async def broker_problem(settings: Settings, *, timeout_s: float = PATIENT_S) -> Problem:
    """What keeps us from the broker."""
    client = BrokerClient(settings=settings, client_id=client_id("check"))
    try:
        async with asyncio.timeout(timeout_s), client.session():
            return Problem()
    except NexusError as error:
        return Problem(error.cause or error.message, refused=error.code == "NX6011")
    except TimeoutError:
        return Problem(slow(timeout_s), slow=True)


async def database_answers(settings: Settings) -> str:
    """ "" when the database accepts us, else why not."""
    return (await database_problem(settings, timeout_s=TIMEOUT_S)).text


async def database_problem(settings: Settings, *, timeout_s: float = PATIENT_S) -> Problem:
    """What keeps us from the database."""
    from nexus_cli.database.connect import connection  # noqa: PLC0415 - asyncpg: `down` does without

    try:
        # Its own limit is the longer one: which of the two ended it has to be known.
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
