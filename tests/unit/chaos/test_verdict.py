"""The verdict of chaos: a run without a fault is sound, and each planted fault is found by its law and by no other."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

import pytest

from tests.chaos.verdict import (
    EDGE_US,
    POLL_NOTICED_US,
    REPORT_NOTICED_US,
    Account,
    Gap,
    Handed,
    Row,
    account,
    reversed_gaps,
    rows_inside,
    unprovoked,
)

SECOND = 1_000_000
LAG = 3_000
"""How much later than the device the gateway dates an answer."""
LONGEST = 4 * SECOND


def handed(count: int, *, every: int = SECOND) -> list[Handed]:
    """A device that counts from 1."""
    return [Handed(time_us=number * every, number=number) for number in range(1, count + 1)]


def rows_of(values: Sequence[Handed], *, without: Sequence[int] = (), ahead: int = 0) -> list[Row]:
    """A row each, but for some; `ahead` is how far the gateway's clock is ahead."""
    return [
        Row(time_us=one.time_us + LAG + ahead, number=one.number) for one in values if one.number not in set(without)
    ]


def bad(second: float) -> Row:
    """A BAD row."""
    return Row(time_us=int(second * SECOND), number=None, quality=0)


def gap(start: float, end: float | None, *, device: str = "", gateway: str = "gw") -> Gap:
    """A gap between two seconds."""
    return Gap(
        gateway=gateway,
        device=device,
        start_us=int(start * SECOND),
        end_us=None if end is None else int(end * SECOND),
        reason="gateway_killed",
    )


def broken(found: Account) -> set[str]:
    """Which laws were broken."""
    laws = ("lost", "doubled", "disordered", "unknown", "silent")
    return {law for law in laws if getattr(found, law)}


def of(values: list[Handed], rows: list[Row], gaps: Sequence[Gap] = (), **more: object) -> Account:
    """The account, rows in the order of time."""
    rows = sorted(rows, key=lambda row: row.time_us)
    return account(values, rows, gaps, longest_us=LONGEST, **more)  # type: ignore[arg-type]


def test_a_sound_record() -> None:
    values = handed(50)
    found = of(values, rows_of(values))
    assert found.found == 50
    assert not found.faults
    assert not found.explained


def test_one_missing_value_is_lost() -> None:
    values = handed(50)
    found = of(values, rows_of(values, without=[17]))
    assert broken(found) == {"lost"}
    assert [one.number for one in found.lost] == [17]


def test_a_value_that_was_asked_for_again_at_once_is_explained_and_one_that_was_not_is_lost() -> None:
    values = handed(50)
    values[16] = dataclasses.replace(values[16], time_us=values[17].time_us - 14_000)  # both answered after a pause
    found = of(values, rows_of(values, without=[17]))
    assert not found.faults and found.explained == {"read_twice": 1}, "in one cycle"
    values[16] = dataclasses.replace(values[16], time_us=values[17].time_us - 300_000)
    again = [values[16].time_us - 900_000]
    found = of(values, rows_of(values, without=[17]), again_us=again)
    assert not found.faults and found.explained == {"asked_again": 1}
    found = of(values, rows_of(values, without=[17]))
    assert [one.number for one in found.lost] == [17], "nobody asked again"
    found = of(values, rows_of(values, without=[17, 18]), again_us=again)
    assert len(found.lost) == 1, "each time explains one value"
    found = of(values, rows_of(values, without=[17, 18]), again_us=[again[0], again[0] + 500_000])
    assert not found.faults and found.explained == {"asked_again": 2}, "two late answers in a row"
    found = of(values, rows_of(values, without=[30]), again_us=again)
    assert [one.number for one in found.lost] == [30], "long after"


def test_one_doubled_value() -> None:
    values = handed(50)
    rows = [*rows_of(values), Row(time_us=20 * SECOND + 500_000, number=20)]
    found = of(values, rows)
    assert broken(found) == {"doubled"}
    assert found.doubled == [20]


def test_a_value_that_is_stated_again_with_another_quality_is_not_doubled() -> None:
    values = handed(50)
    doubtful = Row(time_us=20 * SECOND + 400_000, number=20, quality=64)
    again = Row(time_us=20 * SECOND + 800_000, number=20)
    assert not of(values, [*rows_of(values), doubtful, again]).faults
    assert not of(values, [*rows_of(values), bad(20.3), again]).faults, "it was BAD in between"
    assert of(values, [*rows_of(values), again]).doubled == [20]
    late = Row(time_us=25 * SECOND + 400_000, number=20, quality=64)
    assert of(values, [*rows_of(values), late]).doubled == [20], "another value came in between"


