"""A plant in memory: the gateway's own pipeline and control's own alarms, fed with given values on a clock of its own.

Nothing here opens a socket, a file or a database: outbox and live view are two lists.

See docs/decisions/0107.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from nexus_cli.alarms.flood import Flood
from nexus_cli.alarms.panel import Now, Panel
from nexus_cli.alarms.values import Reading
from nexus_cli.drivers.base import Fault
from nexus_cli.drivers.registry import driver
from nexus_cli.project.testing.declared import Given
from nexus_cli.project.testing.names import SiteNames
from nexus_cli.runtime.clock import RisingTime
from nexus_cli.runtime.gateway.devices.absence import Absence
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime, device_runtime
from nexus_cli.runtime.gateway.devices.tag_table import Positions, TagState, TagTable
from nexus_cli.runtime.gateway.live_table import payload
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.wire.alert import AlertEvent
from nexus_cli.wire.frame_batch import FrameColumns, to_frame
from nexus_cli.wire.sample import Reason, Value

BEGIN_US = 1_767_571_200_000_000
"""When a test begins: 2026-01-05 00:00 UTC, a Monday."""
TICK_MS = 1000
"""How often rules of quality, calculated heartbeats and silent alarms are looked at, as in the gateway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One sample: at which moment of the test (ms), value, quality, reason, unit, name of its code, and the live payload."""

    at_ms: float
    value: Value
    quality: str
    reason: str
    unit: str
    label: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the historian: moment of the test (ms), value and quality."""

    at_ms: float
    value: Value
    quality: str


@dataclass(slots=True)
class Record:
    """What a run left behind.

    Attributes:
        samples: By path, in order of time.
        rows: By path, in order of time.
        alarms: Moment (ms) and state by name, in order of time; every one begins cleared.
        frames: How many frames were made.
    """

    samples: dict[str, list[Seen]] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    alarms: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    frames: int = 0


class PlantClock:
    """Time that only the plant moves. As `runtime.clock.Clock`."""

    def __init__(self) -> None:
        self.turns = 0
        self.at_ms = 0

    def now_us(self) -> int:
        """Time since 1970 UTC in µs."""
        return BEGIN_US + self.at_ms * 1000

    wall_us = now_us

    def monotonic_s(self) -> float:
        """Seconds since the begin."""
        return self.at_ms / 1000

    async def sleep(self, delay_s: float) -> None:
        """Nothing in the plant waits; who awaits this has the time pass."""
        self.at_ms += round(delay_s * 1000)


