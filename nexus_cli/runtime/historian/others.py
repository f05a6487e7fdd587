"""Others' topics: which are declared, which series they feed, and how many a glob may still make."""

from __future__ import annotations

from typing import Any

from nexus_cli.access.globs import matches_glob
from nexus_cli.database.queries import ExternalDevice, load_external
from nexus_cli.database.series import SeriesFacts, create_series
from nexus_cli.runtime.historian.batch import PendingSample
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.dead_letters import Letters
from nexus_cli.runtime.historian.mapping import SeriesMap, Target
from nexus_cli.runtime.historian.payloads import OthersSample, PayloadError, parse_payload
from nexus_cli.runtime.historian.rows import BadValueError, full_row
from nexus_cli.wire.client import Message
from nexus_cli.wire.sample import Value
from nexus_cli.wire.topic import Topics

MOST_UNDECLARED = 100
"""Undeclared topics that are remembered by name; further ones are only counted."""


class Others:
    """Turns messages of others into samples; without custody, but bounded and counted."""

    def __init__(self, *, topics: Topics, site: str, series: SeriesMap, counters: Counters) -> None:
        """Share the series map with the frames."""
        self._topics, self._site, self._series, self._counters = topics, site, series, counters
        self._devices: list[ExternalDevice] = []
        self._made: dict[str, int] = {}

    async def load(self, conn: Any) -> None:
        """Read which external devices are declared, after the series map was loaded."""
        self._devices = await load_external(conn, site=self._site)
        self._made = {
            device.path: sum(1 for path in self._series.external_paths if self._by_glob(device, path))
            for device in self._devices
            if device.globs
        }

    @property
    def filters(self) -> list[str]:
        """What to subscribe: everything below each external device, so that undeclared topics are seen too."""
        return sorted(f"{self._topics.tag(device.path)}/#" for device in self._devices)

    @staticmethod
    def _by_glob(device: ExternalDevice, path: str) -> bool:
        return any(matches_glob(glob, path) for glob in device.globs)

    def wants_series(self, message: Message) -> SeriesFacts | None:
        """The series that a message would need, when a glob covers its topic, it has a value, and room is left."""
        path = self._topics.path(message.topic)
        if path is None or self._series.target(path) is not None:
            return None
        device = next((each for each in self._devices if self._by_glob(each, path)), None)
        if device is None or self._made.get(device.path, 0) >= device.max_series:
            return None
        try:
            sample = parse_payload(message.payload, now_us=1 << 62)
        except PayloadError:
            return None
        if sample.value is None:  # its type is not known yet
            return None
        lineage = f'{{"device": "{device.path}", "gateway": "", "protocol": "external"}}'
        return SeriesFacts(
            path=path,
            type=_type_of(sample.value),
            unit="",
            retention="default",
            external=True,
            labels="{}",
            lineage=lineage,
        )

    async def create(self, conn: Any, facts: SeriesFacts) -> None:
        """Mint the series of a topic that a glob covers."""
        await create_series(conn, site=self._site, facts=[facts])

    def take(self, message: Message, *, now_us: int, letters: Letters) -> PendingSample | None:
        """A message as a sample, or None when it went to the letters or was only counted."""
        if message.retain and not message.payload:
            return None  # somebody cleared a retained message
        path = self._topics.path(message.topic)
        target = None if path is None else self._series.target(path)
        if target is None:
            self._count_undeclared(message.topic)
            return None
        try:
            sample = parse_payload(message.payload, now_us=now_us)
            if sample.time_us is None and message.retain:
                return None  # an old value of unknown age: it was stored when it was published
            return self._pending(message, target, sample, now_us)
        except PayloadError as error:
            letters.add(message.topic, error.reason, detail=str(error), payload=message.payload)
        except BadValueError as error:
            letters.add(message.topic, "type_mismatch", detail=str(error), payload=message.payload)
        return None

    @staticmethod
    def _pending(message: Message, target: Target, sample: OthersSample, now_us: int) -> PendingSample:
        row = full_row(
            target.column,
            sample.value,
            series_id=target.series_id,
            time_us=now_us if sample.time_us is None else sample.time_us,
            quality=sample.quality,
        )
        return PendingSample(message.topic, target.retention, row, message.payload)

    def _count_undeclared(self, topic: str) -> None:
        self._counters.undeclared += 1
        seen = self._counters.undeclared_seen
        if topic in seen or len(seen) < MOST_UNDECLARED:
            seen[topic] = seen.get(topic, 0) + 1


def _type_of(value: Value) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "float64"
    return "string" if isinstance(value, str) else "json"
