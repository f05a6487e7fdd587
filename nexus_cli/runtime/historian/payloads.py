"""Messages of others: `{value, timestamp, quality}` in the dialects that people have. Pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from nexus_cli.wire.sample import Quality, Value

MOST_AHEAD_US = 300_000_000
"""A timestamp more than 5 minutes ahead is a wrong clock (DESIGN §4)."""
EARLIEST_US = 31_536_000_000_000
"""1971-01-01: whatever is earlier is a clock that was never set, or seconds taken for microseconds."""
_TIME_KEYS = ("timestamp_ms", "timestamp", "time", "ts", "t")
_VALUE_KEYS = ("value", "val", "v")


class PayloadError(ValueError):
    """The message can't be stored.

    Attributes:
        reason: One word for the dead letters.
    """

    def __init__(self, reason: str, detail: str) -> None:
        """Say why."""
        super().__init__(detail)
        self.reason = reason


class OthersSample(NamedTuple):
    """What a message of somebody else says. Time in µs since 1970 UTC, None when it has none of its own."""

    value: Value
    time_us: int | None
    quality: tuple[str, str | None, int] | None


def parse_payload(payload: bytes, *, now_us: int) -> OthersSample:
    """Read a message.

    Understood: an object with `value` and a time as milliseconds, seconds, micro- or nanoseconds since 1970 or
    ISO 8601, and a quality as GOOD/UNCERTAIN/BAD or as the number of OPC (192/64/0); UMH's
    `{timestamp_ms, value}`; a bare JSON scalar or bare text, which have no time of their own.

    Raises:
        PayloadError: No value in it, or a time that can't be.
    """
    body = _body(payload)
    if not isinstance(body, dict):
        return OthersSample(body, None, None)
    key = next((key for key in _VALUE_KEYS if key in body), None)
    if key is None:
        raise PayloadError("no_value", "the object has no 'value'")
    value, quality = body[key], _quality(body.get("quality"))
    time_key = next((each for each in _TIME_KEYS if body.get(each) is not None), None)
    time_us = None if time_key is None else _time_us(body[time_key])
    if time_us is not None and time_us < EARLIEST_US:
        raise PayloadError("time_out_of_range", f"'{body[time_key or '']}' is before 1971")
    if time_us is not None and time_us > now_us + MOST_AHEAD_US:
        raise PayloadError("ahead_of_time", f"'{body[time_key or '']}' is more than 5 minutes ahead")
    if quality is not None and quality[0] == Quality.BAD.name:
        value = None
    elif value is None:
        quality = (Quality.BAD.name, "source_bad", 0)
    return OthersSample(value, time_us, quality)


def _body(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except ValueError:
        pass
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise PayloadError("not_text", "neither JSON nor text") from None
    if not text.strip() or text.lstrip()[0] in "{[":
        raise PayloadError("not_json", "neither JSON nor a bare value")
    return text


def _quality(raw: object) -> tuple[str, str | None, int] | None:
    """Name, reason and code; None for GOOD. The two highest bits of OPC classic's number are the quality."""
    if raw is None or raw == Quality.GOOD.name:
        return None
    if isinstance(raw, (int, float)) and not isinstance(raw, bool) and math.isfinite(raw):
        number = int(raw)
        if number & 0xC0 == Quality.GOOD:
            return None
        name = Quality.UNCERTAIN.name if number & 0xC0 == Quality.UNCERTAIN else Quality.BAD.name
        return name, f"source_{name.lower()}", number & 0xFFFFFFFF
    name = str(raw).upper()
    if name.startswith("GOOD"):
        return None
    known = Quality.UNCERTAIN.name if name.startswith("UNCERTAIN") else Quality.BAD.name
    return known, f"source_{known.lower()}", 0


def _time_us(raw: object) -> int:
    if isinstance(raw, str):
        if raw.strip().removeprefix("-").replace(".", "", 1).isdecimal():
            return _scaled(float(raw))
        try:
            moment = datetime.fromisoformat(raw.strip())
        except ValueError:
            raise PayloadError("bad_time", f"'{raw[:60]}' is not a time") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1_000_000)
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        return _scaled(raw)
    raise PayloadError("bad_time", f"'{str(raw)[:60]}' is not a time")


def _scaled(number: int | float) -> int:
    """Seconds, milliseconds, micro- or nanoseconds by size: each covers the years 1973 to 5138 without overlap."""
    if not math.isfinite(number):
        raise PayloadError("bad_time", "not a finite number")
    size = abs(number)
    if size < 1e11:
        return round(number * 1_000_000)
    if size < 1e14:
        return round(number * 1000)
    return round(number) if size < 1e17 else round(number) // 1000
