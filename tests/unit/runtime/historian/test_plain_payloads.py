"""The quick reader of external payloads says what the one reader says, or nothing."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.runtime.historian.plain_payloads import read_plain
from nexus_cli.runtime.historian.rows import Column, full_row
from nexus_cli.wire.reading import parse_payload

NOW_US = 1_790_000_000_000_000
NOW_MS = NOW_US // 1000

Times = st.integers(NOW_MS - 10**9, NOW_MS + 299_000) | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False)
Values = st.floats() | st.integers(-(2**70), 2**70) | st.booleans() | st.none() | st.text(max_size=3)
Payloads = st.fixed_dictionaries(
    {"value": Values, "timestamp": Times},
    optional={
        "quality": st.sampled_from(["GOOD", "BAD", 192, 0, None, "good"]),
        "timestamp_ms": Times,
        "unit": st.just("kg"),
    },
) | st.fixed_dictionaries({"timestamp_ms": Times, "value": Values})


@given(body=Payloads)
def test_what_it_reads_is_what_the_one_reader_reads(body: dict[str, object]) -> None:
    try:
        payload = orjson.dumps(body)
    except TypeError:  # an integer beyond 64 bits
        payload = str(body).replace("'", '"').replace("None", "null").replace("True", "true").encode()
    plain = read_plain(payload, now_us=NOW_US)
    if plain is None:
        return
    reading = parse_payload(payload, now_us=NOW_US)
    assert (reading.time_us, reading.quality) == (plain[1], None)
    row = full_row(Column.NUMBER, reading.value, series_id=1, time_us=plain[1])
    assert (row.value, row.status, row.quality) == (plain[0], None, 192)


@pytest.mark.parametrize(
    ("payload", "plain"),
    [
        (b'{"value": 1.5, "timestamp": %d}' % NOW_MS, (1.5, NOW_US)),
        (b'{"timestamp_ms": %d, "value": -3}' % NOW_MS, (-3.0, NOW_US)),
        (b'{"value": 1, "timestamp": %d, "quality": "GOOD"}' % NOW_MS, (1.0, NOW_US)),
        (b'{"value": 1, "timestamp": %d, "quality": "BAD"}' % NOW_MS, None),
        (b'{"value": true, "timestamp": %d}' % NOW_MS, None),
        (b'{"value": 1e999, "timestamp": %d}' % NOW_MS, None),
        (b'{"value": 1, "timestamp": %d}' % (NOW_MS + 301_000), None),
        (b'{"value": 1, "timestamp": 1700000000}', None),
        (b'{"value": 1}', None),
        (b'{"value": 1, "timestamp": %d}, {"value": 2}' % NOW_MS, None),
        (b"[" * 5_000, None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_only_the_plain_form_is_read(payload: bytes, plain: tuple[float, int] | None) -> None:
    assert read_plain(payload, now_us=NOW_US) == plain
