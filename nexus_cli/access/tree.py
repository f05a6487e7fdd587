"""The declared tree as rights see it: each device with its labels, and the class of each of its tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from nexus_cli.model.access import CLASSES, DEFAULT_CLASS
from nexus_cli.model.config import DeviceOutline
from nexus_cli.model.external import EXTERNAL
from nexus_cli.model.resources import SiteConfig, decode, every
from nexus_cli.model.snapshot import Snapshot

HIGHEST = len(CLASSES) - 1
_RANK: Mapping[str, int] = {name: rank for rank, name in enumerate(CLASSES)}
_DEFAULT = _RANK[DEFAULT_CLASS]


def rank_of(classification: str) -> int:
    """0 (public) to 3 (restricted); "" is internal, and a class that a later version knows counts as the highest."""
    return _RANK.get(classification, HIGHEST) if classification else _DEFAULT


def clearance_of(classification: str) -> int:
    """As `rank_of`, for a role's bound: a class that is not known clears nothing beyond the public."""
    return _RANK.get(classification, 0) if classification else _DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A device.

    Attributes:
        path: `area/line/device`.
        protocol, gateway: As declared; no gateway reads external devices.
        labels: Its own, and those of its line and area (the nearest wins).
        tags: Rank of the class of each tag, by name; calculated tags, too.
        globs: Of an external device: path globs of topics beside its tags.
        rank: Of the class of those topics.
    """

    path: str
    protocol: str
    gateway: str
    labels: Mapping[str, str]
    tags: Mapping[str, int]
    globs: tuple[str, ...] = ()
    rank: int = _DEFAULT

    @property
    def external(self) -> bool:
        """True when other systems publish its topics."""
        return self.protocol == EXTERNAL


@dataclass(frozen=True)
class Tree:
    """Every device of a site, by path in path order."""

    places: Mapping[str, Place]

    @classmethod
    def of(cls, snapshot: Snapshot) -> Tree:
        """The tree of what is declared, or recorded."""
        site = snapshot.resources.get("site", {})
        labels = decode({"enterprise": "", "site": "", **site}, SiteConfig).labels
        return cls({path: _place(path, device, labels) for path, device in every(snapshot, "device", DeviceOutline)})

    @cached_property
    def highest(self) -> int:
        """The highest rank of anything in it; -1 of an empty one."""
        ranks = [max(place.tags.values(), default=-1) for place in self.places.values()]
        return max([*ranks, *(place.rank for place in self.places.values() if place.globs)], default=-1)

    def rank(self, path: str) -> int:
        """Rank of the class of a tag (`area/line/device/tag`); of one that is not declared, that of its device's topics."""
        device, _, tag = path.rpartition("/")
        place = self.places.get(device)
        return _DEFAULT if place is None else place.tags.get(tag, place.rank)

    def external(self, path: str) -> bool:
        """True when others publish a tag."""
        place = self.places.get(path.rpartition("/")[0])
        return place is not None and place.external

    @cached_property
    def outside(self) -> tuple[str, ...]:
        """Path globs of all external devices."""
        return tuple(glob for place in self.places.values() if place.external for glob in place.globs)

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Path of every tag."""
        return tuple(f"{path}/{tag}" for path, place in self.places.items() for tag in place.tags)


def _place(path: str, device: DeviceOutline, labels: Mapping[str, Mapping[str, str]]) -> Place:
    area, line, _ = path.split("/", 2)
    above = {**labels.get(area, {}), **labels.get(f"{area}/{line}", {})}
    return Place(
        path=path,
        protocol=device.protocol,
        gateway=device.gateway,
        labels={**above, **device.labels},
        tags={name: rank_of(_class_of(tag)) for name, tag in device.tags.items()},
        globs=device.globs if device.protocol == EXTERNAL else (),
        rank=rank_of(device.classification),
    )


def _class_of(tag: object) -> str:
    found = tag.get("classification") if isinstance(tag, Mapping) else None
    return found if isinstance(found, str) else ""
