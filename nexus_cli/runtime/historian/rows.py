"""Converts a value of a frame to the columns of its row, by the type of its series. Pure."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any

import orjson

from nexus_cli.database.copy import FullRow
from nexus_cli.model.datatype import parse_type
from nexus_cli.wire.sample import Quality, Value, pack_status

EXACT_LIMIT = 10**20
"""`numeric(20,0)`: every 64-bit integer, signed or not, and a little more."""
_NAMES = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "an array", dict: "an object"}
QUALITY_BY_NAME = {quality.name: int(quality) for quality in Quality}


class Column(IntEnum):
    """The column that stores the values of a series."""

    NUMBER = 0
    EXACT = 1
    TEXT = 2
    JSON = 3


class BadValueError(ValueError):
    """The value can't be stored in this series; the message is for the dead letter."""


def column_of(type_name: str) -> Column:
    """The column of a published type; a type that this version does not know is stored as JSON."""
    try:
        kind = parse_type(type_name)
    except ValueError:
        return Column.JSON
    if kind.count or kind.base == "json":
        return Column.JSON
    if kind.base in ("string", "datetime"):
        return Column.TEXT
    return Column.EXACT if kind.exact64 else Column.NUMBER


def full_row(
    column: Column,
    value: Value,
    *,
    series_id: int,
    time_us: int,
    quality: tuple[str, str | None, int] | None = None,
    source_time_us: int | None = None,
) -> FullRow:
    """One row.

    Args:
        column: The column of the series.
        value: As received; None requires a quality that is not GOOD.
        series_id: The series.
        time_us: Gateway time, µs since 1970 UTC.
        quality: Name, reason and protocol code; None is GOOD.
        source_time_us: The device's own time, µs since 1970 UTC.

    Raises:
        BadValueError: Value, quality or source time can't be stored.
    """
    name, reason, code = quality or ("GOOD", None, 0)
    number = QUALITY_BY_NAME.get(name)
    if number is None:
        raise BadValueError(f"unknown quality '{name}'")
    if value is None and number == Quality.GOOD:
        raise BadValueError("no value, yet GOOD")
    if source_time_us is not None and not 0 <= source_time_us < 1 << 60:
        source_time_us = None  # devices without a clock send invalid times; the sample itself is valid
    columns = _columns(column, value)
    status = pack_status(reason, code)
    return FullRow(time_us, series_id, *columns, number, status, source_time_us)


def _columns(column: Column, value: Value) -> tuple[float | None, int | None, str | None, bytes | None]:
    if value is None:
        return None, None, None, None
    if column is Column.NUMBER and isinstance(value, (int, float)):
        return _float(value), None, None, None
    if column is Column.EXACT:
        number = _integer(value)
        return _float(number), number, None, None
    if column is Column.TEXT and isinstance(value, str):
        return None, None, value.replace("\x00", "") if "\x00" in value else value, None
    if column is Column.JSON:
        return None, None, None, _json(value)
    raise BadValueError(f"{_NAMES.get(type(value), 'it')} is not a {column.name.lower()}")


def _float(value: int | float) -> float:
    try:
        number = float(value)
    except OverflowError:
        raise BadValueError("the number is too large") from None
    if not math.isfinite(number):
        raise BadValueError(f"{number} is not a finite number")
    return number


def _integer(value: Value) -> int:
    """An exact integer; beyond 2^53 it may be text (schemas/frame.schema.json), and a whole float is accepted too."""
    number: int
    if (
        isinstance(value, (bool, int))
        or (isinstance(value, float) and value.is_integer())
        or (isinstance(value, str) and len(value) <= 21 and value.removeprefix("-").isdecimal() and value.isascii())
    ):
        number = int(value)
    else:
        raise BadValueError(f"'{str(value)[:40]}' is not an integer")
    if abs(number) >= EXACT_LIMIT:
        raise BadValueError("the integer has more than 20 digits")
    return number


def _json(value: Value) -> bytes:
    try:
        text = orjson.dumps(value)
    except (TypeError, ValueError, RecursionError):  # an integer beyond 64 bits, or nested too deeply
        raise BadValueError("the structure can't be written as JSON") from None
    # jsonb refuses \u0000 (PostgreSQL documentation, 8.14), so it is removed from all strings
    return orjson.dumps(_without_nul(value)) if b"\\u0000" in text else text


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, list):
        return [_without_nul(each) for each in value]
    if isinstance(value, dict):
        return {str(key).replace("\x00", ""): _without_nul(each) for key, each in value.items()}
    return value
