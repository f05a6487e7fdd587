"""Rules of quality in a gateway: what is flagged, what is rejected, and that nothing else changes."""

from __future__ import annotations

import pytest

from nexus_cli.model.config import DeviceConfig, QualityConfig, TagConfig
from nexus_cli.runtime.gateway.devices.cycle import Cycle
from nexus_cli.runtime.gateway.devices.normaliser import Normaliser
from nexus_cli.wire.frame import Letter
from nexus_cli.wire.sample import Quality, Reason

SECOND = 1_000_000


class Box:
    """Takes letters."""

    def __init__(self) -> None:
        self.letters: list[tuple[Letter, str, int, int]] = []

    def add_letter(self, letter: Letter, *, device: str, start_us: int, end_us: int) -> bool:
        self.letters.append((letter, device, start_us, end_us))
        return True


def device_of(rules: QualityConfig, *, tags: int = 1, mode: str = "poll") -> Normaliser:
    ruled = TagConfig(type="float64", address="1", range=(0.0, 100.0), quality=rules, mode=mode)
    free = TagConfig(type="float64", address="2", range=(0.0, 100.0))
    return Normaliser(
        DeviceConfig(
            path="a/l/d",
            protocol="modbus",
            link="tcp:h:1",
            gateway="g",
            tags={"x": ruled, **{f"f{at}": free for at in range(tags - 1)}},
        )
    )


def read(device: Normaliser, value: float, at_us: int) -> tuple[bool, Quality, Reason | None]:
    """One answer in which all tags have this value: whether x was recorded, and what it is now."""
    cycle = Cycle(at_us)
    device.take(_group(device), [value] * len(device.states), cycle)
    state = device.states["x"]
    return 0 in cycle.positions().tolist(), state.quality, state.reason


_groups: dict[Normaliser, object] = {}


def _group(device: Normaliser):  # type: ignore[no-untyped-def]
    return _groups.setdefault(device, device.of(list(device.states)))


@pytest.mark.parametrize("tags", [1, 40])
def test_a_rejected_value_is_neither_recorded_nor_live_and_becomes_a_counted_letter(tags: int) -> None:
    device = device_of(QualityConfig(range="reject"), tags=tags)
    assert read(device, 50.0, SECOND)[0]
    assert read(device, 51.0, 2 * SECOND)[0]  # from the second answer on by column
    for at in (3, 4, 5):
        recorded, quality, _ = read(device, 500.0, at * SECOND)
        assert (recorded, quality) == (False, Quality.GOOD)
        assert device.states["x"].value == 51.0
    if tags > 1:
        assert device.states["f0"].reason is Reason.OUT_OF_RANGE  # without a rule as ever
    assert read(device, 52.0, 6 * SECOND) == (True, Quality.GOOD, None)
    box = Box()
    assert device.quality.send(box, most=10) == 1
    letter, path, start_us, end_us = box.letters[0]
    assert (letter.tag, letter.rule, letter.value, letter.count) == ("x", "range", 500.0, 3)
    assert (path, start_us, end_us) == ("a/l/d", 3 * SECOND, 5 * SECOND)
    assert device.quality.send(box, most=10) == 0


@pytest.mark.parametrize("tags", [1, 40])
def test_a_jump_is_flagged_once_and_the_next_value_is_good(tags: int) -> None:
    device = device_of(QualityConfig(rate="flag", rate_above=10.0, rate_ms=1000), tags=tags)
    assert read(device, 20.0, SECOND) == (True, Quality.GOOD, None)
    assert read(device, 25.0, 2 * SECOND) == (True, Quality.GOOD, None)
    assert read(device, 60.0, 3 * SECOND) == (True, Quality.UNCERTAIN, Reason.RATE_OF_CHANGE)
    assert read(device, 60.0, 4 * SECOND)[1:] == (Quality.UNCERTAIN, Reason.RATE_OF_CHANGE)  # 25 became 60 within 2 s
    assert read(device, 60.0, 6 * SECOND)[1:] == (Quality.GOOD, None)


