"""Topics of external devices: which are declared, which series they feed, and how many series a glob may still add."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from nexus_cli.access.globs import matches_glob
from nexus_cli.database.copy import FullRow
from nexus_cli.database.minting import SeriesFacts
from nexus_cli.database.queries import ExternalDevice, load_external, load_signature_rules
from nexus_cli.database.series import DEVICE_LEVELS, create_by_globs, device_of
from nexus_cli.runtime.historian.counters import Counters
from nexus_cli.runtime.historian.dead_letters import DeadLetters
from nexus_cli.runtime.historian.external_rules import ExternalRules
from nexus_cli.runtime.historian.mapping import SeriesMap, Target
from nexus_cli.runtime.historian.pending import PendingSample
from nexus_cli.runtime.historian.plain_payloads import read_plain
from nexus_cli.runtime.historian.rows import BadValueError, Column, full_row
from nexus_cli.runtime.historian.signed_intake import SignedIntake
from nexus_cli.wire.message import Message
from nexus_cli.wire.reading import PayloadError, Reading, parse_payload
from nexus_cli.wire.sample import Quality, Value
from nexus_cli.wire.topic import Topics

MOST_REMEMBERED = 50_000
_GOOD = int(Quality.GOOD)
MOST_UNDECLARED = 100
"""Undeclared topics that are kept by name; further ones are only counted."""


class Wanted(NamedTuple):
    """A series that a message needs."""

    device: str
    facts: SeriesFacts


class Known(NamedTuple):
    """A declared topic with a series."""

    path: str
    target: Target


class ExternalTopics:
    """Turns external messages into samples; without custody, but bounded and counted.

    Attributes:
        signed: Opens signed messages, and refuses others where the site wants them signed.

    A device that is declared while the role runs is *fresh* until its retained messages were taken: the retained value
        of a topic is then stored, even if it has no time of its own.
    """

    def __init__(
        self, *, topics: Topics, site: str, series: SeriesMap, counters: Counters, wall_us: Callable[[], int]
    ) -> None:
        """Share the series map with the frames."""
        self._topics, self._site, self._series, self._counters = topics, site, series, counters
        self._devices: dict[str, ExternalDevice] = {}
        self._refused: set[str] = set()
        self._declared: dict[str, bool] = {}
        self._known: dict[str, Known] = {}
        self._loaded = False
        self._fresh: dict[str, ExternalDevice | None] = {}
        self._rules = ExternalRules(topics)
        self.signed = SignedIntake(
            topics=topics, wall_us=wall_us, place=self._refused_as, undeclared=self._count_undeclared
        )

    async def load(self, conn: Any) -> None:
        """Load the declared external devices, after the series map."""
        before = self._devices
        self._devices = {device.path: device for device in await load_external(conn, site=self._site)}
        if self._loaded:
            for path, device in self._devices.items():
                if device != before.get(path):
                    self._fresh.setdefault(path, before.get(path))
        self._loaded = True
        self.signed.values.configured(await load_signature_rules(conn, site=self._site))
        self._declared.clear()
        self._known.clear()
        self._refused.clear()
        self._rules.load(self._devices.values())

    @property
    def fresh_filters(self) -> list[str]:
        """Filters of the devices that were declared since their retained messages were last taken."""
        return sorted(f"{self._topics.tag(path)}/#" for path in self._fresh if path in self._devices)

    def is_fresh(self, topic: str) -> bool:
        """True for a topic that was not declared before."""
        path = self._topics.path(topic) or ""
        device = device_of(path)
        if device not in self._fresh:
            return False
        before = self._fresh[device]
        if before is None:
            return True
        known = self._series.target(path) is not None and self._by_glob(before, path)
        return not known and _tag_of(path) not in before.tags

    def retained_taken(self, filters: Iterable[str]) -> None:
        """Mark the retained messages of these filters as taken."""
        done = set(filters)
        self._fresh = {path: was for path, was in self._fresh.items() if f"{self._topics.tag(path)}/#" not in done}

    def is_declared(self, path: str) -> bool:
        """True for a tag of an external device, or a path that its globs cover."""
        known = self._declared.get(path)
        if known is None:
            device = self._devices.get(device_of(path))
            known = device is not None and (_tag_of(path) in device.tags or self._by_glob(device, path))
            if len(self._declared) >= MOST_REMEMBERED:
                self._declared.clear()
            self._declared[path] = known
        return known

    def _refused_as(self, path: str) -> str:
        """Under which path messages of a path are refused: its own, or its device's while it has no series."""
        if not path or not self.is_declared(path):
            return ""
        return path if self._series.target(path) is not None else device_of(path)

    @property
    def filters(self) -> list[str]:
        """The filters to subscribe: everything below each external device, so that undeclared topics are counted
        too."""
        return sorted(f"{self._topics.tag(path)}/#" for path in self._devices)

    @staticmethod
    def _by_glob(device: ExternalDevice, path: str) -> bool:
        return any(matches_glob(glob, path) for glob in device.globs)

    def path(self, message: Message) -> str:
        """`area/line/device/…` of a message's topic; "" when it is not of this site."""
        return self._topics.path(message.topic) or ""

    def wants_series(self, message: Message) -> Wanted | None:
        """The series that a message needs, if a glob covers its topic, it has a value, and the glob may have room."""
        path = self.path(message)
        if not path or path in self._refused or self._series.target(path) is not None:
            return None
        device = self._devices.get(device_of(path))
        if device is None or not self._by_glob(device, path):
            return None
        try:
            sample = parse_payload(message.payload, now_us=1 << 62)
        except PayloadError:
            return None
        if sample.value is None:  # its type is unknown
            return None
        lineage = f'{{"device": "{device.path}", "gateway": "", "protocol": "external"}}'
        facts = SeriesFacts(
            path=path,
            type=_type_of(sample.value),
            unit="",
            retention="default",
            external=True,
            labels="{}",
            lineage=lineage,
        )
        return Wanted(device.path, facts)

    async def create(self, conn: Any, device_path: str, facts: Sequence[SeriesFacts]) -> None:
        """Create the series for topics that the globs of a device cover, up to its limit."""
        device = self._devices.get(device_path)
        if device is None:
            return  # no longer declared
        made = await create_by_globs(
            conn,
            site=self._site,
            device=device.path,
            facts=facts,
            matches=lambda path: self._by_glob(device, path),
            most=device.max_series,
        )
        self._series.add(made)
        if len(self._refused) >= MOST_REMEMBERED:
            self._refused.clear()
        self._refused |= {each.path for each in facts} - {each.path for each in made}

    def known(self, topic: str) -> Known | None:
        """A topic that was looked up since the last load; None for any other."""
        return self._known.get(topic)

    def take(self, message: Message, *, now_us: int, letters: DeadLetters) -> PendingSample | None:
        """A message as a sample; None when it became a dead letter or was only counted."""
        if message.retain and not message.payload:
            return None  # a retained message was cleared
        path = self.path(message)
        target = self._series.target(path) if path and self.is_declared(path) else None
        if target is None:
            self._count_undeclared(message.topic)
            return None
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[message.topic] = Known(path, target)
        return self.take_known(message, target, now_us=now_us, letters=letters)

    def take_known(
        self, message: Message, target: Target, *, now_us: int, letters: DeadLetters
    ) -> PendingSample | None:
        """A message of a topic with this series as a sample; None as by `take`."""
        if message.topic in self._rules.topics:
            return self._take_ruled(message, target, now_us=now_us, letters=letters)
        return self._take_plain(message, target, now_us=now_us, letters=letters)

    def _take_ruled(
        self, message: Message, target: Target, *, now_us: int, letters: DeadLetters
    ) -> PendingSample | None:
        """A message of a tag with rules of quality."""
        found = self._take_plain(message, target, now_us=now_us, letters=letters)
        if found is None:
            return None
        row, verdict = self._rules.judge(message.topic, found.row)
        if row is None and verdict is not None:
            detail, reason = verdict.detail, f"quality_{verdict.rule}"
            letters.add(message.topic, reason, detail=detail, payload=message.payload)
            return None
        return found if row is None else found._replace(row=row)

    def _take_plain(
        self, message: Message, target: Target, *, now_us: int, letters: DeadLetters
    ) -> PendingSample | None:
        """A message as a sample, whatever rules say."""
        if target.column is Column.NUMBER and (plain := read_plain(message.payload, now_us=now_us)) is not None:
            row = FullRow(plain[1], target.series_id, plain[0], None, None, None, _GOOD, None, None)
            return PendingSample(message.topic, target.retention, row, message.payload)
        if message.retain and not message.payload:
            return None
        try:
            sample = parse_payload(message.payload, now_us=now_us)
            if sample.time_us is None and message.retain:
                return None  # a retained value of unknown age: it was stored when it was published
            return self._pending(message, target, sample, now_us)
        except PayloadError as error:
            letters.add(message.topic, error.reason, detail=str(error), payload=message.payload)
        except BadValueError as error:
            letters.add(message.topic, "type_mismatch", detail=str(error), payload=message.payload)
        return None

    @staticmethod
    def _pending(message: Message, target: Target, sample: Reading, now_us: int) -> PendingSample:
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


def _tag_of(path: str) -> str:
    """The part of a path after the device; with a glob it may have several levels."""
    return path.split("/", DEVICE_LEVELS)[-1]


def _type_of(value: Value) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "float64"
    return "string" if isinstance(value, str) else "json"
