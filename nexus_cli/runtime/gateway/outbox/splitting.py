"""Splits messages to a size that every broker passes on: frames into parts, too large values to BAD, reports without
values. Pure.

The parts of a frame have disjoint tags and the same time, so the rows are the same as those of the whole frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from nexus_cli.runtime.gateway.outbox.segment import Record
from nexus_cli.wire.command import decode_report, shortened
from nexus_cli.wire.command import encode as encode_report
from nexus_cli.wire.frame import Frame, FrameError, Gap, GapReason, decode_frame, encode
from nexus_cli.wire.sample import Quality, Reason, Value

FRAME_BYTES = 64 * 1024
"""A larger payload is split. The smallest limit among the usual cloud brokers is twice this (AWS IoT Core, 128 KiB)."""
FRAME_TAGS = 500
"""A frame with more tags is split."""
MESSAGE_BYTES = 960 * 1024
"""Limit of a payload, in bytes: EMQX's default limit is 1 MiB for the whole packet. A single value above it becomes
BAD."""
SMALLEST_BYTES = 512
"""No broker is assumed to have a lower limit, in bytes, since a gap must be passed on."""
_OVERHEAD_BYTES = 160
"""Upper bound for the rest of a frame without its samples, in bytes: field names, epoch, number, time."""

Quality_ = tuple[str, str | None, int]
_encoder = msgspec.json.Encoder()


@dataclass(slots=True)
class Part:
    """Some samples of a frame.

    Attributes:
        samples, quality, source_time: As in `wire.frame.Frame`.
        too_large: Tags whose value was above the limit; they are BAD here.
    """

    samples: dict[str, Value] = field(default_factory=dict)
    quality: dict[str, Quality_] = field(default_factory=dict)
    source_time: dict[str, int] = field(default_factory=dict)
    too_large: list[str] = field(default_factory=list)


class Smaller(NamedTuple):
    """The replacement for a record that is not passed on.

    Attributes:
        instead: Has the number of the record; its topic is "" when nothing is left of the record and a gap replaces it.
        more: Further parts of the frame, under new numbers.
        too_large: Tags whose value is lost.
    """

    instead: Record
    more: list[Part]
    too_large: list[str]


def split(
    samples: Mapping[str, Value],
    quality: Mapping[str, Quality_],
    source_time: Mapping[str, int],
    *,
    frame_bytes: int,
    message_bytes: int,
) -> list[Part]:
    """Cut a frame's samples into parts, in their order.

    Args:
        samples: At least one.
        quality: As in `Frame`.
        source_time: As in `Frame`.
        frame_bytes: Limit for the payload of a part with several samples.
        message_bytes: Limit for the payload of a part with one sample; a larger value becomes BAD `too_large`.

    Returns:
        One part or more, each with at most `FRAME_TAGS` tags.
    """
    parts = [Part()]
    size = _OVERHEAD_BYTES
    for tag, value in samples.items():
        marks: Quality_ | None = quality.get(tag)
        source_us = source_time.get(tag)
        cost = _size(tag, value, marks, source_us)
        # A sample that is already None has no value to drop: it would never get smaller.
        too_large = _OVERHEAD_BYTES + cost > message_bytes and value is not None
        if too_large:
            value, marks = None, (Quality.BAD.name, Reason.TOO_LARGE.value, 0)
            cost = _size(tag, value, marks, source_us)
        if parts[-1].samples and (size + cost > frame_bytes or len(parts[-1].samples) >= FRAME_TAGS):
            parts.append(Part())
            size = _OVERHEAD_BYTES
        part = parts[-1]
        size += cost
        part.samples[tag] = value
        if marks is not None:
            part.quality[tag] = marks
        if source_us is not None:
            part.source_time[tag] = source_us
        if too_large:
            part.too_large.append(tag)
    return parts


def make_smaller(record: Record, *, frame_bytes: int, message_bytes: int, device: str) -> Smaller | None:
    """The smaller replacement for a record that the broker does not pass on.

    Args:
        record: The record.
        frame_bytes: As in `split`.
        message_bytes: As in `split`.
        device: The device of the frame; "" for another kind of record.

    Returns:
        The parts of a frame; a report without its values; else a gap. None when it can't be smaller: a gap, or a frame
        with one value below the limit.
    """
    try:
        frame = decode_frame(record.payload)
    except FrameError:
        return _other(record, message_bytes=message_bytes, device=device)
    if not frame.samples:
        return _as_gap(record, frame.epoch, device=device)
    parts = split(frame.samples, frame.quality, frame.source_time, frame_bytes=frame_bytes, message_bytes=message_bytes)
    too_large = [tag for part in parts for tag in part.too_large]
    # One value below the limit: the broker refuses its topic, not its size.
    if len(parts) == 1 and not too_large:
        return None
    payload = frame_payload(parts[0], epoch=frame.epoch, seq=frame.seq, time_us=frame.time)
    return Smaller(record._replace(payload=payload), parts[1:], too_large)


def frame_payload(part: Part, *, epoch: str, seq: int, time_us: int) -> bytes:
    """The payload of a part as a frame."""
    return encode(
        Frame(
            epoch=epoch,
            seq=seq,
            time=time_us,
            samples=part.samples,
            quality=part.quality,
            source_time=part.source_time,
        )
    )


class _Numbered(msgspec.Struct):
    epoch: str
    reason: str | None = None


_numbered = msgspec.json.Decoder(_Numbered)


def _other(record: Record, *, message_bytes: int, device: str) -> Smaller | None:
    try:
        report = shortened(decode_report(record.payload))
    except FrameError:
        try:
            epoch = _numbered.decode(record.payload).epoch
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return None if len(record.payload) < SMALLEST_BYTES else _as_gap(record, epoch, device=device)
    payload = encode_report(report)
    if len(payload) <= message_bytes and len(payload) < len(record.payload):
        return Smaller(record._replace(payload=payload), [], [])
    return _as_gap(record, report.epoch, device=device)


def _as_gap(record: Record, epoch: str, *, device: str) -> Smaller:
    gap = Gap(
        epoch=epoch,
        seq=record.seq,
        device=device,
        start=record.time_us,
        end=record.time_us,
        frames=1,
        reason=GapReason.FRAME_TOO_LARGE,
    )
    return Smaller(record._replace(topic="", payload=encode(gap)), [], [])


def _size(tag: str, value: Value, marks: Quality_ | None, source_us: int | None) -> int:
    """Bytes that a sample adds to a frame's payload."""
    name = len(_encoder.encode(tag)) + 2
    size = name + len(_encoder.encode(value))
    if marks is not None:
        size += name + len(_encoder.encode(marks))
    return size if source_us is None else size + name + 20
