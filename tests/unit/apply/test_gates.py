"""The gates of a wave: what was measured, and whether that is good enough."""

from __future__ import annotations

import pytest

from nexus_cli.apply.gates import Measured, Polls, failed, judged
from nexus_cli.wire.control_rollouts import Verdict
from nexus_cli.wire.device_reads import DeviceReads
from nexus_cli.wire.rollout import Gates

NOTHING = Measured()


def tags(good: int, bad: int = 0, missing: int = 0) -> Measured:
    qualities = ["GOOD"] * good + ["BAD"] * bad + [""] * missing
    return Measured(good={f"a/l/d/t{number}": quality for number, quality in enumerate(qualities)})


def only(gates: Gates, before: Measured, after: Measured) -> Verdict:
    (found,) = judged(gates, before, after)
    return found


@pytest.mark.parametrize(
    ("before", "after", "state"),
    [
        (tags(100), tags(99, 1), "passed"),
        (tags(100), tags(98, 2), "failed"),
        (tags(100), tags(98, 0, 2), "failed"),
        (tags(50, 50), tags(50, 50), "passed"),  # no worse than before
        (tags(50, 50), tags(49, 51), "failed"),
        (NOTHING, tags(50, 50), "failed"),  # a new device has no excuse
        (NOTHING, NOTHING, "not-applicable"),
    ],
)
def test_good_values(before: Measured, after: Measured, state: str) -> None:
    assert only(Gates(good=0.99), before, after).state == state


def test_a_tag_that_was_good_is_not_made_up_for_by_another_one() -> None:
    before = Measured(good={"a": "GOOD", "b": "BAD"})
    found = only(Gates(good=1.0), before, Measured(good={"a": "BAD", "b": "GOOD"}))
    assert found.state == "failed"
    assert found.text == "1 of 2 tags GOOD (50%), 100% is asked for: a BAD"


def test_values_that_can_not_be_read_have_failed() -> None:
    found = only(Gates(good=0.1), tags(1), Measured(problem="The broker is away."))
    assert (found.state, found.after) == ("failed", None)
    assert found.text == "GOOD values could not be read: The broker is away."


@pytest.mark.parametrize(
    ("before", "after", "state"),
    [
        ({}, {"d": Polls(done=99, missed=1)}, "passed"),
        ({}, {"d": Polls(done=98, missed=2)}, "failed"),
        ({"d": Polls(done=100, missed=50)}, {"d": Polls(done=200, missed=50)}, "passed"),  # they were missed before
        ({"d": Polls(done=100, missed=0)}, {"d": Polls(done=100, missed=0)}, "failed"),  # none since: not measured
        (
            {"d": Polls(done=500, missed=9)},
            {"d": Polls(done=10, missed=0)},
            "passed",
        ),  # configured anew: counted from 0
        ({}, {}, "not-applicable"),
    ],
)
def test_missed_polls(before: dict[str, Polls], after: dict[str, Polls], state: str) -> None:
    found = only(Gates(missed_polls=0.01), Measured(polls=before), Measured(polls=after))
    assert found.state == state


def test_a_polled_device_of_which_nothing_is_said_has_failed() -> None:
    found = only(Gates(missed_polls=0.5), NOTHING, Measured(unheard=["a/l/d"]))
    assert (found.state, found.text) == ("failed", "no polls were counted of a/l/d")


def test_cycles_of_a_back_off_are_missed_too() -> None:
    assert Polls.of(DeviceReads(polls=5, missed=1, skipped=2)) == Polls(done=5, missed=3)


@pytest.mark.parametrize(
    ("limit", "names", "state"),
    [
        (0, [], "passed"),
        (0, ["hot"], "failed"),
        (2, ["hot", "wet"], "passed"),
        (1, ["hot", "wet"], "failed"),
        (9, None, "failed"),
    ],
)
def test_alarms(limit: int, names: list[str] | None, state: str) -> None:
    assert only(Gates(alarms=limit), NOTHING, Measured(alarms=names)).state == state


def test_only_what_is_asked_for_is_judged_in_one_order() -> None:
    found = judged(Gates(good=1.0, missed_polls=0.0, alarms=0), tags(2), tags(1, 1))
    assert [each.gate for each in found] == ["good", "missed_polls", "alarms"]
    assert [each.gate for each in failed(found)] == ["good", "alarms"]
    assert judged(Gates(), tags(2), tags(0, 2)) == ()
