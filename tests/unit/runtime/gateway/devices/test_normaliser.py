"""From raw values to samples: one chain per tag, and only what moved is recorded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from nexus_cli.drivers.base import Fault
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.gateway.devices import tag_group
from nexus_cli.runtime.gateway.devices.normaliser import Cycle, Normaliser
from nexus_cli.runtime.gateway.devices.tag_group import MANY, GroupColumns
from nexus_cli.runtime.gateway.devices.tag_table import TagTable
from nexus_cli.wire.frame_batch import decode_batch, encode_batch, frames_of
from nexus_cli.wire.sample import Quality, Reason
from tests.recorded import Told, told


class Bench:
    """One tag under test."""

    def __init__(self, **keys: Any) -> None:
        tag = TagConfig(address="a", **{"type": "float64", **keys})
        self.normaliser = Normaliser(DeviceConfig(path="a/l/d", protocol="fake", tags={"x": tag}))
        self.now_us = 1_000_000

    def feed(self, raw: Any, *, fault: Fault | None = None, after_us: int = 100_000) -> Told:
        """One read."""
        self.now_us += after_us
        cycle = Cycle(self.now_us)
        self.normaliser.take(self.normaliser.of(["x"]), [raw], cycle, faults={0: fault} if fault else None)
        return told(cycle)

    def value(self, raw: Any, **keys: Any) -> Any:
        """The recorded value, or the text `silent`."""
        return self.feed(raw, **keys).samples.get("x", "silent")


def test_unchanged_values_are_recorded_once() -> None:
    bench = Bench()
    assert [bench.value(one) for one in (1.0, 1.0, 2.0, 2.0, 1.0)] == [1.0, "silent", 2.0, "silent", 1.0]


def test_scale_offset_and_unit_are_one_chain() -> None:
    bench = Bench(type="int16", scale=0.1, offset=-40.0, unit_factor=1.8, unit_shift=32.0)
    assert bench.value(1000) == pytest.approx((1000 * 0.1 - 40) * 1.8 + 32)


def test_deadband_counts_from_the_recorded_value() -> None:
    bench = Bench(deadband=1.0)
    got = [bench.value(one) for one in (10.0, 10.6, 11.0, 11.1, 11.9, 10.1)]
    assert got == [10.0, "silent", "silent", 11.1, "silent", "silent"]


def test_heartbeat_repeats_a_still_value() -> None:
    bench = Bench(heartbeat_ms=250)
    assert [bench.value(5.0) for _ in range(5)] == [5.0, "silent", "silent", 5.0, "silent"]


@pytest.mark.parametrize("keys", [{"type": "int64", "scale": 0.5}, {"type": "uint64", "scale": 0.5, "deadband": 1.0}])
def test_an_integer_that_no_double_holds_is_compared_with_the_last_one_only(keys: dict[str, Any]) -> None:
    bench = Bench(**keys)
    got = [bench.value(one) for one in (2**60, 2**60, 6, 2**60, 6, 2**60)]
    assert got == [2.0**59, "silent", 3.0, 2.0**59, 3.0, 2.0**59]


@pytest.mark.parametrize("raw", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_bad(raw: float) -> None:
    bench = Bench()
    bench.feed(1.0)
    cycle = bench.feed(raw)
    assert cycle.samples == {"x": None}
    assert cycle.quality == {"x": ("BAD", "not_a_number", 0)}
    assert bench.value(raw) == "silent"
    assert bench.feed(1.0).samples == {"x": 1.0}, "a return to the old value is a change of quality"


def test_out_of_range_is_uncertain_and_keeps_its_value() -> None:
    bench = Bench(range=(0.0, 10.0))
    assert bench.feed(11.0).quality == {"x": ("UNCERTAIN", "out_of_range", 0)}
    assert bench.value(11.0) == "silent"
    good = bench.feed(9.0)
    assert (good.samples, good.quality) == ({"x": 9.0}, {})


def test_faults_change_quality_and_are_told_once() -> None:
    bench = Bench()
    bench.feed(1.0)
    cycle = bench.feed(None, fault=Fault(Reason.ILLEGAL_ADDRESS, 2))
    assert cycle.quality == {"x": ("BAD", "illegal_address", 2)}
    assert bench.value(None, fault=Fault(Reason.ILLEGAL_ADDRESS, 2)) == "silent"
    uncertain = bench.feed(1.5, fault=Fault(Reason.SOURCE_UNCERTAIN, 7, uncertain=True))
    assert (uncertain.samples, uncertain.quality["x"][0]) == ({"x": 1.5}, "UNCERTAIN")
    assert bench.value(1.5) == 1.5, "the fault has gone"


@pytest.mark.parametrize(
    ("keys", "raw", "reason"),
    [
        ({"type": "int16", "scale": 0.1}, "text", "type_mismatch"),
        ({"type": "int64"}, 2**70, "overflow"),
        ({"type": "float64", "range": (0.0, 1.0)}, "text", "type_mismatch"),
        ({"type": "float64"}, object(), "not_a_number"),
        ({"type": "string[5]"}, 5, "type_mismatch"),
    ],
)
def test_what_a_device_should_not_say_costs_only_its_sample(keys: dict[str, Any], raw: Any, reason: str) -> None:
    cycle = Bench(**keys).feed(raw)
    assert cycle.samples == {"x": None}
    assert cycle.quality["x"][1] == reason


def test_exact_integers_texts_and_structures_pass_untouched() -> None:
    assert Bench(type="uint64").value(2**64 - 1) == 2**64 - 1
    assert Bench(type="string[8]").value("Ä\ud800") == "Ä?"
    assert Bench(type="json").value({"a": [1, None, "x"]}) == {"a": [1, None, "x"]}
    assert Bench(type="float32[2]", scale=2.0).value([1.0, 2.0]) == [2.0, 4.0]
    assert Bench(type="json").feed({"a": math.nan}).quality["x"][1] == "not_a_number"


def test_a_doubtful_time_marks_what_would_be_good_and_heals_though_the_value_stands_still() -> None:
    for keys in ({}, {"range": (0.0, 10.0)}):
        bench = Bench(**keys)
        bench.feed(1.0)
        bench.normaliser.doubt(True)
        marked = bench.feed(1.0)
        assert (marked.samples, marked.quality) == ({"x": 1.0}, {"x": ("UNCERTAIN", "clock_unsynchronised", 0)})
        assert bench.value(1.0) == "silent"
        assert bench.feed(2.0).quality == marked.quality
        bench.normaliser.doubt(False)
        healed = bench.feed(2.0)
        assert (healed.samples, healed.quality) == ({"x": 2.0}, {})


def test_a_doubtful_time_leaves_a_reason_of_its_own() -> None:
    bench = Bench(range=(0.0, 10.0))
    bench.normaliser.doubt(True)
    assert bench.feed(11.0).quality == {"x": ("UNCERTAIN", "out_of_range", 0)}
    assert bench.feed(None, fault=Fault(Reason.DEVICE_TIMEOUT)).quality == {"x": ("BAD", "device_timeout", 0)}
    bench.normaliser.doubt(False)
    assert bench.value(None, fault=Fault(Reason.DEVICE_TIMEOUT)) == "silent", (
        "what is BAD does not change with the clock"
    )
    bench.normaliser.doubt(False, set_back=True)
    assert bench.value(None, fault=Fault(Reason.DEVICE_TIMEOUT)) is None, "a time set back records everything anew"


def test_a_value_is_recorded_again_with_the_quality_it_has() -> None:
    bench = Bench(range=(0.0, 10.0))
    states = bench.normaliser.of(["x"])
    for raw, quality in ((1.0, {}), (11.0, {"x": ("UNCERTAIN", "out_of_range", 0)})):
        bench.feed(raw)
        cycle = Cycle(bench.now_us + 1)
        bench.normaliser.again(states, cycle)
        assert told(cycle)[:2] == ({"x": raw}, quality)
    assert bench.normaliser.recorded == 4


def test_bad_is_told_once_for_one_reason() -> None:
    bench = Bench()
    bench.feed(1.0)
    states = bench.normaliser.of(["x"])
    cycle = Cycle(bench.now_us + 1)
    bench.normaliser.bad(states, Reason.LINK_LOST, cycle)
    assert told(cycle).samples == {"x": None}
    again = Cycle(bench.now_us + 2)
    bench.normaliser.bad(states, Reason.LINK_LOST, again)
    assert not again
    assert states[0].quality is Quality.BAD
    assert bench.value(1.0) == 1.0


def test_the_columns_of_a_group_are_compiled_for_its_second_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a report brings is a group of its own: columns for it would never be used."""
    tags = {f"t{at}": TagConfig(type="float64", address="a") for at in range(MANY)}
    normaliser = Normaliser(DeviceConfig(path="a/l/d", protocol="fake", tags=tags))
    compiled: list[int] = []

    def counted(table: TagTable, places: Sequence[int]) -> GroupColumns:
        compiled.append(len(places))
        return GroupColumns(table, places)

    monkeypatch.setattr(tag_group, "GroupColumns", counted)
    for now_us in (1, 2, 3):
        normaliser.take(normaliser.of(tags), [1.0] * MANY, Cycle(now_us))
    assert compiled == []
    group = normaliser.of(tags)
    for now_us in (4, 5, 6):
        normaliser.take(group, [float(now_us)] * MANY, Cycle(now_us))
    assert compiled == [MANY]


@pytest.mark.parametrize("kind", ["json", "bool", "int32"])
def test_what_a_tag_of_any_type_holds_goes_into_the_record_as_it_is(kind: str) -> None:
    """A column of doubles says 1.0 for `true` and for 1: with a type that says which it was that is enough, else not."""
    bench = Bench(type=kind)
    for raw in (True, 0, 3, 2.5, {"x": 1}, False) if kind == "json" else (1, 0):
        if kind == "bool":
            raw = bool(raw)
        bench.feed(raw)
        ((_, found),) = frames_of(
            decode_batch(encode_batch([bench.normaliser.table.columns(None, bench.now_us)], epoch="e", seq=1))
        )
        assert found.samples == {"x": raw}
        assert type(found.samples["x"]) is (type(raw) if kind == "json" else float)
