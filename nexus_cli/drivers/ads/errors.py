"""ADS error codes as errors of this house: how far each reaches, and what to do about it. Pure.

Source: Beckhoff, ADS return codes (0x0000–0x001E global, 0x0500–0x050D router, 0x0700–0x0734 device, 0x0740–0x0756
client).
"""

from __future__ import annotations

from typing import NamedTuple

from nexus_cli.drivers.base import DriverError, Fault, Scope
from nexus_cli.wire.sample import Reason

PORT_NOT_FOUND = 6
TARGET_NOT_FOUND = 7
SERVICE_NOT_SUPPORTED = 1793
INVALID_GROUP = 1794
INVALID_OFFSET = 1795
NOT_PERMITTED = 1796
WRONG_SIZE = 1797
SYMBOL_NOT_FOUND = 1808
SYMBOL_VERSION_INVALID = 1809
NO_MORE_HANDLES = 1814
BUSY = frozenset({4, 1799, 1800})
"""The mailbox is full, not ready, busy: a moment later the PLC may well answer."""
CLIENT_TIMEOUT = 1861
NO_NOTIFICATIONS = frozenset({1, 1799, 1800, 1802, 1810, 1816})
"""What else a PLC that has no notifications, or none left, answers a request for one, while it reads as ever: an internal
error, not ready, busy, no memory, a state in which it does not report."""


class Meaning(NamedTuple):
    """What one code says."""

    scope: Scope
    reason: Reason
    retriable: bool
    text: str


