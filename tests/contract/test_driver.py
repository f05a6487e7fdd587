"""What every driver promises, run against its own simulator: the supervisor builds on nothing else."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from nexus_cli.drivers import registry
from nexus_cli.drivers.base import Driver, DriverError, Fault, Point, Request, Scope, Session, points_of
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Reason, Value
from tests.contract.driver_cases import CASES, CONNECT_TIMEOUT_MS, TIMEOUT_MS, DriverCase

SLACK_S = 0.7
"""Shared machines are slow; it bounds how late a time-out may be noticed."""


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> DriverCase:
    found: DriverCase = request.param
    return found


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One `.nexus` folder for the whole run: certificates are slow to make."""
    base = tmp_path_factory.getbasetemp() / "driver-home"
    base.mkdir(exist_ok=True)
    return str(base)


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


async def until(condition: Callable[[], bool], what: str, *, deadline_s: float = 5.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.01)


async def fails(action: Awaitable[Any]) -> DriverError:
    with pytest.raises(DriverError) as caught:
        await action
    return caught.value


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


async def test_every_type_is_read_as_the_server_holds_it(case: DriverCase, home: str) -> None:
    async with served(case) as (server, (device,)), opened(case, [device], home) as session:
        values, faults = await read_all(case, session, device)
        held = server.values(device.path)
    assert not faults
    assert set(values) == set(device.tags)
    for tag, expected in case.values.items():
        assert same(values[tag], expected, case.tolerance), f"{tag}: {values[tag]!r} is not {expected!r}"
        assert same(values[tag], held[tag], case.tolerance), f"{tag}: the server says it holds {held[tag]!r}"


def test_groups_cover_every_point_once_and_speak_for_people(case: DriverCase) -> None:
    device = case.device(0, 1)
    for fill_gaps in (True, False):
        requests = driver_of(case).group(device, points_of(device), fill_gaps=fill_gaps)
        names = [point.name for request in requests for point in request.points]
        assert sorted(names) == sorted(device.tags)
        assert all(request.text and request.device == device.path for request in requests)
    assert driver_of(case).group(device, ()) == ()


async def test_limits_are_kept_and_enough(case: DriverCase, home: str) -> None:
    server = await case.serve([case.limited(0)])
    try:
        device = case.limited(server.port)
        requests = driver_of(case).group(device, points_of(device))
        assert len(requests) > 1
        assert all(case.keeps_limits(request) for request in requests)
        async with opened(case, [device], home) as session:
            for request in requests:
                assert not (await session.read(request)).faults
    finally:
        await server.close()


async def test_an_illegal_address_costs_only_its_own_tag(case: DriverCase, home: str) -> None:
    async with served(case) as (_, (device,)):
        device = msgspec.structs.replace(device, tags={**device.tags, "ghost": case.ghost})
        async with opened(case, [device], home) as session:
            values, faults = await read_all(case, session, device)
            assert set(faults) == {"ghost"}
            assert faults["ghost"].reason is Reason.ILLEGAL_ADDRESS
            for tag, expected in case.values.items():
                assert same(values[tag], expected, case.tolerance)
            again, _ = await read_all(case, session, device, list(case.values))
            assert set(again) == set(case.values)


async def test_writes_are_read_back(case: DriverCase, home: str) -> None:
    async with served(case) as (server, (device,)), opened(case, [device], home) as session:
        points = {point.name: point for point in points_of(device)}
        for tag, value in case.writes.items():
            await session.write(device.path, points[tag], value)
            assert same(server.values(device.path)[tag], value, case.tolerance), tag
        values, _ = await read_all(case, session, device)
    for tag, expected in {**case.values, **case.writes}.items():
        assert same(values[tag], expected, case.tolerance), f"{tag}: {values[tag]!r} is not {expected!r}"


async def test_a_misfit_write_is_refused_and_changes_nothing(case: DriverCase, home: str) -> None:
    async with served(case) as (server, (device,)), opened(case, [device], home) as session:
        points = {point.name: point for point in points_of(device)}
        before = server.values(device.path)
        for tag, value in case.misfits:
            error = await fails(session.write(device.path, points[tag], value))
            assert error.scope is Scope.ITEM, f"{tag} = {value!r}"
            assert not error.retriable
            assert error.reason in (Reason.TYPE_MISMATCH, Reason.OVERFLOW)
        assert server.values(device.path) == before
        await read_all(case, session, device)


async def test_a_stalled_server_costs_one_timeout_and_no_late_answer_is_taken(case: DriverCase, home: str) -> None:
    async with served(case) as (server, (device,)):
        driver = driver_of(case)
        tag, value = next(iter(case.writes.items()))
        request = next(
            found
            for found in driver.group(device, points_of(device))
            if any(point.name == tag for point in found.points)
        )
        place = [point.name for point in request.points].index(tag)
        session = await driver.connect([device], home=home)
        try:
            await session.read(request)
            server.stall(60)
            began = time.monotonic()
            error = await fails(session.read(request))
            assert error.scope in (Scope.DEVICE, Scope.SESSION)
            assert error.retriable
            assert time.monotonic() - began < TIMEOUT_MS / 1000 + SLACK_S
            server.set(device.path, tag, value)
            server.stall(None)
            if error.scope is Scope.SESSION:
                await session.close()
                session = await driver.connect([device], home=home)
            for _ in range(3):
                result = await session.read(request)
                assert same(result.values[place], value, case.tolerance)
        finally:
            await session.close()