class Plant:
    """The devices that a test gives values for, and all alarms.

    Attributes:
        record: Samples, rows and alarms so far.
        json_frames: As of the outbox: the frames keep integers and booleans.
    """

    def __init__(self, names: SiteNames, paths: Sequence[str]) -> None:
        """Configure the devices of these tags, and those whose calculated tags may read them.

        Raises:
            DriverError, ValueError: A device can't be run, as in a gateway.
        """
        self.record = Record()
        self.json_frames = True
        self._names, self._clock = names, PlantClock()
        this: Any = self  # outbox and live view in one: the pipeline calls add_frame, add_gap, put and forget of them
        self._pipeline = Pipeline(
            topics=names.topics,
            outbox=this,
            live=this,
            time=RisingTime(self._clock),
            absence=Absence(clock=self._clock, add_gap=self.add_gap),
        )
        self._devices: dict[str, DeviceRuntime] = {}
        for path in _needed(names, paths):
            device = names.devices[path]
            self._devices[path] = device_runtime(device, "", driver(device.protocol))
        self._held: dict[str, tuple[Value, Fault | None]] = {}
        self._panel = Panel(changed=self._alarm_changed, flooded=self._flooded)
        gateways = {path: device.gateway for path, device in names.devices.items()}
        self._panel.load(names.alarms, self._now(), tags=names.tags, gateways=gateways)
        self._gateways = sorted({gateway for gateway in gateways.values() if gateway})

    def run(self, given: Sequence[Given], end_ms: int) -> Record:
        """Let the time pass from 0 to the end, with what the devices hold changing on the way."""
        self._pipeline.configure(self._devices.values())
        for device in self._devices.values():
            off = device.out_of_service()
            if len(off):
                cycle = self._pipeline.cycle(device.path)
                device.normaliser.bad(off, Reason.OUT_OF_SERVICE, cycle)
                self._pipeline.emit(device, cycle)
        changes: dict[int, list[Given]] = {}
        for one in given:
            changes.setdefault(one.at_ms, []).append(one)
        for at_ms in self._moments(given, sorted(changes), end_ms):
            self._pass(at_ms)
            new = changes.get(at_ms, [])
            for one in new:
                self._held[one.path] = (one.raw, one.fault)
            self._read(at_ms, {one.path for one in new})
            if at_ms % TICK_MS == 0:
                self._tick()
        self._pass(end_ms, including=True)
        return self.record

    def _moments(self, given: Sequence[Given], changes: Sequence[int], end_ms: int) -> list[int]:
        found = {*changes, *range(0, end_ms + 1, TICK_MS), end_ms}
        for poll_ms in {self._names.tags[one.path].poll_ms for one in given}:
            found.update(range(0, end_ms + 1, max(10, poll_ms)))
        return sorted(one for one in found if one <= end_ms)

    def _read(self, at_ms: int, fresh: set[str]) -> None:
        """Read what is due at this moment: what changed, and what is polled now."""
        due: dict[str, list[str]] = {}
        for path in self._held:
            tag = self._names.tags[path]
            polled = tag.mode == "poll" and at_ms % max(10, tag.poll_ms) == 0
            if path in fresh or polled:
                of, _, name = path.rpartition("/")
                due.setdefault(of, []).append(name)
        for path, every in due.items():
            device = self._devices[path]
            names = [name for name in every if device.config.enabled and device.config.tags[name].enabled]
            if not names:
                continue
            found = [self._held[f"{path}/{name}"] for name in names]
            faults = {place: fault for place, (_, fault) in enumerate(found) if fault is not None}
            device.reachable = True
            cycle = self._pipeline.cycle(path)
            device.normaliser.take(
                device.normaliser.of(names), [value for value, _ in found], cycle, faults=faults or None
            )
            self._pipeline.emit(device, cycle)

    def _tick(self) -> None:
        for device in self._devices.values():
            due = [
                state
                for state in device.field_states()
                if state.known and state.config.mode != "poll" and state.config.heartbeat_ms and self._due(state)
            ]
            if due:
                cycle = self._pipeline.cycle(device.path)
                device.normaliser.again(due, cycle)
                self._pipeline.emit(device, cycle)
            if device.normaliser.quality:
                cycle = self._pipeline.cycle(device.path)
                device.normaliser.judge_again(cycle)
                self._pipeline.emit(device, cycle, read=False)
        self._pipeline.repeat_calculated()
        for gateway in self._gateways:
            self._panel.alive(gateway, self._now())

    def _due(self, state: TagState) -> bool:
        return self._clock.now_us() >= state.due_us

    def _pass(self, at_ms: int, *, including: bool = False) -> None:
        """Do what falls due in the alarms before a moment, each thing at its own time."""
        while (due_s := self._panel.due_s()) is not None:
            due_ms = round(due_s * 1000)
            if due_ms > at_ms or (due_ms == at_ms and not including):
                break
            before = due_s
            self._clock.at_ms = max(due_ms, self._clock.at_ms)
            self._panel.tick(Now(self._clock.now_us(), max(due_s, self._clock.monotonic_s())))
            if self._panel.due_s() == before:  # nothing came of it, and nothing would
                break
        self._clock.at_ms = at_ms

    def _now(self) -> Now:
        return Now(self._clock.now_us(), self._clock.monotonic_s())

    def _alarm_changed(self, name: str, events: list[AlertEvent]) -> None:
        for event in events:
            self.record.alarms.setdefault(name, []).append((_moment(event.at), event.state))

    def _flooded(self, flood: Flood, begins: bool) -> None:
        """A test does not ask for floods."""

    def add_frame(self, columns: FrameColumns) -> bool:
        """Take a frame, as the outbox does."""
        device, frame = columns.shape.device, to_frame(columns, epoch="", seq=0)
        self.record.frames += 1
        for name, value in frame.samples.items():
            quality = frame.quality.get(name, ("GOOD", None, 0))[0]
            self.record.rows.setdefault(f"{device}/{name}", []).append(Row(_moment(frame.time), value, str(quality)))
        return True

    def add_gap(self, *, device: str, start_us: int, end_us: int, frames: int, reason: object) -> None:
        """A device of a test is always read: there are no gaps to store."""

    def forget(self, topic: str) -> None:
        """No configuration is replaced."""

    def put(self, table: TagTable, positions: Positions | None) -> None:
        """Show values, as the live view does, and pass them to the alarms as control gets them."""
        for state in table.states if positions is None else [table.state(at) for at in positions.tolist()]:
            if not state.time_us:
                continue
            live = orjson.loads(payload(state))
            label = live.get("label")
            seen = Seen(
                at_ms=_moment(state.time_us),
                value=state.value,
                quality=state.quality.name,
                reason=state.reason.value if state.reason is not None else "",
                unit=live.get("unit", ""),
                label=label or "",
                payload=live,
            )
            self.record.samples.setdefault(state.path, []).append(seen)
            out = state.reason is Reason.OUT_OF_SERVICE
            self._panel.feed(state.path, Reading(state.value, state.quality, label, out), self._now())


def _needed(names: SiteNames, paths: Sequence[str]) -> list[str]:
    """The devices of these tags, those whose calculated tags read them, and those that these read, in the site's order."""
    wanted = {path.rpartition("/")[0] for path in paths}
    readers = [
        (tag.rpartition("/")[0], {one.rpartition("/")[0] for one in config.inputs.values()})
        for tag, config in names.tags.items()
        if config.expr
    ]
    grown = True
    while grown:
        before = len(wanted)
        for device, inputs in readers:
            if device in wanted or inputs & wanted:
                wanted |= {device, *inputs}
        grown = len(wanted) > before
    return [path for path, device in names.devices.items() if path in wanted and device.protocol != "external"]


def _moment(time_us: int) -> float:
    """The moment of the test, ms; a µs that only keeps the order of two samples is left out."""
    return (time_us - BEGIN_US) // 1000
