"""A connection that fails is named as the system names it, not as Python's event loop does."""

from __future__ import annotations

import errno
import socket

import httpx
import pytest

from nexus_cli.diagnostics.system import system_words

REFUSED = OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 28021)")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (REFUSED, "connection refused"),
        (OSError(errno.EHOSTUNREACH, "Connect call failed ('10.0.0.9', 502)"), "no route to host"),
        (
            OSError(
                f"Multiple exceptions: [Errno {errno.ECONNREFUSED}] Connect call failed ('::1', 4840, 0, 0), [Errno"
            ),
            "connection refused",
        ),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (OSError("pump"), "pump"),
        (OSError(), "OSError"),
        (TimeoutError(), "no answer in time"),
        (ConnectionResetError(), "the connection was closed without an answer"),
        (EOFError(), "the connection was closed without an answer"),
        (httpx.ReadError(""), "the connection was closed without an answer"),
        (httpx.ReadTimeout(""), "no answer in time"),
        (OSError("All connection attempts failed"), "no connection"),
    ],
)
def test_the_system_is_quoted(error: Exception, words: str) -> None:
    assert system_words(error) == words


def test_what_a_library_hides_is_found_behind_it() -> None:
    hidden = RuntimeError("All connection attempts failed")
    hidden.__cause__ = OSError("All connection attempts failed")
    hidden.__cause__.__context__ = REFUSED
    assert system_words(hidden) == "connection refused"
