"""Cycles become frames, in order; calculated tags are as good as the worst of their inputs."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.drivers.base import Fault
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime, device_runtime
from nexus_cli.runtime.gateway.devices.normaliser import Cycle, TagState
from nexus_cli.runtime.gateway.outbox.losses import Span
from nexus_cli.runtime.gateway.pipeline import MOMENT_US
from nexus_cli.wire.sample import Quality, Reason, Value
from tests.clock import FakeClock
from tests.field import FakeDriver, device
from tests.recorded import TOPICS, Recorded, pipeline_into

PATH = "a/l/tank"


class Tank:
    """One device: what is read by name, and what is calculated of it."""

    def __init__(self, **tags: TagConfig) -> None:
        self.pipeline = pipeline_into(Recorded(), FakeClock())
        config = DeviceConfig(path=PATH, protocol="fake", link="x", gateway="gw-1", tags=tags)
        self.device: DeviceRuntime = device_runtime(config, "1", FakeDriver())
        self.pipeline.configure([self.device])

    def read(self, fault: Fault | None = None, **values: Value) -> None:
        """Values come from the field, all in one answer; a fault is the first one's."""
        cycle = self.pipeline.cycle(PATH)
        states = self.device.normaliser.of(values)
        self.device.normaliser.take(states, list(values.values()), cycle, faults={0: fault} if fault else None)
        self.pipeline.emit(self.device, cycle)

    def __getitem__(self, name: str) -> TagState:
        return self.device.normaliser.states[name]


def calculated(expr: str, *inputs: str, **keys: Any) -> TagConfig:
    """A calculated tag of this device."""
    return TagConfig(**{"type": "float64", "expr": expr, "inputs": {name: f"{PATH}/{name}" for name in inputs}, **keys})


def tank() -> Tank:
    return Tank(
        level=TagConfig(type="float64", address="l", range=(0.0, 100.0)),
        flow=TagConfig(type="float64", address="f"),
        half=calculated("level / 2", "level"),
        full=calculated("half > 40", "half", type="bool"),
        both=calculated("flow if full else half", "flow", "full", "half"),
    )


@pytest.mark.parametrize("depth", ["half", "full", "both"])
def test_an_input_outside_of_its_range_makes_all_that_is_calculated_of_it_uncertain(depth: str) -> None:
    one = tank()
    one.read(level=50.0, flow=1.0)
    assert one[depth].quality is Quality.GOOD
    one.read(level=250.0)
    assert (one[depth].quality, one[depth].reason) == (Quality.UNCERTAIN, Reason.SOURCE_UNCERTAIN)
    one.read(level=50.0)
    assert one[depth].quality is Quality.GOOD


def test_a_bad_input_outweighs_an_uncertain_one_also_where_the_result_does_not_need_it() -> None:
    one = tank()
    one.read(level=250.0, flow=1.0)
    one.read(Fault(Reason.DEVICE_TIMEOUT), flow=None)
    assert (one["both"].quality, one["both"].reason) == (Quality.BAD, Reason.INPUT_BAD)
    assert one["half"].quality is Quality.UNCERTAIN


def test_a_result_has_no_noise_and_its_own_range() -> None:
    one = Tank(
        a=TagConfig(type="float64", address="a"),
        b=TagConfig(type="float32", address="b"),
        sum=calculated("a + b", "a", "b", range=(0.0, 0.3)),
        single=calculated("a / 3", "a", type="float32"),
    )
    one.read(a=0.1, b=0.20000000298023224)
    assert (one["b"].value, one["sum"].value, one["sum"].quality) == (0.2, 0.3, Quality.GOOD)
    assert one["single"].value == 0.033333333
    one.read(a=0.2)
    assert (one["sum"].value, one["sum"].quality, one["sum"].reason) == (
        0.4,
        Quality.UNCERTAIN,
        Reason.OUT_OF_RANGE,
    )


# --- cycles and frames ------------------------------------------------------------------------------------------

ONE, TWO = "a/l/one", "a/l/two"


