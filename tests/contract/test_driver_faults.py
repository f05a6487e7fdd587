"""What every driver promises when the device or the line fails: bounded time, plain errors, and right values after it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import msgspec
import pytest

from nexus_cli.drivers.base import DriverError, Scope, Session, points_of
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Reason
from tests.contract.driver_cases import CONNECT_TIMEOUT_MS, TIMEOUT_MS, DriverCase
from tests.contract.driving import SLACK_S, driver_of, fails, opened, patient, read_all, same, served
from tests.contract.leftovers import holding, nothing_left
from tests.garble import garbler
from tests.own_time import now_s

pytestmark = pytest.mark.own_time

SLOW_MS = 750
"""Time-out against the slow server: a fifth of it is what a shared machine may be late."""
HASTY_MS = 60
ROUNDS = 10
MOST_REQUESTS = 8
"""Requests that one call of a session needs against such a small device."""


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
            began = now_s()
            error = await fails(session.read(request))
            assert error.scope in (Scope.DEVICE, Scope.SESSION)
            assert error.retriable
            assert now_s() - began < TIMEOUT_MS / 1000 + SLACK_S
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
        began = now_s()
        task = asyncio.create_task(session.read(request))
        await asyncio.sleep(0.02)
        server.drop_connections()
        error = await fails(task)
        assert error.scope is Scope.SESSION
        assert error.retriable
        assert now_s() - began < TIMEOUT_MS / 1000, "it waited for its time-out"
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
    began = now_s()
    refused = await fails(driver.connect([device], home=home))
    assert refused.scope is Scope.SESSION
    assert refused.retriable
    assert now_s() - began < CONNECT_TIMEOUT_MS / 1000 + SLACK_S
    async with served(case, port=port), opened(case, [device], home) as session:
        await session.read(request)


async def test_a_server_that_never_answers_costs_bounded_time(case: DriverCase, home: str) -> None:
    """Half-open: the connection is accepted, and nothing more ever comes."""
    driver = driver_of(case)
    errors: list[DriverError] = []
    async with case.mute() as port:
        device = case.device(0, port)
        began = now_s()
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
            assert now_s() - began < allowed_s
        finally:
            if session is not None:
                await session.close()


async def test_a_slow_server_is_read_whole(case: DriverCase, home: str) -> None:
    """Answers that take four fifths of the time-out are answers: nothing is lost, nothing is asked again."""
    async with served(case) as (server, _), case.bad_line(server.port) as line:
        near = patient(case.device(0, line.port), timeout_ms=SLOW_MS)
        async with opened(case, [near], home) as session:
            line.delay_s = 0.8 * SLOW_MS / 1000
            values, faults = await read_all(case, session, near)
            assert not faults
            for tag, expected in case.values.items():
                assert same(values[tag], expected, case.tolerance), tag
            line.delay_s = 0.0
            await session.check()


async def test_a_wrong_type_costs_only_its_own_tag(case: DriverCase, home: str) -> None:
    """Where the protocol has types, a tag declared otherwise is BAD. Modbus and S7 carry bytes: they can't know."""
    async with served(case) as (_, (device,)):
        device = msgspec.structs.replace(device, tags={**device.tags, **case.retyped})
        async with opened(case, [device], home) as session:
            for _ in range(2):
                values, faults = await read_all(case, session, device)
                found = {tag: faults[tag].reason if tag in faults else values[tag] for tag in case.retyped}
                assert found == {tag: case.retyped_values.get(tag, Reason.TYPE_MISMATCH) for tag in case.retyped}
                assert set(faults) <= set(case.retyped)
                for tag, expected in case.values.items():
                    assert tag in case.retyped or same(values[tag], expected, case.tolerance), tag


@pytest.mark.parametrize("answer", ["none", "half"])
async def test_a_server_killed_in_a_request_is_a_lost_link(case: DriverCase, home: str, answer: str) -> None:
    """Before its answer, or with a few bytes of it on the wire."""
    driver = driver_of(case)
    async with served(case) as (server, (device,)), case.bad_line(server.port) as line:
        near = device if answer == "none" else case.device(0, line.port)
        point = next(point for point in points_of(near) if point.name in case.writes)
        request = driver.group(near, points_of(near))[0]
        async with opened(case, [near], home) as session:
            await session.read(request)
            server.stall(60 if answer == "none" else None)
            line.left = 3
            task = asyncio.create_task(session.read(request))
            await asyncio.sleep(0.02)
            if answer == "none":
                await server.close()
            error = await fails(task)
            assert error.retriable
            assert error.scope is Scope.SESSION
            for work in (session.read(request), session.write(near.path, point, case.writes[point.name])):
                assert (await fails(work)).scope is Scope.SESSION


async def test_a_garbled_answer_is_never_more_than_an_error(case: DriverCase, home: str) -> None:
    """Bytes flipped, cut, doubled, dropped: only DriverError comes out, in time, and a new connection reads right.

    Nor does anything go wrong behind its back, where only the loop's log would tell.
    """
    async with served(case) as (_, (device,)), opened(case, [device], home) as session:
        await read_all(case, session, device)
    before = holding()
    broken: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: broken.append(what))
    async with served(case) as (server, _), case.bad_line(server.port) as line:
        near = case.device(0, line.port)
        hasty = patient(near, timeout_ms=HASTY_MS, connect_timeout_ms=3 * HASTY_MS)
        failed = 0
        for seed in range(ROUNDS):
            line.bend = garbler(seed)
            failed += await use(case, hasty, home) > 0
            line.bend = None
        assert failed > ROUNDS / 2, "the line garbled too little to prove anything"
        async with opened(case, [near], home) as session:
            values, faults = await read_all(case, session, near)
        assert not faults
        for tag, expected in case.values.items():
            if tag not in case.writes:
                assert same(values[tag], expected, case.tolerance), tag
    await nothing_left(before)
    assert not broken, "an error that nobody was told"


async def use(case: DriverCase, device: DeviceConfig, home: str) -> int:
    """Everything that a session can do, whatever became of the things before; gives how many of them failed."""
    driver, points = driver_of(case), points_of(device)
    try:
        async with asyncio.timeout(4 * HASTY_MS / 1000 + SLACK_S):
            session = await driver.connect([device], home=home)
    except DriverError as error:
        assert error.scope is Scope.SESSION
        return 1
    wanted = [point for point in points if point.name in case.writes][:3]
    works: list[Awaitable[object]] = [session.read(request) for request in driver.group(device, points)]
    works += [session.subscribe(device.path, points, interval_ms=[50] * len(points), sink=lambda *_: None)]
    works += [session.write(device.path, point, case.writes[point.name]) for point in wanted]
    works += [first_found(session), session.check(), session.read(driver.group(device, points)[0])]
    failed = 0
    try:
        for work in works:
            try:
                async with asyncio.timeout(MOST_REQUESTS * HASTY_MS / 1000 + SLACK_S):
                    await work
            except DriverError:
                failed += 1
    finally:
        async with asyncio.timeout(2 + SLACK_S):
            await session.close()
    return failed


async def first_found(session: Session) -> None:
    """The first things of a browse."""
    found = session.browse()
    async for _ in found:
        break
    await found.aclose()  # type: ignore[attr-defined]
