"""Renames of several deployments, reversed: which path of now was which one before all of them.

To turn each entry round is not enough. `one -> two` of a line takes what is on it, and an entry before it may have taken a device
of another line to `two` as well: turned round, the first would take that device to `one`, where it never was. An entry that stayed
in the file from an earlier deployment would be turned round a second time. So every tag is followed through the deployments, and
what the entries would lead astray gets one of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nexus_cli.plan.moved import Rename, Renamer, tag_moves


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What one deployment renamed.

    Attributes:
        moved: Its entries.
        before, after: Paths of the tags of the devices that it changed.
    """

    moved: Sequence[Rename]
    before: Collection[str]
    after: Collection[str]

    def moves(self) -> dict[str, str]:
        """New path by old one of each tag that moved."""
        return tag_moves(self.moved, base=self.before, desired=self.after)


def reversed_renames(made: Iterable[Made]) -> list[Rename]:
    """The renames that lead back, in the order in which they apply one after the other: few where that is enough.

    Args:
        made: By deployment, the newest first.
    """
    newest_first = list(made)
    was = _origins(reversed(newest_first))
    moved = {now: first for now, first in was.items() if first is not None and first != now}
    if not moved:
        return []
    firsts = {first for first in was.values() if first is not None}
    firsts.update(path for one in newest_first for path in one.before if path not in was)
    plain = [(new, old) for one in newest_first for old, new in reversed(_used(one))]
    back = Renamer(plain)
    astray = {now: first for now, first in moved.items() if back(now) != first}
    mended = [*_exact(astray, was), *plain]
    back = Renamer(mended)
    if all(_leads(now, first, back, firsts) for now, first in was.items()):
        return mended
    return list(_exact(moved, was))


def _origins(made: Iterable[Made]) -> dict[str, str | None]:
    """Where each tag of now was before all deployments, the oldest first; None for one that was not there."""
    found: dict[str, str | None] = {}
    for one in made:
        went = one.moves()
        had = {path: found.pop(path, path) for path in one.before}
        for path in one.after:
            found[path] = had.get(path)
        for old, new in went.items():
            found[new] = had[old]
    return found


def _used(made: Made) -> list[Rename]:
    """The entries that took some tag along: one that was applied before and stayed in the file did nothing."""
    rename = Renamer(made.moved)
    used = {number for path in made.moves() for number, _ in rename.steps(path)}
    return [entry for number, entry in enumerate(made.moved) if number in used]


def _leads(now: str, first: str | None, back: Renamer, firsts: Collection[str]) -> bool:
    """Whether the entries take a tag to where it was, and one that was nowhere to no place of another."""
    if first is None:
        return now in firsts or back(now) not in firsts
    return first == now or back(now) == first


def _exact(moved: Mapping[str, str], was: Mapping[str, str | None]) -> Iterator[Rename]:
    """One entry for each device whose tags all go one way under their names, else one for each tag.

    None meets another one's target afterwards, unless they go round in a circle.
    """
    by_device: dict[str, list[str]] = {}
    for now in sorted(moved):
        by_device.setdefault(_device(now), []).append(now)
    beside: dict[str, int] = {}
    for now in was:
        beside[_device(now)] = beside.get(_device(now), 0) + 1
    entries: dict[str, str] = {}
    for device, paths in by_device.items():
        former = _device(moved[paths[0]])
        alike = all(moved[path] == former + path[len(device) :] for path in paths)
        if alike and former != device and len(paths) == beside[device]:
            entries[device] = former
        else:
            entries.update((path, moved[path]) for path in paths)
    yield from _apart(entries)


def _apart(entries: dict[str, str]) -> Iterator[Rename]:
    """Entries of devices and tags, each after the one that would take its target further."""
    below: dict[str, set[str]] = {}
    for source in entries:
        below.setdefault(_device(source), set()).add(source)
    while entries:
        source, target = next(iter(entries.items()))
        seen = {source}
        while True:
            near = (target, _device(target), next(iter(below.get(target, ())), ""))
            following = next((each for each in near if each in entries and each not in seen), None)
            if following is None:
                break
            seen.add(following)
            source, target = following, entries[following]
        below[_device(source)].discard(source)
        yield source, entries.pop(source)


def _device(path: str) -> str:
    return path.rpartition("/")[0]
