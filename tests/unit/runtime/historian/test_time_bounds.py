"""Times that gateways claim: one that is wrong alone is refused, but never a whole plant because of our own clock."""

from __future__ import annotations

from nexus_cli.runtime.historian.time_bounds import AHEAD_S, PROBATION_S, TimeBounds, Verdict
from nexus_cli.wire.reading import MOST_AHEAD_US
from tests.clock import FakeClock

HOUR_US = 3_600_000_000


class Plant:
    """A historian's view of the clocks of gateways."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.bounds = TimeBounds(clock=self.clock)
        self.bounds.compare(self.clock.now_us())

    def receive(self, *, off_us: dict[str, int], for_s: float) -> dict[str, Verdict]:
        """Each gateway sends a frame a second, its clock off by so much; the verdicts of the last second."""
        found: dict[str, Verdict] = {}
        for _ in range(round(for_s)):
            self.clock.advance(1.0)
            for gateway, offset_us in off_us.items():
                found[gateway] = self.bounds.classify(gateway, self.clock.now_us() + offset_us)
        return found


def test_five_minutes_ahead_are_good_and_a_microsecond_more_is_not() -> None:
    plant = Plant()
    now_us = plant.clock.now_us()
    assert plant.bounds.classify("gw", now_us + MOST_AHEAD_US) is Verdict.GOOD
    assert plant.bounds.classify("gw", now_us + MOST_AHEAD_US + 1) is Verdict.HELD
    assert plant.bounds.classify("gw", now_us - 400 * 24 * HOUR_US) is Verdict.GOOD


def test_a_time_of_no_year_is_refused_at_once() -> None:
    plant = Plant()
    for time_us in (-5, 0, 946_684_799_999_999, 4_102_444_800_000_001, 1 << 62):
        assert plant.bounds.classify("gw", time_us) is Verdict.OUTSIDE


def test_one_gateway_ahead_is_held_a_while_then_refused() -> None:
    plant = Plant()
    early = plant.receive(off_us={"a": HOUR_US, "b": 0}, for_s=PROBATION_S - 1)
    late = plant.receive(off_us={"a": HOUR_US, "b": 0}, for_s=3)
    assert (early["a"], late["a"], late["b"]) == (Verdict.HELD, Verdict.AHEAD, Verdict.GOOD)


def test_the_only_gateway_ahead_is_refused_when_the_database_agrees_with_us() -> None:
    assert Plant().receive(off_us={"a": HOUR_US}, for_s=PROBATION_S + 2)["a"] is Verdict.AHEAD


def test_a_plant_that_is_ahead_is_held_as_long_as_it_is() -> None:
    plant = Plant()
    assert set(plant.receive(off_us={"a": HOUR_US, "b": HOUR_US, "c": 0}, for_s=600).values()) == {
        Verdict.HELD,
        Verdict.GOOD,
    }
    assert "gateways are ahead" in plant.bounds.holding
    plant.receive(off_us={"a": 0, "b": 0, "c": 0}, for_s=AHEAD_S + 5)
    assert plant.bounds.holding == ""


def test_a_minority_that_is_ahead_is_refused() -> None:
    plant = Plant()
    found = plant.receive(off_us={"a": HOUR_US, "b": HOUR_US, "c": 0, "d": 0, "e": 0}, for_s=20)
    assert (found["a"], found["b"], found["c"]) == (Verdict.AHEAD, Verdict.AHEAD, Verdict.GOOD)


def test_our_clock_steps_back_an_hour_under_a_running_plant() -> None:
    plant = Plant()
    plant.receive(off_us={"a": 0, "b": 0, "c": 0}, for_s=30)
    plant.clock.step(-HOUR_US)
    found: set[Verdict] = set()
    for _ in range(60):
        found |= set(plant.receive(off_us={"a": HOUR_US, "b": HOUR_US, "c": HOUR_US}, for_s=1).values())
    assert found == {Verdict.HELD}


def test_the_later_of_our_clock_and_the_databases_counts() -> None:
    plant = Plant()
    plant.bounds.compare(plant.clock.now_us() + HOUR_US)  # we are an hour behind
    assert plant.receive(off_us={"a": HOUR_US}, for_s=10)["a"] is Verdict.GOOD
    assert plant.receive(off_us={"a": 2 * HOUR_US}, for_s=600)["a"] is Verdict.HELD
    assert "database's clock differs" in plant.bounds.doubt
    plant.bounds.compare(plant.clock.now_us())  # ours was set right meanwhile


def test_a_clock_behind_the_last_commit_on_record_refuses_nobody() -> None:
    plant = Plant()
    plant.bounds.compare(plant.clock.now_us(), newest_commit_us=plant.clock.now_us() + 24 * HOUR_US)
    assert plant.receive(off_us={"a": 24 * HOUR_US}, for_s=600)["a"] is Verdict.HELD
    assert "behind the last commit" in plant.bounds.doubt


def test_a_gateway_that_was_set_right_may_be_wrong_again_later() -> None:
    plant = Plant()
    assert plant.receive(off_us={"a": HOUR_US}, for_s=10)["a"] is Verdict.AHEAD
    assert plant.receive(off_us={"a": 0}, for_s=AHEAD_S + 5)["a"] is Verdict.GOOD
    assert plant.receive(off_us={"a": HOUR_US}, for_s=2)["a"] is Verdict.HELD


def test_bounded_times_lie_between_2000_and_now() -> None:
    plant = Plant()
    now_us = plant.clock.now_us()
    assert plant.bounds.bounded(1 << 62) == now_us
    assert plant.bounds.bounded(-1) == 946_684_800_000_000
    assert plant.bounds.bounded(now_us - 5) == now_us - 5
