"""The payload that nearly every external message has: a number, its time in milliseconds, and no bad quality.

It says what `wire.reading.parse_payload` says, at a tenth of the cost; whatever else there is, that one reads.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from nexus_cli.wire.reading import EARLIEST_US, MOST_AHEAD_US

_SECONDS_BELOW, _MICROSECONDS_FROM = 10**11, 10**14
"""Numbers from the first and below the second are milliseconds (`wire.reading`)."""
_INFINITE = float("inf")


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    value: float
    timestamp: int = 0
    timestamp_ms: int = 0
    quality: Literal["GOOD"] = "GOOD"


_decode = msgspec.json.Decoder(_Plain).decode


def read_plain(payload: bytes, *, now_us: int) -> tuple[float, int] | None:
    """The value and its time (µs since 1970 UTC); None for any other payload, and for a time that can't be.

    Args:
        payload: The message.
        now_us: A time more than 5 minutes beyond it can't be, µs since 1970 UTC.
    """
    try:
        found = _decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    time_ms = found.timestamp or found.timestamp_ms
    if (found.timestamp and found.timestamp_ms) or not _SECONDS_BELOW <= time_ms < _MICROSECONDS_FROM:
        return None
    time_us = time_ms * 1000
    if not EARLIEST_US <= time_us <= now_us + MOST_AHEAD_US or not -_INFINITE < found.value < _INFINITE:
        return None
    return found.value, time_us
