"""The laws of the frame batch: what goes in comes out, whatever it is; hostile bytes are refused, never a crash."""

from __future__ import annotations

import math
import struct

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.runtime.gateway.outbox.splitting import BATCH_OVERHEAD_BYTES, size_of
from nexus_cli.wire.frame import Frame, FrameError
from nexus_cli.wire.frame_batch import (
    EXACT,
    MOST_TAGS,
    NO_TIME,
    FrameColumns,
    Shape,
    columns_of,
    decode_batch,
    encode_batch,
    frame_columns,
    frames_of,
    samples_of,
    to_frame,
)
from nexus_cli.wire.sample import Value
from tests.examples import examples

EPOCH = "01K00000000000000000000000"
texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3))
marks = st.tuples(st.sampled_from(["BAD", "UNCERTAIN"]), st.none() | texts, st.integers(0, 2**32))
times = st.integers(-(2**62), 2**62)
quick = settings(max_examples=examples(150), deadline=None)


@st.composite
def frames(draw: st.DrawFn) -> tuple[FrameColumns, Frame]:
    """Columns of some tags of a shape in any order, and the frame that they were made of."""
    shape = draw(st.sampled_from(SHAPES))
    tags = draw(st.lists(st.sampled_from(shape.tags), min_size=1, unique=True))
    if draw(st.booleans()):
        tags = list(shape.tags)
    samples: dict[str, Value] = {tag: draw(values) for tag in tags}
    quality = {tag: draw(marks) for tag in tags if draw(st.integers(0, 3)) == 0}
    sources = {tag: draw(times) for tag in tags if draw(st.integers(0, 3)) == 0} if draw(st.booleans()) else {}
    frame = Frame(epoch=EPOCH, seq=1, time=draw(times), samples=samples, quality=quality, source_time=sources)
    return columns_of(shape, frame.time, samples, quality, sources, exact=draw(st.booleans())), frame


SHAPES = [Shape("a/l/d", [f"t{at}" for at in range(9)]), Shape("a/l/e", ["x"]), Shape("ä/l/d", ["t0", "ü", ""])]


def same(found: Value, given_: Value) -> bool:
    """A number is the same number; a boolean may come as 1 or 0."""
    return found == given_ and (not isinstance(given_, str) or isinstance(found, str))


@quick
@given(many=st.lists(frames(), min_size=1, max_size=12), seq=st.integers(1, 2**60))
def test_frames_come_out_as_they_went_in(many: list[tuple[FrameColumns, Frame]], seq: int) -> None:
    payload = encode_batch([columns for columns, _ in many], epoch=EPOCH, seq=seq)
    batch = decode_batch(payload)
    assert (batch.epoch, batch.seq, batch.frames, batch.last_seq) == (EPOCH, seq, len(many), seq + len(many) - 1)
    assert len(batch.shapes) == len({columns.shape.device for columns, _ in many})
    assert batch.moments() == [(columns.shape.device, frame.time) for columns, frame in many]
    for at, ((device, found), (columns, frame)) in enumerate(zip(frames_of(batch), many, strict=True)):
        assert (device, found.seq, found.time) == (columns.shape.device, seq + at, frame.time)
        assert list(found.samples) == list(frame.samples), "in their order"
        assert all(same(found.samples[tag], value) for tag, value in frame.samples.items())
        assert found.quality == frame.quality
        assert found.source_time == frame.source_time
        again = frame_columns(batch)[at]
        assert to_frame(again, epoch=EPOCH, seq=seq + at) == found


@quick
@given(many=st.lists(frames(), min_size=1, max_size=12))
def test_no_batch_is_larger_than_its_parts_say(many: list[tuple[FrameColumns, Frame]]) -> None:
    found = [columns for columns, _ in many]
    shapes = {id(columns.shape): columns.shape for columns in found}
    bound = BATCH_OVERHEAD_BYTES + sum(len(shape.encoded) for shape in shapes.values())
    bound += sum(size_of(columns) + len(columns.values) for columns in found)
    assert len(encode_batch(found, epoch=EPOCH, seq=2**62)) <= bound


