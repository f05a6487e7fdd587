"""The kind of failure of an error of the operating system. Pure."""

from __future__ import annotations

import errno
import socket

from nexus_cli.diagnostics.system import system_number
from nexus_cli.model.failure_kind import FailureKind

_SERIAL = {
    errno.ENOENT: FailureKind.NO_SERIAL_LINE,
    errno.EACCES: FailureKind.SERIAL_LINE_DENIED,
    errno.EPERM: FailureKind.SERIAL_LINE_DENIED,
}


def kind_of(error: BaseException, *, serial: bool = False) -> FailureKind:
    """The kind of a failed attempt to connect; OTHER for what is no system call.

    Args:
        error: As the library raised it; the number may be in what caused it.
        serial: Whether a serial line was opened: a missing file and a denied one then mean the line.
    """
    if isinstance(error, socket.gaierror):
        return FailureKind.UNKNOWN_HOST
    number = system_number(error)
    if number == errno.ECONNREFUSED:
        return FailureKind.CONNECTION_REFUSED
    return _SERIAL.get(number, FailureKind.OTHER) if serial else FailureKind.OTHER
