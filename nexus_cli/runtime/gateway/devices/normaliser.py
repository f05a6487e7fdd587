"""From raw values to samples: NaN check, scale, unit, range, deadband, heartbeat. Compiled once per device.

A value is recorded when it changed by more than its deadband (any change without one), when its quality or reason
changed, when the heartbeat is due, and the first time after a (re)configuration.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nexus_cli.drivers.base import Fault
from nexus_cli.model.chain import TOLERANCE, Convert, bounds_of, cleaner, converter, tidy
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.datatype import parse_type
from nexus_cli.wire.sample import Quality, Reason, Value

NEVER_US = 1 << 62
GOOD: tuple[Quality, Reason | None] = (Quality.GOOD, None)
DOUBTFUL: tuple[Quality, Reason | None] = (Quality.UNCERTAIN, Reason.CLOCK_UNSYNCHRONISED)
_NOTHING = object()
_LARGEST_INTEGER = 2**64 - 1
_SMALLEST_INTEGER = -(2**63)


class TagState:
    """The compiled chain and the last sample of one tag.

    Attributes:
        name: Tag name.
        path: `area/line/device/tag`.
        simple: No range and no deadband: the converted value is published.
        plain: `simple`, and its samples may be GOOD now: the fast path.
        raw: The last raw value that was recorded as GOOD without a fault; polls are compared with it.
        value, quality, reason, code: The last recorded sample.
        time_us: Its gateway time; 0 before the first.
        since_us: Gateway time of the first sample of this quality in a row.
        due_us: When the heartbeat requires the next one.
        convert_result: Converts the result of an expression to the published value; None where they are the same.
        topic: Its topic in the live view; "" until the pipeline has the device.
    """

    __slots__ = (
        "code",
        "config",
        "convert",
        "convert_result",
        "deadband",
        "due_us",
        "heartbeat_us",
        "high",
        "low",
        "name",
        "path",
        "plain",
        "quality",
        "raw",
        "reason",
        "simple",
        "since_us",
        "source_us",
        "time_us",
        "topic",
        "value",
    )

    def __init__(self, device: str, name: str, config: TagConfig) -> None:
        """Compile the chain of a tag."""
        self.name = name
        self.path = f"{device}/{name}"
        self.topic = ""
        self.config = config
        self.convert = _converter(config)
        self.convert_result = _calculated(config)
        self.low, self.high = bounds_of(config)
        self.deadband = config.deadband
        self.heartbeat_us = config.heartbeat_ms * 1000
        self.simple = self.low is None and self.high is None and not self.deadband
        self.plain = self.simple
        self.raw: Any = _NOTHING
        self.value: Value = None
        self.quality = Quality.BAD
        self.reason: Reason | None = None
        self.code = 0
        self.time_us = self.since_us = 0
        self.source_us: int | None = None
        self.due_us = 0

    @property
    def known(self) -> bool:
        """True once something was recorded."""
        return self.time_us > 0

    def forget(self) -> None:
        """Record the next value in any case, e.g. after a reconnect."""
        self.raw = _NOTHING
        self.due_us = 0


class Cycle:
    """The samples of one device and one moment, while they are collected.

    Attributes:
        time_us: Gateway time of all of them.
        samples, quality, source_time: As in `wire.frame.Frame`.
        changed: The tags among them, in order.
    """

    __slots__ = ("changed", "quality", "samples", "source_time", "time_us")

    def __init__(self, time_us: int) -> None:
        """Start an empty one at a gateway time, µs since 1970 UTC."""
        self.time_us = time_us
        self.samples: dict[str, Value] = {}
        self.quality: dict[str, tuple[str, str | None, int]] = {}
        self.source_time: dict[str, int] = {}
        self.changed: list[TagState] = []


class Normaliser:
    """All tags of one device.

    Attributes:
        states: By tag name, in declared order.
        seen: Values received, faults included.
        recorded: Samples recorded.
    """

    def __init__(self, device: DeviceConfig) -> None:
        """Compile a device."""
        self.states = {name: TagState(device.path, name, tag) for name, tag in device.tags.items()}
        self.seen = 0
        self.recorded = 0
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
        for state in self.states.values():
            state.plain = state.simple and not doubtful
            if set_back or state.quality is not Quality.BAD:
                state.forget()

    def of(self, names: Iterable[str]) -> tuple[TagState, ...]:
        """The states of some tags, same order; looked up once per request, not per cycle."""
        return tuple(self.states[name] for name in names)

    def take(
        self,
        states: Sequence[TagState],
        values: Sequence[Value],
        cycle: Cycle,
        *,
        faults: Mapping[int, Fault] | None = None,
        source_time_us: Sequence[int | None] | None = None,
    ) -> None:
        """Pass the values of one read through the chain; recorded samples are added to the cycle.

        Args:
            states: Of the points that were read.
            values: One per state, same order.
            cycle: Takes the samples.
            faults: By position.
            source_time_us: One per state, same order, or None.
        """
        self.seen += len(states)
        if faults or source_time_us is not None:
            self._take_slowly(states, values, cycle, faults or {}, source_time_us)
            return
        now_us = cycle.time_us
        samples, changed = cycle.samples, cycle.changed
        before = len(changed)
        for state, raw in zip(states, values, strict=True):
            # Raw values are compared before the conversion: most polled values are unchanged, and this is where they
            # end.
            if raw == state.raw and now_us < state.due_us:
                continue
            if not state.plain or state.quality is not Quality.GOOD:
                self._one(state, raw, None, None, cycle)
                continue
            try:
                value = raw if state.convert is None else state.convert(raw)
            except (ArithmeticError, TypeError, ValueError, AttributeError):
                value = None
            if _storable(value) and (state.convert is None or value != state.value):
                state.raw, state.value = raw, value
                state.time_us = now_us
                state.due_us = now_us + state.heartbeat_us if state.heartbeat_us else NEVER_US
                state.source_us = None
                samples[state.name] = value
                changed.append(state)
            else:
                self._one(state, raw, None, None, cycle)
        self.recorded += len(changed) - before

    def bad(self, states: Iterable[TagState], reason: Reason, cycle: Cycle, *, code: int = 0) -> None:
        """Make tags BAD; those that are already BAD for this reason are not recorded again."""
        before = len(cycle.changed)
        for state in states:
            self._record(state, None, Quality.BAD, reason, code, None, cycle)
            state.raw = _NOTHING
        self.recorded += len(cycle.changed) - before

    def again(self, states: Iterable[TagState], cycle: Cycle) -> None:
        """Record the last sample of tags again, e.g. when a heartbeat is due or their time is no longer doubtful."""
        before = len(cycle.changed)
        for state in states:
            quality, reason = state.quality, state.reason
            if (quality, reason) in (GOOD, DOUBTFUL):
                quality, reason = self._good
            state.due_us = 0
            self._record(state, state.value, quality, reason, state.code, state.source_us, cycle)
        self.recorded += len(cycle.changed) - before

    def put(self, state: TagState, value: Value, cycle: Cycle, *, fault: Fault | None = None) -> None:
        """Record a calculated value (already in the published unit); a fault is an uncertain one."""
        before = len(cycle.changed)
        self.seen += 1
        if state.convert_result is not None and type(value) is float:
            value = state.convert_result(value)
        if not _storable(value):
            self._record(state, None, Quality.BAD, Reason.NOT_A_NUMBER, 0, None, cycle)
        else:
            self._check_range(state, value, fault, None, cycle)
        self.recorded += len(cycle.changed) - before

    def _take_slowly(
        self,
        states: Sequence[TagState],
        values: Sequence[Value],
        cycle: Cycle,
        faults: Mapping[int, Fault],
        source_time_us: Sequence[int | None] | None,
    ) -> None:
        before = len(cycle.changed)
        now_us = cycle.time_us
        for position, (state, raw) in enumerate(zip(states, values, strict=True)):
            fault = faults.get(position)
            if fault is None and raw == state.raw and now_us < state.due_us:
                continue
            source_us = source_time_us[position] if source_time_us is not None else None
            self._one(state, raw, fault, source_us, cycle)
        self.recorded += len(cycle.changed) - before

    def _one(self, state: TagState, raw: Any, fault: Fault | None, source_us: int | None, cycle: Cycle) -> None:
        if fault is not None and not fault.uncertain:
            state.raw = _NOTHING
            self._record(state, None, Quality.BAD, fault.reason, fault.code, source_us, cycle)
            return
        try:
            value = raw if state.convert is None else state.convert(raw)
            storable = _storable(value)
        except OverflowError:
            value, storable, reason = None, False, Reason.OVERFLOW
        except (TypeError, ValueError, AttributeError):
            value, storable, reason = None, False, Reason.TYPE_MISMATCH
        else:
            reason = Reason.NOT_A_NUMBER if not isinstance(value, int) else Reason.OVERFLOW
        if not storable:
            state.raw = _NOTHING
            self._record(state, None, Quality.BAD, reason, 0, source_us, cycle)
            return
        # An unchanged uncertain value must be checked again: its fault may have ended.
        state.raw = raw if fault is None else _NOTHING
        self._check_range(state, value, fault, source_us, cycle)

    def _check_range(
        self, state: TagState, value: Any, fault: Fault | None, source_us: int | None, cycle: Cycle
    ) -> None:
        quality, reason = self._good
        code = 0
        if fault is not None:
            quality, reason, code = Quality.UNCERTAIN, fault.reason, fault.code
        elif (state.low is not None and value < state.low) or (state.high is not None and value > state.high):
            quality, reason = Quality.UNCERTAIN, Reason.OUT_OF_RANGE
        self._record(state, value, quality, reason, code, source_us, cycle)

    def _record(
        self,
        state: TagState,
        value: Value,
        quality: Quality,
        reason: Reason | None,
        code: int,
        source_us: int | None,
        cycle: Cycle,
    ) -> None:
        now_us = cycle.time_us
        same = state.time_us and quality is state.quality and reason is state.reason and code == state.code
        if same and now_us < state.due_us and not _moved(state, value):
            return
        if quality is not state.quality or not state.time_us:
            state.since_us = now_us
        state.value, state.quality, state.reason, state.code = value, quality, reason, code
        state.time_us, state.source_us = now_us, source_us
        state.due_us = now_us + state.heartbeat_us if state.heartbeat_us else NEVER_US
        name = state.name
        # A tag may be recorded twice in one cycle (read, then calculated or BAD): the last sample counts.
        if name not in cycle.samples:
            cycle.changed.append(state)
        cycle.samples[name] = value
        if quality is not Quality.GOOD:
            cycle.quality[name] = (quality.name, reason.value if reason is not None else None, code)
        else:
            cycle.quality.pop(name, None)
        if source_us is not None:
            cycle.source_time[name] = source_us
        else:
            cycle.source_time.pop(name, None)


def _moved(state: TagState, value: Any) -> bool:
    last: Any = state.value
    if value == last:
        return False
    if not state.deadband or last is None or value is None or isinstance(value, (str, list, dict)):
        return True
    # A change equal to the deadband in decimals (0.8 after 0.7) must not exceed it: doubles differ in the last digits.
    return bool(abs(value - last) > state.deadband + TOLERANCE * max(abs(value), abs(last)))


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
        return _is_unicode(value)
    if kind is list or kind is tuple:
        return all(_storable(one) or one is None for one in value)
    if kind is dict:
        return all(
            isinstance(key, str) and _is_unicode(key) and (_storable(one) or one is None) for key, one in value.items()
        )
    return False


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _converter(config: TagConfig) -> Convert | None:
    """The conversion from raw to published value; None when they are the same."""
    if config.expr:
        return None
    datatype = parse_type(config.type)
    one = converter(config)
    if one is not None:
        return _each(one) if datatype.count else one
    if datatype.base in ("string", "datetime") and not datatype.count:
        return _text
    if datatype.numeric:
        return _number if config.range is not None or config.deadband else None
    return None


def _each(one: Convert) -> Convert:
    return lambda raw: [None if item is None else one(item) for item in raw]


def _calculated(config: TagConfig) -> Convert | None:
    """The conversion of an expression's result to the published value: removes arithmetic noise, rounds to the tag's
    type."""
    base = parse_type(config.type).base
    if not config.expr or base not in ("float16", "float32", "float64", "duration"):
        return None
    clean = cleaner(base)
    return tidy if clean is None else clean


def _number(raw: Any) -> Any:
    if not isinstance(raw, (int, float)):
        raise TypeError("not a number")
    return raw


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise TypeError("not a text")
    return raw if _is_unicode(raw) else raw.encode("utf-8", "replace").decode()
