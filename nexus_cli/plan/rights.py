"""What a plan means for rights: who may do what that they could not before, and the reverse. Pure.

Only what both sides have is compared as it is. A tag, an alert, a message or a sequence that one side has is asked about
on the other side as if it were there, so that what is new below an old right is no gain; one that moved is compared with
where it was. See docs/decisions/0075.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from nexus_cli.access.gains import ORDER, Gain, gains
from nexus_cli.model.external import EXTERNAL
from nexus_cli.model.snapshot import Attributes, Snapshot
from nexus_cli.plan.change import Action, Change
from nexus_cli.plan.periods import times
from nexus_cli.plan.representatives import LOGIN, OIDC, Sample, mapped, profiles_of, sample_of

PEOPLE = ("role", "user", "group", "login")
NAMED = ("alert", "message", "sequence")
_DEVICE_KEYS = frozenset({"gateway", "protocol", "labels", "classification"})
_TAG_KEYS = frozenset({"classification", "writable"})
_CLOSED = ("write", "read", "apply")
"""Rights on tags."""
Wanted = Callable[[str, str], bool]
Found = dict[tuple[str, str, str], tuple[set[str], set[str]]]
"""Gained and lost by principal, action and kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """The effect of a plan on rights.

    Attributes:
        gains: Every difference, by principal.
        widened: Those of them that need consent (`acl-widen`), without what `write-enable` asks for.
        recorded: Users, and groups of the login provider, before.
    """

    gains: tuple[Gain, ...] = ()
    widened: tuple[Gain, ...] = ()
    recorded: frozenset[str] = frozenset()

    @property
    def touched(self) -> frozenset[str]:
        """Principals that gain or lose something."""
        return frozenset(gain.principal for gain in self.gains)


NO_CHANGE = Rights()


def whole_base(digests: Mapping[str, str], resources: Mapping[str, Attributes], desired: Snapshot) -> Snapshot:
    """The recorded side, complete: what does not differ is as it is declared.

    Args:
        digests: Of what is recorded, complete.
        resources: Attributes of what differs, at least.
        desired: What is declared, complete.
    """
    whole = {address: resources[address] if address in resources else desired.resources[address] for address in digests}
    return Snapshot(desired.enterprise, desired.site, whole, digests)


def may_change_rights(changes: Iterable[Change], addresses: Collection[str]) -> bool:
    """True when `rights_of` has to look at the whole site.

    Args:
        changes: The plan's.
        addresses: Of everything recorded and declared.
    """
    if not any(address.startswith("user.") or address == LOGIN for address in addresses):
        return False
    return any(_matters(change) for change in changes)


def rights_of(changes: Sequence[Change], *, before: Snapshot, after: Snapshot) -> Rights:
    """What changes do to everybody's rights; periods and hours apart, these are the rights at any time.

    Args:
        changes: The plan's.
        before, after: Both sides, complete.
    """
    if not before.resources or not may_change_rights(changes, {*before.resources, *after.resources}):
        return NO_CHANGE
    sample = sample_of(before, after, _affected(changes, before, after))
    found = _differences(changes, sample)
    listed = list(_named(found, sample.principals))
    moments = times(before, after, widened={gain.principal for gain in listed if gain.gained})
    every = tuple(sorted((*listed, *moments), key=_order))
    asked = _without_enabled(found, changes, sample)
    widened = (*_named(asked, sample.principals), *moments)
    return Rights(
        gains=every,
        widened=tuple(sorted((gain for gain in widened if gain.gained), key=_order)),
        recorded=frozenset(profiles_of(before)),
    )


def holdings(*snapshots: Snapshot) -> tuple[frozenset[str], frozenset[str]]:
    """Roles and groups with at least one member in any of the snapshots; roles through a group or the login provider, too."""
    held: set[str] = set()
    member_of: set[str] = set()
    for snapshot in snapshots:
        groups = {name: group.get("roles") or () for name, group in snapshot.of_kind("group")}
        for roles, inside in profiles_of(snapshot).values():
            member_of.update(inside)
            held.update(roles, *(groups.get(name, ()) for name in inside))
    return frozenset(held), frozenset(member_of)


