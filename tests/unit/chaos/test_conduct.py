"""Commands, resources and the live view: each planted fault is found."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.chaos.conduct import Command, Life, contradictions, judged, leaks, strays, unended, unprovoked_letters


@pytest.mark.parametrize(
    ("answers", "row", "writes", "sound"),
    [
        (("done",), "done", 1, True),
        (("done",), "done", 2, False),
        (("done",), "done", 0, False),
        (("done",), None, 1, False),
        (("done",), "unknown", 1, False),
        (("done", "refused"), "done", 1, False),
        (("refused",), "refused", 0, True),
        (("refused",), "refused", 1, False),
        (("unknown",), "unknown", 1, True),
        (("unknown",), "unknown", 0, True),
        (("failed",), "failed", 0, True),
        ((), None, 0, True),
        ((), "unknown", 1, True),
        ((), None, 1, False),
        ((), "done", 2, False),
    ],
)
def test_commands(answers: tuple[str, ...], row: str | None, writes: int, sound: bool) -> None:
    one = Command(id="q1", answers=answers, row=row, writes=writes)
    assert (contradictions([one]) == []) is sound


def test_deployments_that_did_not_end() -> None:
    assert unended([]) == unended(["applied", "partly", "failed", "applied"]) == unended(["nothing", "partly"]) == []
    assert unended(["applied", "running", "applied"]) == ["deployment 2 is still running"]
    assert unended(["running"]) == ["deployment 1 is still running"]


def test_dead_letters_need_a_fault_that_causes_them() -> None:
    assert unprovoked_letters({}, ["kill"]) == []
    assert unprovoked_letters({"ahead_of_time": 3}, ["kill", "clock"]) == []
    assert unprovoked_letters({"ahead_of_time": 3}, ["kill"]) == ["3 ahead_of_time"]
    assert unprovoked_letters({"conflicting_value": 1}, ["clock", "broken"]) == ["1 conflicting_value"]


def life(what: str, values: Sequence[float], *, every_s: float = 10.0) -> Life:
    """Samples at equal distances."""
    return Life(name="gw", samples={what: [(at * every_s, value) for at, value in enumerate(values)]})


def test_leaks() -> None:
    assert leaks([life("descriptors", [20 + at for at in range(60)])])
    assert not leaks([life("descriptors", [20, 40, 60] + [25] * 60)]), "the beginning does not count"
    assert not leaks([life("descriptors", [20, 500])]), "too short a life to say"
    assert leaks([life("tasks", [30 + at for at in range(60)])])
    assert not leaks([life("tasks", [30 + at % 15 for at in range(60)])]), "work that comes and goes"
    assert leaks([life("backends", [9 + at / 4 for at in range(60)])])
    assert not leaks([life("backends", [9, 12, 10] * 20)])
    assert leaks([life("memory_mb", [100 + at for at in range(400)])])
    assert leaks([life("memory_mb", [100 + at for at in range(70)])])
    assert not leaks([life("memory_mb", [100 + at for at in range(50)])]), "memory is judged over ten minutes"
    assert not leaks([life("memory_mb", [100 + at / 4 for at in range(70)])]), "buffers that find their size"
    assert leaks([life("memory_mb", [100 + at / 4 for at in range(400)])]), "and go on"
    assert not leaks([life("memory_mb", [100 + at / 100 for at in range(400)])])


def test_lives_that_are_too_short_are_not_counted_as_judged() -> None:
    lives = [life("tasks", [30] * 60), life("tasks", [30] * 15), life("memory_mb", [90] * 50)]
    assert judged(lives) == {"tasks": 1}
    assert judged([life("memory_mb", [90] * 200)]) == {"memory_mb": 1}


def test_strays() -> None:
    assert strays({"a": 1, "b": None}, {"a": 1, "b": None}) == []
    assert strays({"a": 1}, {"a": 2}) == ["a: live 1, last row 2"]
    assert strays({"a": 1}, {"a": None}) == ["a: live 1, last row None"]
    assert strays({"z": 1}, {"a": 1}) == ["a: no live value", "z: a live value of no tag"]
