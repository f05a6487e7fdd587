"""Renames that are not declared: a tag is removed and another added with the same address of the same device. Pure.

See docs/decisions/0105.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.wording import counted
from nexus_cli.plan.change import Action, Attributes, Change, TagChange
from nexus_cli.plan.moved import Rename

_UNITS = ("unit_id", "ams_net_id", "port", "rack", "slot")
"""The keys of a connection that distinguish two devices on one link."""
_HOSTS = frozenset({"host", "url", "ams_net_id", "device"})
"""The keys of a connection that say where a device is: a device that moved in the network differs in these alone."""
MOST_AMBIGUOUS = 20
"""Ambiguous addresses are listed up to this number."""
Place = tuple[str, ...]


def likely_renames(changes: Sequence[Change], *, declared: Collection[str]) -> tuple[Rename, ...]:
    """The `moved:` entries that would keep the history of what looks renamed, in path order.

    An address that several of the vanished or of the new tags have says nothing, and is left out. A device whose
    tags all went to one new device under their names is one entry, and so is a line, or an area, whose devices did. A
    device at another host is the same one when everything else of it is, and no other is like it.

    Args:
        changes: The plan's, with the declared renames taken into account.
        declared: Paths of all devices after the change.
    """
    gone, come = _by_place(changes, Action.FORGET), _by_place(changes, Action.CREATE)
    pairs = {
        paths[0]: come[place][0] for place, paths in gone.items() if len(paths) == 1 and len(come.get(place, ())) == 1
    }
    vanished = {tag.path for _, tag in _tags(changes, Action.FORGET)}
    found = _by_device(pairs, vanished=vanished, declared=declared)
    matched = {*found, *found.values()}
    found |= {
        old: new
        for old, new in _at_other_hosts(changes).items()
        if not any(path == each or path.startswith(f"{each}/") for path in matched for each in (old, new))
    }
    gone_devices = {change.previous_name for change in changes if _whole(change, Action.FORGET)}
    for levels in (2, 1):
        found = _above(found, levels=levels, vanished=gone_devices, declared=declared)
    return tuple(sorted(found.items()))


def ambiguous_findings(changes: Sequence[Change]) -> list[Diagnostic]:
    """NX4113: addresses that vanished and new tags share, of which it can't be said which became which."""
    gone, come = _by_place(changes, Action.FORGET), _by_place(changes, Action.CREATE)
    shared = [place for place in gone if place in come and (len(gone[place]) > 1 or len(come[place]) > 1)]
    found: list[Diagnostic] = []
    for place in shared[:MOST_AMBIGUOUS]:
        old, new = gone[place], come[place]
        message = (
            f"{counted(len(old), 'tag')} with the address {place[-1]} vanish and {counted(len(new), 'tag')} come: "
            f"{old[0]} may have become {new[0]}"
        )
        hint = "say it by `moved:`, or consent to data-loss"
        found.append(finding("NX4113", message, where=(), hint=hint))
    return found


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


def _whole(change: Change, action: Action) -> bool:
    return change.type == "device" and change.action is action


def _at_other_hosts(changes: Sequence[Change]) -> dict[str, str]:
    """New path by old one of devices that differ in name and host alone; none of several that are alike."""
    gone = [(change.name, _fingerprint(change.before)) for change in changes if _whole(change, Action.FORGET)]
    come = [(change.name, _fingerprint(change.after)) for change in changes if _whole(change, Action.CREATE)]
    times = Counter(print_ for _, print_ in gone), Counter(print_ for _, print_ in come)
    targets = {print_: path for path, print_ in come}
    return {
        path: targets[print_]
        for path, print_ in gone
        if print_ and times[0][print_] == 1 and times[1].get(print_, 0) == 1
    }


def _fingerprint(device: Attributes | None) -> Place:
    """What a device is, without its name and where it is in the network; () without addresses to know it by."""
    attributes: Attributes = device or {}
    tags: Mapping[str, Attributes] = attributes.get("tags") or {}
    if not any(tag.get("address") for tag in tags.values()):
        return ()
    connection: Attributes = attributes.get("connection") or {}
    keys = (f"{key}={connection[key]}" for key in sorted(connection) if key not in _HOSTS)
    known = (
        f"{name}:{tag.get('address', '')}:{tag.get('expr', '')}:{tag.get('type', '')}"
        for name, tag in sorted(tags.items())
    )
    return (str(attributes.get("protocol", "")), *keys, *known)


def _above(
    found: Mapping[str, str], *, levels: int, vanished: Collection[str], declared: Collection[str]
) -> dict[str, str]:
    """Pairs joined to pairs of lines (two levels) or areas (one), where all that was below one went to one other.

    One device alone stays a pair of devices: that its line is renamed would be a guess.

    Args:
        found: Pairs so far.
        levels: Of what they are joined to.
        vanished: Devices that are gone.
        declared: Devices after the change.
    """
    below: dict[str, dict[str, str]] = {}
    for old, new in found.items():
        if old.count("/") >= levels:
            below.setdefault("/".join(old.split("/")[:levels]), {})[old] = new
    result = dict(found)
    for parent, pairs in below.items():
        target = "/".join(next(iter(pairs.values())).split("/")[:levels])
        same = target != parent and all(new == target + old[len(parent) :] for old, new in pairs.items())
        gone = {device for device in vanished if device.startswith(f"{parent}/")}
        covered = all(any(device == old or device.startswith(f"{old}/") for old in pairs) for device in gone)
        left = any(device.startswith(f"{parent}/") for device in declared)
        if same and covered and len(gone) > 1 and not left and all(old.count("/") < 3 for old in pairs):
            for old in pairs:
                del result[old]
            result[parent] = target
    return result
