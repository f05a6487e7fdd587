"""Kinds of failures of a device, by what a person can do about them. Pure."""

from __future__ import annotations

from enum import StrEnum


class FailureKind(StrEnum):
    """Set where a driver raises; hints are chosen by it, never by the text of a message.

    OTHER: None of the following, or not known.
    CONNECTION_REFUSED: The host answers, and no server listens at the port.
    UNKNOWN_HOST: The name does not resolve to an address.
    NO_SERIAL_LINE: This machine has no such serial device file.
    SERIAL_LINE_DENIED: The user may not open the serial device file.
    MISSING_PACKAGE: An optional Python package is not installed; the message has the command.
    UNSET_VARIABLE: An environment variable of a `${env:…}` is not set; `DriverError.subject` is its name.
    LOGIN_REFUSED: The server refuses the user name or the password.
    CERTIFICATE: A certificate or its key can't be used: ours by the server, the server's by us, or its file.
    SECURITY_NOT_OFFERED: The server does not have this security policy and mode.
    NO_ROUTE: The device has no route back to this computer (ADS); the message says how to add it.
    NO_ANSWER: A request was not answered within its time-out.
    UNIT_UNREACHABLE: A gateway answers in place of the unit behind it (Modbus exceptions 10 and 11).
    """

    OTHER = "other"
    CONNECTION_REFUSED = "connection refused"
    UNKNOWN_HOST = "unknown host"
    NO_SERIAL_LINE = "no serial line"
    SERIAL_LINE_DENIED = "serial line denied"
    MISSING_PACKAGE = "missing package"
    UNSET_VARIABLE = "unset variable"
    LOGIN_REFUSED = "login refused"
    CERTIFICATE = "certificate"
    SECURITY_NOT_OFFERED = "security not offered"
    NO_ROUTE = "no route"
    NO_ANSWER = "no answer"
    UNIT_UNREACHABLE = "unit unreachable"
