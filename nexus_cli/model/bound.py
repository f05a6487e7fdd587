"""A site bound to its protocols: what checks read and what the snapshot is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from nexus_cli.diagnostics.diagnostic import ModelPath
from nexus_cli.model.driver_kind import Address, DriverKind
from nexus_cli.model.external import EXTERNAL, ExternalTag
from nexus_cli.model.site import Calculated, Connection, Device, Site, Tag


class BoundTag(NamedTuple):
    """A tag with its address in normal form.

    Attributes:
        tag: What was written, by the protocol's model.
        address: None when it could not be read, and for external tags.
        where: Where in the model.
    """

    tag: Tag | ExternalTag
    address: Address | None
    where: ModelPath


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundDevice:
    """A device with its protocol's models.

    Attributes:
        path: `area/line/device`.
        where: Where in the model.
        device: The keys every protocol has; its `connection` and `tags` are empty: see the fields below.
        kind: None for external devices, and when the protocol is unknown.
        connection: None for external devices, and when it has errors.
        tags: By name, only those without errors.
        link: Id of its link, "" for external devices and when it is unknown.
        gateway: The gateway that reads it, "" for external devices and when none takes it.
    """

    path: str
    where: ModelPath
    device: Device
    kind: DriverKind | None
    connection: Connection | None
    tags: Mapping[str, BoundTag]
    link: str
    gateway: str = ""

    @property
    def external(self) -> bool:
        """True when others publish it."""
        return self.device.protocol == EXTERNAL

    @property
    def protocol(self) -> str:
        """Name of its protocol, as written."""
        return self.device.protocol

    @property
    def labels(self) -> Mapping[str, str]:
        """Its own labels."""
        return self.device.labels or {}

    def at(self, gateway: str) -> BoundDevice:
        """The same device, read by a gateway."""
        return replace(self, gateway=gateway)

    @property
    def area(self) -> str:
        """First level of the path."""
        return self.path.split("/", 1)[0]

    @property
    def line(self) -> str:
        """`area/line`."""
        return self.path.rsplit("/", 1)[0]

    def calculated(self) -> Iterator[tuple[str, Calculated, ModelPath]]:
        """Name, definition and place of every calculated tag."""
        for name, tag in self.device.calculated.items():
            yield name, tag, (*self.where, "calculated", name)


Place = tuple[str, str]
"""A gateway and the id of a link that it has: `serial:/dev/ttyUSB0` of two gateways are two lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A whole site, bound. Parts with errors are left out; `declared` still names them.

    Attributes:
        site: The site without its devices' contents.
        devices: By path, in declared order.
        declared: Every tag path of the text, those with errors included.
        faulty: By section (`retention`, `access.roles` …), the names of the entries that were left out for their errors.
    """

    site: Site
    devices: Mapping[str, BoundDevice]
    declared: frozenset[str] = field(default_factory=frozenset)
    faulty: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def names(self, section: str, sound: Iterable[str]) -> list[str]:
        """Names that a reference may mean: the sound entries of a section and those that were left out for their errors."""
        return [*sound, *self.faulty.get(section, ())]

    def links(self) -> dict[Place, list[BoundDevice]]:
        """Devices by gateway and link id, external ones left out."""
        links: dict[Place, list[BoundDevice]] = {}
        for device in self.devices.values():
            if device.link:
                links.setdefault((device.gateway, device.link), []).append(device)
        return links

    def tag(self, path: str) -> Tag | ExternalTag | Calculated | None:
        """The tag at `area/line/device/tag`, None when there is none (or it has errors)."""
        head, _, name = path.rpartition("/")
        device = self.devices.get(head)
        if device is None:
            return None
        if name in device.tags:
            return device.tags[name].tag
        return device.device.calculated.get(name)
