"""The frame batch: the frames of one group commit in one message, by column; the record on the wire.

MessagePack on `_nexus/{enterprise}/{site}/data/{gateway}`; `schemas/frame-batch.schema.json` is its shape. Frames keep
their own numbers: they are stored, receipted and recognised as replays one by one. Each message names its shapes itself,
so that it can be read alone: by any of several historians, after a restart, out of a damaged log.

See docs/decisions/0059.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Annotated, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from nexus_cli.wire.field_types import Count, Epoch, Seq, TagValue
from nexus_cli.wire.frame import Frame, FrameError, OtherFormatError
from nexus_cli.wire.frame_compression import expanded
from nexus_cli.wire.frame_shape import MOST_NAMED, MOST_TAGS, Shape, known_shape, tag_count
from nexus_cli.wire.sample import Value

FORMAT = 1
BATCH_BYTES = 64 * 1024
"""A batch is closed before its payload exceeds this, unless one frame alone does."""
MOST_FRAMES = 4_096
"""Frames of a batch: bounds what one receipt, one replay and one damaged record concern."""
EXACT = 1 << 53
"""A 64-bit float holds every integer up to this."""
NO_TIME = -(1 << 63)
"""In `source_time`: the device gave none for this sample."""

Mark = tuple[str, str | None, int]
"""Quality name, reason, protocol code."""


class FrameColumns(NamedTuple):
    """One frame by column.

    Attributes:
        shape: Its device and tags.
        time_us: Gateway time of all samples, µs since 1970 UTC.
        positions: Tags in the shape, 16-bit unsigned little-endian, one per sample; empty: all tags, in order.
        values: 64-bit floats little-endian, one per sample: numbers, booleans as 1 and 0; NaN where the sample has no
            value, or `others` has it.
        others: Values that are not exactly a 64-bit float, by the sample's index in the frame.
        quality: Marks of samples that are not GOOD, by the same index.
        source_time: The device's own times, 64-bit integers little-endian in µs since 1970 UTC, `NO_TIME` where it gave
            none; empty: for no sample.
    """

    shape: Shape
    time_us: int
    positions: bytes
    values: bytes
    others: dict[int, Value] = {}
    quality: dict[int, Mark] = {}
    source_time: bytes = b""


_OTHERS = Annotated[
    dict[int, TagValue], Meta(description="Values that are not exactly f64, by the index of the sample in the batch.")
]
_MARKS = Annotated[
    dict[int, Annotated[Mark, Meta(description="[quality, reason or null, protocol code]")]],
    Meta(description="Of samples that are not GOOD, by the index of the sample in the batch."),
]


class FrameBatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The frames of one group commit. Columns are little-endian; samples are in the order of their frames.

    Attributes:
        format: `FORMAT`.
        epoch: As in `Frame`.
        seq: Number of the first frame; the others follow it one by one.
        shapes: Device path and index of its tags.
        tags: Tag names in order, once for all devices that have the same.
        frame_shape: Index of each frame's shape, 16-bit unsigned.
        frame_time: Gateway time of each frame, 64-bit signed, µs since 1970 UTC.
        frame_count: How many samples each frame has, 16-bit unsigned; 0: all tags of its shape, in order.
        values: 64-bit floats; NaN where a sample has no value, or `others` has it.
        positions: Position of each sample's tag in its shape, 16-bit unsigned; none for frames with all tags.
        others: Values that are not exactly a 64-bit float, by the index of the sample in the batch.
        quality: Marks of samples that are not GOOD, by the same index.
        source_time: The device's own times, 64-bit signed, µs since 1970 UTC, `NO_TIME` where it gave none; empty when
            it gave none at all.
    """

    format: int
    epoch: Epoch
    seq: Seq
    shapes: Annotated[list[tuple[str, int]], Meta(description="[device path, index of its tags]")]
    tags: Annotated[list[msgspec.Raw], Meta(description="Tag names in order, once for all devices that have the same.")]
    frame_shape: Annotated[bytes, Meta(description="Index of each frame's shape: u16.")]
    frame_time: Annotated[bytes, Meta(description="Gateway time of each frame: i64, µs since 1970 UTC.")]
    frame_count: Annotated[bytes, Meta(description="Samples of each frame: u16; 0: all tags of its shape, in order.")]
    values: Annotated[bytes, Meta(description="f64; NaN where a sample has no value, or `others` has it.")]
    positions: Annotated[bytes, Meta(description="Position of each sample's tag in its shape, where some: u16.")] = b""
    others: _OTHERS = {}
    quality: _MARKS = {}
    source_time: Annotated[bytes, Meta(description=f"i64, µs since 1970 UTC; {NO_TIME}: none. Or empty.")] = b""

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return len(self.frame_time) // 8

    @property
    def last_seq(self) -> Count:
        """Number of the last frame."""
        return self.seq + self.frames - 1

    def moments(self) -> list[tuple[str, int]]:
        """Device path and gateway time (µs since 1970 UTC) of each frame, in order. Raises FrameError: no such shape."""
        frames = self.frames
        shapes = shapes_of(self)
        which = struct.unpack(f"<{frames}H", self.frame_shape)
        times = struct.unpack(f"<{frames}q", self.frame_time)
        if max(which) >= len(shapes):
            raise FrameError("a frame has no shape")
        return [(shapes[index].device, time_us) for index, time_us in zip(which, times, strict=True)]


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(FrameBatch)


