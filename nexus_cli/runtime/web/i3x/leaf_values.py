"""Value, quality and time of a tag as i3X has them (VQT). Pure.

i3X knows Good, Uncertain, Bad and GoodNoData; the first two always have a value, the others never.
Source: i3X 1.0, Implementation Guide, Query Methods and Null Value Handling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from nexus_cli.model.datatype import parse_type
from nexus_cli.runtime.web.live_cache import NOT_YET, Newest
from nexus_cli.wire.sample import Quality, Value

GOOD, UNCERTAIN, BAD, NO_DATA = "Good", "Uncertain", "Bad", "GoodNoData"
QUALITIES: Mapping[str, Quality] = {GOOD: Quality.GOOD, UNCERTAIN: Quality.UNCERTAIN, BAD: Quality.BAD}
"""Those that a client may give."""
_NAMES = {Quality.GOOD: GOOD, Quality.UNCERTAIN: UNCERTAIN, Quality.BAD: BAD}
_EPOCH = datetime(1970, 1, 1)
LAST_US = 253_402_300_799_999_999
"""The end of the year 9999."""


class Vqt(NamedTuple):
    """Value, quality and time.

    Attributes:
        value: None exactly when the quality is Bad or GoodNoData.
        quality: One of the four.
        time_us: µs since 1970 UTC.
    """

    value: Any
    quality: str
    time_us: int

    def json(self) -> dict[str, Any]:
        """As in an answer."""
        return {"value": self.value, "quality": self.quality, "timestamp": moment(self.time_us)}


def moment(time_us: int) -> str:
    """RFC 3339, UTC, with `Z`."""
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat() + "Z"


def time_of(text: str) -> int:
    """µs since 1970 UTC of an RFC 3339 time.

    Raises:
        ValueError: It is none, or has no offset.
    """
    found = datetime.fromisoformat(text)
    offset = found.utcoffset()
    if offset is None or "T" not in text.upper():
        raise ValueError("an RFC 3339 time has a T and ends with Z, such as 2026-01-08T10:30:00Z")
    time_us = (found.replace(tzinfo=None) - _EPOCH - offset) // timedelta(microseconds=1)
    if not 0 <= time_us <= LAST_US:
        raise ValueError("the time lies before 1970, or after 9999")
    return time_us


def of_newest(newest: Newest, type_name: str, *, now_us: int) -> Vqt:
    """The newest value of a tag; one that its declared type does not have is Bad."""
    time_us = newest.time_us if newest.time_us is not None and 0 <= newest.time_us <= LAST_US else newest.received_us
    if newest.reason == NOT_YET and newest.time_us is None:
        return Vqt(None, NO_DATA, time_us or now_us)
    return of_value(newest.value, newest.quality, type_name, time_us=time_us)


def of_value(value: Value, quality: Quality, type_name: str, *, time_us: int) -> Vqt:
    """A value with its quality."""
    if quality is Quality.BAD or value is None or not conforms(value, type_name):
        return Vqt(None, BAD, time_us)
    return Vqt(value, _NAMES[quality], time_us)


@lru_cache(maxsize=4096)
def schema_of(type_name: str) -> dict[str, Any]:
    """The JSON Schema of a published type. Integers of 64 bits beyond 2^53 are text, as on the broker."""
    try:
        kind = parse_type(type_name)
    except ValueError:
        return {"type": ["object", "array", "string", "number", "boolean"]}
    if kind.count:
        items = schema_of("string" if kind.base == "string" else kind.base)
        return {"type": "array", "items": items}
    if kind.base == "json":
        return {"type": ["object", "array", "string", "number", "boolean"]}
    if kind.base in ("string", "datetime"):
        return {"type": "string"}
    if kind.base == "bool":
        return {"type": "boolean"}
    if kind.exact64:
        return {"type": ["integer", "string"]}
    return {"type": "integer" if kind.integer else "number"}


def conforms(value: Value, type_name: str) -> bool:
    """Whether a value is one of a published type."""
    return _fits(value, schema_of(type_name))


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    wanted = schema["type"]
    if isinstance(wanted, list):
        return any(_fits(value, {**schema, "type": each}) for each in wanted)
    if isinstance(value, bool):
        return bool(wanted == "boolean")
    if isinstance(value, int):
        return wanted in ("integer", "number")
    if isinstance(value, float):
        return math.isfinite(value) and (wanted == "number" or (wanted == "integer" and value.is_integer()))
    if isinstance(value, str):
        return bool(wanted == "string")
    if isinstance(value, list):
        return wanted == "array" and all(_fits(each, schema["items"]) for each in value if "items" in schema)
    return wanted == "object" and isinstance(value, dict)


def nullable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same schema, null included: of a member whose tag may be Bad."""
    wanted = schema["type"]
    return {**schema, "type": [*(wanted if isinstance(wanted, list) else [wanted]), "null"]}
