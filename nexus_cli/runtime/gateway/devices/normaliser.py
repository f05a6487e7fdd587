"""From raw values to samples: NaN check, scale, unit, range, deadband, heartbeat. Compiled once per device.

A value is recorded when it changed by more than its deadband (any change without one), when its quality or reason
changed, when the heartbeat is due, and the first time after a (re)configuration.

See docs/decisions/0061.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from nexus_cli.drivers.base import Fault
from nexus_cli.model.chain import TOLERANCE
from nexus_cli.model.chain_columns import Column
from nexus_cli.model.config import DeviceConfig
from nexus_cli.runtime.gateway.devices.column_take import take
from nexus_cli.runtime.gateway.devices.cycle import Cycle
from nexus_cli.runtime.gateway.devices.quality_watch import QualityWatch
from nexus_cli.runtime.gateway.devices.tag_chain import FLOAT, WHOLE, TagChain, is_unicode
from nexus_cli.runtime.gateway.devices.tag_columns import NEVER_US, NUMBER_OF, REASON_OF
from nexus_cli.runtime.gateway.devices.tag_group import GroupColumns, TagGroup, Times
from nexus_cli.runtime.gateway.devices.tag_table import TagState, TagStates, TagTable
from nexus_cli.wire.frame_batch import EXACT, NO_TIME
from nexus_cli.wire.sample import Quality, Reason, Value

GOOD: tuple[Quality, Reason | None] = (Quality.GOOD, None)
DOUBTFUL: tuple[Quality, Reason | None] = (Quality.UNCERTAIN, Reason.CLOCK_UNSYNCHRONISED)
_LARGEST_INTEGER = 2**64 - 1
_SMALLEST_INTEGER = -(2**63)
_REFUSED = (ArithmeticError, TypeError, ValueError, AttributeError)
"""What a conversion raises for a value that a device should not send."""
_NOTHING = object()
_NO_TIMES: Iterable[None] = repeat(None)
_GOOD = int(Quality.GOOD)
_PLAIN: dict[type, int] = {float: FLOAT, int: WHOLE}
"""Kinds of a number, by its type."""


class Normaliser:
    """All tags of one device.

    Attributes:
        table: Their newest samples, by column.
        states: The same tag by tag: views by name, in declared order.
        seen: Values received, faults included.
        recorded: Samples recorded.
        quality: Rules of tags.
    """

    def __init__(self, device: DeviceConfig) -> None:
        """Compile a device."""
        self.table = TagTable(device.path, device.tags)
        self.states: Mapping[str, TagState] = TagStates(self.table)
        self.seen = 0
        self.recorded = 0
        self.quality = QualityWatch(self.table)
        self._good: tuple[Quality, Reason | None] = GOOD

    def doubt(self, doubtful: bool, *, set_back: bool = False) -> None:
        """From here on samples that would be GOOD are UNCERTAIN `clock_unsynchronised`, or GOOD again.

        The next values are recorded even if unchanged. Samples that are not GOOD for another reason keep it. `set_back`:
        the clock was set back, and everything is recorded again.
        """
        good = DOUBTFUL if doubtful else GOOD
        if good == self._good and not set_back:
            return
        self._good = good
        table = self.table
        again = np.arange(len(table)) if set_back else table.quality.nonzero()[0]
        for at in again.tolist():
            table.forget(at)

    def where(self, chosen: npt.NDArray[np.bool_]) -> TagGroup:
        """The tags that a mask over all of them names."""
        return TagGroup(self.table, chosen.nonzero()[0].tolist())

    def of(self, names: Iterable[str]) -> TagGroup:
        """Some tags, same order; looked up once per request, not per cycle."""
        places = self.table.places
        return TagGroup(self.table, [places[name] for name in names])

    def take(
        self,
        group: TagGroup,
        values: Sequence[Value],
        cycle: Cycle,
        *,
        faults: Mapping[int, Fault] | None = None,
        source_time_us: Sequence[int | None] | None = None,
        numbers: Column | None = None,
    ) -> None:
        """Pass the values of one read through the chain; recorded samples are added to the cycle.

        Args:
            group: The tags of the points that were read.
            values: One per tag, same order.
            cycle: Takes the samples.
            faults: By position in the group.
            source_time_us: One per tag, same order, or None.
            numbers: The values as doubles, where every tag is a plain number; see `ReadResult.numbers`.
        """
        self.seen += len(group.places)
        cycle.table = self.table
        columns = group.columns
        if columns is not None:
            numbers = _doubles(columns, values) if numbers is None else numbers
            if numbers is not None:
                if faults or not columns.is_same(numbers, cycle.time_us):
                    self._take_columns(group, columns, values, numbers, cycle, faults or {}, source_time_us)
                return
        if faults:
            self._take_slowly(group.places, values, cycle, faults, source_time_us)
        else:
            self._take(group.places, values, cycle, source_time_us)
        group.use()

    def bad(self, states: Iterable[TagState], reason: Reason, cycle: Cycle, *, code: int = 0) -> None:
        """Make tags BAD; those that are already BAD for this reason are not recorded again."""
        cycle.table, before = self.table, len(cycle.single)
        for at in states.places if isinstance(states, TagGroup) else [state.at for state in states]:
            self._record(at, None, Quality.BAD, reason, code, NO_TIME, cycle)
            self.table.lose(at)
        self.recorded += len(cycle.single) - before

    def again(self, states: Iterable[TagState], cycle: Cycle) -> None:
        """Record the last sample of tags again, e.g. when a heartbeat is due or their time is no longer doubtful."""
        cycle.table = table = self.table
        before = len(cycle.single)
        for state in states:
            quality, reason = state.quality, state.reason
            if (quality, reason) in (GOOD, DOUBTFUL):
                quality, reason = self._good
            at = state.at
            table.dues[at] = 0
            self._record(at, table.value(at), quality, reason, state.code, int(table.source_us[at]), cycle)
        self.recorded += len(cycle.single) - before

    def judge_again(self, cycle: Cycle) -> None:
        """Mark values that stand for too long, or were not followed by another; the caller emits the cycle."""
        cycle.table, before = self.table, len(cycle.single)
        for at, reason in self.quality.overdue(cycle.time_us):
            source_us = int(self.table.source_us[at])
            self._record(at, self.table.value(at), Quality.UNCERTAIN, reason, 0, source_us, cycle)
        self.recorded += len(cycle.single) - before

    def put(self, state: TagState, value: Value, cycle: Cycle, *, fault: Fault | None = None) -> None:
        """Record a calculated value (already in the published unit); a fault is an uncertain one."""
        cycle.table, before = self.table, len(cycle.single)
        self.seen += 1
        chain = state.chain
        if chain.convert_result is not None and type(value) is float:
            value = chain.convert_result(value)
        if not _storable(value):
            self._record(state.at, None, Quality.BAD, Reason.NOT_A_NUMBER, 0, NO_TIME, cycle)
        else:
            self._check_range(state.at, value, fault, NO_TIME, cycle)
        self.recorded += len(cycle.single) - before

    def _take_columns(
        self,
        group: TagGroup,
        columns: GroupColumns,
        values: Sequence[Value],
        numbers: Column,
        cycle: Cycle,
        faults: Mapping[int, Fault],
        source_time_us: Sequence[int | None] | None,
    ) -> None:
        """Values that are plain numbers, by column."""
        places = group.places
        source_us: Times | None = None
        if source_time_us is not None:
            source_us = np.array([NO_TIME if one is None else one for one in source_time_us], np.int64)

        def alone(which: list[int]) -> None:
            where = [places[at] for at in which]
            raw = numbers[which].tolist() if columns.floats else [values[at] for at in which]
            times = None if source_time_us is None else [source_time_us[at] for at in which]
            self._take(where, raw, cycle, times)

        for index, fault in faults.items():
            source = None if source_time_us is None else source_time_us[index]
            self._take_slowly([places[index]], [values[index]], cycle, {0: fault}, [source])
        certain = self._good is GOOD
        self.recorded += take(columns, numbers, cycle, alone=alone, certain=certain, skip=faults, source_us=source_us)

    def _take(
        self,
        places: Sequence[int],
        values: Sequence[Any],
        cycle: Cycle,
        source_time_us: Sequence[int | None] | None = None,
    ) -> None:
        """Values without faults, one by one."""
        if len(places) != len(values):
            raise ValueError(f"{len(values)} values of {len(places)} tags")
        table, now_us = self.table, cycle.time_us
        raws, dues, others = table.raws, table.dues, table.raw_other
        # Raw values are compared before the conversion: most polled values are unchanged, and this is where they end.
        changed = [
            one
            for one in zip(places, values, _NO_TIMES if source_time_us is None else source_time_us, strict=False)
            if now_us >= dues[one[0]]
            or (one[1] != raws[one[0]] and not (others and one[1] == others.get(one[0], _NOTHING)))
        ]
        if changed:
            self._take_changed(changed, cycle)

    def _take_changed(self, changed: Iterable[tuple[int, Any, int | None]], cycle: Cycle) -> None:
        """Positions, values and the device's times of tags that changed, or are due."""
        table, now_us, single = self.table, cycle.time_us, cycle.single
        raws, dues, numbers, times = table.raws, table.dues, table.numbers, table.times
        kinds, qualities, chains, others = table.kinds, table.qualities, table.chains, table.raw_other
        certain, before = self._good is GOOD, len(single)
        for at, raw, source_us in changed:
            due_us = dues[at]
            chain = chains[at]
            kind = _PLAIN.get(type(raw))
            if kind is None or not certain or qualities[at] != _GOOD:
                self._one(at, raw, None, NO_TIME if source_us is None else source_us, cycle)
                continue
            if chain.plain and kind == FLOAT == kinds[at] and raw - raw == 0.0:
                raws[at] = numbers[at] = raw
                if others:
                    others.pop(at, None)
                times[at] = now_us
                single[at] = None
                if due_us != NEVER_US:
                    dues[at] = NEVER_US
                if source_us is not None or table.sourced:
                    table.source_us[at] = NO_TIME if source_us is None else source_us
                    table.sourced = True
                continue
            try:
                value: Any = raw if chain.convert is None else chain.convert(raw)
            except _REFUSED:
                value = None
            # A number in its range that follows one: nothing changes but the number.
            ordinary = kinds[at] == _PLAIN.get(type(value)) and -EXACT <= value <= EXACT and -EXACT <= raw <= EXACT
            if not ordinary or not (chain.simple or chain.holds(value)):
                self._one(at, raw, None, NO_TIME if source_us is None else source_us, cycle)
                continue
            raws[at] = raw
            if others:
                others.pop(at, None)
            if now_us < due_us:
                last = numbers[at]
                if value == last or (chain.deadband and not _beyond(chain.deadband, last, value)):
                    continue
            numbers[at] = value
            times[at] = now_us
            if due_us != NEVER_US or chain.heartbeat_us:
                dues[at] = now_us + chain.heartbeat_us if chain.heartbeat_us else NEVER_US
            if source_us is not None or table.sourced:
                table.source_us[at] = NO_TIME if source_us is None else source_us
                table.sourced = True
            single[at] = None
        self.recorded += len(single) - before

    def _take_slowly(
        self,
        places: Sequence[int],
        values: Sequence[Value],
        cycle: Cycle,
        faults: Mapping[int, Fault],
        source_time_us: Sequence[int | None] | None,
    ) -> None:
        """Values with faults or times, one by one."""
        table, now_us, before = self.table, cycle.time_us, len(cycle.single)
        raws, others = table.raws, table.raw_other
        for index, (at, raw) in enumerate(zip(places, values, strict=True)):
            fault = faults.get(index)
            same = raw == raws[at] or (others and raw == others.get(at, _NOTHING))
            if same and fault is None and now_us < table.dues[at]:
                continue
            source_us = None if source_time_us is None else source_time_us[index]
            self._one(at, raw, fault, NO_TIME if source_us is None else source_us, cycle)
        self.recorded += len(cycle.single) - before

    def _one(self, at: int, raw: Any, fault: Fault | None, source_us: int, cycle: Cycle) -> None:
        table = self.table
        if fault is not None and not fault.uncertain:
            table.lose(at)
            self._record(at, None, Quality.BAD, fault.reason, fault.code, source_us, cycle)
            return
        value, reason = _converted(table.chains[at], raw)
        if reason is not None:
            table.lose(at)
            self._record(at, None, Quality.BAD, reason, 0, source_us, cycle)
            return
        if fault is None:
            table.remember(at, raw)
        else:  # An unchanged uncertain value must be checked again: its fault may have ended.
            table.lose(at)
        self._check_range(at, value, fault, source_us, cycle)

    def _check_range(self, at: int, value: Any, fault: Fault | None, source_us: int, cycle: Cycle) -> None:
        quality, reason = self._good
        chain, code = self.table.chains[at], 0
        if chain.rules is not None:
            kept, doubt = self.quality.judge(at, value, cycle.time_us)
            self.table.lose(at)  # an unchanged value is judged again: it may stand for too long
            if not kept:
                return
            if fault is None and doubt is not None:
                fault = Fault(doubt, uncertain=True)
        if fault is not None:
            quality, reason, code = Quality.UNCERTAIN, fault.reason, fault.code
        elif chain.rules is None and not chain.holds(value):
            quality, reason = Quality.UNCERTAIN, Reason.OUT_OF_RANGE
        self._record(at, value, quality, reason, code, source_us, cycle)

    def _record(
        self, at: int, value: Value, quality: Quality, reason: Reason | None, code: int, source_us: int, cycle: Cycle
    ) -> None:
        table, now_us = self.table, cycle.time_us
        if quality is Quality.BAD:
            self.quality.forget(at)
        time_us, before = table.times[at], table.qualities[at]
        same = time_us and quality == before and reason is REASON_OF[table.reasons[at]] and code == table.code[at]
        if same and now_us < table.dues[at] and not _moved(table.chains[at], table.value(at), value):
            return
        if not same:
            if quality != before or not time_us:
                table.since_us[at] = now_us
            table.qualities[at], table.reasons[at], table.code[at] = quality, NUMBER_OF[reason], code
        table.put(at, value)
        table.times[at] = now_us
        if source_us != NO_TIME or table.sourced:
            table.source_us[at], table.sourced = source_us, True
        heartbeat_us = table.chains[at].heartbeat_us
        table.dues[at] = now_us + heartbeat_us if heartbeat_us else NEVER_US
        cycle.single[at] = None


