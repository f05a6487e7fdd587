"""Frames, gaps and receipts: what is encoded decodes to itself, and no bytes raise anything but FrameError."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.wire.frame import (
    Committed,
    Frame,
    FrameError,
    Gap,
    decode_committed,
    decode_frame,
    decode_gap,
    encode,
)

names = st.text(min_size=1, max_size=10)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10)
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
frames = st.builds(
    Frame,
    epoch=names,
    seq=st.integers(1, 2**53),
    time=st.integers(0, 2**53),
    samples=st.dictionaries(names, values, max_size=5),
    quality=st.dictionaries(
        names,
        st.tuples(st.sampled_from(["BAD", "UNCERTAIN"]), st.none() | names, st.integers(0, 2**32 - 1)),
        max_size=3,
    ),
    source_time=st.dictionaries(names, st.integers(0, 2**53), max_size=3),
)


@given(frames)
def test_frames_invert(frame: Frame) -> None:
    assert decode_frame(encode(frame)) == frame


@given(
    st.builds(
        Gap,
        epoch=names,
        seq=st.integers(1, 2**53),
        device=st.text(max_size=9),
        start=st.integers(0),
        end=st.integers(0),
    )
)
def test_gaps_invert(gap: Gap) -> None:
    assert decode_gap(encode(gap)) == gap


@given(names, st.lists(st.tuples(st.integers(0, 2**53), st.integers(0, 2**53))))
def test_receipts_invert(epoch: str, ranges: list[tuple[int, int]]) -> None:
    receipt = Committed(epoch=epoch, ranges=ranges)
    assert decode_committed(encode(receipt)) == receipt


@given(st.binary(max_size=200), frames, st.integers(0, 200))
def test_mutilated_bytes_raise_only_frame_errors(junk: bytes, frame: Frame, cut: int) -> None:
    for payload in (junk, encode(frame)[:cut], encode(frame)[:cut] + junk, b"[" * 5000):
        for decode in (decode_frame, decode_gap, decode_committed):
            with contextlib.suppress(FrameError):
                decode(payload)
