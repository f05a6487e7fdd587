"""A reader with known series, for tests of frame batches: what a message becomes, as rows and letters."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from nexus_cli.database.copy import PG_EPOCH_US
from nexus_cli.runtime.historian.assignments import FOREVER_US, Assignments
from nexus_cli.runtime.historian.batch import Batch
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.mapping import SeriesMap, Target
from nexus_cli.runtime.historian.packing import Packed, Packer
from nexus_cli.runtime.historian.reading import Reader
from nexus_cli.runtime.historian.rows import Column
from nexus_cli.runtime.historian.time_bounds import PROBATION_S, TimeBounds
from nexus_cli.wire.frame import Frame, encode
from nexus_cli.wire.frame_batch import FrameColumns, Shape, encode_batch, from_frame
from nexus_cli.wire.message import Message
from nexus_cli.wire.topic import Topics
from tests.clock import FakeClock
from tests.unit.database.test_copy_rows import fields

TOPICS = Topics("acme", "chicago")
GATEWAY, EPOCH = "gw", "E"
TAGS = {
    "number": Column.NUMBER,
    "slow-number": Column.NUMBER,
    "exact": Column.EXACT,
    "text": Column.TEXT,
    "json": Column.JSON,
}
OURS, FOREIGN = "a/l/d", "a/l/foreign"
DEVICES = (OURS, "a/l/e", FOREIGN)
Row = tuple[str, str, str]
"""Class, columns without NULL and their bytes: comparable, whatever way they were packed."""


class Found(NamedTuple):
    """What messages became."""

    custody: Counter[tuple[int, int]]
    rows: Counter[Row]
    letters: dict[tuple[str, str], int]


class Bench:
    """A reader whose gateway `gw` reads all devices but the foreign one, now at `now_us`."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.series = SeriesMap(site="acme/chicago")
        self.series._targets = {
            f"{device}/{tag}": Target(number * 10 + at, "slow" if tag.startswith("slow") else "fast", column)
            for number, device in enumerate(DEVICES, 1)
            for at, (tag, column) in enumerate(TAGS.items())
        }
        self.assignments = Assignments(site="acme/chicago")
        self.assignments._until_us = {(GATEWAY, device): FOREVER_US for device in DEVICES if device != FOREIGN}
        self.bounds = TimeBounds(clock=self.clock)
        self.reader = Reader(
            topics=TOPICS, series=self.series, assignments=self.assignments, bounds=self.bounds, counters=Counters()
        )

    @property
    def now_us(self) -> int:
        """The time of the clock, µs since 1970 UTC."""
        return self.clock.now_us()

    def believe_no_future(self) -> None:
        """Let the gateway seem ahead for so long that its frames from the future are refused, not held."""
        ahead_us = self.now_us + 3_600_000_000
        self.bounds.classify(GATEWAY, ahead_us)
        self.clock.advance(PROBATION_S)
        self.bounds.classify(GATEWAY, ahead_us)
        self.bounds.classify(GATEWAY, self.now_us)

    def take(self, messages: Iterable[Message]) -> Batch:
        """A batch of some messages, with the state up to date."""
        batch = Batch()
        for message in messages:
            self.reader.take(batch, message, final=True)
        return batch

    def found(self, messages: Iterable[Message], *, one_by_one: bool = False) -> Found:
        """Custody, rows and letters of some messages."""
        batch = self.take(messages)
        packed = Packer(one_by_one=one_by_one).pack(batch.frames)
        letters = batch.letters
        letters.merge(packed.letters)
        letters.refuse(batch.refusals())
        custody = Counter((pending.seq, pending.time_us) for pending in batch.frames)
        return Found(custody, Counter(rows(packed)), {key: letter.count for key, letter in letters.items()})


def rows(packed: Packed) -> Iterable[Row]:
    """Every row."""
    for block in packed.blocks:
        data = b"".join(block.pieces)
        count = 0
        while data:
            values, data = fields(data)
            named = dict(zip(block.columns, values, strict=True))
            count += 1
            shown = {name: _plain(name, value) for name, value in named.items() if value is not None}
            yield block.retention, " ".join(sorted(shown)), " ".join(shown[name] for name in sorted(shown))
        assert count == block.rows


def _plain(name: str, value: bytes) -> str:
    """A field's value; a `numeric` by its digits, without leading and trailing zeros."""
    if name == "value_exact":
        count, weight, sign, _ = struct.unpack_from(">hhHh", value)
        digits = struct.unpack_from(f">{count}h", value, 8)
        number = sum(digit * 10_000 ** (weight - at) for at, digit in enumerate(digits))
        return str(-number if sign else number)
    if name in ("time", "source_time"):
        return str(struct.unpack(">q", value)[0] + PG_EPOCH_US)
    return str(struct.unpack(">d", value)[0] + 0.0) if name == "value" else value.hex()


def json_messages(frames: Mapping[int, tuple[str, Frame]]) -> list[Message]:
    """Frames by number as JSON."""
    return [Message(TOPICS.data(GATEWAY, device), encode(frame), 1, False) for device, frame in frames.values()]


def batch_message(frames: Mapping[int, tuple[str, Frame]], *, whole: bool = False) -> Message:
    """Frames by number as one frame batch; with `whole`, frames of a device share a shape and have positions in it."""
    shapes = {device: _shape(device, frames) for device, _ in frames.values()} if whole else {}
    columns = [
        within(shapes[device], from_frame(device, frame)) if whole else from_frame(device, frame)
        for device, frame in frames.values()
    ]
    return Message(TOPICS.batches(GATEWAY), encode_batch(columns, epoch=EPOCH, seq=min(frames)), 1, False)


def _shape(device: str, frames: Mapping[int, tuple[str, Frame]]) -> Shape:
    names = {tag: None for owner, frame in frames.values() if owner == device for tag in frame.samples}
    return Shape(device, [*reversed(names)])


def within(shape: Shape, columns: FrameColumns) -> FrameColumns:
    """The same frame in a wider shape."""
    places = [shape.tags.index(tag) for tag in columns.shape.tags]
    return columns._replace(shape=shape, positions=struct.pack(f"<{len(places)}H", *places))
