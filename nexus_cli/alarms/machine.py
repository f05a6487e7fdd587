"""The state machine of one alert. Pure: values and times are its input.

    cleared ─ condition holds for `for` ─► active ─ a person ─► acknowledged ─ condition over for `clear_after` ─► cleared
    active ─ condition over ─► cleared, or of an alarm (`priority`) returned ─ a person ─► cleared; ─ condition holds ─► active

Beside the state an alert may be held: shelved by a person for a while, out of service, or suppressed while another alert is active.
A held one follows its condition and is not announced; when the last hold ends and the condition holds, it becomes active again,
as a new occurrence.

There are two times: the wall clock dates what is shown and stored, the monotonic clock measures. A step of the
wall clock neither raises an alert early nor delays one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nexus_cli.alarms.conditions import Condition, condition_of
from nexus_cli.alarms.silence import NoData, Silence
from nexus_cli.alarms.timers import Pending, Shelf
from nexus_cli.alarms.values import Reading, shown
from nexus_cli.model.config import TagConfig
from nexus_cli.model.resources import AlertConfig
from nexus_cli.wire.alert import AlertEvent
from nexus_cli.wire.sample import Quality, Value

NO_TAGS: Mapping[str, TagConfig] = {}


class State(StrEnum):
    """The state of an alert."""

    CLEARED = "cleared"
    ACTIVE = "active"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned"


HOLDING = (State.ACTIVE, State.ACKNOWLEDGED)
"""States in which the condition holds."""
UNANSWERED = (State.ACTIVE, State.RETURNED)
"""States in which an alarm waits for a person."""
ROUNDING_S = 1e-4
"""A moment and the end of a time may differ by so much, in seconds, and be the same."""


@dataclass(slots=True, kw_only=True)
class OutOfService:
    """Taken out of service: since when (µs since 1970 UTC), by whom, and why."""

    since_us: int
    who: str
    reason: str


@dataclass(slots=True)
class Alert:
    """One alert. Each call gets `time_us` (µs since 1970 UTC, for display) and `at_s` (monotonic seconds, for
    measuring), and says whether anything changed; `events` has what did, until it is taken.

    Attributes:
        config: Its configuration.
        state: Its state.
        since_us: When that state began, µs since 1970 UTC.
        value: The value that brought it to its state; the newest one while its condition holds.
        pending: Since when the condition holds while the alert is not active yet; None when it does not hold.
        clearing: Since when the condition is over while the alert is not clear yet.
        changed_us: When anything of it last changed; rises with every event, whatever the clock does.
        occurrence_us: When it last became active; 0 is never.
        first_out: Whether it was the first of its cascade; set by the panel.
        dirty: Whether what runs in it changed and is to be stored.
        asked_s: When the condition was last asked, monotonic seconds: what was due before has had its answer.
    """

    config: AlertConfig
    state: State = State.CLEARED
    since_us: int = 0
    value: Value = None
    acknowledged_by: str = ""
    pending: Pending | None = field(default=None)
    clearing: Pending | None = field(default=None)
    changed_us: int = 0
    occurrence_us: int = 0
    first_out: bool = False
    shelf: Shelf | None = field(default=None)
    out: OutOfService | None = field(default=None)
    suppressed_by: str = ""
    device_out: bool = False
    dirty: bool = False
    asked_s: float = -math.inf
    condition: Condition = field(default=None)  # type: ignore[assignment]
    events: list[AlertEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with the condition of the configuration."""
        self.changed_us = max(self.changed_us, self.since_us)
        if self.condition is None:
            self.condition = condition_of(self.config, NO_TAGS, at_s=0.0)

    @property
    def held(self) -> bool:
        """Whether it is not announced, whatever its state."""
        return self.shelf is not None or self.out is not None or self.suppressed_by != ""

    @property
    def suppresses(self) -> bool:
        """Whether the alerts that name it are suppressed now. One that is out of service says nothing about the plant."""
        return self.state in HOLDING and self.out is None

    def take_events(self) -> list[AlertEvent]:
        """What changed since the last call, oldest first."""
        found, self.events = self.events, []
        return found

    def configure(self, config: AlertConfig, tags: Mapping[str, TagConfig], *, time_us: int, at_s: float) -> bool:
        """Take another configuration. The state stays, as far as it exists there."""
        self.config = config
        self.condition, self.asked_s = condition_of(config, tags, at_s=at_s), -math.inf
        if not config.priority and self.state is State.RETURNED:
            return self._become(State.CLEARED, time_us)
        return False

    def feed(
        self,
        value: Value,
        quality: Quality,
        *,
        time_us: int,
        at_s: float,
        out_of_service: bool = False,
        label: object = None,
        path: str = "",
        fresh: bool = True,
    ) -> bool:
        """Evaluate a value; True when something changed.

        While a device is `out_of_service` nothing becomes active: a person knows why it gives no value.

        Args:
            value, quality: As received.
            time_us, at_s: When.
            out_of_service: Whether the tag's device is.
            label: The name of the code.
            path: Of an `expr`, which tag.
            fresh: False of a value that the broker kept.
        """
        silence = self.condition if isinstance(self.condition, Silence) else None
        marked = silence is not None and silence.marked
        self.condition.take(Reading(value, quality, label, out_of_service), path=path, at_s=at_s, fresh=fresh)
        if silence is not None and marked and not silence.marked:
            self.dirty = True
        self.device_out = out_of_service
        return self.evaluate(time_us=time_us, at_s=at_s)

    def evaluate(self, *, time_us: int, at_s: float) -> bool:
        """Ask the condition, and let it count."""
        self.asked_s = at_s
        if self.device_out:
            self._set_pending(None)
            if self.config.on_bad != "clear":
                return False
        holds = self.condition.verdict(active=self.state in HOLDING, at_s=at_s)
        if holds is None or (holds and self.device_out):
            return False
        if holds:
            return self._holds(time_us=time_us, at_s=at_s)
        self._set_pending(None)
        if self.state not in HOLDING:
            return False
        if self.clearing is None:
            self.clearing = Pending(since_us=time_us, began_s=at_s)
            self.dirty = True
        return self._clear_when_due(time_us=time_us, at_s=at_s)

    def _holds(self, *, time_us: int, at_s: float) -> bool:
        self.value = shown(self.condition.value)
        if self.clearing is not None:
            self.clearing, self.dirty = None, True
        if self.state in HOLDING:
            return False
        if self.pending is None:
            self._set_pending(Pending(since_us=time_us, began_s=at_s))
        return self._raise_when_due(time_us=time_us, at_s=at_s)

    def tick(self, *, time_us: int, at_s: float, alive_s: float | None = None) -> bool:
        """Evaluate the elapsed time; True when something changed.

        Args:
            time_us, at_s: Now.
            alive_s: When the gateway of its tag last said that it runs.
        """
        changed = self.end_shelf(time_us=time_us, at_s=at_s)
        if isinstance(self.condition, NoData) and alive_s is not None:
            self.condition.alive(alive_s)
        if isinstance(self.condition, Silence):
            self.dirty |= self.condition.mark(at_s)
        due_s = self.condition.due_s(active=self.state in HOLDING)
        if due_s is not None or isinstance(self.condition, NoData):
            changed |= self.evaluate(time_us=time_us, at_s=at_s)
        changed |= self._raise_when_due(time_us=time_us, at_s=at_s)
        return self._clear_when_due(time_us=time_us, at_s=at_s) or changed

    def due_s(self) -> float | None:
        """When to call `tick` next; None is never."""
        asked = self.condition.due_s(active=self.state in HOLDING)
        due = [asked if asked is not None and asked >= self.asked_s - ROUNDING_S else None]
        if self.pending is not None:
            due.append(self.pending.began_s + self.config.for_ms / 1000)
        if self.clearing is not None:
            due.append(self.clearing.began_s + self.config.clear_after_ms / 1000)
        if self.shelf is not None:
            due.append(self.shelf.ends_s)
        return min((one for one in due if one is not None), default=None)

    def acknowledge(self, *, who: str, time_us: int, reason: str = "") -> bool:
        """Acknowledge it, with a comment or none; False when there is nothing to acknowledge. One whose condition is over is cleared by it."""
        if self.state not in UNANSWERED:
            return False
        self.acknowledged_by = who
        state = State.ACKNOWLEDGED if self.state is State.ACTIVE else State.CLEARED
        return self._become(state, time_us, kind="acknowledged", who=who, reason=reason)

    def shelve(self, *, for_s: float, who: str, reason: str, time_us: int, at_s: float) -> bool:
        """Hide it for so long; again is a new time."""
        self.shelf = Shelf(until_us=time_us + round(for_s * 1e6), ends_s=at_s + for_s, who=who, reason=reason)
        return self._note("shelved", time_us, who=who, reason=reason)

    def unshelve(self, *, who: str, time_us: int) -> bool:
        """End it before its time (or at it, `who` is ""); False when it is not shelved."""
        if self.shelf is None:
            return False
        self.shelf = None
        self._note("unshelved", time_us, who=who)
        return self._released(time_us)

    def end_shelf(self, *, time_us: int, at_s: float) -> bool:
        """End it at its time; whether it was."""
        return self.shelf is not None and at_s >= self.shelf.ends_s and self.unshelve(who="", time_us=time_us)

    def take_out(self, *, who: str, reason: str, time_us: int) -> bool:
        """Take it out of service; False when it is."""
        if self.out is not None:
            return False
        self.out = OutOfService(since_us=time_us, who=who, reason=reason)
        return self._note("out-of-service", time_us, who=who, reason=reason)

    def take_in(self, *, who: str, time_us: int) -> bool:
        """Take it into service again; False when it is."""
        if self.out is None:
            return False
        self.out = None
        self._note("in-service", time_us, who=who)
        return self._released(time_us)

    def suppress(self, by: str, *, time_us: int) -> bool:
        """Another alert suppresses it, or with "" none does any more."""
        if by == self.suppressed_by:
            return False
        before, self.suppressed_by = self.suppressed_by, by
        if by and before:
            return self._touch(time_us)
        self._note("suppressed" if by else "unsuppressed", time_us, reason=by or before)
        return by != "" or self._released(time_us)

    def _released(self, time_us: int) -> bool:
        """The last hold is over: where the condition holds it is announced, as a new occurrence."""
        if not self.held and self.state in HOLDING:
            self._become(State.ACTIVE, time_us)
        return True

    def _raise_when_due(self, *, time_us: int, at_s: float) -> bool:
        if self.pending is None or at_s - self.pending.began_s < self.config.for_ms / 1000:
            return False
        self._set_pending(None)
        return self._become(State.ACTIVE, time_us)

    def _clear_when_due(self, *, time_us: int, at_s: float) -> bool:
        if self.clearing is None or at_s - self.clearing.began_s < self.config.clear_after_ms / 1000:
            return False
        self.clearing, self.dirty = None, True
        self.value = shown(self.condition.value)
        answers = self.config.priority and self.state is State.ACTIVE and not self.held
        return self._become(State.RETURNED if answers else State.CLEARED, time_us)

    def _set_pending(self, pending: Pending | None) -> None:
        if pending is not self.pending:
            self.pending, self.dirty = pending, True

    def _become(self, state: State, time_us: int, *, kind: str = "", who: str = "", reason: str = "") -> bool:
        self.state = state
        self.since_us = self._next(time_us)
        if state is State.ACTIVE:
            self.occurrence_us, self.first_out = self.since_us, False
        if state is not State.ACKNOWLEDGED:
            self.acknowledged_by = ""
        self._event(kind or state.value, who=who, reason=reason)
        return True

    def _note(self, kind: str, time_us: int, *, who: str = "", reason: str = "") -> bool:
        self._next(time_us)
        self._event(kind, who=who, reason=reason)
        return True

    def _touch(self, time_us: int) -> bool:
        self._next(time_us)
        self.dirty = True
        return True

    def _event(self, kind: str, *, who: str, reason: str = "") -> None:
        self.events.append(
            AlertEvent(kind=kind, at=self.changed_us, state=self.state.value, who=who, reason=reason, held=self.held)
        )

    def _next(self, time_us: int) -> int:
        # Always later than the change before, whatever the clock did: changes are stored and published in this order.
        self.changed_us = max(time_us, self.changed_us + 1)
        return self.changed_us
