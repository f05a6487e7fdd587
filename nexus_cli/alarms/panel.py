"""All alerts of a site together: which of them a value concerns, what is due, who suppresses whom, cascades and floods. Pure.

A value costs the alerts on its tag, a moment those that are due. See docs/decisions/0088 and 0118.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, Protocol

from msgspec.structs import replace

from nexus_cli.alarms.cascade import Cascades
from nexus_cli.alarms.flood import Flood, FloodDetector
from nexus_cli.alarms.machine import HOLDING, NO_TAGS, Alert
from nexus_cli.alarms.silence import NoData
from nexus_cli.alarms.speed import Rate
from nexus_cli.alarms.values import Reading
from nexus_cli.model.config import TagConfig
from nexus_cli.model.resources import AlertConfig
from nexus_cli.wire.alert import AlertEvent

AGAIN_S = 0.001
"""What is due again at the same moment is due so much later, in seconds."""
_ANNOUNCED: dict[str, Any] = {
    "severity": "",
    "description": None,
    "for_ms": 0,
    "clear_after_ms": 0,
    "priority": "",
    "group": "",
    "suppressed_by": [],
    "response": None,
    "consequence": None,
}
"""Keys of an alert that say nothing about its condition."""


class Now(NamedTuple):
    """A moment: µs since 1970 UTC for display, monotonic seconds for measuring."""

    us: int
    s: float


class Told(Protocol):
    """Called when an alert changed; `events` are empty when only what runs in it did."""

    def __call__(self, name: str, events: list[AlertEvent]) -> None: ...


class Panel:
    """The alerts by name.

    Attributes:
        alerts: All of them.
        flood: Counts the announced alarms.
    """

    def __init__(self, *, changed: Told, flooded: Callable[[Flood, bool], None]) -> None:
        """Begin empty.

        Args:
            changed: See `Told`.
            flooded: Called with a flood, True when it begins and False when it has ended.
        """
        self._changed, self._flooded = changed, flooded
        self.alerts: dict[str, Alert] = {}
        self.flood = FloodDetector()
        self._by_path: dict[str, list[str]] = {}
        self._suppresses: dict[str, list[str]] = {}
        self._cascades = Cascades()
        self._due: list[tuple[float, str]] = []
        self._armed: dict[str, float] = {}
        self._readings: dict[str, Reading] = {}
        self._gateways: Mapping[str, str] = {}
        self._units: dict[str, str] = {}
        """Of tags, by path, in which the limits of the alerts on them are."""
        self._alive_s: dict[str, float] = {}
        self._by_gateway: dict[str, list[str]] = {}
        self._absent: set[str] = set()
        """Declared alerts whose state is not known yet: what they suppressed stays suppressed."""
        self._changing: set[str] = set()
        """Alerts whose devices are being changed."""
        self._waiting: set[str] = set()
        """Those of them whose condition changes, too: values are kept for it, and nothing is evaluated until then."""
        self._depths: dict[str, int] = {}
        """How many suppress each other above an alert."""
        self._unevaluated: set[str] = set()
        """Alerts that were given another tag without a value yet: elapsed time alone does not raise them."""

    def load(
        self,
        configs: Mapping[str, AlertConfig],
        now: Now,
        *,
        tags: Mapping[str, TagConfig] = NO_TAGS,
        gateways: Mapping[str, str] | None = None,
        units: Mapping[str, str] | None = None,
        restored: Callable[[str, AlertConfig], Alert] | None = None,
        kept: Collection[str] = (),
    ) -> None:
        """Set the alerts. Those that are known keep their state; each is evaluated with the newest values of its tags.

        Args:
            configs: By name.
            now: The moment.
            tags: What expressions read, by path.
            gateways: Of devices, by `area/line/device`.
            units: In which gateways publish, by path of the tag. A value in another one says nothing about the limits: it
                is one of before a deployment, or already one of after it.
            restored: Makes an alert that was not known before; a cleared one without it.
            kept: Alerts that stay as they are for now: their devices are being changed. One that gets another condition
                is not evaluated either: a value may already be in the new unit, its limits are in the former one.
        """
        self._gateways = gateways if gateways is not None else {}
        alerts: dict[str, Alert] = {}
        fresh: list[str] = []
        self._absent = {name for name in kept if name not in self.alerts}
        changed, self._changing = self._changing - set(kept), set(kept)
        before = {path: self._units[path] for path in self._paths_of(kept) if path in self._units}
        self._units = {**(units or {}), **before}
        self._waiting = {name for name in kept if name in configs and self._gets_another_condition(name, configs[name])}
        for name, config in configs.items():
            known = self.alerts.get(name)
            if name in kept:
                if known is not None:
                    alerts[name] = known
                continue
            if known is None:
                alerts[name] = restored(name, config) if restored else Alert(config, since_us=now.us)
                fresh.append(name)
                continue
            alerts[name] = known
            self._reconfigure(name, known, config, tags, now)
            if name in changed and isinstance(known.condition, Rate):  # earlier points may be in another unit
                known.condition = Rate(config)
        for name in self.alerts.keys() - alerts.keys():
            self._cascades.forget(name)
        self.alerts = alerts
        self._index()
        for name in fresh:
            self._fill(name, tags, now)
        for name in alerts:
            self._cascades.follow(name, alerts[name], raised=False)
        for name in alerts:
            self._judge_suppression(name, now)
        for name in sorted(alerts, key=self._depth):
            if name not in self._unevaluated and name not in kept:
                self._after(name, alerts[name].evaluate(time_us=now.us, at_s=now.s), now)
            self._arm(name, now.s)

    def _reconfigure(
        self, name: str, alert: Alert, config: AlertConfig, tags: Mapping[str, TagConfig], now: Now
    ) -> None:
        if alert.config == config and not config.expr:
            return
        others = alert.config.paths() != config.paths()
        kept = alert.condition if _same_condition(alert.config, config) and not config.expr else None
        alert.configure(config, tags, time_us=now.us, at_s=now.s)
        if kept is not None:
            alert.condition = kept
        else:
            self._fill_condition(alert, now)
        if others:
            alert.value = None  # it was the value of another tag
        silent = isinstance(alert.condition, NoData)  # of which no value is what it watches for
        readings = {path: self._readings[path] for path in config.paths() if path in self._readings}
        fits = not any(self._in_another_unit(path, one) for path, one in readings.items())
        if not silent and not (fits and (readings or not others)):
            self._unevaluated.add(name)

    def _fill(self, name: str, tags: Mapping[str, TagConfig], now: Now) -> None:
        alert = self.alerts[name]
        if alert.config.expr:
            alert.configure(alert.config, tags, time_us=now.us, at_s=now.s)
        self._fill_condition(alert, now)

    def _fill_condition(self, alert: Alert, now: Now) -> None:
        for path in alert.config.paths():
            reading = self._readings.get(path)
            if reading is not None and not self._in_another_unit(path, reading):
                alert.device_out = reading.out
                alert.condition.take(reading, path=path, at_s=now.s, fresh=False)

    def _index(self) -> None:
        self._by_path, self._suppresses, self._by_gateway = {}, {}, {}
        self._depths = _depths({name: alert.config.suppressed_by for name, alert in self.alerts.items()})
        for name in sorted(self.alerts, key=self._depth):  # those that suppress are looked at before the suppressed
            alert = self.alerts[name]
            for path in alert.config.paths():
                self._by_path.setdefault(path, []).append(name)
            for other in alert.config.suppressed_by:
                self._suppresses.setdefault(other, []).append(name)
            gateway = self._gateway(alert)
            if gateway and isinstance(alert.condition, NoData):
                self._by_gateway.setdefault(gateway, []).append(name)
        self._readings = {path: one for path, one in self._readings.items() if path in self._by_path}
        self._unevaluated &= self.alerts.keys()
        self._due, self._armed = [], {}

    def paths(self) -> list[str]:
        """The tags that are watched, sorted."""
        return sorted(self._by_path)

    def watches(self, path: str) -> bool:
        """Whether an alert watches this tag."""
        return path in self._by_path

    def reading(self, path: str) -> Reading | None:
        """The newest value of a watched tag."""
        return self._readings.get(path)

    def feed(self, path: str, reading: Reading, now: Now, *, fresh: bool = True) -> None:
        """Take a value of a tag."""
        if path not in self._by_path:
            return
        self._readings[path] = reading
        if self._in_another_unit(path, reading):
            return
        for name in self._by_path[path]:
            if name in self._waiting:
                continue
            alert = self.alerts[name]
            self._unevaluated.discard(name)
            changed = alert.feed(
                reading.value,
                reading.quality,
                time_us=now.us,
                at_s=now.s,
                out_of_service=reading.out,
                label=reading.label,
                path=path,
                fresh=fresh,
            )
            self._after(name, changed, now)

    def alive(self, gateway: str, now: Now) -> None:
        """A gateway said that it runs: its newest values are current."""
        self._alive_s[gateway] = now.s
        for name in self._by_gateway.get(gateway, ()):
            alert = self.alerts[name]
            if name in self._waiting:
                continue
            if alert.state in HOLDING or alert.pending is not None:  # silence that counted: is it over?
                self._after(name, alert.tick(time_us=now.us, at_s=now.s, alive_s=now.s), now)

    def tick(self, now: Now) -> None:
        """Let time pass for what is due."""
        due: list[str] = []
        while self._due and self._due[0][0] <= now.s:
            at_s, name = heapq.heappop(self._due)
            if self._armed.get(name) == at_s:
                del self._armed[name]
                due.append(name)
        for name in sorted(due, key=self._depth):
            alert = self.alerts.get(name)
            if alert is None:
                continue
            if self._rests(name):
                self._after(name, alert.end_shelf(time_us=now.us, at_s=now.s), now)
                continue
            alive_s = self._alive_s.get(self._gateway(alert))
            self._after(name, alert.tick(time_us=now.us, at_s=now.s, alive_s=alive_s), now)
        self._end_flood(now.s)

    def due_s(self) -> float | None:
        """When `tick` has something to do next; None is never."""
        while self._due and self._armed.get(self._due[0][1]) != self._due[0][0]:
            heapq.heappop(self._due)
        found = [one for one in (self._due[0][0] if self._due else None, self.flood.due_s()) if one is not None]
        return min(found, default=None)

    def act(self, name: str, now: Now, do: Callable[[Alert], bool]) -> bool:
        """Let a person do something to an alert; whether it changed anything."""
        changed = do(self.alerts[name])
        self._after(name, changed, now)
        return changed

    def _after(self, name: str, changed: bool, now: Now) -> None:
        """Follow a change: cascades, floods, those that it suppresses, and who wants to know."""
        alert = self.alerts[name]
        events = alert.take_events()
        changed = changed or bool(events)
        if changed:
            raised = any(event.kind == "active" and not event.held for event in events)
            self._cascades.follow(name, alert, raised=raised)
        if changed or alert.dirty:
            alert.dirty = False
            self._changed(name, events)
        if changed:
            if raised and alert.config.priority:
                self._count(now)
            for other in self._suppresses.get(name, ()):
                self._judge_suppression(other, now)
        self._arm(name, now.s)

    def _judge_suppression(self, name: str, now: Now) -> None:
        alert = self.alerts.get(name)
        if alert is None:
            return
        by = next((one for one in alert.config.suppressed_by if one != name and self._suppressing(one)), "")
        if by != alert.suppressed_by and (by or alert.suppressed_by not in self._absent):
            self._after(name, alert.suppress(by, time_us=now.us), now)

    def _suppressing(self, name: str) -> bool:
        other = self.alerts.get(name)
        return other is not None and other.suppresses

    def _count(self, now: Now) -> None:
        self._end_flood(now.s)
        begun = self.flood.alarm(now.s)
        if begun is not None:
            self._flooded(begun, True)

    def _end_flood(self, at_s: float) -> None:
        ended = self.flood.tick(at_s)
        if ended is not None:
            self._flooded(ended, False)

    def _arm(self, name: str, at_s: float) -> None:
        alert = self.alerts[name]
        if self._rests(name):
            due_s = alert.shelf.ends_s if alert.shelf else None
        else:
            due_s = alert.due_s()
        if due_s is None:
            self._armed.pop(name, None)
            return
        due_s = max(due_s, at_s + AGAIN_S)
        if self._armed.get(name) != due_s:
            self._armed[name] = due_s
            heapq.heappush(self._due, (due_s, name))

    def _rests(self, name: str) -> bool:
        """Whether neither a value nor time is to change its state now."""
        return name in self._unevaluated or name in self._waiting

    def _in_another_unit(self, path: str, reading: Reading) -> bool:
        return reading.usable and reading.unit != "" and reading.unit != self._units.get(path, reading.unit)

    def _paths_of(self, names: Collection[str]) -> set[str]:
        return {path for name in names if name in self.alerts for path in self.alerts[name].config.paths()}

    def _gets_another_condition(self, name: str, config: AlertConfig) -> bool:
        known = self.alerts.get(name)
        return known is not None and _of_condition(known.config) != _of_condition(config)

    def _depth(self, name: str) -> int:
        return self._depths.get(name, 0)

    def _gateway(self, alert: Alert) -> str:
        return self._gateways.get(alert.config.tag.rpartition("/")[0], "")


def _same_condition(one: AlertConfig, other: AlertConfig) -> bool:
    """Whether what was counted by the one continues to count for the other: silence and the window of a rate."""
    keys = ("tag", "rate_above", "rate_below", "rate_per_ms", "unchanged_for_ms", "no_data_for_ms", "on_bad")
    timed = one.unchanged_for_ms or one.no_data_for_ms or one.rate_above is not None or one.rate_below is not None
    return bool(timed) and all(getattr(one, key) == getattr(other, key) for key in keys)


def _of_condition(config: AlertConfig) -> AlertConfig:
    """Without what is for people, how it is announced, and its delays."""
    return replace(config, **_ANNOUNCED)


def _depths(suppressed_by: Mapping[str, list[str]]) -> dict[str, int]:
    """The longest chain of alerts above each alert. Round a circle, which is a finding of `validate`, any order will do."""
    found: dict[str, int] = {}
    for first in suppressed_by:
        stack = [first]
        on_way: set[str] = set()
        while stack:
            name = stack[-1]
            others = [one for one in suppressed_by.get(name, ()) if one in suppressed_by and one not in on_way]
            ahead = [one for one in others if one not in found]
            if ahead and name not in on_way:
                on_way.add(name)
                stack += ahead
                continue
            stack.pop()
            found[name] = max((found[one] + 1 for one in suppressed_by.get(name, ()) if one in found), default=0)
    return found
