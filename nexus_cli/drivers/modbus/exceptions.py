"""Exception responses: what each code means for the request, its device and its link. Pure.

Source: Modbus Application Protocol V1.1b3 §7.
"""

from __future__ import annotations

from nexus_cli.drivers.base import DriverError, Effect, Scope
from nexus_cli.model.failure_kind import FailureKind
from nexus_cli.wire.sample import Reason

ILLEGAL_FUNCTION = 1
BUSY = (5, 6)
"""The device is at something else; a moment later it may well answer."""

# Scope, reason, retriable, name.
EXCEPTIONS: dict[int, tuple[Scope, Reason, bool, str]] = {
    1: (Scope.REQUEST, Reason.ILLEGAL_ADDRESS, False, "illegal function"),
    2: (Scope.REQUEST, Reason.ILLEGAL_ADDRESS, False, "illegal data address"),
    3: (Scope.REQUEST, Reason.ILLEGAL_ADDRESS, False, "illegal data value"),
    4: (Scope.REQUEST, Reason.DEVICE_ERROR, True, "server device failure"),
    5: (Scope.REQUEST, Reason.DEVICE_ERROR, True, "acknowledge, still working"),
    6: (Scope.REQUEST, Reason.DEVICE_ERROR, True, "server device busy"),
    7: (Scope.REQUEST, Reason.DEVICE_ERROR, True, "negative acknowledge"),
    8: (Scope.REQUEST, Reason.DEVICE_ERROR, True, "memory parity error"),
    10: (Scope.DEVICE, Reason.DEVICE_TIMEOUT, True, "gateway path unavailable"),
    11: (Scope.DEVICE, Reason.DEVICE_TIMEOUT, True, "gateway target device failed to respond"),
}

NO_UNIT = frozenset({10, 11})
"""What a gateway answers in place of a unit that it does not reach."""
EFFECTS = {5: Effect.MAYBE, 6: Effect.REFUSED, 10: Effect.REFUSED, 11: Effect.MAYBE}
"""Exceptions to a write: taken and not done yet; not taken; not passed on; passed on, without an answer (§7)."""


def refusal(code: int, text: str) -> DriverError:
    """An exception response as an error; `text` says what was asked."""
    scope, reason, retriable, name = EXCEPTIONS.get(
        code, (Scope.REQUEST, Reason.DEVICE_ERROR, True, f"exception {code}")
    )
    return DriverError(
        f"{text}: {name}",
        scope=scope,
        reason=reason,
        retriable=retriable,
        code=code,
        transient=code in BUSY,
        kind=FailureKind.UNIT_UNREACHABLE if code in NO_UNIT else FailureKind.OTHER,
    )
