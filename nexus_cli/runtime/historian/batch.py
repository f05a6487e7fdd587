"""A batch for the database: frames, gaps and reports with their custody, external samples, and the packed rows."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np

from nexus_cli.database.committed import OutboxKey
from nexus_cli.database.copy import (
    FULL_COLUMNS,
    PLAIN_COLUMNS,
    SOURCED_COLUMNS,
    FullRow,
    pack_full,
    pack_plain,
)
from nexus_cli.runtime.historian.dead_letters import DeadLetters, Refusal, shown
from nexus_cli.runtime.historian.mapping import FramePlan, NumberPart
from nexus_cli.runtime.historian.rows import BadValueError, full_row
from nexus_cli.wire.command import Report
from nexus_cli.wire.frame import Frame, Gap

DAY_US, HOUR_US = 86_400_000_000, 3_600_000_000
_NUMBERS = {float, int, bool}
_SOURCE_LIMIT = 1 << 60


class PendingFrame(NamedTuple):
    """A frame to store; a refused one has no samples."""

    key: OutboxKey
    topic: str
    frame: Frame
    plan: FramePlan
    refusal: Refusal | None = None

    @property
    def seq(self) -> int:
        """Its number."""
        return self.frame.seq

    @property
    def time_us(self) -> int:
        """Its time, which distinguishes it from another item with the same number."""
        return self.frame.time


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


Pending: TypeAlias = PendingFrame | PendingGap | PendingReport


class PendingSample(NamedTuple):
    """An external sample to store."""

    topic: str
    retention: str
    row: FullRow
    payload: bytes


@dataclass(slots=True)
class Block:
    """Packed rows of one class with one set of columns."""

    retention: str
    columns: Sequence[str]
    pieces: list[bytes]
    rows: int


@dataclass(slots=True)
class Packed:
    """Everything a transaction writes into sample tables.

    Attributes:
        blocks: Rows to COPY.
        letters: Dead letters of samples that could not be packed.
        hours: Hours since 1970 that the rows of each class touch, for the rollups and the partitions.
    """

    blocks: list[Block] = field(default_factory=list)
    letters: DeadLetters = field(default_factory=DeadLetters)
    hours: dict[str, set[int]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(block.rows for block in self.blocks)


@dataclass(slots=True)
class Batch:
    """The content of one transaction.

    Attributes:
        frames: In order of arrival.
        gaps: In order of arrival.
        reports: Of commands, in order of arrival.
        samples: External samples; they have no numbers, so a batch with any goes through a staging table.
        letters: Dead letters of messages that could not be decoded.
        points: Number of samples, for the limit of a batch.
        packed: The packed rows of exactly `frames` and `samples`, if made in advance.
    """

    frames: list[PendingFrame] = field(default_factory=list)
    gaps: list[PendingGap] = field(default_factory=list)
    reports: list[PendingReport] = field(default_factory=list)
    samples: list[PendingSample] = field(default_factory=list)
    letters: DeadLetters = field(default_factory=DeadLetters)
    points: int = 0
    packed: Packed | None = None

    @property
    def empty(self) -> bool:
        """True when there is nothing to store."""
        return not (self.frames or self.gaps or self.reports or self.samples or len(self.letters))

    def outboxes(self) -> list[OutboxKey]:
        """The outboxes from which it takes custody, sorted."""
        others = {pending.key for pending in self.gaps} | {pending.key for pending in self.reports}
        return sorted({pending.key for pending in self.frames} | others)

    def refusals(self) -> list[tuple[OutboxKey, Refusal]]:
        """The refused items with their outboxes, in order of arrival."""
        return [(each.key, each.refusal) for each in self.numbered() if each.refusal is not None]

    def numbered(self) -> list[Pending]:
        """All numbered items, in order of arrival."""
        return [*self.frames, *self.gaps, *self.reports]


class _Group:
    """Plain rows of one class, collected by frame."""

    __slots__ = ("counts", "entries", "series", "sources", "times", "values")

    def __init__(self) -> None:
        self.entries: list[tuple[PendingFrame, NumberPart]] = []
        self.times: list[int] = []
        self.counts: list[int] = []
        self.series: list[np.ndarray] = []
        self.values: list[object] = []
        self.sources: list[int] = []


class Packer:
    """Packs frames: plain numbers by column, everything else row by row."""

    def __init__(self, *, one_by_one: bool = False) -> None:
        """Start empty; use once. `one_by_one` packs each row separately, to find the one that the database refuses."""
        self._one_by_one = one_by_one
        self._plain: dict[str, _Group] = {}
        self._sourced: dict[str, _Group] = {}
        self._full: dict[str, list[bytes]] = {}
        self._hours: dict[str, set[int]] = {}
        self._letters = DeadLetters()

    def pack(self, frames: Iterable[PendingFrame], samples: Iterable[PendingSample] = ()) -> Packed:
        """Pack all rows."""
        for pending in frames:
            self._add(pending)
        for sample in samples:
            self._add_full(sample.retention, sample.row, sample.topic, sample.payload)
        packed = Packed(letters=self._letters, hours=self._hours)
        for groups, sourced in ((self._plain, False), (self._sourced, True)):
            for retention, group in groups.items():
                block = self._close(retention, group, sourced=sourced)
                if block is not None:
                    packed.blocks.append(block)
        for retention, rows in self._full.items():
            packed.blocks.append(Block(retention, FULL_COLUMNS, rows, len(rows)))
        return packed

    def _add(self, pending: PendingFrame) -> None:
        frame, plan = pending.frame, pending.plan
        part = plan.plain
        if self._one_by_one:
            pass
        elif part is not None and not frame.quality:
            sources = frame.source_time
            if not sources:
                self._gather(self._plain, pending, part, frame.samples.values())
                return
            if sources.keys() == frame.samples.keys():
                group = self._gather(self._sourced, pending, part, frame.samples.values())
                group.sources.extend(map(sources.__getitem__, plan.tags))
                return
        elif not frame.quality and not frame.source_time:
            values = list(frame.samples.values())
            for some in plan.numbers:
                chosen = values if some.positions is None else [values[at] for at in some.positions]
                self._gather(self._plain, pending, some, chosen)
            self._slowly(pending, plan.others)
            self._unknown(pending)
            return
        self._slowly(pending, range(len(plan.tags)))
        self._unknown(pending)

    @staticmethod
    def _gather(groups: dict[str, _Group], pending: PendingFrame, part: NumberPart, values: Iterable[object]) -> _Group:
        group = groups.get(part.retention)
        if group is None:
            group = groups[part.retention] = _Group()
        group.entries.append((pending, part))
        group.times.append(pending.frame.time)
        group.counts.append(len(part.series))
        group.series.append(part.series)
        group.values.extend(values)
        return group

    def _close(self, retention: str, group: _Group, *, sourced: bool) -> Block | None:
        """The block of a group; None when a value is not a number, then its frames are packed row by row."""
        # One conversion per class and batch; only a group with a bad value pays for looking at single rows.
        values = _numbers(group.values)
        sources = _source_times(group.sources) if sourced else None
        if values is None or (sourced and sources is None):
            for pending, part in group.entries:
                self._slowly(pending, range(len(pending.plan.tags)) if part.positions is None else part.positions)
            return None
        times = np.repeat(np.array(group.times, dtype=np.int64), group.counts)
        rows = pack_plain(times, np.concatenate(group.series), values, source_us=sources)
        self._hours.setdefault(retention, set()).update(time // HOUR_US for time in group.times)
        return Block(retention, SOURCED_COLUMNS if sourced else PLAIN_COLUMNS, [rows], len(values))

    def _slowly(self, pending: PendingFrame, positions: Iterable[int]) -> None:
        frame, plan = pending.frame, pending.plan
        for at in positions:
            target, tag = plan.targets[at], plan.tags[at]
            if target is None:
                continue
            value = frame.samples[tag]
            try:
                row = full_row(
                    target.column,
                    value,
                    series_id=target.series_id,
                    time_us=frame.time,
                    quality=frame.quality.get(tag),
                    source_time_us=frame.source_time.get(tag),
                )
            except BadValueError as error:
                self._refuse(pending, tag, "type_mismatch", str(error))
                continue
            self._add_full(target.retention, row, pending.topic, b"", pending=pending, tag=tag)

    def _add_full(
        self,
        retention: str,
        row: FullRow,
        topic: str,
        payload: bytes,
        *,
        pending: PendingFrame | None = None,
        tag: str = "",
    ) -> None:
        try:
            packed = pack_full(row)
        except (ValueError, OverflowError, struct.error) as error:
            if pending is not None:
                self._refuse(pending, tag, "not_storable", str(error))
            else:
                self._letters.add(topic, "not_storable", detail=str(error), payload=payload)
            return
        self._full.setdefault(retention, []).append(packed)
        self._hours.setdefault(retention, set()).add(row.time_us // HOUR_US)

    def _refuse(self, pending: PendingFrame, tag: str, reason: str, detail: str) -> None:
        frame = pending.frame
        part = {"tag": tag, "value": frame.samples[tag], "time": frame.time, "epoch": frame.epoch, "seq": frame.seq}
        self._letters.add(f"{pending.topic}/{tag}", reason, detail=detail, payload=shown(part))

    def _unknown(self, pending: PendingFrame) -> None:
        unknown = pending.plan.unknown
        if unknown:
            frame = pending.frame
            part = {"samples": {tag: frame.samples[tag] for tag in unknown}, "time": frame.time, "seq": frame.seq}
            names = ", ".join(unknown[:5]) + (" …" if len(unknown) > 5 else "")
            detail = f"no series for: {names}"
            self._letters.add(pending.topic, "unknown_series", detail=detail, payload=shown(part), count=len(unknown))


def _numbers(values: list[object]) -> np.ndarray | None:
    """The values as doubles, or None when one of them is not a number that a double can hold."""
    # Exact types: a text or a nested value in a numeric series must not be converted silently.
    if not _NUMBERS.issuperset(map(type, values)):
        return None
    try:
        return np.fromiter(values, dtype=np.float64, count=len(values))
    except OverflowError:
        return None


def _source_times(times: list[int]) -> np.ndarray | None:
    """The times as integers, or None when one is out of range."""
    try:
        made = np.fromiter(times, dtype=np.int64, count=len(times))
    except OverflowError:
        return None
    return None if len(made) and (made.min() < 0 or made.max() >= _SOURCE_LIMIT) else made
