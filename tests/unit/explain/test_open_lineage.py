"""Lineage as OpenLineage events: a calculated tag down to its registers, who takes it, and what a caller may not see."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from nexus_cli.explain.open_lineage import Plant, lineage_events
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.procedure_config import SequenceConfig, StepConfig
from nexus_cli.model.resources import AlertConfig
from nexus_cli.wire.topic import Topics

DRIVE = DeviceConfig(
    path="a/l/drive",
    protocol="modbus",
    link="tcp:10.0.0.5:502",
    gateway="g",
    owner="energy team",
    labels={"cell": "4"},
    tags={
        "volts": TagConfig(type="float32", address="holding:1", unit="V", description="Supply"),
        "amps": TagConfig(
            type="float32", address="holding:3", owner="maintenance", classification="restricted", pii=True
        ),
        "power": TagConfig(
            type="float64", expr="volts * amps", inputs={"volts": "a/l/drive/volts", "amps": "a/l/drive/amps"}
        ),
        "dear": TagConfig(type="bool", expr="power > 5", inputs={"power": "a/l/drive/power"}),
    },
)
SCALE = DeviceConfig(path="a/l/scale", protocol="external", tags={"weight": TagConfig(type="float64")})
DEVICES = {DRIVE.path: DRIVE, SCALE.path: SCALE}


def plant(*, hidden: Collection[str] = ()) -> Plant:
    return Plant(
        topics=Topics("acme", "plant"),
        device=DEVICES.get,
        may_read=lambda path: path not in hidden,
        users=lambda path: [
            f"{device.path}/{name}"
            for device in DEVICES.values()
            for name, tag in device.tags.items()
            if path in tag.inputs.values()
        ],
        alerts=[("too-much", AlertConfig(tag="a/l/drive/power", above=5.0))],
        sequences=[
            (
                "start",
                SequenceConfig(
                    requires=["{a/l/drive/power} < 1"], steps=[StepConfig(do="write", subject="a/l/drive/volts")]
                ),
            )
        ],
    )


def by_job(path: str, *, hidden: Collection[str] = ()) -> dict[str, Any]:
    events = lineage_events(plant(hidden=hidden), path, now_us=1_000_000)
    assert all(one["eventTime"] == "1970-01-01T00:00:01+00:00" for one in events)
    assert all(one["schemaURL"].endswith("#/$defs/JobEvent") for one in events)
    return {one["job"]["name"]: one for one in events}


def names(datasets: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one["namespace"], one["name"]) for one in datasets]


SPACE = "nexus://acme/plant"


def test_a_calculated_tag_goes_down_to_its_registers() -> None:
    found = by_job("a/l/drive/dear")
    assert list(found) == [
        "calculate a/l/drive/dear",
        "calculate a/l/drive/power",
        "read a/l/drive/volts",
        "read a/l/drive/amps",
        "record a/l/drive/dear",
    ]
    read = found["read a/l/drive/volts"]
    assert names(read["inputs"]) == [("modbus://tcp:10.0.0.5:502", "holding:1")]
    assert names(read["outputs"]) == [(SPACE, "a/l/drive/volts")]
    assert names(found["calculate a/l/drive/power"]["inputs"]) == [
        (SPACE, "a/l/drive/volts"),
        (SPACE, "a/l/drive/amps"),
    ]
    assert names(found["record a/l/drive/dear"]["outputs"]) == [(f"{SPACE}/historian", "nexus.sample/a/l/drive/dear")]


def test_who_takes_a_tag() -> None:
    found = by_job("a/l/drive/power")
    assert {"record a/l/drive/power", "calculate a/l/drive/dear", "alert too-much", "sequence start"} <= set(found)
    assert names(found["sequence start"]["outputs"]) == [(SPACE, "a/l/drive/volts")]


def test_owner_class_and_labels_are_facets() -> None:
    facets = by_job("a/l/drive/amps")["read a/l/drive/amps"]["outputs"][0]["facets"]
    assert facets["ownership"]["owners"] == [{"name": "maintenance", "type": "OWNER"}]
    assert {one["key"]: one["value"] for one in facets["tags"]["tags"]} == {
        "cell": "4",
        "classification": "restricted",
        "pii": "true",
    }
    volts = by_job("a/l/drive/volts")["read a/l/drive/volts"]["outputs"][0]["facets"]
    assert volts["documentation"]["description"] == "Supply"
    assert volts["schema"]["fields"] == [{"name": "volts", "type": "float32", "description": "V"}]
    assert volts["ownership"]["owners"][0]["name"] == "energy team"


def test_what_a_caller_may_not_read_is_in_no_event() -> None:
    events = lineage_events(plant(hidden={"a/l/drive/amps"}), "a/l/drive/power", now_us=0)
    assert "amps" not in str(events)
    assert "volts" in str(events)


def test_a_tag_of_others_comes_from_its_topic() -> None:
    event = by_job("a/l/scale/weight")["take a/l/scale/weight"]
    assert names(event["inputs"]) == [("mqtt://acme", "acme/plant/a/l/scale/weight")]
