"""Signals of simulated devices: what a server answers for a tag at a moment, repeatable by its seed.

Values are raw, in the device's unit, and always fit the tag's type.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from nexus_cli.drivers.simulation.signals_csv import column_of
from nexus_cli.model.config import TagConfig
from nexus_cli.model.datatype import FLOATS, INTEGER_BOUNDS, DataType, parse_type
from nexus_cli.wire.sample import Scalar, Value

Signal = Callable[[float], Value]
"""Value at `t_s` seconds after the simulator's start."""


class SignalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`simulate:` of a tag in normal form; what is None has the default of its signal.

    Attributes:
        signal: constant, steps, csv, toggle, ramp, walk or sine.
        low, high: Ends of the signal, in the device's unit.
        period: Time of one turn or step, in milliseconds.
        step: Largest move of a random walk.
        value: Of a constant; a list is one per element of an array.
        values: Of the steps, in order.
        file, column: CSV file to replay.
        seed: Makes random numbers repeatable; wins over the simulator's seed.
    """

    signal: str = "constant"
    low: float | None = None
    high: float | None = None
    period: float | None = None
    step: float | None = None
    value: Any = None
    values: list[Any] | None = None
    file: str | None = None
    column: str | None = None
    seed: int | None = None

    def period_s(self, default_ms: float) -> float:
        """The period in seconds."""
        return (self.period or default_ms) / 1000


DEFAULT_PERIOD_MS = 60_000
DEFAULT_STEP_MS = 1_000
DEFAULT_STRING = 16
FLOAT16_MAX = 65504.0
"""Source: IEEE 754-2008 §3.6, binary16."""
FLOAT32_MAX = 3.4028234663852886e38
MOST_SECONDS = 1e9
"""About 30 years around the epoch of simulated moments."""
_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
_MAX_WALK_STEPS = 100_000


def signal_of(tag: TagConfig, *, path: str, seed: int = 0) -> Signal:
    """The signal of a tag, from its `simulate:` or a default that suits its type, range and value names.

    Args:
        tag: Its type decides rounding and limits.
        path: Shifts phase and random numbers, so that tags differ from each other.
        seed: Equal seeds give equal values; `simulate.seed` wins.

    Raises:
        ValueError: A CSV file or column that can't be read.
    """
    kind = parse_type(tag.type)
    simulate = msgspec.convert(tag.simulate, SignalSettings) if tag.simulate else _default(tag, kind)
    chance = _chance(path, seed if simulate.seed is None else simulate.seed)
    if kind.count and not isinstance(simulate.value, list):
        parts = [
            _typed(_raw(simulate, kind, path, random.Random(chance.random())), kind)  # noqa: S311 - not for secrets
            for _ in range(kind.count)
        ]
        return lambda t_s: [part(t_s) for part in parts]
    return _typed(_raw(simulate, kind, path, chance), kind)


def _chance(path: str, seed: int) -> random.Random:
    """Random numbers that are the same in every process (`hash` of a string is not)."""
    digest = hashlib.blake2b(f"{seed}/{path}".encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(digest, "big"))  # noqa: S311 - not for secrets


def _default(tag: TagConfig, kind: DataType) -> SignalSettings:
    low, high = _raw_range(tag)
    if tag.values:
        return SignalSettings(signal="steps", values=[int(code) for code in tag.values], period=15_000)
    if kind.base == "bool":
        return SignalSettings(value=False) if tag.writable else SignalSettings(signal="toggle", period=10_000)
    if kind.base in ("string", "json"):
        return SignalSettings()
    if kind.base in ("datetime", "duration"):
        return SignalSettings(signal="ramp", low=0, high=3600)
    middle, half = (low + high) / 2, (high - low) / 2
    if tag.writable:
        return SignalSettings(value=middle)
    form = "ramp" if kind.base in INTEGER_BOUNDS else "sine"
    return SignalSettings(signal=form, low=middle - half * 0.8, high=middle + half * 0.8, period=DEFAULT_PERIOD_MS)


def _raw_range(tag: TagConfig) -> tuple[float, float]:
    """The range in the device's unit; 0 to 100 where it is open."""
    low, high = tag.range if tag.range is not None else (None, None)
    if low is None or high is None or not tag.scale or not tag.unit_factor:
        return 0.0, 100.0
    ends = [((end - tag.unit_shift) / tag.unit_factor - tag.offset) / tag.scale for end in (low, high)]
    return min(ends), max(ends)


def _raw(simulate: SignalSettings, kind: DataType, path: str, chance: random.Random) -> Signal:
    """The untyped signal."""
    form = simulate.signal
    low, high = _ends(simulate, kind)
    if form == "constant":
        held = _filler(kind, path) if simulate.value is None else simulate.value
        return lambda _t_s: held
    if form == "steps":
        return _steps(simulate)
    if form == "csv":
        return _replay(simulate)
    period_s = simulate.period_s(DEFAULT_PERIOD_MS)
    phase = chance.random() if simulate.seed is None else 0.0
    if form == "toggle":
        return lambda t_s: high if int(t_s / period_s) % 2 else low
    if form == "ramp":
        return lambda t_s: low + (high - low) * ((t_s / period_s) % 1.0)
    if form == "walk":
        return _Walk(low, high, simulate, chance)
    middle, half = (low + high) / 2, (high - low) / 2
    return lambda t_s: middle + half * math.sin(2 * math.pi * (t_s / period_s + phase))


