"""The live view's payload on a tag topic: `{"value", "timestamp", "quality"}` and what may stand beside them."""

from __future__ import annotations

import math

import orjson

from nexus_cli.wire.sample import Quality, Reason, Value

JSON_EXACT = 2**53
"""Integers beyond ±2^53 are written as strings: many JSON readers hold numbers as doubles (RFC 8259 §6)."""


def encode_live(
    value: Value,
    *,
    time_us: int,
    quality: Quality = Quality.GOOD,
    source_time_us: int | None = None,
    unit: str | None = None,
    label: str | None = None,
    reason: Reason | str | None = None,
) -> bytes:
    """JSON bytes of one live value. Times in µs since 1970 UTC are written in milliseconds.

    NaN and infinity become BAD `not_a_number`; BAD values become null.
    """
    if isinstance(value, float) and not math.isfinite(value):
        value, quality, reason = None, Quality.BAD, Reason.NOT_A_NUMBER
    if quality is Quality.BAD:
        value = None
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) > JSON_EXACT:
        value = str(value)
    payload: dict[str, object] = {"value": value, "timestamp": time_us // 1000, "quality": quality.name}
    if source_time_us is not None:
        payload["source_timestamp"] = source_time_us // 1000
    if unit:
        payload["unit"] = unit
    if label is not None:
        payload["label"] = label
    if reason is not None:
        payload["reason"] = str(reason)
    return orjson.dumps(payload)
