"""Globs of roles that named the old path of something that moves: said, with the edit that lets the role follow. Pure.

Nothing is widened by itself: a role follows only where its own glob covers the new path as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nexus_cli.access.globs import matches_glob
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.wording import counted
from nexus_cli.model.snapshot import Attributes, Snapshot
from nexus_cli.plan.change import Change
from nexus_cli.plan.moved import Rename

_RIGHTS = ("read", "write", "apply")
"""Rights whose entries are globs of paths."""
MOST_ROLES = 40


def findings_of_roles(changes: Sequence[Change], moved: Sequence[Rename], desired: Snapshot) -> list[Diagnostic]:
    """NX4117 for each glob of a declared role, or of its `deny`, that covers the old path of a tag and not its new one."""
    moves = {tag.previous_path: tag.path for change in changes for tag in change.tags if tag.previous_path is not None}
    if not moves:
        return []
    found: list[Diagnostic] = []
    for name, role in desired.of_kind("role"):
        for place, glob in _globs(name, role):
            left = [old for old, new in moves.items() if matches_glob(glob, old) and not matches_glob(glob, new)]
            if left:
                found.append(_finding(name, place, glob, len(left), moved))
    return found[:MOST_ROLES]


def _globs(name: str, role: Attributes) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for inside in ((), ("deny",)):
        rights: Mapping[str, object] = role if not inside else role.get("deny") or {}
        for right in _RIGHTS:
            entries = rights.get(right) or ()
            if not isinstance(entries, list | tuple):
                continue
            for at, entry in enumerate(entries):
                glob = str(entry.get("path", "**")) if isinstance(entry, Mapping) else str(entry)
                yield ("access", "roles", name, *inside, right, at), glob


def _finding(name: str, place: tuple[str | int, ...], glob: str, count: int, moved: Sequence[Rename]) -> Diagnostic:
    right = " ".join(str(part) for part in place[3:-1])
    new = _follows(glob, moved)
    if new:
        hint = f"if it should follow, write '{new}'"
    else:
        hint = "write the new paths there, if it should follow"
    message = f"role {name}: {right} '{glob}' no longer covers {counted(count, 'tag')} that move{'s' * (count == 1)}"
    return finding("NX4117", message, where=place, hint=hint)


def _follows(glob: str, moved: Sequence[Rename]) -> str:
    """The glob at the new path; "" when it does not begin with the old one literally."""
    result = glob
    for old, new in moved:
        if result == old or result.startswith(f"{old}/"):
            result = new + result[len(old) :]
    return result if result != glob else ""
