"""Sequences that changes run: which, when, because of what, and where nothing runs."""

from __future__ import annotations

from typing import Any

from nexus_cli.apply.acting import Acting, Ended, problem_of
from nexus_cli.plan.action_document import action_entries, action_lines
from nexus_cli.plan.actions import bound_sequences, hazards_of_actions, planned_actions, sequence_names
from nexus_cli.plan.change import Action, Change, TagChange
from nexus_cli.plan.stages import stages_of
from nexus_cli.wire.command import is_id

BOTH = {"before": "stop", "after": "start"}


def changed(
    name: str, *, keys: tuple[str, ...] = ("connection",), action: Action = Action.UPDATE, **more: Any
) -> Change:
    sides: dict[str, Any] = {
        "before": {"on_change": BOTH, "gateway": "g"},
        "after": {"on_change": BOTH, "gateway": "g"},
    }
    return Change(**{"action": action, "address": f"device.{name}", "keys": keys, **sides, **more})


def named(*changes: Change) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.when, one.sequence, one.because) for one in bound_sequences(changes)]


def test_a_sequence_runs_once_for_all_its_devices_and_what_stops_comes_first() -> None:
    found = named(changed("a/l/two"), changed("a/l/one"))
    assert found == [("before", "stop", ("a/l/one", "a/l/two")), ("after", "start", ("a/l/one", "a/l/two"))]


def test_before_is_on_record_and_after_is_declared() -> None:
    assert named(changed("a/l/one", before={"gateway": "g"})) == [("after", "start", ("a/l/one",))]
    assert named(changed("a/l/one", after={"gateway": "g"})) == [("before", "stop", ("a/l/one",))]
    assert named(changed("a/l/one", action=Action.FORGET, after=None)) == [("before", "stop", ("a/l/one",))]
    assert named(changed("a/l/one", action=Action.CREATE, before=None)) == []


def test_what_moves_nothing_runs_nothing() -> None:
    said = TagChange(action=Action.UPDATE, path="a/l/one/t", before={}, after={}, keys=("description",))
    assert named(changed("a/l/one", keys=("description", "labels", "on_change"), tags=(said,))) == []
    moved = TagChange(action=Action.UPDATE, path="a/l/one/t", before={}, after={}, keys=("address",))
    assert len(named(changed("a/l/one", keys=(), tags=(moved,)))) == 2
    assert len(named(changed("a/l/two", keys=(), action=Action.MOVE, previous_address="device.a/l/one"))) == 2


def test_the_stages_are_around_recording_and_observing() -> None:
    steps = [stage.step for stage in stages_of([changed("a/l/one")])]
    assert steps.index("before") < steps.index("record") < steps.index("observe") < steps.index("after")
    assert steps.index("after") < steps.index("finalise")


def test_the_plan_shows_steps_and_writes_of_the_side_that_runs() -> None:
    def sequence(value: int) -> dict[str, Any]:
        return {"sequence.stop": {"steps": [{"do": "write", "subject": "a/l/one/run", "value": value}]}}

    entries = action_entries(planned_actions([changed("a/l/one")], before=sequence(0), after=sequence(1)))
    assert [(one["sequence"], one["steps"], one["writes"]) for one in entries] == [
        ("stop", ["write a/l/one/run = 0"], ["a/l/one/run"]),
        ("start", [], []),
    ]
    text = list(action_lines(entries, lambda each, _: each))
    assert "  'stop' runs before a/l/one changes" in text and "      1. write a/l/one/run = 0" in text
    assert list(action_lines([], lambda each, _: each)) == []


def test_each_sequence_is_a_hazard_by_its_name() -> None:
    found = hazards_of_actions([changed("a/l/one")])
    assert [(one.name, one.scope, one.code) for one in found] == [
        ("runs-sequence", "stop", "NX4150"),
        ("runs-sequence", "start", "NX4150"),
    ]
    sides = {"device.a/l/one": {"on_change": BOTH}}
    assert list(sequence_names(sides, sides)) == ["stop", "start"]


def test_the_id_of_a_run_follows_from_the_deployment() -> None:
    def acting(name: str, when: str = "before", number: int = 7) -> str:
        return Acting(sequence=name, when=when, deployment=number, who="ann").run_id

    assert acting("stop") == acting("stop") == "deployment-7-before-stop"
    names = {
        acting("stop"),
        acting("stop", "after"),
        acting("stop", number=8),
        acting("s" * 200),
        acting("s" * 199 + "t"),
    }
    assert len(names) == 5 and all(is_id(name) and len(name) <= 100 for name in names)


def test_a_run_that_was_cut_is_not_known() -> None:
    assert problem_of(Ended(state="done")) == ""
    assert "not known how far it came" in problem_of(Ended(state="interrupted"))
    assert problem_of(Ended(state="refused", why="busy")) == "it was refused: busy"
