"""The objects that one combination of rights sees: site, areas, lines, devices and tags. What may not be read is not there.

An elementId is a path; that of the site is `site:ENTERPRISE/SITE`. A device is composed of its tags, the levels above
organise. No object is kept: one is made from the view when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.i3x.object_types import (
    AREA_TYPE,
    LEAVES_URI,
    LEVELS_URI,
    LINE_TYPE,
    OWN_RELATIONS_URI,
    RELATIONS_URI,
    SITE_TYPE,
    Leaf,
    device_type,
    device_type_id,
    level_types,
)
from nexus_cli.runtime.web.i3x.skeleton import Skeleton, members_of
from nexus_cli.runtime.web.site_view import DeviceView, SiteView, TagView

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AddressSpace:
    """The objects and types of one combination of rights, by one deployment.

    Attributes:
        skeleton: What all callers share.
        rights: Whose space it is.
        root: elementId of the site.
        areas, lines: Children by elementId, ascending.
        devices: Tags that may be read, by the path of their device; those without one are not there.
        kinds: Type of each device, by its path.
        types: Every type that an object has, by its elementId.
    """

    skeleton: Skeleton
    rights: CallerRights
    root: str
    areas: Mapping[str, Sequence[str]]
    lines: Mapping[str, Sequence[str]]
    devices: Mapping[str, Sequence[TagView]]
    kinds: Mapping[str, str]
    types: Mapping[str, Record]
    namespaces: Sequence[Record]
    description: str = field(default="")

    @classmethod
    def of(cls, skeleton: Skeleton, rights: CallerRights) -> AddressSpace:
        """Build it: some 50 ms for 41,000 tags."""
        view = skeleton.view
        topics = view.topics
        site = f"{topics.enterprise}/{topics.site}"
        devices_uri = f"urn:nexus:devices:{topics.enterprise}:{topics.site}"
        areas: dict[str, dict[str, None]] = {}
        lines: dict[str, dict[str, None]] = {}
        devices: dict[str, list[TagView]] = {}
        kinds: dict[str, str] = {}
        types: dict[str, Record] = {each["elementId"]: each for each in level_types()}
        for path, device in view.devices.items():
            seen = [(tag, leaf) for tag, leaf in members_of(skeleton, device) if rights.may_read(tag)]
            if not seen:
                continue
            area, line, _ = path.split("/", 2)
            areas.setdefault(area, {})[f"{area}/{line}"] = None
            lines.setdefault(f"{area}/{line}", {})[path] = None
            devices[path] = [tag for tag, _ in seen]
            kinds[path] = _type_of(device, [(tag.name, leaf) for tag, leaf in seen], devices_uri, types)
            for _, leaf in seen:
                if leaf.id not in types:
                    types[leaf.id] = leaf.record()
        namespaces = [
            {"uri": LEVELS_URI, "displayName": "Levels of the site (ISA-95)"},
            {"uri": devices_uri, "displayName": f"Devices of {site}"},
            {"uri": LEAVES_URI, "displayName": "Tags by type and unit"},
            {"uri": RELATIONS_URI, "displayName": "i3X"},
            {"uri": OWN_RELATIONS_URI, "displayName": "Relationships of NEXUS"},
        ]
        return cls(
            skeleton=skeleton,
            rights=rights,
            root=f"site:{site}",
            areas={area: sorted(below) for area, below in areas.items()},
            lines={line: sorted(below) for line, below in lines.items()},
            devices=devices,
            kinds=kinds,
            types=types,
            namespaces=namespaces,
            description=str(view.resources.get("site", {}).get("description") or ""),
        )

    @property
    def view(self) -> SiteView:
        """The deployment."""
        return self.skeleton.view

    def tag(self, element: str) -> TagView | None:
        """A tag that may be read."""
        found = self.view.by_path.get(element)
        return found if found is not None and self.rights.may_read(found) else None

    def tags_of(self, element: str) -> Sequence[TagView]:
        """The tags that an object's value is made of: a device's, or a tag itself; none of what is above."""
        of_device = self.devices.get(element)
        if of_device is not None:
            return of_device
        tag = self.tag(element)
        return () if tag is None else (tag,)

    def has(self, element: str) -> bool:
        """Whether there is an object with this id."""
        return (
            element in self.devices
            or element in self.lines
            or element in self.areas
            or element == self.root
            or self.tag(element) is not None
        )

    def leaf(self, tag: TagView) -> Leaf:
        """The leaf type of a tag."""
        return self.skeleton.leaves[tag.index]

    def elements(self) -> Iterator[str]:
        """Every object: levels from the site down, tags (those that the caller may write first), devices."""
        yield self.root
        yield from self.areas
        yield from self.lines
        for first in (True, False):
            for tags in self.devices.values():
                for tag in tags:
                    if self.rights.may_write(tag) is first:
                        yield tag.path
        yield from self.devices

    def record(self, element: str, *, metadata: bool = False) -> Record:
        """One object. Raises KeyError when there is none."""
        if element in self.devices:
            name, kind, parent = element.rpartition("/")[2], self.kinds[element], element.rpartition("/")[0]
        elif element in self.lines:
            name, kind, parent = element.rpartition("/")[2], LINE_TYPE, element.rpartition("/")[0]
        elif element in self.areas:
            name, kind, parent = element, AREA_TYPE, self.root
        elif element == self.root:
            name, kind, parent = self.view.topics.site, SITE_TYPE, ""
        else:
            tag = self.tag(element)
            if tag is None:
                raise KeyError(element)
            name, kind, parent = tag.name, self.leaf(tag).id, tag.device
        found: Record = {
            "elementId": element,
            "displayName": name,
            "typeElementId": kind,
            "parentId": parent or None,
            "isComposition": element in self.devices,
            "isExtended": False,
        }
        if metadata:
            found["metadata"] = self._metadata(element, kind)
        return found

    def _metadata(self, element: str, kind: str) -> Record:
        relations: dict[str, list[str]] = {}
        for name, other in self.edges(element):
            relations.setdefault(name, []).append(other)
        type_ = self.types[kind]
        return {
            "description": self._description(element),
            "typeNamespaceUri": type_["namespaceUri"],
            "sourceTypeId": type_["sourceTypeId"],
            "relationships": relations,
            "system": self._system(element),
        }

    def _description(self, element: str) -> str:
        tag = self.tag(element)
        if tag is not None:
            return tag.description
        if element in self.devices:
            return self.view.devices[element].description
        return self.description if element == self.root else ""

    def _system(self, element: str) -> Record:
        tag = self.tag(element)
        if tag is not None:
            return {
                "unit": tag.unit,
                "address": tag.address,
                "classification": tag.classification,
                "owner": tag.owner,
                "pii": tag.pii,
                "writable": self.rights.may_write(tag),
                "enabled": tag.enabled,
            }
        device = self.view.devices.get(element)
        if device is None or element not in self.devices:
            return {}
        return {
            "protocol": device.protocol,
            "gateway": device.gateway,
            "link": device.link,
            "enabled": device.enabled,
        }

    def edges(self, element: str) -> list[tuple[str, str]]:
        """`(relationship type, other object)` of an object, hierarchy included; only objects of this space."""
        if element in self.devices:
            found = [("HasParent", element.rpartition("/")[0])]
            return found + [("HasComponent", tag.path) for tag in self.devices[element]]
        if element in self.lines:
            found = [("HasParent", element.rpartition("/")[0])]
            return found + [("HasChildren", path) for path in self.lines[element]]
        if element in self.areas:
            return [("HasParent", self.root), *(("HasChildren", path) for path in self.areas[element])]
        if element == self.root:
            return [("HasChildren", area) for area in self.areas]
        tag = self.tag(element)
        if tag is None:
            return []
        others = [(name, path) for name, path in self.skeleton.edges.get(element, ()) if self.tag(path) is not None]
        return [("ComponentOf", tag.device), *others]

    def listing(self, *, metadata: bool) -> bytes:
        """The whole answer of `GET /objects`."""
        return orjson.dumps(
            {"success": True, "result": [self.record(each, metadata=metadata) for each in self.elements()]}
        )


def _type_of(device: DeviceView, members: Sequence[tuple[str, Leaf]], uri: str, types: dict[str, Record]) -> str:
    """The id of a device's type; the type is added where it is new."""
    type_id = device_type_id(device.protocol, members)
    if type_id not in types:
        types[type_id] = device_type(type_id, protocol=device.protocol, like=device.path, uri=uri, members=members)
    return type_id
