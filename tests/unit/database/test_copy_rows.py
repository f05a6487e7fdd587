"""The bytes of binary COPY, checked field by field as the manual has them."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import numpy as np
import pytest

from nexus_cli.database.class_table import DAY_MS, table_name
from nexus_cli.database.copy import PG_EPOCH_US, FullRow, pack_exact, pack_full, pack_numeric, pack_plain
from nexus_cli.database.partitions import period_of


def fields(row: bytes) -> tuple[list[bytes | None], bytes]:
    """The fields of the first row and what follows it."""
    (count,) = struct.unpack_from(">h", row)
    at, found = 2, []
    for _ in range(count):
        (length,) = struct.unpack_from(">i", row, at)
        at += 4
        found.append(None if length < 0 else row[at : at + length])
        at += max(length, 0)
    return found, row[at:]


def test_plain_rows_are_what_the_manual_says() -> None:
    times = np.array([PG_EPOCH_US + 5, PG_EPOCH_US - 5], dtype=np.int64)
    packed = pack_plain(times, np.array([7, 8], dtype=np.int32), np.array([1.5, -2.5]))
    first, rest = fields(packed)
    assert first == [struct.pack(">q", 5), struct.pack(">i", 7), struct.pack(">d", 1.5), struct.pack(">h", 192)]
    second, rest = fields(rest)
    assert second[0] == struct.pack(">q", -5)
    assert rest == b""


def test_sourced_rows_have_a_fifth_field() -> None:
    one = np.array([PG_EPOCH_US], dtype=np.int64)
    packed = pack_plain(one, np.array([1], dtype=np.int32), np.array([0.0]), source_us=one + 3)
    assert fields(packed)[0][4] == struct.pack(">q", 3)


def test_full_rows_and_plain_rows_agree() -> None:
    full, rest = fields(pack_full(FullRow(PG_EPOCH_US + 5, 7, 1.5, None, None, None, 192, None, None)))
    plain, _ = fields(
        pack_plain(np.array([PG_EPOCH_US + 5], dtype=np.int64), np.array([7], dtype=np.int32), np.array([1.5]))
    )
    assert [full[at] for at in (0, 1, 2, 6)] == plain
    assert [full[at] for at in (3, 4, 5, 7, 8)] == [None] * 5
    assert rest == b""


@pytest.mark.parametrize("number", [0, 1, -1, 9999, 10_000, -10_000, 100_000_000, 2**63 - 1, -(2**63), 2**64 - 1])
def test_numeric_is_base_ten_thousand(number: int) -> None:
    data = pack_numeric(number)
    length, count, weight, sign, scale = struct.unpack_from(">ihhHh", data)
    digits = struct.unpack_from(f">{count}h", data, 12)
    assert length == len(data) - 4
    assert scale == 0
    value = sum(digit * 10_000 ** (weight - at) for at, digit in enumerate(digits))
    assert (-value if sign == 0x4000 else value) == number


@pytest.mark.parametrize(
    ("keep_days", "start", "end"),
    [(10, (2026, 1, 31), (2026, 2, 1)), (400, (2026, 1, 26), (2026, 2, 2)), (4000, (2026, 1, 1), (2026, 2, 1))],
)
def test_periods_are_days_weeks_or_months(
    keep_days: int, start: tuple[int, int, int], end: tuple[int, int, int]
) -> None:
    moment = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    assert period_of(moment, keep_ms=keep_days * DAY_MS) == (datetime(*start, tzinfo=UTC), datetime(*end, tzinfo=UTC))


def test_table_names_are_safe() -> None:
    assert table_name("process-fast.2", site="acme/chicago-1") == "sample_acme_chicago_1_process_fast_2"
    assert table_name('x"; drop', site='a"b/c') == "sample_a_b_c_x___drop"
    assert len(table_name("x" * 200, site="y" * 200)) == 40
    assert table_name("x" * 200, site="y" * 200).startswith("sample_yyyyyyyyyyyyyyyy_xxx")


def test_exact_rows_hold_the_digits_of_their_numbers() -> None:
    numbers = [0, 1, -1, 9_999, 10_000, -123_456_789, 2**53, -(2**53)]
    times = np.full(len(numbers), PG_EPOCH_US + 5, dtype=np.int64)
    data = pack_exact(times, np.arange(len(numbers), dtype=np.int32), np.array(numbers, dtype=np.float64))
    for number in numbers:
        row, data = fields(data)
        value, exact = row[2], row[3]
        assert value == struct.pack(">d", number)
        assert row[4] == struct.pack(">h", 192)
        assert exact is not None
        count, weight, sign, scale, *digits = struct.unpack(">hhHh5h", exact)
        assert (count, weight, scale) == (5, 4, 0)
        assert all(0 <= digit < 10_000 for digit in digits)
        size = sum(digit * 10_000 ** (4 - at) for at, digit in enumerate(digits))
        assert (size, sign) == (abs(number), 0x4000 if number < 0 else 0)
    assert data == b""
