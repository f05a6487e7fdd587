"""Sparkplug B births, decoded by hand: the names, types and units of an edge node's metrics. Pure.

Source: Eclipse Sparkplug 3.0.0 §6.4 (payload, data types), its `sparkplug_b.proto`; Protocol Buffers encoding guide.

See docs/decisions/0055.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

PREFIX = "spBv1.0"
TYPES: dict[int, str] = {
    1: "int8", 2: "int16", 3: "int32", 4: "int64", 5: "uint8", 6: "uint16", 7: "uint32", 8: "uint64",
    9: "float32", 10: "float64", 11: "bool", 12: "string", 13: "datetime", 14: "string", 15: "string",
}  # fmt: skip
"""Our type by Sparkplug's number; the others (data sets, bytes, files, templates, arrays) have none."""
MOST_METRICS = 100_000
UNIT_KEYS = ("engunit", "engineeringunits", "unit", "units")
"""Names, in small letters, under which products keep a metric's unit."""


class BirthError(ValueError):
    """Not a Sparkplug payload."""


class Metric(NamedTuple):
    """One metric of a birth."""

    name: str
    data_type: int
    unit: str = ""
    description: str = ""


class Birth(NamedTuple):
    """Where a birth comes from; `device` is "" for the edge node itself."""

    group: str
    node: str
    device: str


def birth_of(topic: str) -> Birth | None:
    """The source of an NBIRTH or DBIRTH, None for every other topic."""
    levels = topic.split("/")
    if levels[0] != PREFIX or len(levels) < 4:
        return None
    if levels[2] == "NBIRTH" and len(levels) == 4:
        return Birth(levels[1], levels[3], "")
    if levels[2] == "DBIRTH" and len(levels) == 5:
        return Birth(levels[1], levels[3], levels[4])
    return None


def metrics_of(payload: bytes) -> list[Metric]:
    """The metrics of a birth, in order.

    Raises:
        BirthError: It can't be decoded.
    """
    try:
        metrics = [_metric(value) for number, value in _fields(payload) if number == 2 and isinstance(value, bytes)]
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise BirthError(f"the payload is damaged ({error})") from None
    if len(metrics) > MOST_METRICS:
        raise BirthError(f"it has more than {MOST_METRICS} metrics")
    return metrics


def _metric(data: bytes) -> Metric:
    name, kind, unit, description = "", 0, "", ""
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            name = value.decode()
        elif number == 4 and isinstance(value, int):
            kind = value
        elif number == 8 and isinstance(value, bytes):
            description = next(
                (text.decode() for place, text in _fields(value) if place == 8 and isinstance(text, bytes)), ""
            )
        elif number == 9 and isinstance(value, bytes):
            unit = _unit(value)
    return Metric(name, kind, unit, description)


def _unit(data: bytes) -> str:
    """The engineering unit in a property set: keys and values in two lists of one order."""
    keys: list[str] = []
    values: list[bytes] = []
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            keys.append(value.decode())
        elif number == 2 and isinstance(value, bytes):
            values.append(value)
    for key, raw in zip(keys, values, strict=False):
        if key.lower().replace("_", "").replace(" ", "") in UNIT_KEYS:
            return next((text.decode() for place, text in _fields(raw) if place == 8 and isinstance(text, bytes)), "")
    return ""


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Field number and value: an integer, or bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            if at + size > len(data):
                raise IndexError("it ends too early")
            yield number, data[at : at + size]
            at += size
        elif wire == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise IndexError("it ends too early")
            yield number, data[at : at + size]
            at += size
        else:
            raise IndexError(f"wire type {wire}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise IndexError("a number is too long")
