"""OPC UA status codes: what each means for a sample, a request or the session. Pure.

Source: OPC 10000-6 annex A.2 (values), OPC 10000-4 §7.39 (severity and info bits).
"""

from __future__ import annotations

from nexus_cli.drivers.base import DriverError, Fault, Scope
from nexus_cli.wire.sample import Reason

OVERFLOW_BITS = 0x0480
"""InfoType DataValue and Overflow: the server's queue lost values."""

TOO_MUCH = frozenset({0x80080000, 0x80100000, 0x80B80000, 0x80B90000, 0x80800000})
"""Bad_EncodingLimitsExceeded, _TooManyOperations, _RequestTooLarge, _ResponseTooLarge, _TcpMessageTooLarge."""

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
_CREDENTIALS = frozenset({0x801F0000, 0x80200000, 0x80210000})
"""Bad_UserAccessDenied, _IdentityTokenInvalid, _IdentityTokenRejected."""

_CERTIFICATE = {
    0x80120000: "our certificate can't be read by the server",
    0x80130000: "the server does not trust our certificate, or refuses the security policy",
    0x80140000: "the server says that a certificate is outside its validity",
    0x80160000: "the server says that our certificate's host name is wrong",
    0x80170000: "the server says that our certificate's application URI is wrong",
    0x801A0000: "the server does not trust our certificate",
    0x80540000: "the server refuses the security mode",
    0x80550000: "the server refuses the security policy",
}

NAMES: dict[int, str] = {
    0x80020000: "Bad_InternalError",
    0x80050000: "Bad_CommunicationError",
    0x80080000: "Bad_EncodingLimitsExceeded",
    0x800A0000: "Bad_Timeout",
    0x800B0000: "Bad_ServiceUnsupported",
    0x800C0000: "Bad_Shutdown",
    0x800D0000: "Bad_ServerNotConnected",
    0x800E0000: "Bad_ServerHalted",
    0x80100000: "Bad_TooManyOperations",
    0x80130000: "Bad_SecurityChecksFailed",
    0x801A0000: "Bad_CertificateUntrusted",
    0x801F0000: "Bad_UserAccessDenied",
    0x80200000: "Bad_IdentityTokenInvalid",
    0x80210000: "Bad_IdentityTokenRejected",
    0x80220000: "Bad_SecureChannelIdInvalid",
    0x80250000: "Bad_SessionIdInvalid",
    0x80260000: "Bad_SessionClosed",
    0x80280000: "Bad_SubscriptionIdInvalid",
    0x80330000: "Bad_NodeIdInvalid",
    0x80340000: "Bad_NodeIdUnknown",
    0x80350000: "Bad_AttributeIdInvalid",
    0x80360000: "Bad_IndexRangeInvalid",
    0x80370000: "Bad_IndexRangeNoData",
    0x803A0000: "Bad_NotReadable",
    0x803B0000: "Bad_NotWritable",
    0x803C0000: "Bad_OutOfRange",
    0x80540000: "Bad_SecurityModeRejected",
    0x80550000: "Bad_SecurityPolicyRejected",
    0x80560000: "Bad_TooManySessions",
    0x80730000: "Bad_WriteNotSupported",
    0x80740000: "Bad_TypeMismatch",
    0x80780000: "Bad_TooManyPublishRequests",
    0x80790000: "Bad_NoSubscription",
    0x80850000: "Bad_RequestTimeout",
    0x80860000: "Bad_SecureChannelClosed",
    0x808D0000: "Bad_OutOfService",
    0x80AF0000: "Bad_InvalidState",
    0x80E90000: "Bad_Locked",
    0x408F0000: "Uncertain_NoCommunicationLastUsableValue",
    0x40900000: "Uncertain_LastUsableValue",
    0x40910000: "Uncertain_SubstituteValue",
    0x40920000: "Uncertain_InitialValue",
    0x40930000: "Uncertain_SensorNotAccurate",
    0x40940000: "Uncertain_EngineeringUnitsExceeded",
    0x40950000: "Uncertain_SubNormal",
    0x80B80000: "Bad_RequestTooLarge",
    0x80B90000: "Bad_ResponseTooLarge",
}


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
    return Fault(_REASONS.get(status & 0xFFFF0000, Reason.SOURCE_BAD), status)


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
    """A whole service call was refused: a limit (REQUEST), or the session is worth nothing any more (SESSION)."""
    masked = code & 0xFFFF0000
    if masked in TOO_MUCH:
        return DriverError(f"{what}: {name_of(code)}", scope=Scope.REQUEST, code=code)
    if masked in _ITEM:
        return item_error(code, what)
    reason = Reason.DEVICE_TIMEOUT if masked == 0x800A0000 else Reason.LINK_LOST
    return DriverError(f"{what}: {name_of(code)}", scope=Scope.SESSION, reason=reason, code=code)


def connect_error(code: int, endpoint: str) -> DriverError:
    """The server refused us. Wrong credentials are final; a certificate may be trusted on the server meanwhile."""
    masked = code & 0xFFFF0000
    if masked in _CREDENTIALS:
        return DriverError(
            f"{endpoint} refused the user name or password ({name_of(code)})",
            scope=Scope.SESSION,
            retriable=False,
            reason=Reason.ACCESS_DENIED,
            code=code,
        )
    if masked in _CERTIFICATE:
        return DriverError(
            f"{endpoint}: {_CERTIFICATE[masked]} ({name_of(code)})",
            scope=Scope.SESSION,
            retriable=masked not in (0x80540000, 0x80550000),
            reason=Reason.ACCESS_DENIED,
            code=code,
        )
    return DriverError(
        f"{endpoint} refused the connection ({name_of(code)})", scope=Scope.SESSION, reason=Reason.LINK_LOST, code=code
    )