class Line:
    """Two devices with polled tags `t0`, `t1`, and what is recorded of them."""

    def __init__(self, *configs: DeviceConfig) -> None:
        self.clock, self.recorded = FakeClock(), Recorded()
        self.pipeline = pipeline_into(self.recorded, self.clock)
        self.devices: dict[str, DeviceRuntime] = {}
        self.configure(*(configs or (device(ONE, tags=2), device(TWO, tags=2))))

    def configure(self, *configs: DeviceConfig) -> None:
        driver = FakeDriver()
        self.devices = {one.path: device_runtime(one, "1", driver) for one in configs}
        self.pipeline.configure(self.devices.values())

    def put(self, path: str, cycle: Cycle, **values: Value) -> None:
        """Values become known in a cycle."""
        normaliser = self.devices[path].normaliser
        normaliser.take(normaliser.of(values), list(values.values()), cycle)

    def poll(self, path: str, **values: Value) -> None:
        """A part of the answer of a poll."""
        self.put(path, self.pipeline.ongoing(self.devices[path]), **values)

    def report(self, path: str, **values: Value) -> None:
        """A cycle of its own."""
        cycle = self.pipeline.cycle(path)
        self.put(path, cycle, **values)
        self.pipeline.emit(self.devices[path], cycle)

    def frames(self) -> list[tuple[str, int, dict[str, Value]]]:
        """Device, µs since the beginning, and samples of each frame."""
        return [(one.device, one.time_us - START_US, dict(one.samples)) for one in self.recorded.frames]


START_US = FakeClock().now_us()


def test_the_answers_of_a_poll_are_one_frame_when_they_come_within_a_moment() -> None:
    line = Line()
    line.poll(ONE, t0=1.0)
    line.clock.advance((MOMENT_US - 1) / 1e6)
    line.poll(ONE, t1=2.0)
    assert line.frames() == []
    line.pipeline.finish(line.devices[ONE])
    assert line.frames() == [(ONE, 0, {"t0": 1.0, "t1": 2.0})]
    assert (line.pipeline.frames, line.pipeline.samples) == (1, 2)


def test_what_is_answered_later_has_a_time_and_a_frame_of_its_own() -> None:
    line = Line()
    line.poll(ONE, t0=1.0)
    line.clock.advance(MOMENT_US / 1e6)
    line.poll(ONE, t1=2.0)
    line.pipeline.finish(line.devices[ONE])
    assert line.frames() == [(ONE, 0, {"t0": 1.0}), (ONE, MOMENT_US, {"t1": 2.0})]


def test_a_cycle_that_comes_between_goes_after_what_the_poll_had_read_before() -> None:
    line = Line()
    line.poll(ONE, t0=1.0)
    line.report(ONE, t0=5.0)
    line.poll(ONE, t1=2.0)
    line.poll(TWO, t0=9.0)
    line.pipeline.finish(line.devices[ONE])
    assert line.frames() == [(ONE, 0, {"t0": 1.0}), (ONE, 1, {"t0": 5.0}), (ONE, 2, {"t1": 2.0})]
    assert line.recorded.shown[f"{ONE}/t0"] == (START_US + 1, 5.0)


def test_times_of_a_device_rise_when_the_clock_steps_back_and_those_of_others_are_their_own() -> None:
    line = Line()
    line.report(ONE, t0=1.0)
    line.clock.step(-3_000_000)
    line.report(ONE, t0=2.0)
    line.report(TWO, t0=3.0)
    assert line.frames() == [(ONE, 0, {"t0": 1.0}), (ONE, 1, {"t0": 2.0}), (TWO, -3_000_000, {"t0": 3.0})]


def test_a_report_of_the_past_lies_behind_the_last_row() -> None:
    line = Line()
    line.clock.advance(10.0)
    line.report(ONE, t0=1.0)
    early = line.pipeline.cycle(ONE, at_us=START_US + 4_000_000)
    assert early.time_us == START_US + 10_000_001
    assert line.pipeline.cycle(TWO, at_us=START_US + 4_000_000).time_us == START_US + 4_000_000


def test_an_empty_cycle_is_nothing() -> None:
    line = Line()
    line.report(ONE, t0=1.0)
    line.report(ONE, t0=1.0)
    line.pipeline.finish(line.devices[ONE])
    assert len(line.frames()) == 1


def test_what_the_outbox_refuses_is_counted_and_shown_all_the_same() -> None:
    line = Line()
    line.recorded.full = True
    line.report(ONE, t0=1.0)
    assert line.pipeline.refused == 1
    assert line.recorded.shown[f"{ONE}/t0"] == (START_US, 1.0)