async def test_a_cancelled_read_leaves_the_session_usable(case: DriverCase, home: str) -> None:
    async with served(case) as (server, (device,)), opened(case, [device], home) as session:
        request = driver_of(case).group(device, points_of(device))[0]
        await session.read(request)
        server.stall(60)
        task = asyncio.create_task(session.read(request))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        server.stall(None)
        values, faults = await read_all(case, session, device)
        assert not faults
        for tag, expected in case.values.items():
            assert same(values[tag], expected, case.tolerance), tag


async def test_a_lost_connection_is_noticed_at_once(case: DriverCase, home: str) -> None:
    async with served(case) as (server, (device,)):
        driver = driver_of(case)
        request = driver.group(device, points_of(device))[0]
        session = await driver.connect([device], home=home)
        await session.read(request)
        server.stall(60)
        began = time.monotonic()
        task = asyncio.create_task(session.read(request))
        await asyncio.sleep(0.02)
        server.drop_connections()
        error = await fails(task)
        assert error.scope is Scope.SESSION
        assert error.retriable
        assert time.monotonic() - began < TIMEOUT_MS / 1000, "it waited for its time-out"
        assert (await fails(session.read(request))).scope is Scope.SESSION
        assert (await fails(session.check())).scope is Scope.SESSION
        await session.close()
        await session.close()
        server.stall(None)
        async with opened(case, [device], home) as again:
            await again.read(request)


async def test_a_restarted_server_is_reached_again(case: DriverCase, home: str) -> None:
    driver = driver_of(case)
    async with served(case) as (server, (device,)):
        port = server.port
        session = await driver.connect([device], home=home)
        request = driver.group(device, points_of(device))[0]
        await session.read(request)
    assert (await fails(session.read(request))).scope is Scope.SESSION
    await session.close()
    began = time.monotonic()
    refused = await fails(driver.connect([device], home=home))
    assert refused.scope is Scope.SESSION
    assert refused.retriable
    assert time.monotonic() - began < CONNECT_TIMEOUT_MS / 1000 + SLACK_S
    async with served(case, port=port), opened(case, [device], home) as session:
        await session.read(request)


async def test_a_server_that_never_answers_costs_bounded_time(case: DriverCase, home: str) -> None:
    """Half-open: the connection is accepted, and nothing more ever comes."""
    driver = driver_of(case)
    errors: list[DriverError] = []
    async with case.mute() as port:
        device = case.device(0, port)
        began = time.monotonic()
        session: Session | None = None
        try:
            try:
                session = await driver.connect([device], home=home)
            except DriverError as error:
                errors.append(error)
            else:
                request = driver.group(device, points_of(device))[0]
                while len(errors) < 5 and not any(error.scope is Scope.SESSION for error in errors):
                    errors.append(await fails(session.read(request)))
            assert errors[-1].scope is Scope.SESSION, "a half-open connection must end as a lost link"
            allowed_s = (CONNECT_TIMEOUT_MS + TIMEOUT_MS * len(errors)) / 1000 + SLACK_S
            assert time.monotonic() - began < allowed_s
        finally:
            if session is not None:
                await session.close()


async def test_devices_on_one_link_are_told_apart(case: DriverCase, home: str) -> None:
    tag, value = next(iter(case.writes.items()))
    async with served(case, 3) as (server, devices), opened(case, devices, home) as session:
        server.set(devices[1].path, tag, value)
        driver = driver_of(case)
        gate = asyncio.Semaphore(driver.concurrency)
        found: dict[str, Value] = {}

        async def poll(device: DeviceConfig) -> None:
            for _ in range(5):
                for request in driver.group(device, points_of(device, [tag])):
                    async with gate:
                        found[device.path] = (await session.read(request)).values[0]

        async with asyncio.TaskGroup() as group:
            for device in devices:
                group.create_task(poll(device))
        assert same(found[devices[1].path], value, case.tolerance)
        for device in (devices[0], devices[2]):
            assert same(found[device.path], case.values[tag], case.tolerance)
        await session.configure(devices[:2])
        await read_all(case, session, devices[0], [tag])


async def test_closing_leaves_nothing_behind(case: DriverCase, home: str) -> None:
    async with served(case) as (server, (device,)):
        async with opened(case, [device], home) as session:
            await read_all(case, session, device)
        await until(
            lambda: server.clients == 0 if hasattr(server, "clients") else True, "the server still has a client"
        )
        tasks, threads = len(asyncio.all_tasks()), threading.active_count()
        gc.collect()
        files = descriptors()
        for _ in range(3):
            async with opened(case, [device], home) as session:
                await read_all(case, session, device)
        gc.collect()
        await until(lambda: len(asyncio.all_tasks()) <= tasks, "a task was left")
        await until(lambda: descriptors() <= files, "a socket was left")
        assert threading.active_count() <= threads


async def test_many_link_losses_leave_nothing_behind(case: DriverCase, home: str) -> None:
    rounds = case.extra.get("losses", 100)
    async with served(case) as (server, (device,)):
        driver = driver_of(case)
        request = driver.group(device, points_of(device))[0]

        async def lose() -> None:
            session = await driver.connect([device], home=home)
            await session.read(request)
            server.drop_connections()
            assert (await fails(session.read(request))).scope is Scope.SESSION
            await session.close()

        await lose()
        gc.collect()
        await asyncio.sleep(0.05)
        tasks, threads, files = len(asyncio.all_tasks()), threading.active_count(), descriptors()
        for _ in range(rounds):
            await lose()
        gc.collect()
        await until(lambda: len(asyncio.all_tasks()) <= tasks, "a task was left")
        await until(lambda: descriptors() <= files, "a socket was left")
        assert threading.active_count() <= threads
