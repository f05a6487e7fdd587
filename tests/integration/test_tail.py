"""Following topics with a real broker: the end is quiet, conditions are counted, a broker that goes is one sentence."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
from typing import Any

import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.live import parse_where, tail
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from tests.servers import TestBroker

pytestmark = pytest.mark.needs_broker
PATH = "packaging/line-1/filler/temperature"


@pytest.fixture
def settings(broker: TestBroker) -> Settings:
    return dataclasses.replace(broker.settings(), site="acme/chicago")


async def published(settings: Settings, *values: str) -> None:
    client = BrokerClient(settings=settings, client_id="device")
    async with client.session():
        for quality in values:
            await client.publish(f"acme/chicago/{PATH}", b'{"value":1,"quality":"%s"}' % quality.encode(), retain=True)


async def test_ending_early_leaves_no_task_that_fails(settings: Settings) -> None:
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    for _ in range(3):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2), contextlib.aclosing(tail(["**"], settings=settings)) as messages:
                async for _live in messages:
                    pytest.fail("nothing is published")
        gc.collect()
        await loop.shutdown_asyncgens()
    assert complaints == []


async def test_what_a_condition_leaves_out_is_counted(settings: Settings) -> None:
    await published(settings, "GOOD")
    passed = 0

    def pass_over() -> None:
        nonlocal passed
        passed += 1

    conditions = [parse_where("quality!=GOOD")]
    following = tail(["packaging/**"], conditions=conditions, settings=settings, passed_over=pass_over)
    async with asyncio.timeout(10), contextlib.aclosing(following) as messages, asyncio.TaskGroup() as group:
        group.create_task(published(settings, "GOOD", "BAD"), name="publish")
        live = await anext(messages)
    assert (live.path, live.quality) == (PATH, "BAD")
    assert passed >= 1


async def test_a_broker_that_goes_is_told_plainly(broker: TestBroker, settings: Settings) -> None:
    await published(settings, "GOOD")
    async with asyncio.timeout(10), contextlib.aclosing(tail([], settings=settings)) as messages:
        await anext(messages)
        broker.kill()
        with pytest.raises(NexusError) as failed:
            await anext(messages)
    assert failed.value.code == "NX6010"
    assert "Unspecified" not in failed.value.cause
