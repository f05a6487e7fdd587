"""From a device's cycle to a frame in the outbox and values in the live view; calculated tags are worked out between."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from nexus_cli.model.expression import Expression, ExpressionError, expression_of
from nexus_cli.runtime.clock import RisingTime
from nexus_cli.runtime.gateway.device import Running
from nexus_cli.runtime.gateway.live import LiveView
from nexus_cli.runtime.gateway.normaliser import Cycle, TagState
from nexus_cli.runtime.gateway.outbox import Outbox
from nexus_cli.wire.sample import Quality, Reason
from nexus_cli.wire.topic import Topics

_log = logging.getLogger("nexus.gateway")


class _Calculated:
    """A calculated tag: its state, where it belongs, and the states it reads."""

    __slots__ = ("device", "expression", "inputs", "state")

    def __init__(
        self, device: Running, state: TagState, expression: Expression, inputs: tuple[tuple[str, TagState], ...]
    ) -> None:
        self.device, self.state, self.expression, self.inputs = device, state, expression, inputs


class Pipeline:
    """Where every supervisor hands its cycles to.

    Attributes:
        frames: Frames handed to the outbox.
        samples: Samples in them.
        refused: Frames that the outbox did not take (counted there as loss).
    """

    def __init__(self, *, topics: Topics, gateway: str, outbox: Outbox, live: LiveView, time: RisingTime) -> None:
        """Join the parts."""
        self.frames = 0
        self.samples = 0
        self.refused = 0
        self._topics, self._gateway = topics, gateway
        self._outbox, self._live = outbox, live
        self._time = time
        self._data_topics: dict[str, str] = {}
        self._live_topics: dict[str, str] = {}
        self._devices: dict[str, Running] = {}
        self._readers: dict[str, tuple[_Calculated, ...]] = {}

    def cycle(self, device: str) -> Cycle:
        """Begin a cycle of a device, at a time that is above its last one."""
        return Cycle(self._time.next_us(device))

    def configure(self, devices: Iterable[Running]) -> None:
        """Take note of all devices of the gateway; topics of tags that are gone are no longer published."""
        self._devices = {device.path: device for device in devices}
        self._data_topics = {path: self._topics.data(self._gateway, path) for path in self._devices}
        states = {state.path: state for device in self._devices.values() for state in device.normaliser.states.values()}
        for path in self._live_topics.keys() - states.keys():
            self._live.forget(self._live_topics[path])
        self._live_topics = {path: self._topics.tag(path) for path in states}
        for path, state in states.items():
            state.topic = self._live_topics[path]
        self._link_calculated(states)

    def calculate_all(self, devices: Iterable[Running]) -> None:
        """Work out the calculated tags of devices whose configuration is new; inputs not yet known wait."""
        fresh = {device.path for device in devices}
        for calculated in {id(one): one for many in self._readers.values() for one in many}.values():
            if calculated.device.path in fresh and all(state.known for _, state in calculated.inputs):
                cycle = self.cycle(calculated.device.path)
                _evaluate(calculated, cycle)
                self.emit(calculated.device, cycle)

    def emit(self, device: Running, cycle: Cycle) -> None:
        """Send a cycle on its way; an empty one is nothing."""
        others: dict[str, Cycle] = {}
        if self._readers and cycle.changed:
            self._calculate(device, cycle, others)
        self._send(device, cycle)
        for path, one in others.items():
            self._send(self._devices[path], one)

    def _send(self, device: Running, cycle: Cycle) -> None:
        if not cycle.samples:
            return
        topic = self._data_topics.get(device.path)
        if topic is None:  # removed while its last answer was on the way
            return
        self.frames += 1
        self.samples += len(cycle.samples)
        taken = self._outbox.add_frame(
            topic,
            time_us=cycle.time_us,
            samples=cycle.samples,
            quality=cycle.quality,
            source_time=cycle.source_time,
        )
        self.refused += not taken
        self._live.put(cycle.changed)

    def _link_calculated(self, states: dict[str, TagState]) -> None:
        configs = {path: state.config for path, state in states.items()}
        readers: dict[str, list[_Calculated]] = {}
        for device in self._devices.values():
            for state in device.normaliser.states.values():
                if not state.config.expr or not state.config.enabled or not device.config.enabled:
                    continue
                inputs = tuple((name, states[path]) for name, path in state.config.inputs.items() if path in states)
                try:
                    if len(inputs) < len(state.config.inputs):
                        raise ExpressionError("an input belongs to another gateway, or is gone")
                    expression = expression_of(state.config, configs)
                except ExpressionError as error:
                    _log.warning("calculated tag %s can't be worked out: %s", state.path, error)
                    cycle = self.cycle(device.path)
                    device.normaliser.bad([state], Reason.EXPRESSION_ERROR, cycle)
                    self._send(device, cycle)
                    continue
                calculated = _Calculated(device, state, expression, inputs)
                for path in set(state.config.inputs.values()):
                    readers.setdefault(path, []).append(calculated)
        self._readers = {path: tuple(many) for path, many in readers.items()}

    def _calculate(self, device: Running, cycle: Cycle, others: dict[str, Cycle]) -> None:
        """Evaluate what reads a changed tag, and what reads that, each at most once a round."""
        changed = list(cycle.changed)
        for _ in range(8):  # chains deeper than this are cut; control's checks refuse cycles
            waiting = {id(one): one for state in changed for one in self._readers.get(state.path, ())}
            if not waiting:
                return
            changed = []
            for one in waiting.values():
                if not all(state.known for _, state in one.inputs):
                    continue
                target = cycle
                if one.device.path != device.path:
                    if one.device.path not in others:
                        others[one.device.path] = self.cycle(one.device.path)
                    target = others[one.device.path]
                before = (one.state.time_us, one.state.value, one.state.quality)
                _evaluate(one, target)
                if before != (one.state.time_us, one.state.value, one.state.quality):
                    changed.append(one.state)


def _evaluate(calculated: _Calculated, cycle: Cycle) -> None:
    normaliser = calculated.device.normaliser
    if any(state.quality is Quality.BAD for _, state in calculated.inputs):
        normaliser.bad([calculated.state], Reason.INPUT_BAD, cycle)
        return
    try:
        value = calculated.expression.evaluate({name: state.value for name, state in calculated.inputs})
    except ExpressionError:
        normaliser.bad([calculated.state], Reason.EXPRESSION_ERROR, cycle)
        return
    normaliser.put(calculated.state, value, cycle)