def _order(gain: Gain) -> tuple[str, int, str]:
    return gain.principal, ORDER.index(gain.action) if gain.action in ORDER else len(ORDER), gain.kind


def _matters(change: Change) -> bool:
    if change.type in PEOPLE:
        return True
    if change.type == "site":
        return bool({"labels", "time_zone"} & set(change.keys))
    if change.type in ("message", "alert"):
        return change.action is not Action.UPDATE or bool({"topic", "tag"} & set(change.keys))
    return change.type == "device" and _device_matters(change)


def _device_matters(change: Change) -> bool:
    sides = [side for side in (change.before, change.after) if side is not None]
    if any(side.get("protocol") == EXTERNAL for side in sides):
        return True  # a tag of a higher class cuts into the topics that a glob means
    if change.action is not Action.UPDATE:
        return change.action is Action.MOVE
    tags = (
        tag.action is Action.MOVE or (tag.action is Action.UPDATE and bool(_TAG_KEYS & set(tag.keys)))
        for tag in change.tags
    )
    return bool(_DEVICE_KEYS & set(change.keys)) or any(tags)


def _affected(changes: Sequence[Change], before: Snapshot, after: Snapshot) -> set[str] | None:
    """Whose rights can differ; None when anybody's can."""
    if any(_matters(change) and change.type not in PEOPLE for change in changes):
        return None
    touched = {change.address for change in changes}
    found: set[str] = (
        {f"{OIDC}{group}" for side in (before, after) for group in mapped(side)} if LOGIN in touched else set()
    )
    for side in (before, after):
        groups = {name: group.get("roles") or () for name, group in side.of_kind("group")}
        for name, (roles, member_of) in profiles_of(side).items():
            through = {*roles, *(role for group in member_of for role in groups.get(group, ()))}
            parts = {f"user.{name}", *(f"group.{group}" for group in member_of), *(f"role.{role}" for role in through)}
            if parts & touched:
                found.add(name)
    return found


def _differences(changes: Sequence[Change], sample: Sample) -> Found:
    """By representative."""
    moved = {tag.previous_path: tag.path for change in changes for tag in change.tags if tag.previous_path is not None}
    alone = set(_one_sided(changes))
    found: Found = {}
    _collect(found, gains(sample.before, sample.after), sample, lambda kind, name: f"{kind}.{name}" not in alone)
    people = any(change.type in (*PEOPLE, "site") for change in changes)
    shown = alone - {f"tag.{path}" for pair in moved.items() for path in pair}
    if shown and people:
        both = _joined(changes, sample)
        _collect(found, gains(*both), sample, lambda kind, name: f"{kind}.{name}" in shown)
    if moved:
        _moves(found, moved, sample)
    return found


def _collect(found: Found, listed: Iterable[Gain], sample: Sample, wanted: Wanted) -> None:
    for gain in listed:
        if gain.principal in sample.principals:
            sets = found.setdefault((gain.principal, gain.action, gain.kind), (set(), set()))
            for names, into in zip((gain.gained, gain.lost), sets, strict=True):
                into.update(name for name in names if wanted(gain.kind, name))


def _one_sided(changes: Iterable[Change]) -> Iterator[str]:
    """`tag.PATH`, `alert.NAME`, … that only one side has under this name."""
    for change in changes:
        if change.type in NAMED and change.action is not Action.UPDATE:
            yield change.address
        for tag in change.tags:
            if tag.action is not Action.UPDATE:
                yield f"tag.{tag.path}"
            if tag.previous_path is not None:
                yield f"tag.{tag.previous_path}"