def test_two_rows_that_changed_places() -> None:
    values = handed(50)
    rows = rows_of(values)
    swapped = [*rows[:9], Row(time_us=rows[9].time_us, number=11), Row(time_us=rows[10].time_us, number=10), *rows[11:]]
    found = of(values, swapped)
    assert broken(found) == {"disordered"}
    assert found.disordered == [10]


def test_a_value_that_nobody_handed_out() -> None:
    values = handed(50)
    found = of(values, [*rows_of(values), Row(time_us=60 * SECOND, number=99)])
    assert broken(found) == {"unknown"}
    assert found.unknown == [99]


def test_missing_values_inside_a_gap_are_explained_and_beside_it_are_not() -> None:
    values = handed(50)
    rows = rows_of(values, without=range(20, 26))
    assert of(values, rows, [gap(19.5, 25.5)]).explained == {"gateway_killed": 6}
    assert not of(values, rows, [gap(19.5, 25.5)]).faults
    short = of(values, rows, [gap(22.05, 25.5)])
    assert [one.number for one in short.lost] == [20, 21]
    assert of(values, rows, [gap(40, 45)]).faults == 6 + 1, "six values lost, and a silence of seven seconds"
    assert EDGE_US < SECOND


def test_a_gap_elsewhere_in_time_does_not_explain() -> None:
    values = handed(50)
    rows = rows_of(values, without=[20])
    assert [one.number for one in of(values, rows, [gap(22, 30)]).lost] == [20]
    assert [one.number for one in of(values, rows, [gap(1, 18.5)]).lost] == [20]


