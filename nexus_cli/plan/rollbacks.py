"""What a rollback of a rollback brings back. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


def brought_back(undone: Iterable[int], *, undoes: Mapping[int, int]) -> list[tuple[int, int]]:
    """The rollbacks among what is taken back whose work comes undone: what they took back is there again.

    Args:
        undone: Deployments that are taken back.
        undoes: The first deployment that each rollback took back.

    Returns:
        Rollback and the first deployment that it took back, the newest rollback first.
    """
    taken = sorted(undone, reverse=True)
    return [(number, undoes[number]) for number in taken if number in undoes and undoes[number] < taken[-1]]


def further_back(newest: int, *, undoes: Mapping[int, int], recorded: Sequence[int]) -> int:
    """The deployment that made the state which a rollback brought back: to take that back, too, is one step further; 0 is none.

    Args:
        newest: Number of the rollback.
        undoes: As of `brought_back`.
        recorded: Numbers of all deployments that recorded something.
    """
    number = newest
    while number in undoes:
        number = max((each for each in recorded if each < undoes[number]), default=0)
    return number
