"""What a running site publishes, as the record of a test. Pure: messages come in, the record grows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import orjson

from nexus_cli.project.testing.judging import BEFORE_MS
from nexus_cli.project.testing.names import SiteNames
from nexus_cli.project.testing.plant import Record, Seen
from nexus_cli.wire.alert import Alert
from nexus_cli.wire.reading import PayloadError, parse_payload
from nexus_cli.wire.signature import unsealed_value


class Watched:
    """The newest value of each tag and alarm, and everything since a test began.

    Attributes:
        record: Of the test that runs.
        moment_ms: Of the test: what arrives now counts for it.
        changed: Set by every message.
    """

    def __init__(self, names: SiteNames) -> None:
        """Nothing has come yet."""
        self.record = Record()
        self.moment_ms = BEFORE_MS
        self.changed = asyncio.Event()
        self._names = names
        self._alert_prefix = names.topics.alert("")
        self._newest: dict[str, Seen] = {}
        self._alarms: dict[str, str] = {}

    def begin(self) -> None:
        """A test begins with what is there."""
        self.record = Record(
            samples={path: [seen] for path, seen in self._newest.items()},
            alarms={name: [(BEFORE_MS, state)] for name, state in self._alarms.items()},
        )
        self.moment_ms = 0

    def newest(self, path: str) -> Seen | None:
        """The newest sample of a tag; None before the first."""
        return self._newest.get(path)

    def alarm(self, name: str) -> str:
        """The state of an alert; one that never was is cleared."""
        return self._alarms.get(name, "cleared")

    def take(self, topic: str, payload: bytes) -> None:
        """Note a message; one that is no sample and no alert is passed over."""
        if topic.startswith(self._alert_prefix):
            self._alert(topic.removeprefix(self._alert_prefix), payload)
        elif (path := self._names.topics.path(topic)) is not None and path in self._names.tags:
            seen = seen_of(payload, at_ms=self.moment_ms)
            if seen is not None:
                self._newest[path] = from_before(seen)
                self.record.samples.setdefault(path, []).append(seen)
        self.changed.set()

    def _alert(self, name: str, payload: bytes) -> None:
        try:
            alert = msgspec.json.decode(unsealed_value(payload), type=Alert)
        except msgspec.MsgspecError:
            return
        if self._alarms.get(name) != alert.state:
            self._alarms[name] = alert.state
            self.record.alarms.setdefault(name, []).append((self.moment_ms, alert.state))


def seen_of(payload: bytes, *, at_ms: float) -> Seen | None:
    """The sample in a live payload; None when it is none."""
    plain = unsealed_value(payload)
    try:
        found = parse_payload(plain, now_us=None)
        whole: Mapping[str, Any] = orjson.loads(plain)
    except (PayloadError, ValueError):
        return None
    return Seen(
        at_ms=at_ms,
        value=found.value,
        quality=found.state.name,
        reason=found.reason,
        unit=found.unit,
        label=found.label,
        payload=whole,
    )


def from_before(seen: Seen) -> Seen:
    """The same sample, as one that was there before a test."""
    return replace(seen, at_ms=BEFORE_MS)
