"""Frame batches by column: the rows and letters of JSON frames of the same samples, and nothing in one breaks it."""

from __future__ import annotations

import math
import random
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.runtime.historian.batch import Batch
from nexus_cli.runtime.historian.frame_arrays import MOST_BYTES
from nexus_cli.runtime.historian.packing import Packed, Packer
from nexus_cli.runtime.historian.pending import ArrayFrame
from nexus_cli.wire.frame import Frame
from nexus_cli.wire.frame_batch import FrameColumns, Shape, encode_batch, from_frame
from nexus_cli.wire.message import Message
from tests.examples import examples
from tests.mutation import mutated_bytes, mutations
from tests.unit.runtime.historian.batch_bench import (
    DEVICES,
    EPOCH,
    FOREIGN,
    GATEWAY,
    OURS,
    TAGS,
    TOPICS,
    Bench,
    batch_message,
    json_messages,
    rows,
)

NOW_US = Bench().now_us
BATCHES = TOPICS.batches(GATEWAY)

Number = st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
Text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
Structure = st.lists(Text | st.none(), max_size=2) | st.dictionaries(Text, st.lists(Text, max_size=1), max_size=2)
Mark = st.tuples(
    st.sampled_from(["GOOD", "BAD", "UNCERTAIN", "odd"]),
    st.none() | st.sampled_from(["link_lost", "x"]),
    st.integers(0, 9),
)


@st.composite
def frames_of_a_message(draw: st.DrawFn) -> dict[int, tuple[str, Frame]]:
    """Frames of several devices by number: some foreign, of unknown tags, from the future, marked, with times."""
    first = draw(st.integers(1, 2**40))
    found = {}
    for seq in range(first, first + draw(st.integers(1, 6))):
        tags = draw(st.lists(st.sampled_from([*TAGS, "unknown"]), min_size=1, unique=True))
        samples: dict[str, Any] = {
            tag: draw(Text | Structure | st.none() if tag == "json" else Number | Text | Structure | st.none())
            if draw(st.integers(0, 3)) == 0
            else draw(_fitting(tag))
            for tag in tags
        }
        quality = draw(st.dictionaries(st.sampled_from(tags), Mark, max_size=2))
        times = draw(st.dictionaries(st.sampled_from(tags), st.integers(-5, 2**61), max_size=len(tags)))
        late_us = draw(st.sampled_from([0, 1, -(10**6), -(10**10), 10**12, -(10**16)]))
        frame = Frame(epoch=EPOCH, seq=seq, time=NOW_US + late_us, samples=samples, quality=quality, source_time=times)
        found[seq] = (draw(st.sampled_from(DEVICES)), frame)
    return found


def _fitting(tag: str) -> st.SearchStrategy[Any]:
    if tag in ("text", "json"):
        return Text
    return st.integers(-(2**63), 2**64 - 1) if tag == "exact" else st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None, max_examples=examples(60))
@given(frames=frames_of_a_message(), whole=st.booleans(), believed=st.booleans())
def test_a_batch_becomes_what_its_frames_become_as_json(
    frames: dict[int, tuple[str, Frame]], whole: bool, believed: bool
) -> None:
    some, other = Bench(), Bench()
    if not believed:
        some.believe_no_future()
        other.believe_no_future()
    assert some.found([batch_message(frames, whole=whole)]) == other.found(json_messages(frames))


@settings(deadline=None, max_examples=examples(60))
@given(frames=frames_of_a_message())
def test_rows_packed_one_by_one_are_the_same(frames: dict[int, tuple[str, Frame]]) -> None:
    message = batch_message(frames)
    assert Bench().found([message], one_by_one=True) == Bench().found([message])


def columns(*values: float, device: str = OURS, tags: tuple[str, ...] = ("number",), **more: Any) -> FrameColumns:
    packed = struct.pack(f"<{len(values)}d", *values)
    return FrameColumns(Shape(device, tags), more.pop("time", NOW_US), more.pop("positions", b""), packed, **more)


def message(*frames: FrameColumns, seq: int = 1, epoch: str = EPOCH) -> Message:
    return Message(BATCHES, encode_batch(frames, epoch=epoch, seq=seq), 1, False)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("tag", ["number", "exact"])
