"""A simulated PLC and an open session to it, for the tests of ADS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from nexus_cli.drivers.ads.driver import DRIVER
from nexus_cli.drivers.ads.session import AdsSession
from nexus_cli.drivers.ads.simulator import SimulatorServer, serve
from nexus_cli.drivers.base import DriverError, Fault, Point, points_of
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.wire.sample import Value
from tests.contract.driver_cases import ads_connection, constant
from tests.heard import Heard
from tests.reads import read_all

PATH = "a/l/plc"


def tags(**more: TagConfig) -> dict[str, TagConfig]:
    """Ten numbers side by side, so that a moved address reads a neighbour, and a few of other types."""
    found = {f"n{at}": constant("int32", f"MAIN.n{at}", at * 100, mode="subscribe", poll_ms=20) for at in range(10)}
    found["speed"] = constant("float32", "MAIN.motor.fSpeed", 1.5, mode="subscribe", poll_ms=20)
    return found | more


def device(tcp: int, tags_: dict[str, TagConfig] | None = None, path: str = PATH, **keys: Any) -> DeviceConfig:
    connection = {**ads_connection(tcp), **keys}
    return DeviceConfig(path=path, protocol="ads", connection=connection, tags=tags() if tags_ is None else tags_)


@dataclass
class Plant:
    server: SimulatorServer
    device: DeviceConfig
    session: AdsSession

    def point(self, name: str) -> Point:
        return points_of(self.device, [name])[0]

    async def read(self, *names: str) -> dict[str, Value]:
        values, faults = await self.read_all(*names)
        assert not faults, faults
        return values

    async def read_all(self, *names: str) -> tuple[dict[str, Value], dict[str, Fault]]:
        return await read_all(self.session, DRIVER.group(self.device, points_of(self.device, names or None)))

    async def write(self, name: str, value: Value) -> None:
        await self.session.write(self.device.path, self.point(name), value)

    async def subscribe(self, *names: str) -> tuple[Heard, Any]:
        heard = Heard()
        points = points_of(self.device, names or None)
        intervals = [self.device.tags[point.name].poll_ms for point in points]
        found = await self.session.subscribe(self.device.path, points, interval_ms=intervals, sink=heard)
        return heard, found


@asynccontextmanager
async def plant(tags_: dict[str, TagConfig] | None = None, **keys: Any) -> AsyncIterator[Plant]:
    server = await serve([device(0, tags_, **keys)])
    try:
        config = device(server.port, tags_, **keys)
        session = await DRIVER.connect([config], home=".")
        try:
            yield Plant(server, config, session)
        finally:
            await session.close()
    finally:
        await server.close()


async def fails(action: Any) -> DriverError:
    with pytest.raises(DriverError) as caught:
        await action
    return caught.value
