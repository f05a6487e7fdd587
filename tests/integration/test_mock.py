"""A mock: links lead to simulators and to nothing else, in every protocol; the simulator may be killed at any moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from nexus_cli.drivers.base import DriverError, points_of
from nexus_cli.drivers.registry import kinds
from nexus_cli.drivers.simulation.mock_links import MockFolder
from nexus_cli.local.simulator import LinkServers, load_simulators
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.gateway import mocked
from nexus_cli.runtime.gateway.mocked import mocked_drivers

NOWHERE = "192.0.2.7"
"""An address that nothing has (RFC 5737)."""


def constant(address: str, type_: str, value: object) -> TagConfig:
    return TagConfig(type=type_, address=address, simulate={"signal": "constant", "value": value})


DEVICES = {
    "modbus": DeviceConfig(
        path="a/l/modbus",
        protocol="modbus",
        link=f"tcp:{NOWHERE}:502",
        connection={"host": NOWHERE, "port": 502},
        tags={"t": constant("holding:0", "uint16", 17)},
    ),
    "s7": DeviceConfig(
        path="a/l/s7",
        protocol="s7",
        link=f"s7:{NOWHERE}",
        connection={"host": NOWHERE, "rack": 0, "slot": 1},
        tags={"t": constant("%DB1:0:INT", "int16", 17)},
    ),
    "ads": DeviceConfig(
        path="a/l/ads",
        protocol="ads",
        link=f"ads:{NOWHERE}",
        connection={"host": NOWHERE, "ams_net_id": "5.12.82.20.1.1", "port": 851},
        tags={"t": constant("MAIN.nValue", "int16", 17)},
    ),
    "opcua": DeviceConfig(
        path="a/l/opcua",
        protocol="opcua",
        link=f"opc.tcp://{NOWHERE}:4840",
        connection={
            "endpoint": f"opc.tcp://{NOWHERE}:4840",
            "security": "Basic256Sha256/SignAndEncrypt",
            "user": "nexus",
            "password": "${env:NOT_SET_ANYWHERE}",
        },
        tags={"t": constant("nsu=http://acme.example/x;s=T", "int16", 17)},
    ),
}


@contextlib.asynccontextmanager
async def simulating(home: Path) -> AsyncIterator[LinkServers]:
    servers = LinkServers(MockFolder(home), signals=home)
    await asyncio.to_thread(load_simulators)
    await servers.look()

    async def serve() -> None:
        while True:
            await servers.look()
            await asyncio.sleep(0.02)

    serving = asyncio.create_task(serve())
    try:
        yield servers
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        await servers.close()


async def read(home: Path, *devices: DeviceConfig) -> list[object]:
    driver = mocked_drivers(home)(devices[0].protocol)
    session = await driver.connect(devices, home=str(home))
    try:
        found = []
        await session.configure(devices)
        for device in devices:
            for request in driver.group(device, points_of(device)):
                answer = await session.read(request)
                found += list(answer.values)
        return found
    finally:
        await session.close()


def test_every_protocol_is_here() -> None:
    assert set(DEVICES) == set(kinds())


@pytest.mark.parametrize("protocol", DEVICES)
async def test_a_link_leads_to_the_simulator(tmp_path: Path, protocol: str) -> None:
    device = DEVICES[protocol]
    async with simulating(tmp_path):
        found = await read(tmp_path, device)
    assert len(found) == 1
    assert "17" in repr(found[0])
    served = MockFolder(tmp_path).served(device.link)
    assert served is not None
    assert NOWHERE not in msgspec.json.encode(served.connection).decode()


async def test_without_a_simulator_nothing_is_connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mocked, "ANSWER_S", 0.2)
    with pytest.raises(DriverError) as caught:
        await mocked_drivers(tmp_path)("modbus").connect([DEVICES["modbus"]], home=str(tmp_path))
    assert "NX6966" in caught.value.message


async def test_a_simulator_that_starts_again_has_its_ports(tmp_path: Path) -> None:
    device = DEVICES["modbus"]
    async with simulating(tmp_path):
        await read(tmp_path, device)
    before = MockFolder(tmp_path).served(device.link)
    async with simulating(tmp_path):
        found = await read(tmp_path, device)
    assert "17" in repr(found)
    assert MockFolder(tmp_path).served(device.link) == before


async def test_a_device_that_joins_an_open_link_is_served(tmp_path: Path) -> None:
    first = DEVICES["modbus"]
    second = msgspec.structs.replace(
        first,
        path="a/l/second",
        connection={**first.connection, "unit_id": 9},
        tags={"t": constant("holding:5", "uint16", 99)},
    )
    async with simulating(tmp_path):
        driver = mocked_drivers(tmp_path)("modbus")
        session = await driver.connect([first], home=str(tmp_path))
        driver.group(second, points_of(second))
        await session.close()
        assert "99" in repr(await read(tmp_path, first, second))


async def test_a_signal_that_can_not_be_simulated_is_said(tmp_path: Path) -> None:
    device = msgspec.structs.replace(
        DEVICES["modbus"],
        tags={
            "t": TagConfig(
                type="uint16", address="holding:0", simulate={"signal": "csv", "file": "gone.csv", "column": "x"}
            )
        },
    )
    async with simulating(tmp_path):
        with pytest.raises(DriverError) as caught:
            await mocked_drivers(tmp_path)("modbus").connect([device], home=str(tmp_path))
    assert "gone.csv" in caught.value.message
