"""The shipped sites are clean, and hold what they promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_cli.checks import check
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.drivers.registry import kinds
from nexus_cli.model.bind import bind
from nexus_cli.model.bound import Model
from nexus_cli.model.resolve import snapshot_of
from nexus_cli.model.site import Inherited
from tests.sources import load_site

SITES = Path(__file__).parents[3] / "sites"


def load(name: str, env: str | None = None) -> tuple[Model, tuple[Diagnostic, ...]]:
    """A shipped site with everything found about it."""
    tree = load_site(SITES / name / "site.yaml", env=env, inherited=frozenset(Inherited.model_fields))
    bound = bind(tree.unwrap().root, kinds())
    found = [*tree.findings, *bound.findings, *check(bound.unwrap())]
    return bound.unwrap(), tree.unwrap().report(found)


@pytest.mark.parametrize(
    ("name", "env"),
    [("demo", None), ("demo", "prod"), ("meter-and-drive", None), ("boilers", None), ("plant-1000", None)],
)
def test_a_shipped_site_has_no_findings(name: str, env: str | None) -> None:
    model, findings = load(name, env)
    expected: list[str] = []
    assert [item.code for item in findings] == expected, findings
    assert model.devices


def test_the_demo_shows_what_the_language_can() -> None:
    model, _ = load("demo")
    assert {device.gateway for device in model.devices.values()} == {"gw-modbus", "gw-opcua"}
    assert {device.device.protocol for device in model.devices.values()} == {"modbus", "opcua"}
    assert len(model.links()) == 4
    assert any(device.device.calculated for device in model.devices.values())
    assert model.site.alerts and model.site.access.users
    assert all(link.split(":")[0] in ("tcp", "opc.tcp") and "127.0.0.1" in link for _, link in model.links())
    assert all(
        getattr(bound.tag, "simulate", None) for device in model.devices.values() for bound in device.tags.values()
    ), "a newcomer sees every value move"


def test_the_plant_has_its_thousand_devices() -> None:
    model, _ = load("plant-1000")
    count: dict[str, list[int]] = {}
    for device in model.devices.values():
        count.setdefault(device.device.protocol, []).append(len(device.tags))
    assert {name: (len(sizes), set(sizes)) for name, sizes in count.items()} == {
        "modbus": (800, {20}),
        "s7": (150, {100}),
        "opcua": (50, {200}),
    }
    assert sum(map(sum, count.values())) == 41_000
    assert len(model.links()) == 1000


def test_the_plant_is_what_its_generator_writes(tmp_path: Path) -> None:
    import importlib.util

    spec = importlib.util.spec_from_file_location("generate", SITES / "plant-1000" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.templates() == (SITES / "plant-1000" / "templates.yaml").read_text(encoding="utf-8")
    for number in range(10):
        file = SITES / "plant-1000" / "areas" / f"area-{number}.yaml"
        assert module.area(number) == file.read_text(encoding="utf-8")


def test_the_real_devices_have_their_registers() -> None:
    model, _ = load("meter-and-drive")
    meter, drive = model.devices["pumps/panel-1/meter"], model.devices["pumps/panel-1/drive"]
    assert len(meter.tags) == 81 and len(drive.tags) == 74
    addresses = {name: bound.address.text for name, bound in meter.tags.items() if bound.address}
    assert addresses["voltage-l1"] == "input:0"
    assert addresses["frequency"] == "input:70"
    assert addresses["total-active-energy"] == "input:342"
    assert addresses["total-reactive-energy-l3"] == "input:380"
    frequency = drive.tags["output-frequency"]
    assert frequency.address is not None and frequency.address.text == "holding:3202"
    assert (frequency.tag.type, getattr(frequency.tag, "scale", None), frequency.tag.unit) == ("int16", 0.1, "Hz")
    assert getattr(drive.connection, "max_read", None) == 8


def test_the_boilers_keep_their_node_ids() -> None:
    model, _ = load("boilers")
    boiler = model.devices["heating/boilers/boiler-2"]
    temperature = boiler.tags["current-temperature"].address
    assert temperature is not None
    assert temperature.text == "nsu=http://microsoft.com/Opc/OpcPlc/Boiler;i=6211"
    assert len(boiler.tags) > 100
    assert len(snapshot_of(model).resources["device.heating/boilers/boiler-1"]["tags"]) == 1
