"""`nexus sim`: real servers from a site file, and an overlay that leads to them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.diagnostics import NexusError
from nexus_cli.drivers import registry
from nexus_cli.drivers.base import points_of
from nexus_cli.model.config import DeviceConfig, TagConfig, device_from_json
from nexus_cli.project.simulate import MARK, Simulation, overlay_of, serving, write_overlay
from nexus_cli.project.text import load
from tests.children import hearing_signals
from tests.waiting import PATIENCE_S

SITE = """\
nexus: 1
enterprise: acme
site: chicago
areas:
  packaging:
    lines:
      line-1:
        devices:
          meter-1:
            protocol: modbus
            connection: {host: 10.0.0.9, unit_id: 3}
            tags:
              voltage: {address: "input:0", type: float32, simulate: {signal: constant, value: 230.5}}
              level: {address: "holding:4", type: uint16, simulate: {signal: csv, file: level.csv, period: 1h}}
          meter-2:
            protocol: modbus
            connection: {host: 10.0.0.9, unit_id: 4}
            tags:
              voltage: {address: "input:0", type: float32, simulate: {signal: constant, value: 231.5}}
          plc:
            protocol: s7
            connection: {host: 10.0.0.7}
            tags:
              speed: {address: "DB1.DBD0", type: float32, simulate: {signal: constant, value: 12.5}}
          scale: {protocol: external, tags: {weight: {type: float64}}}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    (tmp_path / "level.csv").write_text("level\n42\n", encoding="utf-8")
    return tmp_path


@asynccontextmanager
async def running(site: Path, *arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Any]]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "nexus_cli", "sim", str(site), "--format", "json", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        **hearing_signals(),
    )
    assert process.stdout is not None
    try:
        text = b""
        async with asyncio.timeout(PATIENCE_S):
            while line := await process.stdout.readline():
                text += line
                if line == b"}\n":
                    break
        yield process, json.loads(text)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def read(device: DeviceConfig) -> dict[str, Any]:
    driver = registry.driver(device.protocol)
    session = await driver.connect([device], home=".")
    try:
        found: dict[str, Any] = {}
        for request in driver.group(device, points_of(device)):
            result = await session.read(request)
            found |= {point.name: value for point, value in zip(request.points, result.values, strict=True)}
        return found
    finally:
        await session.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
async def test_a_site_is_served_and_reached_through_the_overlay(site: Path, number: signal.Signals) -> None:
    overlay = site / "env" / "sim.yaml"
    async with running(site, "--overlay", str(overlay)) as (process, answer):
        plc, meters = answer["links"]
        assert (plc["link"], plc["devices"]) == ("s7:10.0.0.7:102/0.1", ["packaging/line-1/plc"])
        assert meters["link"] == "tcp:10.0.0.9:502"
        assert plc["moved"]
        assert meters["moved"]
        assert meters["devices"] == ["packaging/line-1/meter-1", "packaging/line-1/meter-2"]
        assert answer["skipped"] == {"others publish them": ["packaging/line-1/scale"]}
        loaded = load(site, env="sim")
        assert loaded.value is not None, loaded.findings
        devices = {name: device_from_json(value) for name, value in loaded.value.snapshot.of_kind("device")}
        assert await read(devices["packaging/line-1/meter-1"]) == {"voltage": 230.5, "level": 42}
        assert await read(devices["packaging/line-1/meter-2"]) == {"voltage": 231.5}
        assert await read(devices["packaging/line-1/plc"]) == {"speed": 12.5}
        process.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 0


async def test_it_ends_by_itself_after_its_duration(site: Path) -> None:
    async with running(site, "--duration", "100ms") as (process, _):
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 0


async def test_links_of_this_machine_are_served_where_the_site_says() -> None:
    tag = TagConfig(type="uint16", address="holding:0")
    probe = DeviceConfig(path="a/l/d", protocol="modbus", link="x", connection={"host": "127.0.0.1"}, tags={"t": tag})
    async with serving([probe]) as simulation:
        port = simulation.links[0].server.port
        assert simulation.links[0].moved
        taken = DeviceConfig(
            path="a/l/e", protocol="modbus", link="y", connection={"host": "localhost", "port": port}, tags={"t": tag}
        )
        async with serving([taken]) as second:
            assert second.links[0].moved, "the port is taken"
    async with serving([taken]) as third:
        assert not third.links[0].moved
        assert third.links[0].server.port == port
        assert overlay_of(third) == {}


async def test_a_site_of_its_own_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "prod.yaml"
    file.write_text("areas: {}\n")
    with pytest.raises(NexusError, match="was not written by"):
        write_overlay(Simulation(links=(), skipped={}), file)
    assert file.read_text() == "areas: {}\n"
    file.write_text(MARK + "areas: {}\n")
    write_overlay(Simulation(links=(), skipped={}), file)


async def test_a_missing_csv_is_one_plain_sentence() -> None:
    tag = TagConfig(type="uint16", address="holding:0", simulate={"signal": "csv", "file": "/none.csv"})
    device = DeviceConfig(path="a/l/d", protocol="modbus", link="tcp:h:1", connection={"host": "h"}, tags={"t": tag})
    with pytest.raises(NexusError, match=r"tcp:h:1 can't be simulated: .*/none\.csv"):
        async with serving([device]):
            pass
