"""The laws of splitting: the parts are the frame, each is small enough, and only what can't be split becomes BAD."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.runtime.gateway.outbox.segment import Record
from nexus_cli.runtime.gateway.outbox.splitting import FRAME_TAGS, frame_payload, make_smaller, split
from nexus_cli.wire.frame import Frame, decode_frame, decode_gap, encode

EPOCH = "01K00000000000000000000000"
LARGEST_SEQ, LATEST_US = 2**53, 4_102_444_800_000_000
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


@settings(max_examples=150, deadline=None)
@given(frame=frames(), frame_bytes=st.integers(512, 4_000), larger=st.integers(0, 4_000))
def test_parts_are_small_and_together_the_frame(frame: Frame, frame_bytes: int, larger: int) -> None:
    message_bytes = frame_bytes + larger
    parts = split(frame.samples, frame.quality, frame.source_time, frame_bytes=frame_bytes, message_bytes=message_bytes)
    assert [tag for part in parts for tag in part.samples] == list(frame.samples), "every tag once, in order"
    too_large = {tag for part in parts for tag in part.too_large}
    for part in parts:
        payload = frame_payload(part, epoch=EPOCH, seq=LARGEST_SEQ, time_us=LATEST_US)
        assert part.samples
        assert len(payload) <= (frame_bytes if len(part.samples) > 1 else max(frame_bytes, message_bytes))
        again = decode_frame(payload)
        assert again.time == frame.time
        for tag in part.samples.keys() - too_large:
            assert again.samples[tag] == decode_frame(encode(frame)).samples[tag]
            assert again.quality.get(tag) == frame.quality.get(tag)
            assert again.source_time.get(tag) == frame.source_time.get(tag)
    for tag in too_large:
        alone = Frame(epoch=EPOCH, seq=LARGEST_SEQ, time=LATEST_US, samples={tag: frame.samples[tag]})
        assert len(encode(alone)) + 400 > message_bytes, "what fits alone is kept"
        part = next(one for one in parts if tag in one.samples)
        assert (part.samples[tag], part.quality[tag]) == (None, ("BAD", "too_large", 0))


def test_a_frame_with_many_tags_is_split_however_small() -> None:
    samples = {f"t{at}": at for at in range(2 * FRAME_TAGS + 1)}
    parts = split(samples, {}, {}, frame_bytes=1 << 20, message_bytes=1 << 20)
    assert [len(part.samples) for part in parts] == [FRAME_TAGS, FRAME_TAGS, 1]


@settings(max_examples=60, deadline=None)
@given(payload=st.binary(max_size=2_000) | st.text(max_size=800).map(str.encode))
def test_whatever_a_record_holds_there_is_an_answer(payload: bytes) -> None:
    record = Record(7, LATEST_US, "t", payload)
    found = make_smaller(record, frame_bytes=512, message_bytes=512, device="a/l/d")
    assert found is None or found.instead.seq == 7


def test_a_frame_without_samples_that_does_not_pass_becomes_a_gap_under_its_number() -> None:
    empty = Record(7, 99, "t", encode(Frame(epoch=EPOCH, seq=7, time=99, samples={})))
    found = make_smaller(empty, frame_bytes=512, message_bytes=512, device="a/l/d")
    assert found is not None
    gap = decode_gap(found.instead.payload)
    assert (found.instead.topic, gap.seq, gap.device, gap.start, gap.end, gap.frames, gap.reason) == (
        *("", 7, "a/l/d", 99, 99, 1),
        "frame_too_large",
    )
