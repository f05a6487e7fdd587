"""A frame batch as arrays: its columns checked and mapped to series at once, its frames distinguished only by index.

Values stay in the message's buffers until they are packed for COPY. The checks cost some array operations a message,
whatever the number of frames, and memory in proportion to the payload.

See docs/decisions/0060.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nexus_cli.runtime.historian.mapping import UNKNOWN, FramePlan, SeriesMap, ShapePlan
from nexus_cli.runtime.historian.rows import Column
from nexus_cli.wire.frame import Frame, FrameError
from nexus_cli.wire.frame_batch import (
    EXACT,
    NO_TIME,
    FrameBatch,
    FrameColumns,
    Shape,
    decode_batch,
    shapes_of,
    to_frame,
)
from nexus_cli.wire.sample import Value

MOST_BYTES = 4 * 1024 * 1024
"""A larger payload is refused: a frame of 65,535 tags with long names is half as large."""
SOURCE_LIMIT = 1 << 60
"""A device's own time from here on, or before 1970, is no time; the sample is stored without it."""


@dataclass(slots=True, eq=False)
class FrameArrays:
    """The frames of one message. Arrays are per frame, or per sample in the order of the frames.

    Attributes:
        batch: The message.
        size_bytes: Of its payload.
        shapes: Its shapes.
        plans: One per shape.
        which: Index of each frame's shape.
        times: Gateway time of each frame, µs since 1970 UTC.
        starts: First sample of each frame, and the end of the last one.
        owner: The frame of each sample.
        places: Position of each sample in its shape.
        values: Number of each sample; NaN where it has none, or `batch.others` has it.
        sources: The device's own time of each sample, or None.
        series: Series id of each sample; 0 when it has none.
        columns: `Column` of each sample's series, or `UNKNOWN`.
        classes: Retention class of each sample, an index in `retentions`.
        regular: Samples that are plain GOOD numbers of a number's series.
        whole: Samples that are GOOD whole numbers of a 64-bit series, without a time of the device.
        retentions: Names of the classes.
    """

    batch: FrameBatch
    size_bytes: int
    shapes: list[Shape]
    plans: list[ShapePlan]
    which: npt.NDArray[np.intp]
    times: npt.NDArray[np.int64]
    starts: npt.NDArray[np.intp]
    owner: npt.NDArray[np.intp]
    places: npt.NDArray[np.intp]
    values: npt.NDArray[np.float64]
    sources: npt.NDArray[np.int64] | None
    series: npt.NDArray[np.int32]
    columns: npt.NDArray[np.int8]
    classes: npt.NDArray[np.int16]
    regular: npt.NDArray[np.bool_]
    whole: npt.NDArray[np.bool_]
    retentions: Sequence[str]

    def value(self, sample: int) -> Value:
        """The value of a sample."""
        number = float(self.values[sample])
        return self.batch.others.get(sample) if number != number else number

    def source(self, sample: int) -> int | None:
        """The device's own time of a sample, µs since 1970 UTC."""
        if self.sources is None or self.sources[sample] == NO_TIME:
            return None
        return int(self.sources[sample])

    def device(self, frame: int) -> str:
        """The device path of a frame."""
        return self.shapes[int(self.which[frame])].device

    def samples(self, frame: int) -> int:
        """How many samples a frame has."""
        return int(self.starts[frame + 1] - self.starts[frame])

    def frame(self, frame: int) -> Frame:
        """A frame as JSON says it."""
        start, end, batch = int(self.starts[frame]), int(self.starts[frame + 1]), self.batch
        columns = FrameColumns(
            shape=self.shapes[self.which[frame]],
            time_us=int(self.times[frame]),
            positions=self.places[start:end].astype("<u2").tobytes(),
            values=self.values[start:end].tobytes(),
            others={at - start: batch.others[at] for at in range(start, end) if at in batch.others},
            quality={at - start: batch.quality[at] for at in range(start, end) if at in batch.quality},
            source_time=batch.source_time[8 * start : 8 * end],
        )
        return to_frame(columns, epoch=batch.epoch, seq=batch.seq + frame)

    def plan(self, frame: int) -> FramePlan:
        """How a frame is stored sample by sample."""
        whole = self.plans[self.which[frame]].plan
        places = self.places[self.starts[frame] : self.starts[frame + 1]].tolist()
        targets = tuple(whole.targets[at] for at in places)
        known = tuple(at for at, target in enumerate(targets) if target is not None)
        return FramePlan(tuple(whole.tags[at] for at in places), targets, (), known, (), None)


