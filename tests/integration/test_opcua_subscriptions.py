"""OPC UA subscriptions against real servers: what is reported, refused, lost and found again."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

import pytest
from asyncua import ua

from nexus_cli.drivers.base import DriverError, Point, Promise, Scope, points_of
from nexus_cli.drivers.opcua.codec import DecodeError
from nexus_cli.drivers.opcua.driver import OpcuaDriver
from nexus_cli.drivers.opcua.simulator import serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.wire.sample import Reason, Value
from tests.heard import Heard
from tests.own_time import now_s
from tests.waiting import patient, until

pytestmark = pytest.mark.own_time

URI = "http://acme.example/subscriptions"


def device(port: int = 0, *, count: int = 20, path: str = "area/line/sub", **more: Any) -> DeviceConfig:
    tags = {
        f"v{at:03}": TagConfig(
            type="int32",
            address=f"nsu={URI};s={path}.{at}",
            mode="subscribe",
            poll_ms=100,
            simulate={"signal": "constant", "value": at},
        )
        for at in range(count)
    }
    return DeviceConfig(
        path=path,
        protocol="opcua",
        connection={"endpoint": f"opc.tcp://127.0.0.1:{port}", "timeout": 500, "connect_timeout": 2000, **more},
        tags=tags,
    )


async def lost(session: Any, deadline_s: float = 5.0) -> DriverError:
    """Check until the loss is noticed, as a supervisor does."""
    end = now_s() + patient(deadline_s)
    while now_s() < end:
        try:
            await session.check()
        except DriverError as error:
            return error
        await asyncio.sleep(0.02)
    raise AssertionError("the loss was not noticed")


async def test_first_values_changes_and_source_times(tmp_path: Any) -> None:
    server = await serve([device()])
    config, heard = device(server.port), Heard()
    session = await OpcuaDriver().connect([config], home=str(tmp_path))
    try:
        subscription = await session.subscribe(config.path, points_of(config), interval_ms=[100] * 20, sink=heard)
        assert not subscription.faults
        await until(lambda: len(heard.newest) == 20, "not every tag reported its first value")
        assert {name: found.value for (_, name), found in heard.newest.items()} == {f"v{at:03}": at for at in range(20)}
        first = heard.newest[config.path, "v003"]
        assert first.source_time_us is not None
        assert abs(first.source_time_us - time.time() * 1e6) < 5e6
        server.set(config.path, "v003", 77)
        await until(lambda: heard.value(config.path, "v003") == 77, "a change was not reported")
        before = len(heard.all)
        await asyncio.sleep(0.35)
        assert len(heard.all) == before, "constants are reported again and again"
        await session.check()
    finally:
        await session.close()
        await server.close()


async def test_refused_points_are_named_and_cost_nobody(tmp_path: Any) -> None:
    server = await serve([device(count=5)], max_items_per_call=2)
    config, heard = device(server.port, count=5), Heard()
    ghosts = [Point("ghost", f"nsu={URI};s=Ghost", "int32"), Point("nowhere", "nsu=urn:nowhere;i=1", "int32")]
    points = [*points_of(config), *ghosts]
    session = await OpcuaDriver().connect([config], home=str(tmp_path))
    try:
        assert session.limits.monitor == 2
        subscription = await session.subscribe(config.path, points, interval_ms=[100] * len(points), sink=heard)
        assert {name: fault.reason for name, fault in subscription.faults.items()} == {
            "ghost": Reason.ILLEGAL_ADDRESS,
            "nowhere": Reason.ILLEGAL_ADDRESS,
        }
        await until(lambda: len(heard.newest) == 5, "a good tag did not report")
    finally:
        await session.close()
        await server.close()


async def test_one_stream_per_interval_and_nothing_left_after_close(tmp_path: Any) -> None:
    first, second = device(path="area/line/a"), device(path="area/line/b")
    server = await serve([first, second])
    configs = [device(server.port, path=found.path) for found in (first, second)]
    heard = Heard()
    session = await OpcuaDriver().connect(configs, home=str(tmp_path))
    try:
        intervals = [100] * 10 + [250] * 10
        subscriptions = [
            await session.subscribe(config.path, points_of(config), interval_ms=intervals, sink=heard)
            for config in configs
        ]
        streams = server.server.iserver.subscription_service.subscriptions
        assert len(streams) == 2
        await until(lambda: len(heard.newest) == 40, "not every tag reported")
        await subscriptions[0].close()
        server.set(configs[0].path, "v001", 1000)
        server.set(configs[1].path, "v001", 2000)
        await until(lambda: heard.value(configs[1].path, "v001") == 2000, "the other device fell silent")
        assert heard.value(configs[0].path, "v001") == 1
        await subscriptions[1].close()
        await until(lambda: not streams, "a subscription stayed on the server")
        await session.check()
    finally:
        await session.close()
        await server.close()


async def test_it_reports_again_after_a_reconnect(tmp_path: Any) -> None:
    server = await serve([device()])
    port = server.port
    config, heard = device(port), Heard()
    session = await OpcuaDriver().connect([config], home=str(tmp_path))
    await session.subscribe(config.path, points_of(config), interval_ms=[100] * 20, sink=heard)
    await until(lambda: len(heard.newest) == 20, "not every tag reported")
    await server.close()
    error = await lost(session)
    assert error.scope is Scope.SESSION
    assert error.retriable
    await session.close()
    heard.clear()
    server = await serve([device()], port=port)
    session = await OpcuaDriver().connect([config], home=str(tmp_path))
    try:
        await session.subscribe(config.path, points_of(config), interval_ms=[100] * 20, sink=heard)
        await until(lambda: len(heard.newest) == 20, "nothing was reported after the reconnect")
    finally:
        await session.close()
        await server.close()


async def test_a_stall_is_noticed_by_check_within_one_timeout(tmp_path: Any) -> None:
    server = await serve([device()])
    config, heard = device(server.port), Heard()
    session = await OpcuaDriver().connect([config], home=str(tmp_path))
    try:
        await session.subscribe(config.path, points_of(config), interval_ms=[100] * 20, sink=heard)
        await until(lambda: len(heard.newest) == 20, "not every tag reported")
        server.stall(30)
        began = now_s()
        with pytest.raises(DriverError) as caught:
            await session.check()
        assert caught.value.scope is Scope.SESSION
        assert caught.value.reason is Reason.DEVICE_TIMEOUT
        assert now_s() - began < 1.2
    finally:
        await session.close()
        await server.close()


async def test_a_forgotten_subscription_is_asked_for_again_and_costs_no_session(tmp_path: Any) -> None:
    server = await serve([device()])
    config, heard = device(server.port), Heard()
    session = await OpcuaDriver().connect([config], home=str(tmp_path))
    try:
        subscription = await session.subscribe(config.path, points_of(config), interval_ms=[100] * 20, sink=heard)
        await until(lambda: len(heard.newest) == 20, "not every tag reported")
        service = server.server.iserver.subscription_service
        await service.delete_subscriptions(list(service.subscriptions))
        for stream in session._publisher.streams.values():
            stream.silence_s = 0.3
        end = now_s() + 5
        while not subscription.faults and now_s() < end:
            await session.check()
            await asyncio.sleep(0.02)
        assert set(subscription.faults) == set(config.tags)
        heard.clear()
        await subscription.retry()
        assert not subscription.faults
        await until(lambda: len(heard.newest) == 20, "nothing was reported again")
    finally:
        await session.close()
        await server.close()


async def test_what_comes_later_is_reported_when_it_is_asked_for_again(tmp_path: Any) -> None:
    """A server that answers before it has loaded its project: neither namespace nor node are there at first."""
    server = await serve([device(count=1)])
    config, heard = device(server.port, count=1), Heard()
    points = [*points_of(config), Point("late", "nsu=urn:late;s=Late", "int32"), Point("b", f"nsu={URI};s=B", "int32")]
    session = await OpcuaDriver().connect([config], home=str(tmp_path))
    try:
        subscription = await session.subscribe(config.path, points, interval_ms=[100] * 3, sink=heard)
        assert set(subscription.faults) == {"late", "b"}
        assert subscription.notes() == ["2 tags: Bad_NodeIdUnknown"]
        with pytest.raises(DriverError):
            await session.write(config.path, points[1], 1)
        space = await server.server.register_namespace("urn:late")
        known = await server.server.get_namespace_index(URI)
        objects = server.server.nodes.objects
        await objects.add_variable(ua.NodeId("Late", space), "Late", 5, ua.VariantType.Int32)
        await objects.add_variable(ua.NodeId("B", known), "B", 6, ua.VariantType.Int32)
        session.connection.look_again_s = 0.0
        await subscription.retry()
        assert not subscription.faults
        assert not subscription.notes()
        await until(lambda: heard.value(config.path, "late") == 5, "the late node is not reported")
        await until(lambda: heard.value(config.path, "b") == 6, "the other late node is not reported")
    finally:
        await session.close()
        await server.close()


async def test_a_node_that_is_made_again_without_a_word_is_reported_when_it_is_distrusted(tmp_path: Any) -> None:
    server = await serve([device(count=2)])
    config, heard = device(server.port, count=2), Heard()
    known = await server.server.get_namespace_index(URI)
    objects = server.server.nodes.objects
    node = await objects.add_variable(ua.NodeId("B", known), "B", 6, ua.VariantType.Int32)
    points = [*points_of(config), Point("b", f"nsu={URI};s=B", "int32")]
    session = await OpcuaDriver().connect([config], home=str(tmp_path))
    try:
        subscription = await session.subscribe(config.path, points, interval_ms=[100] * 3, sink=heard)
        await until(lambda: heard.value(config.path, "b") == 6, "not reported at first")
        await server.server.delete_nodes([node])
        (request,) = OpcuaDriver().group(config, points[2:])
        assert (await session.read(request)).faults[0].reason is Reason.ILLEGAL_ADDRESS
        await subscription.distrust(["b"])
        assert subscription.notes() == ["1 tag: changed without a report"]
        await subscription.retry()
        assert subscription.notes() == ["1 tag: Bad_NodeIdUnknown"]
        node = await objects.add_variable(ua.NodeId("B", known), "B", 8, ua.VariantType.Int32)
        await subscription.retry()
        assert not subscription.faults
        await until(lambda: heard.value(config.path, "b") == 8, "the new node is not reported")
        await node.write_value(9, ua.VariantType.Int32)
        await until(lambda: heard.value(config.path, "b") == 9, "its change is not reported")
        (served,) = server.server.iserver.subscription_service.subscriptions.values()
        assert len(served.monitored_item_srv._monitored_items) == 3, "the item of the old node stayed on the server"
    finally:
        await session.close()
        await server.close()


@pytest.mark.parametrize(
    ("options", "promised"),
    [
        ({}, Promise(0.2)),
        ({"sampling": 1000}, Promise(1.1)),
        ({"device_deadband": 0.5}, Promise(0.2, 0.5)),
        ({"device_deadband_percent": 5}, Promise(0.2, math.inf)),
        ({"trigger": "Status"}, Promise(0.2, math.inf)),
    ],
)
async def test_what_a_server_promises_to_report(tmp_path: Any, options: dict[str, Any], promised: Promise) -> None:
    server = await serve([device(count=1)])
    config = device(server.port, count=1)
    (point,) = points_of(config)
    session = await OpcuaDriver().connect([config], home=str(tmp_path))
    try:
        wanted = [Point(point.name, point.address, point.type, options)]
        subscription = await session.subscribe(config.path, wanted, interval_ms=[100], sink=Heard())
        assert subscription.promise(point.name) == promised
    finally:
        await session.close()
        await server.close()


async def test_deadband_and_queue_reach_the_server(tmp_path: Any) -> None:
    server = await serve([device(count=1)])
    config, heard = device(server.port, count=1), Heard()
    point = Point(
        "v000",
        config.tags["v000"].address,
        "int32",
        {"device_deadband": 5.0, "queue": 10, "sampling": 50, "trigger": "StatusValueTimestamp"},
    )
    session = await OpcuaDriver().connect([config], home=str(tmp_path))
    try:
        await session.subscribe(config.path, [point], interval_ms=[100], sink=heard)
        await until(lambda: len(heard.all) == 1, "no first value")
        (stream,) = server.server.iserver.subscription_service.subscriptions.values()
        (item,) = stream.monitored_item_srv._monitored_items.values()
        assert item.queue_size == 10
        assert item.filter.DeadbandValue == 5.0
        assert item.filter.DeadbandType == 1
        assert item.filter.Trigger.name == "StatusValueTimestamp"
    finally:
        await session.close()
        await server.close()


async def test_a_session_and_a_token_that_live_for_seconds_are_kept(tmp_path: Any) -> None:
    server = await serve([device(count=1)])
    config = device(server.port, count=1, session_timeout=4_000)
    session = await OpcuaDriver().connect([config], home=str(tmp_path))
    try:
        assert session.check_s <= session.channel.client.session_timeout / 3000 < 2
        issued = session.channel.client.uaclient.protocol._connection.security_token.TokenId
        session.channel._renew_at_s = 0.0
        await session.check()
        await session.check()
        token = session.channel.client.uaclient.protocol._connection.security_token.TokenId
        assert token != issued, "a check renews the channel: nothing has to be polled for it"
    finally:
        await session.close()
        await server.close()


async def test_a_message_that_went_missing_is_sent_once_more(tmp_path: Any) -> None:
    server = await serve([device(count=1)])
    config, told = device(server.port, count=1), list[Value]()
    session = await OpcuaDriver().connect([config], home=str(tmp_path))
    plain, lost_once = session._publisher._read, list[int]()

    def read(data: bytes, at: int) -> Any:
        found = plain(data, at)
        if found[2] and told and not lost_once:
            lost_once.append(found[1])
            session._publisher._acknowledge.clear()
            raise DecodeError("this one does not arrive")
        return found

    session._publisher._read = read  # type: ignore[method-assign]
    try:
        sink = lambda path, reported: told.extend(one.value for one in reported)  # noqa: E731
        await session.subscribe(config.path, points_of(config), interval_ms=[50], sink=sink)
        await until(lambda: told == [0], "no first value")
        for value in (1, 2):
            server.set(config.path, "v000", value)
            await until(lambda value=value: bool(lost_once) and (value == 1 or told[-1] == value), "not reported")
        assert told == [0, 1, 2]
        assert session.counters()["missed_reports"] == 0
    finally:
        await session.close()
        await server.close()
