"""Renames that keep history: which recorded tag is which declared one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

Rename = tuple[str, str]
"""(from, to): two paths of one depth: a tag, a device, a line or an area."""


def tag_moves(moved: Sequence[Rename], *, base: Collection[str], desired: Collection[str]) -> dict[str, str]:
    """New path by old path, for every tag that a rename explains.

    Entries apply in their order, so `a -> b` and `b -> c` take `a` to `c` at once. A tag moves only when its old
    path is no longer declared and its new one was not recorded: a rename that has been applied does nothing again.

    Args:
        moved: The site's `moved:` entries.
        base: Recorded tag paths (of changed devices at least).
        desired: Declared tag paths (of changed devices at least).
    """
    if not moved:
        return {}
    found: dict[str, str] = {}
    taken: set[str] = set()
    rename = Renamer(moved)
    for old in sorted(base):
        if old in desired:
            continue
        new = rename(old)
        if new != old and new in desired and new not in base and new not in taken:
            found[old] = new
            taken.add(new)
    return found


class Renamer:
    """Applies entries to many paths: each looks only at those about itself, of however many there are."""

    def __init__(self, moved: Sequence[Rename]) -> None:
        """Of entries in their order."""
        self._moved = moved
        self._at: dict[str, list[int]] = {}
        for number, (source, _) in enumerate(moved):
            self._at.setdefault(source, []).append(number)

    def __call__(self, path: str) -> str:
        """Where the entries take a path, one after the other; the path itself when none is about it."""
        found = path
        for _, went in self.steps(path):
            found = went
        return found

    def steps(self, path: str) -> Iterator[tuple[int, str]]:
        """Number of each entry that applies, in their order, and where the path is then."""
        following = 0
        while (found := self._next(path, following)) is not None:
            source, target = self._moved[found]
            path = target + path[len(source) :]
            yield found, path
            following = found + 1

    def _next(self, path: str, following: int) -> int | None:
        """The first entry from a number on whose source is the path or above it."""
        end, found = len(path), None
        while end > 0:
            numbers = self._at.get(path[:end], ())
            number = next((each for each in numbers if each >= following), None)
            if number is not None and (found is None or number < found):
                found = number
            end = path.rfind("/", 0, end)
        return found


def without_effect(
    moved: Sequence[Rename], *, moves: Mapping[str, str], created: Iterable[str], recorded: Collection[str] = ()
) -> list[Rename]:
    """Renames whose target this plan creates: most likely their `from` is misspelt.

    One whose target was recorded before has been applied: what is new below it is new.

    Args:
        moves: As `tag_moves` gave them.
        created: Tag paths that the plan creates.
        recorded: Device paths that are on record.
    """
    fresh = set(created)
    targets = set(moves.values())
    return [
        (source, target)
        for source, target in moved
        if any(_covers(target, path) for path in fresh)
        and not any(_covers(target, path) for path in targets)
        and not any(_covers(target, path) for path in recorded)
    ]


def onto_recorded(
    moved: Sequence[Rename], *, forgotten: Iterable[str], created: Collection[str], declared: Callable[[str], bool]
) -> list[Rename]:
    """(old, new) of tags that can't follow their rename: both paths are on record, each with a history of its own.

    Args:
        moved: The site's `moved:` entries.
        forgotten: Tag paths that the plan forgets.
        created: Those that it creates; a rename onto one of them is one that was taken by another old path.
        declared: Whether a tag path is declared.
    """
    rename = Renamer(moved)
    pairs = ((old, rename(old)) for old in forgotten)
    return [(old, new) for old, new in pairs if new != old and new not in created and declared(new)]


def _covers(prefix: str, path: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


def forgotten_moves(
    moved: Sequence[Rename], *, forgotten: Iterable[str], created: Collection[str], present: Collection[str]
) -> list[Rename]:
    """(old, new) of forgotten series that an entry takes to a tag which begins now.

    Only where the new path has no series at all: one that was forgotten there itself comes back with its own history, and
    two histories never become one. Of several the first path wins.

    Args:
        moved: The site's `moved:` entries.
        forgotten: Paths of forgotten series.
        created: Tag paths that this deployment creates.
        present: Those of them that have a series.
    """
    found: list[Rename] = []
    taken = set(present)
    rename = Renamer(moved)
    for old in sorted(forgotten):
        new = rename(old)
        if new != old and new in created and new not in taken:
            taken.add(new)
            found.append((old, new))
    return found
