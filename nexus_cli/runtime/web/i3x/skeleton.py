"""What of a deployment all callers share: the leaf type of each tag, and which tags belong together. Takes up to a second
for 41,000 tags: not on the loop.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from nexus_cli.runtime.web.i3x.object_types import Leaf
from nexus_cli.runtime.web.site_view import DeviceView, SiteView, TagView

Edges = Mapping[str, Sequence[tuple[str, str]]]
"""`(relationship type, other path)` by path."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Skeleton:
    """Facts of one `SiteView`.

    Attributes:
        leaves: Leaf type by the index of its tag; equal ones are one object.
        edges: What is calculated from what, and what is read back where.
    """

    view: SiteView
    leaves: Sequence[Leaf]
    edges: Edges

    @classmethod
    def of(cls, view: SiteView) -> Skeleton:
        """Read every device once."""
        known: dict[Leaf, Leaf] = {}
        leaves: list[Leaf] = []
        edges: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for device in view.devices.values():
            recorded = orjson.loads(device.raw).get("tags", {})
            for tag in view.tags[device.first : device.last]:
                attributes = recorded.get(tag.name, {})
                values = attributes.get("values") or {}
                leaf = Leaf(
                    tag.type, tag.unit, tag.writable, tuple(sorted((str(k), str(v)) for k, v in values.items()))
                )
                leaves.append(known.setdefault(leaf, leaf))
                _relate(view, tag, attributes.get("inputs") or {}, attributes.get("read_back") or "", edges)
        return cls(view=view, leaves=leaves, edges=dict(edges))


def _relate(
    view: SiteView, tag: TagView, inputs: Mapping[str, str], read_back: str, edges: dict[str, list[tuple[str, str]]]
) -> None:
    for path in dict.fromkeys(inputs.values()):
        if path in view.by_path and path != tag.path:
            edges[tag.path].append(("CalculatedFrom", path))
            edges[path].append(("UsedToCalculate", tag.path))
    if read_back in view.by_path and read_back != tag.path:
        edges[tag.path].append(("ReadBackBy", read_back))
        edges[read_back].append(("ReadsBack", tag.path))


def members_of(skeleton: Skeleton, device: DeviceView) -> list[tuple[TagView, Leaf]]:
    """Tags of a device with their leaf types, by name."""
    span = slice(device.first, device.last)
    return list(zip(skeleton.view.tags[span], skeleton.leaves[span], strict=True))
