"""What a batch holds: frames, gaps and reports with their custody, and external samples."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from nexus_cli.database.committed import OutboxKey
from nexus_cli.database.copy import FullRow
from nexus_cli.runtime.historian.dead_letters import Refusal
from nexus_cli.runtime.historian.frame_arrays import FrameArrays
from nexus_cli.runtime.historian.mapping import FramePlan
from nexus_cli.wire.command import Report
from nexus_cli.wire.frame import Frame, Gap


class PendingFrame(NamedTuple):
    """A frame to store; a refused one has no samples. `size_bytes` is that of its message, or its share of one."""

    key: OutboxKey
    topic: str
    frame: Frame
    plan: FramePlan
    refusal: Refusal | None = None
    size_bytes: int = 0

    @property
    def seq(self) -> int:
        """Its number."""
        return self.frame.seq

    @property
    def time_us(self) -> int:
        """Its time, which distinguishes it from another item with the same number."""
        return self.frame.time

    @property
    def points(self) -> int:
        """How many samples it has."""
        return len(self.frame.samples)


class ArrayFrame(NamedTuple):
    """A frame of a batch to store: `number` is its index in the arrays. All of its tags have series."""

    key: OutboxKey
    seq: int
    time_us: int
    points: int
    batches: str
    arrays: FrameArrays
    number: int

    @property
    def topic(self) -> str:
        """The topic that a frame of its device has."""
        return f"{self.batches}/{self.arrays.device(self.number)}"

    @property
    def refusal(self) -> None:
        """None: a refused frame is a `PendingFrame`."""

    @property
    def frame(self) -> Frame:
        """It, as JSON says it."""
        return self.arrays.frame(self.number)

    @property
    def plan(self) -> FramePlan:
        """How it is stored sample by sample."""
        return self.arrays.plan(self.number)


class PendingGap(NamedTuple):
    """A gap to record; `claimed_us` is the end that its gateway sent, if that is not usable."""

    key: OutboxKey
    gap: Gap
    refusal: Refusal | None = None
    claimed_us: int | None = None

    @property
    def seq(self) -> int:
        """Its number."""
        return self.gap.seq

    @property
    def time_us(self) -> int:
        """Its time, which distinguishes it from another item with the same number."""
        return self.gap.end if self.claimed_us is None else self.claimed_us


class PendingReport(NamedTuple):
    """A command's report to record; `claimed_us` as in a gap."""

    key: OutboxKey
    report: Report
    refusal: Refusal | None = None
    claimed_us: int | None = None

    @property
    def seq(self) -> int:
        """Its number."""
        return self.report.seq

    @property
    def time_us(self) -> int:
        """Its time, which distinguishes it from another item with the same number."""
        return self.report.response.time if self.claimed_us is None else self.claimed_us


AnyFrame: TypeAlias = PendingFrame | ArrayFrame
Pending: TypeAlias = AnyFrame | PendingGap | PendingReport


class PendingSample(NamedTuple):
    """An external sample to store."""

    topic: str
    retention: str
    row: FullRow
    payload: bytes
