"""What is declared, as the search needs it: tags in path order, and devices as spans of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from nexus_cli.model.resources import PlaceConfig, SiteConfig, decode
from nexus_cli.model.snapshot import Attributes, Snapshot
from nexus_cli.search.uses import uses_of

Labels = Mapping[str, str]


class DeclaredTag(Protocol):
    """One tag; unit and type are those of the published value, the address is in the protocol's spelling."""

    @property
    def path(self) -> str:
        """`area/line/device/tag`."""
        ...

    @property
    def type(self) -> str:
        """Of the published value."""
        ...

    @property
    def unit(self) -> str:
        """Of the published value; ""."""
        ...

    @property
    def description(self) -> str:
        """For people; ""."""
        ...

    @property
    def address(self) -> str:
        """On the device; ""."""
        ...


class DeclaredDevice(Protocol):
    """One device, whose tags are those from `first` to before `last`."""

    @property
    def path(self) -> str:
        """`area/line/device`."""
        ...

    @property
    def protocol(self) -> str:
        """Its protocol."""
        ...

    @property
    def description(self) -> str:
        """For people; ""."""
        ...

    @property
    def first(self) -> int:
        """Place of its first tag."""
        ...

    @property
    def last(self) -> int:
        """Place behind its last tag."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """Everything that is searched.

    Attributes:
        tags: In path order.
        devices: In path order.
        labels: Of areas and lines, by path.
        places: What areas and lines say of the data below, by path.
        uses: Alerts and sequences by the path of a tag that they use (`uses_of`).
        attributes: The recorded attributes of a device, by its path; asked once for each while the index is made.
    """

    tags: Sequence[DeclaredTag]
    devices: Sequence[DeclaredDevice]
    labels: Mapping[str, Labels]
    attributes: Callable[[str], Attributes]
    places: Mapping[str, PlaceConfig] = field(default_factory=dict)
    uses: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def labels_above(self, path: str) -> dict[str, str]:
        """Labels of the area and the line of a place; the line's win."""
        levels = path.split("/")
        return {**self.labels.get(levels[0], {}), **self.labels.get("/".join(levels[:2]), {})}


class TagFacts(NamedTuple):
    """A declared tag: `DeclaredTag`."""

    path: str
    type: str
    unit: str
    description: str
    address: str


class DeviceFacts(NamedTuple):
    """A declared device: `DeclaredDevice`."""

    path: str
    protocol: str
    description: str
    first: int
    last: int


def labels_of(site: Attributes) -> Mapping[str, Labels]:
    """Labels of areas and lines, by path, from the resource `site`."""
    return decode({"enterprise": "", "site": "", **site}, SiteConfig).labels


def places_of(site: Attributes) -> Mapping[str, PlaceConfig]:
    """What areas and lines say of the data below, by path, from the resource `site`."""
    return decode({"enterprise": "", "site": "", **site}, SiteConfig).places


def facts_of(path: str, tag: Mapping[str, Any]) -> TagFacts:
    """A tag from its recorded attributes."""
    return TagFacts(
        path=path,
        type=str(tag.get("published_type") or tag.get("type", "")),
        unit=str(tag.get("publish_unit") or tag.get("unit") or ""),
        description=str(tag.get("description") or ""),
        address=str(tag.get("address") or ""),
    )


def by_path(snapshot: Snapshot) -> Iterator[tuple[str, Attributes]]:
    """Devices in the order of the whole paths of their tags: `c-1/x` comes before `c/x`."""
    yield from sorted(snapshot.of_kind("device"), key=lambda each: f"{each[0]}/")


def declared_in(snapshot: Snapshot) -> Declared:
    """Everything that a snapshot declares."""
    tags: list[TagFacts] = []
    devices: list[DeviceFacts] = []
    attributes: dict[str, Attributes] = {}
    for path, device in by_path(snapshot):
        first = len(tags)
        tags += (facts_of(f"{path}/{name}", tag) for name, tag in sorted(device.get("tags", {}).items()))
        devices.append(
            DeviceFacts(path, str(device.get("protocol", "")), str(device.get("description", "")), first, len(tags))
        )
        attributes[path] = device
    site = snapshot.resources.get("site", {})
    return Declared(
        tags=tags,
        devices=devices,
        labels=labels_of(site),
        places=places_of(site),
        uses=uses_of(snapshot.resources),
        attributes=attributes.__getitem__,
    )
