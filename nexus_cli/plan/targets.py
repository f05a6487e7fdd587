"""A part of a plan: what `--target` and `--exclude` leave of the declared state, with what that part needs. Pure.

The unit is the resource, for a device also the tag: a device of which only some tags are wanted is recorded with its other
tags, and its own keys, as they were. What is left out stays as it is recorded, so that the next plan shows it.

See docs/decisions/0104.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.config import digest
from nexus_cli.model.snapshot import Attributes, Snapshot
from nexus_cli.plan.change import Action, Change, TagChange
from nexus_cli.plan.dependencies import Need, needs_of
from nexus_cli.plan.globs import as_path, is_address, names_resource, reaches

UPDATES = (Action.UPDATE, Action.CREATE)
"""Actions on a device that can be done for some of its tags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What a person asked for.

    Attributes:
        target: Globs of what is wanted; none is everything.
        exclude: Globs of what is not.
    """

    target: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.target or self.exclude)


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """Something that was not asked for and is needed."""

    address: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The part of a plan that is made.

    Attributes:
        target, exclude: As they were asked for.
        added: What was taken along, by address.
        left_out: Changed resources and tags of devices that stay as they are recorded.
        files: Digest of the whole declared state.
    """

    target: tuple[str, ...]
    exclude: tuple[str, ...]
    added: tuple[Added, ...] = ()
    left_out: int = 0
    files: str = ""


WHOLE = Part(target=(), exclude=())
"""All of a plan."""


@dataclass(slots=True)
class _Selection:
    """What of each change is taken.

    Attributes:
        taken: By address: None is all of it, else names of tags.
        own: Addresses of devices of which the own keys are taken with some of the tags.
    """

    taken: dict[str, frozenset[str] | None] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)

    def whole(self, address: str) -> bool:
        return address in self.taken and self.taken[address] is None


def part_of(
    changes: Sequence[Change], recorded: Snapshot, desired: Snapshot, *, targets: Targets
) -> tuple[Snapshot, Part]:
    """The declared state of which only a part counts, and what was taken along.

    Args:
        changes: From the recorded to the whole declared state.
        recorded: Digests of everything, attributes of what differs.
        desired: The whole declared state.
        targets: What was asked for.

    Raises:
        NexusError: NX5030, a glob matches nothing; NX5031, something is excluded that the rest needs.
    """
    for option, globs in (("--target", targets.target), ("--exclude", targets.exclude)):
        for glob in globs:
            _refuse_nothing(option, glob, recorded, desired, changes)
    picked = _picked(changes, targets)
    added = _close(changes, picked, targets)
    left = sum(_left_of(change, picked) for change in changes)
    part = Part(target=targets.target, exclude=targets.exclude, added=added, left_out=left, files=desired.digest)
    return _snapshot(changes, picked, recorded, desired), part


def _picked(changes: Sequence[Change], targets: Targets) -> _Selection:
    """What the globs themselves take."""
    found = _Selection()
    for change in changes:
        whole = not targets.target or any(_whole(glob, change) for glob in targets.target)
        out = any(_whole(glob, change) for glob in targets.exclude)
        if out:
            continue
        tags = {_name(tag) for tag in change.tags if whole or _any(targets.target, tag)}
        kept = {_name(tag) for tag in change.tags if not _any(targets.exclude, tag)}
        if whole and len(kept) == len({_name(tag) for tag in change.tags}):
            found.taken[change.address] = None
        elif change.action in UPDATES and (whole or tags & kept):
            found.taken[change.address] = frozenset(tags & kept)
            if whole:
                found.own.add(change.address)
        elif tags & kept:  # a device moves or goes as a whole
            found.taken[change.address] = None
    return found


def _close(changes: Sequence[Change], picked: _Selection, targets: Targets) -> tuple[Added, ...]:
    """Take along what is needed; gives what that is.

    Raises:
        NexusError: NX5031.
    """
    by_address = {change.address: change for change in changes}
    needs: dict[str, list[Need]] = {}
    for need in needs_of(changes):
        needs.setdefault(need.address, []).append(need)
    added: dict[str, str] = {}
    waiting = list(picked.taken)
    while waiting:
        address = waiting.pop()
        for need in needs.get(address, ()):
            if picked.whole(need.needs) or not _concerns(need, by_address[address], picked):
                continue
            before = picked.taken.get(need.needs, frozenset())
            after = _what_is_left(need, by_address[need.needs], targets)
            if need.needs in picked.taken and after is not None and before is not None and after <= before:
                continue
            if need.needs not in picked.taken:
                added[need.needs] = f"{need.because} ({address})"
            picked.taken[need.needs] = after
            picked.own.add(need.needs)
            waiting.append(need.needs)
        _take_inputs(by_address[address], picked)
    return tuple(Added(address=address, because=because) for address, because in sorted(added.items()))


def _concerns(need: Need, change: Change, picked: _Selection) -> bool:
    """Whether a need is one of what is taken: that of another tag of the device does not count."""
    tags = picked.taken[change.address]
    return tags is None or not need.tag or need.tag.rpartition("/")[2] in tags


