"""Payloads on a tag's topic: `{value, timestamp, quality}` in NEXUS's own form and in those of other systems. Pure.

The one reader of values and qualities: the historian stores what it gives, alerts, conditions and people go by it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from nexus_cli.wire.sample import Quality, Value

MOST_AHEAD_US = 300_000_000
"""A timestamp more than 5 minutes ahead is a wrong clock (decision 0031)."""
EARLIEST_US = 31_536_000_000_000
"""1971-01-01: whatever is earlier is a clock that was never set, or seconds taken for microseconds."""
LONGEST_INTEGER = 20
"""Characters of a 64-bit integer, with its sign."""
MOST_DIGITS = 10
"""Of a quality that is a number written as text."""
STALE = 500
"""Sparkplug's third quality (Eclipse Sparkplug 3.0.0, §6.4.8, property set quality): the value is old."""
_OF_BITS = {int(each): each for each in Quality}
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


class Reading(NamedTuple):
    """The content of a message.

    Attributes:
        value: None when it is BAD.
        time_us: µs since 1970 UTC, None when the message has no time of its own.
        quality: Name, reason and code, as frames say it; None is GOOD.
        label: Name of an enumeration's code, "" when the message gives none.
        unit: "" when the message gives none.
        said: The reason that the message gives, in its own words.
    """

    value: Value
    time_us: int | None
    quality: tuple[str, str | None, int] | None
    label: str = ""
    unit: str = ""
    said: str = ""

    @property
    def state(self) -> Quality:
        """GOOD, UNCERTAIN or BAD."""
        return Quality.GOOD if self.quality is None else Quality[self.quality[0]]

    @property
    def reason(self) -> str:
        """Why it is not GOOD; in the message's words where it has some; "" when it is."""
        return "" if self.quality is None else self.said or self.quality[1] or ""


def parse_payload(payload: bytes, *, now_us: int | None) -> Reading:
    """Read a message.

    Understood: an object with `value` and a time as milliseconds, seconds, micro- or nanoseconds since 1970 or
    ISO 8601, and a quality as GOOD/UNCERTAIN/BAD or as the number of OPC (192/64/0); UMH's
    `{timestamp_ms, value}`; a bare JSON scalar or bare text, which have no time of their own.

    Args:
        payload: The message.
        now_us: A time more than 5 minutes beyond it can't be, µs since 1970 UTC. None for one who goes by value and
            quality alone: a clock that is wrong must make no alert deaf.

    Raises:
        PayloadError: No value in it, or, where `now_us` is given, a time that can't be.
    """
    body = _body(payload)
    if not isinstance(body, dict):
        return Reading(body, None, None)
    key = next((key for key in _VALUE_KEYS if key in body), None)
    if key is None:
        raise PayloadError("no_value", "the object has no 'value'")
    value, quality = body[key], _quality(body.get("quality"))
    time_us = _time_of(body, now_us)
    if quality is not None and quality[0] == Quality.BAD.name:
        value = None
    elif value is None:
        quality = (Quality.BAD.name, "source_bad", 0)
    label, unit, said = (_text(body.get(name)) for name in ("label", "unit", "reason"))
    return Reading(value, time_us, quality, label, unit, said)


def with_time(payload: bytes, time_us: int) -> bytes:
    """A payload with this time (µs since 1970 UTC) where it has none of its own, right or wrong; what can't be read stays."""
    if not payload:
        return payload
    try:
        body = _body(payload)
        if not isinstance(body, dict):
            body = {"value": body}
        elif any(body.get(each) is not None for each in _TIME_KEYS):
            return payload
        return orjson.dumps({**body, "timestamp": time_us})
    except (PayloadError, TypeError, ValueError):
        return payload


def _time_of(body: Mapping[str, object], now_us: int | None) -> int | None:
    key = next((each for each in _TIME_KEYS if body.get(each) is not None), None)
    if key is None:
        return None
    try:
        time_us = _time_us(body[key])
    except PayloadError:
        if now_us is None:
            return None
        raise
    if now_us is not None and time_us < EARLIEST_US:
        raise PayloadError("time_out_of_range", f"'{body[key]}' is before 1971")
    if now_us is not None and time_us > now_us + MOST_AHEAD_US:
        raise PayloadError("ahead_of_time", f"'{body[key]}' is more than 5 minutes ahead")
    return time_us


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


def _text(raw: object) -> str:
    return raw if isinstance(raw, str) else ""


def _quality(raw: object) -> tuple[str, str | None, int] | None:
    """Name, reason and code; None for GOOD. The two highest bits of OPC classic's number are the quality."""
    if raw is None or raw == Quality.GOOD.name:
        return None
    code, name = 0, raw.strip().upper() if isinstance(raw, str) else ""
    if isinstance(raw, str) and name.isascii() and name.isdecimal() and len(name) <= MOST_DIGITS:
        raw = int(name)
    if isinstance(raw, (int, float)) and not isinstance(raw, bool) and math.isfinite(raw):
        number = int(raw)
        known = Quality.BAD if number == STALE else _OF_BITS.get(number & 0xC0, Quality.BAD)
        code = number & 0xFFFFFFFF
    else:
        known = next((each for each in (Quality.GOOD, Quality.UNCERTAIN) if name.startswith(each.name)), Quality.BAD)
    if known is Quality.GOOD:
        return None
    return known.name, f"source_{known.name.lower()}", code


def _shown(raw: object) -> str:
    """A part of a message, for the dead letters; structures may be nested too deep to be written."""
    return type(raw).__name__ if isinstance(raw, (list, dict)) else str(raw)[:60]


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
    raise PayloadError("bad_time", f"'{_shown(raw)}' is not a time")


def time_of_text(text: str, *, shift_us: int) -> str:
    """A time as text, later by some µs, in ISO 8601 and UTC.

    Raises:
        PayloadError: It is not a time.
    """
    moment = datetime.fromtimestamp((_time_us(text) + shift_us) / 1_000_000, UTC)
    return moment.isoformat(timespec="milliseconds")


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


def is_integer(text: str) -> bool:
    """A 64-bit integer as text, no other spelling of a number."""
    return len(text) <= LONGEST_INTEGER and text.isascii() and text.removeprefix("-").isdecimal()
