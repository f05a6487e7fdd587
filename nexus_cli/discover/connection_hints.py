"""Hints for a device that can't be reached. Pure."""

from __future__ import annotations

from nexus_cli.diagnostics import NexusError
from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.registry import kinds
from nexus_cli.model.failure_kind import FailureKind

_COMPLETE = frozenset((FailureKind.MISSING_PACKAGE, FailureKind.NO_ROUTE))
"""The message itself says what to do."""
_HINTS = {
    FailureKind.UNKNOWN_HOST: "check the name, or write the IP address",
    FailureKind.LOGIN_REFUSED: (
        "one that it knows: --user NAME --password '${env:PLC_PASSWORD}', and the variable set in this shell"
    ),
    FailureKind.NO_SERIAL_LINE: (
        "ls /dev/ttyUSB* /dev/ttyACM* /dev/serial/by-id shows the serial lines of this machine"
    ),
    FailureKind.SERIAL_LINE_DENIED: ("your user may not open it: sudo usermod -aG dialout $USER, then log in again"),
    FailureKind.CERTIFICATE: "nexus certs show lists the client's certificate and those of the servers",
}
_VIA = "a gateway beside the device may reach it: `nexus discover --via GATEWAY`"


def unreachable(error: DriverError, protocol: str) -> NexusError:
    """The driver's error as the end of a command: NX6602 with a hint.

    Args:
        error: As the driver raised it; its `kind` chooses the hint.
        protocol: Of the target.
    """
    return NexusError(f"{error.message}.", code="NX6602", hint=_hint(error, protocol), retriable=error.retriable)


def _hint(error: DriverError, protocol: str) -> str:
    if error.kind in _COMPLETE:
        return ""
    driver_kind = kinds().get(protocol)
    if driver_kind is not None and (own := driver_kind.hints.get(error.kind)):
        return own
    if general := _HINTS.get(error.kind):
        return general
    if error.kind is FailureKind.UNSET_VARIABLE:
        return f"in this shell first: read -rs {error.subject}; export {error.subject}"
    if error.kind is FailureKind.CONNECTION_REFUSED:
        port = driver_kind.default_port if driver_kind is not None else 0
        usual = f" ({port} is usual)" if port else ""
        return f"nothing listens there: is it switched on, and is the port right{usual}?"
    return f"is it {protocol} that listens there? {_VIA}" if error.retriable else f"check the connection keys; {_VIA}"
