"""A law of load: the predicted requests of a read of every polled tag are those that the protocol's simulator counts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus_cli.drivers.base import points_of
from nexus_cli.drivers.link_load import polling_load
from nexus_cli.drivers.registry import plugin
from nexus_cli.model.config import DeviceConfig
from tests.contract.driver_cases import ADS, MODBUS, OPCUA, S7, DriverCase
from tests.contract.driving import opened, patient, served

ROUNDS = 10
"""A session may look at its device of its own accord, once in seconds: that adds to a round, and never to every one."""


@pytest.mark.parametrize("case", [MODBUS, OPCUA, S7, ADS], ids=lambda case: case.name)
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_as_many_requests_are_sent_as_were_predicted(case: DriverCase, tmp_path: Path, data: st.DataObject) -> None:
    every = sorted(case.device(0, 1).tags)
    names = data.draw(st.lists(st.sampled_from(every), min_size=1, unique=True))
    slow = data.draw(st.sets(st.sampled_from(names)))
    asyncio.run(_compare(case, names, slow, str(tmp_path)))


async def _compare(case: DriverCase, names: list[str], slow: set[str], home: str) -> None:
    async with served(case) as (server, (whole,)):
        tags = {
            name: msgspec.structs.replace(whole.tags[name], poll_ms=5000 if name in slow else 1000) for name in names
        }
        device = patient(msgspec.structs.replace(whole, tags=tags), timeout_ms=20_000, connect_timeout_ms=20_000)
        predicted = polling_load(device)
        assert predicted is not None and predicted.requests > 0
        requests = [
            request
            for interval in ([name for name in names if name not in slow], [name for name in names if name in slow])
            for request in plugin(device.protocol).group(device, points_of(device, interval))
        ]
        counted = await _counted(case, server, device, requests, home)
    assert min(counted) == predicted.requests, f"{counted} for {names}"


async def _counted(case: DriverCase, server: object, device: DeviceConfig, requests: list, home: str) -> list[int]:
    """What the simulator counted in each of some rounds, after a first one in which a driver looks its symbols up."""
    rounds = []
    async with opened(case, [device], home) as session:
        for _ in range(ROUNDS):
            before = server.requests  # type: ignore[attr-defined]
            for request in requests:
                await session.read(request)
            rounds.append(server.requests - before)  # type: ignore[attr-defined]
    return rounds[1:]