def test_what_is_no_number_is_a_letter_with_its_value_and_costs_nothing_else(number: float, tag: str) -> None:
    bench = Bench()
    found = bench.found([message(columns(number, 2.0, tags=(tag, "slow-number")), columns(4.0, time=NOW_US + 1))])
    assert found.custody == {(1, NOW_US): 1, (2, NOW_US + 1): 1}
    assert (sum(found.rows.values()), found.letters) == (2, {(f"{BATCHES}/{OURS}/{tag}", "type_mismatch"): 1})


def test_a_whole_float_is_a_64_bit_integer_and_others_are_exact() -> None:
    frame = Frame(epoch=EPOCH, seq=1, time=NOW_US, samples={"exact": 2**64 - 1})
    found = Bench().found(
        [message(columns(-123456789.0, tags=("exact",)), from_frame(OURS, frame)._replace(time_us=1 + NOW_US))]
    )
    values = sorted(row[2].split()[-1] for row in found.rows)
    assert values == [str(-123456789), str(2**64 - 1)]


def test_a_frame_of_another_gateways_device_costs_itself_alone() -> None:
    found = Bench().found([message(columns(1.0), columns(2.0, device=FOREIGN), columns(3.0, time=NOW_US + 1))])
    assert sum(found.rows.values()) == 2
    assert sum(found.custody.values()) == 3
    assert found.letters == {(f"{BATCHES}/{FOREIGN}", "not_assigned"): 1}


@pytest.mark.parametrize("device", ["", "a/l", "a/l/d/e", "A/l/d", "a/l/#", "a/l/\0", "a" * 70_000, "_a/l/d"])
def test_a_device_that_is_no_path_is_set_aside(device: str) -> None:
    found = Bench().found([message(columns(1.0, device=device), columns(2.0))])
    assert sum(found.rows.values()) == 1
    assert found.letters == {(BATCHES, "not_a_frame"): 1}


def test_a_tag_twice_is_set_aside_and_positions_may_come_in_any_order() -> None:
    tags, frame = ("number", "slow-number"), struct.pack("<2H", 1, 0)
    twice = columns(1.0, 2.0, tags=tags, positions=struct.pack("<2H", 1, 1))
    turned = columns(1.0, 2.0, tags=tags, positions=frame, time=NOW_US + 1)
    found = Bench().found([message(twice, turned)])
    assert found.letters == {(BATCHES, "not_a_frame"): 2}
    assert {row[0]: row[2].split()[3] for row in found.rows} == {"slow": "1.0", "fast": "2.0"}


def test_unknown_names_wait_alone() -> None:
    bench, batch = Bench(), Batch()
    three = message(columns(1.0), columns(2.0, tags=("new",)), columns(3.0, time=NOW_US + 1))
    taken = bench.reader.take(batch, three, final=False)
    assert taken is not None
    assert (taken.unknown, taken.left) == ([f"{OURS}/new"], [1])
    assert [pending.seq for pending in batch.frames] == [1, 3]
    bench.series._targets[f"{OURS}/new"] = bench.series._targets[f"{OURS}/number"]
    bench.series.forget_plans()
    again = bench.reader.take(batch, three, final=True, only=taken.left)
    assert again is not None and not again.unknown
    assert [pending.seq for pending in batch.frames] == [1, 3, 2]
    assert all(isinstance(pending, ArrayFrame) for pending in batch.frames)


def parts(**changed: Any) -> bytes:
    """The parts of a good message of three frames, some of them changed."""
    good = msgspec.msgpack.decode(message(*(columns(float(at)) for at in range(3)), seq=5).payload)
    return msgspec.msgpack.encode({**good, **changed})


UNFIT = {
    "no shapes": {"shapes": []},
    "a shape that is none": {"shapes": [7]},
    "a tag twice in a shape": {"tags": [["t", "t"]]},
    "tags that are none": {"tags": [7]},
    "a shape without tags": {"shapes": [["a/l/d", 1]]},
    "a shape before the tags": {"shapes": [["a/l/d", -1]]},
    "a shape that does not exist": {"frame_shape": b"\0\0\7\0\0\0"},
    "a column too short": {"frame_count": b"\0\0"},
    "too many samples": {"frame_count": b"\xff\xff" * 3},
    "values of no sample": {"values": b"\0" * 8},
    "positions of no frame": {"positions": b"\0\0"},
    "a position beyond the shape": {"frame_count": b"\1\0" * 3, "positions": b"\0\0\0\0\1\0"},
    "times of no sample": {"source_time": b"\0" * 8},
    "another value of no sample": {"others": {9: 1}},
    "a huge index": {"others": {2**63: 1}},
    "a quality of no sample": {"quality": {-1: ["BAD", None, 0]}},
    "a quality that is none": {"quality": {0: "BAD"}},
}