def test_small_steps_within_the_time_add_up() -> None:
    device = device_of(QualityConfig(rate="flag", rate_above=10.0, rate_ms=1000))
    found = [read(device, 20.0 + 4 * step, SECOND + step * SECOND // 10)[2] for step in range(5)]
    assert found == [None, None, None, Reason.RATE_OF_CHANGE, Reason.RATE_OF_CHANGE]


def test_a_reported_value_that_stood_for_long_jumps_all_the_same() -> None:
    device = device_of(QualityConfig(rate="flag", rate_above=10.0, rate_ms=1000), mode="subscribe")
    assert read(device, 20.0, SECOND)[2] is None
    assert read(device, 90.0, 100 * SECOND)[2] is Reason.RATE_OF_CHANGE


def test_a_rejected_jump_that_stays_is_believed_when_the_process_can_have_come_there() -> None:
    device = device_of(QualityConfig(rate="reject", rate_above=10.0, rate_ms=1000))
    assert read(device, 20.0, SECOND)[0]
    assert [read(device, 60.0, at * SECOND)[0] for at in (2, 3, 4, 5)] == [False, False, False, True]
    assert device.quality.rejected == 3


def test_a_value_that_stands_too_long_is_flagged_without_another_value() -> None:
    device = device_of(QualityConfig(flat="flag", flat_ms=5000), mode="subscribe")
    assert read(device, 20.0, SECOND)[1] is Quality.GOOD
    assert list(device.quality.overdue(5 * SECOND)) == []
    assert list(device.quality.overdue(6 * SECOND)) == [(0, Reason.FLAT_LINE)]
    cycle = Cycle(6 * SECOND)
    device.judge_again(cycle)
    assert cycle.positions().tolist() == [0]
    assert (device.states["x"].quality, device.states["x"].value) == (Quality.UNCERTAIN, 20.0)
    assert list(device.quality.overdue(7 * SECOND)) == []  # it is marked
    assert read(device, 21.0, 8 * SECOND) == (True, Quality.GOOD, None)


def test_a_polled_value_that_stands_too_long_is_flagged_by_its_reads() -> None:
    device = device_of(QualityConfig(flat="flag", flat_ms=5000))
    found = [read(device, 20.0, at * SECOND)[1:] for at in (1, 3, 6, 7)]
    assert found[:2] == [(Quality.GOOD, None)] * 2
    assert found[2:] == [(Quality.UNCERTAIN, Reason.FLAT_LINE)] * 2


def test_missing_counts_from_the_last_value_that_was_not_rejected() -> None:
    device = device_of(QualityConfig(range="reject", missing="flag", missing_ms=3000))
    read(device, 20.0, SECOND)
    read(device, 900.0, 3 * SECOND)
    assert list(device.quality.overdue(4 * SECOND)) == [(0, Reason.MISSING)]
    cycle = Cycle(4 * SECOND)
    device.judge_again(cycle)
    assert device.states["x"].reason is Reason.MISSING
    assert read(device, 20.0, 5 * SECOND) == (True, Quality.GOOD, None)


def test_after_a_loss_nothing_is_compared() -> None:
    device = device_of(QualityConfig(rate="reject", rate_above=1.0, rate_ms=1000))
    read(device, 20.0, SECOND)
    device.bad([device.states["x"]], Reason.LINK_LOST, Cycle(2 * SECOND))
    assert list(device.quality.overdue(100 * SECOND)) == []
    assert read(device, 90.0, 3 * SECOND) == (True, Quality.GOOD, None)


def test_alarms_and_a_range_that_flags_leave_the_chain_as_it_is() -> None:
    rules = QualityConfig(
        range="flag", rate="alarm", rate_above=1.0, flat="alarm", flat_ms=1, missing="alarm", missing_ms=1
    )
    device = device_of(rules)
    assert not device.quality
    assert read(device, 500.0, SECOND) == (True, Quality.UNCERTAIN, Reason.OUT_OF_RANGE)
