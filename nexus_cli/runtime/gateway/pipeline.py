"""From a device's cycle to a frame in the outbox and values in the live view; calculated tags are evaluated in between.

The rule of time: a device has at most one open cycle, which is emitted before another cycle of the device begins. So
the times of a device rise in the order in which its values became known, whatever their source: polls, reports,
commands, calculated tags, lost links, heartbeats.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence, Set

import numpy as np

from nexus_cli.drivers.base import Fault
from nexus_cli.model.expression import Expression, ExpressionError, expression_of
from nexus_cli.runtime.clock import RisingTime
from nexus_cli.runtime.gateway.devices.absence import Absence
from nexus_cli.runtime.gateway.devices.cycle import Cycle
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime
from nexus_cli.runtime.gateway.devices.tag_table import TagState, TagTable
from nexus_cli.runtime.gateway.live import LiveView
from nexus_cli.runtime.gateway.outbox.aftermath import lost_states, unstated
from nexus_cli.runtime.gateway.outbox.letters import Letters
from nexus_cli.runtime.gateway.outbox.losses import Span
from nexus_cli.runtime.gateway.outbox.outbox import Outbox
from nexus_cli.wire.frame_batch import MOST_TAGS
from nexus_cli.wire.sample import Quality, Reason
from nexus_cli.wire.topic import Topics

_log = logging.getLogger("nexus.gateway")
MOMENT_US = 100_000
"""How long a poll's cycle stays open, in µs: later answers get their own time."""
DEEPEST = 32
"""Depth to which calculated tags that read calculated tags are evaluated; control's checks refuse cycles."""


class _Calculated:
    """A calculated tag: its state, its device, and the states of its inputs."""

    __slots__ = ("device", "expression", "inputs", "state")

    def __init__(
        self, device: DeviceRuntime, state: TagState, expression: Expression, inputs: tuple[tuple[str, TagState], ...]
    ) -> None:
        self.device, self.state, self.expression, self.inputs = device, state, expression, inputs

    @property
    def ready(self) -> bool:
        """True when all inputs are known."""
        return all(state.known for _, state in self.inputs)


LETTERS_US = 10_000_000
"""How often rejected values are handed to the historian, in µs."""
MOST_LETTERS = 200
"""Letters at a time; further ones wait, and count on."""


