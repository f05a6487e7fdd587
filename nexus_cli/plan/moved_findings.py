"""What is wrong with the `moved:` entries of a site, seen against what is on record. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.model.snapshot import Attributes
from nexus_cli.plan.change import Action, Change
from nexus_cli.plan.diff import DEVICE
from nexus_cli.plan.moved import Rename, onto_recorded, without_effect

MOST_ONTO = 20
"""Tags that can't move are listed up to this number: a whole line may meet another one."""


def findings_of_moves(
    changes: Sequence[Change],
    moved: Sequence[Rename],
    *,
    recorded: Collection[str],
    devices: Mapping[str, Attributes],
) -> list[Diagnostic]:
    """NX4005 and NX4112; nothing for an entry that has been applied, and nothing of a first plan.

    Args:
        changes: The plan's.
        moved: The site's renames.
        recorded: Addresses of everything on record.
        devices: Declared devices by address.
    """
    if not recorded or not moved:
        return []
    tags = [tag for change in changes for tag in change.tags]
    moves = {tag.previous_path: tag.path for tag in tags if tag.previous_path is not None}
    created = {tag.path for tag in tags if tag.action is Action.CREATE}
    known = [address.removeprefix(DEVICE) for address in recorded if address.startswith(DEVICE)]
    forgotten = [tag.path for tag in tags if tag.action is Action.FORGET]

    def declared(path: str) -> bool:
        device, _, name = path.rpartition("/")
        return name in (devices.get(DEVICE + device, {}).get("tags") or {})

    onto = onto_recorded(moved, forgotten=forgotten, created={*created, *moves.values()}, declared=declared)
    return [
        *_useless(without_effect(moved, moves=moves, created=created, recorded=known), moved),
        *_onto(onto[:MOST_ONTO], moved),
    ]


def _useless(found: Sequence[Rename], moved: Sequence[Rename]) -> list[Diagnostic]:
    return [
        finding(
            "NX4005",
            f"nothing is recorded at '{source}': '{target}' begins without history, or with that of a forgotten series",
            where=("moved", list(moved).index((source, target)), "from"),
            hint="`nexus show` lists the recorded paths, `nexus adopt series` the forgotten series",
        )
        for source, target in found
    ]


def _onto(found: Sequence[Rename], moved: Sequence[Rename]) -> list[Diagnostic]:
    return [
        finding(
            "NX4112",
            f"'{old}' can't move to '{new}': both are recorded",
            where=("moved", _entry(old, moved), "to"),
            hint="give it another new path; without the entry its series ends and its samples stay",
        )
        for old, new in found
    ]


def _entry(path: str, moved: Sequence[Rename]) -> int:
    """The first entry that is about a path."""
    return next(at for at, (source, _) in enumerate(moved) if path == source or path.startswith(f"{source}/"))