def _ends(simulate: SignalSettings, kind: DataType) -> tuple[float, float]:
    top = 1.0 if kind.base == "bool" or simulate.signal == "toggle" else 100.0
    first = 0.0 if simulate.low is None else simulate.low
    last = max(top, first + top) if simulate.high is None else simulate.high
    return min(first, last), max(first, last)


def _filler(kind: DataType, path: str) -> Value:
    if kind.base == "string":
        return path.rsplit("/", 1)[-1]
    return {} if kind.base == "json" else 0


def _steps(simulate: SignalSettings) -> Signal:
    values = simulate.values or [0, 1]
    period_s = simulate.period_s(DEFAULT_STEP_MS)
    return lambda t_s: values[int(t_s / period_s) % len(values)]


def _replay(simulate: SignalSettings) -> Signal:
    values = column_of(simulate.file or "", simulate.column)
    period_s = simulate.period_s(DEFAULT_STEP_MS)
    return lambda t_s: values[int(t_s / period_s) % len(values)]


class _Walk:
    """A random walk that turns back at its ends; the same for the same seed, however often it is asked."""

    def __init__(self, low: float, high: float, simulate: SignalSettings, chance: random.Random) -> None:
        self._low, self._high = low, high
        self._step = simulate.step or (high - low) / 20
        self._period_s = simulate.period_s(DEFAULT_STEP_MS)
        self._start_state = chance.getstate()
        self._chance = chance
        self._restart()

    def _restart(self) -> None:
        self._chance.setstate(self._start_state)
        self._number = 0
        self._value = (self._low + self._high) / 2

    def __call__(self, t_s: float) -> float:
        number = int(t_s / self._period_s) % _MAX_WALK_STEPS
        if number < self._number:
            self._restart()
        while self._number < number:
            self._number += 1
            moved = self._value + self._chance.uniform(-self._step, self._step)
            if not self._low <= moved <= self._high:
                moved = 2 * (self._low if moved < self._low else self._high) - moved
            self._value = min(self._high, max(self._low, moved))
        return self._value


def _typed(raw: Signal, kind: DataType) -> Signal:
    """The signal in the tag's type: rounded, clamped to what it can hold, cut to its length."""
    if kind.count:
        single = DataType(kind.base, length=kind.length)

        def items(t_s: float) -> Value:
            found = raw(t_s)
            parts = found if isinstance(found, list) else [found] * kind.count
            return [_fit(part, single) for part in (parts + [0] * kind.count)[: kind.count]]

        probe = raw(0.0)
        return items if isinstance(probe, list) else _typed(raw, single)
    if kind.base in INTEGER_BOUNDS:
        low, high = INTEGER_BOUNDS[kind.base]
        return lambda t_s: min(high, max(low, _whole(raw(t_s))))
    if kind.base == "float64":
        return lambda t_s: _real(raw(t_s))
    return lambda t_s: _fit(raw(t_s), kind)


def _fit(value: Value, kind: DataType) -> Value:
    if kind.base in INTEGER_BOUNDS:
        low, high = INTEGER_BOUNDS[kind.base]
        return min(high, max(low, _whole(value)))
    if kind.base in FLOATS:
        number = _real(value)
        limit = {"float16": FLOAT16_MAX, "float32": FLOAT32_MAX}.get(kind.base, math.inf)
        return number if math.isnan(number) else min(limit, max(-limit, number))
    if kind.base == "bool":
        return value > 0.5 if isinstance(value, float) else bool(value)
    if kind.base == "string":
        return _cut(_text(value), kind.length or DEFAULT_STRING)
    if kind.base == "datetime":
        return value if isinstance(value, str) else _moment(_real(value))
    if kind.base == "duration":
        low, high = INTEGER_BOUNDS["int64"]
        return min(high, max(low, _whole(value)))
    return value


def _whole(value: Value) -> int:
    if isinstance(value, int):
        return int(value)
    number = _real(value)
    return round(number) if math.isfinite(number) else 0


def _real(value: Value) -> float:
    if isinstance(value, (int, float)):
        return float(value)
    try:
        return float(str(value))
    except ValueError:
        return 0.0


def _text(value: Value) -> str:
    scalar: Scalar = value if isinstance(value, (str, bool, int, float)) else ""
    return str(scalar)


def _cut(text: str, length: int) -> str:
    """At most `length` bytes of UTF-8, without half a character."""
    return text.encode("utf-8")[:length].decode("utf-8", "ignore")


def _moment(seconds: float) -> str:
    near = min(MOST_SECONDS, max(-MOST_SECONDS, seconds)) if math.isfinite(seconds) else 0.0
    return (_EPOCH + timedelta(seconds=near)).isoformat().replace("+00:00", "Z")
