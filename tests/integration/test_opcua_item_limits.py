"""OPC UA servers that take few subscriptions or few items: what they do not report is named and costs no session."""

from __future__ import annotations

from typing import Any

import pytest

from nexus_cli.drivers.base import points_of
from nexus_cli.drivers.opcua.driver import OpcuaDriver
from nexus_cli.drivers.opcua.simulator import serve
from tests.heard import Heard
from tests.integration.test_opcua_subscriptions import device
from tests.waiting import until

pytestmark = pytest.mark.own_time


async def test_an_unannounced_limit_of_items_is_halved_to(tmp_path: Any) -> None:
    server = await serve([device(count=40)])
    server.limit(items=7)
    config, heard = device(server.port, count=40), Heard()
    session = await OpcuaDriver().connect([config], home=str(tmp_path))
    try:
        subscription = await session.subscribe(config.path, points_of(config), interval_ms=[100] * 40, sink=heard)
        assert not subscription.faults
        await until(lambda: len(heard.newest) == 40, "not every tag reported")
    finally:
        await session.close()
        await server.close()


async def test_a_ceiling_of_items_in_all_faults_the_rest(tmp_path: Any) -> None:
    server = await serve([device(count=10)])
    config, heard = device(server.port, count=10, max_items=6), Heard()
    session = await OpcuaDriver().connect([config], home=str(tmp_path))
    try:
        subscription = await session.subscribe(config.path, points_of(config), interval_ms=[100] * 10, sink=heard)
        assert len(subscription.faults) == 4
        await until(lambda: len(heard.newest) == 6, "the first six did not report")
    finally:
        await session.close()
        await server.close()


async def test_few_subscriptions_are_shared_by_the_intervals(tmp_path: Any) -> None:
    server = await serve([device(count=4)])
    server.limit(subscriptions=1)
    config, heard = device(server.port, count=4), Heard()
    session = await OpcuaDriver().connect([config], home=str(tmp_path))
    try:
        intervals = [2000, 1000, 100, 5000]
        subscription = await session.subscribe(config.path, points_of(config), interval_ms=intervals, sink=heard)
        assert not subscription.faults
        assert subscription.notes() == ["different intervals share one subscription (Bad_TooManySubscriptions)"]
        await until(lambda: len(heard.newest) == 4, "not every tag reported")
        (stream,) = set(session._publisher.streams.values())
        assert stream.interval_ms == 100
        (served,) = server.server.iserver.subscription_service.subscriptions.values()
        assert len(served.monitored_item_srv._monitored_items) == 4
        await subscription.close()
        assert not server.server.iserver.subscription_service.subscriptions
        await session.check()
    finally:
        await session.close()
        await server.close()


async def test_no_subscription_at_all_costs_no_session(tmp_path: Any) -> None:
    server = await serve([device(count=3)])
    config, heard = device(server.port, count=3), Heard()
    other = await OpcuaDriver().connect([config], home=str(tmp_path))
    session = await OpcuaDriver().connect([config], home=str(tmp_path))
    try:
        held = await other.subscribe(config.path, points_of(config), interval_ms=[100] * 3, sink=heard)
        server.limit(subscriptions=1)
        subscription = await session.subscribe(config.path, points_of(config), interval_ms=[100] * 3, sink=heard)
        assert {fault.code for fault in subscription.faults.values()} == {0x80770000}
        assert subscription.notes() == ["3 tags: Bad_TooManySubscriptions"]
        (request,) = OpcuaDriver().group(config, points_of(config))
        assert (await session.read(request)).values == [0, 1, 2]
        await held.close()
        await subscription.retry()
        assert not subscription.faults
    finally:
        await other.close()
        await session.close()
        await server.close()


async def test_few_items_are_taken_and_the_others_named(tmp_path: Any) -> None:
    server = await serve([device(count=10)])
    server.limit(items_in_all=6)
    config, heard = device(server.port, count=10), Heard()
    session = await OpcuaDriver().connect([config], home=str(tmp_path))
    try:
        subscription = await session.subscribe(config.path, points_of(config), interval_ms=[100] * 10, sink=heard)
        assert subscription.notes() == ["4 tags: Bad_TooManyMonitoredItems"]
        await until(lambda: len(heard.newest) == 6, "the first six did not report")
        server.limit(items_in_all=8)
        await subscription.retry()
        assert subscription.notes() == ["2 tags: Bad_TooManyMonitoredItems"]
        await until(lambda: len(heard.newest) == 8, "two more did not report")
    finally:
        await session.close()
        await server.close()
