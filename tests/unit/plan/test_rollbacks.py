"""What a rollback of a rollback brings back."""

from __future__ import annotations

import pytest

from nexus_cli.plan.rollbacks import brought_back, further_back


@pytest.mark.parametrize(
    ("undone", "again"),
    [
        ([3], [(3, 2)]),  # the rollback alone: what 2 did is there again
        ([3, 2], []),  # it and what it took back: neither comes back
        ([4, 3], [(3, 2)]),
        ([5, 4, 3], [(5, 1), (3, 2)]),
        ([4], []),
    ],
)
def test_a_rollback_that_is_taken_back_brings_back_what_it_took(
    undone: list[int], again: list[tuple[int, int]]
) -> None:
    assert brought_back(undone, undoes={3: 2, 5: 1}) == again


@pytest.mark.parametrize(
    ("newest", "undoes", "further"),
    [
        (3, {3: 2}, 1),
        (3, {3: 1}, 0),  # the empty state came back: there is nothing further
        (5, {3: 2, 5: 4}, 1),  # 4 was built upon a rollback of 2
        (4, {3: 2, 4: 3}, 2),  # 3 was taken back: 2 is in force again
    ],
)
def test_one_step_further_than_a_rollback(newest: int, undoes: dict[int, int], further: int) -> None:
    assert further_back(newest, undoes=undoes, recorded=range(1, newest + 1)) == further
