"""Renames of several deployments, reversed: which path of now was which one before all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nexus_cli.plan.moved import Rename


def reversed_renames(made: Iterable[Sequence[Rename]]) -> list[Rename]:
    """The renames that lead back, in the order in which they apply one after the other.

    `moved` entries are themselves applied in their order (`plan/moved.py`), so those of the newest deployment come first,
    and within one deployment the last entry does.

    Args:
        made: The renames of each deployment, the newest deployment first.
    """
    return [(new, old) for renames in made for old, new in reversed(renames)]
