"""Renames that are not declared: a tag is removed and another added with the same address of the same device. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from nexus_cli.plan.change import Action, Attributes, Change, TagChange
from nexus_cli.plan.moved import Rename

_UNITS = ("unit_id", "ams_net_id", "port", "rack", "slot")
"""The keys of a connection that distinguish two devices on one link."""
Place = tuple[str, ...]


def likely_renames(changes: Sequence[Change], *, declared: Collection[str]) -> tuple[Rename, ...]:
    """The `moved:` entries that would keep the history of what looks renamed, in path order.

    An address that several of the vanished or of the new tags have says nothing, and is left out. A device whose
    tags all went to one new device under their names is one entry.

    Args:
        changes: The plan's, with the declared renames taken into account.
        declared: Paths of all devices after the change.
    """
    gone, come = _by_place(changes, Action.FORGET), _by_place(changes, Action.CREATE)
    pairs = {
        paths[0]: come[place][0] for place, paths in gone.items() if len(paths) == 1 and len(come.get(place, ())) == 1
    }
    vanished = {tag.path for _, tag in _tags(changes, Action.FORGET)}
    return tuple(sorted(_by_device(pairs, vanished=vanished, declared=declared).items()))


def _tags(changes: Iterable[Change], action: Action) -> Iterator[tuple[Change, TagChange]]:
    return (
        (change, tag) for change in changes if change.type == "device" for tag in change.tags if tag.action is action
    )


def _by_place(changes: Iterable[Change], action: Action) -> dict[Place, list[str]]:
    """Paths of vanished or new tags by what they are: an address of a device on a link, or an expression."""
    found: dict[Place, list[str]] = {}
    for change, tag in _tags(changes, action):
        old = action is Action.FORGET
        device: Attributes = (change.before if old else change.after) or {}
        attributes: Attributes = (tag.before if old else tag.after) or {}
        what = str(attributes.get("address") or attributes.get("expr") or "")
        if what and device.get("link"):
            keys = {**(device.get("connection") or {}), **(attributes.get("options") or {})}
            place = (str(device["link"]), *(str(keys.get(key, "")) for key in _UNITS), what)
            found.setdefault(place, []).append(tag.path)
    return found


def _by_device(pairs: Mapping[str, str], *, vanished: Collection[str], declared: Collection[str]) -> dict[str, str]:
    """Pairs of tags as one pair of devices, where a whole device went to one other under its tags' names."""
    of_device: dict[str, dict[str, str]] = {}
    for path in vanished:
        of_device.setdefault(path.rpartition("/")[0], {})[path] = pairs.get(path, "")
    result: dict[str, str] = {}
    for device, tags in of_device.items():
        target = next((new.rpartition("/")[0] for new in tags.values() if new), "")
        whole = all(new == target + old[len(device) :] for old, new in tags.items())
        if target and whole and device not in declared:
            result[device] = target
        else:
            result.update({old: new for old, new in tags.items() if new})
    return result
