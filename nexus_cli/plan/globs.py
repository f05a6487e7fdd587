"""Globs that name parts of a plant or resources: `packaging/line-1`, `packaging/*/filler`, `role.operator`. Pure."""

from __future__ import annotations

import fnmatch

from nexus_cli.model.resources import CONFIG_OF
from nexus_cli.plan.hazards import covers


def is_address(glob: str) -> bool:
    """Whether it names resources by kind and name, rather than a part of the plant by its path."""
    kind, dot, _ = glob.partition(".")
    return (bool(dot) or glob == "site") and kind in CONFIG_OF


def as_path(glob: str) -> str:
    """A glob of devices or tags by address (`device.packaging/line-1/*`) as one of paths; any other as it is."""
    for kind in ("device.", "tag."):
        if glob.startswith(kind):
            return glob.removeprefix(kind)
    return glob.rstrip("/") or glob


def reaches(glob: str, path: str) -> bool:
    """Whether a glob covers a path, or a part of the plant that it is in: a line covers its devices and their tags."""
    levels = path.split("/")
    return any(covers(glob, "/".join(levels[:count])) for count in range(1, len(levels) + 1))


def names_resource(glob: str, address: str) -> bool:
    """Whether a glob of addresses covers one: `role.op*`."""
    return fnmatch.fnmatchcase(address, glob)
