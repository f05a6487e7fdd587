"""Why a device can't be looked at, in words that say what to try next. Pure."""

from __future__ import annotations

import re

from nexus_cli.diagnostics import NexusError
from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.registry import kinds

_NO_NAME = (
    "Name or service not known",
    "nodename nor servname",
    "No address associated",
    "getaddrinfo",
    "Temporary failure in name",
)


def unreachable(error: DriverError, protocol: str) -> NexusError:
    """The driver's error as the end of a command: NX6602 with a hint.

    Args:
        error: What the driver said.
        protocol: Of the target.
    """
    message = error.message
    refused = "connection refused" in message.lower()
    hint = _hint(message, protocol, refused=refused, retriable=error.retriable)
    return NexusError(f"{message}.", code="NX6602", hint=hint, retriable=error.retriable)


def _hint(message: str, protocol: str, *, refused: bool, retriable: bool) -> str:
    if "pip install" in message or "Edit Routes" in message:
        return ""  # it says itself what to do
    if any(text in message for text in _NO_NAME):
        return "check the name, or write the IP address"
    if "refused the user name or password" in message:
        return "one that it knows: --user NAME --password '${env:PLC_PASSWORD}', and the variable set in this shell"
    if unset := re.search(r"environment variable (\S+) is not set", message):
        return f"in this shell first: read -rs {unset[1]}; export {unset[1]}"
    kind = kinds().get(protocol)
    if kind is not None and (own := kind.hint(message)):
        return own
    if refused:
        usual = f" ({kind.default_port} is usual)" if kind is not None and kind.default_port else ""
        return f"nothing listens there: is it switched on, and is the port right{usual}?"
    if "No such file" in message:
        return "ls /dev/ttyUSB* /dev/ttyACM* /dev/serial/by-id shows the serial lines of this machine"
    if "ermission denied" in message and "/dev/" in message:
        return "your user may not open it: sudo usermod -aG dialout $USER, then log in again"
    if not retriable:
        return "check the connection keys; a gateway beside the device may reach it: `nexus discover --via GATEWAY`"
    return (
        f"is it {protocol} that listens there? a gateway beside the device may reach it: `nexus discover --via GATEWAY`"
    )
