"""Discovery and probing on a serial Modbus line, at a pseudo-terminal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from nexus_cli.drivers.modbus import sunspec
from nexus_cli.drivers.modbus.simulator.serial import SerialSimulator, serve_serial
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.project.discover import Ask, discover, edit, write
from nexus_cli.project.probe import probe
from nexus_cli.project.text import load
from nexus_cli.settings import Settings
from tests.sunspec import inverter

SITE = "nexus: 1\nenterprise: acme\nsite: chicago\n"


def meter(unit: int) -> DeviceConfig:
    tag = TagConfig(
        type="float32",
        address="input:99",
        options={"order": "CDAB"},
        simulate={"signal": "constant", "value": 230.1},
    )
    connection = {"serial": "/dev/line", "unit_id": unit, "framing": "rtu"}
    return DeviceConfig(path=f"a/l/m{unit}", protocol="modbus", link="serial:", connection=connection, tags={"v": tag})


@asynccontextmanager
async def line() -> AsyncIterator[SerialSimulator]:
    """Two meters, and an inverter as unit 9."""
    roof = inverter(1)
    server = await serve_serial([meter(3), meter(5), replace(roof, connection={**meter(9).connection})])
    try:
        yield server
    finally:
        await server.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / ".nexus", site="acme/chicago")


async def test_who_is_on_this_bus(settings: Settings) -> None:
    async with line() as server:
        target = f"modbus://{server.device}?unit=1-4,9&baudrate=9600&parity=none&timeout=150ms"
        outcome = await discover(Ask(target=target), settings=settings, stop=asyncio.Event())
        assert outcome.value is not None
        facts = outcome.value.proposals[0].facts
        assert [one["unit"] for one in facts["units"]] == [3, 9]
        assert [one["sunspec"] for one in facts["units"]] == [False, True]
        assert [tuple(one) for one in outcome.value.proposals[0].skipped] == [
            (f"unit {unit}", "no answer in time") for unit in (1, 2, 4)
        ]
        assert facts["asked"] == 5
        assert not outcome.findings
        nobody = await discover(Ask(target=target.replace("1-4,9", "1-2")), settings=settings, stop=asyncio.Event())
        assert [item.code for item in nobody.findings] == ["NX6607"]


async def test_an_inverter_on_a_line_becomes_a_device(settings: Settings, tmp_path: Path) -> None:
    if sunspec.models_folder() is None:
        pytest.skip("pysunspec2 is not installed (pip install 'nexus-cli[discover]')")
    site = tmp_path / "site.yaml"
    site.write_text(SITE)
    async with line() as server:
        ask = Ask(target=f"modbus://{server.device}?unit=9&parity=none", into=site, at="plant/roof/inverter")
        found = (await discover(ask, settings=settings, stop=asyncio.Event())).value
        assert found is not None
        change = edit(found, ask, mode="merge").value
        assert change is not None
        write(change)
        loaded = load(site)
        assert loaded.ok, loaded.findings
        assert f"connection: {{serial: {server.device}, unit_id: 9, parity: none}}" in site.read_text().replace('"', "")


async def test_a_reading_is_found_on_a_line(settings: Settings) -> None:
    async with line() as server:
        outcome = await probe(
            f"modbus://{server.device}?unit=5&parity=none",
            address="holding:100",
            expected=230.1,
            tolerance="",
            around=3,
            settings=settings,
        )
    assert outcome.value is not None
    assert outcome.value[0].keys == {"address": "input:99", "type": "float32", "order": "CDAB"}