def encode_batch(frames: Sequence[FrameColumns], *, epoch: str, seq: int) -> bytes:
    """The payload of frames that are numbered from `seq` on, in order; at least one, at most `MOST_FRAMES`.

    Their shapes have at most `MOST_NAMED` tags together.
    """
    shapes: dict[int, int] = {}
    named: list[tuple[str, int]] = []
    tags: dict[bytes, int] = {}
    which: list[int] = []
    counts: list[int] = []
    others: dict[int, Value] = {}
    quality: dict[int, Mark] = {}
    sourced = any(frame.source_time for frame in frames)
    sources: list[bytes] = []
    base = 0
    for frame in frames:
        shape = frame.shape
        index = shapes.get(id(shape))
        if index is None:
            index = shapes[id(shape)] = len(named)
            named.append((shape.device, tags.setdefault(shape.encoded, len(tags))))
        which.append(index)
        count = len(frame.values) // 8
        counts.append(count if frame.positions else 0)
        if frame.others:
            others.update((base + at, value) for at, value in frame.others.items())
        if frame.quality:
            quality.update((base + at, mark) for at, mark in frame.quality.items())
        if sourced:
            sources.append(frame.source_time or _no_times(count))
        base += count
    size = len(frames)
    return _encode(
        FrameBatch(
            format=FORMAT,
            epoch=epoch,
            seq=seq,
            shapes=named,
            tags=list(map(msgspec.Raw, tags)),
            frame_shape=struct.pack(f"<{size}H", *which),
            frame_time=struct.pack(f"<{size}q", *[frame.time_us for frame in frames]),
            frame_count=struct.pack(f"<{size}H", *counts),
            positions=b"".join([frame.positions for frame in frames]),
            values=b"".join([frame.values for frame in frames]),
            others=others,
            quality=quality,
            source_time=b"".join(sources),
        )
    )


def decode_batch(payload: bytes) -> FrameBatch:
    """Read a batch, compressed or not; its columns fit each other. What its samples say is not checked.

    Raises:
        FrameError: Not MessagePack, not the shape of a batch, or columns of different lengths; `OtherFormatError`: a
            batch of another version.
    """
    try:
        batch = _decoder.decode(expanded(payload))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(str(error)) from None
    if batch.format != FORMAT:
        raise OtherFormatError(f"format {batch.format} of a frame batch is not known")
    frames = len(batch.frame_time) // 8
    if not frames or frames > MOST_FRAMES or len(batch.frame_time) != 8 * frames:
        raise FrameError(f"{len(batch.frame_time)} bytes of frame times")
    if len(batch.frame_shape) != 2 * frames or len(batch.frame_count) != 2 * frames:
        raise FrameError("the columns of the frames differ in length")
    return batch


