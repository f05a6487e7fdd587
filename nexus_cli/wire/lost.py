"""How a connection to the broker ends, inside the door; `client` makes the errors that everybody sees."""

from __future__ import annotations

from nexus_cli.diagnostics.errors import NexusError


class LostError(Exception):
    """The connection ended, or never came about; the message says why, in one line."""


class RefusedError(LostError):
    """The broker answered the CONNECT and does not want us.

    Attributes:
        code: Its return code (MQTT 3.1.1 §3.2.2.3).
    """

    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


class HandlerError(Exception):
    """The handler of messages raised: our own fault, told apart from what paho raises."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"a message could not be handled ({type(cause).__name__})")
        self.cause = cause


def lost_error(cause: str) -> NexusError:
    """The retriable error of a publish that has no acknowledgement."""
    return NexusError("The connection to the broker was lost.", code="NX6010", cause=cause, retriable=True)
