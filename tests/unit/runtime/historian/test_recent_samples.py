"""External samples that come again: recognised by key and content, within a bound."""

from __future__ import annotations

from nexus_cli.database.copy import FullRow
from nexus_cli.runtime.historian.pending import PendingSample
from nexus_cli.runtime.historian.recent_samples import LONGEST_BYTES, RecentSamples


def sample(time_us: int, value: float = 1.0, *, series: int = 1, text: str | None = None) -> PendingSample:
    row = FullRow(time_us, series, value, None, text, None, 192, None, None)
    return PendingSample("acme/chicago/a/l/d/t", "default", row, b"")


def test_the_same_again_is_taken_out_and_counted() -> None:
    recent = RecentSamples()
    first = recent.sort([sample(1), sample(2), sample(1)])
    assert (first.kept, first.repeated, first.doubtful) == ([sample(1), sample(2)], 1, False)
    recent.remember(first.kept, refused=set())
    again = recent.sort([sample(2), sample(3), sample(1, series=2)])
    assert (again.kept, again.repeated, again.doubtful) == ([sample(3), sample(1, series=2)], 1, False)


def test_another_value_under_a_known_key_is_left_to_the_database() -> None:
    recent = RecentSamples()
    within = recent.sort([sample(1), sample(1, 2.0)])
    assert (len(within.kept), within.repeated, within.doubtful) == (2, 0, True)
    recent.remember([sample(5)], refused=set())
    assert recent.sort([sample(5, 2.0)]) == ([sample(5, 2.0)], 0, True)


def test_what_the_database_refused_is_not_remembered() -> None:
    recent = RecentSamples()
    recent.remember([sample(1, 2.0), sample(2)], refused={(1, 1)})
    assert recent.sort([sample(1, 2.0), sample(2)]).kept == [sample(1, 2.0)]


def test_it_is_bounded_by_number_and_size_and_empty_on_a_new_connection() -> None:
    recent = RecentSamples(most=10)
    recent.remember([sample(at) for at in range(100)], refused=set())
    assert len(recent._stored) == 10
    assert recent.sort([sample(99), sample(0)]).kept == [sample(0)]
    recent.remember([sample(200, text="x" * (LONGEST_BYTES + 1))], refused=set())
    assert len(recent._stored) == 10
    recent.forget()
    assert recent.sort([sample(99)]).kept == [sample(99)]