def _doubles(columns: GroupColumns, values: Sequence[Value]) -> Column | None:
    """The values of one answer as doubles; None where they are not all floats, as the tags of the group are."""
    if not columns.floats or set(map(type, values)) != {float}:
        return None
    return np.array(values, np.float64)


def _converted(chain: TagChain, raw: Any) -> tuple[Any, Reason | None]:
    """The published value of a raw one, or why there is none."""
    try:
        value = raw if chain.convert is None else chain.convert(raw)
        storable = _storable(value)
    except OverflowError:
        return None, Reason.OVERFLOW
    except (TypeError, ValueError, AttributeError):
        return None, Reason.TYPE_MISMATCH
    if storable:
        return value, None
    return None, Reason.NOT_A_NUMBER if not isinstance(value, int) else Reason.OVERFLOW


def _moved(chain: TagChain, last: Any, value: Any) -> bool:
    if value == last:
        return False
    if not chain.deadband or last is None or value is None or isinstance(value, (str, list, dict)):
        return True
    return _beyond(chain.deadband, last, value)


def _beyond(deadband: float, last: float, value: float) -> bool:
    # A change equal to the deadband in decimals (0.8 after 0.7) must not exceed it: doubles differ in the last digits.
    return abs(value - last) > deadband + TOLERANCE * max(abs(value), abs(last))


def _storable(value: Any) -> bool:
    """True when JSON and the historian can represent it: finite, at most 64 bits, valid Unicode text."""
    kind = type(value)
    if kind is float:
        return math.isfinite(value)
    if kind is bool:
        return True
    if kind is int:
        return bool(_SMALLEST_INTEGER <= value <= _LARGEST_INTEGER)
    if kind is str:
        return is_unicode(value)
    if kind is list or kind is tuple:
        return all(_storable(one) or one is None for one in value)
    if kind is dict:
        return all(
            isinstance(key, str) and is_unicode(key) and (_storable(one) or one is None) for key, one in value.items()
        )
    return False


__all__ = ["Cycle", "Normaliser", "TagGroup", "TagState"]
