"""Binary COPY, built by column: numpy lays out the plain rows, struct the rest.

Source: PostgreSQL documentation, COPY, "Binary Format": signature, flags, extension length; per tuple an int16 field
count and per field an int32 length (-1 is NULL) with the data in network byte order; an int16 -1 ends it.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nexus_cli.database.names import SAMPLE_COLUMNS

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
PG_EPOCH_US = 946_684_800_000_000
"""2000-01-01 UTC in µs since 1970: where PostgreSQL's timestamps count from."""
CHUNK_BYTES = 1 << 18

PLAIN_COLUMNS = ("time", "series_id", "value", "quality")
SOURCED_COLUMNS = (*PLAIN_COLUMNS, "source_time")
EXACT_COLUMNS = ("time", "series_id", "value", "value_exact", "quality")
FULL_COLUMNS = SAMPLE_COLUMNS

_PLAIN_FIELDS = [
    ("fields", ">i2"),
    ("time_length", ">i4"),
    ("time", ">i8"),
    ("series_length", ">i4"),
    ("series", ">i4"),
    ("value_length", ">i4"),
    ("value", ">f8"),
    ("quality_length", ">i4"),
    ("quality", ">i2"),
]
PLAIN_ROW = np.dtype(_PLAIN_FIELDS)
SOURCED_ROW = np.dtype([*_PLAIN_FIELDS, ("source_length", ">i4"), ("source", ">i8")])

_DIGITS = 5
EXACT_ROW = np.dtype(
    [
        *_PLAIN_FIELDS[:7],
        ("exact_length", ">i4"),
        ("digits", ">i2"),
        ("weight", ">i2"),
        ("sign", ">u2"),
        ("scale", ">i2"),
        ("digit", ">i2", (_DIGITS,)),
        *_PLAIN_FIELDS[7:],
    ]
)

_NULL = b"\xff\xff\xff\xff"
_HEAD = struct.Struct(">hiqii")
_FLOAT = struct.Struct(">id")
_INT2 = struct.Struct(">ih")
_INT8 = struct.Struct(">iq")
_LENGTH = struct.Struct(">i")
_NUMERIC = struct.Struct(">ihhhh")


class FullRow(NamedTuple):
    """One row with every column, times in µs since 1970 UTC; `json` is JSON text, `exact` at most 20 digits."""

    time_us: int
    series_id: int
    value: float | None
    exact: int | None
    text: str | None
    json: bytes | None
    quality: int
    status: int | None
    source_time_us: int | None


def pack_plain(
    times_us: npt.NDArray[np.int64],
    series: npt.NDArray[np.int32],
    values: npt.NDArray[np.float64],
    *,
    quality: int = 192,
    source_us: npt.NDArray[np.int64] | None = None,
) -> bytes:
    """The rows of `PLAIN_COLUMNS`, or of `SOURCED_COLUMNS` with `source_us`: no NULL, one quality.

    Args:
        times_us: µs since 1970 UTC, one per row.
        series: Series id per row.
        values: Value per row.
        quality: 192, 64 or 0, the same for all.
        source_us: The device's own time per row, µs since 1970 UTC.
    """
    rows = np.empty(len(times_us), dtype=PLAIN_ROW if source_us is None else SOURCED_ROW)
    rows["fields"] = 4 if source_us is None else 5
    rows["time_length"] = 8
    rows["time"] = times_us - PG_EPOCH_US
    rows["series_length"] = 4
    rows["series"] = series
    rows["value_length"] = 8
    rows["value"] = values
    rows["quality_length"] = 2
    rows["quality"] = quality
    if source_us is not None:
        rows["source_length"] = 8
        rows["source"] = source_us - PG_EPOCH_US
    return rows.tobytes()


def pack_exact(
    times_us: npt.NDArray[np.int64], series: npt.NDArray[np.int32], values: npt.NDArray[np.float64]
) -> bytes:
    """The rows of `EXACT_COLUMNS`: whole numbers up to 2^53, all GOOD.

    Every `numeric` has five base-10,000 digits; the server drops leading zeros.

    Source: PostgreSQL `src/backend/utils/adt/numeric.c`, numeric_recv and make_result.
    """
    rows = np.empty(len(times_us), dtype=EXACT_ROW)
    rows["fields"] = 5
    rows["time_length"] = 8
    rows["time"] = times_us - PG_EPOCH_US
    rows["series_length"] = 4
    rows["series"] = series
    rows["value_length"] = 8
    rows["value"] = values
    rows["exact_length"] = 8 + 2 * _DIGITS
    rows["digits"], rows["weight"], rows["scale"] = _DIGITS, _DIGITS - 1, 0
    rows["sign"] = np.where(values < 0, 0x4000, 0)
    rest = np.abs(values).astype(np.int64)
    for at in range(_DIGITS - 1, -1, -1):
        rest, digit = np.divmod(rest, 10_000)
        rows["digit"][:, at] = digit
    rows["quality_length"] = 2
    rows["quality"] = 192
    return rows.tobytes()


def pack_full(row: FullRow) -> bytes:
    """One row of `FULL_COLUMNS`.

    Raises:
        UnicodeEncodeError: The text holds half a surrogate pair.
        struct.error: A number does not fit its column.
    """
    parts = [_HEAD.pack(len(FULL_COLUMNS), 8, row.time_us - PG_EPOCH_US, 4, row.series_id)]
    parts.append(_NULL if row.value is None else _FLOAT.pack(8, row.value))
    parts.append(_NULL if row.exact is None else pack_numeric(row.exact))
    parts.append(_NULL if row.text is None else _sized(row.text.encode()))
    parts.append(_NULL if row.json is None else _sized(b"\x01" + row.json))  # jsonb, version 1
    parts.append(_INT2.pack(2, row.quality))
    parts.append(_NULL if row.status is None else _INT8.pack(8, row.status))
    parts.append(_NULL if row.source_time_us is None else _INT8.pack(8, row.source_time_us - PG_EPOCH_US))
    return b"".join(parts)


def pack_numeric(number: int) -> bytes:
    """An integer as a sized `numeric` field: base-10,000 digits, weight of the first, sign, scale 0.

    Source: PostgreSQL `src/backend/utils/adt/numeric.c`, numeric_send.
    """
    digits: list[int] = []
    rest = abs(number)
    while rest:
        rest, digit = divmod(rest, 10_000)
        digits.append(digit)
    weight = max(0, len(digits) - 1)
    while digits and digits[0] == 0:  # trailing zeros of the number are not sent
        digits.pop(0)
    head = _NUMERIC.pack(8 + 2 * len(digits), len(digits), weight, 0x4000 if number < 0 else 0, 0)
    return head + struct.pack(f">{len(digits)}h", *reversed(digits))


def _sized(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


async def _stream(rows: Sequence[bytes]) -> AsyncIterator[bytes | memoryview]:
    yield HEADER
    for piece in rows:
        if len(piece) <= CHUNK_BYTES:
            yield piece
            continue
        view = memoryview(piece)
        for start in range(0, len(piece), CHUNK_BYTES):
            yield view[start : start + CHUNK_BYTES]
    yield TRAILER


async def copy_rows(
    conn: Any, table: str, rows: Sequence[bytes], *, columns: Sequence[str], schema: str | None = None
) -> None:
    """COPY packed rows into a table.

    Args:
        conn: An asyncpg connection.
        table: Without the schema.
        rows: Pieces, each of whole rows.
        columns: Must be those that the rows were packed for.
        schema: None for a temporary table.
    """
    await conn.copy_to_table(
        table, schema_name=schema, columns=list(columns), source=_stream(rows), format="binary", timeout=None
    )