@pytest.mark.parametrize("changed", UNFIT.values(), ids=UNFIT)
def test_a_message_that_does_not_fit_is_a_letter_and_takes_custody_of_all_its_numbers(changed: dict[str, Any]) -> None:
    found = Bench().found([Message(BATCHES, parts(**changed), 1, False)])
    assert sorted(seq for seq, _ in found.custody) == [5, 6, 7]
    assert (found.letters, not found.rows) == ({(BATCHES, "not_a_frame"): 3}, True)


def test_a_batch_of_another_version_stays_with_its_gateway() -> None:
    found = Bench().found([Message(BATCHES, parts(format=2), 1, False)] * 3)
    assert not (found.custody or found.letters or found.rows)


def test_the_numbers_of_a_message_that_was_cut_are_read_from_its_start() -> None:
    payload = parts()
    found = Bench().found([Message(BATCHES, payload[: payload.index(b"values")], 1, False)])
    assert sorted(seq for seq, _ in found.custody) == [5, 6, 7]


@pytest.mark.parametrize(
    "changed",
    [
        {"seq": 0},
        {"seq": 2**53 - 2},
        {"seq": "5"},
        {"epoch": ""},
        {"epoch": "x" * 65},
        {"epoch": "\0"},
        {"frame_time": b""},
    ],
)
def test_without_numbers_there_is_only_a_letter(changed: dict[str, Any]) -> None:
    found = Bench().found([Message(BATCHES, parts(**changed), 1, False)])
    assert not found.custody
    assert found.letters == {(BATCHES, "not_a_frame"): 1}


def test_a_message_beyond_the_limit_is_refused_before_it_is_read() -> None:
    payload = parts(more=b"\0" * MOST_BYTES)
    found = Bench().found([Message(BATCHES, payload, 1, False)])
    assert sorted(seq for seq, _ in found.custody) == [5, 6, 7]
    assert not found.rows


def test_mutated_batches_raise_nothing() -> None:
    pick, bench = random.Random(7), Bench()
    frame = Frame(
        epoch=EPOCH,
        seq=1,
        time=NOW_US,
        samples={"number": 1.5, "exact": 2**60, "text": "x", "json": [1, None]},
        quality={"number": ("UNCERTAIN", "x", 3)},
        source_time={"number": NOW_US},
    )
    seed = batch_message({1: (OURS, frame), 2: (FOREIGN, frame), 3: ("a/l/e", frame)}, whole=True).payload
    taken = 0
    for _ in range(mutations(5_000)):
        found = bench.found([Message(BATCHES, mutated_bytes(seed, pick), 1, False)])
        taken += bool(found.custody or found.letters)
    assert taken > mutations(5_000) // 2


def test_rows_of_messages_that_overlap_are_in_the_order_of_time_with_their_values() -> None:
    samples: dict[str, Any] = {"number": 0.5, "exact": 7, "slow-number": 2.0}
    frames = {
        seq: (
            OURS if seq % 2 else "a/l/e",
            Frame(
                epoch=EPOCH,
                seq=seq,
                time=NOW_US + (seq % 5) * 1000 + seq,
                samples={tag: value + seq for tag, value in samples.items()},
                source_time={tag: NOW_US - seq for tag in samples if seq % 3 and tag != "exact"},
            ),
        )
        for seq in range(1, 21)
    }
    messages = [batch_message({seq: frames[seq] for seq in range(first, first + 5)}) for first in (11, 1, 16, 6)]
    assert Bench().found(messages) == Bench().found(json_messages(frames))
    packed = Packer().pack(Bench().take(messages).frames)
    for block in packed.blocks:
        times = [row[2].split()[row[1].split().index("time")] for row in rows(Packed(blocks=[block]))]
        assert times == sorted(times)
