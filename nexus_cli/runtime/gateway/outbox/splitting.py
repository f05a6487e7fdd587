"""Splits messages to a size that every broker passes on: batches into smaller ones, frames into parts, too large values
to BAD, reports without values. Pure.

The parts of a frame have disjoint tags and the same time, so the rows are the same as those of the whole frame.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from nexus_cli.runtime.gateway.outbox.contents import Contents
from nexus_cli.runtime.gateway.outbox.records import Record, epoch_of, is_json
from nexus_cli.wire.command import decode_report, shortened
from nexus_cli.wire.command import encode as encode_report
from nexus_cli.wire.frame import FrameError, Gap, GapReason, decode_frame, encode
from nexus_cli.wire.frame_batch import (
    BATCH_BYTES,
    MOST_TAGS,
    NO_TIME,
    FrameColumns,
    Mark,
    Shape,
    decode_batch,
    encode_batch,
    frame_columns,
    from_frame,
    samples_of,
    to_frame,
)
from nexus_cli.wire.sample import Quality, Reason, Value

FRAME_BYTES = BATCH_BYTES
"""A larger payload is split. The smallest limit among the usual cloud brokers is twice this (AWS IoT Core, 128 KiB)."""
JSON_TAGS = 500
"""A frame in JSON with more tags is split: reading it must not take long."""
MESSAGE_BYTES = 960 * 1024
"""Limit of a payload, in bytes: EMQX's default limit is 1 MiB for the whole packet. A single value above it becomes
BAD."""
SMALLEST_BYTES = 512
"""No broker is assumed to have a lower limit, in bytes, since a gap must be passed on."""
JSON_OVERHEAD_BYTES = 160
"""Upper bound for the rest of a JSON frame without its samples, in bytes: field names, epoch, number, time."""
BATCH_OVERHEAD_BYTES = 256
"""Upper bound for the rest of a batch without its shapes and samples, in bytes: field names, epoch, number, lengths."""
FRAME_OVERHEAD_BYTES = 12
"""What a frame adds to a batch beside its samples, in bytes: shape, time, count."""
SHAPE_OVERHEAD_BYTES = 16
"""What a shape adds to a batch beside its device and its tags, in bytes: lengths, index."""
NARROW_BYTES = 2048
"""Names of a shape, in bytes, that are not sent for the few samples of a frame: such a frame gets a shape of its own."""
NARROW_SHARE = 4
"""Such a frame has at most one of so many tags of its shape."""
_INDEX_BYTES = 4
"""By how much the index of an entry can be longer in a batch than in its frame, in bytes."""

_json = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode


class Part(NamedTuple):
    """Some samples of a frame.

    Attributes:
        columns: With a shape of its own.
        too_large: Tags whose value was above the limit; they are BAD here.
    """

    columns: FrameColumns
    too_large: list[str]


class Smaller(NamedTuple):
    """The replacement for a record that is not passed on.

    Attributes:
        instead: Have the numbers of the record; the topic is "" when nothing is left of it and a gap replaces it.
        more: Further parts of the frame, under new numbers.
        too_large: Tags whose value is lost.
    """

    instead: list[Record]
    more: list[FrameColumns]
    too_large: list[str]


def size_of(columns: FrameColumns) -> int:
    """Upper bound for what a frame adds to a batch, in bytes, without its shape and its source times."""
    size = FRAME_OVERHEAD_BYTES + len(columns.values) + len(columns.positions)
    if columns.others:
        size += len(_pack(columns.others)) + _INDEX_BYTES * len(columns.others)
    if columns.quality:
        size += len(_pack(columns.quality)) + _INDEX_BYTES * len(columns.quality)
    return size


def alone_bytes(columns: FrameColumns, size: int) -> int:
    """Upper bound for a batch of this one frame, in bytes; `size` as from `size_of`."""
    return BATCH_OVERHEAD_BYTES + shape_bytes(columns.shape) + size + len(columns.source_time)


def shape_bytes(shape: Shape) -> int:
    """Upper bound for what a shape adds to a batch, in bytes; its tags are there once for all shapes that have the same."""
    return len(shape.device.encode()) + SHAPE_OVERHEAD_BYTES + len(shape.encoded)


def narrowed(columns: FrameColumns) -> FrameColumns:
    """The frame with a shape of only its own tags if it has few of a long shape; else unchanged."""
    positions = columns.positions
    if not positions or len(columns.shape.encoded) < NARROW_BYTES:
        return columns
    tags = columns.shape.tags
    if len(positions) * NARROW_SHARE > 2 * len(tags):
        return columns
    own = [tags[at] for at in struct.unpack(f"<{len(positions) // 2}H", positions)]
    return columns._replace(shape=Shape(columns.shape.device, own), positions=b"")


def split(columns: FrameColumns, *, frame_bytes: int, message_bytes: int, as_json: bool = False) -> list[Part]:
    """Cut a frame's samples into parts, in their order.

    Args:
        columns: At least one sample.
        frame_bytes: Limit for the payload of a part with several samples.
        message_bytes: Limit for the payload of a part with one sample; a larger value becomes BAD `too_large`.
        as_json: The parts are sent as JSON, not in batches.

    Returns:
        One part or more, in JSON each with at most `JSON_TAGS` tags.
    """
    overhead = JSON_OVERHEAD_BYTES if as_json else _overhead(columns.shape.device)
    cost_of = _json_bytes if as_json else _batch_bytes
    most = JSON_TAGS if as_json else MOST_TAGS
    samples = list(samples_of(columns))
    sources = _sources(columns)
    quality = dict(columns.quality)
    lost: set[int] = set()
    parts: list[range] = []
    start, size = 0, overhead
    for at, (tag, value) in enumerate(samples):
        cost = cost_of(tag, value, quality.get(at), sources[at])
        # A sample that is already None has no value to drop: it would never get smaller.
        if overhead + cost > message_bytes and value is not None:
            lost.add(at)
            quality[at] = (Quality.BAD.name, Reason.TOO_LARGE.value, 0)
            cost = cost_of(tag, None, quality[at], sources[at])
        if at > start and (size + cost > frame_bytes or at - start >= most):
            parts.append(range(start, at))
            start, size = at, overhead
        size += cost
    parts.append(range(start, len(samples)))
    tags = [tag for tag, _ in samples]
    return [_part(columns, tags, quality, lost, part) for part in parts]


def _part(columns: FrameColumns, tags: list[str], quality: dict[int, Mark], lost: set[int], part: range) -> Part:
    start, end = part.start, part.stop
    values = bytearray(columns.values[8 * start : 8 * end])
    for at in lost.intersection(part):
        struct.pack_into("<d", values, 8 * (at - start), math.nan)
    return Part(
        FrameColumns(
            shape=Shape(columns.shape.device, tags[start:end]),
            time_us=columns.time_us,
            positions=b"",
            values=bytes(values),
            others={at - start: one for at, one in columns.others.items() if at in part and at not in lost},
            quality={at - start: one for at, one in quality.items() if at in part},
            source_time=columns.source_time[8 * start : 8 * end],
        ),
        [tags[at] for at in part if at in lost],
    )


def make_smaller(record: Record, *, frame_bytes: int, message_bytes: int, contents: Contents) -> Smaller | None:
    """The smaller replacement for a record that the broker does not pass on.

    Args:
        record: The record.
        frame_bytes: As in `split`; a batch is cut into halves until each is below it.
        message_bytes: As in `split`.
        contents: Of the gateway.

    Returns:
        A batch in smaller ones under the same numbers; the parts of a frame; a report without its values; else a gap.
        None when it can't be smaller: a gap, or a frame with one value below the limit.
    """
    device = contents.device(record.topic)
    if not is_json(record.payload):
        return _batch(record, frame_bytes=frame_bytes, message_bytes=message_bytes)
    try:
        frame = decode_frame(record.payload)
    except FrameError:
        return _other(record, message_bytes=message_bytes, device=device)
    if not frame.samples:
        return _as_gap(record, frame.epoch, device=device)

    def write(columns: FrameColumns) -> bytes:
        return encode(to_frame(columns, epoch=frame.epoch, seq=frame.seq))

    columns = from_frame(device, frame, exact=True)
    return _parts(record, columns, frame_bytes=frame_bytes, message_bytes=message_bytes, as_json=True, write=write)


def _batch(record: Record, *, frame_bytes: int, message_bytes: int) -> Smaller | None:
    try:
        batch = decode_batch(record.payload)
        frames = frame_columns(batch)
    except FrameError:
        return None
    if len(frames) > 1:
        return Smaller(_halves(record, frames, epoch=batch.epoch, most_bytes=frame_bytes), [], [])

    def write(columns: FrameColumns) -> bytes:
        return encode_batch([columns], epoch=batch.epoch, seq=batch.seq)

    return _parts(record, frames[0], frame_bytes=frame_bytes, message_bytes=message_bytes, as_json=False, write=write)


def _halves(record: Record, frames: list[FrameColumns], *, epoch: str, most_bytes: int) -> list[Record]:
    """A batch in two or more, each below a size or with one frame."""
    half = len(frames) // 2
    found: list[Record] = []
    for seq, some in ((record.seq, frames[:half]), (record.seq + half, frames[half:])):
        one = batch_record(some, epoch=epoch, seq=seq, topic=record.topic)
        if len(one.payload) > most_bytes and len(some) > 1:
            found += _halves(one, some, epoch=epoch, most_bytes=most_bytes)
        else:
            found.append(one)
    return found


def _parts(
    record: Record,
    columns: FrameColumns,
    *,
    frame_bytes: int,
    message_bytes: int,
    as_json: bool,
    write: Callable[[FrameColumns], bytes],
) -> Smaller | None:
    parts = split(columns, frame_bytes=frame_bytes, message_bytes=message_bytes, as_json=as_json)
    too_large = [tag for part in parts for tag in part.too_large]
    # One value below the limit: the broker refuses its topic, not its size.
    if len(parts) == 1 and not too_large:
        return None
    instead = record._replace(payload=write(parts[0].columns))
    return Smaller([instead], [part.columns for part in parts[1:]], too_large)


def batch_record(frames: list[FrameColumns], *, epoch: str, seq: int, topic: str) -> Record:
    """The record of frames that are numbered from `seq` on."""
    times = [one.time_us for one in frames]
    payload = encode_batch(frames, epoch=epoch, seq=seq)
    return Record(seq, seq + len(frames) - 1, min(times), max(times), topic, payload)


def _other(record: Record, *, message_bytes: int, device: str) -> Smaller | None:
    try:
        report = shortened(decode_report(record.payload))
    except FrameError:
        epoch = epoch_of(record.payload)
        if not epoch:
            return None
        return None if len(record.payload) < SMALLEST_BYTES else _as_gap(record, epoch, device=device)
    payload = encode_report(report)
    if len(payload) <= message_bytes and len(payload) < len(record.payload):
        return Smaller([record._replace(payload=payload)], [], [])
    return _as_gap(record, report.epoch, device=device)


def _as_gap(record: Record, epoch: str, *, device: str) -> Smaller:
    gap = Gap(
        epoch=epoch,
        seq=record.seq,
        device=device,
        start=record.start_us,
        end=record.time_us,
        frames=record.numbers,
        reason=GapReason.FRAME_TOO_LARGE,
    )
    return Smaller([record._replace(topic="", payload=encode(gap))], [], [])


def _overhead(device: str) -> int:
    return BATCH_OVERHEAD_BYTES + FRAME_OVERHEAD_BYTES + len(device.encode()) + SHAPE_OVERHEAD_BYTES


def _sources(columns: FrameColumns) -> list[int | None]:
    count = len(columns.values) // 8
    if not columns.source_time:
        return [None] * count
    times = struct.unpack(f"<{count}q", columns.source_time)
    return [None if time_us == NO_TIME else time_us for time_us in times]


def _batch_bytes(tag: str, value: Value, marks: Mark | None, source_us: int | None) -> int:
    """Bytes that a sample adds to a batch with only this frame."""
    size = len(_pack(tag)) + 16
    if value is not None and not isinstance(value, float):
        size += len(_pack(value)) + 1 + _INDEX_BYTES
    return size if marks is None else size + len(_pack(marks)) + 1 + _INDEX_BYTES


def _json_bytes(tag: str, value: Value, marks: Mark | None, source_us: int | None) -> int:
    """Bytes that a sample adds to a frame in JSON."""
    name = len(_json(tag)) + 2
    size = name + len(_json(value))
    if marks is not None:
        size += name + len(_json(marks))
    return size if source_us is None else size + name + 20
