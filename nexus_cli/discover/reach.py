"""Why a device can't be looked at, in words that say what to try next. Pure."""

from __future__ import annotations

import re

from nexus_cli.diagnostics import NexusError
from nexus_cli.drivers.base import DriverError

PORTS = {"opcua": 4840, "modbus": 502, "s7": 102, "ads": 48898}
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
    refused = "Connect call failed" in message
    if refused:
        message = re.sub(
            r"(\[Errno \d+\] )?(Multiple exceptions: .*|Connect call failed \([^)]*\))", "connection refused", message
        )
        message += ")" if message.count("(") > message.count(")") else ""
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
    if "it offers" in message:
        return "--security with one that it offers, --security None without"
    if refused:
        usual = f" ({PORTS[protocol]} is usual)" if protocol in PORTS else ""
        return f"nothing listens there: is it switched on, and is the port right{usual}?"
    if protocol == "modbus" and ("gateway target" in message or "gateway path" in message):
        return "it speaks Modbus, and has no such unit: `nexus discover modbus://HOST?unit=1-10` says which answer"
    if protocol == "modbus" and "no answer in time" in message:
        return "another unit id (…?unit=1-10 says which answer), a slow device (--set timeout=3s), or no Modbus there"
    if "No such file" in message:
        return "ls /dev/ttyUSB* /dev/ttyACM* /dev/serial/by-id shows the serial lines of this machine"
    if "ermission denied" in message and "/dev/" in message:
        return "your user may not open it: sudo usermod -aG dialout $USER, then log in again"
    if not retriable:
        return "check the connection keys; a gateway beside the device may reach it: `nexus discover --via GATEWAY`"
    return (
        f"is it {protocol} that listens there? a gateway beside the device may reach it: `nexus discover --via GATEWAY`"
    )
