"""Answers by column record what a plain rule book says, tag by tag: samples, marks, times and states."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nexus_cli.drivers.base import Fault
from nexus_cli.model.chain import TOLERANCE, bounds_of, converter
from nexus_cli.model.chain_columns import column_converter
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.datatype import INTEGER_BOUNDS, parse_type
from nexus_cli.runtime.gateway.devices.cycle import Cycle
from nexus_cli.runtime.gateway.devices.normaliser import Normaliser
from nexus_cli.wire.sample import Quality, Reason
from tests.examples import examples
from tests.recorded import told

NOTHING = object()
LIMITS: tuple[dict[str, Any], ...] = (
    {},
    {"range": (0.0, 50.0)},
    {"range": (None, 30.0), "deadband": 0.5},
    {"deadband": 1.5},
    {"heartbeat_ms": 2},
    {"heartbeat_ms": 3, "deadband": 2.0},
)
LINES: tuple[dict[str, Any], ...] = (
    {},
    {"scale": 0.1},
    {"scale": 0.1, "offset": 32.0},
    {"scale": -1.8, "offset": 0.25},
    {"scale": 1e300},
)
KINDS = ("float64", "float32", "float16", "int16", "uint32", "bool")


@dataclass
class Row:
    """One tag in the rule book."""

    config: TagConfig
    raw: Any = NOTHING
    value: Any = None
    quality: Quality = Quality.BAD
    reason: Reason | None = None
    code: int = 0
    time_us: int = 0
    since_us: int = 0
    due_us: int = 0
    source_us: int | None = None

    def forget(self) -> None:
        """Record the next value in any case."""
        self.raw, self.due_us = NOTHING, 0


@dataclass
class Book:
    """The rules, written for one value at a time."""

    rows: dict[str, Row]
    doubtful: bool = False
    told: dict[str, Any] = field(default_factory=dict)

    def take(self, now_us: int, name: str, raw: Any, fault: Fault | None, source_us: int | None) -> None:
        """One value of an answer."""
        row = self.rows[name]
        if fault is None and raw == row.raw and now_us < row.due_us:
            return
        if fault is not None and not fault.uncertain:
            row.raw = NOTHING
            self.record(now_us, name, None, (Quality.BAD, fault.reason, fault.code), source_us)
            return
        convert = converter(row.config)
        value, reason = raw, Reason.NOT_A_NUMBER
        try:
            value = raw if convert is None else convert(raw)
        except OverflowError:
            value, reason = math.nan, Reason.OVERFLOW
        except (TypeError, ValueError):
            value, reason = math.nan, Reason.TYPE_MISMATCH
        if isinstance(value, float) and not math.isfinite(value):
            row.raw = NOTHING
            self.record(now_us, name, None, (Quality.BAD, reason, 0), source_us)
            return
        row.raw = NOTHING if fault is not None else raw
        mark: tuple[Quality, Reason | None, int] = (Quality.GOOD, None, 0)
        if self.doubtful:
            mark = Quality.UNCERTAIN, Reason.CLOCK_UNSYNCHRONISED, 0
        if fault is not None:
            mark = Quality.UNCERTAIN, fault.reason, fault.code
        elif not bounds_of(row.config).hold(value):
            mark = Quality.UNCERTAIN, Reason.OUT_OF_RANGE, 0
        self.record(now_us, name, value, mark, source_us)

    def record(
        self, now_us: int, name: str, value: Any, mark: tuple[Quality, Reason | None, int], source_us: int | None
    ) -> None:
        """A sample, if there is anything to tell."""
        row = self.rows[name]
        same = row.time_us and mark == (row.quality, row.reason, row.code)
        if same and now_us < row.due_us and not self.moved(row, value):
            return
        if mark[0] is not row.quality or not row.time_us:
            row.since_us = now_us
        row.value, (row.quality, row.reason, row.code) = value, mark
        row.time_us, row.source_us = now_us, source_us
        beat_us = row.config.heartbeat_ms * 1000
        row.due_us = now_us + beat_us if beat_us else 1 << 62
        self.told[name] = (value, None if mark[0] is Quality.GOOD else (mark[0].name, mark[1], mark[2]), source_us)

    @staticmethod
    def moved(row: Row, value: Any) -> bool:
        """Whether a value differs by more than the dead band."""
        if value == row.value:
            return False
        if not row.config.deadband or value is None or row.value is None:
            return True
        most = row.config.deadband + TOLERANCE * max(abs(value), abs(row.value))
        return bool(abs(value - row.value) > most)

    def bad(self, now_us: int, name: str, reason: Reason, code: int) -> None:
        """No value."""
        self.record(now_us, name, None, (Quality.BAD, reason, code), None)
        self.rows[name].raw = NOTHING

    def doubt(self, doubtful: bool, *, set_back: bool) -> None:
        """The clock is doubtful, or is not any more."""
        if doubtful == self.doubtful and not set_back:
            return
        self.doubtful = doubtful
        for row in self.rows.values():
            if set_back or row.quality is not Quality.BAD:
                row.forget()


def fitted(kind: str, number: float) -> Any:
    """A raw value of this type."""
    if kind == "bool":
        return bool(int(number) % 2) if math.isfinite(number) else False
    if kind in INTEGER_BOUNDS:
        low, high = INTEGER_BOUNDS[kind]
        return max(low, min(high, int(number))) if math.isfinite(number) else 0
    if kind == "float64":
        return number
    code = {"float32": "<f", "float16": "<e"}[kind]
    try:
        return struct.unpack(code, struct.pack(code, number))[0]
    except OverflowError:
        return math.copysign(math.inf, number)


NUMBERS = st.one_of(
    st.integers(0, 40).map(float),
    st.integers(-400, 4000).map(lambda one: one / 100),
    st.sampled_from([0.0, -0.0, math.nan, math.inf, 1e300, 30.0, 30.5, 1e-20, 2.0**20, 65504.0]),
)
FAULTS = st.sampled_from(
    [
        Fault(Reason.ILLEGAL_ADDRESS, 2),
        Fault(Reason.SOURCE_UNCERTAIN, 7, uncertain=True),
        Fault(Reason.DEVICE_ERROR),
    ]
)


@st.composite
def plants(draw: st.DrawFn) -> dict[str, TagConfig]:
    """Tags of one device, of a few kinds, many of them configured alike."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=3))
    found: dict[str, TagConfig] = {}
    for at in range(draw(st.integers(1, 24))):
        kind = kinds[at % len(kinds)]
        line = draw(st.sampled_from(LINES if kind != "bool" else LINES[:1]))
        limits = draw(st.sampled_from(LIMITS if kind != "bool" else (LIMITS[0], LIMITS[4])))
        found[f"t{at}"] = TagConfig(type=kind, address=str(at), **line, **limits)
    return found


