"""What a site declares of strange devices, from its YAML down to what is read: other ids, echoes, arrays that vary, adapters by id."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nexus_cli.drivers.base import DriverError, Scope, points_of
from nexus_cli.drivers.modbus.driver import DRIVER
from nexus_cli.drivers.modbus.pdu import checksum
from nexus_cli.drivers.modbus.simulator.serial import SerialSimulator, serve_serial
from nexus_cli.drivers.opcua.codec import DataValue
from nexus_cli.drivers.opcua.connection import ServerConnection
from nexus_cli.drivers.opcua.driver import DRIVER as OPCUA
from nexus_cli.drivers.registry import kinds
from nexus_cli.model.bind import bind
from nexus_cli.model.config import DeviceConfig, device_from_json
from nexus_cli.model.resolve import snapshot_of
from nexus_cli.model.site import Inherited
from tests.answering import answering
from tests.sources import load_site

pytestmark = pytest.mark.own_time

SITE = """\
nexus: 1
enterprise: acme
site: plant
areas:
  hall:
    lines:
      one:
        devices:
          meter:
            protocol: {protocol}
            connection: {{{connection}}}
            tags:
              value: {{{tag}}}
"""
WORD = 'address: "holding:1", type: uint16, writable: true'


def declared(folder: Path, *, connection: str, tag: str = WORD, protocol: str = "modbus") -> DeviceConfig:
    """The device of a site with this connection and tag, as its gateway gets it."""
    (folder / "site.yaml").write_text(SITE.format(protocol=protocol, connection=connection, tag=tag))
    tree = load_site(folder / "site.yaml", env=None, inherited=frozenset(Inherited.model_fields))
    bound = bind(tree.unwrap().root, kinds())
    assert bound.ok, bound.findings
    return device_from_json(snapshot_of(bound.unwrap()).resources["device.hall/one/meter"])


async def value_of(device: DeviceConfig, folder: Path) -> object:
    """What its one tag reads as. Raises DriverError."""
    session = await DRIVER.connect([device], home=str(folder))
    try:
        (request,) = DRIVER.group(device, points_of(device))
        (value,) = (await session.read(request)).values
        return value
    finally:
        await session.close()


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("any_transaction", lambda asked: bytes((asked[0], asked[1] + 1)) + b"\0\0\0\5" + asked[6:7] + b"\3\2\0\7"),
        ("any_unit", lambda asked: asked[:2] + b"\0\0\0\5\0\3\2\0\7"),
    ],
)
async def test_answers_under_other_ids_are_taken_where_the_site_says_so(
    key: str, answer: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    async with answering(answer) as port:
        plain = f"host: 127.0.0.1, port: {port}, timeout: 200ms"
        with pytest.raises(DriverError, match=f"{key}: true"):
            await value_of(declared(tmp_path, connection=plain), tmp_path)
        lenient = declared(tmp_path, connection=f"{plain}, {key}: true")
        assert await value_of(lenient, tmp_path) == 7


@asynccontextmanager
async def echoing_line(path: Path, *, dead: bool = False) -> AsyncIterator[list[bytes]]:
    """A two-wire adapter on a pair of pseudo-terminals that hears what it sends; gives what was asked."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    path.symlink_to(os.ttyname(theirs))
    asked: list[bytes] = []

    def hear() -> None:
        frame = os.read(ours, 256)
        asked.append(frame)
        body = frame[:2] + b"\2\0\7" if frame[1] == 3 else frame[:6]
        os.write(ours, frame + (b"" if dead else body + checksum(body)))

    loop = asyncio.get_running_loop()
    loop.add_reader(ours, hear)
    try:
        yield asked
    finally:
        loop.remove_reader(ours)
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(("echo", "functions"), [("", [3, 6]), (", echo: true", [6])], ids=["found-out", "declared"])
async def test_an_echo_acknowledges_no_write(echo: str, functions: list[int], tmp_path: Path) -> None:
    """Declared, nothing has to be read before a first write to find it out."""
    line = tmp_path / "line"
    device = declared(tmp_path, connection=f"serial: {line}, parity: none, timeout: 150ms{echo}")
    (point,) = points_of(device)
    async with echoing_line(line) as asked:
        session = await DRIVER.connect([device], home=str(tmp_path))
        await session.write(device.path, point, 7)
        assert [frame[1] for frame in asked] == functions
        await session.close()
        assert await value_of(device, tmp_path) == 7
    line.unlink()
    async with echoing_line(line, dead=True):
        session = await DRIVER.connect([device], home=str(tmp_path))
        with pytest.raises(DriverError, match="no answer") as caught:
            await session.write(device.path, point, 7)
        assert caught.value.scope is Scope.DEVICE
        await session.close()


def test_an_array_that_varies_is_declared_as_such(tmp_path: Path) -> None:
    def read(more: str) -> object:
        device = declared(
            tmp_path,
            protocol="opcua",
            connection="endpoint: opc.tcp://127.0.0.1:4840",
            tag=f'node: "nsu=urn:plc;s=Batch", type: "float64[3]"{more}',
        )
        (request,) = OPCUA.group(device, points_of(device))
        connection = ServerConnection.__new__(ServerConnection)
        connection.structures = type("Known", (), {"decode": None})()
        return ServerConnection.converter(connection, request.points[0])(DataValue(11, [1.5, 2.5], 0, None, True))

    assert read(", varying: true") == [1.5, 2.5]
    assert read("") != [1.5, 2.5]


async def test_an_adapter_that_comes_back_under_another_name_is_found_by_its_id(tmp_path: Path) -> None:
    """What udev does: the same name by id leads to another device file after the plug was pulled."""
    by_id = tmp_path / "usb-FTDI_FT232R_A1-if00-port0"
    device = declared(tmp_path, connection=f"serial: {by_id}, parity: none, timeout: 150ms")

    async def plugged(name: str, held: int) -> SerialSimulator:
        server = await serve_serial([device], device=str(tmp_path / name))
        server.set(device.path, "value", held)
        by_id.unlink(missing_ok=True)
        by_id.symlink_to(server.device)
        return server

    first = await plugged("ttyUSB0", 11)
    session = await DRIVER.connect([device], home=str(tmp_path))
    (request,) = DRIVER.group(device, points_of(device))
    assert (await session.read(request)).values == [11]
    await first.close()
    with pytest.raises(DriverError) as caught:
        await session.read(request)
    assert caught.value.scope is Scope.SESSION
    await session.close()
    second = await plugged("ttyUSB1", 22)
    try:
        assert await value_of(device, tmp_path) == 22
    finally:
        await second.close()
