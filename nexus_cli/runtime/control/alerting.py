"""Alerts on live topics: values in, alert topics and the table `alert` out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import orjson

from nexus_cli.database import alerts as rows
from nexus_cli.database.connect import Pool, plain_errors
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.control.alerts import Alert, State, alert_from_json
from nexus_cli.runtime.logging import event
from nexus_cli.settings import Settings
from nexus_cli.wire.sample import Quality
from nexus_cli.wire.topic import Topics

Publish = Callable[[str, bytes], Awaitable[None]]
TICK_S = 0.25
MAX_CHANGES = 10_000
"""Changes of state that wait for broker and database; only the newest of an alert counts, so the oldest are dropped."""
RETRY_S = 1.0

_log = logging.getLogger("nexus.alerts")


class Alerting:
    """Every alert of the recorded state.

    Attributes:
        changed: Changes of state so far.
    """

    def __init__(self, *, settings: Settings, pool: Pool, publish: Publish, clock: Clock) -> None:
        """Join the parts; `load` brings the alerts."""
        self._settings, self._pool, self._publish, self._clock = settings, pool, publish, clock
        enterprise, _, name = settings.site.partition("/")
        self._topics = Topics(enterprise, name)
        self._alerts: dict[str, Alert] = {}
        self._by_topic: dict[str, list[str]] = {}
        self._dirty: deque[str] = deque(maxlen=MAX_CHANGES)
        self._wake = asyncio.Event()
        self.changed = 0

    def load(self, configs: Mapping[str, Mapping[str, Any]], stored: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Take the recorded alerts; those that stay unchanged keep their state. Gives the names of vanished ones."""
        alerts: dict[str, Alert] = {}
        for name, attributes in configs.items():
            try:
                config = alert_from_json(dict(attributes))
            except msgspec.ValidationError as error:
                event(_log, "alert can't be read", level=logging.WARNING, alert=name, error=str(error))
                continue
            known = self._alerts.get(name)
            if known is not None:
                alerts[name] = known
                known.config = config
                continue
            alerts[name] = alert = Alert(config)
            if name in stored:
                alert.state, alert.since_us = State(stored[name]["state"]), int(stored[name]["since"])
                alert.value, alert.acknowledged_by = stored[name]["value"], str(stored[name]["acknowledged_by"])
        gone = sorted({*self._alerts, *stored} - set(alerts))
        self._alerts = alerts
        self._by_topic = {}
        for name, alert in alerts.items():
            self._by_topic.setdefault(self._topics.tag(alert.config.tag), []).append(name)
        return gone

    def topics(self) -> list[str]:
        """Live topics that some alert watches, sorted."""
        return sorted(self._by_topic)

    def listing(self) -> list[dict[str, Any]]:
        """Every alert and where it stands, by name; times in µs since 1970 UTC."""
        return [self._facts(name) for name in sorted(self._alerts)]

    def hear(self, topic: str, payload: bytes) -> None:
        """Take a live message; what is not one is passed over (the historian keeps the dead letters)."""
        names = self._by_topic.get(topic)
        if not names or not payload:
            return
        try:
            message = orjson.loads(payload)
            quality = Quality[message.get("quality", "GOOD")]
            value = message.get("value")
            label = message.get("label")
        except (ValueError, KeyError, AttributeError, TypeError):
            return
        now = self._clock.now_us()
        for name in names:
            alert = self._alerts[name]
            by_label = isinstance(alert.config.equals, str) and isinstance(label, str)
            if alert.feed(label if by_label else value, quality, time_us=now):
                self._note(name)

    async def acknowledge(self, name: str, *, who: str) -> dict[str, Any]:
        """A person has seen an active alert.

        Raises:
            NexusError: NX6406 unknown, NX6407 not active.
        """
        alert = self._alerts.get(name)
        if alert is None:
            raise NexusError(f"There is no alert '{name[:100]}'.", code="NX6406", exit_code=1)
        if not alert.acknowledge(who=who, time_us=self._clock.now_us()):
            raise NexusError(f"Alert '{name}' is {alert.state.value}, not active.", code="NX6407", exit_code=1)
        self._note(name)
        return self._facts(name)

    async def run(self, stop: asyncio.Event) -> None:
        """Let time pass, publish and store changes, until stopped."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._wake.wait()
            self._wake.clear()
            now = self._clock.now_us()
            for name, alert in self._alerts.items():
                if alert.tick(time_us=now):
                    self._note(name)
            await self._flush(stop)

    async def clear(self, names: list[str]) -> None:
        """Take vanished alerts off the broker and out of the table."""
        if not names:
            return
        async with self._pool.acquire() as conn:
            await rows.delete(conn, self._settings.site, names)
        for name in names:
            with contextlib.suppress(NexusError):
                await self._publish(self._topics.alert(name), b"")

    async def _flush(self, stop: asyncio.Event) -> None:
        while self._dirty and not stop.is_set():
            name = self._dirty[0]
            if name in self._alerts:
                facts = self._facts(name)
                try:
                    with plain_errors(self._settings):
                        async with self._pool.acquire() as conn:
                            await rows.write(conn, self._settings.site, facts)
                    await self._publish(self._topics.alert(name), orjson.dumps(facts))
                except NexusError:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(RETRY_S):
                            await stop.wait()
                    return
            with contextlib.suppress(ValueError):
                self._dirty.remove(name)

    def _note(self, name: str) -> None:
        self.changed += 1
        event(_log, "alert changed", alert=name, state=self._alerts[name].state.value)
        if name not in self._dirty:
            self._dirty.append(name)
        self._wake.set()

    def _facts(self, name: str) -> dict[str, Any]:
        alert = self._alerts[name]
        return {
            "name": name,
            "state": alert.state.value,
            "since": alert.since_us,
            "value": alert.value,
            "severity": alert.config.severity,
            "tag": alert.config.tag,
            "description": alert.config.description,
            "acknowledged_by": alert.acknowledged_by,
        }
