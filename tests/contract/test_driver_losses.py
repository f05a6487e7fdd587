"""A thousand lost links leave no thread, task, socket or memory behind, whatever was going on when the link was lost."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress

import msgspec
import pytest

from nexus_cli.drivers.base import DriverError, Request, Scope, Session, points_of
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.failure_kind import FailureKind
from tests.contract.driver_cases import DriverCase
from tests.contract.driving import driver_of, fails, opened, patient, read_all, served
from tests.contract.leftovers import Rounds, holding, nothing_left
from tests.waiting import until

pytestmark = pytest.mark.own_time

RESTART_EVERY = 50
TAGS = 5
"""A link is lost no more with many tags than with a few, but sooner."""


async def test_closing_leaves_nothing_behind(case: DriverCase, home: str) -> None:
    async with served(case) as (server, (device,)):
        async with opened(case, [device], home) as session:
            await read_all(case, session, device)
        await until(lambda: server.clients == 0, "the server still has a client")
        before = holding()
        for _ in range(3):
            async with opened(case, [device], home) as session:
                await read_all(case, session, device)
        await nothing_left(before)


@pytest.mark.slow
async def test_a_thousand_lost_links_leave_nothing_behind(case: DriverCase, home: str) -> None:
    """Lost when idle, in a read, under a subscription, given up half-way, with the server gone for good.

    A serial line loses fewer (`DriverCase.losses`): each opening rests a time-out, for what the line's last user may
    still be answered.
    """
    driver = driver_of(case)
    server = await case.serve([few(case.device(0, 0))], port=0)
    device = patient(few(case.device(0, server.port)), timeout_ms=case.losing_timeout_ms)
    points, request = points_of(device), driver.group(device, points_of(device))[0]

    async def lose(number: int) -> None:
        nonlocal server
        session = await driver.connect([device], home=home)
        try:
            await answer(session, request)
            kind = number % 4
            if kind == 0:
                server.drop_connections()
            elif kind == 1:
                server.stall(60)
                reading = asyncio.create_task(session.read(request))
                await asyncio.sleep(0)
                server.drop_connections()
                assert (await fails(reading)).scope is Scope.SESSION
                server.stall(None)
            elif kind == 2 and case.subscribes:
                await session.subscribe(device.path, points, interval_ms=[20] * len(points), sink=lambda *_: None)
                server.drop_connections()
            elif kind == 3:
                reading = asyncio.create_task(session.read(request))
                await asyncio.sleep(0)
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading
            if number % RESTART_EVERY == RESTART_EVERY - 1:
                await server.close()
                assert (await fails(session.read(request))).scope is Scope.SESSION
                assert (await fails(driver.connect([device], home=home))).retriable
                server = await case.serve([device], port=server.port)
            elif kind < 2 or (kind == 2 and case.subscribes):
                assert (await fails(session.read(request))).scope is Scope.SESSION
        finally:
            await session.close()

    try:
        await lose(0)
        await Rounds(lose, warm_up=case.losses // 5).run(case.losses)
        async with opened(case, [device], home) as session:
            values, faults = await read_all(case, session, device)
        assert set(values) == set(device.tags) and not faults
    finally:
        await server.close()


async def answer(session: Session, request: Request) -> None:
    """A read that is answered: the bytes of a serial line pass through the system's own worker, which a busy machine may not let run
    within the short time-out. So a late answer is waited out and the request repeated; a link that stays silent fails."""
    for last in (False, False, False, True):
        try:
            await session.read(request)
            return
        except DriverError as error:
            if last or error.kind is not FailureKind.NO_ANSWER or error.scope is Scope.SESSION:
                raise


def few(device: DeviceConfig) -> DeviceConfig:
    """The device with its first tags only."""
    return msgspec.structs.replace(device, tags=dict(list(device.tags.items())[:TAGS]))


@pytest.mark.parametrize("leak", ["memory", "task", "thread", "descriptor"])
async def test_what_stays_of_a_round_is_noticed(leak: str) -> None:
    """The count itself: one kilobyte a round, one task, thread or socket in all, and it fails."""
    kept: list[object] = []
    ended = threading.Event()

    async def one(number: int) -> None:
        if leak == "memory":
            kept.append(bytearray(1024))
        elif number == 10 and leak == "task":
            kept.append(asyncio.create_task(asyncio.sleep(3600)))
        elif number == 10 and leak == "thread":
            threading.Thread(target=ended.wait).start()
        elif number == 10:
            kept.append(socket.socket())

    try:
        with pytest.raises(AssertionError, match=rf"stayed of|left behind \({leak}"):
            await Rounds(one, warm_up=20).run(100, deadline_s=0.1)
    finally:
        ended.set()
        for thing in kept:
            if isinstance(thing, asyncio.Task):
                thing.cancel()
            elif isinstance(thing, socket.socket):
                thing.close()
