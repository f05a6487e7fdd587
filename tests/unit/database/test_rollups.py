"""Rollups against a computation by hand."""

from __future__ import annotations

from collections.abc import Sequence

from nexus_cli.database.rollups import Rollup, RollupBuilder

S = 1_000_000


def buckets(
    samples: Sequence[tuple[int, float | None, int]], *, until_s: int, before: float | None = None, every_s: int = 10
) -> list[Rollup]:
    builder = RollupBuilder(every_us=every_s * S, since_us=0, until_us=until_s * S, before=before)
    made = [bucket for time_s, value, quality in samples for bucket in builder.add(time_s * S, value, quality)]
    return [*made, *builder.finish()]


def test_by_hand() -> None:
    # 0..2 s nothing, 2..5 s 10.0, 5..10 s 20.0 | 10..14 s 20.0, BAD until 18 s, 18..20 s 40.0 UNCERTAIN | 20..25 s 40.0
    samples = [(2, 10.0, 192), (5, 20.0, 192), (14, None, 0), (18, 40.0, 64)]
    first, second, third = buckets(samples, until_s=25)
    assert first == Rollup(
        start_us=0, minimum=10, maximum=20, first=10, last=20, count=2, good=2, average=(30 + 100) / 8, covered_us=8 * S
    )
    assert second == Rollup(
        start_us=10 * S, minimum=40, maximum=40, first=40, last=40, count=2, good=0, average=160 / 6, covered_us=6 * S
    )
    assert third == Rollup(start_us=20 * S, count=0, average=40.0, covered_us=5 * S)


def test_the_value_before_the_span_holds_into_it() -> None:
    (only,) = buckets([(4, 0.0, 192)], until_s=10, before=10.0)
    assert only.average == 4.0
    assert (only.minimum, only.maximum, only.count) == (0.0, 0.0, 1)


def test_a_silent_span_has_buckets_only_where_a_value_held() -> None:
    assert buckets([], until_s=25) == [Rollup(start_us=0), Rollup(start_us=10 * S)]
    held = buckets([], until_s=20, before=3.0)
    assert [bucket.average for bucket in held] == [3.0, 3.0]


def test_a_sample_on_the_border_belongs_to_the_later_bucket() -> None:
    first, second = buckets([(0, 1.0, 192), (10, 5.0, 192)], until_s=20)
    assert (first.count, first.average, second.count, second.average) == (1, 1.0, 1, 5.0)


def test_a_span_that_starts_within_a_bucket_counts_only_its_part() -> None:
    builder = RollupBuilder(every_us=10 * S, since_us=5 * S, until_us=10 * S, before=2.0)
    (only,) = builder.finish()
    assert (only.start_us, only.covered_us, only.average) == (0, 5 * S, 2.0)


def test_a_value_does_not_hold_over_a_gap() -> None:
    builder = RollupBuilder(every_us=10 * S, since_us=0, until_us=30 * S)
    made = list(builder.add(2 * S, 10.0, 192))
    made += builder.lose(4 * S)
    made += builder.add(25 * S, 20.0, 192)
    made += builder.finish()
    assert [(one.start_us // S, one.covered_us // S, one.average) for one in made] == [
        (0, 2, 10.0),
        (10, 0, None),
        (20, 5, 20.0),
    ]
