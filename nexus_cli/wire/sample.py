"""Quality, reason and value: the words of one sample.

See docs/decisions/0003.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import NamedTuple, TypeAlias

Scalar: TypeAlias = bool | int | float | str
Value: TypeAlias = "Scalar | list[Value] | dict[str, Value] | None"
"""A tag's value. BAD samples hold None."""


class Quality(IntEnum):
    """OPC classic quality, as stored: GOOD 192, UNCERTAIN 64, BAD 0."""

    GOOD = 192
    UNCERTAIN = 64
    BAD = 0


class Reason(StrEnum):
    """Why a sample is not GOOD: a closed list. Append only, the position is stored (`REASON_NUMBER`)."""

    LINK_LOST = "link_lost"
    DEVICE_TIMEOUT = "device_timeout"
    DEVICE_ERROR = "device_error"
    ILLEGAL_ADDRESS = "illegal_address"
    TYPE_MISMATCH = "type_mismatch"
    ACCESS_DENIED = "access_denied"
    NOT_A_NUMBER = "not_a_number"
    OUT_OF_RANGE = "out_of_range"
    OVERFLOW = "overflow"
    CLOCK_UNSYNCHRONISED = "clock_unsynchronised"
    OUT_OF_SERVICE = "out_of_service"
    INPUT_BAD = "input_bad"
    EXPRESSION_ERROR = "expression_error"
    GATEWAY_LOST = "gateway_lost"
    SOURCE_BAD = "source_bad"
    SOURCE_UNCERTAIN = "source_uncertain"
    SYMBOL_CHANGED = "symbol_changed"
    DECODE_ERROR = "decode_error"
    TOO_LARGE = "too_large"
    RATE_OF_CHANGE = "rate_of_change"
    FLAT_LINE = "flat_line"
    MISSING = "missing"


REASONS: tuple[Reason, ...] = tuple(Reason)
REASON_NUMBER: dict[str, int] = {reason.value: number for number, reason in enumerate(REASONS, 1)}


def pack_status(reason: str | None, code: int) -> int | None:
    """Pack a reason and the protocol's own 32-bit code into the stored `status`: reason number above, code below.

    None when there is neither.
    """
    if reason is None and not code:
        return None
    return (REASON_NUMBER.get(reason or "", 0) << 32) | (code & 0xFFFFFFFF)


def unpack_status(status: int | None) -> tuple[Reason | None, int]:
    """The reason and the protocol's code of a stored `status`."""
    if not status:
        return None, 0
    number = status >> 32
    return (REASONS[number - 1] if 0 < number <= len(REASONS) else None), status & 0xFFFFFFFF


class Sample(NamedTuple):
    """One normalised value of one tag, in the published unit. Times are µs since 1970 UTC."""

    tag: str
    value: Value
    quality: Quality
    time_us: int
    source_time_us: int | None = None
    reason: Reason | None = None
    code: int = 0
