"""Times of tags, by example; `tests/properties/test_time_of_tags.py` has the law for whatever happens."""

from __future__ import annotations

from nexus_cli.drivers.base import Fault, Scope
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime, device_runtime
from nexus_cli.runtime.gateway.pipeline import MOMENT_US
from nexus_cli.wire.sample import Quality, Reason
from tests.properties.test_time_of_tags import (
    ONE,
    POLLED,
    TWO,
    Plant,
    check,
)


async def test_a_pulse_between_two_requests_of_a_poll_ends_as_the_device_has_it() -> None:
    """A command in the middle of a poll: the device takes the pulse and resets it before the poll comes to the tag."""
    plant = Plant()
    plant.field[f"{ONE}/start"] = 0.0
    for one in (("poll",), *[("answer", 0, None)] * 6):
        await plant.do(one)
    await plant.do(("set", f"{ONE}/speed", 2.0))
    await plant.do(("poll",))
    await plant.do(("command", f"{ONE}/start", 1.0))
    while not any(value == 1.0 for _, value in plant.record.rows[f"{ONE}/start"]):
        await plant.do(("answer", 0, None))
        await plant.do(("pass", 0.03))
    plant.field[f"{ONE}/start"] = 0.0
    await plant.end()
    check(plant)
    assert [value for _, value in sorted(plant.record.rows[f"{ONE}/start"])] == [0.0, 1.0, 0.0]


async def test_what_a_long_poll_reads_late_is_dated_late() -> None:
    plant = Plant()
    read_us: dict[str, int] = {}
    await plant.do(("poll",))
    while plant.polling:
        await plant.do(("pass", 0.04))
        before = set(plant.known)
        await plant.do(("answer", 0, None))
        read_us.update(dict.fromkeys(plant.known.keys() - before, plant.clock.now_us()))
    check(plant)
    assert len(read_us) == 6
    for path, moment_us in read_us.items():
        assert 0 <= moment_us - plant.record.rows[path][0][0] < MOMENT_US
    moments = {(path.rpartition("/")[0], plant.record.rows[path][0][0]) for path in read_us}
    assert len(moments) == 4, "what is read within a moment is one frame"


async def test_an_answer_that_is_missing_once_costs_nothing() -> None:
    plant = Plant()
    for one in (("poll",), ("answer", 0, None), ("answer", 1, Scope.DEVICE)):
        await plant.do(one)
    await plant.end()
    check(plant)
    assert [[value for _, value in plant.record.rows[f"{ONE}/{name}"]] for name in POLLED] == [[0.0]] * 3


async def test_a_device_that_falls_silent_does_not_write_over_what_it_said_before() -> None:
    """What was read in the same cycle stays; the next cycle, in which nothing is answered, makes all of it BAD."""
    plant = Plant()
    for one in (("poll",), ("answer", 0, None), *[("answer", 0, None)] * 3, *[("answer", 0, Scope.DEVICE)] * 4):
        await plant.do(one)
    await plant.end()
    check(plant)
    assert [value for _, value in plant.record.rows[f"{ONE}/speed"]] == [0.0]
    await plant.do(("poll",))
    while plant.waiting:
        await plant.do(("answer", 0, Scope.DEVICE))
    check(plant)
    assert [plant.record.rows[f"{one}/{name}"][-1][1] for one in (ONE, TWO) for name in POLLED] == [None] * 6


async def test_a_new_configuration_in_the_middle_of_a_poll_keeps_the_order() -> None:
    """One device is replaced, the other removed; what was read of them before is recorded."""
    plant = Plant()
    for one in (("set", f"{TWO}/speed", 4.0), ("poll",), ("answer", 0, None), ("answer", 0, None)):
        await plant.do(one)
    plant.devices[ONE] = device_runtime(plant.devices[ONE].config, "2", plant.driver)
    del plant.devices[TWO]
    plant.pipeline.configure(plant.devices.values())
    await plant.reporting.renew(plant.devices)
    assert plant.record.rows[f"{TWO}/speed"] == [(plant.clock.now_us(), 4.0)]
    await plant.do(("report", ONE, [1.0]))
    await plant.do(("set", f"{ONE}/speed", 5.0))
    await plant.end()
    await plant.do(("poll",))
    await plant.end()
    found = plant.record.rows[f"{ONE}/speed"]
    assert found == sorted(found) and found[-1][1] == 5.0
    assert len(plant.record.rows[f"{TWO}/speed"]) == 1 and f"{TWO}/start" not in plant.record.rows


def test_a_device_that_moves_to_another_link_has_one_time() -> None:
    """Its last poll on the old link and its first on the new one run side by side."""
    plant = Plant()
    old = plant.devices[ONE]
    new = device_runtime(old.config, "2", plant.driver)
    plant.pipeline.configure([new, plant.devices[TWO]])
    for device, value in ((old, 1.0), (new, 2.0), (old, 3.0), (new, 4.0)):
        device.normaliser.take(device.normaliser.of(["speed"]), [value], plant.pipeline.ongoing(device))
    plant.pipeline.finish(old)
    plant.pipeline.finish(new)
    assert [value for _, value in sorted(plant.record.rows[f"{ONE}/speed"])] == [1.0, 2.0, 3.0, 4.0]


def test_calculated_tags_say_how_good_their_inputs_are() -> None:
    plant = Plant()
    one, two = plant.devices[ONE], plant.devices[TWO]
    both = one.normaliser.states["both"]

    def feed(where: DeviceRuntime, value: float, fault: Fault | None = None) -> None:
        cycle = plant.pipeline.cycle(where.path)
        where.normaliser.take(where.normaliser.of(["speed"]), [value], cycle, faults={0: fault} if fault else None)
        plant.pipeline.emit(where, cycle)

    feed(one, 1.0)
    feed(two, 2.0)
    assert (both.value, both.quality) == (3.0, Quality.GOOD)
    feed(two, 2.5, Fault(Reason.OUT_OF_RANGE, uncertain=True))
    assert (both.value, both.quality, both.reason) == (3.5, Quality.UNCERTAIN, Reason.SOURCE_UNCERTAIN)
    feed(two, 2.5)
    plant.pipeline.doubt(True)
    feed(one, 1.0)
    assert (both.quality, both.reason) == (Quality.UNCERTAIN, Reason.CLOCK_UNSYNCHRONISED)
    plant.pipeline.doubt(False)
    feed(one, 1.0)
    feed(two, 2.5)
    assert (both.value, both.quality, both.reason) == (3.5, Quality.GOOD, None)
