"""What real serial lines do to a driver, on pseudo-terminals: noise, dead units, late answers, a pulled plug."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.drivers.base import DriverError, Request, Scope, points_of
from nexus_cli.drivers.modbus.driver import DRIVER
from nexus_cli.drivers.modbus.session import SILENT_REQUESTS, ModbusSession
from nexus_cli.drivers.modbus.simulator import serial
from nexus_cli.drivers.modbus.simulator.serial import SerialSimulator, serve_serial
from nexus_cli.drivers.modbus.simulator.server import ModbusClient, crc16
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.wire.sample import Reason
from tests.own_time import now_s
from tests.reads import fails

pytestmark = pytest.mark.own_time

TIMEOUT_MS = 150


def device(line: str, unit_id: int = 1, **more: Any) -> DeviceConfig:
    connection = {"serial": line, "parity": "none", "unit_id": unit_id, "timeout": TIMEOUT_MS, **more}
    tags = {
        "a": TagConfig(type="uint16", address="holding:0", simulate={"signal": "constant", "value": 100 + unit_id}),
        "w": TagConfig(type="uint16", address="holding:1", writable=True),
    }
    return DeviceConfig(path=f"a/l/u{unit_id}", protocol="modbus", connection=connection, tags=tags)


def first(one: DeviceConfig) -> Request:
    (request,) = DRIVER.group(one, points_of(one, ["a"]))
    return request


async def refused(line: str) -> DriverError:
    with pytest.raises(DriverError) as caught:
        await DRIVER.connect([device(line)], home=".")
    return caught.value


@asynccontextmanager
async def opened(
    units: Sequence[int] = (1,),
) -> AsyncIterator[tuple[SerialSimulator, list[DeviceConfig], ModbusSession]]:
    server = await serve_serial([device("", unit) for unit in units])
    devices = [device(server.device, unit) for unit in units]
    try:
        session = await DRIVER.connect(devices, home=".")
        try:
            yield server, devices, session
        finally:
            await session.close()
    finally:
        await server.close()


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[bytes], bytes]], None]:
    """Lets the line change what the units answer."""
    write = serial.Wire.write

    def through(change: Callable[[bytes], bytes]) -> None:
        monkeypatch.setattr(serial.Wire, "write", lambda wire, data: write(wire, change(bytes(data))))

    return through


async def test_a_dead_unit_costs_its_neighbours_one_timeout_and_nothing_else() -> None:
    async with opened((1, 2, 3)) as (server, devices, session):
        server.silence("a/l/u2")
        for _ in range(SILENT_REQUESTS + 1):
            error = await fails(session, first(devices[1]))
            assert (error.scope, error.reason) == (Scope.DEVICE, Reason.DEVICE_TIMEOUT)
            began = now_s()
            assert (await session.read(first(devices[0]))).values == [101]
            assert (await session.read(first(devices[2]))).values == [103]
            assert now_s() - began < TIMEOUT_MS / 1000
        server.silence("a/l/u2", silent=False)
        assert (await session.read(first(devices[1]))).values == [102]


@pytest.mark.parametrize(
    "garble",
    [
        lambda frame: b"\xff\x00\x55" * 20,
        lambda frame: frame[:-1] + bytes((frame[-1] ^ 0x10,)),
        lambda frame: frame[:-2],
        lambda frame: b"\x09" + frame[1:-2] + crc16(b"\x09" + frame[1:-2]),
        lambda frame: frame[:1] + b"\x03\x04\0\1\0\2" + crc16(frame[:1] + b"\x03\x04\0\1\0\2"),
        lambda frame: bytes(600),
    ],
    ids=["noise", "checksum", "cut", "another-unit", "too-many-registers", "flood"],
)
async def test_garbage_never_becomes_a_value_and_the_line_recovers(
    garble: Callable[[bytes], bytes], noise: Callable[[Callable[[bytes], bytes]], None]
) -> None:
    async with opened((1, 2)) as (_, devices, session):
        assert (await session.read(first(devices[0]))).values == [101]
        noise(garble)
        error = await fails(session, first(devices[0]))
        assert error.retriable
        noise(lambda frame: frame)
        if error.scope is Scope.SESSION:
            await session.close()
            session = await DRIVER.connect(devices, home=".")
        assert (await session.read(first(devices[0]))).values == [101]
        assert (await session.read(first(devices[1]))).values == [102]
        await session.close()


async def test_an_answer_after_its_timeout_is_not_taken_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit that takes one and a half time-outs for its first answer, and counts its answers."""
    asked: list[bytes] = []

    def slow(client: ModbusClient, data: bytes) -> None:
        asked.append(data)
        body = bytes((1, 3, 2, 0, len(asked)))
        delay_s = TIMEOUT_MS * 1.5 / 1000 if len(asked) == 1 else 0
        assert client._transport is not None
        asyncio.get_running_loop().call_later(delay_s, client._transport.write, body + crc16(body))

    monkeypatch.setattr(ModbusClient, "data_received", slow)
    async with opened() as (_, (one,), session):
        assert (await fails(session, first(one))).scope is Scope.DEVICE
        assert (await session.read(first(one))).values == [2]
        assert (await session.read(first(one))).values == [3]


