"""What tests of importers share: a file's text, and a site that holds everything a discovery found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from nexus_cli.diagnostics import Diagnostic
from nexus_cli.discover.found import Discovery
from nexus_cli.discover.importers import ImportOptions, import_file
from nexus_cli.discover.propose import propose
from nexus_cli.drivers.registry import kinds
from nexus_cli.project.text import read


def imported(folder: Path, name: str, text: str | bytes, **options: Any) -> list[Discovery]:
    """Write a file and import it; it must be readable."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    outcome = import_file(path, options=ImportOptions(**options))
    assert outcome.value is not None, outcome.findings
    for discovery in outcome.value:
        assert_counted(discovery)
    return outcome.value


def refused(folder: Path, name: str, text: str | bytes, **options: Any) -> Diagnostic:
    """Write a file whose import must fail, and give its one finding."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    outcome = import_file(path, options=ImportOptions(**options))
    assert outcome.value is None
    assert len(outcome.findings) == 1
    return outcome.findings[0]


def assert_counted(discovery: Discovery) -> None:
    """What came in is found or skipped, every one with a name and a reason; nothing is writable."""
    facts = discovery.facts
    assert facts["in"] == len(discovery.found) + len(discovery.skipped)
    assert facts["values"] >= facts["entries"]
    assert all(skipped.what and skipped.reason for skipped in discovery.skipped)
    assert all(found.name and "writable" not in found.tag for found in discovery.found)


def by_name(discovery: Discovery) -> dict[str, dict[str, Any]]:
    """Keys of every tag by its original name."""
    return {"/".join(found.name): found.tag for found in discovery.found}


def reasons(discovery: Discovery) -> dict[str, str]:
    """Reason by what was skipped."""
    return {skipped.what: skipped.reason for skipped in discovery.skipped}


def site_errors(folder: Path, discoveries: list[Discovery]) -> list[Diagnostic]:
    """Errors of a site that holds every device of the discoveries; what a file need not say of a connection is added."""
    devices: dict[str, Any] = {}
    tags = 0
    for number, discovery in enumerate(discoveries):
        for proposed in propose(discovery).devices:
            head = dict(proposed.head)
            head["connection"] = {**kinds()[discovery.protocol].stand_in, **discovery.connection}
            if discovery.protocol == "modbus":
                head["connection"]["host"] = f"device-{len(devices)}"  # settings of a shared link may differ by file
            elif discovery.protocol == "opcua":
                head["connection"]["endpoint"] = f"opc.tcp://device-{len(devices)}:4840"
            elif discovery.protocol in ("s7", "ads"):
                head["connection"]["host"] = f"device-{len(devices)}"
            name = f"{proposed.place or 'device'}-{number}"
            tags += len(proposed.tags)
            devices[name] = {**head, "tags": {tag.name: tag.keys for tag in proposed.tags}}
    site = {
        "nexus": 1,
        "enterprise": "acme",
        "site": "test",
        "areas": {"area": {"lines": {"line": {"devices": devices}}}},
    }
    path = folder / "site.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(site, file)
    reading = read(path)
    errors = [item for item in reading.findings if item.severity == "error"]
    if not errors:
        assert reading.model is not None
        assert sum(len(device.tags) for device in reading.model.devices.values()) == tags
        assert tags == sum(len(discovery.found) for discovery in discoveries)
    return errors
