"""How the contract suite drives a driver: as a supervisor does, against the case's own simulator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from nexus_cli.drivers import registry
from nexus_cli.drivers.base import Driver, DriverError, Fault, Point, Request, Scope, Session, points_of
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Value
from tests.contract.driver_cases import CONNECT_TIMEOUT_MS, DriverCase

SLACK_S = 0.7
"""Shared machines are slow; it bounds how late a time-out may be noticed."""


def driver_of(case: DriverCase) -> Driver:
    return registry.driver(case.device(0, 1).protocol)


@asynccontextmanager
async def served(case: DriverCase, count: int = 1, *, port: int = 0) -> AsyncIterator[tuple[Any, list[DeviceConfig]]]:
    server = await case.serve([case.device(number, port) for number in range(count)], port=port)
    try:
        yield server, [case.device(number, server.port) for number in range(count)]
    finally:
        await server.close()


@asynccontextmanager
async def opened(case: DriverCase, devices: Sequence[DeviceConfig], home: str) -> AsyncIterator[Session]:
    session = await driver_of(case).connect(devices, home=home)
    try:
        yield session
    finally:
        await session.close()


def patient(device: DeviceConfig, *, timeout_ms: int, connect_timeout_ms: int = CONNECT_TIMEOUT_MS) -> DeviceConfig:
    """The device with other time-outs."""
    changed = {**device.connection, "timeout": timeout_ms, "connect_timeout": connect_timeout_ms}
    return msgspec.structs.replace(device, connection=changed)


async def read_all(
    case: DriverCase, session: Session, device: DeviceConfig, names: Sequence[str] | None = None
) -> tuple[dict[str, Value], dict[str, Fault]]:
    """Read a device as a supervisor does: a refused request is grouped without gaps, then bisected."""
    driver = driver_of(case)
    values: dict[str, Value] = {}
    faults: dict[str, Fault] = {}

    async def run(request: Request, level: int) -> None:
        try:
            result = await session.read(request)
        except DriverError as error:
            if error.scope not in (Scope.REQUEST, Scope.ITEM):
                raise
            points: Sequence[Point] = request.points
            if len(points) == 1:
                faults[points[0].name] = Fault(error.reason, error.code)
                return
            half = len(points) // 2
            parts = [points] if level == 0 else [points[:half], points[half:]]
            for part in parts:
                for smaller in driver.group(device, part, fill_gaps=False):
                    await run(smaller, level + 1)
            return
        for place, point in enumerate(request.points):
            values[point.name] = result.values[place]
            if place in result.faults:
                faults[point.name] = result.faults[place]

    for request in driver.group(device, points_of(device, names)):
        await run(request, 0)
    return values, faults


def same(found: Value, expected: Value, tolerance: float) -> bool:
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(found) == len(expected)
            and all(map(same, found, expected, [tolerance] * len(expected)))
        )
    if isinstance(expected, float):
        return isinstance(found, float) and found == pytest.approx(expected, rel=tolerance)
    return type(found) is type(expected) and found == expected


async def fails(action: Awaitable[Any]) -> DriverError:
    with pytest.raises(DriverError) as caught:
        await action
    return caught.value
