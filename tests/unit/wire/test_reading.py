"""The dialects of others."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.wire.reading import PayloadError, Reading, parse_payload
from nexus_cli.wire.sample import Quality

NOW_US = 1_790_000_000_000_000
UNCERTAIN, BAD = ("UNCERTAIN", "source_uncertain", 64), ("BAD", "source_bad", 0)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"value": 84.0, "timestamp": 1700000000000, "quality": "GOOD"}', (84.0, 1_700_000_000_000_000, None)),
        (b'{"timestamp_ms": 1700000000123, "value": 1}', (1, 1_700_000_000_123_000, None)),
        (b'{"value": true, "time": "2023-11-14T22:13:20Z"}', (True, 1_700_000_000_000_000, None)),
        (b'{"value": 1, "timestamp": "2023-11-14T23:13:20.5+01:00"}', (1, 1_700_000_000_500_000, None)),
        (b'{"value": 1, "timestamp": "2023-11-14T22:13:20"}', (1, 1_700_000_000_000_000, None)),
        (b'{"value": 1, "timestamp": 1700000000}', (1, 1_700_000_000_000_000, None)),
        (b'{"value": 1, "timestamp": "1700000000000"}', (1, 1_700_000_000_000_000, None)),
        (b'{"value": 1, "timestamp": 1700000000000000}', (1, 1_700_000_000_000_000, None)),
        (b'{"value": 1, "timestamp": 1700000000000000000}', (1, 1_700_000_000_000_000, None)),
        (b'{"value": 1, "quality": 192}', (1, None, None)),
        (b'{"value": 1, "quality": 216}', (1, None, None)),
        (b'{"value": 1, "quality": 64}', (1, None, UNCERTAIN)),
        (b'{"value": 1, "quality": 0}', (None, None, BAD)),
        (b'{"value": 1, "quality": "Bad_CommFault"}', (None, None, BAD)),
        (b'{"value": null}', (None, None, BAD)),
        (b'{"value": 1, "quality": "bad"}', (None, None, BAD)),
        (b'{"value": 1, "quality": " good "}', (1, None, None)),
        (b'{"value": 1, "quality": "192"}', (1, None, None)),
        (b'{"value": 1, "quality": "0"}', (None, None, BAD)),
        (b'{"value": 1, "quality": 500}', (None, None, ("BAD", "source_bad", 500))),
        (b'{"value": 1, "label": "run", "unit": 5}', (1, None, None, "run")),
        (b"21.5", (21.5, None, None)),
        (b'"on"', ("on", None, None)),
        (b"on", ("on", None, None)),
        (b"[1, 2]", ([1, 2], None, None)),
    ],
)
def test_understood(payload: bytes, expected: tuple[object, ...]) -> None:
    assert parse_payload(payload, now_us=NOW_US) == Reading(*expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"{", "not_json"),
        (b"", "not_json"),
        (b"\xff\xfe", "not_text"),
        (b'{"temperature": 1}', "no_value"),
        (b'{"value": 1, "timestamp": "yesterday"}', "bad_time"),
        (b'{"value": 1, "timestamp": [1]}', "bad_time"),
        (b'{"value": 1, "timestamp": 12}', "time_out_of_range"),
        (b'{"value": 1, "timestamp": 1790000301000}', "ahead_of_time"),
    ],
)
def test_refused(payload: bytes, reason: str) -> None:
    with pytest.raises(PayloadError) as caught:
        parse_payload(payload, now_us=NOW_US)
    assert caught.value.reason == reason


def test_five_minutes_ahead_is_still_taken() -> None:
    assert parse_payload(b'{"value": 1, "timestamp": 1790000299000}', now_us=NOW_US).value == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.binary(max_size=60)
    | st.fixed_dictionaries({"value": JSON, "timestamp": JSON, "quality": JSON}).map(repr).map(str.encode)
)
def test_bytes_never_raise_anything_else(payload: bytes) -> None:
    try:
        parse_payload(payload, now_us=NOW_US)
    except PayloadError as error:
        assert error.reason


@given(st.fixed_dictionaries({"value": JSON, "timestamp": JSON, "quality": JSON}))
def test_objects_never_raise_anything_else(body: dict[str, object]) -> None:
    import json

    try:
        parse_payload(json.dumps(body, allow_nan=False, default=str).encode(), now_us=NOW_US)
    except PayloadError as error:
        assert error.reason
    except ValueError:
        assert "NaN" in repr(body).replace("nan", "NaN") or "inf" in repr(body)


@pytest.mark.parametrize("key", ["quality", "timestamp", "label", "unit", "reason"])
def test_what_is_nested_deeply_is_read_all_the_same(key: str) -> None:
    deep = b"[" * 900 + b"]" * 900
    payload = b'{"value": 1, "%s": %s}' % (key.encode(), deep)
    if key == "timestamp":
        with pytest.raises(PayloadError, match="list"):
            parse_payload(payload, now_us=NOW_US)
    assert parse_payload(payload, now_us=None).value == (None if key == "quality" else 1)


@pytest.mark.parametrize("moment", ["yesterday", 12, 1_790_000_301_000, [1], None])
def test_a_time_that_can_not_be_changes_no_value_for_who_does_not_judge_it(moment: object) -> None:
    found = parse_payload(json.dumps({"value": 7, "timestamp": moment, "quality": 192}).encode(), now_us=None)
    assert (found.value, found.state) == (7, Quality.GOOD)
