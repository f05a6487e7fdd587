"""The state machine of one alert. Pure: values and times are its input.

cleared -> (condition holds for `for`) -> active -> acknowledged by a person -> cleared when the condition ends.

There are two times: the wall clock dates what is shown and stored, the monotonic clock measures `for`. A step of the
wall clock neither raises an alert early nor delays one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from nexus_cli.model.chain import above, same
from nexus_cli.model.instant import same_instant
from nexus_cli.model.resources import AlertConfig
from nexus_cli.wire.reading import is_integer
from nexus_cli.wire.sample import Quality, Value

LONGEST_TEXT = 1_000
"""Limit of a text value in an alert, in characters."""


class State(StrEnum):
    """The state of an alert."""

    CLEARED = "cleared"
    ACTIVE = "active"
    ACKNOWLEDGED = "acknowledged"


@dataclass(slots=True, kw_only=True)
class Pending:
    """A condition that holds, while the alert is not active yet.

    Attributes:
        since_us: When it began to hold, µs since 1970 UTC; for display.
        began_s: The same, monotonic seconds of this process; for measuring.
    """

    since_us: int
    began_s: float


@dataclass(slots=True)
class Alert:
    """One alert. Each call gets `time_us` (µs since 1970 UTC, for display) and `at_s` (monotonic seconds, for
    measuring).

    Attributes:
        config: Its configuration.
        state: Its state.
        since_us: When that state began, µs since 1970 UTC.
        value: The value that made it active, updated while it is active.
        pending: Since when the condition holds while the alert is not active yet; None when it does not hold.
    """

    config: AlertConfig
    state: State = State.CLEARED
    since_us: int = 0
    value: Value = None
    acknowledged_by: str = ""
    pending: Pending | None = field(default=None)

    def feed(self, value: Value, quality: Quality, *, time_us: int, at_s: float, out_of_service: bool = False) -> bool:
        """Evaluate a value; True when the state changed.

        While a device is `out_of_service` nothing becomes active: a person knows why it gives no value.
        """
        if out_of_service:
            self.pending = None
            if self.config.on_bad != "clear":
                return False
        raised = self._raised(value, quality)
        if raised is None:
            return False
        if not raised:
            self.pending = None
            return self._become(State.CLEARED, time_us) if self.state is not State.CLEARED else False
        self.value = shown(value)
        if self.state is not State.CLEARED:
            return False
        if self.pending is None:
            self.pending = Pending(since_us=time_us, began_s=at_s)
        return self.tick(time_us=time_us, at_s=at_s)

    def tick(self, *, time_us: int, at_s: float) -> bool:
        """Evaluate the elapsed time; True when a pending alert became active."""
        if self.pending is None or at_s - self.pending.began_s < self.config.for_ms / 1000:
            return False
        self.pending = None
        return self._become(State.ACTIVE, time_us)

    def acknowledge(self, *, who: str, time_us: int) -> bool:
        """Acknowledge it; False when it is not active."""
        if self.state is not State.ACTIVE:
            return False
        self.acknowledged_by = who
        return self._become(State.ACKNOWLEDGED, time_us)

    def _become(self, state: State, time_us: int) -> bool:
        # Always later than the previous state, whatever the clock did: changes are stored and published in this order.
        self.state, self.since_us = state, max(time_us, self.since_us + 1)
        if state is not State.ACKNOWLEDGED:
            self.acknowledged_by = ""
        return True

    def _raised(self, value: Value, quality: Quality) -> bool | None:
        """True: the condition holds; False: it is over; None: neither, the state stays."""
        if quality is Quality.BAD or value is None:
            return {"raise": True, "clear": False}.get(self.config.on_bad)
        config = self.config
        if config.instant and isinstance(config.equals, str) and isinstance(value, str):
            return same_instant(config.equals, value)
        if config.equals is not None:
            return _equal(value, config.equals)
        number = _number(value)
        if number is None:
            return None
        # A value at its limit is not beyond it: 0.30000000000000004, as an external device may publish it, is not above
        # 0.3.
        if (config.above is not None and above(number, config.above)) or (
            config.below is not None and above(config.below, number)
        ):
            return True
        if self.state is State.CLEARED:
            return False
        return False if self._released(number) else None

    def _released(self, number: float) -> bool:
        """Whether the value is back beyond the hysteresis."""
        config = self.config
        low_enough = config.above is None or config.clear_below is None or above(config.clear_below, number)
        high_enough = config.below is None or config.clear_above is None or above(number, config.clear_above)
        return low_enough and high_enough


def _number(value: Value) -> float | None:
    if isinstance(value, (bool, int, float)):
        return float(value)
    # A 64-bit integer beyond 2^53 is text; other text is not a number, and the historian would not store it as one.
    return float(value) if isinstance(value, str) and is_integer(value) else None


def shown(value: Value) -> Value:
    """The value in the form in which an alert publishes and stores it; works for any external value.

    Structures are omitted (they may be nested too deeply for JSON), long text is truncated.
    """
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return value[: LONGEST_TEXT - 1] + "…"
    return value if value is None or isinstance(value, (bool, int, float, str)) else None


def _equal(value: Value, wanted: bool | int | float | str) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return isinstance(value, (bool, int)) and isinstance(wanted, (bool, int)) and bool(value) == bool(wanted)
    if isinstance(value, (int, float)) and isinstance(wanted, (int, float)):
        return same(value, wanted)
    return value == wanted


class StoredPending(msgspec.Struct, frozen=True, kw_only=True):
    """A condition that holds without being active yet, for the next life of control; see `restored`.

    Attributes:
        since: When it began, µs since 1970 UTC.
        boot: Of the machine; "" is not known.
        began_s: On the monotonic clock of that boot.
    """

    since: int
    boot: str = ""
    began_s: float = 0.0


def restored(
    stored: StoredPending, *, boot: str, at_s: float, now_us: int, database_us: int, stored_us: int
) -> Pending:
    """A stored pending condition, converted to the clock of this process.

    Within one boot of a machine the monotonic clock gives its duration. Otherwise the shorter of two durations counts,
    by this machine's wall clock and by the database's: so a step of one of them can't raise an alert early.

    Args:
        stored: As `stored_pending` made it.
        boot: Id of this machine's boot; "" when unknown.
        at_s: Monotonic time now.
        now_us: This machine's wall clock, µs since 1970 UTC.
        database_us: The database's clock now, µs since 1970 UTC.
        stored_us: The database's clock when it was stored, µs since 1970 UTC.
    """
    since_us = stored.since
    if boot and stored.boot == boot:
        held_s = at_s - stored.began_s
    else:
        held_s = min(now_us - since_us, database_us - stored_us) / 1e6
    return Pending(since_us=since_us, began_s=at_s - max(0.0, held_s))


def stored_pending(pending: Pending | None, *, boot: str) -> StoredPending | None:
    """The form in which it is stored for the next start of control; see `restored`."""
    return None if pending is None else StoredPending(since=pending.since_us, boot=boot, began_s=pending.began_s)