_ITEM, _DEVICE, _REQUEST, _SESSION = Scope.ITEM, Scope.DEVICE, Scope.REQUEST, Scope.SESSION
_BAD_ADDRESS, _ERROR, _DENIED = Reason.ILLEGAL_ADDRESS, Reason.DEVICE_ERROR, Reason.ACCESS_DENIED
MEANINGS: dict[int, Meaning] = {
    1: Meaning(_DEVICE, _ERROR, True, "internal error"),
    2: Meaning(_DEVICE, _ERROR, True, "no real-time runtime"),
    4: Meaning(_DEVICE, _ERROR, True, "the PLC's mailbox is full"),
    5: Meaning(_DEVICE, _ERROR, True, "wrong message for this port"),
    6: Meaning(_DEVICE, _ERROR, True, "target port not found: no PLC runtime answers under this AMS port"),
    7: Meaning(_DEVICE, _ERROR, True, "target computer not found: the AMS NetId or a route is wrong"),
    8: Meaning(_REQUEST, _ERROR, False, "unknown command"),
    10: Meaning(_DEVICE, _ERROR, True, "no I/O"),
    11: Meaning(_REQUEST, _ERROR, False, "unknown AMS command"),
    13: Meaning(_DEVICE, _ERROR, True, "port not connected"),
    14: Meaning(_REQUEST, _ERROR, False, "invalid AMS length"),
    15: Meaning(_DEVICE, _ERROR, True, "invalid AMS NetId"),
    18: Meaning(_DEVICE, _ERROR, True, "port disabled: TwinCAT is not started there"),
    21: Meaning(_DEVICE, Reason.DEVICE_TIMEOUT, True, "the target did not answer its router in time"),
    24: Meaning(_DEVICE, _ERROR, True, "invalid AMS port"),
    27: Meaning(_DEVICE, _ERROR, True, "host unreachable from the router"),
    29: Meaning(_DEVICE, _DENIED, True, "the router refuses the route's TLS"),
    30: Meaning(_DEVICE, _DENIED, True, "access denied by the router"),
    1792: Meaning(_ITEM, _ERROR, True, "general device error"),
    1793: Meaning(_REQUEST, _ERROR, False, "service not supported"),
    1794: Meaning(_ITEM, _BAD_ADDRESS, False, "invalid index group"),
    1795: Meaning(_ITEM, _BAD_ADDRESS, False, "invalid index offset"),
    1796: Meaning(_ITEM, _DENIED, False, "reading or writing not permitted"),
    1797: Meaning(_ITEM, Reason.TYPE_MISMATCH, False, "wrong parameter size"),
    1798: Meaning(_ITEM, Reason.TYPE_MISMATCH, False, "invalid parameter value"),
    1799: Meaning(_DEVICE, _ERROR, True, "the PLC is not ready"),
    1800: Meaning(_DEVICE, _ERROR, True, "the PLC is busy"),
    1802: Meaning(_DEVICE, _ERROR, True, "out of memory"),
    1804: Meaning(_ITEM, _BAD_ADDRESS, False, "not found"),
    1805: Meaning(_ITEM, _BAD_ADDRESS, False, "syntax error"),
    1808: Meaning(_ITEM, _BAD_ADDRESS, False, "symbol not found"),
    1809: Meaning(_ITEM, Reason.SYMBOL_CHANGED, True, "symbol version invalid after an online change"),
    1810: Meaning(_DEVICE, _ERROR, True, "the server is in an invalid state"),
    1811: Meaning(_ITEM, _ERROR, False, "transmission mode not supported"),
    1812: Meaning(_ITEM, _ERROR, True, "notification handle invalid"),
    1813: Meaning(_ITEM, _ERROR, True, "notification client not registered"),
    1814: Meaning(_ITEM, _ERROR, True, "no more notification handles"),
    1815: Meaning(_ITEM, _ERROR, False, "notification too large"),
    1816: Meaning(_DEVICE, _ERROR, True, "the PLC is not initialised"),
    1817: Meaning(_DEVICE, Reason.DEVICE_TIMEOUT, True, "the PLC reports a time-out"),
    1825: Meaning(_ITEM, _BAD_ADDRESS, False, "invalid array index"),
    1826: Meaning(_ITEM, _BAD_ADDRESS, False, "symbol not active"),
    1827: Meaning(_ITEM, _DENIED, False, "access denied"),
    1828: Meaning(_DEVICE, _DENIED, True, "no licence"),
    1829: Meaning(_DEVICE, _DENIED, True, "licence expired"),
    1861: Meaning(_DEVICE, Reason.DEVICE_TIMEOUT, True, "time-out: no answer from the target"),
    1864: Meaning(_SESSION, Reason.LINK_LOST, True, "the local AMS port is closed"),
}
_UNKNOWN = Meaning(_ITEM, _ERROR, True, "unknown error")
_ROUTER = Meaning(_SESSION, Reason.LINK_LOST, True, "the AMS router refuses")
_CLIENT = Meaning(_SESSION, Reason.LINK_LOST, True, "the ADS client library failed")


def meaning_of(code: int) -> Meaning:
    """What a code says; unknown ones by their band."""
    found = MEANINGS.get(code)
    if found is not None:
        return found
    if 0x500 <= code < 0x600:
        return _ROUTER
    return _CLIENT if 0x740 <= code < 0x800 else _UNKNOWN


def error_of(code: int, what: str, *, hint: str = "") -> DriverError:
    """The error of a request that was answered with a code.

    Args:
        code: As it came.
        what: For people, begins the message.
        hint: What to do, ends the message.
    """
    meaning = meaning_of(code)
    return DriverError(
        f"{what}: {meaning.text} (ADS error {code})" + (f"; {hint}" if hint else ""),
        scope=meaning.scope,
        retriable=meaning.retriable,
        reason=meaning.reason,
        code=code,
        transient=code in BUSY,
    )


def fault_of(code: int) -> Fault:
    """The fault of one point whose part of a sum command was answered with a code."""
    return Fault(meaning_of(code).reason, code, transient=code in BUSY)


def route_hint(*, net_id: str, address: str, name: str) -> str:
    """How to add the route that a PLC lacks, with everything that has to be typed."""
    return (
        "if it runs, it has no route for this computer: on the PLC, TwinCAT > Router > Edit Routes > Add: "
        f"name {name}, AMS NetId {net_id}, transport TCP/IP, address {address} (static route, no remote route needed)"
    )
