"""The schedule: spread phases, fixed rates, no backlog."""

from __future__ import annotations

import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from nexus_cli.runtime.gateway.field.schedule import CHECK_GAP_S, CHECK_S, CheckTimer, Schedule


def test_a_thousand_devices_do_not_start_together() -> None:
    schedule: Schedule[str] = Schedule()
    for number in range(1000):
        schedule.add(f"d{number}", interval_s=1.0, now_s=100.0, name=f"a/l/d{number}")
    counts = [len(schedule.pop_due(100.0 + (slot + 1) / 10)) for slot in range(10)]
    assert sum(counts) == 1000
    assert max(counts) < 160


def test_a_late_cycle_is_skipped_and_counted() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.add("d", interval_s=1.0, now_s=0.0, name="d")
    first = schedule.next_s()
    assert first is not None
    assert [one.missed for _, one in schedule.pop_due(first)] == [0]
    assert [one.missed for _, one in schedule.pop_due(first + 3.5)] == [2]
    assert schedule.next_s() == first + 4.0
    assert not schedule.pop_due(first + 3.6)


def test_a_known_group_keeps_its_phase_and_a_removed_one_is_gone() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.add("d", interval_s=1.0, now_s=0.0, name="d")
    before = schedule.next_s()
    schedule.add("d", interval_s=1.0, now_s=50.0, name="d")
    assert schedule.next_s() == before
    schedule.remove("d")
    assert schedule.next_s() is None
    assert schedule.pop_due(1e9) == []


def test_a_group_that_was_taken_up_again_has_one_turn_a_time() -> None:
    schedule: Schedule[str] = Schedule()
    for _ in range(3):
        schedule.add("d", interval_s=1.0, now_s=0.0, name="d")
        schedule.add("e", interval_s=2.0, now_s=0.0, name="e")
        schedule.remove("d")
    schedule.add("d", interval_s=0.5, now_s=0.0, name="d")
    assert sorted(key for key, _ in schedule.pop_due(1.0)) == ["d", "e"]
    assert [key for now_s in (1.5, 2.0, 2.5) for key, _ in schedule.pop_due(now_s)].count("d") == 3


@example(interval_s=0.02, waits=[128.0, 128.0], name="")
@given(st.floats(0.01, 100.0), st.lists(st.floats(0.0, 250.0), min_size=1, max_size=40), st.text(max_size=8))
def test_turns_and_skips_add_up(interval_s: float, waits: list[float], name: str) -> None:
    schedule: Schedule[str] = Schedule()
    schedule.add("d", interval_s=interval_s, now_s=0.0, name=name)
    now = 0.0
    turns: list[float] = []
    for wait in waits:
        now += wait
        due = schedule.pop_due(now)
        assert len(due) <= 1, "never a backlog"
        turns += [one.at_s for _, one in due]
        following = schedule.next_s()
        assert following is not None
        assert following > now or following == now
    assert all(b > a for a, b in itertools.pairwise(turns))


def test_a_link_that_answers_polls_is_not_checked() -> None:
    turn = CheckTimer(100.0)
    for second in range(101, 120):
        assert not turn.begin(second)
        turn.answered(second)
    assert turn.begin(119 + CHECK_S)
    assert not turn.begin(120 + CHECK_S)


def test_a_check_that_is_asked_for_comes_at_once_whatever_was_polled() -> None:
    turn = CheckTimer(100.0)
    turn.request()
    turn.answered(100.0)
    assert turn.next_s == 100.0
    assert turn.begin(100.0)
    assert not turn.begin(100.0)
    assert turn.next_s == 100.0 + CHECK_S


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=200))
def test_asking_without_end_gives_fewer_and_fewer_checks(steps: list[float]) -> None:
    turn, now_s, done = CheckTimer(0.0), 0.0, []
    for step in steps:
        now_s += step
        turn.request()
        assert turn.next_s <= now_s + CHECK_S
        if turn.begin(now_s):
            done.append(now_s)
    gaps = [after - before for before, after in itertools.pairwise(done)]
    for number, gap in enumerate(gaps):
        assert gap > min(CHECK_GAP_S * 2**number, CHECK_S) - 1e-9


def test_a_change_after_a_quiet_while_is_looked_after_at_once() -> None:
    turn, now_s = CheckTimer(0.0), 0.0
    for _ in range(6):
        turn.request()
        now_s = turn.next_s
        assert turn.begin(now_s)
    assert turn.next_s == now_s + CHECK_S
    turn.request()
    assert turn.next_s == now_s + CHECK_GAP_S * 2**5
    now_s += 3 * CHECK_S
    assert turn.begin(now_s)
    turn.request()
    assert turn.next_s == now_s + CHECK_GAP_S
