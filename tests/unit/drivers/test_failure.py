"""Errors of the operating system become kinds of failure by their number, never by their text."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from nexus_cli.discover.connection_hints import unreachable
from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.drivers.failure import kind_of
from nexus_cli.drivers.registry import kinds
from nexus_cli.model.failure_kind import FailureKind


def system(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("error", "serial", "kind"),
    [
        (system(errno.ECONNREFUSED), False, FailureKind.CONNECTION_REFUSED),
        # what asyncio raises where a name has several addresses
        (OSError("Multiple exceptions: [Errno 111] Connect call failed"), False, FailureKind.CONNECTION_REFUSED),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), False, FailureKind.UNKNOWN_HOST),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), False, FailureKind.UNKNOWN_HOST),
        (system(errno.ENOENT), True, FailureKind.NO_SERIAL_LINE),
        (system(errno.EACCES), True, FailureKind.SERIAL_LINE_DENIED),
        (system(errno.EPERM), True, FailureKind.SERIAL_LINE_DENIED),
        (system(errno.EACCES), False, FailureKind.OTHER),
        (system(errno.EHOSTUNREACH), False, FailureKind.OTHER),
        (TimeoutError("no connection within 3 s"), False, FailureKind.OTHER),
        (OSError("connection refused, says a text"), False, FailureKind.OTHER),
    ],
)
def test_the_number_decides(error: OSError, serial: bool, kind: FailureKind) -> None:
    assert kind_of(error, serial=serial) is kind


@pytest.mark.parametrize("kind", sorted(FailureKind))
@pytest.mark.parametrize("protocol", sorted(kinds()))
def test_a_hint_does_not_depend_on_the_message(protocol: str, kind: FailureKind) -> None:
    def hint(message: str) -> str:
        return unreachable(DriverError(message, scope=Scope.SESSION, kind=kind, subject="PLC_PW"), protocol).hint

    strange = "Connection refused: pip install; getaddrinfo; it offers; no answer in time; No such file"
    assert hint(strange) == hint("x")


def test_a_denied_serial_line_names_the_group() -> None:
    denied = DriverError("x", scope=Scope.SESSION, kind=FailureKind.SERIAL_LINE_DENIED)
    assert "usermod -aG dialout" in unreachable(denied, "modbus").hint
