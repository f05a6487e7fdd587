"""The frame batch: what goes in comes out, and what does not fit is refused."""

from __future__ import annotations

import msgspec
import pytest

from nexus_cli.wire.frame import Frame, FrameError
from nexus_cli.wire.frame_batch import (
    MOST_FRAMES,
    MOST_NAMED,
    Shape,
    decode_batch,
    encode_batch,
    frame_columns,
    frames_of,
    from_frame,
    shapes_of,
)
from nexus_cli.wire.frame_shape import tag_count

ONE = Frame(
    epoch="e",
    seq=3,
    time=5,
    samples={"a": 1.5, "b": True, "c": "x", "d": None, "e": 2**60, "f": [1, None], "g": {"x": 1}},
    quality={"d": ("BAD", "link_lost", 7)},
    source_time={"c": 7},
)
TWO = Frame(epoch="e", seq=4, time=6, samples={"a": 2.5})


def test_frames_keep_their_numbers_values_marks_and_times() -> None:
    batch = decode_batch(encode_batch([from_frame("a/l/d", ONE), from_frame("a/l/d2", TWO)], epoch="e", seq=3))
    assert (batch.seq, batch.last_seq, batch.frames) == (3, 4, 2)
    assert frames_of(batch) == [("a/l/d", ONE), ("a/l/d2", TWO)]


def test_a_shape_is_named_once_and_frames_may_have_some_of_its_tags() -> None:
    whole = from_frame("a/l/d", ONE)
    some = whole._replace(positions=b"\x02\x00\x00\x00", values=whole.values[16:24] + whole.values[:8], others={0: "y"})
    some = some._replace(quality={}, source_time=b"")
    batch = decode_batch(encode_batch([whole, some], epoch="e", seq=1))
    assert len(batch.shapes) == 1
    assert [dict(frame.samples) for _, frame in frames_of(batch)] == [dict(ONE.samples), {"c": "y", "a": 1.5}]


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"frame_time": b""},
        {"frame_time": b"1234567"},
        {"frame_shape": b"\x00"},
        {"frame_shape": b"\x01\x00"},
        {"frame_count": b"\x01\x00"},
        {"values": b"12345678"},
        {"positions": b"\x00\x00"},
        {"source_time": b"12345678"},
        {"others": {70: "x"}},
        {"quality": {-1: ("BAD", None, 0)}},
        {"shapes": []},
        {"shapes": [("d", 1)]},
        {"shapes": [("d", -1)]},
        {"tags": []},
        {"tags": [msgspec.Raw(msgspec.msgpack.encode(["a", "a"]))]},
        {"tags": [msgspec.Raw(msgspec.msgpack.encode(7))]},
        {"shapes": [("d", 0)] * (MOST_FRAMES + 1)},
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object]) -> None:
    batch = decode_batch(encode_batch([from_frame("a/l/d", ONE)], epoch="e", seq=3))
    payload = msgspec.msgpack.encode(msgspec.structs.replace(batch, **change))
    with pytest.raises(FrameError):
        frame_columns(decode_batch(payload))


@pytest.mark.parametrize("count", [1, 15, 16, 300, 65_535])
def test_the_number_of_tags_is_known_before_they_are_read(count: int) -> None:
    assert tag_count(Shape("d", [str(at) for at in range(count)]).encoded) == count


@pytest.mark.parametrize("tags", [15, 256, 4096, 65_535])
def test_a_short_message_does_not_name_a_long_list_of_tags_any_number_of_times(tags: int) -> None:
    """Each device costs its sender a few bytes, and whoever reads it as many names and lookups as the list has."""
    names = Shape("d", [str(at) for at in range(tags)]).encoded
    batch = decode_batch(encode_batch([from_frame("a/l/d", ONE)], epoch="e", seq=3))
    fits = min(MOST_FRAMES, MOST_NAMED // tags)
    for count in (fits, fits + 1):
        some = msgspec.structs.replace(batch, shapes=[(f"d{at}", 0) for at in range(count)], tags=[msgspec.Raw(names)])
        if count == fits:
            assert [shape.device for shape in shapes_of(some)] == [f"d{at}" for at in range(count)]
        else:
            with pytest.raises(FrameError, match="at most"):
                shapes_of(some)
