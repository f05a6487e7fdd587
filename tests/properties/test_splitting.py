"""The laws of splitting: the parts are the frame, each is small enough, and only what can't be split becomes BAD."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.runtime.gateway.outbox.contents import Contents
from nexus_cli.runtime.gateway.outbox.records import Record
from nexus_cli.runtime.gateway.outbox.splitting import (
    JSON_TAGS,
    alone_bytes,
    batch_record,
    make_smaller,
    narrowed,
    size_of,
    split,
)
from nexus_cli.wire.frame import Frame, decode_frame, decode_gap, encode
from nexus_cli.wire.frame_batch import (
    FrameColumns,
    Shape,
    columns_of,
    encode_batch,
    from_frame,
    to_frame,
)
from tests.examples import examples
from tests.frames import frames_in, frames_of_records

EPOCH = "01K00000000000000000000000"
LARGEST_SEQ, LATEST_US = 2**53, 4_102_444_800_000_000
CONTENTS = Contents("_nexus/e/s/gap/gw")
DEVICE = "a/l/d"
texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3))
marks = st.tuples(st.sampled_from(["BAD", "UNCERTAIN"]), st.none() | st.just("out_of_range"), st.integers(0, 2**32))


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    """A frame with a few tags, some of them long, some with quality and time of their own."""
    samples = draw(st.dictionaries(texts, values, min_size=1, max_size=30))
    for tag in draw(st.lists(st.sampled_from(sorted(samples)), max_size=3)):
        samples[tag] = "x" * draw(st.integers(0, 3_000))
    quality = {tag: draw(marks) for tag in samples if draw(st.booleans())}
    source_time = {tag: draw(st.integers(0, LATEST_US)) for tag in samples if draw(st.booleans())}
    return Frame(
        epoch=EPOCH, seq=LARGEST_SEQ, time=LATEST_US, samples=samples, quality=quality, source_time=source_time
    )


def payload_of(columns: FrameColumns, *, as_json: bool) -> bytes:
    """The message of one frame."""
    if as_json:
        return encode(to_frame(columns, epoch=EPOCH, seq=LARGEST_SEQ))
    return encode_batch([columns], epoch=EPOCH, seq=LARGEST_SEQ)


@settings(max_examples=examples(200), deadline=None)
@given(frame=frames(), frame_bytes=st.integers(512, 4_000), larger=st.integers(0, 4_000), as_json=st.booleans())
def test_parts_are_small_and_together_the_frame(frame: Frame, frame_bytes: int, larger: int, as_json: bool) -> None:
    message_bytes = frame_bytes + larger
    columns = from_frame(DEVICE, frame, exact=as_json)
    parts = split(columns, frame_bytes=frame_bytes, message_bytes=message_bytes, as_json=as_json)
    assert [tag for part in parts for tag in part.columns.shape.tags] == list(frame.samples), "every tag once, in order"
    too_large = {tag for part in parts for tag in part.too_large}
    whole = frames_in(payload_of(columns, as_json=as_json))[0]
    assert whole.samples == (decode_frame(encode(frame)) if as_json else frame).samples
    for part in parts:
        payload = payload_of(part.columns, as_json=as_json)
        assert len(payload) <= alone_bytes(part.columns, size_of(part.columns)) or as_json
        again = frames_in(payload)[0]
        assert again.samples
        assert len(payload) <= (frame_bytes if len(again.samples) > 1 else max(frame_bytes, message_bytes))
        assert again.time == frame.time
        for tag in again.samples.keys() - too_large:
            assert again.samples[tag] == whole.samples[tag]
            assert again.quality.get(tag) == frame.quality.get(tag)
            assert again.source_time.get(tag) == frame.source_time.get(tag)
    for tag in too_large:
        alone = Frame(epoch=EPOCH, seq=LARGEST_SEQ, time=LATEST_US, samples={tag: frame.samples[tag]})
        sent = payload_of(from_frame(DEVICE, alone, exact=as_json), as_json=as_json)
        assert len(sent) + 400 > message_bytes, "what fits alone is kept"
        part = next(one for one in parts if tag in one.too_large)
        again = frames_in(payload_of(part.columns, as_json=as_json))[0]
        assert (again.samples[tag], again.quality[tag]) == (None, ("BAD", "too_large", 0))


def test_a_frame_in_json_with_many_tags_is_split_however_small() -> None:
    samples = {f"t{at}": at for at in range(2 * JSON_TAGS + 1)}
    columns = from_frame(DEVICE, Frame(epoch=EPOCH, seq=1, time=1, samples=samples))
    parts = split(columns, frame_bytes=1 << 20, message_bytes=1 << 20, as_json=True)
    assert [len(part.columns.shape.tags) for part in parts] == [JSON_TAGS, JSON_TAGS, 1]


@settings(max_examples=examples(100), deadline=None)
@given(many=st.lists(frames(), min_size=2, max_size=12), frame_bytes=st.integers(512, 4_000))
def test_a_batch_is_cut_under_the_same_numbers(many: list[Frame], frame_bytes: int) -> None:
    record = batch_record(
        [from_frame(f"a/l/d{at}", one) for at, one in enumerate(many)], epoch=EPOCH, seq=5, topic=CONTENTS.batches
    )
    found = make_smaller(record, frame_bytes=frame_bytes, message_bytes=1 << 20, contents=CONTENTS)
    assert found is not None
    assert len(found.instead) > 1
    assert not found.more
    assert not found.too_large
    assert frames_of_records(found.instead) == frames_of_records([record])
    assert [one.seq for one in found.instead] == [record.seq, *(one.last + 1 for one in found.instead[:-1])]
    assert found.instead[-1].last == record.last
    for one in found.instead:
        assert len(one.payload) <= frame_bytes or one.numbers == 1
        assert one.topic == record.topic


@settings(max_examples=examples(60), deadline=None)
@given(frame=frames(), frame_bytes=st.integers(512, 2_000))
def test_a_single_frame_is_split_under_its_number_and_new_ones(frame: Frame, frame_bytes: int) -> None:
    for as_json in (False, True):
        columns = from_frame(DEVICE, frame, exact=as_json)
        topic = CONTENTS.topic(DEVICE) if as_json else CONTENTS.batches
        record = Record.single(LARGEST_SEQ, frame.time, topic, payload_of(columns, as_json=as_json))
        found = make_smaller(record, frame_bytes=frame_bytes, message_bytes=1 << 20, contents=CONTENTS)
        if found is None:
            assert len(record.payload) < frame_bytes + 400 or len(frame.samples) == 1
            continue
        (first,) = found.instead
        assert (first.seq, first.last, first.topic) == (LARGEST_SEQ, LARGEST_SEQ, topic)
        tags = [*frames_in(first.payload)[0].samples, *(tag for one in found.more for tag in one.shape.tags)]
        assert tags == list(frame.samples)


@settings(max_examples=examples(60), deadline=None)
@given(payload=st.binary(max_size=2_000) | st.text(max_size=800).map(str.encode))
def test_whatever_a_record_holds_there_is_an_answer(payload: bytes) -> None:
    for topic in ("t", CONTENTS.batches, CONTENTS.topic(DEVICE)):
        record = Record.single(7, LATEST_US, topic, payload)
        found = make_smaller(record, frame_bytes=512, message_bytes=512, contents=CONTENTS)
        assert found is None or found.instead[0].seq == 7
        assert [one.seq for one in CONTENTS.frames(record)] == [7]


def test_a_frame_without_samples_that_does_not_pass_becomes_a_gap_under_its_number() -> None:
    payload = encode(Frame(epoch=EPOCH, seq=7, time=99, samples={}))
    empty = Record.single(7, 99, CONTENTS.topic(DEVICE), payload)
    found = make_smaller(empty, frame_bytes=512, message_bytes=512, contents=CONTENTS)
    assert found is not None
    (instead,) = found.instead
    gap = decode_gap(instead.payload)
    assert (instead.topic, gap.seq, gap.device, gap.start, gap.end, gap.frames, gap.reason) == (
        *("", 7, DEVICE, 99, 99, 1),
        "frame_too_large",
    )


def test_few_samples_of_many_tags_do_not_carry_all_names() -> None:
    shape = Shape(DEVICE, [f"temperature-of-zone-{at}" for at in range(400)])
    few = columns_of(shape, 1, {shape.tags[7]: 1.5, shape.tags[3]: 2}, {}, {})
    narrow = narrowed(few)
    assert narrow.shape.tags == (shape.tags[7], shape.tags[3])
    assert to_frame(narrow, epoch=EPOCH, seq=1) == to_frame(few, epoch=EPOCH, seq=1)
    many = columns_of(shape, 1, dict.fromkeys(shape.tags[:200], 1.0), {}, {})
    assert narrowed(many) is many
    whole = columns_of(shape, 1, dict.fromkeys(shape.tags, 1.0), {}, {})
    assert narrowed(whole) is whole
    small = Shape(DEVICE, ["a", "b", "c", "d", "e"])
    assert narrowed(columns_of(small, 1, {"a": 1.0}, {}, {})).shape is small
