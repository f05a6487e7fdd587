"""Rights on old topics, while values are published there as well (`keep_old_for`): those of the new topics. Pure.

Who may subscribe to a value under its new path may do so under the old one. A role with the old path still receives it there
while it lasts, unless the class of the data forbids it: the old path counts as a read-only tag of the same class.

See docs/decisions/0105.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nexus_cli.access.grants import RESERVED, Grant
from nexus_cli.model.alias_config import AliasConfig, covered, under
from nexus_cli.model.resources import every
from nexus_cli.model.snapshot import Attributes, Snapshot
from nexus_cli.wire.topic import Topics

DEVICE = "device."


def with_old_paths(snapshot: Snapshot) -> Snapshot:
    """The state with what is published under old paths as if it were declared there: of the same gateway and class, read-only."""
    aliases = list(every(snapshot, "alias", AliasConfig))
    if not aliases:
        return snapshot
    resources: dict[str, Attributes] = dict(snapshot.resources)
    for path, device in snapshot.of_kind("device"):
        for old, config in aliases:
            tags = _tags_under(config.to, path, device)
            if not tags:
                continue
            for name, tag in tags.items():
                there, _, leaf = under(f"{path}/{name}", new=config.to, old=old).rpartition("/")
                known = resources.get(DEVICE + there) or {**device, "path": there, "tags": {}}
                resources[DEVICE + there] = {**known, "tags": {**(known.get("tags") or {}), leaf: tag}}
    return Snapshot(snapshot.enterprise, snapshot.site, resources, snapshot.digests)


def _tags_under(target: str, path: str, device: Attributes) -> dict[str, Any]:
    """The tags of a device at or below a path, none of them writable."""
    tags: Mapping[str, Attributes] = device.get("tags") or {}
    return {name: {**tag, "writable": False} for name, tag in tags.items() if covered(target, f"{path}/{name}")}


def alias_grants(grants: Iterable[Grant], snapshot: Snapshot, topics: Topics) -> Iterator[Grant]:
    """The grants on old topics that follow from those on the new ones.

    Args:
        grants: Of the state without its aliases.
        snapshot: The state.
        topics: Of its site.
    """
    aliases = list(every(snapshot, "alias", AliasConfig))
    if not aliases:
        return
    head = f"{topics.live}/"
    for grant in grants:
        if grant.action != "subscribe" or not grant.filter.startswith(head) or grant.principal.startswith(RESERVED):
            continue  # NEXUS's own roles have the whole live view
        rest = grant.filter[len(head) :].split("/")
        for old, config in aliases:
            found = _instead(rest, new=config.to.split("/"), old=old.split("/"))
            if found is not None:
                why = f"{grant.why}; {old} is {config.to} now"
                yield Grant(grant.principal, grant.action, head + "/".join(found), why, grant.qos, grant.retain)


def _instead(filter_: list[str], *, new: list[str], old: list[str]) -> list[str] | None:
    """The same filter below the old path; None when it does not reach below the new one."""
    for at, level in enumerate(new):
        if at >= len(filter_):
            return None
        if filter_[at] == "#":
            return [*old, "#"]
        if filter_[at] not in ("+", level):
            return None
    return [*old, *filter_[len(new) :]]
