"""A simulated PLC and an open session to it, for the tests of ADS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from nexus_cli.drivers import registry
from nexus_cli.drivers.ads.driver import DRIVER
from nexus_cli.drivers.ads.session import AdsSession
from nexus_cli.drivers.ads.simulator import SimulatorServer, serve
from nexus_cli.drivers.base import DriverError, Fault, Notification, Point, points_of
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.clock import SystemClock
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime
from nexus_cli.runtime.gateway.devices.normaliser import Cycle
from nexus_cli.runtime.gateway.field.supervisor import Supervisor
from nexus_cli.runtime.gateway.pipeline import Pipeline
from nexus_cli.wire.sample import Value
from tests.contract.driver_cases import ads_connection, constant
from tests.own_time import now_s
from tests.patience import patient

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
class Heard:
    """What a subscription reported."""

    values: dict[str, Value] = field(default_factory=dict)
    faults: dict[str, Fault | None] = field(default_factory=dict)
    times: dict[str, int | None] = field(default_factory=dict)
    all: list[Notification] = field(default_factory=list)

    def sink(self, path: str, notifications: Sequence[Notification]) -> None:
        for one in notifications:
            self.all.append(one)
            self.values[one.point.name] = one.value
            self.faults[one.point.name] = one.fault
            self.times[one.point.name] = one.source_time_us


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
        values: dict[str, Value] = {}
        faults: dict[str, Fault] = {}
        for request in DRIVER.group(self.device, points_of(self.device, names or None)):
            result = await self.session.read(request)
            for place, point in enumerate(request.points):
                values[point.name] = result.values[place]
                if place in result.faults:
                    faults[point.name] = result.faults[place]
        return values, faults

    async def write(self, name: str, value: Value) -> None:
        await self.session.write(self.device.path, self.point(name), value)

    async def subscribe(self, *names: str) -> tuple[Heard, Any]:
        heard = Heard()
        points = points_of(self.device, names or None)
        intervals = [self.device.tags[point.name].poll_ms for point in points]
        found = await self.session.subscribe(self.device.path, points, interval_ms=intervals, sink=heard.sink)
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


async def until(condition: Callable[[], bool], what: str, *, deadline_s: float = 5.0) -> None:
    end = now_s() + patient(deadline_s)
    while not condition():
        assert now_s() < end, what
        await asyncio.sleep(0.005)


async def fails(action: Any) -> DriverError:
    with pytest.raises(DriverError) as caught:
        await action
    return caught.value


class Told(Pipeline):
    """Takes a supervisor's cycles and keeps what they told.

    Attributes:
        heard: Value, quality and code by tag, in order.
    """

    def __init__(self) -> None:
        self.heard: dict[str, list[tuple[Value, str, int]]] = {}
        self._clock = SystemClock()
        self.now_us = self._clock.now_us
        self._polled: dict[str, Cycle] = {}

    def cycle(self, device: str, *, at_us: int | None = None) -> Cycle:
        return Cycle(self._clock.now_us())

    def asked(self, device: str) -> None:
        pass

    def ongoing(self, device: DeviceRuntime) -> Cycle:
        return self._polled.setdefault(device.path, self.cycle(device.path))

    def finish(self, device: DeviceRuntime, *, over: bool = True) -> None:
        if device.path in self._polled:
            self.emit(device, self._polled.pop(device.path))

    def emit(self, device: DeviceRuntime, cycle: Cycle) -> None:
        for name, value in cycle.samples.items():
            quality, _, code = cycle.quality.get(name, ("GOOD", None, 0))
            self.heard.setdefault(name, []).append((value, str(quality), code))

    def last(self, name: str) -> tuple[Value, str, int] | None:
        found = self.heard.get(name)
        return found[-1] if found else None


@asynccontextmanager
async def supervised(config: DeviceConfig) -> AsyncIterator[Told]:
    """A device behind a supervisor, as a gateway runs it."""
    told, stop = Told(), asyncio.Event()
    link = Supervisor(
        "plc",
        driver=registry.driver("ads"),
        link_keys=frozenset(),
        home=".",
        clock=SystemClock(),
        pipeline=told,
        changed=lambda: None,
    )
    link.apply([(config, "1")])
    async with asyncio.TaskGroup() as group:
        group.create_task(link.run(stop), name="link")
        try:
            yield told
        finally:
            stop.set()