def test_missing_values_of_a_bad_tag_are_explained_from_its_bad_row_on() -> None:
    values = handed(50)
    rows = [*rows_of(values, without=range(10, 31)), bad(16.0)]
    found = of(values, rows)
    assert found.explained == {"BAD": 30 - 16 + 1 + POLL_NOTICED_US // SECOND}
    assert [one.number for one in found.lost] == [10, 11]
    assert not of(values, [*rows_of(values, without=range(15, 31)), bad(16.0)]).faults
    assert of(values, [*rows_of(values, without=range(10, 31)), bad(33.0)]).lost, "BAD afterwards explains nothing"


def test_a_server_that_reports_is_noticed_later_than_one_that_is_polled() -> None:
    values = handed(50)
    rows = [*rows_of(values, without=range(10, 31)), bad(18.0)]
    assert [one.number for one in of(values, rows).lost] == [10, 11, 12, 13]
    assert not of(values, rows, noticed_us=REPORT_NOTICED_US).faults


def test_the_gateway_s_clock_may_be_anywhere() -> None:
    values = handed(60)
    hour = 3600 * SECOND
    rows = [*rows_of(values[:20]), *rows_of(values[20:], without=[40], ahead=hour)]
    found = of(values, rows)
    assert broken(found) == {"lost"}
    assert [one.number for one in found.lost] == [40]
    within = Gap(
        gateway="gw", device="", start_us=hour + 39_500_000, end_us=hour + 40_500_000, reason="gateway_stalled"
    )
    assert not of(values, rows, [within]).faults
    without = [*rows_of(values[:20]), *rows_of(values[20:], without=[21, 22], ahead=hour)]
    across = Gap(gateway="gw", device="", start_us=20 * SECOND, end_us=hour + 22_900_000, reason="gateway_stalled")
    assert not of(values, without, [across]).faults


def test_a_pause_of_the_device_s_log_is_a_silence_unless_it_is_declared() -> None:
    values = [*handed(10), *(Handed(time_us=(number + 9) * SECOND, number=number) for number in range(11, 30))]
    found = of(values, rows_of(values))
    assert broken(found) == {"silent"}
    assert found.silent == [(10 * SECOND, 20 * SECOND)]
    assert not of(values, rows_of(values), [gap(10.5, 19.5)]).faults
    assert of(values, rows_of(values), [gap(10.5, 13)]).silent, "a part of it is not enough"
    assert not of(values, [*rows_of(values), bad(13.0)]).faults
    assert of(values, [*rows_of(values), bad(19.5)]).silent, "it was silent for long before it was BAD"


def test_a_row_that_waited_out_a_pause_does_not_move_what_came_after_it_out_of_the_gap() -> None:
    values = handed(50)
    # The process was stopped from 9.6 to 19.9 s. What was reported at 10 and 11 s waited for it, the rest was dropped.
    late = [Row(time_us=19_900_000 + number, number=number) for number in (10, 11)]
    rows = rows_of(values, without=range(10, 20))
    pause = gap(9.6, 19.9)
    assert not of(values, [*rows, *late], [pause]).faults
    assert of(values, [*rows, *late], [pause]).explained == {"gateway_killed": 8}
    assert broken(of(values, [*rows, *late])) == {"lost", "silent"}, "only a gap explains"
    assert broken(of(values, [*rows, *late], [gap(9.6, 15)])) == {"lost", "silent"}, "and only as far as it goes"
    after = [row for row in rows if row.number != 21]
    assert [one.number for one in of(values, [*after, *late], [pause]).lost] == [21], "what comes behind it is lost"


def test_a_value_may_be_dated_until_the_next_one_is_handed_out() -> None:
    values = handed(50)
    rows = rows_of(values, without=[10, 11])
    assert not of(values, rows, [gap(10.9, 11.1)]).faults, "the process was starved: 10 was read at 10.9 s"
    assert [one.number for one in of(values, rows, [gap(11.01, 11.1)]).lost] == [10], "a gap that forgot the first one"


def test_a_gap_that_ends_with_a_bad_row_explains_the_silence_with_it() -> None:
    values = [one for one in handed(60) if not 10 <= one.number < 40]
    found = rows_of(values)
    assert not of(values, [*found, bad(32)], [gap(9.1, 31.9)]).faults
    assert broken(of(values, [*found, bad(32)])) == {"silent"}, "BAD does not reach back so far"
    assert broken(of(values, [*found, bad(32)], [gap(9.1, 20)])) == {"silent"}
    assert broken(of(values, found, [gap(9.1, 31.9)])) == {"silent"}


def test_a_silence_with_two_gaps_is_covered_by_both_together() -> None:
    values = [*handed(10), *(Handed(time_us=(number + 9) * SECOND, number=number) for number in range(11, 30))]
    assert not of(values, rows_of(values), [gap(10.1, 14), gap(13, 19.5)]).faults
    assert of(values, rows_of(values), [gap(10.1, 13), gap(11, 13)]).silent, "the same seconds do not count twice"


def test_values_after_the_last_row_must_be_explained_too() -> None:
    values = handed(30)
    rows = rows_of(values, without=range(26, 31))
    assert [one.number for one in of(values, rows).lost] == [26, 27, 28, 29, 30]
    assert not of(values, [*rows, bad(25.9)]).faults
    assert not of(values, rows, [gap(25.5, None)]).faults
    assert not of(values, rows, until_us=25 * SECOND + 1).faults, "the tag was removed"


def test_values_that_rise_with_time_are_held_to_order_and_silence_alone() -> None:
    values = handed(50)
    assert not of(values, rows_of(values, without=[7, 8]), counted=False).faults
    assert broken(of(values, rows_of(values, without=range(7, 15)), counted=False)) == {"silent"}


@pytest.mark.parametrize("seed", range(30))
def test_what_is_planted_at_random_is_found(seed: int) -> None:
    rng = random.Random(seed)
    values = handed(200, every=rng.choice((500_000, SECOND, 2 * SECOND)))
    lost = set(rng.sample(range(2, 199), rng.randrange(0, 6)))
    doubled = set(rng.sample(sorted(set(range(2, 199)) - lost), rng.randrange(0, 4)))
    extra = [Row(time_us=values[number - 1].time_us + LAG + 1, number=number) for number in doubled]
    found = of(values, [*rows_of(values, without=sorted(lost)), *extra])
    assert {one.number for one in found.lost} == lost
    assert set(found.doubled) == doubled
    assert not found.disordered


def test_rows_inside_a_gap() -> None:
    times = [second * SECOND for second in range(10)]
    assert rows_inside(gap(2, 3), times) == 0, "rows at both ends are outside"
    assert rows_inside(gap(2, 5), times) == 2
    assert rows_inside(gap(7.5, None), times) == 2
    assert rows_inside(gap(5, 2), times) == 0


def test_a_gap_covers_its_gateway_or_its_device() -> None:
    assert gap(1, 2).covers("gw", "a/l/d")
    assert not gap(1, 2).covers("other", "a/l/d")
    assert gap(1, 2, device="a/l/d").covers("gw", "a/l/d")
    assert not gap(1, 2, device="a/l/d").covers("gw", "a/l/e")


def test_a_gap_that_ends_before_it_starts() -> None:
    assert reversed_gaps([gap(1, 2), gap(5, None), gap(3, 2)]) == [gap(3, 2)]


def test_a_loss_far_from_every_fault_is_unprovoked() -> None:
    windows = [(10 * SECOND, 20 * SECOND)]
    moments = [(9 * SECOND, "BAD"), (29 * SECOND, "BAD"), (31 * SECOND, "BAD"), (5 * SECOND, "gateway_lost")]
    assert unprovoked(moments, windows, recovery_us=10 * SECOND, since_us=6 * SECOND) == [(31 * SECOND, "BAD")]
    assert unprovoked(moments, windows, recovery_us=10 * SECOND) == [(31 * SECOND, "BAD"), (5 * SECOND, "gateway_lost")]
