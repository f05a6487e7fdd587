"""`nexus explain PATH --lineage`: a calculated tag of the demo site down to the nodes of its device, and the way back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from nexus_cli.cli.main import cli

ROOT = Path(__file__).parents[3]
SPACE = "nexus://acme/springfield"
UNITS = "bottling/line-2/pasteuriser/pasteurisation-units"


def lineage(path: str, *, site: str = "demo") -> dict[str, Any]:
    """The events by job."""
    arguments = ["explain", path, "--lineage", "--site", str(ROOT / "sites" / site)]
    result = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert result.exception is None, result.output
    events = json.loads(result.stdout)
    return {event["job"]["name"]: event for event in events}


def names(event: dict[str, Any], side: str) -> set[tuple[str, str]]:
    return {(one["namespace"], one["name"]) for one in event[side]}


def test_a_calculated_tag_goes_down_to_the_nodes_of_its_device() -> None:
    found = lineage(UNITS)
    inputs = {(SPACE, f"bottling/line-2/pasteuriser/{name}") for name in ("holding-time", "product-temperature")}
    assert names(found[f"calculate {UNITS}"], "inputs") == inputs
    for name, node in (("holding-time", "HoldingTime"), ("product-temperature", "Temperature")):
        read = found[f"read bottling/line-2/pasteuriser/{name}"]
        assert names(read, "outputs") == {(SPACE, f"bottling/line-2/pasteuriser/{name}")}
        ((namespace, address),) = names(read, "inputs")
        assert namespace.startswith("opcua://") and node in address
    assert names(found[f"record {UNITS}"], "outputs") == {(f"{SPACE}/historian", f"nexus.sample/{UNITS}")}


def test_a_calculated_tag_of_a_modbus_device_goes_down_to_its_registers() -> None:
    found = lineage("pumps/panel-1/drive/slip", site="meter-and-drive")
    assert list(found) == [
        "calculate pumps/panel-1/drive/slip",
        "read pumps/panel-1/drive/frequency-reference-via-bus",
        "read pumps/panel-1/drive/output-frequency",
        "record pumps/panel-1/drive/slip",
    ]
    link = "modbus://tcp:127.0.0.1:15022"
    assert [names(event, "inputs") for event in found.values()][1:3] == [
        {(link, "holding:8502")},
        {(link, "holding:3202")},
    ]


def test_a_tag_says_what_is_made_of_it() -> None:
    found = lineage("bottling/line-2/pasteuriser/holding-time")
    assert f"calculate {UNITS}" in found
