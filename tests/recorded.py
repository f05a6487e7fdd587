"""Where samples go in tests of a gateway: an outbox and a live view in memory, and a pipeline into them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from nexus_cli.runtime.clock import Clock, RisingTime
from nexus_cli.runtime.gateway.devices.absence import Absence
from nexus_cli.runtime.gateway.devices.cycle import Cycle
from nexus_cli.runtime.gateway.devices.tag_table import Positions, TagTable
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.wire.frame_batch import FrameColumns, to_frame
from nexus_cli.wire.topic import Topics

TOPICS = Topics("acme", "chicago")


class RecordedFrame(NamedTuple):
    """A frame as the outbox got it; `quality` holds the tags that are not GOOD."""

    device: str
    time_us: int
    samples: Mapping[str, Any]
    quality: Mapping[str, Any]


class Told(NamedTuple):
    """The samples of a cycle, by tag; `quality` and `source_time` hold what is not GOOD, and what has a time."""

    samples: dict[str, Any]
    quality: dict[str, tuple[str, str | None, int]]
    source_time: dict[str, int]


def told(cycle: Cycle) -> Told:
    """What a cycle says now; the next cycle of its device changes it."""
    if cycle.table is None or not cycle:
        return Told({}, {}, {})
    frame = to_frame(cycle.table.columns(cycle.positions(), cycle.time_us, exact=True), epoch="", seq=0)
    return Told(frame.samples, frame.quality, frame.source_time)


class Recorded:
    """Outbox and live view.

    Attributes:
        frames: In the order in which they came.
        rows: Time (µs since 1970 UTC) and value of each row, by path of the tag, in the order of the frames.
        marks: Value, quality and code of the protocol of each row, by path of the tag.
        gaps: Device, start and end (µs since 1970 UTC), and reason.
        shown: Newest time (µs since 1970 UTC) and value by path of the tag.
        forgotten: Topics of tags that are gone.
        full: The outbox takes no frame.
        json_frames: As of the outbox: integers and booleans come as they are.
    """

    def __init__(self) -> None:
        self.frames: list[RecordedFrame] = []
        self.rows: dict[str, list[tuple[int, Any]]] = {}
        self.marks: dict[str, list[tuple[Any, str, int]]] = {}
        self.gaps: list[tuple[str, int, int, str]] = []
        self.shown: dict[str, tuple[int, Any]] = {}
        self.forgotten: list[str] = []
        self.full = False
        self.json_frames = True

    def add_frame(self, columns: FrameColumns) -> bool:
        """Take a frame."""
        if self.full:
            return False
        device, frame = columns.shape.device, to_frame(columns, epoch="", seq=0)
        self.frames.append(RecordedFrame(device, frame.time, frame.samples, frame.quality))
        for name, value in frame.samples.items():
            self.rows.setdefault(f"{device}/{name}", []).append((frame.time, value))
            mark, _, code = frame.quality.get(name, ("GOOD", None, 0))
            self.marks.setdefault(f"{device}/{name}", []).append((value, mark, code))
        return True

    def add_gap(self, *, device: str, start_us: int, end_us: int, frames: int, reason: Any) -> None:
        """Take a gap."""
        self.gaps.append((device, start_us, end_us, str(reason)))

    def put(self, table: TagTable, positions: Positions | None) -> None:
        """Show values."""
        for state in table.states if positions is None else map(table.state, positions.tolist()):
            self.shown[state.path] = state.time_us, state.value

    def forget(self, topic: str) -> None:
        """A tag is gone."""
        self.forgotten.append(topic)

    def clear(self) -> None:
        """As when nothing had been recorded."""
        self.frames.clear()
        self.rows.clear()
        self.marks.clear()
        self.gaps.clear()
        self.shown.clear()

    def values(self, path: str) -> list[Any]:
        """Values of each row of a tag, in the order of the frames."""
        return [value for _, value in self.rows.get(path, [])]

    def of(self, device: str) -> list[RecordedFrame]:
        """The frames of a device."""
        return [one for one in self.frames if one.device == device]


def pipeline_into(recorded: Recorded, clock: Clock) -> Pipeline:
    """A pipeline whose frames, values and gaps end here."""
    return Pipeline(
        topics=TOPICS,
        outbox=recorded,  # type: ignore[arg-type]
        live=recorded,  # type: ignore[arg-type]
        time=RisingTime(clock),
        absence=Absence(clock=clock, add_gap=recorded.add_gap),
    )
