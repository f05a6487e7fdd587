"""What real Modbus links do to a driver: dead units behind a gateway, lying servers, devices that need rests."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.drivers.base import DriverError, Request, Scope, points_of
from nexus_cli.drivers.modbus.driver import DRIVER
from nexus_cli.drivers.modbus.session import SILENT_REQUESTS
from nexus_cli.drivers.modbus.simulator import serve
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.wire.sample import Reason
from tests.answering import answering
from tests.own_time import now_s
from tests.reads import fails

pytestmark = pytest.mark.own_time

TIMEOUT_MS = 150


def device(port: int, unit_id: int = 1, **more: Any) -> DeviceConfig:
    connection = {"host": "127.0.0.1", "port": port, "unit_id": unit_id, "timeout": TIMEOUT_MS, **more}
    tags = {
        "a": TagConfig(type="uint16", address="holding:0", simulate={"signal": "constant", "value": 100 + unit_id}),
        "bit": TagConfig(type="bool", address="holding:1.4", writable=True),
        "low": TagConfig(type="uint8", address="holding:2", writable=True),
        "coil": TagConfig(type="bool", address="coil:0", writable=True),
        "two": TagConfig(type="uint32", address="holding:3", writable=True),
    }
    return DeviceConfig(path=f"a/l/u{unit_id}", protocol="modbus", connection=connection, tags=tags)


def first(one: DeviceConfig, tag: str = "a") -> Request:
    (request,) = DRIVER.group(one, points_of(one, [tag]))
    return request


@pytest.mark.parametrize("framing", ["tcp", "rtu-over-tcp"])
async def test_a_dead_unit_costs_its_neighbours_one_timeout_and_nothing_else(framing: str) -> None:
    server = await serve([device(0, unit, framing=framing) for unit in (1, 2, 3)])
    devices = [device(server.port, unit, framing=framing) for unit in (1, 2, 3)]
    session = await DRIVER.connect(devices, home=".")
    try:
        server.silence("a/l/u2")
        for _ in range(SILENT_REQUESTS + 2):
            error = await fails(session, first(devices[1]))
            assert (error.scope, error.reason) == (Scope.DEVICE, Reason.DEVICE_TIMEOUT)
            began = now_s()
            assert (await session.read(first(devices[0]))).values == [101]
            assert (await session.read(first(devices[2]))).values == [103]
            assert now_s() - began < TIMEOUT_MS / 1000
        server.silence("a/l/u2", silent=False)
        assert (await session.read(first(devices[1]))).values == [102]
    finally:
        await session.close()
        await server.close()


async def test_when_every_unit_is_silent_the_link_is_lost() -> None:
    server = await serve([device(0, unit) for unit in (1, 2)])
    devices = [device(server.port, unit) for unit in (1, 2)]
    session = await DRIVER.connect(devices, home=".")
    try:
        server.stall(60)
        scopes = [(await fails(session, first(devices[turn % 2]))).scope for turn in range(SILENT_REQUESTS)]
        assert scopes == [Scope.DEVICE] * (SILENT_REQUESTS - 1) + [Scope.SESSION]
    finally:
        await session.close()
        await server.close()


async def test_a_gateway_that_misses_its_target_is_a_device_fault() -> None:
    server = await serve([device(0, 1)])
    ghost = device(server.port, 9)
    session = await DRIVER.connect([device(server.port, 1), ghost], home=".")
    try:
        error = await fails(session, first(ghost))
        assert (error.scope, error.reason, error.code) == (Scope.DEVICE, Reason.DEVICE_TIMEOUT, 0x0B)
        assert (await session.read(first(device(server.port, 1)))).values == [101]
    finally:
        await session.close()
        await server.close()


@pytest.mark.parametrize(
    ("code", "scope", "reason", "retriable"),
    [
        (1, Scope.REQUEST, Reason.ILLEGAL_ADDRESS, False),
        (2, Scope.REQUEST, Reason.ILLEGAL_ADDRESS, False),
        (3, Scope.REQUEST, Reason.ILLEGAL_ADDRESS, False),
        (4, Scope.REQUEST, Reason.DEVICE_ERROR, True),
        (5, Scope.REQUEST, Reason.DEVICE_ERROR, True),
        (6, Scope.REQUEST, Reason.DEVICE_ERROR, True),
        (10, Scope.DEVICE, Reason.DEVICE_TIMEOUT, True),
        (11, Scope.DEVICE, Reason.DEVICE_TIMEOUT, True),
        (99, Scope.REQUEST, Reason.DEVICE_ERROR, True),
    ],
)
async def test_exception_codes(code: int, scope: Scope, reason: Reason, retriable: bool) -> None:
    server = await serve([device(0)])
    one = device(server.port)
    session = await DRIVER.connect([one], home=".")
    try:
        server.fail(one.path, code=code)
        error = await fails(session, first(one))
        assert (error.scope, error.reason, error.retriable, error.code) == (scope, reason, retriable, code)
        assert error.transient == (code in (5, 6))
        server.fail(one.path, code=0)
        assert (await session.read(first(one))).values == [101]
    finally:
        await session.close()
        await server.close()


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("too many registers", lambda f: f[:4] + b"\0\7" + f[6:8] + b"\4\0\1\0\2"),
        ("byte count that lies", lambda f: f[:4] + b"\0\5" + f[6:8] + b"\6\0\1"),
        ("another function", lambda f: f[:4] + b"\0\5" + f[6:7] + b"\4\2\0\1"),
        ("another unit", lambda f: f[:4] + b"\0\5" + b"\x09" + f[7:8] + b"\2\0\1"),
        ("not Modbus at all", lambda f: b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        ("a function nobody knows", lambda f: f[:4] + b"\0\3" + f[6:7] + b"\x63\0"),
    ],
)
async def test_answers_that_make_no_sense_never_become_values(name: str, reply: Callable[[bytes], bytes]) -> None:
    async with answering(reply) as port:
        one = device(port)
        session = await DRIVER.connect([one], home=".")
        try:
            began = now_s()
            error = await fails(session, first(one))
            assert error.scope in (Scope.SESSION, Scope.DEVICE), name
            if name != "not Modbus at all":
                assert error.scope is (Scope.DEVICE if name == "another unit" else Scope.SESSION), name
                assert now_s() - began < TIMEOUT_MS / 1000, name
        finally:
            await session.close()


async def test_a_late_answer_without_transaction_id_is_left_behind() -> None:
    """A server that always answers with transaction 0: only a new connection keeps a late answer apart from the right one."""
    answers = iter([None, b"\0\1", b"\0\2", b"\0\3"])
    connections: list[int] = []
    hold = asyncio.Event()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(len(connections))
        while frame := await reader.read(300):
            value = next(answers)
            if value == b"\0\2":
                await hold.wait()
            writer.write(b"\0\0\0\0\0\5" + frame[6:8] + b"\2" + (value or b"\0\0"))
        writer.close()

    server = await asyncio.start_server(client, "127.0.0.1", 0)
    one = device(server.sockets[0].getsockname()[1])
    session = await DRIVER.connect([one], home=".")
    try:
        assert (await session.read(first(one))).values == [0]
        assert (await session.read(first(one))).values == [1]
        assert (await fails(session, first(one))).scope is Scope.DEVICE
        hold.set()
        assert (await session.read(first(one))).values == [3]
        assert len(connections) == 2
    finally:
        await session.close()
        server.close()
        await server.wait_closed()


async def test_the_device_gets_its_rests() -> None:
    server = await serve([device(0, pause=40)])
    one = device(server.port, pause=40)
    session = await DRIVER.connect([one], home=".")
    try:
        began = now_s()
        for _ in range(3):
            await session.read(first(one))
        assert now_s() - began >= 0.119
    finally:
        await session.close()
        await server.close()


@pytest.mark.parametrize("ways", ["auto", "single", "multiple"])
@pytest.mark.parametrize("bits", ["auto", "mask", "read-modify-write"])
async def test_devices_that_know_one_way_of_writing(ways: str, bits: str) -> None:
    limits = {"write_function": ways, "bit_write": bits}
    server = await serve([device(0, **limits)])
    one = device(server.port, **limits)
    session = await DRIVER.connect([one], home=".")
    try:
        points = {point.name: point for point in points_of(one)}
        server.set(one.path, "low", 0)
        for tag, value in {"bit": True, "low": 0x5A, "coil": True}.items():
            await session.write(one.path, points[tag], value)
            assert server.values(one.path)[tag] == value, tag
        if ways != "single":
            await session.write(one.path, points["two"], 70_000)
            assert server.values(one.path)["two"] == 70_000
    finally:
        await session.close()
        await server.close()


async def test_auto_learns_that_a_device_has_no_mask_write() -> None:
    server = await serve([device(0, bit_write="read-modify-write")])
    one = device(server.port)
    session = await DRIVER.connect([one], home=".")
    try:
        point = next(point for point in points_of(one) if point.name == "bit")
        await session.write(one.path, point, True)
        assert server.requests == 3, "mask write refused, read, write"
        await session.write(one.path, point, False)
        assert server.requests == 5, "read, write"
        assert server.values(one.path)["bit"] is False
    finally:
        await session.close()
        await server.close()


async def test_secret_references_are_resolved_only_to_connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = await serve([device(0)])
    secret = tmp_path / "host"
    secret.write_text("127.0.0.1\n")
    try:
        for reference in ("${env:PLC_HOST}", f"${{file:{secret}}}"):
            monkeypatch.setenv("PLC_HOST", "127.0.0.1")
            one = device(server.port, host=reference)
            session = await DRIVER.connect([one], home=".")
            assert (await session.read(first(one))).values == [101]
            await session.close()
        monkeypatch.delenv("PLC_HOST")
        with pytest.raises(DriverError) as caught:
            await DRIVER.connect([device(server.port, host="${env:PLC_HOST}")], home=".")
        assert (caught.value.scope, caught.value.retriable) == (Scope.SESSION, False)
    finally:
        await server.close()


async def test_a_host_that_does_not_accept_costs_one_connect_timeout() -> None:
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # fills the backlog: the next SYN is dropped
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        began = now_s()
        with pytest.raises(DriverError) as caught:
            await DRIVER.connect([device(listener.getsockname()[1], connect_timeout=200)], home=".")
        assert caught.value.scope is Scope.SESSION
        assert "no connection within 0.2 s" in caught.value.message
        assert now_s() - began < 1.5
