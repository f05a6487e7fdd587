"""Alerts on live topics: values in, alert topics and the record of alerts out.

A change is published first and stored as soon as possible: an alarm must not wait for a database. When an alert's
limits change it is evaluated at once with the present value of its tag, not with the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import TypeVar

import msgspec

from nexus_cli.alarms.conditions import condition_of
from nexus_cli.alarms.flood import WINDOW_S, Flood
from nexus_cli.alarms.machine import NO_TAGS, Alert, State
from nexus_cli.alarms.panel import Now, Panel
from nexus_cli.alarms.stored import facts_of, pending_of, take_facts, take_timers, timers_of
from nexus_cli.alarms.timers import Moment, StoredTimer, StoredTimers
from nexus_cli.alarms.values import Reading
from nexus_cli.database.alert_states import LastValue, StoredAlert
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.groups import Group
from nexus_cli.json_value import JsonObject
from nexus_cli.model.config import TagConfig
from nexus_cli.model.resources import AlertConfig, decode
from nexus_cli.model.snapshot import Attributes
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.control.alerts.record import AlertRecord, Change
from nexus_cli.runtime.control.leadership import boot_id
from nexus_cli.runtime.control.waiting import first_of
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings
from nexus_cli.wire import alert as wire
from nexus_cli.wire.alert import AlertEvent
from nexus_cli.wire.control import encode
from nexus_cli.wire.control_alarms import JournalLine
from nexus_cli.wire.reading import PayloadError, parse_payload
from nexus_cli.wire.sample import Quality, Reason
from nexus_cli.wire.topic import Topics

Publish = Callable[[str, bytes], Awaitable[None]]
PLATFORM = "_"
"""Paths that begin so are no tags: control gives their values itself."""
TICK_S = 0.25
RETRY_S = 1.0
TOGETHER = 100
"""Alerts that are published without waiting for each other's acknowledgement."""

_log = logging.getLogger("nexus.alerts")
T = TypeVar("T", StoredTimer, StoredTimers)


