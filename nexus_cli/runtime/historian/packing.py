"""Packs frames and samples into rows for COPY: plain numbers by column, everything else row by row."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nexus_cli.database.copy import (
    EXACT_COLUMNS,
    FULL_COLUMNS,
    PLAIN_COLUMNS,
    SOURCED_COLUMNS,
    FullRow,
    pack_exact,
    pack_full,
    pack_plain,
)
from nexus_cli.runtime.historian.dead_letters import DeadLetters, shown
from nexus_cli.runtime.historian.frame_arrays import SOURCE_LIMIT, FrameArrays
from nexus_cli.runtime.historian.mapping import UNKNOWN, NumberPart
from nexus_cli.runtime.historian.pending import AnyFrame, ArrayFrame, PendingFrame, PendingSample
from nexus_cli.runtime.historian.rows import BadValueError, full_row
from nexus_cli.wire.sample import Quality, Value

HOUR_US = 3_600_000_000
_NUMBERS = {float, int, bool}


@dataclass(slots=True)
class Block:
    """Packed rows of one class with one set of columns; `of_others` when they are external samples."""

    retention: str
    columns: Sequence[str]
    pieces: list[bytes]
    rows: int
    of_others: bool = False


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


_Arrays = tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float64]]
"""Time (µs since 1970 UTC), series and value of each row."""


class _Group:
    """Plain rows of one class: arrays of ready rows, and the values of frames that were sent as JSON."""

    __slots__ = ("arrays", "counts", "entries", "series", "sources", "times", "values")

    def __init__(self) -> None:
        self.arrays: list[_Arrays] = []
        self.entries: list[tuple[AnyFrame, NumberPart]] = []
        self.times: list[int] = []
        self.counts: list[int] = []
        self.series: list[npt.NDArray[np.int32]] = []
        self.values: list[Value] = []
        self.sources: list[npt.NDArray[np.int64] | list[int]] = []

    def joined(self) -> _Arrays:
        """All arrays as one."""
        if len(self.arrays) == 1:
            return self.arrays[0]
        times, series, values = zip(*self.arrays, strict=True)
        return np.concatenate(times), np.concatenate(series), np.concatenate(values)


class Packer:
    """Packs the rows of one batch."""

    def __init__(self, *, one_by_one: bool = False) -> None:
        """Start empty; use once. `one_by_one` packs each row separately, to find the one that the database refuses."""
        self._one_by_one = one_by_one
        self._plain: dict[str, _Group] = {}
        self._sourced: dict[str, _Group] = {}
        self._exact: dict[str, _Group] = {}
        self._full: dict[tuple[str, bool], list[bytes]] = {}
        self._hours: dict[str, set[int]] = {}
        self._letters = DeadLetters()

    def pack(self, frames: Iterable[AnyFrame], samples: Iterable[PendingSample] = ()) -> Packed:
        """Pack all rows."""
        messages: dict[int, list[ArrayFrame]] = {}
        for pending in frames:
            if isinstance(pending, PendingFrame):
                self._add(pending)
            elif self._one_by_one:
                self._slowly(pending, range(pending.points))
            else:
                messages.setdefault(id(pending.arrays), []).append(pending)
        for some in messages.values():
            self._add_arrays(some[0].arrays, some)
        packed = Packed(letters=self._letters, hours=self._hours)
        for groups, sourced in ((self._plain, False), (self._sourced, True)):
            for retention, group in groups.items():
                block = self._close(retention, group, sourced=sourced)
                if block is not None:
                    packed.blocks.append(block)
        for retention, group in self._exact.items():
            times, series, values = group.joined()
            order = _by_time(times)
            piece = pack_exact(times[order], series[order], values[order])
            packed.blocks.append(Block(retention, EXACT_COLUMNS, [piece], len(times)))
        packed.blocks += self._of_others(samples)
        packed.blocks += [
            Block(retention, FULL_COLUMNS, rows, len(rows), others) for (retention, others), rows in self._full.items()
        ]
        return packed

    def _add_arrays(self, arrays: FrameArrays, some: Sequence[ArrayFrame]) -> None:
        """Add frames of one message: regular samples by column, the others one by one."""
        regular, whole, rest = arrays.regular, arrays.whole, ~(arrays.regular | arrays.whole)
        if len(some) < len(arrays.times):
            chosen = np.zeros(len(arrays.times), dtype=np.bool_)
            chosen[[pending.number for pending in some]] = True
            inside = chosen[arrays.owner]
            regular, whole, rest = regular & inside, whole & inside, rest & inside
        if rest.any():
            frames = {pending.number: pending for pending in some}
            for at in np.flatnonzero(rest & (arrays.columns != UNKNOWN)).tolist():
                frame = int(arrays.owner[at])
                self._one_sample(frames[frame], at)
        sources = arrays.sources
        sourced = None if sources is None else (sources >= 0) & (sources < SOURCE_LIMIT)
        for number in range(len(arrays.retentions)) if len(arrays.retentions) > 1 else (0,):
            wanted = regular if len(arrays.retentions) == 1 else regular & (arrays.classes == number)
            if whole.any():
                self._gather_arrays(self._exact, arrays, number, whole & (arrays.classes == number))
            if sources is None or sourced is None:
                self._gather_arrays(self._plain, arrays, number, wanted)
                continue
            self._gather_arrays(self._plain, arrays, number, wanted & ~sourced)
            picked = wanted & sourced
            group = self._gather_arrays(self._sourced, arrays, number, picked)
            if group is not None:
                group.sources.append(sources[picked])

    def _gather_arrays(
        self, groups: dict[str, _Group], arrays: FrameArrays, number: int, wanted: npt.NDArray[np.bool_]
    ) -> _Group | None:
        if not wanted.any():
            return None
        retention = arrays.retentions[number]
        owner, series, values = arrays.owner, arrays.series, arrays.values
        if not wanted.all():
            owner, series, values = owner[wanted], series[wanted], values[wanted]
        times = arrays.times[owner]
        group = groups.setdefault(retention, _Group())
        group.arrays.append((times, series, values))
        first, last = int(times.min()) // HOUR_US, int(times.max()) // HOUR_US
        hours = {first} if first == last else np.unique(times // HOUR_US).tolist()
        self._hours.setdefault(retention, set()).update(hours)
        return group

    def _one_sample(self, pending: ArrayFrame, at: int) -> None:
        arrays = pending.arrays
        plan, place = arrays.plans[arrays.which[pending.number]].plan, int(arrays.places[at])
        target = plan.targets[place]
        if target is None:
            return
        tag, value = plan.tags[place], arrays.value(at)
        try:
            row = full_row(
                target.column,
                value,
                series_id=target.series_id,
                time_us=pending.time_us,
                quality=arrays.batch.quality.get(at),
                source_time_us=arrays.source(at),
            )
        except BadValueError as error:
            self._refuse(pending, tag, value, "type_mismatch", str(error))
            return
        self._add_full(target.retention, row, pending=pending, tag=tag, value=value)

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
                group.sources.append(list(map(sources.__getitem__, plan.tags)))
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
    def _gather(groups: dict[str, _Group], pending: PendingFrame, part: NumberPart, values: Iterable[Value]) -> _Group:
        group = groups.setdefault(part.retention, _Group())
        group.entries.append((pending, part))
        group.times.append(pending.frame.time)
        group.counts.append(len(part.series))
        group.series.append(part.series)
        group.values.extend(values)
        return group

    def _close(self, retention: str, group: _Group, *, sourced: bool) -> Block | None:
        """The block of a group. When a value of a JSON frame is not a number, all of those are packed row by row."""
        # One conversion per class and batch; only a group with a bad value pays for looking at single rows.
        arrays = group.arrays
        of_arrays = [each for each in group.sources if not isinstance(each, list)]
        said = [time_us for each in group.sources if isinstance(each, list) for time_us in each]
        values, times_said = _numbers(group.values), _source_times(said)
        if values is None or times_said is None:
            for pending, part in group.entries:
                self._slowly(pending, range(len(pending.plan.tags)) if part.positions is None else part.positions)
        elif len(values):
            times = np.repeat(np.array(group.times, dtype=np.int64), group.counts)
            arrays.append((times, np.concatenate(group.series), values))
            of_arrays.append(times_said)
            self._hours.setdefault(retention, set()).update(time // HOUR_US for time in group.times)
        if not arrays:
            return None
        times, series, numbers = group.joined()
        order = _by_time(times)
        sources = np.concatenate(of_arrays)[order] if sourced else None
        rows = pack_plain(times[order], series[order], numbers[order], source_us=sources)
        return Block(retention, SOURCED_COLUMNS if sourced else PLAIN_COLUMNS, [rows], len(times))

    def _of_others(self, samples: Iterable[PendingSample]) -> list[Block]:
        """The blocks of external samples that are plain numbers; the rest is packed row by row."""
        plain: dict[str, list[FullRow]] = {}
        for sample in samples:
            row = sample.row
            if row.value is None or row.exact is not None or row.quality != Quality.GOOD or row.status is not None:
                self._add_full(sample.retention, row, sample=sample)
            else:
                plain.setdefault(sample.retention, []).append(row)
        blocks = []
        for retention, rows in plain.items():
            times, series, values, *_ = zip(*rows, strict=True)
            times_us = np.array(times, dtype=np.int64)
            order = _by_time(times_us)
            piece = pack_plain(
                times_us[order],
                np.array(series, dtype=np.int32)[order],
                np.array(values, dtype=np.float64)[order],
            )
            blocks.append(Block(retention, PLAIN_COLUMNS, [piece], len(rows), of_others=True))
            self._hours.setdefault(retention, set()).update(np.unique(times_us // HOUR_US).tolist())
        return blocks

    def _slowly(self, pending: AnyFrame, positions: Iterable[int]) -> None:
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
                self._refuse(pending, tag, value, "type_mismatch", str(error))
                continue
            self._add_full(target.retention, row, pending=pending, tag=tag, value=value)

    def _add_full(
        self,
        retention: str,
        row: FullRow,
        *,
        pending: AnyFrame | None = None,
        tag: str = "",
        value: Value = None,
        sample: PendingSample | None = None,
    ) -> None:
        try:
            packed = pack_full(row)
        except (ValueError, OverflowError, struct.error) as error:
            if pending is not None:
                self._refuse(pending, tag, value, "not_storable", str(error))
            elif sample is not None:
                self._letters.add(sample.topic, "not_storable", detail=str(error), payload=sample.payload)
            return
        self._full.setdefault((retention, sample is not None), []).append(packed)
        self._hours.setdefault(retention, set()).add(row.time_us // HOUR_US)

    def _refuse(self, pending: AnyFrame, tag: str, value: Value, reason: str, detail: str) -> None:
        part = {
            "tag": tag,
            "value": value,
            "time": pending.time_us,
            "epoch": pending.key.epoch,
            "seq": pending.seq,
        }
        self._letters.add(f"{pending.topic}/{tag}", reason, detail=detail, payload=shown(part))

    def _unknown(self, pending: PendingFrame) -> None:
        unknown = pending.plan.unknown
        if unknown:
            frame = pending.frame
            part = {"samples": {tag: frame.samples[tag] for tag in unknown}, "time": frame.time, "seq": frame.seq}
            names = ", ".join(unknown[:5]) + (" …" if len(unknown) > 5 else "")
            detail = f"no series for: {names}"
            self._letters.add(pending.topic, "unknown_series", detail=detail, payload=shown(part), count=len(unknown))


def _by_time(times_us: npt.NDArray[np.int64]) -> npt.NDArray[np.intp] | slice:
    """The order of rows by time: the key begins with it, so that rows are appended to the index instead of spread.

    The messages of several gateways overlap in time; each alone is in order, which a stable sort only has to merge.
    """
    if np.all(times_us[1:] >= times_us[:-1]):
        return slice(None)
    return np.argsort(times_us, kind="stable")


def _numbers(values: list[Value]) -> npt.NDArray[np.float64] | None:
    """The values as doubles, or None when one of them is not a finite number that a double can hold."""
    # Exact types: a text or a nested value in a numeric series must not be converted silently.
    if not _NUMBERS.issuperset(map(type, values)):
        return None
    try:
        made = np.fromiter(values, dtype=np.float64, count=len(values))
    except OverflowError:
        return None
    return made if np.isfinite(made).all() else None


def _source_times(times: list[int]) -> npt.NDArray[np.int64] | None:
    """The times as integers, or None when one is out of range."""
    try:
        made = np.fromiter(times, dtype=np.int64, count=len(times))
    except OverflowError:
        return None
    return None if len(made) and (made.min() < 0 or made.max() >= SOURCE_LIMIT) else made


__all__ = ["HOUR_US", "Block", "Packed", "Packer"]
