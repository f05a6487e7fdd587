"""Reviews that are kept: every page as it was computed, and no more memory than is allowed."""

from __future__ import annotations

import msgspec
import pytest

from nexus_cli.runtime.control.kept_reviews import PIECE, KeptReviews, ReviewKey, kept_review
from nexus_cli.wire.control_plans import DeploymentReview, ReviewedChange


def review(changes: int, *, number: int = 3) -> DeploymentReview:
    return DeploymentReview(
        number=number,
        base=2,
        text="Plan for acme/x",
        effect="ab12",
        total=changes,
        changes=[
            ReviewedChange(address=f"device.{one}", action="update", lines=[f"poll: {one}"]) for one in range(changes)
        ],
    )


def key(number: int, *, recorded: tuple[int, ...] = ()) -> ReviewKey:
    return ReviewKey(number=number, recorded=recorded, digest="d")


@pytest.mark.parametrize("changes", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7])
@pytest.mark.parametrize("limit", [1, PIECE, 2 * PIECE])
def test_pages_one_after_another_are_the_whole(changes: int, limit: int) -> None:
    whole = review(changes)
    kept = kept_review(whole)
    found: list[ReviewedChange] = []
    for offset in range(0, max(changes, 1), limit):
        page = kept.page(offset, limit)
        assert page == msgspec.structs.replace(
            whole, text="" if offset else whole.text, offset=offset, changes=whole.changes[offset : offset + limit]
        )
        found += page.changes
    assert found == whole.changes


@pytest.mark.parametrize("offset", [3, 7, 30, 49, 50, 51, 99, 103, 104, 10_000, 2**31 - 1])
def test_a_page_may_begin_anywhere(offset: int) -> None:
    whole = review(2 * PIECE + 4)
    assert kept_review(whole).page(offset, 13).changes == whole.changes[offset : offset + 13]


def test_what_was_recorded_since_makes_it_another() -> None:
    reviews, kept = KeptReviews(), kept_review(review(5))
    reviews.keep(key(3, recorded=(1, 2, 3)), kept)
    assert reviews.find(key(3, recorded=(1, 2, 3))) is kept
    assert reviews.find(key(3, recorded=(1, 2, 3, 4))) is None
    newer = kept_review(review(6))
    reviews.keep(key(3, recorded=(1, 2, 3, 4)), newer)
    assert reviews.find(key(3, recorded=(1, 2, 3))) is None, "the one before is not needed any more"
    assert reviews.size_bytes == newer.size_bytes


def test_no_more_is_kept_than_is_allowed_and_the_oldest_question_goes_first() -> None:
    kept = [kept_review(review(40, number=number)) for number in range(4)]
    most = 3 * max(one.size_bytes for one in kept)
    reviews = KeptReviews(most_bytes=most)
    for number in range(3):
        reviews.keep(key(number), kept[number])
    assert reviews.find(key(0)) is kept[0]
    reviews.keep(key(3), kept[3])
    assert [reviews.find(key(number)) is not None for number in range(4)] == [True, False, True, True]
    assert reviews.size_bytes == sum(kept[number].size_bytes for number in (0, 2, 3)) <= most
    few = KeptReviews(most_reviews=2)
    for number in range(4):
        few.keep(key(number), kept[number])
    assert [few.find(key(number)) is not None for number in range(4)] == [False, False, True, True]


def test_one_that_is_larger_than_all_is_not_kept() -> None:
    small, large = kept_review(review(1, number=1)), kept_review(review(2_000, number=2))
    reviews = KeptReviews(most_bytes=large.size_bytes - 1)
    reviews.keep(key(1), small)
    reviews.keep(key(2), large)
    assert reviews.find(key(2)) is None and reviews.find(key(1)) is small
