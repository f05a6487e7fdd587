"""Where a tag comes from and where it goes, as OpenLineage job events: what catalogues such as Marquez, DataHub and OpenMetadata read. Pure.

Source: OpenLineage specification 2-0-2 (`JobEvent`), facets by `FACETS`.
See docs/decisions/0094.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nexus_cli import __version__
from nexus_cli.json_value import JsonObject
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.expression_text import names_in
from nexus_cli.model.procedure_config import SequenceConfig
from nexus_cli.model.resources import AlertConfig
from nexus_cli.wire.topic import Topics

SPEC = "https://openlineage.io/spec"
EVENT_SCHEMA = f"{SPEC}/2-0-2/OpenLineage.json#/$defs/JobEvent"
PRODUCER = f"urn:nexus:{__version__}"
FACETS = {
    "documentation": "1-1-0/DocumentationDatasetFacet",
    "ownership": "1-0-1/OwnershipDatasetFacet",
    "tags": "1-0-0/TagsDatasetFacet",
    "schema": "1-2-0/SchemaDatasetFacet",
    "job_documentation": "1-1-0/DocumentationJobFacet",
    "job_type": "2-0-4/JobTypeJobFacet",
}
MOST_EVENTS = 10_000
"""Of one tag; what is further away is left out."""
Event = JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """What is known of a site, as far as the caller may know it.

    Attributes:
        topics: Of the site.
        device: The device of a path `area/line/device`; None where there is none.
        may_read: Whether the caller may read a tag.
        users: Calculated tags that have a tag among their inputs.
        alerts: Name and condition of every alert that the caller may see.
        sequences: Name and steps of every sequence.
    """

    topics: Topics
    device: Callable[[str], DeviceConfig | None]
    may_read: Callable[[str], bool]
    users: Callable[[str], Iterable[str]]
    alerts: Iterable[tuple[str, AlertConfig]]
    sequences: Iterable[tuple[str, SequenceConfig]]


def lineage_events(plant: Plant, path: str, *, now_us: int) -> list[Event]:
    """The events of a tag: what makes it, down to registers and nodes, then who takes it. Tags that the caller may not read are left out.

    Args:
        plant: The site.
        path: `area/line/device/tag` of a tag that the caller may read.
        now_us: Time of the events, µs since 1970 UTC.
    """
    return _Events(plant, now_us).of(path)


class _Events:
    def __init__(self, plant: Plant, now_us: int) -> None:
        self._plant = plant
        self._time = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now_us)).isoformat()
        self._space = f"nexus://{plant.topics.enterprise}/{plant.topics.site}"

    def of(self, path: str) -> list[Event]:
        found: dict[str, Event] = {}
        waiting = [path]
        seen = {path}
        while waiting and len(found) < MOST_EVENTS:
            here = waiting.pop(0)
            known = self._tag(here)
            if known is None:
                continue
            device, tag = known
            name, event = self._made(here, device, tag)
            found[name] = event
            inputs = [one for one in dict.fromkeys(tag.inputs.values()) if one not in seen]
            seen.update(inputs)
            waiting += inputs
        for name, event in self._taken(path):
            found.setdefault(name, event)
        return list(found.values())

    def _tag(self, path: str) -> tuple[DeviceConfig, TagConfig] | None:
        above, _, name = path.rpartition("/")
        device = self._plant.device(above)
        if device is None or name not in device.tags or not self._plant.may_read(path):
            return None
        return device, device.tags[name]

    def _made(self, path: str, device: DeviceConfig, tag: TagConfig) -> tuple[str, Event]:
        """The event that makes a tag."""
        if tag.expr:
            inputs = [one for one in dict.fromkeys(tag.inputs.values()) if self._tag(one) is not None]
            whole = len(inputs) == len(set(tag.inputs.values()))
            text = tag.expr if whole else "not shown: it uses tags that you may not read"
            return self._event("calculate", path, [self._dataset(one) for one in inputs], [self._dataset(path)], text)
        if not device.gateway:
            outside = {"namespace": f"mqtt://{self._plant.topics.enterprise}", "name": self._plant.topics.tag(path)}
            return self._event("take", path, [outside], [self._dataset(path)], "published by others")
        register = {"namespace": f"{device.protocol}://{device.link}", "name": tag.address or path}
        return self._event("read", path, [register], [self._dataset(path)], f"read by gateway {device.gateway}")

    def _taken(self, path: str) -> Iterator[tuple[str, Event]]:
        """The events that take a tag."""
        known = self._tag(path)
        if known is None:
            return
        row = {"namespace": f"{self._space}/historian", "name": f"nexus.sample/{path}"}
        yield self._event("record", path, [self._dataset(path)], [row], f"kept in class {known[1].retention}")
        for user in self._plant.users(path):
            if (found := self._tag(user)) is not None:
                yield self._made(user, *found)
        for name, alert in self._plant.alerts:
            paths = alert.paths()
            if path in paths:
                inputs = [self._dataset(one) for one in paths if self._tag(one) is not None]
                topic = {"namespace": self._space, "name": f"alert/{name}"}
                yield self._event("alert", name, inputs, [topic], alert.description or "")
        for name, sequence in self._plant.sequences:
            read = [one for text in sequence.conditions() for one in names_in(text)]
            written = sequence.written()
            if path in read or path in written:
                yield self._event(
                    "sequence", name, self._known(read), self._known(sorted(written)), sequence.description
                )

    def _known(self, paths: Iterable[str]) -> list[Event]:
        return [self._dataset(one) for one in dict.fromkeys(paths) if self._tag(one) is not None]

    def _event(self, kind: str, name: str, inputs: list[Event], outputs: list[Event], text: str) -> tuple[str, Event]:
        job = f"{kind} {name}"
        facets = {"jobType": _facet("job_type", processingType="STREAMING", integration="NEXUS", jobType=kind.upper())}
        if text:
            facets["documentation"] = _facet("job_documentation", description=text)
        return job, {
            "eventTime": self._time,
            "producer": PRODUCER,
            "schemaURL": EVENT_SCHEMA,
            "job": {"namespace": self._space, "name": job, "facets": facets},
            "inputs": inputs,
            "outputs": outputs,
        }

    def _dataset(self, path: str) -> Event:
        known = self._tag(path)
        found: Event = {"namespace": self._space, "name": path}
        if known is not None:
            found["facets"] = _facets(known[0], known[1], path)
        return found


def _facets(device: DeviceConfig, tag: TagConfig, path: str) -> JsonObject:
    field = {"name": path.rpartition("/")[2], "type": tag.published_type or tag.type}
    unit = tag.publish_unit or tag.unit
    found: JsonObject = {"schema": _facet("schema", fields=[{**field, **({"description": unit} if unit else {})}])}
    if tag.description:
        found["documentation"] = _facet("documentation", description=tag.description)
    if owner := tag.owner or device.owner:
        found["ownership"] = _facet("ownership", owners=[{"name": owner, "type": "OWNER"}])
    said = {**device.labels, **tag.labels}
    said |= {"classification": tag.classification or "internal", **({"pii": "true"} if tag.pii else {})}
    found["tags"] = _facet("tags", tags=[{"key": key, "value": text, "source": "USER"} for key, text in said.items()])
    return found


def _facet(kind: str, **values: object) -> JsonObject:
    version, _, name = FACETS[kind].partition("/")
    return {"_producer": PRODUCER, "_schemaURL": f"{SPEC}/facets/{version}/{name}.json#/$defs/{name}", **values}
