"""Laws of what a gateway declares: by row and gap together each moment of a device is accounted for, and no gap holds a
row, over random kills, stops, pauses, busy links and devices that go away."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nexus_cli.runtime.gateway.devices.absence import ALWAYS_LATE, BEAT_S, Absence
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime, device_runtime
from nexus_cli.runtime.gateway.devices.handover import Mark, Past
from nexus_cli.wire.frame import GapReason
from tests.clock import FakeClock
from tests.field import FakeDriver, device

TICK_S = 0.05
INTERVALS_MS = {"a/l/fast": 100, "a/l/usual": 1000, "a/l/slow": 5000}
SLACK_US = 400_000
"""A beat, an answer's way, and a tick."""


class Row(NamedTuple):
    """A record of the disk log: a row of a device (count -1 is BAD), or a gap."""

    device: str
    time_us: int
    count: int = -1
    start_us: int = 0

    @property
    def is_gap(self) -> bool:
        return self.start_us > 0


@dataclass
class Field:
    """Devices that count what they are asked."""

    given: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: {path: [] for path in INTERVALS_MS})
    dead: set[str] = field(default_factory=set)

    def ask(self, path: str, time_us: int) -> int:
        if path in self.dead:
            return -1
        count = len(self.given[path])
        self.given[path].append((time_us, count))
        return count


