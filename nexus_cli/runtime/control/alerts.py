"""The state machine of one alert: pure, fed with values and time.

cleared -> (condition holds for `for`) -> active -> acknowledged by a person -> cleared when the condition is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from nexus_cli.wire.sample import Quality, Value


class State(StrEnum):
    """Where an alert stands."""

    CLEARED = "cleared"
    ACTIVE = "active"
    ACKNOWLEDGED = "acknowledged"


class AlertConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The attributes of a snapshot's `alert.NAME`; limits are in the tag's published unit.

    Attributes:
        tag: `area/line/device/tag`.
        for_ms: How long the condition must hold before the alert is active.
        on_bad: What a BAD value does: `hold` keeps the state, `clear` ends it, `raise` counts as the condition.
    """

    tag: str
    above: float | None = None
    below: float | None = None
    equals: bool | int | float | str | None = None
    clear_below: float | None = None
    clear_above: float | None = None
    for_ms: int = 0
    on_bad: str = "hold"
    severity: str = "warning"
    description: str = ""


def alert_from_json(value: dict[str, Any]) -> AlertConfig:
    """Build from JSON values. Raises msgspec.ValidationError."""
    return msgspec.convert(value, AlertConfig)


@dataclass(slots=True)
class Alert:
    """One alert. Times are µs since 1970 UTC of the values, and only ever compared with each other.

    Attributes:
        config: What it watches.
        state: Where it stands.
        since_us: When that state began.
        value: The value that made it active, or the newest while it is.
        pending_us: Since when the condition holds without being active yet; None when it does not.
    """

    config: AlertConfig
    state: State = State.CLEARED
    since_us: int = 0
    value: Value = None
    acknowledged_by: str = ""
    pending_us: int | None = field(default=None)

    def feed(self, value: Value, quality: Quality, *, time_us: int) -> bool:
        """Take a value; True when the state changed."""
        raised = self._raised(value, quality)
        if raised is None:
            return False
        if not raised:
            self.pending_us = None
            return self._become(State.CLEARED, time_us) if self.state is not State.CLEARED else False
        if self.state is not State.CLEARED:
            self.value = value
            return False
        self.value = value
        if self.pending_us is None:
            self.pending_us = time_us
        return self.tick(time_us=time_us)

    def tick(self, *, time_us: int) -> bool:
        """Time passes without a value; True when a pending alert became active."""
        if self.pending_us is None or time_us - self.pending_us < self.config.for_ms * 1000:
            return False
        self.pending_us = None
        return self._become(State.ACTIVE, time_us)

    def acknowledge(self, *, who: str, time_us: int) -> bool:
        """A person has seen it; False when it is not active."""
        if self.state is not State.ACTIVE:
            return False
        self.acknowledged_by = who
        return self._become(State.ACKNOWLEDGED, time_us)

    def _become(self, state: State, time_us: int) -> bool:
        self.state, self.since_us = state, time_us
        if state is not State.ACKNOWLEDGED:
            self.acknowledged_by = ""
        return True

    def _raised(self, value: Value, quality: Quality) -> bool | None:
        """True: the condition holds; False: it is over; None: neither, the state stays."""
        if quality is Quality.BAD or value is None:
            return {"raise": True, "clear": False}.get(self.config.on_bad)
        config = self.config
        if config.equals is not None:
            return _equal(value, config.equals)
        number = _number(value)
        if number is None:
            return None
        if (config.above is not None and number > config.above) or (config.below is not None and number < config.below):
            return True
        if self.state is State.CLEARED:
            return False
        return False if self._released(number) else None

    def _released(self, number: float) -> bool:
        """Whether the value has gone back far enough: the hysteresis."""
        config = self.config
        low_enough = config.above is None or config.clear_below is None or number < config.clear_below
        high_enough = config.below is None or config.clear_above is None or number > config.clear_above
        return low_enough and high_enough


def _number(value: Value) -> float | None:
    if isinstance(value, (bool, int, float)):
        return float(value)
    if isinstance(value, str):  # a 64-bit integer beyond 2^53
        try:
            return float(value)
        except ValueError:
            return None
    return None


def _equal(value: Value, wanted: bool | int | float | str) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return isinstance(value, (bool, int)) and isinstance(wanted, (bool, int)) and bool(value) == bool(wanted)
    return value == wanted