def shapes_of(batch: FrameBatch) -> list[Shape]:
    """The shapes of a batch in order; one that was read before is the same object.

    Raises:
        FrameError: One has no tags, or names a tag twice; or all together have more than `MOST_NAMED` tags.
    """
    tags = list(map(bytes, batch.tags))
    if not all(0 <= index < len(tags) for _, index in batch.shapes):
        raise FrameError("a shape has no tags")
    counts = list(map(tag_count, tags))
    if len(batch.shapes) > MOST_FRAMES or sum(counts[index] for _, index in batch.shapes) > MOST_NAMED:
        raise FrameError(f"{len(batch.shapes)} shapes; a frame batch names at most {MOST_NAMED} tags")
    return [known_shape(device, tags[index]) for device, index in batch.shapes]


def frame_columns(batch: FrameBatch) -> list[FrameColumns]:
    """The frames of a batch in order.

    Raises:
        FrameError: The columns do not fit the shapes.
    """
    shapes = shapes_of(batch)
    frames = batch.frames
    which = struct.unpack(f"<{frames}H", batch.frame_shape)
    times = struct.unpack(f"<{frames}q", batch.frame_time)
    partial = struct.unpack(f"<{frames}H", batch.frame_count)
    if max(which) >= len(shapes):
        raise FrameError("a frame has no shape")
    counts = [some or len(shapes[index].tags) for some, index in zip(partial, which, strict=True)]
    starts = [0, *accumulate(counts)]
    samples = starts[-1]
    if len(batch.values) != 8 * samples or len(batch.positions) != 2 * sum(partial):
        raise FrameError(f"{len(batch.values)} bytes of values for {samples} samples")
    if batch.source_time and len(batch.source_time) != 8 * samples:
        raise FrameError(f"{len(batch.source_time)} bytes of source times for {samples} samples")
    others = _by_frame(batch.others, starts)
    quality = _by_frame(batch.quality, starts)
    found: list[FrameColumns] = []
    at = 0
    for number, (index, time_us, some) in enumerate(zip(which, times, partial, strict=True)):
        shape, start, end = shapes[index], starts[number], starts[number + 1]
        positions = batch.positions[at : at + 2 * some]
        at += 2 * some
        if some and max(struct.unpack(f"<{some}H", positions)) >= len(shape.tags):
            raise FrameError("a sample has no tag")
        found.append(
            FrameColumns(
                shape=shape,
                time_us=time_us,
                positions=positions,
                values=batch.values[8 * start : 8 * end],
                others=others.get(number, {}),
                quality=quality.get(number, {}),
                source_time=batch.source_time[8 * start : 8 * end],
            )
        )
    return found


def samples_of(columns: FrameColumns) -> Iterator[tuple[str, Value]]:
    """Tag and value of each sample, in order. Numbers are floats, whatever their tag's type."""
    shape, others = columns.shape, columns.others
    tags = map(shape.tags.__getitem__, positions_of(columns)) if columns.positions else iter(shape.tags)
    numbers = struct.unpack(f"<{len(columns.values) // 8}d", columns.values)
    for at, (tag, number) in enumerate(zip(tags, numbers, strict=True)):
        yield tag, others.get(at) if math.isnan(number) else number


def positions_of(columns: FrameColumns) -> Sequence[int]:
    """Position in the shape of each sample, in order."""
    if not columns.positions:
        return range(len(columns.shape.tags))
    return struct.unpack(f"<{len(columns.positions) // 2}H", columns.positions)


def to_frame(columns: FrameColumns, *, epoch: str, seq: int) -> Frame:
    """The frame as JSON says it."""
    samples = dict(samples_of(columns))
    tags = list(samples)
    times = struct.unpack(f"<{len(columns.source_time) // 8}q", columns.source_time)
    return Frame(
        epoch=epoch,
        seq=seq,
        time=columns.time_us,
        samples=samples,
        quality={tags[at]: mark for at, mark in columns.quality.items()},
        source_time={tag: time_us for tag, time_us in zip(tags, times, strict=False) if time_us != NO_TIME},
    )