def read_arrays(payload: bytes, series: SeriesMap) -> FrameArrays:
    """Read and map a frame batch.

    Raises:
        FrameError: The message as a whole can't be read, or its columns do not fit each other.
    """
    if len(payload) > MOST_BYTES:
        raise FrameError(f"{len(payload)} bytes; a frame batch has at most {MOST_BYTES}")
    batch = decode_batch(payload)
    shapes = shapes_of(batch)
    which = np.frombuffer(batch.frame_shape, dtype="<u2").astype(np.intp)
    partial = np.frombuffer(batch.frame_count, dtype="<u2").astype(np.intp)
    if which.max() >= len(shapes):
        raise FrameError("a frame has no shape")
    sizes = np.array([len(shape.tags) for shape in shapes], dtype=np.intp)
    counts = np.where(partial == 0, sizes[which], partial)
    starts = np.zeros(len(counts) + 1, dtype=np.intp)
    np.cumsum(counts, out=starts[1:])
    samples = int(starts[-1])
    if len(batch.values) != 8 * samples or len(batch.positions) != 2 * int(partial.sum()):
        raise FrameError(f"{len(batch.values)} bytes of values for {samples} samples")
    if batch.source_time and len(batch.source_time) != 8 * samples:
        raise FrameError(f"{len(batch.source_time)} bytes of source times for {samples} samples")
    owner = np.repeat(np.arange(len(counts), dtype=np.intp), counts)
    places = np.arange(samples, dtype=np.intp) - starts[owner]
    if batch.positions:
        places[(partial != 0)[owner]] = np.frombuffer(batch.positions, dtype="<u2")
        if np.any(places >= sizes[which][owner]):
            raise FrameError("a sample has no tag")
    marked = _entries(batch, samples)
    plans = [series.shape_plan(shape) for shape in shapes]
    index = places + (np.cumsum(sizes) - sizes)[which][owner]
    columns = np.concatenate([plan.columns for plan in plans])[index]
    values = np.frombuffer(batch.values, dtype="<f8")
    good = np.isfinite(values)
    good[marked] = False
    sources = np.frombuffer(batch.source_time, dtype="<i8") if batch.source_time else None
    whole = (columns == Column.EXACT) & good
    if whole.any():
        whole &= (np.abs(values) <= EXACT) & (values == np.floor(values))
        if sources is not None:
            whole &= sources == NO_TIME
    return FrameArrays(
        batch=batch,
        size_bytes=len(payload),
        shapes=shapes,
        plans=plans,
        which=which,
        times=np.frombuffer(batch.frame_time, dtype="<i8"),
        starts=starts,
        owner=owner,
        places=places,
        values=values,
        sources=sources,
        series=np.concatenate([plan.series for plan in plans])[index],
        columns=columns,
        classes=np.concatenate([plan.classes for plan in plans])[index],
        regular=(columns == Column.NUMBER) & good,
        whole=whole,
        retentions=series.retentions,
    )


def odd_frames(arrays: FrameArrays) -> npt.NDArray[np.bool_]:
    """Frames with a sample that has no series, or with a tag twice: they are looked at one by one."""
    odd = np.zeros(len(arrays.times), dtype=np.bool_)
    unknown = arrays.columns == UNKNOWN
    if unknown.any():
        odd[arrays.owner[unknown]] = True
    return odd | twice(arrays)


def twice(arrays: FrameArrays) -> npt.NDArray[np.bool_]:
    """Frames that name a tag more than once. A frame with tags in their order costs one comparison."""
    found = np.zeros(len(arrays.times), dtype=np.bool_)
    if not arrays.batch.positions:
        return found
    keys = (arrays.owner << 16) | arrays.places
    if len(keys) and np.any(keys[1:] <= keys[:-1]):
        keys.sort()
        found[keys[1:][keys[1:] == keys[:-1]] >> 16] = True
    return found


def _entries(batch: FrameBatch, samples: int) -> list[int]:
    """The samples with a quality mark; those and the indices of other values must exist."""
    for entries in (batch.others, batch.quality):
        if entries and not (min(entries) >= 0 and max(entries) < samples):
            raise FrameError("a value or a quality of a sample that does not exist")
    return list(batch.quality)


__all__ = ["FrameArrays", "odd_frames", "read_arrays", "twice"]
