"""Frames as tests write and read them: samples by tag, whatever carries them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nexus_cli.runtime.gateway.outbox.records import Record
from nexus_cli.wire.frame import Frame, decode_frame
from nexus_cli.wire.frame_batch import FrameColumns, decode_batch, frames_of, from_frame


def columns(
    device: str,
    *,
    time_us: int,
    samples: Mapping[str, Any],
    quality: Mapping[str, tuple[str, str | None, int]] | None = None,
    source_time: Mapping[str, int] | None = None,
    exact: bool = False,
) -> FrameColumns:
    """A frame for the outbox, with a shape of its own."""
    frame = Frame(
        epoch="",
        seq=0,
        time=time_us,
        samples=dict(samples),
        quality=dict(quality or {}),
        source_time=dict(source_time or {}),
    )
    return from_frame(device, frame, exact=exact)


def frames_in(payload: bytes) -> list[Frame]:
    """The frames of a message on a data topic."""
    if payload.startswith(b"{"):
        return [decode_frame(payload)]
    return [frame for _, frame in frames_of(decode_batch(payload))]


def placed_frames(topic: str, payload: bytes) -> list[tuple[str, Frame]]:
    """Device path and frame of each frame of a message on a data topic; JSON names the device by the topic."""
    if payload.startswith(b"{"):
        return [(topic.partition("/data/")[2].partition("/")[2], decode_frame(payload))]
    return frames_of(decode_batch(payload))


def frames_of_records(records: Iterable[Record]) -> list[tuple[str, Frame]]:
    """Device path and frame of each frame in the outbox's records, without gaps and reports."""
    return [found for one in records if "/data/" in one.topic for found in placed_frames(one.topic, one.payload)]
