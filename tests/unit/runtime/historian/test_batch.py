"""Frames to packed rows: the fast way and the slow way give the same rows, and nothing in a frame can break it."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.database.committed import OutboxKey
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.dead_letters import DeadLetters, readable
from nexus_cli.runtime.historian.inbound_queue import InboundQueue
from nexus_cli.runtime.historian.mapping import SeriesMap, Target
from nexus_cli.runtime.historian.packing import Packed, Packer
from nexus_cli.runtime.historian.pending import PendingFrame
from nexus_cli.runtime.historian.rows import BadValueError, Column, column_of, full_row
from nexus_cli.wire.frame import Frame
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics
from tests.unit.database.test_copy_rows import fields

TIME = 1_790_000_000_000_000
KEY = OutboxKey("gw", "E")


def series(**columns: Column) -> SeriesMap:
    made = SeriesMap(site="acme/chicago")
    made._targets = {
        f"a/l/d/{tag}": Target(number, "slow" if tag.startswith("slow") else "fast", column)
        for number, (tag, column) in enumerate(columns.items(), 1)
    }
    return made


def pack(known: SeriesMap, *frames: Frame, one_by_one: bool = False) -> Packed:
    pending = [PendingFrame(KEY, "data/gw/a/l/d", frame, known.plan("a/l/d", frame.samples)) for frame in frames]
    return Packer(one_by_one=one_by_one).pack(pending)


def frame(samples: dict[str, Any], **more: Any) -> Frame:
    return Frame(epoch="E", seq=1, time=more.pop("time", TIME), samples=samples, **more)


def rows(packed: Packed) -> set[tuple[str, int, int, float | None]]:
    """Class, time, series and number of every row."""
    found = set()
    for block in packed.blocks:
        data = b"".join(block.pieces)
        while data:
            row, data = fields(data)
            time, number, value = row[0], row[1], row[2]
            assert time is not None
            assert number is not None
            double = None if value is None else struct.unpack(">d", value)[0]
            found.add((block.retention, struct.unpack(">q", time)[0], struct.unpack(">i", number)[0], double))
    return found


def test_fast_and_slow_give_the_same_rows() -> None:
    known = series(a=Column.NUMBER, b=Column.NUMBER, slow1=Column.NUMBER, text=Column.TEXT)
    some = [
        frame({"a": 1.5, "b": 2}),
        frame({"a": True, "slow1": 4.0, "text": "x"}, time=TIME + 1),
        frame({"b": -1.0, "a": 0.0}, time=TIME + 2, source_time={"a": 5, "b": 6}),
        frame({"a": None, "b": 3.0}, time=TIME + 3, quality={"a": ("BAD", "link_lost", 0)}),
    ]
    fast, slow = pack(known, *some), pack(known, *some, one_by_one=True)
    assert rows(fast) == rows(slow)
    assert fast.rows == slow.rows == 9
    assert {block.retention for block in fast.blocks} == {"fast", "slow"}
    assert len(fast.letters) == 0


def test_one_bad_value_sends_only_its_batch_the_slow_way() -> None:
    known = series(a=Column.NUMBER, b=Column.NUMBER)
    packed = pack(known, frame({"a": 1.0, "b": 2.0}), frame({"a": "x", "b": 10**400}, time=TIME + 1))
    assert packed.rows == 2
    assert packed.letters.count == 2


def test_unknown_tags_cost_only_themselves() -> None:
    packed = pack(series(a=Column.NUMBER), frame({"a": 1.0, "z": 2.0, "y": 3.0}))
    assert packed.rows == 1
    ((place, letter),) = packed.letters.items()
    assert (place, letter.count) == (("data/gw/a/l/d", "unknown_series"), 2)


Value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
Tag = st.sampled_from(["number", "exact", "text", "json", "unknown"])


@given(
    samples=st.dictionaries(Tag, Value, max_size=5),
    quality=st.dictionaries(
        Tag,
        st.tuples(st.sampled_from(["GOOD", "BAD", "UNCERTAIN", "odd"]), st.none() | st.text(max_size=3), st.integers()),
    ),
    source=st.dictionaries(Tag, st.integers()),
)
def test_any_frame_packs_and_every_sample_is_a_row_or_a_letter(
    samples: dict[str, Any], quality: dict[str, Any], source: dict[str, int]
) -> None:
    known = series(number=Column.NUMBER, exact=Column.EXACT, text=Column.TEXT, json=Column.JSON)
    packed = pack(known, frame(samples, quality=quality, source_time=source))
    assert packed.rows + packed.letters.count == len(samples)


@pytest.mark.parametrize(
    ("type_name", "column"),
    [
        ("float32", Column.NUMBER),
        ("bool", Column.NUMBER),
        ("uint32", Column.NUMBER),
        ("duration", Column.NUMBER),
        ("int64", Column.EXACT),
        ("uint64", Column.EXACT),
        ("string[20]", Column.TEXT),
        ("datetime", Column.TEXT),
        ("float32[5]", Column.JSON),
        ("int64[2]", Column.JSON),
        ("json", Column.JSON),
        ("from-the-future", Column.JSON),
    ],
)
def test_columns_of_types(type_name: str, column: Column) -> None:
    assert column_of(type_name) is column


@pytest.mark.parametrize(("value", "exact"), [(5, 5), ("9007199254740993", 2**53 + 1), (True, 1), (4.0, 4), ("-3", -3)])
def test_exact_integers_in_every_spelling(value: Any, exact: int) -> None:
    assert full_row(Column.EXACT, value, series_id=1, time_us=TIME).exact == exact


@pytest.mark.parametrize("value", [1.5, "1e3", "", "²", 10**20, [1], None])
def test_what_is_no_integer(value: Any) -> None:
    with pytest.raises(BadValueError):
        full_row(Column.EXACT, value, series_id=1, time_us=TIME)


def test_the_intake_refuses_the_newest_and_counts_by_origin() -> None:
    counters = Counters()
    inbound_queue = InboundQueue(topics=Topics("acme", "chicago"), counters=counters, most_bytes=100, most_messages=2)
    own, other = "_nexus/acme/chicago/data/gw/a/l/d", "acme/chicago/a/l/d/t"
    for payload in (b"1", b"2", b"3"):
        inbound_queue.put(Message(own, payload, 1, False))
    inbound_queue.put(Message(other, b"4", 1, False))
    assert (counters.dropped_frames, counters.dropped_external) == (1, 1)
    first, second = inbound_queue.pop(), inbound_queue.pop()
    assert first is not None
    assert second is not None
    assert (first.payload, second.payload, inbound_queue.pop(), inbound_queue.size_bytes) == (b"1", b"2", None, 0)
    inbound_queue.put(Message(own, b"x" * 101, 1, False))
    assert counters.dropped_frames == 2
    inbound_queue.put(Message("_nexus/acme/chicago/config/gw", b"{}", 1, True))
    assert inbound_queue.config_changed.is_set()
    assert len(inbound_queue) == 0


def test_letters_fold_and_stay_readable() -> None:
    letters = DeadLetters()
    for _ in range(5):
        letters.add("topic", "reason", detail="d\x00", payload=b"\xff\x00abc")
    ((_, letter),) = letters.items()
    assert (letter.count, letter.payload, letter.detail) == (5, "\\xff\\x00abc", "d\\x00")
    assert len(readable(b"\xff" * 10_000)) <= 4096
