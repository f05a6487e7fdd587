"""What every driver promises, run against its own simulator: the supervisor builds on nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from nexus_cli.drivers.base import Notification, Scope, points_of
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Reason, Value
from tests.contract.driver_cases import DriverCase
from tests.contract.driving import driver_of, fails, opened, read_all, same, served
from tests.waiting import until

pytestmark = pytest.mark.own_time


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


async def test_a_device_reports_by_itself_or_says_that_it_does_not(case: DriverCase, home: str) -> None:
    async with served(case) as (server, (device,)), opened(case, [device], home) as session:
        points = points_of(device)
        heard: dict[str, Value] = {}

        def sink(path: str, reported: Sequence[Notification]) -> None:
            assert path == device.path
            heard.update({one.point.name: one.value for one in reported})

        starting = session.subscribe(device.path, points, interval_ms=[50] * len(points), sink=sink)
        if not case.subscribes:
            error = await fails(starting)
            assert (error.scope, error.retriable) == (Scope.REQUEST, False)
            await read_all(case, session, device)
            return
        subscription = await starting
        assert not subscription.faults
        await until(lambda: set(heard) == set(device.tags), "not every tag reported its first value")
        for tag, expected in case.values.items():
            assert same(heard[tag], expected, case.tolerance), tag
        tag, value = next(iter(case.writes.items()))
        server.set(device.path, tag, value)
        await until(lambda: same(heard[tag], value, case.tolerance), "a change was not reported")
        await subscription.close()
        await session.check()


async def test_what_is_not_reported_is_named_and_the_rest_reports_while_it_is_asked_for_again(
    case: DriverCase, home: str
) -> None:
    if not case.subscribes:
        return  # it says so: the test above
    async with served(case) as (server, (plain,)):
        device = msgspec.structs.replace(plain, tags={**plain.tags, "ghost": case.ghost})
        async with opened(case, [device], home) as session:
            points, heard = points_of(device), list[str]()
            subscription = await session.subscribe(
                device.path,
                points,
                interval_ms=[50] * len(points),
                sink=lambda _, reported: heard.extend(one.point.name for one in reported if one.fault is None),
            )
            await until(lambda: set(heard) == set(plain.tags), "not every tag reported its first value")
            for _ in range(2):
                assert set(subscription.faults) == {"ghost"}
                assert all(isinstance(note, str) for note in subscription.notes())
                await subscription.retry()
            tag, value = next(iter(case.writes.items()))
            heard.clear()
            server.set(device.path, tag, value)
            await until(lambda: tag in heard, "a change was not reported")
            assert heard.count(tag) == 1, "it is reported twice"
            await subscription.close()