class Both:
    """A device by column, and the rule book of the same tags."""

    def __init__(self, tags: dict[str, TagConfig]) -> None:
        self.normaliser = Normaliser(DeviceConfig(path="a/l/d", protocol="fake", tags=tags))
        self.book = Book({name: Row(config) for name, config in tags.items()})
        names = list(tags)
        orders = [names, names[::2] + names[1::2], names[len(names) // 3 :]]
        self.groups = [(order, self.normaliser.of(order)) for order in orders if order]
        self.now_us = 1_000_000

    def step(self, draw: st.DataObject) -> None:
        """Something happens; both say the same afterwards."""
        self.now_us += draw.draw(st.sampled_from([1, 1000, 3000]), "later by")
        what = draw.draw(st.sampled_from(["read"] * 12 + ["bad", "forget", "doubt", "again"]), "what")
        cycle = Cycle(self.now_us)
        self.book.told.clear()
        getattr(self, f"_{what}")(draw, cycle)
        self.compare(cycle)

    def _read(self, draw: st.DataObject, cycle: Cycle) -> None:
        order, group = draw.draw(st.sampled_from(self.groups), "group")
        numbers = {name: draw.draw(NUMBERS) if draw.draw(st.integers(0, 3)) else None for name in order}
        faults = draw.draw(st.dictionaries(st.integers(0, len(order) - 1), FAULTS, max_size=2), "faults")
        times = draw.draw(st.none() | st.lists(st.none() | st.just(5), min_size=len(order), max_size=len(order)))
        values: list[Any] = []
        for name, number in numbers.items():
            row = self.book.rows[name]
            kind = parse_type(row.config.type).base
            before = row.raw if row.raw is not NOTHING else fitted(kind, 1.0)
            values.append(before if number is None else fitted(kind, number))
        columns = np.array(values, np.float64) if draw.draw(st.booleans(), "numbers") else None
        self.normaliser.take(group, values, cycle, faults=faults, source_time_us=times, numbers=columns)
        for at, (name, value) in enumerate(zip(order, values, strict=True)):
            self.book.take(self.now_us, name, value, faults.get(at), None if times is None else times[at])

    def _bad(self, draw: st.DataObject, cycle: Cycle) -> None:
        order, group = draw.draw(st.sampled_from(self.groups), "group")
        reason, code = draw.draw(st.sampled_from([(Reason.LINK_LOST, 0), (Reason.DEVICE_ERROR, 3)]))
        self.normaliser.bad(group, reason, cycle, code=code)
        for name in order:
            self.book.bad(self.now_us, name, reason, code)

    def _forget(self, draw: st.DataObject, cycle: Cycle) -> None:
        name = draw.draw(st.sampled_from(list(self.book.rows)), "tag")
        self.normaliser.states[name].forget()
        self.book.rows[name].forget()

    def _doubt(self, draw: st.DataObject, cycle: Cycle) -> None:
        doubtful, set_back = draw.draw(st.booleans(), "doubtful"), draw.draw(st.booleans(), "set back")
        self.normaliser.doubt(doubtful, set_back=set_back)
        self.book.doubt(doubtful, set_back=set_back)

    def _again(self, draw: st.DataObject, cycle: Cycle) -> None:
        known = [name for name, row in self.book.rows.items() if row.time_us]
        if not known:
            return
        name = draw.draw(st.sampled_from(known), "tag")
        self.normaliser.again([self.normaliser.states[name]], cycle)
        row = self.book.rows[name]
        mark: tuple[Quality, Reason | None, int] = row.quality, row.reason, row.code
        if mark[:2] in ((Quality.GOOD, None), (Quality.UNCERTAIN, Reason.CLOCK_UNSYNCHRONISED)):
            doubt = (Quality.UNCERTAIN, Reason.CLOCK_UNSYNCHRONISED, row.code)
            mark = doubt if self.book.doubtful else (Quality.GOOD, None, row.code)
        row.due_us = 0
        self.book.record(self.now_us, name, row.value, mark, row.source_us)

    def compare(self, cycle: Cycle) -> None:
        """Samples of the cycle, and what is kept of each tag."""
        found = told(cycle)
        expected = self.book.told
        assert {name: (value, type(value)) for name, value in found.samples.items()} == {
            name: (value, type(value)) for name, (value, _, _) in expected.items()
        }
        assert found.quality == {name: mark for name, (_, mark, _) in expected.items() if mark}
        assert found.source_time == {name: us for name, (_, _, us) in expected.items() if us is not None}
        for name, row in self.book.rows.items():
            state = self.normaliser.states[name]
            kept = state.value, state.quality, state.reason, state.code, state.time_us, state.since_us, state.source_us
            assert kept == (
                row.value,
                row.quality,
                row.reason,
                row.code,
                row.time_us,
                row.since_us,
                row.source_us,
            ), name
            assert state.due_us == row.due_us, name


@settings(max_examples=examples(100), deadline=None)
@given(plants(), st.data())
def test_columns_record_what_the_rules_say(tags: dict[str, TagConfig], draw: st.DataObject) -> None:
    both = Both(tags)
    for _ in range(draw.draw(st.integers(2, 14), "steps")):
        both.step(draw)


# --- the chain's numbers ----------------------------------------------------------------------------------------

CONVERSIONS: tuple[dict[str, Any], ...] = (
    {},
    {"scale": 0.1},
    {"scale": 1.8, "offset": 32.0},
    {"scale": 3.3, "offset": -0.0001},
    {"scale": 1e5, "offset": 1e9},
    {"scale": -0.123456789, "offset": 1.25},
    {"unit": "degF", "publish_unit": "degC", "unit_factor": 5 / 9, "unit_shift": -160 / 9},
)
LENGTH = 16


def single(bits: int) -> float:
    """A float32 by its bits."""
    found: float = struct.unpack("<f", struct.pack("<I", bits))[0]
    return found


def half(bits: int) -> float:
    """A float16 by its bits."""
    found: float = struct.unpack("<e", struct.pack("<H", bits))[0]
    return found


DECIMALS = st.builds(lambda whole, places: whole / 10**places, st.integers(-(10**7), 10**7), st.integers(0, 8))
POWERS = st.builds(
    lambda power, base, steps: base**power * (1 + steps * 2.0**-23),
    st.integers(-30, 30),
    st.sampled_from([2.0, 10.0]),
    st.integers(-3, 3),
)
NEIGHBOURS = st.builds(
    lambda power, towards: math.nextafter(10.0**power, towards), st.integers(-15, 16), st.sampled_from([0.0, math.inf])
)
RAW = {
    "float64": st.floats() | DECIMALS | POWERS | NEIGHBOURS,
    "float32": st.integers(0, 2**32 - 1).map(single) | st.floats(width=32) | DECIMALS | POWERS | NEIGHBOURS,
    "float16": st.integers(0, 2**16 - 1).map(half) | DECIMALS | POWERS,
    "int16": st.integers(-(2**15), 2**15 - 1),
    "uint32": st.integers(0, 2**32 - 1),
    "int32": st.integers(-(2**31), 2**31 - 1),
}


def bits_of(number: float) -> bytes:
    """Equal for equal doubles, zeros of both signs apart; all that is not finite is one."""
    return struct.pack("<d", number) if math.isfinite(number) else b""


def by_element(tag: TagConfig, raw: list[Any]) -> list[bytes]:
    """The scalar form of each."""
    convert, found = converter(tag), []
    for one in raw:
        try:
            found.append(bits_of(float(one) if convert is None else convert(one)))
        except (ArithmeticError, ValueError):
            found.append(b"")
    return found


@settings(max_examples=examples(300), deadline=None)
@given(st.sampled_from(list(RAW)), st.sampled_from(CONVERSIONS), st.data())
def test_many_numbers_at_once_become_what_each_becomes_alone(
    kind: str, keys: dict[str, Any], draw: st.DataObject
) -> None:
    tag = TagConfig(type=kind, **keys)
    raw = draw.draw(st.lists(RAW[kind], min_size=1, max_size=2 * LENGTH))
    raw *= -(-LENGTH // len(raw))  # as many as are not taken one by one
    check(tag, raw)


@given(st.sampled_from(CONVERSIONS))
@example({})
def test_powers_ties_and_subnormals_become_what_they_become_alone(keys: dict[str, Any]) -> None:
    powers = [sign * 2.0**power * odd for power in range(-149, 100) for odd in (1, 1.5, 1.75) for sign in (1, -1)]
    tens = [math.nextafter(10.0**power, to) for power in range(-16, 18) for to in (0.0, math.inf)]
    ties = [-9796159488.0, 16777217.0, 8388608.5, 0.5, 1.5, 2.5]
    tiny = [single(bits) for bits in range(1, 2000, 13)] + [5e-324, 2.0**-1074, 0.0, -0.0]
    for kind in ("float16", "float32", "float64"):
        check(TagConfig(type=kind, **keys), powers + tens + ties + tiny)


def check(tag: TagConfig, raw: list[Any]) -> None:
    """The law."""
    convert = column_converter(tag)
    column = np.array(raw, np.float64)
    found = column if convert is None else convert(column)
    assert list(map(bits_of, found.tolist())) == by_element(tag, raw)


@pytest.mark.parametrize("kind", ["float64", "float32", "float16"])
@pytest.mark.parametrize("line", LINES)
@pytest.mark.filterwarnings("error")
def test_what_is_no_number_stays_none_without_a_warning(kind: str, line: dict[str, Any]) -> None:
    column = column_converter(TagConfig(type=kind, address="a", **line))
    raw = np.array([math.inf, -math.inf, math.nan] * 6)
    assert not np.isfinite(raw if column is None else column(raw)).any()