def _joined(changes: Iterable[Change], sample: Sample) -> tuple[Snapshot, Snapshot]:
    """Both sides, each with what only the other one has."""
    sides = dict(sample.before.resources), dict(sample.after.resources)
    for change in changes:
        if change.type not in (*NAMED, "device"):
            continue
        old, new = change.before, change.after
        if old is None or change.previous_address is not None:
            sides[0][change.address] = dict(new or {})
        if new is None or change.previous_address is not None:
            sides[1][change.previous_address or change.address] = dict(old or {})
        if change.type == "device" and change.action is Action.UPDATE and old is not None and new is not None:
            sides[0][change.address] = {**old, "tags": {**(new.get("tags") or {}), **(old.get("tags") or {})}}
            sides[1][change.address] = {**new, "tags": {**(old.get("tags") or {}), **(new.get("tags") or {})}}
    site = sample.before.enterprise, sample.before.site
    return Snapshot(*site, sides[0], {}), Snapshot(*site, sides[1], {})


def _moves(found: Found, moved: Mapping[str, str], sample: Sample) -> None:
    """What may be done with a tag where it was, beside what may be done with it where it is."""
    may = []
    for side, paths in ((sample.before, moved.keys()), (sample.after, moved.values())):
        there = _only(side, paths)
        allowed: Found = {}
        _collect(allowed, gains(sample.nobody(there), there), sample, lambda kind, _: kind == "tag")
        may.append(allowed)
    for principal in sample.principals:
        for action in _CLOSED:
            key = principal, action, "tag"
            had, has = (side.get(key, (set(), set()))[0] for side in may)
            more = {new for old, new in moved.items() if new in has and old not in had}
            less = {old for old, new in moved.items() if old in had and new not in has}
            if more or less:
                sets = found.setdefault(key, (set(), set()))
                sets[0].update(more)
                sets[1].update(less)


def _only(snapshot: Snapshot, paths: Iterable[str]) -> Snapshot:
    """A snapshot with the devices of some tags alone."""
    devices = {f"device.{path.rpartition('/')[0]}" for path in paths}
    kept = {
        address: value
        for address, value in snapshot.resources.items()
        if address in devices or not address.startswith(("device.", "alert."))
    }
    return Snapshot(snapshot.enterprise, snapshot.site, kept, {})


def _without_enabled(found: Found, changes: Iterable[Change], sample: Sample) -> Found:
    """What is gained without that a tag becomes writable: that is asked for tag by tag (`write-enable`)."""
    enabled = {
        tag.path
        for change in changes
        for tag in change.tags
        if tag.before is not None and tag.after is not None
        if tag.after.get("writable") and not tag.before.get("writable")
    }
    if not any(action == "write" and gained & enabled for (_, action, _), (gained, _) in found.items()):
        return found
    before, after = (_only(side, enabled) for side in (sample.before, sample.after))
    opened = {address: _writable(address, value, enabled) for address, value in before.resources.items()}
    still: Found = {}
    _collect(still, gains(replace(before, resources=opened), after), sample, lambda kind, _: kind == "tag")
    asked: Found = {}
    for key, (gained, lost) in found.items():
        kept = still.get(key, (set(), set()))[0]
        asked[key] = (gained - (enabled - kept) if key[1] == "write" else gained, lost)
    return asked


def _writable(address: str, value: Attributes, enabled: Collection[str]) -> Attributes:
    path = address.removeprefix("device.")
    if path == address:
        return value
    tags = {
        name: {**tag, "writable": True} if f"{path}/{name}" in enabled else tag
        for name, tag in (value.get("tags") or {}).items()
    }
    return {**value, "tags": tags}


def _named(found: Found, principals: Mapping[str, tuple[str, ...]]) -> Iterator[Gain]:
    """By principal instead of by representative."""
    for (one, action, kind), (gained, lost) in found.items():
        if gained or lost:
            more, less = tuple(sorted(gained)), tuple(sorted(lost))
            for name in principals[one]:
                yield Gain(principal=name, action=action, kind=kind, gained=more, lost=less)
