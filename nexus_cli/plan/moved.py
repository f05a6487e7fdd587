"""Renames that keep history: which recorded tag is which declared one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

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
    for old in sorted(base):
        if old in desired:
            continue
        new = _renamed(old, moved)
        if new != old and new in desired and new not in base and new not in taken:
            found[old] = new
            taken.add(new)
    return found


def _renamed(path: str, moved: Sequence[Rename]) -> str:
    for source, target in moved:
        if path == source:
            path = target
        elif path.startswith(source + "/"):
            path = target + path[len(source) :]
    return path


def without_effect(moved: Sequence[Rename], *, moves: dict[str, str], created: Iterable[str]) -> list[Rename]:
    """Renames whose target this plan creates: most likely their `from` is misspelt.

    Args:
        moves: As `tag_moves` gave them.
        created: Tag paths that the plan creates.
    """
    fresh = set(created)
    targets = set(moves.values())
    return [
        (source, target)
        for source, target in moved
        if any(_covers(target, path) for path in fresh) and not any(_covers(target, path) for path in targets)
    ]


def _covers(prefix: str, path: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")
