"""Signals fit their type, repeat by seed, and do what their names say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nexus_cli.drivers.simulation.signals import signal_of
from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import INTEGER_BOUNDS, NAMES
from nexus_cli.wire.sample import Value


def run(tag: TagConfig, *times: float, path: str = "a/l/d/t", seed: int = 0) -> list[Value]:
    signal = signal_of(tag, path=path, seed=seed)
    return [signal(t_s) for t_s in times]


def simulated(type_: str = "float64", **simulate: Any) -> TagConfig:
    return TagConfig(type=type_, simulate=simulate)


def test_sine_swings_between_its_ends() -> None:
    values = run(simulated(signal="sine", low=10, high=20, period=4000, seed=1), 0, 1, 2, 3, 4)
    assert values == pytest.approx([15, 20, 15, 10, 15])


def test_ramp_rises_and_falls_back() -> None:
    assert run(simulated(signal="ramp", low=0, high=10, period=10_000), 0, 2.5, 9, 10) == [0, 2.5, 9, 0]


def test_toggle_steps_and_constants() -> None:
    assert run(simulated("bool", signal="toggle", period=1000), 0, 1, 2) == [False, True, False]
    assert run(simulated("int16", signal="toggle", low=3, high=7, period=1000), 0, 1) == [3, 7]
    assert run(simulated("int16", signal="steps", values=[1, 5, 9], period=1000), 0, 1.5, 2, 3) == [1, 5, 9, 1]
    assert run(simulated("string[3]", signal="steps", values=["on", "off"], period=1000), 0, 1) == ["on", "off"]
    assert run(simulated("float32[3]", signal="constant", value=[1, 2, 3]), 0) == [[1.0, 2.0, 3.0]]
    assert run(simulated("string[4]", signal="constant", value="größe"), 0) == ["gr"[:2] + "ö"]


def test_walk_stays_inside_and_repeats_whatever_is_asked() -> None:
    tag = simulated(signal="walk", low=0, high=10, step=4, period=100)
    signal = signal_of(tag, path="a/l/d/t", seed=3)
    forwards = [signal(at / 10) for at in range(200)]
    assert all(isinstance(value, float) and 0 <= value <= 10 for value in forwards)
    assert len(set(forwards)) > 100
    assert [signal(at / 10) for at in reversed(range(200))] == forwards[::-1]
    assert run(tag, 5.0, seed=3) == [forwards[50]]
    assert run(tag, 5.0, seed=4) != [forwards[50]]
    assert run(tag, 5.0, path="a/l/d/other", seed=3) != [forwards[50]]


def test_csv_replay(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("time,level,state\n0,1.5,run\n1,,stop\n2,99999,stop\n", encoding="utf-8")
    level = {"signal": "csv", "file": str(file), "column": "level", "period": 1000}
    assert run(simulated(**level), 0, 1, 2, 3) == [1.5, 1.5, 99999.0, 1.5]
    assert run(simulated("int16", **level), 0, 2) == [2, 32767]
    assert run(simulated("string[4]", signal="csv", file=str(file), period=1000), 0, 1) == ["run", "stop"]
    with pytest.raises(ValueError, match="no column 'levle'; did you mean 'level'"):
        signal_of(simulated(signal="csv", file=str(file), column="levle"), path="p")
    with pytest.raises(ValueError, match="can't be replayed"):
        signal_of(simulated(signal="csv", file=str(tmp_path / "none.csv")), path="p")


@pytest.mark.parametrize("base", NAMES)
@pytest.mark.parametrize("form", ["default", "sine", "ramp", "walk", "toggle"])
def test_every_type_gets_values_of_its_own_kind(base: str, form: str) -> None:
    simulate = {} if form == "default" else {"signal": form, "low": -1e30, "high": 1e30, "period": 2000}
    for value in run(TagConfig(type=base, simulate=simulate), 0, 0.7, 1.3, 60):
        if base in INTEGER_BOUNDS:
            low, high = INTEGER_BOUNDS[base]
            assert type(value) is int
            assert low <= value <= high
        elif base.startswith("float"):
            assert type(value) is float
        elif base == "bool":
            assert type(value) is bool
        elif base in ("string", "datetime"):
            assert type(value) is str
        elif base == "duration":
            assert type(value) is int


def test_defaults_suit_the_tag() -> None:
    assert run(TagConfig(type="int16", values={"0": "stopped", "1": "running", "2": "fault"}), 0, 15, 30, 45) == [
        0,
        1,
        2,
        0,
    ]
    assert run(TagConfig(type="float32", writable=True, range=(10, 90)), 0, 5) == [50.0, 50.0]
    celsius = TagConfig(type="float32", range=(0, 100), scale=0.1, unit_factor=1.0)
    values = run(celsius, *range(60))
    assert all(isinstance(value, float) and 0 <= value <= 1000 for value in values)
    assert max(v for v in values if isinstance(v, float)) > 800
    assert [len(v) for v in run(TagConfig(type="float32[4]"), 0, 1) if isinstance(v, list)] == [4, 4]
