"""Which runs of sequences a plan touches."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nexus_cli.model.snapshot import Snapshot
from nexus_cli.plan.diff import diff
from nexus_cli.plan.running import hazards_of_runs, touched
from nexus_cli.wire.control import Running, encode

RUN = Running(run="r1", name="warm-up", tags=("a/l/one/level", "a/l/one/go"), messages=("order",))


def device(**keys: Any) -> dict[str, Any]:
    tags = {"level": {"type": "uint16", "unit": "degC"}, "go": {"type": "bool"}, "other": {"type": "bool"}}
    return {"path": "a/l/one", "protocol": "modbus", "link": "tcp:x:502", "gateway": "gw", "tags": tags, **keys}


def changed(after: dict[str, Any] | None, *, moved: Any = (), **more: Any) -> tuple[str, ...]:
    before = Snapshot.of("acme", "chicago", {"device.a/l/one": device(), "message.order": {"topic": "x"}})
    resources: dict[str, Any] = {"message.order": {"topic": "x"}, **more}
    if after is not None:
        resources[f"device.{after['path']}"] = after
    return touched(diff(before, Snapshot.of("acme", "chicago", resources), moved=moved), RUN)


def tags(**levels: Any) -> dict[str, Any]:
    made = device()["tags"]
    return device(tags={**made, **{name: {**made.get(name, {}), **keys} for name, keys in levels.items()}})


@pytest.mark.parametrize(
    "after",
    [
        tags(level={"unit": "degF"}),
        tags(level={"publish_unit": "degF"}),
        tags(level={"scale": 0.1}),
        tags(level={"type": "int16"}),
        tags(level={"address": "holding:7"}),
        tags(level={"values": {"1": "on"}}),
        tags(level={"range": [0, 1]}),
        tags(level={"enabled": False}),
    ],
)
def test_what_changes_the_meaning_of_a_tag_touches_the_run(after: dict[str, Any]) -> None:
    assert changed(after) == ("a/l/one/level",)


@pytest.mark.parametrize(
    "after", [None, device(enabled=False), device(gateway="gw-2"), device(connection={"unit": 2}), device(link="x")]
)
def test_a_device_that_goes_or_is_reached_in_another_way_touches_it(after: dict[str, Any] | None) -> None:
    assert changed(after) == ("a/l/one/go", "a/l/one/level")


def test_a_tag_that_goes_or_moves_away_touches_it() -> None:
    left = {name: tag for name, tag in device()["tags"].items() if name != "go"}
    assert changed(device(tags=left)) == ("a/l/one/go",)
    renamed = device(path="a/l/two")
    assert changed(renamed, moved=[("a/l/one", "a/l/two")]) == ("a/l/one/go", "a/l/one/level")


@pytest.mark.parametrize(
    "after",
    [
        device(),
        device(description="new words", labels={"a": "b"}),
        tags(level={"description": "x", "deadband": 1.0, "retention": "long", "poll_ms": 50}),
        tags(other={"type": "int16"}),
        tags(fresh={"type": "int16"}),
    ],
)
def test_what_it_does_not_use_and_what_means_the_same_does_not(after: dict[str, Any]) -> None:
    assert changed(after) == ()


def test_a_message_that_it_publishes_touches_it() -> None:
    assert changed(device(), **{"message.order": {"topic": "y"}}) == ("message.order",)
    assert changed(device(), **{"message.more": {"topic": "y"}}) == ()


def test_the_hazard_says_which_run_and_what_happens() -> None:
    before = Snapshot.of("acme", "chicago", {"device.a/l/one": device()})
    changes = diff(before, Snapshot.of("acme", "chicago", {}), moved=())
    waits = Running(run="r1", name="warm-up", on_change="wait", tags=RUN.tags)
    (hazard,) = hazards_of_runs(changes, [waits, Running(run="r2", name="other", tags=("a/l/two/x",))])
    assert (hazard.name, hazard.code, hazard.scope) == ("running-sequence", "NX4106", "warm-up")
    assert "run r1" in hazard.message and "waits for its end" in hazard.message
    assert msgspec.json.decode(encode(waits), type=Running) == waits
