"""What control's answers are, and what it means that none came: for `http.py`, the door to its API."""

from __future__ import annotations

from typing import TypeVar

import httpx
import msgspec
import orjson

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.system import system_words
from nexus_cli.json_value import read_fields
from nexus_cli.wire import control
from nexus_cli.wire.http_tls import untrusted

Answer = TypeVar("Answer", bound=msgspec.Struct)

SERVER_ERROR = 500
SENT = (httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError)
"""What says that a request was sent and its answer did not come."""


def acceptance_unknown(error: NexusError) -> NexusError:
    """The error NX4015 for a request that may have arrived."""
    return NexusError(
        "It is not known whether control accepted the deployment: its answer did not come.",
        code="NX4015",
        cause=error.message,
    )


def unreachable(url: str, error: BaseException) -> NexusError:
    """The error NX6400 for what the HTTP library raises."""
    slow = isinstance(error, httpx.TimeoutException)
    if untrusted(error):
        return NexusError(
            f"The certificate of control at {url} is not trusted.",
            code="NX6400",
            cause=str(error),
            hint="name the PEM file of its CA in NEXUS_HTTP_CA, and its host as the certificate does",
            retriable=True,
        )
    return NexusError(
        f"Control at {url} {'did not answer in time' if slow else 'does not answer'}.",
        code="NX6400",
        cause=system_words(error),
        hint="is the runtime up? `nexus status` shows it, `nexus up SITE` starts it",
        retriable=True,
    )


def read(answer: httpx.Response, url: str, shape: type[Answer], *, unreadable: str = "NX6404") -> Answer:
    """The body of an answer. Raises NexusError: what control refused, or why the answer can't be read."""
    if answer.is_success:
        try:
            return msgspec.json.decode(answer.content or b"{}", type=shape)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if _is_object(answer.content):
                raise _other_version(url, error, unreadable) from None
    elif (failure := _failure(answer.content)) is not None:
        raise _refused(answer.status_code, failure)
    facts = f"HTTP {answer.status_code}, {answer.headers.get('content-type', 'no content type')}"
    if answer.status_code >= SERVER_ERROR:
        raise NexusError(
            f"Control at {url} can't answer just now.",
            code="NX6400",
            cause=facts,
            hint="it may be starting or stopping; `nexus status` shows it. A proxy in between answers like this, too",
            retriable=True,
        )
    raise NexusError(f"The server at {url} is not a NEXUS control API.", code="NX6404", cause=facts)


def _is_object(content: bytes) -> bool:
    try:
        return isinstance(orjson.loads(content), dict)
    except ValueError:
        return False


def _failure(content: bytes) -> control.Failure | None:
    """Control's refusal; None when the answer is not from control."""
    try:
        return read_fields(msgspec.json.decode(content), control.Failure)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _other_version(url: str, error: Exception, code: str) -> NexusError:
    return NexusError(
        f"Control at {url} gave an answer that this version of nexus can't read.",
        code=code,
        cause=str(error),
        hint="use the same version of nexus on both sides",
    )


def _refused(status: int, failure: control.Failure) -> NexusError:
    return NexusError(
        failure.message,
        code=failure.code,
        hint=failure.hint,
        cause=failure.cause,
        retriable=status >= SERVER_ERROR,
    )
