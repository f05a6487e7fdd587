"""A CPU's refusals: the tags concerned, for how long, and a hint.

Source: Snap7 s7_types.h, libnodave's daveStrerror and Wireshark s7comm (return codes of items, error classes and codes of
a job; class 0x83: no resources).
"""

from __future__ import annotations

from nexus_cli.drivers.base import DriverError, Scope
from nexus_cli.drivers.s7.pdu import Item
from nexus_cli.wire.sample import Reason

HARDWARE, NOT_ALLOWED, OUT_OF_RANGE, TYPE_UNKNOWN, TYPE_DIFFERS, NO_OBJECT = 1, 3, 5, 6, 7, 10
OPTIMISED = (
    "optimised blocks have no offsets: clear 'Optimized block access' in the block's attributes, or read the tag by OPC UA "
    "(protocol: opcua)"
)
PUT_GET = "'Permit access with PUT/GET communication from remote partner' in the CPU's properties, under Protection & Security"
"""As TIA Portal has it, of an S7-1200 from firmware 4 and an S7-1500. Off when a project is new."""

_REASONS = {
    HARDWARE: Reason.DEVICE_ERROR,
    NOT_ALLOWED: Reason.ACCESS_DENIED,
    OUT_OF_RANGE: Reason.ILLEGAL_ADDRESS,
    TYPE_UNKNOWN: Reason.TYPE_MISMATCH,
    TYPE_DIFFERS: Reason.TYPE_MISMATCH,
    NO_OBJECT: Reason.ILLEGAL_ADDRESS,
}

# Error class and code of a whole job. Scope, reason, text.
_JOBS: dict[int, tuple[Scope, Reason, str]] = {
    0x8000: (Scope.REQUEST, Reason.DEVICE_ERROR, "the CPU serves another one of these now"),
    0x8104: (
        Scope.DEVICE,
        Reason.ACCESS_DENIED,
        f"the CPU does not serve this: allow {PUT_GET}, or read it by OPC UA (protocol: opcua)",
    ),
    0x8500: (Scope.REQUEST, Reason.DEVICE_ERROR, "the PDU is longer than the CPU takes"),
    0xD241: (Scope.DEVICE, Reason.ACCESS_DENIED, "the CPU is protected and asks for a password"),
    0xD240: (Scope.REQUEST, Reason.DEVICE_ERROR, "the CPU's coordination rules refuse it now"),
    0xD401: (Scope.REQUEST, Reason.DEVICE_ERROR, "the CPU has no such information function"),
    0xD402: (Scope.REQUEST, Reason.DEVICE_ERROR, "the CPU does not support this information function"),
}

OCCUPIED, COORDINATION, NO_RESOURCES = 0x8000, 0xD240, 0x83


def is_busy(error: int) -> bool:
    """Whether a job was refused for now only. 0x8104 is none of those: the CPU does not serve it, now or later."""
    return error in (OCCUPIED, COORDINATION) or error >> 8 == NO_RESOURCES


def reason_of(code: int) -> Reason:
    """What the tags of a refused item get."""
    return _REASONS.get(code, Reason.DEVICE_ERROR)


def refusal(code: int, item: Item) -> str:
    """Why an item was refused, in a sentence."""
    where = f"DB{item.db}" if item.area == "DB" else f"area {item.area}"
    if code == NO_OBJECT and item.area == "DB":
        return f"{item.text}: the CPU has no {where} that can be read; {OPTIMISED}"
    if code == OUT_OF_RANGE and item.area == "DB":
        return f"{item.text}: beyond the end of {where}, or {where} is optimised; {OPTIMISED}"
    texts = {
        HARDWARE: "hardware fault",
        NOT_ALLOWED: f"access to {where} is not allowed: look at the CPU's access level, and at {PUT_GET}",
        OUT_OF_RANGE: f"beyond the end of {where}",
        TYPE_UNKNOWN: "the CPU does not know this data type",
        TYPE_DIFFERS: "the CPU finds the data type inconsistent",
        NO_OBJECT: f"the CPU has no {where}",
    }
    return f"{item.text}: {texts.get(code, f'return code {code:#04x}')}"


def job_error(error: int, text: str) -> DriverError:
    """A job that was refused as a whole."""
    scope, reason, why = _JOBS.get(
        error, (Scope.REQUEST, Reason.DEVICE_ERROR, f"the CPU refuses it with error {error:#06x}")
    )
    return DriverError(f"{text}: {why}", scope=scope, reason=reason, code=error, transient=is_busy(error))
