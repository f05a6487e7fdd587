"""Calculated tags: as good as the worst that they are made of, and numbers without the noise of arithmetic."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.drivers.base import Fault
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.clock import FakeClock, RisingTime
from nexus_cli.runtime.gateway.devices.absence import Absence
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime, device_runtime
from nexus_cli.runtime.gateway.devices.normaliser import TagState
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.wire.sample import Quality, Reason, Value
from nexus_cli.wire.topic import Topics
from tests.field import FakeDriver

PATH = "a/l/tank"


class Nowhere:
    """An outbox and a live view that keep nothing."""

    def add_frame(self, *_: Any, **__: Any) -> bool:
        return True

    def put(self, states: Any) -> None:
        pass

    def forget(self, topic: str) -> None:
        pass


class Tank:
    """One device: what is read by name, and what is calculated of it."""

    def __init__(self, **tags: TagConfig) -> None:
        nowhere: Any = Nowhere()
        clock = FakeClock()
        self.pipeline = Pipeline(
            topics=Topics("e", "s"),
            gateway="gw-1",
            outbox=nowhere,
            live=nowhere,
            time=RisingTime(clock),
            absence=Absence(clock=clock, add_gap=lambda **_: None),
        )
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
    assert one["single"].value == 0.0333333333
    one.read(a=0.2)
    assert (one["sum"].value, one["sum"].quality, one["sum"].reason) == (
        0.4,
        Quality.UNCERTAIN,
        Reason.OUT_OF_RANGE,
    )