class Alerting:
    """All alerts of the recorded state.

    Attributes:
        panel: The alerts, as far as they need no topics.
        changed: Changes of state so far.
        published: Alert messages that the broker has acknowledged so far.
    """

    def __init__(self, *, settings: Settings, record: AlertRecord, publish: Publish, clock: Clock) -> None:
        """Join the parts; `load` sets the alerts."""
        self._record, self._publish, self._clock = record, publish, clock
        enterprise, _, name = settings.site.partition("/")
        self._topics = Topics(enterprise, name)
        self.panel = Panel(changed=self._changed, flooded=self._flooded)
        self._unreadable: set[str] = set()
        self._unstored: dict[str, Change] = {}
        self._to_publish: dict[str, None] = {}
        """Alerts to publish, oldest change first; at most one entry each, with the newest state."""
        self._told: dict[str, int] = {}
        """When each alert had changed that was queued to be published."""
        self._wake = asyncio.Event()
        self._boot = boot_id()
        self.changed = self.published = 0

    @property
    def waiting(self) -> int:
        """The number of alerts whose newest state is not published yet."""
        return len(self._to_publish)

    @property
    def active(self) -> int:
        """The number of alerts that are not cleared."""
        return sum(alert.state is not State.CLEARED for alert in self.panel.alerts.values())

    def now(self) -> Now:
        """This moment."""
        return Now(self._clock.now_us(), self._clock.monotonic_s())

    def load(
        self,
        configs: Mapping[str, Attributes],
        stored: Mapping[str, StoredAlert],
        *,
        held: Collection[str] = (),
        tags: Mapping[str, TagConfig] = NO_TAGS,
        gateways: Mapping[str, str] | None = None,
        units: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Set the recorded alerts, and evaluate each with the present value of its tag.

        Args:
            configs: Attributes by name.
            stored: Their states from the database (`alert_states.load`).
            held: Devices (`area/line/device`) that a deployment is changing: alerts on their tags are not evaluated,
                since the known values may have the former unit or meaning.
            tags: What expressions read, by path.
            gateways: Of devices, by path.
            units: In which gateways publish the tags, by path; see `Panel.load`.

        Returns:
            Names of alerts that are no longer declared, sorted.
        """
        known = self.panel.alerts
        before = {name: alert.config for name, alert in known.items()}
        wanted: dict[str, AlertConfig] = {}
        kept: set[str] = set()
        for name, attributes in configs.items():
            try:
                wanted[name] = decode(attributes, AlertConfig)
            except msgspec.ValidationError as error:
                event(_log, "alert can't be read", level=logging.WARNING, alert=name, error=str(error))
                continue
            if any(path.rpartition("/")[0] in held for path in wanted[name].paths()):
                kept.add(name)
        gone = sorted({*known, *stored} - set(configs))
        for name, config in wanted.items():
            if name not in kept and before.get(name) != config:
                self._to_publish[name] = None
        self.panel.load(
            wanted,
            self.now(),
            tags=tags,
            gateways=gateways,
            units=units,
            kept=kept,
            restored=lambda name, config: self._restored(name, config, stored.get(name)),
        )
        self._unreadable = {topic for topic in self._unreadable if self._watches(topic)}
        self._wake.set()
        return gone

    def recover(self, changes: list[Change]) -> None:
        """Take the changes that the previous process could not store; call it before `load`. Newer states win."""
        self._unstored = {change.facts.name: change for change in changes if change.facts.name}

    def recover_flood(self, lines: Sequence[JournalLine]) -> None:
        """Continue counting with the newest lines of the journal, oldest first (`flood_lines`)."""
        now, times, flood = self.now(), [], None
        for line in lines:
            at_s = now.s - max(0.0, (now.us - line.at) / 1e6)
            if line.kind == "active":
                times.append(at_s)
                flood = flood and flood._replace(alarms=flood.alarms + 1)
            elif line.kind == "flood-begins":
                flood = Flood(at_s, None, peak=len(times), alarms=len(times))
            elif line.kind == "flood-ends":
                flood = None
        self.panel.flood.restore([at_s for at_s in times if at_s > now.s - WINDOW_S], flood)

    def topics(self) -> list[str]:
        """The live topics of the watched tags, sorted."""
        return sorted(self._topics.tag(path) for path in self.panel.paths() if not path.startswith(PLATFORM))

    def unreceived(self) -> list[str]:
        """Paths of watched tags without a value yet, sorted."""
        return [
            path for path in self.panel.paths() if not path.startswith(PLATFORM) and self.panel.reading(path) is None
        ]

    def listing(self) -> list[wire.Alert]:
        """Every alert and its state, by name; times in µs since 1970 UTC."""
        return [self._facts(name) for name in sorted(self.panel.alerts)]

    def receive(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        """Take a live message; invalid ones are ignored (the historian records dead letters)."""
        if not payload or not self._watches(topic):
            return
        try:
            found = parse_payload(payload, now_us=None)
        except PayloadError as error:
            if topic not in self._unreadable:
                self._unreadable.add(topic)
                event(_log, "an alert's tag can't be read", level=logging.WARNING, topic=topic, cause=str(error))
            return
        if topic in self._unreadable:
            self._unreadable.discard(topic)
            event(_log, "an alert's tag can be read again", topic=topic)
        out = found.reason == Reason.OUT_OF_SERVICE.value
        reading = Reading(found.value, found.state, found.label or None, out, found.unit)
        self.panel.feed(self._topics.path(topic) or "", reading, self.now(), fresh=not retained)

    def feed_own(self, path: str, value: float) -> None:
        """Take a value that control itself gives an alarm of its own."""
        self.panel.feed(path, Reading(value, Quality.GOOD, None, False), self.now())

    def alive(self, gateway: str) -> None:
        """A gateway said that it runs."""
        self.panel.alive(gateway, self.now())

    def load_stored(self, path: str, found: LastValue) -> None:
        """Take the newest stored sample of a tag without a live value; it never replaces a live value."""
        if self.panel.reading(path) is None and found.quality in set(Quality):
            reading = Reading(found.value, Quality(found.quality), found.label)
            self.panel.feed(path, reading, self.now(), fresh=False)

    def publish_all(self) -> None:
        """Publish all alerts again, since the broker may have lost its state or restored an older one."""
        self._to_publish.update(dict.fromkeys(self.panel.alerts))
        self._wake.set()

    def do(self, name: str, act: Callable[[Alert, Now], bool], *, otherwise: str, code: str) -> wire.Alert:
        """Let a person do something to an alert.

        Args:
            name: Which one.
            act: Does it; False when there was nothing to do.
            otherwise, code: What is said then: a sentence with `{name}` and `{state}`, and its code.

        Raises:
            NexusError: NX6406 unknown, or `code`.
        """
        alert = self.panel.alerts.get(name)
        if alert is None:
            raise NexusError(f"There is no alert '{name[:100]}'.", code="NX6406")
        now = self.now()
        if not self.panel.act(name, now, lambda one: act(one, now)):
            raise NexusError(otherwise.format(name=name, state=alert.state.value), code=code)
        return self._facts(name)

    async def acknowledge(self, name: str, *, who: str, reason: str = "") -> wire.Alert:
        """Acknowledge an active alert, or an alarm that returned; `reason` is a comment.

        Raises:
            NexusError: NX6406 unknown, NX6407 not active.
        """
        return self.do(
            name,
            lambda alert, now: alert.acknowledge(who=who, time_us=now.us, reason=reason),
            otherwise="Alert '{name}' is {state}, not active.",
            code="NX6407",
        )

    async def kept(self) -> None:
        """Wait until what a person just did is on record, or in the file that the next control reads; at most 2 s."""
        await self._record.kept()

    async def run(self, stop: asyncio.Event) -> None:
        """Evaluate what is due and publish changes, until stopped."""
        while not stop.is_set():
            await first_of(stop, self._wake, timeout_s=TICK_S)
            self._wake.clear()
            self.panel.tick(self.now())
            if not await self._flush():
                await first_of(stop, timeout_s=RETRY_S)

    async def clear(self, names: list[str]) -> None:
        """Clear the topics of removed alerts; those that fail now are cleared by `Retained` later."""
        for name in names:
            self._to_publish.pop(name, None)
            try:
                await self._publish(self._topics.alert(name), b"")
            except NexusError:
                return

    async def _flush(self) -> bool:
        """Publish the queued alerts; False when the broker is not connected."""
        while self._to_publish:
            names = list(islice(self._to_publish, TOGETHER))
            async with Group() as group:
                sent = [group.create_task(self._publish_one(name), name="publish alert") for name in names]
            if not all(task.result() for task in sent):
                return False
        return True

    async def _publish_one(self, name: str) -> bool:
        if name in self.panel.alerts:
            facts = self._facts(name)
            try:
                await self._publish(self._topics.alert(name), encode(facts))
            except NexusError:
                return False
            if name in self.panel.alerts and facts != self._facts(name):
                return True  # it changed before the broker acknowledged
        self._to_publish.pop(name, None)
        self.published += 1
        return True

    def _watches(self, topic: str) -> bool:
        path = self._topics.path(topic)
        return path is not None and self.panel.watches(path)

    def _restored(self, name: str, config: AlertConfig, stored: StoredAlert | None) -> Alert:
        now = self.now()
        alert = Alert(config, since_us=now.us, condition=condition_of(config, NO_TAGS, at_s=now.s))
        unstored = self._unstored.get(name)
        if unstored is not None and (stored is None or _newest(unstored.facts) >= _newest(stored)):
            # No database time is known for it: after a reboot its `for` starts again rather than ending too early.
            moment = Moment(self._boot, now.s, now.us, 0, 0)
            take_facts(alert, unstored.facts)
            take_timers(alert, unstored.facts, unstored.pending, unstored.timers, moment)
        elif stored is not None:
            facts = stored.facts(name)
            take_facts(alert, facts)
            pending = _readable(stored.pending, StoredTimer, name)
            timers = _readable(stored.timers, StoredTimers, name)
            moment = Moment(self._boot, now.s, now.us, stored.now, stored.stored)
            take_timers(alert, facts, pending, timers, moment)
        return alert

    def _changed(self, name: str, events: list[AlertEvent]) -> None:
        alert, now = self.panel.alerts[name], self.now()
        facts = self._facts(name)
        if events or alert.changed_us != self._told.get(name):
            self._told[name] = alert.changed_us
            self._to_publish[name] = None
            self._wake.set()
        pending = pending_of(alert, boot=self._boot, at_s=now.s, now_us=now.us)
        timers = timers_of(alert, boot=self._boot, at_s=now.s, now_us=now.us)
        for each in events:
            self.changed += 1
            event(_log, "alert changed", alert=name, state=each.state, what=each.kind)
            self._record.add(Change(facts=facts, pending=pending, timers=timers, event=each))
        if not events:
            self._record.add(Change(facts=facts, pending=pending, timers=timers, changed=False))

    def _flooded(self, flood: Flood, begins: bool) -> None:
        """A flood is no state of an alert: it is a line of the journal alone."""
        kind = "flood-begins" if begins else "flood-ends"
        words = f"{flood.alarms} alarms, up to {flood.peak} in 10 minutes"
        event(_log, "alarms come in a flood" if begins else "the flood of alarms is over", alarms=words)
        at_us = self._clock.now_us()
        facts = wire.Alert(
            name="",
            state=State.CLEARED.value,
            since=at_us,
            value=flood.alarms,
            severity="info",
            tag="",
            description="",
            acknowledged_by="",
        )
        self._record.add(Change(facts=facts, event=AlertEvent(kind=kind, at=at_us, reason=words)))

    def _facts(self, name: str) -> wire.Alert:
        return facts_of(name, self.panel.alerts[name])


def _newest(one: wire.Alert | StoredAlert) -> int:
    """When anything of it last changed; what an earlier version wrote knows only `since`."""
    return max(one.changed, one.since)


def _readable(stored: JsonObject | None, kind: type[T], name: str) -> T | None:
    if not stored:
        return None
    try:
        return msgspec.convert(stored, kind)
    except msgspec.ValidationError as error:
        event(_log, "the pending state of an alert can't be read", level=logging.WARNING, alert=name, cause=str(error))
        return None