class Pipeline:
    """Takes the cycles of all supervisors.

    Attributes:
        frames: Frames put into the outbox.
        samples: Samples in them.
        refused: Frames that the outbox refused (counted there as a loss).
        now_us: Gateway time, µs since 1970 UTC.
        absence: Tracks which times of each device were not read.
    """

    def __init__(self, *, topics: Topics, outbox: Outbox, live: LiveView, time: RisingTime, absence: Absence) -> None:
        """Join the parts."""
        self.frames = 0
        self.samples = 0
        self.refused = 0
        self._topics = topics
        self._outbox, self._live = outbox, live
        self._time = time
        self.now_us = time.now_us
        self.absence = absence
        self._devices: dict[str, DeviceRuntime] = {}
        self._readers: dict[str, dict[int, tuple[_Calculated, ...]]] = {}
        self._calculated: tuple[_Calculated, ...] = ()
        self._open: dict[str, tuple[DeviceRuntime, Cycle]] = {}
        self._doubtful = False
        self._ruled: tuple[DeviceRuntime, ...] = ()
        self._rejected_before = 0
        self._letters_us = 0

    def cycle(self, device: str, *, at_us: int | None = None) -> Cycle:
        """Begin a cycle of a device, at a time after its last one. The caller emits it before its next await.

        `at_us` is the time of its values, now if omitted; it is raised above the device's last row and its last gap.

        An open cycle of a running poll is emitted first, since its values were known before.
        """
        self._end_open(device)
        if at_us is None:
            return Cycle(self._time.next_us(device))
        return Cycle(self._time.at_us(device, max(at_us, self.absence.last_gap_us(device) + 1)))

    def ongoing(self, device: DeviceRuntime) -> Cycle:
        """The open cycle for a poll's next answer; a new one when there is none, when another one came in between, or
        when it is older than `MOMENT_US`. Never keep it across an await; `finish` emits it."""
        path = device.config.path
        found = self._open.get(path)
        if found is not None:
            if found[0] is device and -MOMENT_US < self.now_us() - found[1].time_us < MOMENT_US:
                return found[1]
            self._end_open(path)
        cycle = Cycle(self._time.next_us(path))
        self._open[path] = device, cycle
        return cycle

    def finish(self, device: DeviceRuntime, *, over: bool = True) -> None:
        """Emit a poll's open cycle; `over` means that the device answered, or was found not to."""
        path = device.config.path
        found = self._open.get(path)
        if found is not None and found[0] is device:
            del self._open[path]
            self.emit(device, found[1])
        if over:
            self.absence.finished(path, answered=device.reachable)

    def _end_open(self, path: str) -> None:
        found = self._open.pop(path, None)
        if found is not None:
            self.emit(*found)

    def asked(self, device: str) -> None:
        """A device is about to be read."""
        self.absence.asked(device)

    def configure(self, devices: Iterable[DeviceRuntime]) -> None:
        """Set all devices of the gateway; topics of removed tags are no longer published."""
        for path in list(self._open):  # values that were read under the old configuration are emitted under it
            self._end_open(path)
        self._send_letters()
        before, self._devices = self._devices, {device.path: device for device in devices}
        self.absence.configured(self._devices.values())
        for path, old in before.items():
            self._forget_topics(old.normaliser.table, self._devices.get(path))
            if self._devices.get(path) is not old:
                self._rejected_before += old.normaliser.quality.rejected
        for path, device in self._devices.items():
            device.normaliser.table.prefix = self._topics.tag(path) + "/"
            device.normaliser.doubt(self._doubtful)
        self._ruled = tuple(device for device in self._devices.values() if device.normaliser.quality)
        self._link_calculated()

    def judge_quality(self) -> None:
        """Mark values that stand for too long or were not followed by another, and hand on what was rejected; once a second."""
        for device in self._ruled:
            if any(device.normaliser.quality.overdue(self.now_us())):
                cycle = self.cycle(device.path)
                device.normaliser.judge_again(cycle)
                self.emit(device, cycle, read=False)
        if self.now_us() - self._letters_us >= LETTERS_US:
            self._send_letters()

    def _send_letters(self) -> None:
        """Hand what was rejected to the historian: a letter for each tag and rule, at most `MOST_LETTERS` at a time."""
        self._letters_us, left, letters = self.now_us(), MOST_LETTERS, Letters(self._outbox)
        for device in self._ruled:
            left -= device.normaliser.quality.send(letters, most=left)

    @property
    def rejected(self) -> int:
        """How many values rules of quality rejected since the start."""
        return self._rejected_before + sum(device.normaliser.quality.rejected for device in self._ruled)

    def _forget_topics(self, table: TagTable, device: DeviceRuntime | None) -> None:
        """Stop publishing the tags of a former configuration that its successor does not have."""
        kept = {} if device is None else device.normaliser.table.places
        for name in table.names:
            if name not in kept:
                self._live.forget(table.prefix + name)

    def calculate_all(self, devices: Iterable[DeviceRuntime]) -> None:
        """Evaluate the calculated tags of reconfigured devices; those with unknown inputs wait."""
        fresh = {device.path for device in devices}
        self._work_out(one for one in self._calculated if one.device.path in fresh)

    def repeat_calculated(self) -> None:
        """Evaluate the calculated tags whose heartbeat is due; their inputs may be unchanged since."""
        now_us = self.now_us()
        self._work_out(one for one in self._calculated if one.state.time_us and now_us >= one.state.due_us)

    def doubt(self, doubtful: bool, *, set_back: bool = False) -> None:
        """Set whether the time of samples is doubtful from now on. Tags that no poll records again are recorded at
        once.

        Args:
            doubtful: Good samples are UNCERTAIN `clock_unsynchronised`.
            set_back: The clock was set back: every value is recorded again, so that the newest row of each tag has the new
                time.
        """
        self._doubtful = doubtful
        for device in self._devices.values():
            device.normaliser.doubt(doubtful, set_back=set_back)
        for device in self._devices.values():
            states = [one for one in device.normaliser.states.values() if one.known and _still(one, set_back=set_back)]
            if states:
                cycle = self.cycle(device.path)
                device.normaliser.again(states, cycle)
                self.emit(device, cycle)
        self._work_out(self._calculated)

    def restate(self, losses: Sequence[Span]) -> None:
        """Record again the last value of each tag whose row is within a loss; polled tags are recorded by their next
        poll.

        Otherwise a tag that changed during the loss and not since would keep an older last row.
        """
        lost: dict[str, list[TagState]] = {}
        for device in self._devices.values():
            spans = [one for one in losses if one.device in ("", device.path)]
            found = lost_states(device, spans)
            if not found:
                continue
            lost[device.path] = found
            until, now_us = unstated(device, spans), self.cycle(device.path).time_us
            if until is not None and until.end_us + 1 < now_us:
                # Nothing of the device was recorded since, so its state during the loss is unknown.
                start_us, end_us = until.end_us + 1, now_us - 1
                self._outbox.add_gap(
                    device=device.path, start_us=start_us, end_us=end_us, frames=0, reason=until.reason
                )
        for path, states in lost.items():
            self._restate(self._devices[path], states)
        every = {state for states in lost.values() for state in states}
        self._work_out(one for one in self._calculated if one.state in every)

    def _restate(self, device: DeviceRuntime, states: Sequence[TagState]) -> None:
        calculated = {one.state for one in self._calculated if one.ready}
        cycle = self.cycle(device.path)
        at_once: list[TagState] = []
        for state in states:
            if state in calculated or (state.config.mode == "poll" and state.quality is not Quality.BAD):
                state.forget()
            else:
                at_once.append(state)
        device.normaliser.again(at_once, cycle)
        self.emit(device, cycle, read=False)

    def _work_out(self, calculated: Iterable[_Calculated]) -> None:
        """Evaluate calculated tags, one cycle per device; those with unknown inputs wait."""
        by_device: dict[str, list[_Calculated]] = {}
        for one in calculated:
            if one.ready:
                by_device.setdefault(one.device.path, []).append(one)
        for path, many in by_device.items():
            cycle = self.cycle(path)
            for one in many:
                _evaluate(one, cycle)
            self.emit(many[0].device, cycle)

    def emit(self, device: DeviceRuntime, cycle: Cycle, *, read: bool = True) -> None:
        """Put a cycle into the outbox and the live view; an empty one is dropped. With `read` it counts as a read of
        the device."""
        others: dict[str, Cycle] = {}
        if device.path in self._readers and self._devices.get(device.path) is device:
            self._calculate(device, cycle, others)
        self._send(device, cycle, read=read)
        for path, one in others.items():
            self._send(self._devices[path], one)

    def _apart(self, path: str, changed: list[TagState]) -> Cycle:
        """A cycle for calculated tags of another device. An open cycle of that device is emitted first, and its changes
        are added to `changed` for the caller to evaluate."""
        found = self._open.pop(path, None)
        if found is not None:
            changed += found[1].states()
            self._send(*found)
        return Cycle(self._time.next_us(path))

    def _send(self, device: DeviceRuntime, cycle: Cycle, *, read: bool = True) -> None:
        if not cycle:
            return
        if device.path not in self._devices:  # removed while its last answer was outstanding
            return
        table = device.normaliser.table
        positions = cycle.positions()
        if read and device.config.enabled and table.is_read(positions):
            self.absence.read(device.path, cycle.time_us, answered=device.reachable)
        else:
            self.absence.row(device.path, cycle.time_us)
        self.frames += 1
        self.samples += len(positions)
        every = len(positions) == len(table)
        named = None if every else positions
        for some in [named] if len(table) <= MOST_TAGS else np.array_split(positions, -(-len(positions) // MOST_TAGS)):
            columns = table.columns(some, cycle.time_us, exact=self._outbox.json_frames)
            self.refused += not self._outbox.add_frame(columns)
        if self._devices[device.path] is device:  # an answer to a former configuration is only recorded
            self._live.put(table, named)

    def _state(self, path: str) -> TagState | None:
        """The tag of a path; None when it is not of this gateway."""
        of, _, name = path.rpartition("/")
        device = self._devices.get(of)
        return None if device is None else device.normaliser.states.get(name)

    def _link_calculated(self) -> None:
        readers: dict[str, dict[int, list[_Calculated]]] = {}
        every: list[_Calculated] = []
        broken: list[tuple[DeviceRuntime, TagState]] = []
        for device in self._devices.values():
            table = device.normaliser.table
            for at, config in enumerate(table.configs):
                if not config.expr or not config.enabled or not device.config.enabled:
                    continue
                state = table.state(at)
                found = {path: self._state(path) for path in state.config.inputs.values()}
                known = {path: one for path, one in found.items() if one is not None}
                try:
                    if len(known) < len(found):
                        raise ExpressionError("an input belongs to another gateway, or is gone")
                    expression = expression_of(state.config, {path: one.config for path, one in known.items()})
                except ExpressionError as error:
                    _log.warning("calculated tag %s can't be worked out: %s", state.path, error)
                    broken.append((device, state))
                    continue
                inputs = tuple((name, known[path]) for name, path in state.config.inputs.items())
                calculated = _Calculated(device, state, expression, inputs)
                every.append(calculated)
                for one in known.values():
                    readers.setdefault(one.table.device, {}).setdefault(one.at, []).append(calculated)
        self._readers = {path: {at: tuple(many) for at, many in places.items()} for path, places in readers.items()}
        self._calculated = tuple(every)
        for device, state in broken:
            cycle = self.cycle(device.path)
            device.normaliser.bad([state], Reason.EXPRESSION_ERROR, cycle)
            self.emit(device, cycle)

    def _calculate(self, device: DeviceRuntime, cycle: Cycle, others: dict[str, Cycle]) -> None:
        """Evaluate the tags that depend on a changed tag, and those that depend on them, each at most once per
        round."""
        changed = cycle.states()
        none: dict[int, tuple[_Calculated, ...]] = {}
        for _ in range(DEEPEST):
            waiting = {
                id(one): one
                for state in changed
                for one in self._readers.get(state.table.device, none).get(state.at, ())
            }
            if not waiting:
                return
            changed = []
            for one in waiting.values():
                if not one.ready:
                    continue
                target = cycle
                if one.device.path != device.path:
                    if one.device.path not in others:
                        others[one.device.path] = self._apart(one.device.path, changed)
                    target = others[one.device.path]
                before = _standing(one.state)
                _evaluate(one, target)
                if before != _standing(one.state):
                    changed.append(one.state)


def _standing(state: TagState) -> tuple[object, ...]:
    return state.time_us, state.value, state.quality, state.reason


def _still(state: TagState, *, set_back: bool) -> bool:
    """Whether neither a poll nor an expression records this tag again."""
    if state.config.expr and state.config.enabled:
        return False
    return set_back or (state.config.mode != "poll" and state.quality is not Quality.BAD)


def _evaluate(calculated: _Calculated, cycle: Cycle) -> None:
    """Evaluate a calculated tag; it gets the worst quality of its inputs."""
    normaliser = calculated.device.normaliser
    states = [state for _, state in calculated.inputs]
    if any(one.quality is Quality.BAD for one in states):
        normaliser.bad([calculated.state], Reason.INPUT_BAD, cycle)
        return
    try:
        value = calculated.expression.evaluate({name: state.value for name, state in calculated.inputs})
    except ExpressionError:
        normaliser.bad([calculated.state], Reason.EXPRESSION_ERROR, cycle)
        return
    doubts = {one.reason for one in states if one.quality is Quality.UNCERTAIN}
    normaliser.put(calculated.state, value, cycle, fault=_doubt_of(doubts) if doubts else None)


def _doubt_of(reasons: Set[Reason | None]) -> Fault:
    clock = reasons == {Reason.CLOCK_UNSYNCHRONISED}
    return Fault(Reason.CLOCK_UNSYNCHRONISED if clock else Reason.SOURCE_UNCERTAIN, uncertain=True)
