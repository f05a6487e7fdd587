"""What is recorded of the site, as the routes need it: every tag with its slot, and the other resources. Never changed; a
deployment makes a new one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np
import orjson

from nexus_cli.access.tree import Tree
from nexus_cli.model.access import CLASSES
from nexus_cli.model.config import DeviceConfig, device_from_json
from nexus_cli.model.external import EXTERNAL
from nexus_cli.model.snapshot import Attributes, Snapshot
from nexus_cli.runtime.web.live_cache import LiveCache, Slots
from nexus_cli.search.declared import by_path, facts_of
from nexus_cli.wire.gateway_health import mark_of
from nexus_cli.wire.topic import Topics

EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class TagView:
    """One declared tag; what is not here is in its device (`SiteView.device`).

    Attributes:
        index: Its place in `SiteView.tags`.
        slot: Its place in the cache.
        path: `area/line/device/tag`.
        type: Type of the published value.
        unit: Of the published value; "".
        description: For people; "".
        address: On the device, in the protocol's spelling; "" of calculated and external tags.
        classification: Class of its data.
        owner: Whose data it is; "".
        pii: Whether it is about persons.
        writable: Whether it takes commands; never of an external tag.
        enabled: False when it, or its device, is out of service by the site file.
    """

    index: int
    slot: int
    path: str
    type: str
    unit: str
    description: str
    address: str
    classification: str
    owner: str
    pii: bool
    writable: bool
    enabled: bool

    @property
    def device(self) -> str:
        """`area/line/device`."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The last level of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceView:
    """One declared device.

    Attributes:
        path: `area/line/device`.
        first, last: Its tags are `SiteView.tags[first:last]`.
        mark: Of the recorded document, as its gateway's health gives it of the one that runs (`mark_of`); "" when not known.
        packed: The recorded attributes as compressed JSON: a tenth of it, and few ask for them.
    """

    path: str
    protocol: str
    gateway: str
    link: str
    enabled: bool
    description: str
    first: int
    last: int
    mark: str
    packed: bytes

    @property
    def raw(self) -> bytes:
        """The recorded attributes as JSON, unpacked now (about 10 µs)."""
        return zlib.decompress(self.packed)


@dataclass(frozen=True)
class SiteView:
    """A site as one deployment recorded it.

    Attributes:
        topics: Of the site.
        number: Of the newest deployment that is recorded; 0 before the first.
        tags: In path order.
        devices: By path, in path order.
        resources: Every other resource by address: `site`, `role.…`, `alert.…`, `sequence.…`, …
        tree: What rights ask of devices and tags.
    """

    topics: Topics
    number: int
    tags: Sequence[TagView]
    devices: Mapping[str, DeviceView]
    resources: Mapping[str, Attributes]
    tree: Tree = field(repr=False)

    @classmethod
    def of(
        cls,
        topics: Topics,
        number: int,
        resources: Mapping[str, Attributes],
        cache: LiveCache,
        digests: Mapping[str, str] = EMPTY,
    ) -> SiteView:
        """From what is recorded: attributes and digests by address; takes about a second for 41,000 tags."""
        tags: list[TagView] = []
        devices: dict[str, DeviceView] = {}
        snapshot = Snapshot(topics.enterprise, topics.site, resources)
        shared = _Shared()
        tree = Tree.of(snapshot)
        for path, attributes in by_path(snapshot):
            first = len(tags)
            enabled = bool(attributes.get("enabled", True))
            for name, tag in sorted(attributes.get("tags", {}).items()):
                tags.append(_tag(len(tags), f"{path}/{name}", tag, attributes, topics, cache, tree, enabled, shared))
            devices[path] = DeviceView(
                path=path,
                protocol=shared[attributes.get("protocol", "")],
                gateway=shared[attributes.get("gateway", "")],
                link=shared[attributes.get("link", "")],
                enabled=enabled,
                description=str(attributes.get("description", "")),
                first=first,
                last=len(tags),
                mark=mark_of(digests.get(f"device.{path}", "")),
                packed=zlib.compress(orjson.dumps(attributes), 1),
            )
        others = {address: value for address, value in resources.items() if not address.startswith("device.")}
        return cls(topics, number, tuple(tags), devices, others, tree)

    @cached_property
    def by_path(self) -> Mapping[str, TagView]:
        """Tags by path."""
        return {tag.path: tag for tag in self.tags}

    @cached_property
    def paths(self) -> Sequence[str]:
        """Paths of the tags, sorted."""
        return [tag.path for tag in self.tags]

    @cached_property
    def slots(self) -> Slots:
        """The slot of each tag, in the order of `tags`."""
        return np.array([tag.slot for tag in self.tags], np.int64)

    def device(self, path: str) -> DeviceConfig | None:
        """Everything about a device, decoded now; None when there is no such device."""
        found = self.devices.get(path)
        return None if found is None else device_from_json(orjson.loads(found.raw))

    def of_kind(self, kind: str) -> Iterator[tuple[str, Attributes]]:
        """`(name, attributes)` of every resource of a kind other than `device`, by name."""
        prefix = kind + "."
        for address in sorted(self.resources):
            if address.startswith(prefix):
                yield address[len(prefix) :], self.resources[address]


class _Shared(dict[object, str]):
    """One text for equal ones: JSON makes another `float32` for each tag."""

    def __missing__(self, key: object) -> str:
        found = self[key] = str(key)
        return found


def _tag(
    index: int,
    path: str,
    tag: Attributes,
    device: Attributes,
    topics: Topics,
    cache: LiveCache,
    tree: Tree,
    enabled: bool,
    shared: _Shared,
) -> TagView:
    external = device.get("protocol") == EXTERNAL
    facts = facts_of(path, tag)
    return TagView(
        index=index,
        slot=cache.slot(topics.tag(path)),
        path=path,
        type=shared[facts.type],
        unit=shared[facts.unit],
        description=shared[facts.description],
        address=shared[facts.address],
        classification=CLASSES[tree.rank(path)],
        owner=shared[tag.get("owner") or device.get("owner") or ""],
        pii=bool(tag.get("pii")),
        writable=bool(tag.get("writable")) and not external,
        enabled=enabled and bool(tag.get("enabled", True)),
    )
