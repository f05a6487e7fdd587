"""One answer's numbers through the chains of their tags, by column.

What is rare goes through the chain of its tag alone, exactly as if there were no columns: values that are not finite,
out of range or of another kind than the last one, and tags that were not GOOD.

See docs/decisions/0061.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import numpy.typing as npt

from nexus_cli.model.chain_columns import Column
from nexus_cli.runtime.gateway.devices.cycle import Cycle
from nexus_cli.runtime.gateway.devices.tag_group import ALL, GroupColumns, Times, Where
from nexus_cli.runtime.gateway.devices.tag_table import NEVER_US, Positions
from nexus_cli.wire.frame_batch import NO_TIME
from nexus_cli.wire.sample import Quality

FEW = 4
"""Up to so many changed values are taken one by one: that is faster."""
_NO_INDEX: Positions = np.zeros(0, np.intp)
_GOOD = int(Quality.GOOD)
Chosen = npt.NDArray[np.bool_]
Alone = Callable[[list[int]], None]
"""Takes values, by their indices in the group, each through the chain of its tag."""


def take(
    group: GroupColumns,
    numbers: Column,
    cycle: Cycle,
    *,
    alone: Alone,
    certain: bool = True,
    skip: Collection[int] = (),
    source_us: Times | None = None,
) -> int:
    """Record what moved where the samples are to be GOOD.

    Args:
        group: The tags, all numeric.
        numbers: Raw values, one per tag, same order.
        cycle: Takes the samples.
        alone: For a value that is out of the ordinary.
        certain: False while the time is doubtful: no sample is to be GOOD, and all are taken alone.
        skip: Indices of tags without a number.
        source_us: The device's times, one per tag, `NO_TIME` where it gave none; None without any.

    Returns:
        How many were recorded, without those that were taken alone.
    """
    now_us = cycle.time_us
    due = group.any_due(now_us)
    some = _changed(group, numbers, now_us, due=due, skip=skip)
    if not certain or (some is not None and len(some) <= FEW):
        alone(list(range(len(numbers))) if some is None else some.tolist())
        return 0
    some, raw, value = _ordinary(group, numbers, some, alone)
    if not len(raw):
        return 0
    rows = _rows(group, some)
    group.raw[rows] = raw
    moved = _moved(group, value, some, now_us, due=due)
    if moved is not None and (count := np.count_nonzero(moved)) < len(value):
        if not count:
            return 0
        kept = moved.nonzero()[0]
        some, value = kept if some is None else some[kept], value[kept]
    _write(group, some, value, now_us, due=due, source_us=source_us)
    cycle.many.append(group.positions if some is None else group.positions[some])
    return len(value)


def _changed(
    group: GroupColumns, numbers: Column, now_us: int, *, due: bool, skip: Collection[int]
) -> Positions | None:
    """The indices of the numbers that differ from the last raw ones, or are due; None for all."""
    last = group.raw if group.rows is None else group.raw[group.rows]
    found: Chosen = numbers != last
    if due:
        found |= (group.due_us if group.rows is None else group.due_us[group.rows]) <= now_us
    if skip:
        found[list(skip)] = False
    count = np.count_nonzero(found)
    if count == len(found):
        return None
    return found.nonzero()[0] if count else _NO_INDEX


def _rows(group: GroupColumns, some: Positions | None) -> Where:
    """Where the tags with these indices are in the group's columns."""
    if group.rows is None:
        return ALL if some is None else some
    return group.rows if some is None else group.rows[some]


def _ordinary(
    group: GroupColumns, numbers: Column, some: Positions | None, alone: Alone
) -> tuple[Positions | None, Column, Column]:
    """Indices, raw and published values of what is finite, in its range, and follows a GOOD number of its kind; the rest
    is taken alone."""
    raw = numbers if some is None else numbers[some]
    value = group.converted(raw, some)
    rows = _rows(group, some)
    quality, kind = group.quality[rows], group.kind[rows]
    kinds = group.kind_bytes if some is None else group.kinds[some].tobytes()
    odd: Chosen | None = None
    finite: Chosen = np.isfinite(value)
    if b"\0" in finite.tobytes():
        odd = ~finite
    if quality.tobytes().count(_GOOD) != len(value) or kind.tobytes() != kinds:
        odd = _or(odd, (quality != _GOOD) | (kind != (group.kinds if some is None else group.kinds[some])))
    for limit, beyond in ((group.low, np.less), (group.high, np.greater)):
        if limit is not None and (out := beyond(value, limit if some is None else limit[some])).any():
            odd = _or(odd, out)
    if odd is None:
        return some, raw, value
    alone((odd.nonzero()[0] if some is None else some[odd]).tolist())
    rest = (~odd).nonzero()[0]
    return rest if some is None else some[rest], raw[rest], value[rest]


def _or(found: Chosen | None, more: Chosen) -> Chosen:
    return more if found is None else found | more


def _moved(group: GroupColumns, value: Column, some: Positions | None, now_us: int, *, due: bool) -> Chosen | None:
    """Which values are recorded: those that moved by more than their dead band, and those that are due; None for all."""
    rows = _rows(group, some)
    if group.deadband is None or group.tolerance is None:
        if group.identical and not due:  # the raw ones differ
            return None
        found: Chosen = value != group.number[rows]
    else:
        last = group.number[rows]
        deadband, tolerance = group.deadband, group.tolerance
        if some is not None:
            deadband, tolerance = deadband[some], tolerance[some]
        # A change equal to the dead band in decimals must not exceed it: doubles differ in the last digits.
        found = np.abs(value - last) > deadband + tolerance * np.maximum(np.abs(value), np.abs(last))
    if due:
        found |= group.due_us[rows] <= now_us
    return found


def _write(
    group: GroupColumns,
    some: Positions | None,
    value: Column,
    now_us: int,
    *,
    due: bool,
    source_us: Times | None,
) -> None:
    """Set the sample of some tags: a GOOD number that follows a GOOD one of its kind."""
    rows, table = _rows(group, some), group.table
    group.number[rows] = value
    group.time_us[rows] = now_us
    if group.beat_us is not None:
        beat_us = group.beat_us if some is None else group.beat_us[some]
        group.due_us[rows] = np.minimum(beat_us + now_us, NEVER_US)
    elif due:
        group.due_us[rows] = NEVER_US
    if source_us is not None:
        group.source_us[rows] = source_us if some is None else source_us[some]
        table.sourced = True
    elif table.sourced:
        group.source_us[rows] = NO_TIME
    if table.raw_other:
        for at in table.raw_other.keys() & set(group.positions.tolist()):
            del table.raw_other[at]