class World:
    """A gateway that is killed, stopped and held up, over one disk log."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.clock = FakeClock()
        self.field = Field()
        self.log: list[Row] = []
        self.durable = 0
        self.mark: Mark | None = None
        self.known = False
        self.start(None)

    def start(self, reason: GapReason | None) -> None:
        """A new process; `reason` is how the one before ended."""
        self.devices: dict[str, DeviceRuntime] = {
            path: device_runtime(device(path, poll_ms=ms), "d", FakeDriver()) for path, ms in INTERVALS_MS.items()
        }
        self.absence = Absence(clock=self.clock, add_gap=self.add_gap)
        if reason is not None:
            mark = self.mark or Mark(time_us=max((one.time_us for one in self.log), default=1), seq=len(self.log))
            rows: dict[str, int] = {}
            for one in self.log[mark.seq :]:
                rows[one.device] = max(rows.get(one.device, 0), one.time_us)
            self.absence.resume(Past(mark, rows, reason, frozenset(INTERVALS_MS)))
        self.absence.configured(self.devices.values())
        now_s = self.clock.monotonic_s()
        self.due = {path: now_s + self.random.random() for path in INTERVALS_MS}
        self.answers: list[tuple[float, str, int]] = []
        self.begun: list[tuple[int, str, int]] = []
        self.taken: Mark | None = None
        self.ticks = 0

    def add_gap(self, *, device: str, start_us: int, end_us: int, frames: int, reason: GapReason) -> None:
        self.log.append(Row(device, end_us, start_us=start_us))

    def run(self, seconds: float, *, busy: bool = False) -> None:
        """The process works; a busy one answers and beats, but has no time for polls."""
        for _ in range(round(seconds / TICK_S)):
            self.clock.advance(TICK_S)
            self.tick(busy=busy)

    def tick(self, *, busy: bool) -> None:
        now_s, now_us = self.clock.monotonic_s(), self.clock.now_us()
        self.durable = len(self.log)  # what was accepted in the last tick is written in this one
        self.ticks += 1
        arrived = [one for one in self.answers if one[0] <= now_s]
        self.answers = [one for one in self.answers if one[0] > now_s]
        # An answer of several parts is dated with the first, and on its way with the last.
        handed, self.begun = self.begun, [(now_us, path, count) for _, path, count in arrived]
        if self.random.random() < 0.5:
            handed, self.begun = handed + self.begun, []
        for time_us, path, count in handed:
            self.absence.read(path, time_us, answered=count >= 0)
            if count >= 0 or not self.log or self.last(path).count >= 0:
                self.log.append(Row(path, time_us, count))
            self.absence.finished(path, answered=count >= 0)
        if self.ticks % round(BEAT_S / TICK_S) == 0:
            self.absence.beat()
        if self.ticks % 20 == 0:
            if self.taken is not None and self.durable >= self.taken.seq:
                self.mark, self.taken = msgspec.json.decode(msgspec.json.encode(self.taken), type=Mark), None
            self.taken = self.taken or self.absence.mark(seq=len(self.log), instances=["I"], term=0)
        if busy:
            return
        for path, due_s in self.due.items():
            if now_s >= due_s and not any(one[1] == path for one in (*self.answers, *self.begun)):
                interval_s = INTERVALS_MS[path] / 1000
                self.due[path] = due_s + interval_s * max(1, int((now_s - due_s) / interval_s))
                self.absence.asked(path)
                count = self.field.ask(path, now_us)
                self.answers.append((now_s + self.random.choice((0.05, 0.1)), path, count))

    def last(self, path: str) -> Row:
        return next((one for one in reversed(self.log) if one.device == path and not one.is_gap), Row(path, 0, 0))

    def kill(self, away_s: float) -> None:
        # Of a write that was under way any part may have become durable.
        del self.log[self.random.randint(self.durable, len(self.log)) :]
        self.clock.advance(away_s)
        self.start(GapReason.GATEWAY_KILLED)

    def stop(self, away_s: float) -> None:
        for _ in range(3):  # the reads that have begun end
            self.clock.advance(TICK_S)
            self.tick(busy=True)
        self.durable = len(self.log)
        self.mark = self.absence.mark(seq=len(self.log), instances=["I"], term=0, last=True)
        self.clock.advance(away_s)
        self.start(GapReason.GATEWAY_STOPPED)

    def act(self, action: tuple[str, float]) -> None:
        name, seconds = action
        if name == "run":
            self.run(seconds)
        elif name == "busy":
            self.run(seconds, busy=True)
        elif name == "pause":
            self.clock.advance(seconds)
        elif name == "kill":
            self.kill(seconds)
        elif name == "stop":
            self.stop(seconds)
        elif name == "back":
            self.clock.turn_back(round(seconds * 60e6))
        elif name == "forth":
            self.clock.step(round(seconds * 60e6))
        else:
            path = sorted(INTERVALS_MS)[int(seconds) % 3]
            self.field.dead ^= {path}


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["run", "run", "run", "kill", "stop", "pause", "busy", "dead"]), st.floats(0.05, 20.0)),
    max_size=12,
)


TURNS = st.lists(
    st.tuples(st.sampled_from(["run", "run", "kill", "stop", "pause", "back", "forth"]), st.floats(0.05, 20.0)),
    max_size=12,
)


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 2**16), actions=TURNS)
@example(  # what the first process had on record lies before the turn that the second one knows of
    seed=0, actions=[("forth", 1.0), ("back", 1.0), ("forth", 1.0), ("kill", 1.0), ("back", 2.0), ("forth", 1.0)]
)
def test_no_gap_holds_a_row_however_the_time_is_set(seed: int, actions: list[tuple[str, float]]) -> None:
    world = World(seed)
    world.run(3.0)
    for action in actions:
        world.act(action)
        world.run(2.0)
    times_us: dict[str, list[int]] = {path: [] for path in INTERVALS_MS}
    for one in world.log:
        if not one.is_gap:
            times_us[one.device].append(one.time_us)
            continue
        assert one.start_us <= one.time_us
        # Rows that are recorded later may lie in it: the hours in which nothing was read pass again.
        assert not [time_us for time_us in times_us[one.device] if one.start_us <= time_us <= one.time_us]


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 2**16), actions=ACTIONS)
def test_each_moment_is_accounted_for_and_no_gap_holds_a_row(seed: int, actions: list[tuple[str, float]]) -> None:
    world = World(seed)
    world.run(3.0)
    for action in actions:
        world.act(action)
    world.field.dead.clear()
    world.run(16.0)
    for path, interval_ms in INTERVALS_MS.items():
        rows = [one for one in world.log if one.device == path and not one.is_gap]
        gaps = [one for one in world.log if one.device == path and one.is_gap]
        for gap in gaps:
            assert gap.start_us <= gap.time_us
            assert not [row for row in rows if gap.start_us <= row.time_us <= gap.time_us], "a gap holds a row"
        stored = {row.count for row in rows}
        flying = {count for _, other, count in (*world.answers, *world.begun) if other == path}
        for time_us, count in world.field.given[path]:
            if count not in stored and count not in flying:
                # Asked in the tick of the row before it, and counted after that.
                assert any(gap.start_us <= time_us + 1 <= gap.time_us for gap in gaps), (path, count, "is nowhere")
        longest_us = 1000 * interval_ms + max(1_000_000, 2000 * interval_ms) + SLACK_US
        late = 0
        for before, following in pairwise(rows):
            silent_us = following.time_us - before.time_us
            late = late + 1 if silent_us > longest_us - SLACK_US else 0
            if before.count >= 0 and silent_us > longest_us and late <= ALWAYS_LATE:
                over = [gap for gap in gaps if before.time_us < gap.time_us < following.time_us]
                assert over, (path, silent_us, "of silence that nothing says")
                assert following.time_us - over[-1].time_us <= longest_us
