"""Differences of two snapshots: by digest first, then by attribute, then by tag. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.change import Action, Attributes, Change, TagChange, differing_keys
from nexus_cli.plan.moved import Rename, tag_moves

_TAGS = frozenset({"tags"})
_PLACE = frozenset({"tags", "path"})
DEVICE = "device."


def differing(base: Mapping[str, str], desired: Mapping[str, str]) -> list[str]:
    """Addresses whose digests differ, sorted; all that has to be fetched to compare two states."""
    return sorted(address for address in {*base, *desired} if base.get(address) != desired.get(address))


def diff(base: Snapshot, desired: Snapshot, *, moved: Sequence[Rename] = ()) -> tuple[Change, ...]:
    """Every change that turns `base` into `desired`, in address order.

    Args:
        base: Recorded state. Its digests are complete; its resources need only hold what differs.
        desired: Declared state, complete.
        moved: Renames that keep history.
    """
    addresses = differing(base.digests, desired.digests)
    before = {address: base.resources[address] for address in addresses if address in base.digests}
    after = {address: desired.resources[address] for address in addresses if address in desired.digests}
    moves = tag_moves(moved, base=tag_paths(before), desired=tag_paths(after))
    homes = _device_moves(moves, before, after)
    gone = set(homes.values())
    return tuple(
        _change(address, before, after, moves=moves, origin=homes.get(address))
        for address in addresses
        if not (address in gone and address not in after)
    )


def _change(
    address: str,
    before: Mapping[str, Attributes],
    after: Mapping[str, Attributes],
    *,
    moves: Mapping[str, str],
    origin: str | None,
) -> Change:
    new = after.get(address)
    old = before.get(origin or address)
    device = address.startswith(DEVICE)
    if origin is not None:
        action = Action.MOVE
    elif old is None:
        action = Action.CREATE
    else:
        action = Action.UPDATE if new is not None else Action.FORGET
    both = old is not None and new is not None
    return Change(
        action=action,
        address=address,
        before=old,
        after=new,
        previous_address=origin,
        keys=differing_keys(old or {}, new or {}, without=_without(device, origin)) if both else (),
        tags=_tag_changes(address, old, new, before=before, moves=moves, origin=origin) if device else (),
    )


def _without(device: bool, origin: str | None) -> frozenset[str]:
    if not device:
        return frozenset()
    return _TAGS if origin is None else _PLACE


def _tag_changes(
    address: str,
    old: Attributes | None,
    new: Attributes | None,
    *,
    before: Mapping[str, Attributes],
    moves: Mapping[str, str],
    origin: str | None,
) -> tuple[TagChange, ...]:
    here, there = address.removeprefix(DEVICE), (origin or address).removeprefix(DEVICE)
    sources = {target: source for source, target in moves.items()}
    old_tags, new_tags = _tags(old), _tags(new)
    changes: list[TagChange] = []
    for name, tag in new_tags.items():
        path = f"{here}/{name}"
        source = sources.get(path)
        if source is not None:
            previous = _tag_at(before, source)
            changes.append(_moved(path, source, previous, tag))
        elif origin is None and name in old_tags:
            if old_tags[name] != tag:
                changes.append(_updated(path, old_tags[name], tag))
        else:
            changes.append(TagChange(action=Action.CREATE, path=path, after=tag))
    for name, tag in old_tags.items():
        path = f"{there}/{name}"
        kept = origin is None and name in new_tags
        if path not in moves and not kept:
            changes.append(TagChange(action=Action.FORGET, path=path, before=tag))
    return tuple(sorted(changes, key=lambda change: change.path))


def _updated(path: str, before: Attributes, after: Attributes) -> TagChange:
    return TagChange(action=Action.UPDATE, path=path, before=before, after=after, keys=differing_keys(before, after))


def _moved(path: str, source: str, before: Attributes, after: Attributes) -> TagChange:
    return TagChange(
        action=Action.MOVE,
        path=path,
        before=before,
        after=after,
        previous_path=source,
        keys=differing_keys(before, after),
    )


def _device_moves(
    moves: Mapping[str, str], before: Mapping[str, Attributes], after: Mapping[str, Attributes]
) -> dict[str, str]:
    """Old device address by new one, for devices that vanished and whose moved tags all went to one new device."""
    targets: dict[str, set[str]] = {}
    for old, new in moves.items():
        targets.setdefault(DEVICE + old.rpartition("/")[0], set()).add(DEVICE + new.rpartition("/")[0])
    found: dict[str, str] = {}
    for source, goals in sorted(targets.items()):
        goal = next(iter(goals))
        if len(goals) == 1 and source not in after and goal not in before and goal not in found:
            found[goal] = source
    return found


def tag_paths(resources: Mapping[str, Attributes | None]) -> set[str]:
    """Paths of the tags of the devices among these resources, by address."""
    return {
        f"{address.removeprefix(DEVICE)}/{name}"
        for address, attributes in resources.items()
        if address.startswith(DEVICE)
        for name in _tags(attributes)
    }


def _tag_at(resources: Mapping[str, Attributes], path: str) -> Attributes:
    device, _, name = path.rpartition("/")
    tag: Attributes = _tags(resources[DEVICE + device])[name]
    return tag


def _tags(device: Attributes | None) -> Mapping[str, Any]:
    tags: Mapping[str, Any] = (device or {}).get("tags") or {}
    return tags
