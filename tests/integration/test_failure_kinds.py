"""Each kind of failure, raised by a driver that meets it, and the hint that follows from it."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.discover.connection_hints import unreachable
from nexus_cli.drivers.base import DriverError, points_of
from nexus_cli.drivers.modbus import line
from nexus_cli.drivers.opcua.simulator.server import new_identity
from nexus_cli.drivers.opcua.simulator.server import serve as serve_opcua
from nexus_cli.drivers.registry import driver
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.failure_kind import FailureKind
from tests.answering import answering

pytestmark = pytest.mark.own_time

NET_ID = "5.1.2.3.1.1"
TAGS = {
    "modbus": TagConfig(type="uint16", address="holding:0"),
    "opcua": TagConfig(type="float64", address="nsu=urn:x;s=a", simulate={"signal": "constant", "value": 1.0}),
    "s7": TagConfig(type="int16", address="%DB1:0:INT"),
    "ads": TagConfig(type="int16", address="MAIN.a"),
}


def device(protocol: str, *, host: str = "127.0.0.1", port: int = 0, **more: Any) -> DeviceConfig:
    places: dict[str, dict[str, Any]] = {
        "modbus": {"host": host, "port": port},
        "s7": {"host": host, "port": port},
        "ads": {"host": host, "tcp_port": port, "ams_net_id": NET_ID, "source_net_id": "5.9.9.9.1.1"},
        "opcua": {"endpoint": f"opc.tcp://{host}:{port}"},
    }
    connection = {**places[protocol], "timeout": 200, "connect_timeout": 5_000, **more}
    return DeviceConfig(path="a/l/d", protocol=protocol, connection=connection, tags={"a": TAGS[protocol]})


async def failure(config: DeviceConfig, home: Path) -> DriverError:
    """What connecting and reading raises."""
    its_driver = driver(config.protocol)
    with pytest.raises(DriverError) as caught:
        session = await its_driver.connect([config], home=str(home))
        try:
            (request,) = its_driver.group(config, points_of(config))
            await session.read(request)
        finally:
            await session.close()
    return caught.value


def hint(error: DriverError, protocol: str) -> str:
    found = unreachable(error, protocol)
    assert found.code == "NX6602"
    return found.hint


@pytest.mark.parametrize("protocol", sorted(TAGS))
async def test_a_closed_port(protocol: str, tmp_path: Path) -> None:
    with socket.socket() as closed:  # bound and not listening: nobody else gets the port
        closed.bind(("127.0.0.1", 0))
        error = await failure(device(protocol, port=closed.getsockname()[1]), tmp_path)
    assert error.kind is FailureKind.CONNECTION_REFUSED
    assert hint(error, protocol).startswith("nothing listens there: is it switched on, and is the port right")


@pytest.mark.parametrize("protocol", sorted(TAGS))
async def test_a_name_that_does_not_resolve(protocol: str, tmp_path: Path) -> None:
    error = await failure(device(protocol, host="no-such-host.invalid", port=4000), tmp_path)
    assert error.kind is FailureKind.UNKNOWN_HOST
    assert hint(error, protocol) == "check the name, or write the IP address"


async def test_a_serial_line_that_does_not_exist(tmp_path: Path) -> None:
    error = await failure(device("modbus", serial="/dev/no-such-line"), tmp_path)
    assert error.kind is FailureKind.NO_SERIAL_LINE
    assert hint(error, "modbus").startswith("ls /dev/ttyUSB*")


async def test_missing_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "installed", lambda: False)
    monkeypatch.setitem(sys.modules, "pyads", None)  # the import then fails as that of a missing package
    for config in (device("modbus", serial="/dev/ttyS0"), device("ads", router="local")):
        error = await failure(config, tmp_path)
        assert error.kind is FailureKind.MISSING_PACKAGE
        assert "pip install" in error.message
        assert hint(error, config.protocol) == ""


@pytest.mark.parametrize("protocol", ["modbus", "ads"])
async def test_a_variable_that_is_not_set(protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLC_HOST", raising=False)
    error = await failure(device(protocol, host="${env:PLC_HOST}"), tmp_path)
    assert error.kind is FailureKind.UNSET_VARIABLE
    assert hint(error, protocol) == "in this shell first: read -rs PLC_HOST; export PLC_HOST"


async def test_a_refused_password(tmp_path: Path) -> None:
    server = await serve_opcua([device("opcua")], identity=new_identity(), users={"operator": "s3cret"})
    try:
        config = device(
            "opcua",
            port=server.port,
            timeout=5_000,
            security="Basic256Sha256/SignAndEncrypt",
            user="operator",
            password="other",
        )
        error = await failure(config, tmp_path)
    finally:
        await server.close()
    assert error.kind is FailureKind.LOGIN_REFUSED
    assert hint(error, "opcua").startswith("one that it knows: --user NAME --password")


async def test_security_that_the_server_does_not_have(tmp_path: Path) -> None:
    server = await serve_opcua([device("opcua")])
    try:
        error = await failure(
            device("opcua", port=server.port, timeout=5_000, security="Basic256Sha256/Sign"), tmp_path
        )
    finally:
        await server.close()
    assert error.kind is FailureKind.SECURITY_NOT_OFFERED
    assert hint(error, "opcua") == "--security with one that it offers, --security None without"


async def test_a_certificate_that_is_no_file(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.pem")
    error = await failure(device("opcua", user_certificate=missing, user_private_key=missing), tmp_path)
    assert error.kind is FailureKind.CERTIFICATE
    assert hint(error, "opcua").startswith("nexus certs show")


async def test_a_plc_without_a_route_to_us(tmp_path: Path) -> None:
    async with answering(lambda _: b"") as port:
        error = await failure(device("ads", port=port), tmp_path)
    assert error.kind is FailureKind.NO_ROUTE
    assert "Edit Routes" in error.message
    assert hint(error, "ads") == ""


async def test_a_modbus_device_that_does_not_answer(tmp_path: Path) -> None:
    async with answering(lambda _: b"") as port:
        error = await failure(device("modbus", port=port), tmp_path)
    assert error.kind is FailureKind.NO_ANSWER
    assert hint(error, "modbus").startswith("another unit id")


@pytest.mark.parametrize("code", [10, 11])
async def test_a_unit_that_its_gateway_does_not_reach(code: int, tmp_path: Path) -> None:
    async with answering(lambda asked: asked[:4] + b"\0\3" + asked[6:7] + bytes((asked[7] | 0x80, code))) as port:
        error = await failure(device("modbus", port=port), tmp_path)
    assert error.kind is FailureKind.UNIT_UNREACHABLE
    assert hint(error, "modbus").startswith("a Modbus device answers, but not this unit")


async def test_any_other_failure_has_a_general_hint(tmp_path: Path) -> None:
    async with answering(lambda asked: b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        error = await failure(device("modbus", port=port), tmp_path)
    assert error.kind is FailureKind.OTHER
    assert hint(error, "modbus").startswith("is it modbus that listens there?")