@quick
@given(frame=frames())
def test_exact_columns_keep_integers_and_booleans_as_they_are(frame: tuple[FrameColumns, Frame]) -> None:
    columns = columns_of(SHAPES[0], 1, {"t0": 3, "t1": True, "t2": 1.0, "t3": 2**60}, {}, {}, exact=True)
    assert [(tag, value, type(value)) for tag, value in samples_of(columns)] == [
        *(("t0", 3, int), ("t1", True, bool), ("t2", 1.0, float)),
        ("t3", 2**60, int),
    ]
    _, given_ = frame
    shape = Shape("d", list(given_.samples))
    exact = columns_of(shape, 1, given_.samples, {}, {}, exact=True)
    for tag, value in samples_of(exact):
        assert type(value) is type(given_.samples[tag])


@quick
@given(number=st.integers(-(2**64), 2**64) | st.sampled_from([EXACT - 1, EXACT, EXACT + 1, -EXACT, -EXACT - 1]))
def test_an_integer_is_a_float_only_where_that_is_exact(number: int) -> None:
    columns = columns_of(SHAPES[1], 1, {"x": number}, {}, {})
    ((_, found),) = samples_of(columns)
    assert found == number
    assert bool(columns.others) == (abs(number) > EXACT)


@settings(max_examples=examples(300), deadline=None)
@given(
    many=st.lists(frames(), min_size=1, max_size=4),
    field=st.sampled_from(
        [
            "frame_shape",
            "frame_time",
            "frame_count",
            "values",
            "positions",
            "source_time",
            "others",
            "quality",
            "shapes",
        ]
    ),
    data=st.data(),
)
def test_columns_that_do_not_fit_are_refused(
    many: list[tuple[FrameColumns, Frame]], field: str, data: st.DataObject
) -> None:
    batch = decode_batch(encode_batch([columns for columns, _ in many], epoch=EPOCH, seq=1))
    wrong: object
    if field in ("others", "quality"):
        wrong = {data.draw(st.integers(-5, 200)): "x" if field == "others" else ("BAD", None, 0)}
    elif field == "shapes":
        wrong = [msgspec.Raw(data.draw(st.binary(min_size=1, max_size=20)))] * data.draw(st.integers(0, 3))
    else:
        wrong = data.draw(st.binary(max_size=80))
    try:
        payload = msgspec.msgpack.encode(msgspec.structs.replace(batch, **{field: wrong}))
        found = frames_of(decode_batch(payload))
    except (FrameError, msgspec.MsgspecError):
        return
    assert len(found) <= 10, "it fits by chance, and is what it says"


@quick
@given(payload=st.binary(max_size=300))
def test_no_bytes_raise_anything_else(payload: bytes) -> None:
    try:
        frames_of(decode_batch(payload))
    except FrameError:
        pass
    else:
        raise AssertionError("random bytes are no batch")


def test_a_device_with_more_tags_than_positions_can_name_gets_shapes_of_its_frames() -> None:
    shape = Shape("a/l/d", [f"t{at}" for at in range(MOST_TAGS + 2)])
    columns = columns_of(shape, 1, {shape.tags[-1]: 1.0, "t0": 2.0}, {}, {})
    assert columns.shape.tags == (shape.tags[-1], "t0")
    assert frames_of(decode_batch(encode_batch([columns], epoch=EPOCH, seq=1)))[0][1].samples == {
        shape.tags[-1]: 1.0,
        "t0": 2.0,
    }


def test_no_time_and_no_number_have_their_own_marks() -> None:
    columns = columns_of(SHAPES[0], 1, {"t0": None, "t1": 2.0}, {}, {"t1": 5})
    assert math.isnan(struct.unpack("<2d", columns.values)[0])
    assert struct.unpack("<2q", columns.source_time) == (NO_TIME, 5)