def _take_inputs(change: Change, picked: _Selection) -> None:
    """A calculated tag takes along the new tags of its own device that it is computed from."""
    tags = picked.taken[change.address]
    if tags is None:
        return
    created = {tag.path: _name(tag) for tag in change.tags if tag.action is Action.CREATE}
    wanted, more = set(tags), True
    while more:
        inputs = {path for tag in change.tags if _name(tag) in wanted for path in (_inputs(tag) & set(created))}
        names = {created[path] for path in inputs} - wanted
        wanted |= names
        more = bool(names)
    picked.taken[change.address] = frozenset(wanted)


def _what_is_left(need: Need, needed: Change, targets: Targets) -> frozenset[str] | None:
    """What of a needed change can be taken: None is all of it.

    Raises:
        NexusError: NX5031, what is needed is excluded.
    """
    for glob in targets.exclude:
        path = as_path(glob)
        if _whole(glob, needed) or (need.source and reaches(path, need.source)):
            raise NexusError(
                f"{needed.address} is excluded by '{glob}', and {need.address} needs it: {need.because}.",
                code="NX5031",
                hint=f"exclude {need.address}, too, or take '{glob}' away",
            )
    out = {_name(tag) for tag in needed.tags if _any(targets.exclude, tag)}
    if not out or needed.action not in UPDATES:
        return None
    return frozenset(_name(tag) for tag in needed.tags) - out


def _refuse_nothing(option: str, glob: str, recorded: Snapshot, desired: Snapshot, changes: Sequence[Change]) -> None:
    """A glob that names nothing recorded and nothing declared; one of what does not change is no mistake."""
    addresses = {*recorded.digests, *desired.digests}
    if is_address(glob) and not glob.startswith(("device.", "tag.")):
        if not any(names_resource(glob, address) for address in addresses):
            raise _matches_nothing(option, glob, addresses)
        return
    path = as_path(glob)
    devices = [address.removeprefix("device.") for address in addresses if address.startswith("device.")]
    if any(reaches(path, each) for each in devices):
        return
    tags = list(_tag_paths(desired, changes))
    if any(reaches(path, each) for each in tags):
        return
    places = {"/".join(each.split("/")[:count]) for each in devices for count in (1, 2, 3)}
    raise _matches_nothing(option, glob, [*places, *tags, *addresses])


def _tag_paths(desired: Snapshot, changes: Sequence[Change]) -> Iterator[str]:
    for path, device in desired.of_kind("device"):
        yield from (f"{path}/{tag}" for tag in device.get("tags") or ())
    for change in changes:
        yield from (tag.previous_path or tag.path for tag in change.tags)


def _matches_nothing(option: str, glob: str, choices: Iterable[str]) -> NexusError:
    return NexusError(
        f"{option} '{glob}' matches nothing that is declared or recorded.",
        code="NX5030",
        hint=did_you_mean(glob, choices)
        or "name an area, a line, a device, a tag, or an address such as role.operator",
    )


def _whole(glob: str, change: Change) -> bool:
    """Whether a glob names a whole change: a device (also by its old name), or a resource by its address."""
    if change.type != "device":
        return is_address(glob) and names_resource(glob, change.address)
    path = as_path(glob)
    return reaches(path, change.name) or reaches(path, change.previous_name)


def _any(globs: Iterable[str], tag: TagChange) -> bool:
    return any(reaches(as_path(glob), path) for glob in globs for path in {tag.path, tag.previous_path or tag.path})


def _left_of(change: Change, picked: _Selection) -> int:
    if change.address not in picked.taken:
        return 1
    tags = picked.taken[change.address]
    return 0 if tags is None else len({_name(tag) for tag in change.tags} - tags)


def _snapshot(changes: Sequence[Change], picked: _Selection, recorded: Snapshot, desired: Snapshot) -> Snapshot:
    """The declared state in which what is not taken is as it is recorded."""
    resources, digests = dict(desired.resources), dict(desired.digests)

    def put(address: str, attributes: Attributes | None, known: str) -> None:
        if attributes is None:
            resources.pop(address, None)
            digests.pop(address, None)
        else:
            resources[address], digests[address] = attributes, known

    for change in changes:
        tags = picked.taken.get(change.address, frozenset())
        if tags is None:
            continue
        if change.address in picked.taken:
            mixed = _mixed(change, tags, own=change.address in picked.own)
            put(change.address, mixed, digest(mixed))
            continue
        for address in {change.address, change.previous_address or change.address}:
            put(address, recorded.resources.get(address), recorded.digests.get(address, ""))
    return Snapshot(desired.enterprise, desired.site, resources, digests)


def _mixed(change: Change, wanted: frozenset[str], *, own: bool) -> Attributes:
    """A device with some tags as declared and the others as recorded; of a new one only those tags.

    Args:
        change: Of the device.
        wanted: Names of the tags that are as declared.
        own: Whether the device's own keys are, too.
    """
    before, after = change.before or {}, change.after or {}
    old: Mapping[str, Attributes] = before.get("tags") or {}
    new: Mapping[str, Attributes] = after.get("tags") or {}
    tags = {name: value for name, value in old.items() if name not in wanted}
    tags |= {name: new[name] for name in new if name in wanted}
    order = [*new, *(name for name in old if name not in new)]
    keys = after if own or change.before is None else before
    return {**keys, "tags": {name: tags[name] for name in order if name in tags}}


def _inputs(tag: TagChange) -> set[str]:
    return set(((tag.after or {}).get("inputs") or {}).values())


def _name(tag: TagChange) -> str:
    return tag.path.rpartition("/")[2]