def test_a_late_answer_to_a_former_configuration_is_recorded_and_changes_nothing_else() -> None:
    line = Line(device(ONE, tags=2))
    old = line.devices[ONE]
    total = TagConfig(type="float64", expr="x + y", inputs={"x": f"{ONE}/t0", "y": f"{TWO}/t0"}, heartbeat_ms=1000)
    line.configure(device(ONE, tags=3, more={"sum": total}), device(TWO, tags=1))
    line.report(ONE, t0=1.0)
    line.report(TWO, t0=8.0)
    shown = dict(line.recorded.shown)
    line.clock.advance(2.0)
    cycle = line.pipeline.ongoing(old)
    old.normaliser.take(old.normaliser.of(["t0", "t1"]), [7.0, 7.5], cycle)
    line.pipeline.finish(old)
    assert line.frames()[-1] == (ONE, 2_000_000, {"t0": 7.0, "t1": 7.5})
    assert line.recorded.shown == shown and shown[f"{ONE}/sum"][1] == 9.0


def test_a_new_configuration_sends_what_was_read_under_the_old_one_and_clears_the_topics_that_are_gone() -> None:
    line = Line()
    line.poll(ONE, t0=1.0)
    old = line.devices[TWO]
    line.configure(device(ONE, tags=1))
    assert line.frames() == [(ONE, 0, {"t0": 1.0})]
    assert sorted(line.recorded.forgotten) == [
        TOPICS.tag(f"{ONE}/t1"),
        TOPICS.tag(f"{TWO}/t0"),
        TOPICS.tag(f"{TWO}/t1"),
    ]
    cycle = line.pipeline.cycle(TWO)
    old.normaliser.take(old.normaliser.of(["t0"]), [7.0], cycle)
    line.pipeline.emit(old, cycle)
    assert len(line.frames()) == 1, "its last answer was on its way when it was removed"


def test_a_calculated_tag_of_another_device_is_a_frame_of_that_device_after_the_one_it_follows_from() -> None:
    total = TagConfig(type="float64", expr="x + y", inputs={"x": f"{ONE}/t0", "y": f"{TWO}/t0"})
    line = Line(device(ONE, tags=1), device(TWO, tags=1, more={"sum": total}))
    line.report(ONE, t0=1.0)
    line.poll(TWO, t0=2.0)
    assert line.frames() == [(ONE, 0, {"t0": 1.0})], "an input is not known yet"
    line.report(ONE, t0=5.0)
    line.pipeline.finish(line.devices[TWO])
    assert line.frames()[1:] == [(TWO, 0, {"t0": 2.0}), (ONE, 1, {"t0": 5.0}), (TWO, 1, {"sum": 7.0})]


def test_an_input_of_another_gateway_makes_the_calculated_tag_bad() -> None:
    lone = TagConfig(type="float64", expr="x", inputs={"x": "b/l/elsewhere/t0"})
    line = Line(device(ONE, tags=1, more={"far": lone}))
    assert line.recorded.frames[0].quality == {"far": ("BAD", "expression_error", 0)}


def test_a_doubtful_clock_marks_new_samples_and_those_that_no_poll_repeats() -> None:
    reported = {"r": TagConfig(type="float64", address="r", mode="subscribe")}
    line = Line(device(ONE, tags=1, more=reported))
    line.report(ONE, t0=1.0, r=2.0)
    line.pipeline.doubt(True)
    assert line.frames()[1:] == [(ONE, 1, {"r": 2.0})]
    doubtful = ("UNCERTAIN", "clock_unsynchronised", 0)
    assert line.recorded.frames[-1].quality == {"r": doubtful}
    line.report(ONE, t0=3.0)
    assert line.recorded.frames[-1].quality == {"t0": doubtful}
    line.pipeline.doubt(False)
    assert line.recorded.frames[-1].quality == {} and line.frames()[-1][2] == {"r": 2.0}


def test_after_a_loss_the_last_values_are_recorded_once_more_and_the_silence_is_a_gap() -> None:
    reported = {"r": TagConfig(type="float64", address="r", mode="subscribe")}
    line = Line(device(ONE, tags=1, more=reported), device(TWO, tags=1))
    line.report(ONE, t0=1.0, r=2.0)
    line.report(TWO, t0=1.0)
    line.clock.advance(5.0)
    span = Span(ONE, "disk_refused", START_US - 10, START_US + 10, 1)
    line.pipeline.restate([span])
    assert line.frames()[2:] == [(ONE, 5_000_001, {"r": 2.0})]
    gaps = [
        (path, start_us - START_US, end_us - START_US, reason) for path, start_us, end_us, reason in line.recorded.gaps
    ]
    assert gaps == [(ONE, 11, 4_999_999, "disk_refused")]
    line.report(ONE, t0=1.0)
    assert line.frames()[-1][2] == {"t0": 1.0}, "its next poll records it although it did not change"
    line.report(TWO, t0=1.0)
    assert line.frames()[-1][0] == ONE, "the other device lost nothing"
