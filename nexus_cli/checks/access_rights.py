"""Every right that the roles of a site give or deny, with its place; and the tree that rights are about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nexus_cli.access.denials import is_path
from nexus_cli.access.tree import Place, Tree, rank_of
from nexus_cli.checks.view import View
from nexus_cli.diagnostics.diagnostic import ModelPath
from nexus_cli.model.access import Scope
from nexus_cli.model.bound import BoundDevice
from nexus_cli.model.external import ExternalDevice
from nexus_cli.model.kept import KeptDevice


@dataclass(frozen=True, slots=True)
class Right:
    """One entry of a role.

    Attributes:
        role: Name of the role.
        word: `read`, `write`, `publish` or `subscribe`.
        denied: True for an entry of its `deny`.
        entry: A path glob, or a scope.
        where: Its place.
    """

    role: str
    word: str
    denied: bool
    entry: str | Scope
    where: ModelPath

    @property
    def glob(self) -> str:
        """Its path glob."""
        return self.entry if isinstance(self.entry, str) else self.entry.path

    @property
    def glob_where(self) -> ModelPath:
        """Place of the path glob."""
        return (
            self.where
            if isinstance(self.entry, str) or not self.entry.model_fields_set & {"path"}
            else (*self.where, "path")
        )


def path_rights(view: View) -> Iterator[Right]:
    """Every right on paths: `read`, `write`, and entries of `publish` and `subscribe` with a `/`; allowed first."""
    for name, role in view.model.site.access.roles.items():
        for denied, holder in ((False, role), (True, role.deny)):
            if holder is None:
                continue
            base: ModelPath = ("access", "roles", name, *(("deny",) if denied else ()))
            for word, entries in (("read", holder.read), ("write", holder.write)):
                for position, entry in enumerate(entries):
                    yield Right(name, word, denied, entry, (*base, word, position))
            for word, globs in (("publish", holder.publish), ("subscribe", holder.subscribe)):
                for position, glob in enumerate(globs):
                    if is_path(glob):
                        yield Right(name, word, denied, glob, (*base, word, position))


def place_of(view: View, device: BoundDevice) -> Place:
    """A device as rights see it; classes are those of external devices alone, others count as internal."""
    area = view.model.site.areas.get(device.area)
    line = area.lines.get(device.line.split("/", 1)[1]) if area else None
    above = {**((area.labels if area else None) or {}), **((line.labels if line else None) or {})}
    if isinstance(device, KeptDevice):
        tags = dict.fromkeys([*device.facts.tags, *device.facts.calculated], rank_of(""))
    else:
        tags = {name: rank_of(bound.tag.classification or "") for name, bound in device.tags.items()}
        tags |= {name: rank_of(tag.classification or "") for name, tag, _ in device.calculated()}
    own = device.device if not isinstance(device, KeptDevice) else None
    topics = own.topics if isinstance(own, ExternalDevice) else []
    return Place(
        path=device.path,
        protocol=device.protocol,
        gateway=device.gateway,
        labels={**above, **device.labels},
        tags=tags,
        globs=tuple(f"{device.path}/{glob}" for glob in topics),
        rank=rank_of((own.classification if own else "") or ""),
    )


def external_tree(view: View) -> Tree:
    """The external devices: they are bound in each run."""
    found = (device for device in view.devices if isinstance(device.device, ExternalDevice))
    return Tree({device.path: place_of(view, device) for device in found})