async def test_a_pulled_line_is_noticed_and_comes_back() -> None:
    async with opened() as (server, (one,), session):
        server.stall(60)
        began = now_s()
        task = asyncio.create_task(session.read(first(one)))
        await asyncio.sleep(TIMEOUT_MS / 1000 + 0.05)  # the first request on a new line waits so long
        server.drop_connections()
        with pytest.raises(DriverError) as caught:
            await task
        assert caught.value.scope is Scope.SESSION and caught.value.retriable
        assert now_s() - began < 2 * TIMEOUT_MS / 1000
        assert (await fails(session, first(one))).scope is Scope.SESSION
        server.stall(None)
        again = await DRIVER.connect([one], home=".")
        assert (await again.read(first(one))).values == [101]
        await again.close()


async def test_a_broadcast_is_not_waited_for_and_reaches_every_unit() -> None:
    async with opened((0,)) as (server, (everyone,), session):
        point = next(point for point in points_of(everyone) if point.name == "w")
        await session.write(everyone.path, point, 7)
        end = now_s() + 2
        while server.values(everyone.path)["w"] != 7:
            assert now_s() < end, "the write did not arrive"
            await asyncio.sleep(0.01)


async def test_an_adapter_that_is_gone_is_looked_for_by_its_id() -> None:
    assert "/dev/serial/by-id" in (await refused("/dev/ttyUSB-of-nobody")).message
    assert "by-id" not in (await refused("/dev/serial/by-id/of-nobody")).message.replace("by-id/of-nobody", "")


async def test_a_line_that_cannot_be_opened_is_one_plain_sentence(tmp_path: Path) -> None:
    missing = await refused(str(tmp_path / "ttyUSB9"))
    assert missing.message == f"no connection to {tmp_path}/ttyUSB9: No such file or directory"
    (tmp_path / "file").write_text("")
    no_line = await refused(str(tmp_path / "file"))
    assert "Could not configure port" in no_line.message
    for error in (missing, no_line):
        assert (error.scope, error.retriable, error.reason) == (Scope.SESSION, True, Reason.LINK_LOST)
    async with opened() as (server, _, _session):
        taken = await refused(server.device)
        assert taken.message == f"no connection to {server.device}: another program has it open"


async def test_a_line_that_may_not_be_opened_says_who_may(monkeypatch: pytest.MonkeyPatch) -> None:
    import serial

    def forbidden(*_: object, **__: object) -> None:
        raise serial.SerialException(13, "could not open port")

    monkeypatch.setattr(serial, "serial_for_url", forbidden)
    error = await refused("/dev/ttyUSB0")
    assert "Permission denied" in error.message and "dialout" in error.message
    assert (error.scope, error.retriable) == (Scope.SESSION, True)


async def test_without_pyserial_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    error = await refused("/dev/ttyUSB0")
    assert error.message == "pyserial is not installed: pip install 'nexus-cli[serial]'"
    assert (error.scope, error.retriable) == (Scope.SESSION, False)


async def test_the_simulator_leaves_nothing_behind() -> None:
    before = len(os.listdir("/proc/self/fd"))
    server = await serve_serial([device("")])
    assert Path(server.device).exists()
    folder = Path(server.device).parent
    server.drop_connections()
    await server.close()
    await server.close()
    assert not folder.exists()
    assert len(os.listdir("/proc/self/fd")) == before