def frames_of(batch: FrameBatch) -> list[tuple[str, Frame]]:
    """Device path and frame, in order. Raises FrameError as `frame_columns` does."""
    return [
        (columns.shape.device, to_frame(columns, epoch=batch.epoch, seq=seq))
        for seq, columns in enumerate(frame_columns(batch), batch.seq)
    ]


def from_frame(device: str, frame: Frame, *, exact: bool = False) -> FrameColumns:
    """The columns of a frame, with a shape of its own; `exact` as in `columns_of`."""
    shape = Shape(device, list(frame.samples))
    return columns_of(shape, frame.time, frame.samples, frame.quality, frame.source_time, exact=exact)


def columns_of(
    shape: Shape,
    time_us: int,
    samples: Mapping[str, Value],
    quality: Mapping[str, Mark],
    source_time: Mapping[str, int],
    *,
    exact: bool = False,
) -> FrameColumns:
    """The columns of samples whose tags are in a shape.

    Args:
        shape: Names at least the tags of the samples; one with more than `MOST_TAGS` is replaced by their own.
        time_us: Gateway time, µs since 1970 UTC.
        samples: Value by tag; None when BAD. At least one.
        quality: Of tags that are not GOOD.
        source_time: Of tags whose device gave its own time, µs since 1970 UTC.
        exact: Integers and booleans go to `others`, so that JSON made of the columns shows them as they are.
    """
    if len(shape.tags) > MOST_TAGS:
        shape = Shape(shape.device, list(samples))
    whole = tuple(samples) == shape.tags
    positions = [] if whole else [shape.positions[tag] for tag in samples]
    numbers = values = list(samples.values())
    others: dict[int, Value] = {}
    if set(map(type, values)) != {float}:
        inside = [isinstance(value, float) or (not exact and is_double(value)) for value in values]
        others = {at: value for at, value in enumerate(values) if value is not None and not inside[at]}
        numbers = [value if one else math.nan for value, one in zip(values, inside, strict=True)]
    times = [source_time.get(tag, NO_TIME) for tag in samples] if source_time else []
    return FrameColumns(
        shape=shape,
        time_us=time_us,
        positions=struct.pack(f"<{len(positions)}H", *positions),
        values=struct.pack(f"<{len(numbers)}d", *numbers),
        others=others,
        quality={at: quality[tag] for at, tag in enumerate(samples) if tag in quality} if quality else {},
        source_time=struct.pack(f"<{len(times)}q", *times),
    )


def is_double(value: Value) -> bool:
    """Whether a 64-bit float holds the value exactly; booleans are 1 and 0."""
    if isinstance(value, float):
        return True
    return isinstance(value, int) and -EXACT <= value <= EXACT


V = TypeVar("V")


def _by_frame(entries: Mapping[int, V], starts: Sequence[int]) -> dict[int, dict[int, V]]:
    """Entries by frame, and in it by the index of the sample."""
    found: dict[int, dict[int, V]] = {}
    for at, entry in entries.items():
        if not 0 <= at < starts[-1]:
            raise FrameError(f"there is no sample {at}")
        number = bisect_right(starts, at) - 1
        found.setdefault(number, {})[at - starts[number]] = entry
    return found


def _no_times(count: int) -> bytes:
    return struct.pack("<q", NO_TIME) * count


__all__ = [
    "BATCH_BYTES",
    "EXACT",
    "FORMAT",
    "MOST_FRAMES",
    "MOST_NAMED",
    "MOST_TAGS",
    "NO_TIME",
    "FrameBatch",
    "FrameColumns",
    "Mark",
    "Shape",
    "columns_of",
    "decode_batch",
    "encode_batch",
    "frame_columns",
    "frames_of",
    "from_frame",
    "is_double",
    "positions_of",
    "samples_of",
    "shapes_of",
    "to_frame",
]
