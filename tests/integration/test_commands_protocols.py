"""Every protocol writes the same way: through the gateway, by MQTT, against its own simulator."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.proof import same_raw
from tests.commanding import GW, Bench
from tests.contract.driver_cases import CASES, DriverCase
from tests.servers import TestBroker

pytestmark = pytest.mark.needs_broker


def commanded(case: DriverCase, port: int) -> DeviceConfig:
    """The device of the contract suite, polled, everything that is written declared writable."""
    device = case.device(0, port)
    tags = {name: msgspec.structs.replace(tag, writable=name in case.writes) for name, tag in device.tags.items()}
    return msgspec.structs.replace(device, tags=tags, gateway=GW, link=f"{case.name}:{port}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_every_writable_type_is_written_and_read_back(
    case: DriverCase, broker: TestBroker, tmp_path: Path
) -> None:
    server: Any = await case.serve([case.device(0, 0)], port=0)
    try:
        device = commanded(case, server.port)
        bench = Bench(broker, tmp_path / "home", [device])
        async with bench.running():
            for name, value in case.writes.items():
                found = await bench.asker.ask(f"{device.path}/{name}", value)
                assert found["state"] == "done", (name, value, found)
                assert same_raw(device.tags[name].type, value, found["read_back"]), (name, found)
                held = server.values(device.path)[name]
                assert same_raw(device.tags[name].type, value, held), (name, held)
            for name, value in case.misfits:
                if name in case.writes:
                    found = await bench.asker.ask(f"{device.path}/{name}", value)
                    # What only the protocol knows (a character that its strings can't hold) its driver refuses.
                    assert found["code"] in ("NX6805", "NX6806", "NX6807", "NX6814"), (name, value, found)
    finally:
        await server.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_device_that_falls_silent_in_a_write_is_unknown(
    case: DriverCase, broker: TestBroker, tmp_path: Path
) -> None:
    server: Any = await case.serve([case.device(0, 0)], port=0)
    try:
        device = commanded(case, server.port)
        name, value = next(iter(case.writes.items()))
        bench = Bench(broker, tmp_path / "home", [device])
        async with bench.running():
            server.stall(30.0)
            found = await bench.asker.ask(f"{device.path}/{name}", value, expires_s=8.0, deadline_s=20.0)
            assert found["state"] in ("unknown", "refused"), found
            assert found["code"] in ("NX6816", "NX6812", "NX6808")
            server.stall(None)
            await asyncio.sleep(0)
    finally:
        await server.close()
