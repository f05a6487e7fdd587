"""What a plan needs that control can't reach, and whether it may begin without it."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.plan.change import Change
from nexus_cli.plan.unreachable import needed_gateways, refusal_words, unreachable
from tests.unit.plan.test_measured import device, plan_of

BOUND: dict[str, Any] = {"on_change": {"before": "stop"}}
AWAY = "The broker at mqtt://plant:1883 can't be reached."


def changes(*, bound: bool = False, gateway: str = "gw-1", after: dict[str, Any] | None = None) -> tuple[Change, ...]:
    keys = BOUND if bound else {}
    before = device("a/l/one", "a", **keys)
    return plan_of([before], [after or device("a/l/one", "a", "b", gateway=gateway, **keys)]).changes


def test_without_the_broker_nothing_that_a_gateway_has_to_take_up_begins() -> None:
    (found,) = unreachable(changes(), broker=AWAY, states={"gw-1": "running"})
    assert (found.gateways, found.refused) == (("gw-1",), True)
    assert found.text == (
        "control is not connected to the broker, so that it can't reach gateway gw-1: "
        "The broker at mqtt://plant:1883 can't be reached"
    )
    assert refusal_words([found]).startswith("Control is not connected to the broker")
    assert refusal_words([found]).endswith(": nothing changed.")
    two = unreachable(changes(gateway="gw-2"), broker=AWAY, states={}, undoes=True)
    assert needed_gateways(changes(gateway="gw-2")) == ("gw-1", "gw-2")
    assert "gateways gw-1, gw-2:" in two[0].text and two[0].refused, "what takes something back needs the broker, too"


def test_what_needs_no_broker_begins_without_it() -> None:
    only = plan_of([device("a/l/one", "a")], [device("a/l/one", "a")], retention__long={"keep_ms": 1}).changes
    assert only and unreachable(only, broker=AWAY, states={}) == ()


@pytest.mark.parametrize(
    ("state", "words"),
    [("lost", "gw-1 is lost"), ("stopping", "gw-1 was stopped"), ("", "gw-1 has never reported")],
)
def test_no_sequence_stops_a_machine_for_a_gateway_that_does_not_run(state: str, words: str) -> None:
    (found,) = unreachable(changes(bound=True), broker="", states={"gw-1": state})
    assert found.refused and words in found.text and "sequence 'stop' would run" in found.text
    assert [
        each.refused for each in unreachable(changes(bound=True), broker="", states={"gw-1": state}, undoes=True)
    ] == [False] * bool(state), "what takes something back is not held"
    assert unreachable(changes(bound=True), broker="", states={"gw-1": "running"}) == ()


def test_the_gateway_that_counts_is_the_one_that_reads_the_device_afterwards() -> None:
    moved = changes(bound=True, gateway="gw-2")
    (found,) = unreachable(moved, broker="", states={"gw-1": "lost", "gw-2": "running"})
    assert found.gateways == ("gw-1",) and not found.refused, "away from a gateway that died is how one repairs it"
    (found, _) = unreachable(moved, broker="", states={"gw-1": "lost", "gw-2": "lost"})
    assert found.gateways == ("gw-2",) and found.refused


def test_without_a_sequence_a_gateway_takes_its_configuration_when_it_runs_again() -> None:
    (found,) = unreachable(changes(), broker="", states={"gw-1": "lost"})
    assert not found.refused and found.text == "gateway gw-1 is lost: it takes the change up when it runs again"
    assert refusal_words([found]) == ""
    assert unreachable(changes(), broker="", states={}) == (), "one that was never started is no news"
