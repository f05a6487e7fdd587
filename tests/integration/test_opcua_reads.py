"""OPC UA reads against real servers: limits, bad nodes, credentials, dead and mute servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nexus_cli.drivers.base import DriverError, Fault, Point, Scope, points_of
from nexus_cli.drivers.opcua.driver import OpcuaDriver
from nexus_cli.drivers.opcua.session import OpcuaSession
from nexus_cli.drivers.opcua.simulator import SimulatorServer, serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.wire.sample import Reason, Value
from tests.own_time import now_s
from tests.reads import read_all

pytestmark = pytest.mark.own_time

URI = "http://acme.example/reads"
UNCERTAIN = 0x40900000
DEVICE_FAILURE = 0x808B0000


def device(port: int = 0, *, count: int = 200, tags: dict[str, TagConfig] | None = None, **more: Any) -> DeviceConfig:
    made = {
        f"v{at:03}": TagConfig(
            type="float64", address=f"nsu={URI};s=V {at}", simulate={"signal": "constant", "value": at + 0.5}
        )
        for at in range(count)
    }
    return DeviceConfig(
        path="area/line/reads",
        protocol="opcua",
        connection={
            "endpoint": f"opc.tcp://127.0.0.1:{port}",
            "timeout": 1000,
            "connect_timeout": 2000,
            **more,
        },
        tags=made if tags is None else tags,
    )


@asynccontextmanager
async def session_of(config: DeviceConfig, home: str) -> AsyncIterator[OpcuaSession]:
    session = await OpcuaDriver().connect([config], home=home)
    try:
        yield session
    finally:
        await session.close()


async def read(session: OpcuaSession, config: DeviceConfig) -> tuple[dict[str, Value], dict[str, Fault]]:
    return await read_all(session, OpcuaDriver().group(config, points_of(config)))


@asynccontextmanager
async def served(configs: Sequence[DeviceConfig], **options: Any) -> AsyncIterator[SimulatorServer]:
    server = await serve(configs, **options)
    try:
        yield server
    finally:
        await server.close()


async def test_a_server_of_fifty_nodes_a_read_is_read_whole(tmp_path: Any) -> None:
    async with served([device()], max_nodes_per_read=50) as server:
        config = device(server.port, max_read=500)
        async with session_of(config, str(tmp_path)) as session:
            assert session.limits.read == 50
            values, faults = await read(session, config)
    assert not faults
    assert values == {f"v{at:03}": at + 0.5 for at in range(200)}


async def test_a_limit_that_the_server_keeps_to_itself_is_learnt(tmp_path: Any) -> None:
    async with served([device()]) as server:
        server.limit(read=50)
        config = device(server.port, profile="open")
        async with session_of(config, str(tmp_path)) as session:
            values, faults = await read(session, config)
            assert not faults
            assert values["v199"] == 199.5
            assert session.limits.read <= 50
            began = now_s()
            await read(session, config)
            assert now_s() - began < 0.5


async def test_a_browse_learns_a_limit_that_the_server_keeps_to_itself(tmp_path: Any) -> None:
    async with served([device(count=30)]) as server:
        server.limit(read=3)
        config = device(server.port, count=30, profile="open")
        async with session_of(config, str(tmp_path)) as session:
            found = [browsed.type async for browsed in session.browse() if browsed.type]
            assert session.limits.read <= 3
    assert found.count("float64") == 30


async def test_status_codes_become_faults_of_their_own_tag(tmp_path: Any) -> None:
    async with served([device(count=5)]) as server:
        config = device(server.port, count=5)
        server.set_status(config.path, "v001", UNCERTAIN)
        server.set_status(config.path, "v003", DEVICE_FAILURE)
        async with session_of(config, str(tmp_path)) as session:
            values, faults = await read(session, config)
    assert faults["v001"].uncertain
    assert faults["v001"].reason is Reason.SOURCE_UNCERTAIN
    assert faults["v001"].code == UNCERTAIN
    assert values["v001"] == 1.5
    assert faults["v003"].reason is Reason.DEVICE_ERROR
    assert values["v003"] is None
    assert set(faults) == {"v001", "v003"}
    assert values["v004"] == 4.5


async def test_a_bad_value_keeps_the_time_that_the_device_gave_it(tmp_path: Any) -> None:
    async with served([device(count=2)]) as server:
        config = device(server.port, count=2)
        server.set_status(config.path, "v001", DEVICE_FAILURE)
        async with session_of(config, str(tmp_path)) as session:
            (request,) = OpcuaDriver().group(config, points_of(config))
            result = await session.read(request)
    assert set(result.faults) == {1}
    assert result.source_time_us is not None
    for at_us in result.source_time_us:
        assert at_us is not None
        assert abs(at_us - time.time() * 1e6) < 60e6


async def test_a_type_that_does_not_match_is_told_not_bent(tmp_path: Any) -> None:
    def tag(type_: str, name: str) -> TagConfig:
        return TagConfig(type=type_, address=f"nsu={URI};s={name}")

    base = {
        "real": TagConfig(type="float64", address=f"nsu={URI};s=real", simulate={"signal": "constant", "value": 1.5}),
        "whole": TagConfig(
            type="int32", address=f"nsu={URI};s=whole", simulate={"signal": "constant", "value": 70_000}
        ),
        "huge": TagConfig(type="float64", address=f"nsu={URI};s=huge", simulate={"signal": "constant", "value": 1e300}),
    }
    wrong = {
        "real-as-int": tag("int16", "real"),
        "int-as-float": tag("float64", "whole"),
        "int-as-bool": tag("bool", "whole"),
        "narrow": tag("int16", "whole"),
        "wide": tag("int64", "whole"),
        "small-float": tag("float32", "huge"),
        "array": tag("float64[2]", "real"),
    }
    async with served([device(tags=base)]) as server:
        config = device(server.port, tags=wrong)
        async with session_of(config, str(tmp_path)) as session:
            values, faults = await read(session, config)
    assert values["int-as-float"] == 70_000.0
    assert isinstance(values["int-as-float"], float)
    assert values["wide"] == 70_000
    assert {name: fault.reason for name, fault in faults.items()} == {
        "real-as-int": Reason.TYPE_MISMATCH,
        "int-as-bool": Reason.TYPE_MISMATCH,
        "narrow": Reason.OVERFLOW,
        "small-float": Reason.OVERFLOW,
        "array": Reason.TYPE_MISMATCH,
    }


async def test_source_times_are_the_servers(tmp_path: Any) -> None:
    async with served([device(count=2)]) as server:
        config = device(server.port, count=2)
        async with session_of(config, str(tmp_path)) as session:
            (request,) = OpcuaDriver().group(config, points_of(config))
            result = await session.read(request)
    assert result.source_time_us is not None
    for stamp in result.source_time_us:
        assert stamp is not None
        assert abs(stamp - time.time() * 1e6) < 5e6


async def test_a_namespace_that_appears_later_is_found(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_cli.drivers.opcua.connection.NAMESPACE_LOOK_S", 0.0)
    late = TagConfig(type="int32", address="nsu=http://acme.example/late;i=7")
    async with served([device(count=1)]) as server:
        config = device(server.port, tags={**device(count=1).tags, "late": late})
        async with session_of(config, str(tmp_path)) as session:
            values, faults = await read(session, config)
            assert faults["late"].reason is Reason.ILLEGAL_ADDRESS
            assert values["v000"] == 0.5
            index = await server.server.register_namespace("http://acme.example/late")
            from asyncua import ua

            await server.server.nodes.objects.add_variable(
                ua.NodeId(7, index), "late", ua.Variant(42, ua.VariantType.Int32)
            )
            values, faults = await read(session, config)
    assert not faults
    assert values["late"] == 42


async def test_wrong_credentials_are_final_and_named_without_the_secret(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLC_PASSWORD", "not-this-one")
    async with served([device(count=1)], users={"operator": "right"}) as server:
        config = device(server.port, count=1, user="operator", password="${env:PLC_PASSWORD}")
        with pytest.raises(DriverError) as caught:
            await OpcuaDriver().connect([config], home=str(tmp_path))
        assert caught.value.scope is Scope.SESSION
        assert not caught.value.retriable
        assert caught.value.reason is Reason.ACCESS_DENIED
        assert "user name or password" in caught.value.message
        assert "not-this-one" not in caught.value.message
        monkeypatch.setenv("PLC_PASSWORD", "right")
        async with session_of(config, str(tmp_path)) as session:
            values, _ = await read(session, config)
        anonymous = device(server.port, count=1)
        with pytest.raises(DriverError) as caught:
            await OpcuaDriver().connect([anonymous], home=str(tmp_path))
        assert not caught.value.retriable
    assert values == {"v000": 0.5}


async def test_a_missing_secret_is_final_and_opens_nothing(tmp_path: Any) -> None:
    config = device(1, count=1, user="operator", password="${env:TEST_NO_SUCH_VARIABLE}")
    with pytest.raises(DriverError) as caught:
        await OpcuaDriver(environ={}).connect([config], home=str(tmp_path))
    assert not caught.value.retriable
    assert "TEST_NO_SUCH_VARIABLE" in caught.value.message


async def test_nobody_there_is_a_plain_sentence(tmp_path: Any) -> None:
    async with served([device(count=1)]) as server:
        port = server.port
    with pytest.raises(DriverError) as caught:
        await OpcuaDriver().connect([device(port)], home=str(tmp_path))
    assert caught.value.scope is Scope.SESSION
    assert caught.value.retriable
    assert f"127.0.0.1:{port}" in caught.value.message


async def test_closing_a_stalled_session_is_bounded(tmp_path: Any) -> None:
    async with served([device(count=1)]) as server:
        config = device(server.port, count=1)
        session = await OpcuaDriver().connect([config], home=str(tmp_path))
        server.stall(30)
        began = now_s()
        await session.close()
        assert now_s() - began < 2.0
        server.stall(None)


async def test_writes_to_a_read_only_node_are_refused_as_such(tmp_path: Any) -> None:
    async with served([device(count=1)]) as server:
        config = device(server.port, count=1)
        async with session_of(config, str(tmp_path)) as session:
            with pytest.raises(DriverError) as caught:
                await session.write(config.path, Point("v000", f"nsu={URI};s=V 0", "float64"), 2.0)
    assert caught.value.scope is Scope.ITEM
    assert caught.value.reason is Reason.ACCESS_DENIED


async def test_the_secure_channel_is_renewed_by_a_request(tmp_path: Any) -> None:
    async with served([device(count=1)]) as server:
        config = device(server.port, count=1)
        async with session_of(config, str(tmp_path)) as session:
            before = session.channel.client.uaclient.protocol._connection.security_token.TokenId
            session.channel._renew_at_s = 0.0
            for _ in range(3):
                values, faults = await read(session, config)
                assert values == {"v000": 0.5}
                assert not faults
            assert session.channel.client.uaclient.protocol._connection.security_token.TokenId != before
            assert session.channel._renew_at_s > time.monotonic() + 60


async def test_browsing_finds_what_the_file_would_say(tmp_path: Any) -> None:
    async with served([device(count=60)]) as server:
        config = device(server.port, count=60)
        async with session_of(config, str(tmp_path)) as session:
            found = [item async for item in session.browse()]
    ours = {item.address: item for item in found if item.address.startswith(f"nsu={URI}")}
    assert len(ours) == 60
    assert ours[f"nsu={URI};s=V 7"].type == "float64"
    assert ours[f"nsu={URI};s=V 7"].path == (config.path, "v007")
    assert not ours[f"nsu={URI};s=V 7"].writable


async def test_two_requests_at_once_keep_their_answers_apart(tmp_path: Any) -> None:
    async with served([device()]) as server:
        config = device(server.port)
        async with session_of(config, str(tmp_path)) as session:
            requests = OpcuaDriver().group(config, points_of(config))
            assert len(requests) == 4
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(session.read(request)) for request in requests]
            values = [value for task in tasks for value in task.result().values]
    assert values == [at + 0.5 for at in range(200)]
