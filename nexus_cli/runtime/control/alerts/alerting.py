"""Alerts on live topics: values in, alert topics and the record of alerts out.

A change is published first and stored as soon as possible: an alarm must not wait for a database. When an alert's
limits change it is evaluated at once with the present value of its tag, not with the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import NamedTuple

import msgspec

from nexus_cli.database.alert_states import LastValue, StoredAlert
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.json_value import JsonObject
from nexus_cli.model.resources import AlertConfig, decode
from nexus_cli.model.snapshot import Attributes
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.control.alerts.record import AlertRecord, Change
from nexus_cli.runtime.control.alerts.state_machine import (
    Alert,
    State,
    StoredPending,
    restored,
    stored_pending,
)
from nexus_cli.runtime.control.leadership import boot_id
from nexus_cli.runtime.control.waiting import first_of
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings
from nexus_cli.wire import control as wire
from nexus_cli.wire.reading import PayloadError, parse_payload
from nexus_cli.wire.sample import Quality, Reason, Value
from nexus_cli.wire.topic import Topics

Publish = Callable[[str, bytes], Awaitable[None]]
TICK_S = 0.25
RETRY_S = 1.0

_log = logging.getLogger("nexus.alerts")


class LiveValue(NamedTuple):
    """The newest value of a tag; `out`: its device is out of service."""

    value: Value
    label: object
    quality: Quality
    out: bool = False


class Alerting:
    """All alerts of the recorded state.

    Attributes:
        changed: Changes of state so far.
        published: Alert messages that the broker has acknowledged so far.
    """

    def __init__(self, *, settings: Settings, record: AlertRecord, publish: Publish, clock: Clock) -> None:
        """Join the parts; `load` sets the alerts."""
        self._settings, self._record, self._publish, self._clock = settings, record, publish, clock
        enterprise, _, name = settings.site.partition("/")
        self._topics = Topics(enterprise, name)
        self._alerts: dict[str, Alert] = {}
        self._by_topic: dict[str, list[str]] = {}
        self._values: dict[str, LiveValue] = {}
        self._unreadable: set[str] = set()
        self._unstored: dict[str, Change] = {}
        self._unevaluated: set[str] = set()
        """Alerts that were given another tag without a value yet: elapsed time alone does not raise them."""
        self._to_publish: dict[str, None] = {}
        """Alerts to publish, oldest change first; at most one entry each, with the newest state."""
        self._wake = asyncio.Event()
        self._boot = boot_id()
        self.changed = self.published = 0

    @property
    def waiting(self) -> int:
        """The number of alerts whose newest state is not published yet."""
        return len(self._to_publish)

    def load(
        self,
        configs: Mapping[str, Attributes],
        stored: Mapping[str, StoredAlert],
        *,
        held: Collection[str] = (),
    ) -> list[str]:
        """Set the recorded alerts, and evaluate each with the present value of its tag.

        Args:
            configs: Attributes by name.
            stored: Their states from the database (`alert_states.load`).
            held: Devices (`area/line/device`) that a deployment is changing: alerts on their tags are not evaluated,
                since the known values may have the former unit or meaning.

        Returns:
            Names of alerts that are no longer declared, sorted.
        """
        alerts: dict[str, Alert] = {}
        for name, attributes in configs.items():
            known = self._alerts.get(name)
            try:
                config = decode(attributes, AlertConfig)
            except msgspec.ValidationError as error:
                event(_log, "alert can't be read", level=logging.WARNING, alert=name, error=str(error))
                continue
            if config.tag.rpartition("/")[0] in held:
                if known is not None:
                    alerts[name] = known
                continue
            alerts[name] = alert = known or self._restored(name, config, stored.get(name))
            if known is None or known.config != config:
                if known is not None and known.config.tag != config.tag:
                    alert.value = None  # it was the value of another tag
                    self._unevaluated.add(name)
                alert.config = config
                self._to_publish[name] = None
        gone = sorted({*self._alerts, *stored} - set(configs))
        self._alerts = alerts
        self._unevaluated &= alerts.keys()
        self._by_topic = {}
        for name, alert in alerts.items():
            self._by_topic.setdefault(self._topics.tag(alert.config.tag), []).append(name)
        self._values = {topic: newest for topic, newest in self._values.items() if topic in self._by_topic}
        self._unreadable &= self._by_topic.keys()
        for topic in self._values:
            self._look(topic)
        self._wake.set()
        return gone

    def recover(self, changes: list[Change]) -> None:
        """Take the changes that the previous process could not store; call it before `load`. Newer states win."""
        self._unstored = {change.facts.name: change for change in changes}

    def topics(self) -> list[str]:
        """The live topics of the watched tags, sorted."""
        return sorted(self._by_topic)

    def unreceived(self) -> list[str]:
        """Paths of watched tags without a value yet, sorted."""
        found = (self._topics.path(topic) for topic in self._by_topic if topic not in self._values)
        return sorted(path for path in found if path is not None)

    def listing(self) -> list[wire.Alert]:
        """Every alert and its state, by name; times in µs since 1970 UTC."""
        return [self._facts(name) for name in sorted(self._alerts)]

    def receive(self, topic: str, payload: bytes) -> None:
        """Take a live message; invalid ones are ignored (the historian records dead letters)."""
        if topic not in self._by_topic or not payload:
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
        self._values[topic] = LiveValue(
            found.value, found.label or None, found.state, found.reason == Reason.OUT_OF_SERVICE.value
        )
        self._look(topic)

    def load_stored(self, path: str, found: LastValue) -> None:
        """Take the newest stored sample of a tag without a live value; it never replaces a live value."""
        topic = self._topics.tag(path)
        if topic in self._by_topic and topic not in self._values and found.quality in set(Quality):
            self._values[topic] = LiveValue(found.value, found.label, Quality(found.quality))
            self._look(topic)

    def publish_all(self) -> None:
        """Publish all alerts again, since the broker may have lost its state or restored an older one."""
        self._to_publish.update(dict.fromkeys(self._alerts))
        self._wake.set()

    async def acknowledge(self, name: str, *, who: str) -> wire.Alert:
        """Acknowledge an active alert.

        Raises:
            NexusError: NX6406 unknown, NX6407 not active.
        """
        alert = self._alerts.get(name)
        if alert is None:
            raise NexusError(f"There is no alert '{name[:100]}'.", code="NX6406")
        if not alert.acknowledge(who=who, time_us=self._clock.now_us()):
            raise NexusError(f"Alert '{name}' is {alert.state.value}, not active.", code="NX6407")
        self._note(name)
        return self._facts(name)

    async def run(self, stop: asyncio.Event) -> None:
        """Evaluate `for` times and publish changes, until stopped."""
        while not stop.is_set():
            await first_of(stop, self._wake, timeout_s=TICK_S)
            self._wake.clear()
            now_us, at_s = self._clock.now_us(), self._clock.monotonic_s()
            for name, alert in self._alerts.items():
                if name not in self._unevaluated and alert.tick(time_us=now_us, at_s=at_s):
                    self._note(name)
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
            name = next(iter(self._to_publish))
            if name in self._alerts:
                facts = self._facts(name)
                try:
                    await self._publish(self._topics.alert(name), wire.encode(facts))
                except NexusError:
                    return False
                if facts != (self._facts(name) if name in self._alerts else facts):
                    continue  # it changed before the broker acknowledged
            self._to_publish.pop(name, None)
            self.published += 1
        return True

    def _look(self, topic: str) -> None:
        newest, now_us, at_s = self._values[topic], self._clock.now_us(), self._clock.monotonic_s()
        for name in self._by_topic.get(topic, ()):
            alert = self._alerts[name]
            self._unevaluated.discard(name)
            pending = alert.pending
            by_label = isinstance(alert.config.equals, str) and isinstance(newest.label, str)
            value = newest.label if by_label else newest.value
            if alert.feed(value, newest.quality, time_us=now_us, at_s=at_s, out_of_service=newest.out):  # type: ignore[arg-type]
                self._note(name)
            elif alert.pending is not pending:
                self._store(name, changed=False)

    def _restored(self, name: str, config: AlertConfig, stored: StoredAlert | None) -> Alert:
        alert = Alert(config, since_us=self._clock.now_us())
        unstored = self._unstored.get(name)
        if unstored is not None and (stored is None or unstored.facts.since >= stored.since):
            # No database time is known for it: after a reboot its `for` starts again rather than ending too early.
            facts = unstored.facts
            pending = None if unstored.pending is None else wire.as_object(unstored.pending)
            stored = StoredAlert(facts.state, facts.since, facts.value, facts.acknowledged_by or "", pending)
        if stored is None:
            return alert
        alert.state, alert.since_us = State(stored.state), stored.since
        alert.value, alert.acknowledged_by = stored.value, stored.acknowledged_by
        known = _readable(stored.pending, name) if stored.pending else None
        if known is not None:
            alert.pending = restored(
                known,
                boot=self._boot,
                at_s=self._clock.monotonic_s(),
                now_us=self._clock.now_us(),
                database_us=stored.now,
                stored_us=stored.stored,
            )
        return alert

    def _note(self, name: str) -> None:
        self.changed += 1
        event(_log, "alert changed", alert=name, state=self._alerts[name].state.value)
        self._to_publish[name] = None
        self._wake.set()
        self._store(name, changed=True)

    def _store(self, name: str, *, changed: bool) -> None:
        pending = stored_pending(self._alerts[name].pending, boot=self._boot)
        self._record.add(Change(facts=self._facts(name), pending=pending, changed=changed))

    def _facts(self, name: str) -> wire.Alert:
        alert = self._alerts[name]
        return wire.Alert(
            name=name,
            state=alert.state.value,
            since=alert.since_us,
            value=alert.value,
            severity=alert.config.severity,
            tag=alert.config.tag,
            description=alert.config.description or "",
            acknowledged_by=alert.acknowledged_by,
        )


def _readable(stored: JsonObject, name: str) -> StoredPending | None:
    try:
        return msgspec.convert(stored, StoredPending)
    except msgspec.ValidationError as error:
        event(_log, "the pending state of an alert can't be read", level=logging.WARNING, alert=name, cause=str(error))
        return None
