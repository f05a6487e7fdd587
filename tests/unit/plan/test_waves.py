"""The waves of a plan."""

from __future__ import annotations

from typing import Any

from nexus_cli.model.rollouts import Rollout
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.change import Change
from nexus_cli.plan.diff import diff
from nexus_cli.plan.order import ordered
from nexus_cli.plan.waves import waves_of
from tests.unit.plan.test_targets import BEFORE, CAPPER, FILLER, TANK, device, site, tag

ROLLOUT = Rollout.model_validate(
    {
        "waves": [
            {"name": "canary", "devices": [FILLER], "soak": "10m"},
            {"name": "line-1", "devices": ["packaging/line-1"], "soak": "5m"},
        ]
    }
)


def changes(after: Snapshot, *, before: Snapshot = BEFORE, moved: Any = ()) -> tuple[Change, ...]:
    return ordered(diff(before, after, moved=moved))


def named(found: tuple[Change, ...]) -> list[tuple[str, list[str]]]:
    return [(wave.name, list(wave.addresses)) for wave in waves_of(found, ROLLOUT)]


def test_a_device_goes_with_the_first_wave_that_names_it_and_the_rest_is_last() -> None:
    after = site(*(device(path, labels={"a": "b"}) for path in (FILLER, CAPPER, TANK)), role__operator={"read": ["**"]})
    assert named(changes(after)) == [
        ("canary", [f"device.{FILLER}"]),
        ("line-1", [f"device.{CAPPER}"]),
        ("rest", ["role.operator", f"device.{TANK}"]),
    ]
    assert [(wave.soak_ms, wave.devices) for wave in waves_of(changes(after), ROLLOUT)] == [
        (600_000, (FILLER,)),
        (300_000, (CAPPER,)),
        (0, (TANK,)),
    ]


def test_waves_with_nothing_to_do_are_left_out() -> None:
    after = site(device(FILLER), device(CAPPER), device(TANK, labels={"a": "b"}))
    assert named(changes(after)) == [("rest", [f"device.{TANK}"])]


def test_a_gateway_comes_with_the_first_device_that_it_reads() -> None:
    after = site(device(FILLER), device(CAPPER, gateway="gw-2"), device(TANK, gateway="gw-2"))
    after = Snapshot.of("acme", "chicago", {**after.resources, "gateway.gw-2": {}})
    assert named(changes(after)) == [
        ("line-1", ["gateway.gw-2", f"device.{CAPPER}"]),
        ("rest", [f"device.{TANK}"]),
    ]


def test_nothing_goes_before_what_it_is_computed_from() -> None:
    inputs = {f"{TANK}/mass": f"{TANK}/mass"}
    tags = {"speed": tag(), "level": tag(address="holding:2")}
    after = site(
        device(FILLER, tags={**tags, "double": tag(expr="x", inputs=inputs)}),
        device(CAPPER),
        device(TANK, tags={**tags, "mass": tag()}),
    )
    ((name, addresses),) = named(changes(after))
    assert (name, sorted(addresses)) == ("rest", [f"device.{TANK}", f"device.{FILLER}"])


def test_an_alarm_comes_with_the_last_device_that_it_watches() -> None:
    def alarm(*paths: str) -> dict[str, Any]:
        expr = " or ".join("{" + path + "} > 1" for path in paths)
        return {"on_bad": "hold", "severity": "warning", "expr": expr}

    after = site(
        *(device(path, labels={"a": "b"}) for path in (FILLER, CAPPER, TANK)),
        alert__one=alarm(f"{FILLER}/speed"),
        alert__both=alarm(f"{FILLER}/speed", f"{CAPPER}/speed"),
    )
    assert [
        sorted(each for each in addresses if each.startswith("alert")) for _, addresses in named(changes(after))
    ] == [
        ["alert.one"],
        ["alert.both"],
        [],
    ]


def test_a_device_that_moves_belongs_to_the_wave_of_either_name() -> None:
    after = site(device("mixing/line-2/filler"), device(CAPPER), device(TANK))
    found = changes(after, moved=[(FILLER, "mixing/line-2/filler")])
    assert [each.previous_name for each in found] == [FILLER]
    assert named(found) == [("canary", ["device.mixing/line-2/filler"])]


def sequence(path: str, message: str) -> dict[str, Any]:
    steps = [{"do": "write", "subject": path, "value": 1}, {"do": "publish", "subject": message}]
    return {"steps": steps}


def test_a_sequence_comes_with_the_first_device_that_runs_it_with_its_message_and_another_one_last() -> None:
    after = site(
        device(FILLER, on_change={"before": "stop", "after": "start"}),
        device(CAPPER, on_change={"before": "stop", "after": "start"}),
        device(TANK),
        sequence__start=sequence(f"{FILLER}/speed", "started"),
        sequence__stop=sequence(f"{FILLER}/speed", "stopped"),
        sequence__wash=sequence(f"{FILLER}/speed", "washed"),
        **{f"message__{name}": {"schema": {}} for name in ("started", "stopped", "washed")},
    )
    found = dict(named(changes(after)))
    assert set(found["canary"]) == {
        f"device.{FILLER}",
        "sequence.start",
        "sequence.stop",
        "message.started",
        "message.stopped",
    }
    assert found["line-1"] == [f"device.{CAPPER}"]
    assert set(found["rest"]) == {"sequence.wash", "message.washed"}


def test_a_device_waits_for_the_device_that_its_sequence_writes() -> None:
    tags = {"speed": tag(), "level": tag(address="holding:2"), "stop": tag(address="holding:4")}
    after = site(
        device(FILLER, on_change={"before": None, "after": "start"}),
        device(CAPPER, labels={"a": "b"}),
        device(TANK, tags=tags),
        sequence__start=sequence(f"{TANK}/stop", "started"),
    )
    assert [(name, set(addresses)) for name, addresses in named(changes(after))] == [
        ("line-1", {f"device.{CAPPER}"}),
        ("rest", {f"device.{FILLER}", f"device.{TANK}", "sequence.start"}),
    ]
