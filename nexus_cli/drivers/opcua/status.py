"""OPC UA status codes: what each means for a sample, a request or the session. Pure.

Source: OPC 10000-6 annex A.2 (values), OPC 10000-4 §7.39 (severity and info bits).
"""

from __future__ import annotations

import re

from asyncua import ua

from nexus_cli.drivers.base import DriverError, Fault, Scope
from nexus_cli.wire.sample import Reason

OVERFLOW_BITS = 0x0480
"""InfoType DataValue and Overflow: the server's queue lost values."""

TOO_MUCH = frozenset({0x80080000, 0x80100000, 0x80B80000, 0x80B90000, 0x80800000})
"""Bad_EncodingLimitsExceeded, _TooManyOperations, _RequestTooLarge, _ResponseTooLarge, _TcpMessageTooLarge."""

TOO_MANY_SUBSCRIPTIONS = 0x80770000
TOO_MANY_ITEMS = 0x80DB0000
FULL = frozenset({TOO_MANY_SUBSCRIPTIONS, TOO_MANY_ITEMS, 0x80030000, 0x80040000})
"""Bad_TooManySubscriptions, _TooManyMonitoredItems, _OutOfMemory, _ResourceUnavailable: none left now, perhaps later."""

BUSY = frozenset({0x80030000, 0x80040000, 0x800A0000, 0x80850000, 0x80B50000, 0x80EE0000})
"""Bad_OutOfMemory, _ResourceUnavailable, _Timeout, _RequestTimeout, _WouldBlock, _ServerTooBusy: a
moment later it may well be answered. Bad_TooManyOperations is a limit of size, Bad_TcpServerTooBusy the end of a connection."""

_SESSION_ENDS = frozenset(
    {
        0x800C0000,  # Bad_Shutdown
        0x800D0000,  # Bad_ServerNotConnected
        0x800E0000,  # Bad_ServerHalted
        0x80130000,  # Bad_SecurityChecksFailed
        0x80200000,  # Bad_IdentityTokenInvalid
        0x80210000,  # Bad_IdentityTokenRejected
        0x80220000,  # Bad_SecureChannelIdInvalid
        0x80250000,  # Bad_SessionIdInvalid
        0x80260000,  # Bad_SessionClosed
        0x80270000,  # Bad_SessionNotActivated
        0x807D0000,  # Bad_TcpServerTooBusy
        0x807E0000,  # Bad_TcpMessageTypeInvalid
        0x807F0000,  # Bad_TcpSecureChannelUnknown
        0x80820000,  # Bad_TcpInternalError
        0x80860000,  # Bad_SecureChannelClosed
        0x80870000,  # Bad_SecureChannelTokenUnknown
        0x80880000,  # Bad_SequenceNumberInvalid
        0x80AC0000,  # Bad_ConnectionRejected
        0x80AD0000,  # Bad_Disconnect
        0x80AE0000,  # Bad_ConnectionClosed
    }
)
"""What says of itself that session or channel are over. Any other refusal is of the call that it answers."""

_REASONS: dict[int, Reason] = {
    0x80340000: Reason.ILLEGAL_ADDRESS,  # Bad_NodeIdUnknown
    0x80330000: Reason.ILLEGAL_ADDRESS,  # Bad_NodeIdInvalid
    0x80350000: Reason.ILLEGAL_ADDRESS,  # Bad_AttributeIdInvalid
    0x80360000: Reason.ILLEGAL_ADDRESS,  # Bad_IndexRangeInvalid
    0x80370000: Reason.ILLEGAL_ADDRESS,  # Bad_IndexRangeNoData
    0x803A0000: Reason.ACCESS_DENIED,  # Bad_NotReadable
    0x803B0000: Reason.ACCESS_DENIED,  # Bad_NotWritable
    0x801F0000: Reason.ACCESS_DENIED,  # Bad_UserAccessDenied
    0x80E60000: Reason.ACCESS_DENIED,  # Bad_SecurityModeInsufficient
    0x80740000: Reason.TYPE_MISMATCH,  # Bad_TypeMismatch
    0x803C0000: Reason.OUT_OF_RANGE,  # Bad_OutOfRange
    0x800A0000: Reason.DEVICE_TIMEOUT,  # Bad_Timeout
    0x80050000: Reason.DEVICE_ERROR,  # Bad_CommunicationError
    0x80310000: Reason.DEVICE_ERROR,  # Bad_NoCommunication
    0x808A0000: Reason.DEVICE_ERROR,  # Bad_NotConnected
    0x808B0000: Reason.DEVICE_ERROR,  # Bad_DeviceFailure
    0x808C0000: Reason.DEVICE_ERROR,  # Bad_SensorFailure
    0x808D0000: Reason.OUT_OF_SERVICE,  # Bad_OutOfService
    0x80070000: Reason.DECODE_ERROR,  # Bad_DecodingError
    0x80060000: Reason.DECODE_ERROR,  # Bad_EncodingError
}

_ITEM = frozenset({0x80340000, 0x80330000, 0x80350000, 0x80360000, 0x80370000, 0x803A0000, 0x803B0000})
NAMES: dict[int, str] = {
    value: re.sub(r"^(Bad|Uncertain|Good)(?=.)", r"\1_", name)
    for name, value in vars(ua.StatusCodes).items()
    if isinstance(value, int)
}
"""Every code of the standard: `Bad_NodeIdUnknown`."""


def name_of(code: int) -> str:
    """The standard's name of a status code, or its number."""
    return NAMES.get(code & 0xFFFF0000, f"0x{code & 0xFFFFFFFF:08X}")


def fault_of(status: int) -> Fault | None:
    """What a value's status means: None when good; an UNCERTAIN value is kept."""
    severity = status >> 30
    if severity == 0:
        return None
    if severity == 1:
        return Fault(Reason.SOURCE_UNCERTAIN, status, uncertain=True)
    masked = status & 0xFFFF0000
    return Fault(_REASONS.get(masked, Reason.SOURCE_BAD), status, transient=masked in BUSY)


def overflowed(status: int) -> bool:
    """True when the server's queue lost values before this one."""
    return status & OVERFLOW_BITS == OVERFLOW_BITS


def item_error(code: int, what: str) -> DriverError:
    """An operation on one node was refused."""
    reason = _REASONS.get(code & 0xFFFF0000, Reason.DEVICE_ERROR)
    return DriverError(
        f"{what}: {name_of(code)}",
        scope=Scope.ITEM,
        retriable=reason not in (Reason.ILLEGAL_ADDRESS, Reason.ACCESS_DENIED, Reason.TYPE_MISMATCH),
        reason=reason,
        code=code,
    )


def service_error(code: int, what: str) -> DriverError:
    """A whole service call was refused. Only codes about the session end it; any other ends the call alone.

    REQUEST and retriable: a limit of size, or a server that is slow; REQUEST and final: one of what was asked may be
    the cause, so ask for less at once. Whether the session still serves anything is for the caller to find out.
    """
    masked = code & 0xFFFF0000
    message = f"{what}: {name_of(code)}"
    if masked in _ITEM:
        return item_error(code, what)
    if masked in _SESSION_ENDS:
        return DriverError(message, scope=Scope.SESSION, reason=Reason.LINK_LOST, code=code)
    busy = masked in BUSY
    reason = _REASONS.get(masked, Reason.DEVICE_ERROR)
    return DriverError(
        message, scope=Scope.REQUEST, retriable=busy or masked in TOO_MUCH, reason=reason, code=code, transient=busy
    )
