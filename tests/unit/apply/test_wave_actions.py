"""Sequences around the waves of a rollout: each wave runs those of its own devices, under ids of its own deployment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nexus_cli.apply.acting import Acting
from nexus_cli.apply.run import StoredPlan
from nexus_cli.apply.waves import part_of, undone, work_of
from nexus_cli.model.config import digest
from nexus_cli.plan.dependencies import needs_of
from nexus_cli.plan.stages import stages_of

ONE, TWO, THREE = (f"device.a/l/{name}" for name in ("one", "two", "three"))


def device(gateway: str, *, before: str = "stop", after: str = "start") -> dict[str, Any]:
    return {"gateway": gateway, "on_change": {"before": before, "after": after}}


def whole() -> StoredPlan:
    changed = {ONE: device("h"), TWO: device("h", before="drain", after="fill"), THREE: None}
    return StoredPlan(
        changed=changed,
        before={ONE: device("g"), TWO: device("g"), THREE: device("g")},
        digests={address: digest(value) for address, value in changed.items() if value is not None},
        moved=[],
        allow=[],
    )


def ran(plan: StoredPlan, *, deployment: int) -> list[tuple[str, Sequence[str]]]:
    """The ids of the runs of a wave and the devices that they are for, in order."""
    return [
        (Acting(sequence=each.subject, when=each.step, deployment=deployment, who="ann").run_id, each.paths)
        for each in stages_of(work_of(plan).changes)
        if each.step in ("before", "after")
    ]


def test_each_wave_runs_the_sequences_of_its_own_devices_only() -> None:
    plan = whole()
    assert ran(part_of(plan, [ONE]), deployment=7) == [
        ("deployment-7-before-stop", ("a/l/one",)),
        ("deployment-7-after-start", ("a/l/one",)),
    ]
    assert ran(part_of(plan, [TWO]), deployment=8) == [
        ("deployment-8-before-stop", ("a/l/two",)),
        ("deployment-8-after-fill", ("a/l/two",)),
    ]
    assert ran(part_of(plan, [THREE]), deployment=9) == [("deployment-9-before-stop", ("a/l/three",))]


def test_no_two_waves_share_a_run() -> None:
    plan = whole()
    ids = [
        run
        for number, address in enumerate((ONE, TWO, THREE), 7)
        for run, _ in ran(part_of(plan, [address]), deployment=number)
    ]
    assert len(ids) == len(set(ids)) == 5


def test_taking_a_wave_back_runs_the_sequences_the_other_way_round() -> None:
    wave = part_of(whole(), [TWO])
    back = undone(wave, {TWO: digest(device("g"))})
    assert ran(back, deployment=10) == [
        ("deployment-10-before-drain", ("a/l/two",)),
        ("deployment-10-after-start", ("a/l/two",)),
    ]


def test_a_device_needs_the_sequence_that_its_change_runs() -> None:
    sequence = "sequence.start"
    plan = StoredPlan(
        changed={ONE: device("h"), sequence: {"steps": []}, "sequence.other": {"steps": []}},
        before={ONE: device("g")},
        digests={},
        moved=[],
        allow=[],
    )
    assert [(each.address, each.needs, each.because) for each in needs_of(work_of(plan).changes)] == [
        (ONE, sequence, "sequence start runs when it changes")
    ]


def test_a_sequence_goes_with_the_device_that_used_it_not_before() -> None:
    sequence = "sequence.stop"
    plan = StoredPlan(
        changed={ONE: {"gateway": "g"}, sequence: None},
        before={ONE: device("g"), sequence: {"steps": []}},
        digests={},
        moved=[],
        allow=[],
    )
    assert [(each.address, each.needs) for each in needs_of(work_of(plan).changes)] == [(sequence, ONE)]


def test_a_rename_is_one_only_in_the_wave_that_has_both_paths() -> None:
    moved = "device.a/l/moved"
    tagged = {**device("g"), "tags": {"t": {"address": "1"}}}
    plan = StoredPlan(
        changed={ONE: None, moved: tagged, TWO: device("h")},
        before={ONE: tagged, TWO: device("g")},
        digests={moved: digest(tagged), TWO: digest(device("h"))},
        moved=[("a/l/one", "a/l/moved")],
        allow=[],
    )

    def kinds(*addresses: str) -> list[tuple[str, str, str | None]]:
        found = work_of(part_of(plan, addresses)).changes
        return [(each.action.value, each.address, each.previous_address) for each in found]

    assert kinds(ONE, moved) == [("move", moved, ONE)]
    assert kinds(TWO) == [("update", TWO, None)]
