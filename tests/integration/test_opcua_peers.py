"""OPC UA against an implementation that nobody here wrote and that shares no code with ours: npm node-opcua."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.drivers.base import Browsed, DriverError, Fault, Point, Scope, points_of
from nexus_cli.drivers.opcua.driver import OpcuaDriver
from nexus_cli.drivers.opcua.security import thumbprint
from nexus_cli.drivers.opcua.session import OpcuaSession
from nexus_cli.drivers.opcua.simulator import serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.wire.sample import Reason, Value
from tests.contract.driver_cases import OPCUA_URI, opcua_device
from tests.heard import Heard
from tests.node_peers import node_with, run_node
from tests.waiting import until

PEERS = Path(__file__).parent / "peers"
URI = "http://acme.example/peer"
MOMENT_US = 1_709_528_767_250_000
"""2024-03-04T05:06:07.25Z, the time that the peer gives to what has no other."""
START_S = 60.0
"""The first start in a folder makes keys and certificates."""
TYPES = {
    "bool": ("bool", True),
    "i8": ("int8", -5),
    "u8": ("uint8", 200),
    "i16": ("int16", -12345),
    "u16": ("uint16", 54321),
    "i32": ("int32", -123456789),
    "u32": ("uint32", 3_000_000_000),
    "i64": ("int64", -(2**60) - 1),
    "u64": ("uint64", 2**63 + 5),
    "f32": ("float32", 230.5),
    "f64": ("float64", 3.141592653589793),
    "text": ("string", "größer"),
    "time": ("datetime", "2024-03-04T05:06:07.250000Z"),
    "array": ("float32[3]", [1.0, 2.5, -3.0]),
    "level": ("float64", 20.5),
    "span": ("json", {"Low": -1.5, "High": 8.0}),
}
WRITES: dict[str, Value] = {
    "bool": False,
    "i8": 17,
    "u16": 1,
    "i32": 2**31 - 1,
    "i64": -(2**63),
    "u64": 2**64 - 1,
    "f32": 1.5,
    "f64": 2.5e-300,
    "text": "a b # c",
    "time": "2025-01-02T03:04:05Z",
    "array": [9.0, 8.0, 7.0],
    "level": 99.25,
}


async def _run(script: str, *arguments: str) -> asyncio.subprocess.Process:
    node, ignored = node_with("node-opcua"), asyncio.subprocess.DEVNULL
    return await run_node(node, str(PEERS / script), *arguments, stderr=ignored)


async def _told(process: asyncio.subprocess.Process) -> str:
    """The next line that is the script's own: the library writes notes between them."""
    assert process.stdout is not None
    async with asyncio.timeout(START_S):
        async for line in process.stdout:
            if line.startswith(b"@ "):
                return line[2:].decode().strip()
    raise AssertionError("node-opcua ended before it said anything")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the peer keeps its keys: made once, so that a restarted server is the same one."""
    return str(tmp_path_factory.mktemp("node-opcua"))


@asynccontextmanager
async def served(folder: str, port: int = 0, *, most: int = 4, strangers: str = "taken") -> AsyncIterator[int]:
    process = await _run("opcua_server.js", str(port), folder, str(most), strangers)
    try:
        yield int(await _told(process))
    finally:
        await _end(process)


def device(port: int, tags: dict[str, TagConfig] | None = None, **more: Any) -> DeviceConfig:
    made = {name: TagConfig(type=kind, address=address(name)) for name, (kind, _) in TYPES.items()}
    return DeviceConfig(
        path="area/line/peer",
        protocol="opcua",
        connection={"endpoint": f"opc.tcp://127.0.0.1:{port}", "timeout": 3000, "connect_timeout": 8000, **more},
        tags=made if tags is None else tags,
    )


def address(name: str) -> str:
    return f"nsu={URI};s={name}"


@asynccontextmanager
async def session_of(config: DeviceConfig, home: Path) -> AsyncIterator[OpcuaSession]:
    session = await OpcuaDriver().connect([config], home=str(home))
    try:
        yield session
    finally:
        await session.close()


async def read(
    session: OpcuaSession, config: DeviceConfig, points: Sequence[Point] | None = None
) -> tuple[dict[str, Value], dict[str, Fault], dict[str, int | None]]:
    values: dict[str, Value] = {}
    faults: dict[str, Fault] = {}
    times: dict[str, int | None] = {}
    for request in OpcuaDriver().group(config, points_of(config) if points is None else points):
        result = await session.read(request)
        for place, point in enumerate(request.points):
            values[point.name] = result.values[place]
            times[point.name] = None if result.source_time_us is None else result.source_time_us[place]
            if place in result.faults:
                faults[point.name] = result.faults[place]
    return values, faults, times


async def test_types_statuses_and_source_times(folder: str, tmp_path: Path) -> None:
    async with served(folder) as port:
        config = device(port)
        config.tags.update(
            {
                name: TagConfig(type="int32", address=where)
                for name, where in {
                    "bad": address("bad"),
                    "doubtful": address("doubtful"),
                    "ghost": address("Ghost"),
                    "nowhere": "nsu=urn:nowhere;i=1",
                }.items()
            }
        )
        config.tags["second"] = TagConfig(type="float32", address=address("array"), options={"index": "1"})
        config.tags["misfit"] = TagConfig(type="int16", address=address("f64"))
        async with session_of(config, tmp_path) as session:
            limits = session.limits
            assert (limits.read, limits.write, limits.browse, limits.monitor) == (4, 3, 3, 5)
            values, faults, times = await read(session, config)
    assert {name: values[name] for name in TYPES} == {name: value for name, (_, value) in TYPES.items()}
    assert values["second"] == 2.5
    assert {name: fault.reason for name, fault in faults.items()} == {
        "bad": Reason.DEVICE_ERROR,
        "doubtful": Reason.SOURCE_UNCERTAIN,
        "ghost": Reason.ILLEGAL_ADDRESS,
        "nowhere": Reason.ILLEGAL_ADDRESS,
        "misfit": Reason.TYPE_MISMATCH,
    }
    assert (values["doubtful"], times["doubtful"], times["bad"]) == (41, MOMENT_US, MOMENT_US)
    now_us = time.time() * 1e6
    assert all(abs((times[name] or 0) - now_us) < 60e6 for name in TYPES)


async def test_what_is_written_is_read_back(folder: str, tmp_path: Path) -> None:
    async with served(folder) as port:
        config = device(port)
        config.tags["locked"] = TagConfig(type="int32", address=address("locked"), writable=True)
        points = {point.name: point for point in points_of(config)}
        async with session_of(config, tmp_path) as session:
            for name, value in WRITES.items():
                await session.write(config.path, points[name], value)
            values, faults, _ = await read(session, config)
            with pytest.raises(DriverError) as caught:
                await session.write(config.path, points["locked"], 8)
    assert not faults
    assert {name: values[name] for name in WRITES} == WRITES
    assert (caught.value.scope, caught.value.reason) == (Scope.ITEM, Reason.ACCESS_DENIED)
    assert values["locked"] == 7


async def test_changes_arrive_once_each_with_their_times(folder: str, tmp_path: Path) -> None:
    heard = Heard()
    async with served(folder) as port:
        config = device(port)
        config.tags["counter"] = TagConfig(type="uint32", address=address("counter"), options={"queue": 20})
        config.tags["bad"] = TagConfig(type="int32", address=address("bad"))
        config.tags["ghost"] = TagConfig(type="int32", address=address("Ghost"))
        points = points_of(config)
        async with session_of(config, tmp_path) as session:
            subscription = await session.subscribe(config.path, points, interval_ms=[100] * len(points), sink=heard)
            assert {name: fault.reason for name, fault in subscription.faults.items()} == {
                "ghost": Reason.ILLEGAL_ADDRESS
            }
            await until(lambda: len(heard.newest) == len(points) - 1, "not every tag reported its first value")
            await until(lambda: len(heard.of("counter")) >= 10, "the counter's changes did not arrive")
            i32 = next(point for point in points if point.name == "i32")
            await session.write(config.path, i32, 4711)
            await until(lambda: heard.of("i32")[-1].value == 4711, "a written value was not reported")
            await session.check()
            await subscription.close()
    assert {name: heard.of(name)[0].value for name in TYPES} == {name: value for name, (_, value) in TYPES.items()}
    assert [one.value for one in heard.of("i32")] == [TYPES["i32"][1], 4711]
    fault = heard.of("bad")[0].fault
    assert fault is not None
    assert fault.reason is Reason.DEVICE_ERROR
    counts = [int(str(found.value)) for found in heard.of("counter")]
    assert counts == sorted(set(counts))
    times = [found.source_time_us for found in heard.of("counter")]
    assert all(found is not None for found in times)
    assert times == sorted(times, key=lambda found: found or 0)


async def test_browse_names_types_units_and_ranges(folder: str, tmp_path: Path) -> None:
    found: dict[tuple[str, ...], Browsed] = {}
    async with served(folder) as port, session_of(device(port), tmp_path) as session:
        async for browsed in session.browse():
            if browsed.type:
                found[browsed.path] = browsed
    assert {name: found["Plant", name].type for name in TYPES} == {name: kind for name, (kind, _) in TYPES.items()}
    assert all(found["Plant", name].address == address(name) for name in TYPES)
    level = found["Plant", "level"]
    assert (level.unit, level.detail["range"]) == ("degC", [0.0, 250.0])
    assert not found["Plant", "locked"].writable
    assert level.writable


async def test_a_server_of_two_nodes_a_read_tells_its_limits(folder: str, tmp_path: Path) -> None:
    async with served(folder, most=2) as port:
        config = device(port)
        async with session_of(config, tmp_path) as session:
            limits = session.limits
            values, faults, _ = await read(session, config)
            found = {browsed.path: browsed.type async for browsed in session.browse() if browsed.type}
    assert (limits.read, limits.write, limits.browse, limits.monitor) == (2, 3, 3, 5)
    assert not faults
    assert values == {name: value for name, (_, value) in TYPES.items()}
    assert found["Plant", "level"] == "float64"


async def test_a_restarted_server_is_found_again(folder: str, tmp_path: Path) -> None:
    heard = Heard()
    async with served(folder) as port:
        config = device(port)
        points = points_of(config)
        session = await OpcuaDriver().connect([config], home=str(tmp_path))
        try:
            await session.subscribe(config.path, points, interval_ms=[100] * len(points), sink=heard)
            await until(lambda: len(heard.newest) == len(points), "not every tag reported")
        except BaseException:
            await session.close()
            raise
    try:
        with pytest.raises(DriverError) as caught:
            await session.check()
    finally:
        await session.close()
    assert caught.value.scope is Scope.SESSION
    assert caught.value.retriable
    with pytest.raises(DriverError) as caught:
        await OpcuaDriver().connect([config], home=str(tmp_path))
    assert caught.value.retriable
    heard.clear()
    async with served(folder, port), session_of(config, tmp_path) as session:
        await session.subscribe(config.path, points, interval_ms=[100] * len(points), sink=heard)
        await until(lambda: len(heard.newest) == len(points), "nothing was reported after the restart")
        values, faults, _ = await read(session, config)
    assert not faults
    assert values["f32"] == 230.5


@pytest.mark.parametrize("security", ["None", "Basic256Sha256/SignAndEncrypt", "Aes256Sha256RsaPss/SignAndEncrypt"])
async def test_a_user_is_let_in_by_the_right_password_only(folder: str, tmp_path: Path, security: str) -> None:
    async with served(folder) as port:
        config = device(port, user="operator", password="right", security=security)
        async with session_of(config, tmp_path) as session:
            values, faults, _ = await read(session, config)
            assert not faults
            assert values["i64"] == TYPES["i64"][1]
        wrong = device(port, user="operator", password="wrong", security=security)
        with pytest.raises(DriverError) as caught:
            await OpcuaDriver().connect([wrong], home=str(tmp_path))
    assert (caught.value.scope, caught.value.retriable) == (Scope.SESSION, False)
    assert caught.value.reason is Reason.ACCESS_DENIED
    assert "wrong" not in caught.value.message


async def test_our_simulator_with_node_opcua_client(folder: str) -> None:
    node_with("node-opcua")
    config = opcua_device(0, 0)
    server = await serve([config])
    try:
        process = await _run("opcua_client.js", str(server.port), OPCUA_URI, folder, "Device0.")
        try:
            assert await _told(process) == "watching"
            server.set(config.path, "i32", 43)
            told = json.loads(await _told(process))
        finally:
            await _end(process)
    finally:
        await server.close()
    assert told["read"] == {
        "bool": True,
        "i8": -5,
        "Boiler #1 level": -12345,
        "i32": -123456789,
        "u32": 3_000_000_000,
        "f32": 230.5,
        "f64": 3.141592653589793,
        "text": "größer",
        "time": "2024-03-04T05:06:07.250Z",
        "array": [1.0, 2.5, -3.0],
    }
    assert (told["ghost"], told["written"], told["refused"]) == ("BadNodeIdUnknown", "Good", True)
    assert told["heard"] == [42, 43]


async def test_a_server_that_does_not_know_us_names_what_to_trust(tmp_path: Path) -> None:
    """It answers the opening of the channel with a ServiceFault, where the library expects a channel."""
    async with served(str(tmp_path / "peer"), strangers="refused") as port:
        config = device(port, security="Basic256Sha256/SignAndEncrypt")
        with pytest.raises(DriverError) as caught:
            await OpcuaDriver().connect([config], home=str(tmp_path / "home"))
    message = caught.value.message
    own = tmp_path / "home" / "certs" / "opcua" / "own" / "certificate.der"
    assert "does not trust our certificate" in message
    assert str(own) in message
    assert thumbprint(own.read_bytes()) in message
    assert "nexus certs export" in message
    assert caught.value.retriable
