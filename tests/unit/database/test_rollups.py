"""Rollups against a computation by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nexus_cli.database.rollups import Piece, Rollup, RollupBuilder

S = 1_000_000


def builder(
    *, until_s: int, since_s: int = 0, before: Any = None, every_s: int = 10, numeric: bool = True
) -> RollupBuilder:
    return RollupBuilder(
        start_us=since_s // every_s * every_s * S,
        after=lambda start_us: start_us + every_s * S,
        since_us=since_s * S,
        until_us=until_s * S,
        before=before,
        numeric=numeric,
    )


def buckets(samples: Sequence[tuple[int, Any, int]], **span: Any) -> list[Rollup]:
    made_by = builder(**span)
    made = [bucket for time_s, value, quality in samples for bucket in made_by.add(time_s * S, value, quality)]
    return [*made, *made_by.finish()]


def bucket(start_s: int, **more: Any) -> Rollup:
    return Rollup(start_us=start_s * S, end_us=(start_s + 10) * S, **more)


def test_by_hand() -> None:
    # 0..2 s nothing, 2..5 s 10.0, 5..10 s 20.0 | 10..14 s 20.0, BAD until 18 s, 18..20 s 40.0 UNCERTAIN | 20..25 s 40.0
    samples = [(2, 10.0, 192), (5, 20.0, 192), (14, None, 0), (18, 40.0, 64)]
    first, second, third = buckets(samples, until_s=25)
    assert first == bucket(
        0, minimum=10, maximum=20, first=10, last=20, count=2, good=2, average=(30 + 100) / 8, covered_us=8 * S
    )
    assert second == bucket(
        10, minimum=20, maximum=40, first=20, last=40, count=2, good=0, average=160 / 6, covered_us=6 * S
    )
    assert third == bucket(20, minimum=40, maximum=40, first=40, last=40, average=40.0, covered_us=5 * S)


def test_the_value_before_the_span_holds_into_it() -> None:
    (only,) = buckets([(4, 0.0, 192)], until_s=10, before=10.0)
    assert only.average == 4.0
    assert (only.minimum, only.maximum, only.first, only.last, only.count) == (0.0, 10.0, 10.0, 0.0, 1)


def test_a_silent_span_has_buckets_only_where_a_value_held() -> None:
    assert buckets([], until_s=25) == [bucket(0), bucket(10)]
    held = buckets([], until_s=20, before=3.0)
    assert [each.average for each in held] == [3.0, 3.0]


def test_a_sample_on_the_border_belongs_to_the_later_bucket() -> None:
    first, second = buckets([(0, 1.0, 192), (10, 5.0, 192)], until_s=20)
    assert (first.count, first.average, second.count, second.average) == (1, 1.0, 1, 5.0)


def test_a_span_that_starts_within_a_bucket_counts_only_its_part() -> None:
    (only,) = builder(since_s=5, until_s=10, before=2.0).finish()
    assert (only.start_us, only.covered_us, only.average) == (0, 5 * S, 2.0)


def test_a_value_does_not_hold_over_a_gap() -> None:
    made_by = builder(until_s=30)
    made = list(made_by.add(2 * S, 10.0, 192))
    made += made_by.lose(4 * S)
    made += made_by.add(25 * S, 20.0, 192)
    made += made_by.finish()
    assert [(one.start_us // S, one.covered_us // S, one.average, one.last) for one in made] == [
        (0, 2, 10.0, 10.0),
        (10, 0, None, None),
        (20, 5, 20.0, 20.0),
    ]


def test_what_was_replaced_as_a_bucket_began_does_not_count_in_it() -> None:
    _, second = buckets([(0, 100.0, 192), (10, 50.0, 192)], until_s=20)
    assert (second.minimum, second.maximum, second.first) == (50.0, 50.0, 50.0)


def test_integers_beyond_a_double_stay_exact() -> None:
    large = 2**53 + 1
    first, second = buckets([(0, large, 192), (5, large + 2, 192)], until_s=20)
    assert (first.minimum, first.maximum, first.average) == (large, large + 2, large + 1)
    assert (second.first, second.last, second.average) == (large + 2, large + 2, large + 2)
    assert isinstance(second.average, int)


def test_texts_have_a_first_and_a_last_one() -> None:
    first, second = buckets([(2, "on", 192), (4, "off", 192), (12, None, 0)], until_s=20, numeric=False)
    assert (first.first, first.last, first.minimum, first.average) == ("on", "off", None, None)
    assert (second.first, second.last, second.covered_us) == ("off", "off", 2 * S)


def test_rounding_never_leads_beyond_the_values() -> None:
    (only,) = buckets([(0, 0.1, 192), (3, 0.1, 192), (7, 0.1, 192)], until_s=10)
    assert only.average == 0.1


def test_a_piece_counts_as_its_samples() -> None:
    samples: list[tuple[int, Any, int]] = [(11, 4.0, 192), (13, 8.0, 64), (15, None, 0), (16, 2.0, 192)]
    piece = Piece(
        first_us=11 * S,
        last_us=16 * S,
        count=4,
        good=2,
        minimum=2.0,
        maximum=8.0,
        first=4.0,
        last=2.0,
        held=2.0,
        area=(4.0 * 2 + 8.0 * 2) * S,
        covered_us=4 * S,
    )
    made_by = builder(until_s=40, before=1.0)
    made = [*made_by.merge(piece), *made_by.finish()]
    assert made == buckets(samples, until_s=40, before=1.0)
